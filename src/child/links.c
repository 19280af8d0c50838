#include "child/links.h"

#include "api/upload.h"
#include "base/limits.h"
#include "child/outcome.h"
#include "json/json.h"

#define NAME "\"upload\""

/* --- finding them --------------------------------------------------------------------------- */

/* The end of the string that begins at `at`, behind its closing quote. */
static size_t skip_string(slice json, size_t at)
{
    for (at++; at < json.len && json.ptr[at] != '"'; at++)
        at += json.ptr[at] == '\\';
    return at < json.len ? at + 1 : json.len;
}

/* Goes past white space and the text after it, if that is what follows. */
static bool skip(slice *rest, slice text)
{
    slice trimmed = *rest;
    while (trimmed.len > 0 && strchr(" \t\r\n", trimmed.ptr[0]) != NULL)
        trimmed = slice_skip(trimmed, 1);
    if (!slice_starts(trimmed, text))
        return false;
    *rest = slice_skip(trimmed, text.len);
    return true;
}

/* True if the object that the text begins with is one. */
static bool read_object(slice text, slice *object, slice *path)
{
    slice rest = text;
    if (!skip(&rest, SLICE_LITERAL("{")) || !skip(&rest, SLICE_LITERAL(NAME)) ||
        !skip(&rest, SLICE_LITERAL(":")) || !skip(&rest, SLICE_LITERAL("\"")))
        return false;
    slice quoted = { rest.ptr - 1, rest.len + 1 };
    *path = (slice){ quoted.ptr, skip_string(quoted, 0) };
    rest = slice_skip(quoted, path->len);
    if (!skip(&rest, SLICE_LITERAL("}")))
        return false;
    *object = (slice){ text.ptr, text.len - rest.len };
    return true;
}

bool links_find(slice json, size_t *at, slice *object, slice *path)
{
    while (*at < json.len) {
        char c = json.ptr[*at];
        if (c == '{' && read_object(slice_skip(json, *at), object, path)) {
            *at += object->len;
            return true;
        }
        *at = c == '"' ? skip_string(json, *at) : *at + 1;
    }
    return false;
}

/* --- replacing them ------------------------------------------------------------------------- */

int links_put_one(struct child *child, slice path, struct buf *out)
{
    struct err err = { 0 };
    slice text = path, url;
    int rc = json_string(path, &child->job->arena, &text, &err);
    if (rc == 0)
        rc = upload_scratch_file(child->job, text, &url, &err);
    if (rc == 0)
        rc = json_put_lossy(out, url, &err);
    if (rc == 0)
        return 1;
    child_fail(child, "UploadError", "Upload of a file: %s",
               rc == ERR_CANCELLED ? "the job was stopped" : err.text);
    return RP_FAILED;
}

static int put_all(struct child *child, slice json, struct buf *out)
{
    slice object, path;
    size_t at = 0, done = 0;
    int count = 0, rc = 1;
    while (rc == 1 && links_find(json, &at, &object, &path)) {
        if (++count > LIMIT_UPLOADS_AN_OUTPUT) {
            child_fail(child, "UploadError", "The output names more than %d files to upload.",
                       LIMIT_UPLOADS_AN_OUTPUT);
            return RP_FAILED;
        }
        buf_add(out, json.ptr + done, (size_t)(object.ptr - json.ptr) - done, NULL);
        rc = links_put_one(child, path, out);
        done = at;
    }
    if (rc == 1 && count > 0)
        buf_add_slice(out, slice_skip(json, done), NULL);
    return rc == 1 && count == 0 ? 0 : rc;
}

int links_put(struct child *child, slice json, struct buf *out)
{
    struct err err;
    if (!child->setting->scratch || json.len == 0 ||
        memmem(json.ptr, json.len, NAME, sizeof NAME - 1) == NULL)
        return 0;
    int rc = put_all(child, json, out);
    if (rc != 1 || buf_error(out, &err) == 0)
        return rc;
    child_fail(child, "UploadError", "%s", err.text);
    return RP_FAILED;
}
