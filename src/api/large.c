#include "api/large.h"

#include <stdio.h>

#include "api/upload.h"
#include "base/limits.h"
#include "http/client.h"

#define JSON_TYPE "application/json"

bool large_is(const struct rp_job *job, size_t bytes)
{
    int64_t above_kb = job->config->upload_above_kb;
    return !job->upload_failed && above_kb > 0 && bytes > (uint64_t)above_kb * 1000;
}

/* The object's name: by it, whoever saves the link gets a file of the right kind. */
static const char *name_of(slice type)
{
    static const char *const names[][2] = {
        { JSON_TYPE, "output.json" },          { "image/png", "output.png" },
        { "image/jpeg", "output.jpg" },        { "image/webp", "output.webp" },
        { "image/gif", "output.gif" },         { "video/mp4", "output.mp4" },
        { "video/webm", "output.webm" },       { "audio/wav", "output.wav" },
        { "audio/x-wav", "output.wav" },       { "audio/mpeg", "output.mp3" },
        { "audio/flac", "output.flac" },       { "audio/ogg", "output.ogg" },
        { "application/zip", "output.zip" },   { "application/pdf", "output.pdf" },
        { "model/gltf-binary", "output.glb" },
    };
    slice name = { type.ptr, 0 };
    while (name.len < type.len && type.ptr[name.len] != ';' && type.ptr[name.len] != ' ')
        name.len++;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_is_nocase(name, names[i][0]))
            return names[i][1];
    return "output.bin";
}

static int put_link(struct rp_job *job, slice bytes, slice type, struct buf *out, struct err *err)
{
    char text[HTTP_CONTENT_TYPE_BYTES];
    rp_str url;
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(type));
    int rc = upload_bytes(job, bytes, name_of(type), type.len > 0 ? text : NULL, &url, err);
    if (rc != 0)
        return rc;
    buf_add_text(out, "{\"url\": ", NULL);
    json_put_lossy(out, url, NULL);
    buf_add_text(out, ", \"content_type\": ", NULL);
    json_put_lossy(out, type, NULL);
    return json_add(out, err, ", \"bytes\": %zu}", bytes.len);
}

int large_replace(struct rp_job *job, slice bytes, slice type, size_t post_bytes, struct buf *out)
{
    const struct log_tag tag = job_tag(job->task);
    struct err err = { 0 };
    char text[ERR_TEXT_BYTES + 128];
    int rc = put_link(job, bytes, type, out, &err);
    if (rc == 0)
        return 1;
    buf_clear(out);
    job->upload_failed = true;
    snprintf(text, sizeof text, "An output of %zu bytes could not be uploaded (--upload-above): %s",
             bytes.len, rc == ERR_CANCELLED ? "the job was stopped" : err.text);
    if (rc == ERR_CANCELLED || post_bytes > LIMIT_RESULT_MB * 1000000u) {
        rp_fail_text(job, "UploadError", slice_from(text), (slice){ 0 });
        return RP_FAILED;
    }
    log_write(LOG_WARN, &tag, "%s. It is posted as it is.", text);
    return 0;
}

static bool asks_for_refresh(slice output)
{
    slice value;
    return json_type(output) == RP_OBJECT && json_member(output, "refresh_worker", &value) &&
           !json_is_falsy(value);
}

void large_finish(struct rp_job *job)
{
    slice output = job->external_output.ptr != NULL ? job->external_output
                                                    : buf_slice(&job->output),
          error;
    struct buf link;
    if (!job->has_output || job->has_failed || !large_is(job, output.len))
        return;
    if (!job->external_is_valid && json_check(output, NULL, NULL) != 0)
        return;
    output = json_trim(output);
    if (!job->is_opaque && result_has_error(output, &error))
        return;
    buf_init(&link, URL_MAX_BYTES + LIMIT_MIB, "the link to an output");
    if (large_replace(job, output, SLICE_LITERAL(JSON_TYPE), output.len, &link) == 1) {
        job->refresh |= !job->is_opaque && asks_for_refresh(output);
        rp_return_buf(job, &link, buf_slice(&link));
    }
    buf_free(&link);
}
