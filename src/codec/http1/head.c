#include "codec/http1/head.h"

#include <string.h>

#include "codec/byte_class.h"

slice http1_excerpt(slice text)
{
    size_t len = 0;
    while (len < text.len && len < 40 &&
           (text.ptr[len] == ' ' || byte_class_in(text.ptr[len], BYTE_CLASS_VISIBLE)))
        len++;
    return (slice){ text.ptr, len };
}

/* Is the byte at i, which no field may hold, a proper part of a line's end? */
static int check_line_end(const struct http1_kind *kind, slice head, size_t i, struct err *err)
{
    char c = head.ptr[i];
    if (c == '\r' && i + 1 < head.len && head.ptr[i + 1] != '\n')
        return err_set(err, ERR_PEER, "a carriage return alone in the %s head", kind->name);
    if (c == '\n' && !kind->lf_ends_lines && (i == 0 || head.ptr[i - 1] != '\r'))
        return err_set(err, ERR_PEER, "a line feed alone in the %s head", kind->name);
    if (c != '\r' && c != '\n')
        return err_set(err, ERR_PEER, "control character 0x%02x in the %s head", (unsigned char)c,
                       kind->name);
    return 0;
}

ptrdiff_t http1_head_end(const struct http1_kind *kind, slice head, struct err *err)
{
    size_t limit = head.len < HTTP1_HEAD_MAX_BYTES ? head.len : HTTP1_HEAD_MAX_BYTES;
    size_t line_start = 0;
    for (size_t i = 0; i < limit; i++) {
        if (byte_class_in(head.ptr[i], BYTE_CLASS_FIELD))
            continue;
        int rc = check_line_end(kind, head, i, err);
        if (rc != 0)
            return rc;
        if (head.ptr[i] == '\r')
            continue;
        if (i == line_start || (i == line_start + 1 && head.ptr[line_start] == '\r'))
            return (ptrdiff_t)i + 1;
        line_start = i + 1;
    }
    if (head.len >= HTTP1_HEAD_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "the %s head is larger than %d bytes", kind->name,
                       HTTP1_HEAD_MAX_BYTES);
    return 0;
}

slice http1_next_line(slice *head)
{
    const char *end = memchr(head->ptr, '\n', head->len);
    slice line = { head->ptr, (size_t)(end - head->ptr) };
    *head = slice_skip(*head, line.len + 1);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static int read_field(const struct http1_kind *kind, slice line, struct http1_field *field,
                      struct err *err)
{
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return err_set(err, ERR_PEER, "a line of the %s head starts with white space", kind->name);
    size_t name_len = byte_class_span(line, BYTE_CLASS_TOKEN);
    if (name_len == 0 || name_len == line.len || line.ptr[name_len] != ':')
        return err_set(err, ERR_PEER, "a field of the %s head is not \"name: value\": \"%.*s\"",
                       kind->name, SLICE_ARG(http1_excerpt(line)));
    field->name = (slice){ line.ptr, name_len };
    field->value = byte_class_trim(slice_skip(line, name_len + 1));
    return 0;
}

static int note_length(slice value, struct http1_framing *framing, struct err *err)
{
    if (framing->has_length && !slice_equal(value, framing->length_digits))
        return err_set(err, ERR_PEER, "two Content-Lengths that differ");
    if (!byte_class_decimal(value, INT64_MAX, &framing->length))
        return err_set(err, ERR_PEER, "Content-Length is not a length: \"%.*s\"",
                       SLICE_ARG(http1_excerpt(value)));
    framing->has_length = true;
    framing->length_digits = value;
    return 0;
}

static int note_coding(slice value, struct http1_framing *framing, struct err *err)
{
    if (framing->chunked)
        return err_set(err, ERR_PEER, "two Transfer-Encodings");
    if (!slice_is_nocase(value, "chunked"))
        return err_set(err, ERR_PEER, "Transfer-Encoding is not \"chunked\": \"%.*s\"",
                       SLICE_ARG(http1_excerpt(value)));
    framing->chunked = true;
    return 0;
}

static void note_connection(slice options, struct http1_framing *framing)
{
    slice option;
    while (byte_class_next(&options, ',', &option)) {
        framing->close |= slice_is_nocase(option, "close");
        framing->keep_alive |= slice_is_nocase(option, "keep-alive");
    }
}

static int note_framing(const struct http1_field *field, struct http1_framing *framing,
                        struct err *err)
{
    if (slice_is_nocase(field->name, "Content-Length"))
        return note_length(field->value, framing, err);
    if (slice_is_nocase(field->name, "Transfer-Encoding"))
        return note_coding(field->value, framing, err);
    if (slice_is_nocase(field->name, "Connection"))
        note_connection(field->value, framing);
    return 0;
}

int http1_read_fields(const struct http1_kind *kind, slice head, struct http1_field *fields,
                      size_t *count, struct http1_framing *framing, struct err *err)
{
    *count = 0;
    for (slice line = http1_next_line(&head); line.len > 0; line = http1_next_line(&head)) {
        if (*count == HTTP1_FIELDS_MAX)
            return err_set(err, ERR_LIMIT, "the %s head has more than %d fields", kind->name,
                           HTTP1_FIELDS_MAX);
        struct http1_field *field = &fields[(*count)++];
        int rc = read_field(kind, line, field, err);
        if (rc == 0)
            rc = note_framing(field, framing, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int http1_check_framing(const struct http1_kind *kind, const struct http1_framing *framing,
                        int minor_version, struct err *err)
{
    if (framing->chunked && framing->has_length)
        return err_set(err, ERR_PEER, "both Content-Length and Transfer-Encoding");
    if (framing->chunked && minor_version == 0)
        return err_set(err, ERR_PEER, "Transfer-Encoding in an HTTP/1.0 %s", kind->name);
    return 0;
}
