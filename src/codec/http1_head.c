#include <string.h>

#include "codec/chars.h"
#include "codec/http1.h"

/* What the fields say about the body and the connection, gathered while they are read. */
struct framing {
    bool has_length;
    slice length_digits;
    uint64_t length;
    bool chunked;
    bool close;
    bool keep_alive;
};

/* The start of text that may be shown in a message. */
static slice excerpt(slice text)
{
    size_t len = 0;
    while (len < text.len && len < 40 &&
           (text.ptr[len] == ' ' || chars_in(text.ptr[len], CHARS_VISIBLE)))
        len++;
    return (slice){ text.ptr, len };
}

/* v: minor version, s: first digit of a status, d: digit, e: end of the status; else itself. */
static const char status_line_start[] = "HTTP/1.v sdde";
#define VERSION_AT 7
#define STATUS_AT 9
#define STATUS_END 12

static bool fits(char wanted, char c)
{
    switch (wanted) {
    case 'v': return c == '0' || c == '1';
    case 's': return c >= '1' && c <= '5';
    case 'd': return chars_in(c, CHARS_DIGIT);
    case 'e': return c == ' ' || c == '\r' || c == '\n';
    default: return c == wanted;
    }
}

/* Refuses what cannot become a status line, however little of it is there. */
static int check_start(slice head, struct err *err)
{
    for (size_t i = 0; i < head.len && status_line_start[i] != '\0'; i++)
        if (!fits(status_line_start[i], head.ptr[i]))
            return err_set(err, ERR_PEER,
                           "the answer does not start with an HTTP/1.1 status line: \"%.*s\"",
                           SLICE_ARG(excerpt(head)));
    return 0;
}

/* Size of the head with its empty line, or 0 where that has not come yet. */
static ptrdiff_t find_end(slice head, struct err *err)
{
    size_t limit = head.len < HTTP1_HEAD_MAX_BYTES ? head.len : HTTP1_HEAD_MAX_BYTES;
    size_t line_start = 0;
    for (size_t i = 0; i < limit; i++) {
        char c = head.ptr[i];
        if (chars_in(c, CHARS_FIELD))
            continue;
        if (c == '\r' && (i + 1 == head.len || head.ptr[i + 1] == '\n'))
            continue;
        if (c == '\r')
            return err_set(err, ERR_PEER, "a carriage return alone in the answer's head");
        if (c != '\n')
            return err_set(err, ERR_PEER, "control character 0x%02x in the answer's head",
                           (unsigned char)c);
        if (i == line_start || (i == line_start + 1 && head.ptr[line_start] == '\r'))
            return (ptrdiff_t)i + 1;
        line_start = i + 1;
    }
    if (head.len >= HTTP1_HEAD_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "the answer's head is larger than %d bytes",
                       HTTP1_HEAD_MAX_BYTES);
    return 0;
}

