#include "job/child_message.h"

#include <stddef.h>

#include "codec/json.h"

static const struct {
    const char *name;
    size_t at;  /* of the slice in struct message */
    bool marks; /* makes an object a message */
} members[] = {
    { "id", offsetof(struct message, id), false },
    { "output", offsetof(struct message, output), true },
    { "error", offsetof(struct message, error), true },
    { "error_type", offsetof(struct message, error_type), false },
    { "traceback", offsetof(struct message, traceback), false },
    { "stream", offsetof(struct message, stream), true },
    { "progress", offsetof(struct message, progress), true },
    { "log", offsetof(struct message, log), true },
    { "level", offsetof(struct message, level), false },
    { "ready", offsetof(struct message, ready), true },
    { "refresh_worker", offsetof(struct message, refresh), true },
};
#define MEMBER_COUNT (sizeof members / sizeof members[0])

/* Would it have been the end of a job? Only the first member is looked at, if it can be. */
static bool starts_as_final(slice line)
{
    static const char *const names[] = { "output", "error" };
    if (line.len == 0 || line.ptr[0] != '{')
        return false;
    slice rest = json_trim(slice_skip(line, 1));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t len = strlen(names[i]);
        if (rest.len > len + 1 && rest.ptr[0] == '"' && rest.ptr[len + 1] == '"' &&
            memcmp(rest.ptr + 1, names[i], len) == 0)
            return true;
    }
    return false;
}

/* True where the member makes its object a message. */
static bool note_member(struct message *message, slice name, slice value)
{
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        if (!json_name_is(name, slice_from(members[i].name)))
            continue;
        memcpy((char *)message + members[i].at, &value, sizeof value);
        return members[i].marks;
    }
    return false;
}

enum message_kind message_read(slice line, struct message *message, struct err *err)
{
    slice name, value;
    bool any = false;
    line = json_trim(line);
    *message = (struct message){ 0 };
    if (line.len == 0 || line.ptr[0] != '{')
        return MESSAGE_TEXT;
    if (json_check(line, NULL, err) != 0)
        return starts_as_final(line) ? MESSAGE_BROKEN : MESSAGE_TEXT;
    for (size_t pos = 0; json_next_member(line, &pos, &name, &value);)
        any |= note_member(message, name, value);
    return any ? MESSAGE_VALID : MESSAGE_TEXT;
}

bool message_is_for(const struct message *message, slice job_id)
{
    slice id = message->id;
    if (id.ptr == NULL || json_type(id) == RP_NULL)
        return true;
    if (json_type(id) == RP_STRING)
        return json_name_is((slice){ id.ptr + 1, id.len - 2 }, job_id);
    return slice_equal(id, job_id);
}

bool message_is_true(slice value)
{
    return value.ptr != NULL && slice_is(value, "true");
}
