#include "child/message.h"

#include <stddef.h>
#include <string.h>

#include "json/json.h"

static const struct {
    const char *name;
    size_t at;          /* of the slice in struct child_message */
    bool makes_message; /* an object that has it is a message */
} members[] = {
    { "id", offsetof(struct child_message, id), false },
    { "output", offsetof(struct child_message, output), true },
    { "upload", offsetof(struct child_message, upload), true },
    { "error", offsetof(struct child_message, error), true },
    { "error_type", offsetof(struct child_message, error_type), false },
    { "traceback", offsetof(struct child_message, traceback), false },
    { "stream", offsetof(struct child_message, stream), true },
    { "progress", offsetof(struct child_message, progress), true },
    { "log", offsetof(struct child_message, log), true },
    { "level", offsetof(struct child_message, level), false },
    { "ready", offsetof(struct child_message, ready), true },
    { "refresh_worker", offsetof(struct child_message, refresh), true },
    { "concurrency", offsetof(struct child_message, concurrency), true },
    { "streaming", offsetof(struct child_message, streaming), true },
    { "unfit", offsetof(struct child_message, unfit), true },
    { "check", offsetof(struct child_message, check), false },
};
#define MEMBER_COUNT (sizeof members / sizeof members[0])

/* Stores the member, if it is known. True if it makes its object a message. */
static bool note_member(struct child_message *message, slice name, slice value)
{
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        if (!json_name_is(name, slice_from(members[i].name)))
            continue;
        if (members[i].at == offsetof(struct child_message, upload) &&
            json_type(value) != RP_STRING)
            return false; /* somebody's progress */
        memcpy((char *)message + members[i].at, &value, sizeof value);
        return members[i].makes_message;
    }
    return false;
}

/* --- finding the object in a line --------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static slice trim_end(slice text)
{
    while (text.len > 0 && is_space(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* Bytes of text from `at` on between two values. */
static size_t run_of(slice text, size_t at, unsigned char from, unsigned char to)
{
    size_t count = 0;
    while (at + count < text.len && (unsigned char)text.ptr[at + count] >= from &&
           (unsigned char)text.ptr[at + count] <= to)
        count++;
    return count;
}

/*
 * The length of a terminal's string, a window's title for example, up to BEL or ESC \; 0: none. No
 * other sequence can be in it, so that each byte of a line is looked at once, whatever is there.
 */
static size_t terminal_string_length(slice text)
{
    for (size_t i = 2; i < text.len; i++) {
        if (text.ptr[i] == '\a')
            return i + 1;
        if (text.ptr[i] == '\x1b')
            return i + 1 < text.len && text.ptr[i + 1] == '\\' ? i + 2 : 0;
    }
    return 0;
}

/* The length of the control sequence that begins the text (ECMA-48, 5.3 to 5.6); 0: none. */
static size_t sequence_length(slice text)
{
    if (text.len < 2 || (text.ptr[0] != '\x1b' && memcmp(text.ptr, "\xc2\x9b", 2) != 0))
        return 0;
    bool is_csi = text.ptr[0] != '\x1b' || text.ptr[1] == '[';
    if (!is_csi && memchr("]PX^_", text.ptr[1], 5) != NULL)
        return terminal_string_length(text);
    size_t at = is_csi ? 2 : 1;
    at += run_of(text, at, ' ', is_csi ? '?' : '/');
    return run_of(text, at, is_csi ? '@' : '0', '~') > 0 ? at + 1 : 0;
}

/* How much of the text's start does not show: white space, control characters and sequences. */
static size_t invisible_length(slice text)
{
    const slice mark = SLICE_LITERAL("\xef\xbb\xbf"); /* of the byte order */
    size_t at = 0, count = 1;
    for (; at < text.len && count > 0; at += count) {
        slice rest = slice_skip(text, at);
        unsigned char c = (unsigned char)rest.ptr[0];
        count = sequence_length(rest);
        if (count == 0 && ((c <= ' ' && c != '\x1b') || c == 0x7f))
            count = 1;
        if (slice_starts(rest, mark))
            count = mark.len;
    }
    return at;
}

static bool is_invisible(slice text)
{
    return invisible_length(text) == text.len;
}

