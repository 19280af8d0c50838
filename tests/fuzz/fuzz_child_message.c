/*
 * The protocol of programs: whatever the lines are, a message is found inside its line or not at
 * all, and what is mended is UTF-8.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "child/links.h"
#include "child/message.h"
#include "codec/lines.h"
#include "codec/mend.h"
#include "must.h"
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(slice part, slice line)
{
    return part.ptr == NULL || (part.ptr >= line.ptr && part.ptr + part.len <= line.ptr + line.len);
}

/* A member is valid JSON, and lies in the line. */
static void look_at_member(slice value, slice line)
{
    must(is_inside(value, line));
    must(value.ptr == NULL || json_check(value, NULL, NULL) == 0);
}

/* What is found lies in the JSON, one behind the other: an object, and a string in it. */
static void look_at_links(slice json)
{
    slice object, path;
    size_t before = 0;
    for (size_t at = 0; json.ptr != NULL && links_find(json, &at, &object, &path); before = at) {
        must(is_inside(object, json) && is_inside(path, object) && at <= json.len);
        must(object.ptr >= json.ptr + before && object.ptr + object.len == json.ptr + at);
        must(json_type(object) == RP_OBJECT && json_check(object, NULL, NULL) == 0);
        must(json_type(path) == RP_STRING && json_check(path, NULL, NULL) == 0);
    }
}

static enum child_message_kind look_at(slice line)
{
    struct child_message message;
    struct err err = { 0 };
    enum child_message_kind kind = child_message_read(line, &message, &err);
    must(kind != MESSAGE_INVALID || (err.code < 0 && err.text[0] != '\0'));
    if (kind != MESSAGE_VALID)
        return kind;
    const slice members[] = { message.id,         message.output,     message.upload,
                              message.error,      message.error_type, message.traceback,
                              message.stream,     message.progress,   message.log,
                              message.level,      message.ready,      message.refresh,
                              message.streaming,  message.unfit,      message.check,
                              message.concurrency };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        look_at_member(members[i], line);
    must(is_inside(message.before, line) && is_inside(message.rest, line));
    must(message.rest.len < line.len); /* so that reading on comes to an end */
    look_at_links(message.output);
    child_message_matches_job(&message, SLICE_LITERAL("job-1"));
    if (message.rest.len > 0)
        look_at(message.rest);
    return kind;
}

/* A mended line means what it did, but for its bad bytes. */
static void mend(slice line)
{
    struct buf copy;
    enum mend_kind kind = mend_kind_of(line);
    buf_init(&copy, 3 * line.len + 1, "a line");
    must(mend_put(&copy, line, NULL) == 0);
    must(mend_kind_of(buf_slice(&copy)) == MEND_NONE);
    must(kind != MEND_NONE || slice_equal(buf_slice(&copy), line));
    look_at(buf_slice(&copy));
    buf_free(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lines lines;
    struct err err;
    size_t room, taken = 0;
    slice line;
    lines_init(&lines, 1 << 20, "a line");
    while (taken < size && lines_room(&lines, &room, &err) == 0) {
        size_t count = size - taken < 7 ? size - taken : 7;
        memcpy(lines.buf.ptr + lines.buf.len, data + taken, count);
        lines_filled(&lines, count);
        taken += count;
        while (lines_next(&lines, &line)) {
            look_at(line);
            mend(line);
        }
    }
    if (lines_rest(&lines, &line))
        look_at(line);
    lines_free(&lines);
    return 0;
}
