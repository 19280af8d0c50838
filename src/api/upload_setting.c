/* Where an upload goes, and under which name. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/upload_private.h"
#include "base/date.h"
#include "base/text.h"
#include "json/json.h"

#define DEFAULT_REGION "us-east-1"

static const char *type_of(const char *name)
{
    static const char *const types[][2] = {
        { ".png", "image/png" },
        { ".jpg", "image/jpeg" },
        { ".jpeg", "image/jpeg" },
        { ".webp", "image/webp" },
        { ".gif", "image/gif" },
        { ".svg", "image/svg+xml" },
        { ".mp4", "video/mp4" },
        { ".webm", "video/webm" },
        { ".mov", "video/quicktime" },
        { ".wav", "audio/wav" },
        { ".mp3", "audio/mpeg" },
        { ".flac", "audio/flac" },
        { ".ogg", "audio/ogg" },
        { ".json", "application/json" },
        { ".txt", "text/plain; charset=utf-8" },
        { ".csv", "text/csv" },
        { ".pdf", "application/pdf" },
        { ".zip", "application/zip" },
        { ".gz", "application/gzip" },
        { ".glb", "model/gltf-binary" },
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof types[0]; i++)
        if (strcasecmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

/* The storage's settings as they are written, and the names they have there. */
struct storage {
    slice endpoint, access_key, secret_key;
    const char *names[3]; /* in that order */
};

/* The option, else the variable. Empty if neither is set. */
static slice setting(const char *option, const char *variable)
{
    const char *value = option != NULL ? option : secure_getenv(variable);
    return slice_from(value != NULL ? value : "");
}

static void read_options(const rp_upload_options *options, struct storage *storage)
{
    static const struct storage named = {
        .names = { "BUCKET_ENDPOINT_URL", "BUCKET_ACCESS_KEY_ID", "BUCKET_SECRET_ACCESS_KEY" },
    };
    *storage = named;
    storage->endpoint = setting(options->endpoint, named.names[0]);
    storage->access_key = setting(options->access_key_id, named.names[1]);
    storage->secret_key = setting(options->secret_access_key, named.names[2]);
}

/* A member of the job's s3Config, in the job's memory; empty where it is absent or null. */
static int read_member(const struct upload *upload, const char *name, slice *text, struct err *err)
{
    struct rp_job *job = upload->transfer.job;
    slice value;
    *text = (slice){ 0 };
    if (!json_member(job->task->s3_config, name, &value) || json_type(value) == RP_NULL)
        return 0;
    if (json_type(value) != RP_STRING)
        return err_set(err, ERR_INPUT, "the job's s3Config.%s must be a string", name);
    return json_string(value, &job->arena, text, err);
}

/* A bucket of the job's own; its objectPath comes before the job's id. */
static int read_s3_config(struct upload *upload, struct storage *storage, slice *prefix,
                          struct err *err)
{
    *storage = (struct storage){
        .names = { "s3Config.endpointUrl", "s3Config.accessId", "s3Config.accessSecret" },
    };
    int rc = read_member(upload, "endpointUrl", &storage->endpoint, err);
    if (rc == 0)
        rc = read_member(upload, "accessId", &storage->access_key, err);
    if (rc == 0)
        rc = read_member(upload, "accessSecret", &storage->secret_key, err);
    if (rc == 0)
        rc = read_member(upload, "bucketName", &upload->s3.bucket, err);
    if (rc == 0)
        rc = read_member(upload, "objectPath", prefix, err);
    while (prefix->len > 0 && prefix->ptr[0] == '/')
        *prefix = slice_skip(*prefix, 1);
    while (prefix->len > 0 && prefix->ptr[prefix->len - 1] == '/')
        prefix->len--;
    return rc;
}

static bool is_empty(const struct storage *storage)
{
    return storage->endpoint.len + storage->access_key.len + storage->secret_key.len == 0;
}