/* What was printed before the object at `at`, for the log. */
static slice text_before(slice line, size_t invisible, const char *at)
{
    size_t len = (size_t)(at - line.ptr);
    return len <= invisible ? (slice){ 0 }
                            : trim_end((slice){ line.ptr + invisible, len - invisible });
}

/* The rest of the text from its first object on: a brace, then a name or the end. */
static bool find_object(slice *text)
{
    for (const char *at; text->len > 0 && (at = memchr(text->ptr, '{', text->len)) != NULL;) {
        *text = slice_skip(*text, (size_t)(at - text->ptr));
        slice after = json_trim(slice_skip(*text, 1));
        if (after.len > 0 && (after.ptr[0] == '"' || after.ptr[0] == '}'))
            return true;
        *text = slice_skip(*text, 1);
    }
    return false;
}

/* The end of the string that begins at `at`, behind its closing quote; text.len: it has none. */
static size_t skip_string(slice text, size_t at)
{
    char quote = text.ptr[at];
    for (at++; at < text.len && text.ptr[at] != quote; at++)
        if (text.ptr[at] == '\\')
            at++;
    return at < text.len ? at + 1 : text.len;
}

static bool makes_message(slice name)
{
    for (size_t i = 0; i < MEMBER_COUNT; i++)
        if (members[i].makes_message && json_name_is(name, slice_from(members[i].name)))
            return true;
    return false;
}

/* True if the string text[at..end) is followed by a colon, or by nothing. */
static bool is_name(slice text, size_t at, size_t end)
{
    slice after = json_trim(slice_skip(text, end));
    return text.ptr[end - 1] == '"' && end - at >= 2 && (after.len == 0 || after.ptr[0] == ':');
}

/* The string after a colon, or empty. */
static slice string_after(slice text, size_t at)
{
    slice after = json_trim(slice_skip(text, at));
    after = after.len > 0 ? json_trim(slice_skip(after, 1)) : after;
    size_t end = after.len > 0 && after.ptr[0] == '"' ? skip_string(after, 0) : 0;
    return end >= 2 && after.ptr[end - 1] == '"' ? (slice){ after.ptr, end } : (slice){ 0 };
}

/*
 * Looks through an object that may be malformed, by its quotes and brackets alone. Returns where it
 * ends, or text.len; *is_message: it has a member that makes a message; *id: its id, if that is a
 * string.
 */
static size_t look_through(slice text, bool *is_message, slice *id)
{
    unsigned depth = 0;
    size_t at = 0;
    *is_message = false;
    while (at < text.len) {
        char c = text.ptr[at];
        size_t end = c == '"' ? skip_string(text, at) : at + 1;
        if (c == '"' && depth == 1 && is_name(text, at, end)) {
            slice name = { text.ptr + at + 1, end - at - 2 };
            *is_message |= makes_message(name);
            if (json_name_is(name, SLICE_LITERAL("id")))
                *id = string_after(text, end);
        }
        depth += c == '{' || c == '[';
        at = end;
        if ((c == '}' || c == ']') && --depth == 0)
            break;
    }
    return at;
}

/* Notes the members of a valid object. */
static enum child_message_kind read_object(slice object, struct child_message *message)
{
    slice name, value;
    bool any = false;
    for (size_t pos = 0; json_next_member(object, &pos, &name, &value);)
        any |= note_member(message, name, value);
    return any ? MESSAGE_VALID : MESSAGE_TEXT;
}

/*
 * An object that is not the rest of the line: colours may be switched off behind it, and another
 * one may follow, for a program that forgets line feeds. What stands in the middle of a text is a
 * quotation.
 */
static enum child_message_kind read_malformed(slice text, size_t end, struct child_message *message,
                                              struct err *err)
{
    slice object = { text.ptr, end }, rest = json_trim(slice_skip(text, end));
    bool ends = is_invisible(rest), continues = !ends && rest.ptr[0] == '{';
    if ((ends || continues) && json_check(object, NULL, NULL) == 0) {
        message->rest = continues ? rest : (slice){ 0 };
        return read_object(object, message);
    }
    bool quoted = message->before.len > 0 && !ends;
    return quoted                             ? MESSAGE_TEXT
           : json_check(text, NULL, err) != 0 ? MESSAGE_INVALID
                                              : MESSAGE_TEXT;
}