/* Cuts the next line off a complete head; the line comes without its end. */
static slice next_line(slice *head)
{
    const char *end = memchr(head->ptr, '\n', head->len);
    slice line = { head->ptr, (size_t)(end - head->ptr) };
    *head = slice_skip(*head, line.len + 1);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* The line is known to start well. The space after the status is required, but often left out. */
static void read_status_line(slice line, struct http1_response *response)
{
    const char *digits = line.ptr + STATUS_AT;
    response->minor_version = line.ptr[VERSION_AT] - '0';
    response->status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + digits[2] - '0';
    response->reason = slice_skip(line, line.len > STATUS_END ? STATUS_END + 1 : STATUS_END);
}

static int read_field(slice line, struct http1_field *field, struct err *err)
{
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return err_set(err, ERR_PEER, "a line of the answer's head starts with white space");
    size_t name_len = chars_span(line, CHARS_TOKEN);
    if (name_len == 0 || name_len == line.len || line.ptr[name_len] != ':')
        return err_set(err, ERR_PEER,
                       "a field of the answer's head is no \"name: value\": \"%.*s\"",
                       SLICE_ARG(excerpt(line)));
    field->name = (slice){ line.ptr, name_len };
    field->value = chars_trim(slice_skip(line, name_len + 1));
    return 0;
}

static int note_length(slice value, struct framing *framing, struct err *err)
{
    if (framing->has_length && !slice_equal(value, framing->length_digits))
        return err_set(err, ERR_PEER, "two Content-Lengths that differ");
    if (!chars_decimal(value, INT64_MAX, &framing->length))
        return err_set(err, ERR_PEER, "Content-Length is no length: \"%.*s\"",
                       SLICE_ARG(excerpt(value)));
    framing->has_length = true;
    framing->length_digits = value;
    return 0;
}

static int note_coding(slice value, struct framing *framing, struct err *err)
{
    if (framing->chunked)
        return err_set(err, ERR_PEER, "two Transfer-Encodings");
    if (!slice_is_nocase(value, "chunked"))
        return err_set(err, ERR_PEER, "Transfer-Encoding is not \"chunked\": \"%.*s\"",
                       SLICE_ARG(excerpt(value)));
    framing->chunked = true;
    return 0;
}

static void note_connection(slice options, struct framing *framing)
{
    slice option;
    while (chars_next(&options, ',', &option)) {
        framing->close |= slice_is_nocase(option, "close");
        framing->keep_alive |= slice_is_nocase(option, "keep-alive");
    }
}

static int note_framing(const struct http1_field *field, struct framing *framing, struct err *err)
{
    if (slice_is_nocase(field->name, "Content-Length"))
        return note_length(field->value, framing, err);
    if (slice_is_nocase(field->name, "Transfer-Encoding"))
        return note_coding(field->value, framing, err);
    if (slice_is_nocase(field->name, "Connection"))
        note_connection(field->value, framing);
    return 0;
}

/* RFC 9112, section 6.3 (length of the body) and section 9.3 (persistence). */
static int settle(struct http1_response *response, const struct framing *framing,
                  bool to_head_request, struct err *err)
{
    if (framing->chunked && framing->has_length)
        return err_set(err, ERR_PEER, "both Content-Length and Transfer-Encoding");
    if (framing->chunked && response->minor_version == 0)
        return err_set(err, ERR_PEER, "Transfer-Encoding in an HTTP/1.0 answer");
    bool bare_status = response->status < 200 || response->status == 204;
    if (to_head_request || bare_status || response->status == 304)
        response->body = HTTP1_BODY_NONE;
    else if (framing->chunked)
        response->body = HTTP1_BODY_CHUNKED;
    else
        response->body = framing->has_length ? HTTP1_BODY_LENGTH : HTTP1_BODY_CLOSE;
    response->content_length = response->body == HTTP1_BODY_LENGTH ? framing->length : 0;
    bool persists = !framing->close && (response->minor_version == 1 || framing->keep_alive);
    bool body_in_doubt = bare_status && (framing->chunked || framing->length > 0);
    response->keep_alive = persists && !body_in_doubt && response->body != HTTP1_BODY_CLOSE;
    return 0;
}

ptrdiff_t http1_parse_response(const char *bytes, size_t len, bool to_head_request,
                               struct http1_response *response, struct err *err)
{
    slice head = { bytes, len };
    int rc = check_start(head, err);
    ptrdiff_t size = rc != 0 ? rc : find_end(head, err);
    if (size <= 0)
        return size;
    head.len = (size_t)size;
    read_status_line(next_line(&head), response);
    struct framing framing = { 0 };
    response->field_count = 0;
    for (slice line = next_line(&head); line.len > 0; line = next_line(&head)) {
        if (response->field_count == HTTP1_FIELDS_MAX)
            return err_set(err, ERR_LIMIT, "the answer's head has more than %d fields",
                           HTTP1_FIELDS_MAX);
        struct http1_field *field = &response->fields[response->field_count++];
        if ((rc = read_field(line, field, err)) != 0 ||
            (rc = note_framing(field, &framing, err)) != 0)
            return rc;
    }
    rc = settle(response, &framing, to_head_request, err);
    return rc != 0 ? rc : size;
}