static int use(struct upload *upload, const struct storage *storage, struct err *err)
{
    struct s3 *s3 = &upload->s3;
    const slice values[] = { storage->endpoint, storage->access_key, storage->secret_key };
    for (size_t i = 0; i < 3; i++)
        if (values[i].len == 0)
            return err_set(err, ERR_CONFIG, "%s is not set: no storage to upload to%s",
                           storage->names[i],
                           is_empty(storage) ? ", and the job has no s3Config" : "");
    s3->access_key = storage->access_key;
    s3->secret_key = storage->secret_key;
    if (url_parse(storage->endpoint, &s3->endpoint, err) != 0)
        return err_wrap(err, "%s", storage->names[0]);
    if (s3->endpoint.user.len > 0)
        return err_set(err, ERR_CONFIG, "%s may not hold a user or password", storage->names[0]);
    return 0;
}

static int choose_storage(struct upload *upload, slice *prefix, struct err *err)
{
    const rp_upload_options *options = upload->options;
    const struct rp_job *job = upload->transfer.job;
    struct storage storage = { 0 };
    bool has_own = options->endpoint != NULL || options->access_key_id != NULL ||
                   options->secret_access_key != NULL;
    int rc = 0;
    if (!has_own && job->task->s3_config.ptr != NULL)
        rc = read_s3_config(upload, &storage, prefix, err);
    if (rc != 0)
        return rc;
    upload->is_job_s3 = !is_empty(&storage);
    if (upload->is_job_s3) {
        judge_init(&upload->judge, job->config, false);
    } else { /* and the bucket and the path of an s3Config without one are not used */
        upload->s3.bucket = *prefix = (slice){ 0 };
        read_options(options, &storage);
    }
    upload->is_local = is_empty(&storage) && config_is_local(job->config);
    return upload->is_local ? 0 : use(upload, &storage, err);
}

static void choose_bucket(struct upload *upload)
{
    const struct date utc = date_of(time(NULL));
    snprintf(upload->bucket, sizeof upload->bucket, "%02u-%02u", utc.month,
             (unsigned)utc.year % 100);
    if (upload->options->bucket != NULL)
        upload->s3.bucket = slice_from(upload->options->bucket);
    else if (upload->s3.bucket.len == 0)
        upload->s3.bucket = slice_from(upload->bucket);
    upload->s3.virtual_host = upload->options->virtual_host;
}

static void choose_region(struct upload *upload)
{
    static const char *const variables[] = { "AWS_REGION", "AWS_DEFAULT_REGION" };
    upload->s3.region = slice_from(upload->options->region);
    if (upload->s3.region.len == 0 && s3_region_of(upload->s3.endpoint.host, upload->region))
        upload->s3.region = slice_from(upload->region);
    for (size_t i = 0; i < 2 && upload->s3.region.len == 0 && !upload->is_job_s3; i++)
        upload->s3.region = slice_from(secure_getenv(variables[i]));
    if (upload->s3.region.len == 0)
        upload->s3.region = SLICE_LITERAL(DEFAULT_REGION);
}

static int choose_key(struct upload *upload, const char *path, slice above, struct err *err)
{
    const rp_upload_options *options = upload->options;
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    const char *name = options->name != NULL ? options->name : slash != NULL ? slash + 1 : path;
    slice prefix = options->prefix != NULL ? slice_from(options->prefix)
                                           : upload->transfer.job->task->id;
    struct text key = TEXT_OVER(upload->key);
    if (name == NULL || name[0] == '\0')
        return err_set(err, ERR_INPUT, "the object has no name (rp_upload_options.name)");
    text_add(&key, "%.*s%s%.*s%s%s", SLICE_ARG(above), above.len > 0 ? "/" : "", SLICE_ARG(prefix),
             prefix.len > 0 ? "/" : "", name);
    if (key.is_cut)
        return err_set(err, ERR_INPUT, "the object's name is longer than %d bytes",
                       UPLOAD_KEY_BYTES - 1);
    upload->s3.key = text_slice(&key);
    upload->content_type = options->content_type != NULL ? options->content_type : type_of(name);
    return s3_check(&upload->s3, err);
}

int upload_setting_choose(struct upload *upload, const char *path, struct err *err)
{
    slice above = { 0 };
    int rc = choose_storage(upload, &above, err);
    choose_bucket(upload);
    if (rc != 0)
        return rc;
    choose_region(upload);
    return choose_key(upload, path, above, err);
}