/* --- objects as languages print them: {'output': 1}, {output: 1} --- */

/* The name that begins at `at`, in quotes or a bare word, before a colon, or empty. */
static slice loose_name(slice text, size_t at)
{
    bool quoted = text.ptr[at] == '\'' || text.ptr[at] == '"';
    size_t end = quoted ? skip_string(text, at) : at + run_of(text, at, '_', 'z');
    slice after = json_trim(slice_skip(text, end));
    if (after.len == 0 || after.ptr[0] != ':')
        return (slice){ 0 };
    return quoted ? (slice){ text.ptr + at + 1, end - at - 2 } : (slice){ text.ptr + at, end - at };
}

/* Notes a name of the object. False if it is not one of the protocol's. */
static bool note_loose_name(slice name, bool *ends_job)
{
    static const char *const final[] = { "output", "upload", "error" };
    bool known = slice_is(name, "error_type") || slice_is(name, "refresh_worker");
    for (size_t i = 0; i < MEMBER_COUNT && !known; i++)
        known = slice_is(name, members[i].name);
    for (size_t i = 0; i < sizeof final / sizeof *final; i++)
        *ends_job |= slice_is(name, final[i]);
    return known;
}

/*
 * True if the text is an object as Python's print() or a JavaScript console shows one, with nothing
 * but the protocol's members, one of which ends the job: what was meant is plain.
 */
static bool is_loose_answer(slice text)
{
    unsigned depth = 0;
    bool ends_job = false, wants_name = false;
    for (size_t at = 0, end; at < text.len; at = end) {
        char c = text.ptr[at];
        end = c == '\'' || c == '"' ? skip_string(text, at) : at + 1;
        if (is_space(c))
            continue;
        if (wants_name && c != '}' && !note_loose_name(loose_name(text, at), &ends_job))
            return false;
        depth += c == '{' || c == '[';
        if ((c == '}' || c == ']') && --depth == 0)
            return ends_job && is_invisible(slice_skip(text, end));
        wants_name = depth == 1 && (c == '{' || c == ',');
    }
    return false;
}

/* A line that looks like no message. */
static enum child_message_kind judge_text(slice line, struct err *err)
{
    slice text = json_trim(line);
    if (text.len == 0 || text.ptr[0] != '{' || !is_loose_answer(text))
        return MESSAGE_TEXT;
    return json_check(text, NULL, err) != 0 ? MESSAGE_INVALID : MESSAGE_TEXT;
}

/* --- a line --- */

enum child_message_kind child_message_read(slice line, struct child_message *message,
                                           struct err *err)
{
    enum child_message_kind kind = MESSAGE_TEXT;
    *message = (struct child_message){ 0 };
    slice text = trim_end(line);
    size_t invisible = invisible_length(line);
    while (kind == MESSAGE_TEXT && find_object(&text)) { /* each looks at its own bytes alone */
        bool is_message;
        message->before = text_before(line, invisible, text.ptr);
        if (json_check(text, NULL, err) == 0)
            return read_object(text, message);
        slice id = { 0 };
        size_t end = look_through(text, &is_message, &id);
        if (is_message)
            kind = read_malformed(text, end, message, err);
        if (kind == MESSAGE_TEXT) /* what was noted of it is not the next object's */
            *message = (struct child_message){ 0 };
        if (kind == MESSAGE_INVALID) /* not a message: names no job for the next object */
            message->id = id;
        text = slice_skip(text, end);
    }
    return kind == MESSAGE_TEXT ? judge_text(line, err) : kind;
}

bool child_message_matches_job(const struct child_message *message, slice job_id)
{
    slice id = message->id;
    if (id.ptr == NULL || json_type(id) == RP_NULL)
        return true;
    if (json_type(id) == RP_STRING)
        return json_name_is((slice){ id.ptr + 1, id.len - 2 }, job_id);
    return slice_equal(id, job_id);
}

bool child_message_is_final(const struct child_message *message)
{
    return message->output.ptr != NULL || message->upload.ptr != NULL || message->error.ptr != NULL;
}

bool child_message_is_true(slice value)
{
    return value.ptr != NULL && slice_is(value, "true");
}
