/*
 * Lists of downloads, archives and models, for the black-box tests: {"action": ...} says what.
 *   list   {"urls": [...], "at_once", "timeout_s", "soft"}: the files, in the order of the URLs
 *   unzip  {"path" or "url", "max_files", "max_bytes", "max_ratio", "soft", "times"}: what is in
 *          the folder, of the last time
 *   model  {"name", "room"}: its path, or why there is none
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "worker.h"

#define URLS_MAX 300

struct input {
    const char *action;
    rp_value urls;
    int at_once;
    int timeout_s;
    bool soft;
    const char *path;
    rp_str url;
    int max_files;
    int64_t max_bytes;
    int max_ratio;
    int times;
    const char *name;
    int room;
};

static const rp_field fields[] = {
    { RP_FIELD(struct input, action), .required = true, RP_ALLOW("list", "unzip", "model") },
    { RP_FIELD(struct input, urls), .type = RP_ARRAY, .max_length = URLS_MAX },
    { RP_FIELD(struct input, at_once) },
    { RP_FIELD(struct input, timeout_s) },
    { RP_FIELD(struct input, soft) },
    { RP_FIELD(struct input, path) },
    { RP_FIELD(struct input, url) },
    { RP_FIELD(struct input, max_files) },
    { RP_FIELD(struct input, max_bytes) },
    { RP_FIELD(struct input, max_ratio) },
    { RP_FIELD(struct input, times), .fallback.integer = 1 },
    { RP_FIELD(struct input, name) },
    { RP_FIELD(struct input, room), .fallback.integer = 4096 },
};

static int list(rp_job *job, const struct input *in)
{
    static rp_str urls[URLS_MAX];
    static rp_file files[URLS_MAX];
    size_t count = 0;
    rp_str reason = { "", 0 };
    for (rp_iter it = rp_each(in->urls); rp_next(&it); count++)
        if (rp_to_str(it.value, &urls[count]) != RP_OK)
            return rp_fail(job, "urls must be strings");
    const rp_download_options options = { .at_once = (uint32_t)in->at_once,
                                          .timeout_s = (uint32_t)in->timeout_s,
                                          .reason = in->soft ? &reason : NULL };
    bool has_options = in->at_once != 0 || in->timeout_s != 0 || in->soft;
    int rc = rp_download_list(job, urls, count, has_options ? &options : NULL, files);
    if (rc != RP_OK)
        return rc == RP_WRONG ? rp_return(job, "{\"reason\": %S}", &reason) : rc;
    rp_write(job, "[");
    for (size_t i = 0; i < count; i++) {
        char text[65] = "";
        FILE *stream = fopen(files[i].path, "r");
        size_t got = stream == NULL ? 0 : fread(text, 1, 64, stream);
        if (stream != NULL)
            fclose(stream);
        rp_write(job, "%s[%Q, %Q, %llu, %.*Q]", i > 0 ? ", " : "", files[i].name, files[i].type,
                 (unsigned long long)files[i].bytes, (int)got, text);
    }
    return rp_write(job, "]");
}

/* --- archives --------------------------------------------------------------------------------- */

static rp_job *seen_by; /* nftw has no argument for it */
static size_t root_bytes;

static unsigned checksum(const char *path)
{
    unsigned crc = ~0u;
    FILE *stream = fopen(path, "r");
    for (int c; stream != NULL && (c = getc(stream)) != EOF;) {
        crc ^= (unsigned)c;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
    }
    if (stream != NULL)
        fclose(stream);
    return ~crc;
}

static int see(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)where;
    if (kind == FTW_F && S_ISREG(info->st_mode))
        rp_write(seen_by, ", %Q: [%lld, %u, %u]", path + root_bytes, (long long)info->st_size,
                 checksum(path), (unsigned)info->st_mode & 0777u);
    else if (path[root_bytes] != '\0')
        rp_write(seen_by, ", %Q: %Q", path + root_bytes, kind == FTW_D ? "folder" : "special");
    return 0;
}

static int show(rp_job *job, const char *folder)
{
    seen_by = job;
    root_bytes = strlen(folder);
    rp_write(job, "{\"folder\": %Q", folder);
    if (nftw(folder, see, 16, FTW_PHYS) != 0)
        return rp_fail(job, "cannot walk %s", folder);
    return rp_write(job, "}");
}

static int unzip(rp_job *job, const struct input *in)
{
    const char *folder, *path = in->path;
    rp_file file;
    rp_str reason = { "", 0 };
    if (in->url.len > 0) {
        if (rp_download(job, in->url, NULL, &file) != RP_OK)
            return RP_FAILED;
        path = file.path;
    }
    const rp_unzip_options options = { .max_files = (uint32_t)in->max_files,
                                       .max_bytes = (uint64_t)in->max_bytes,
                                       .max_ratio = (uint32_t)in->max_ratio,
                                       .reason = in->soft ? &reason : NULL };
    bool has_options = in->max_files != 0 || in->max_bytes != 0 || in->max_ratio != 0 || in->soft;
    int rc = RP_OK;
    for (int i = 0; i < in->times && rc == RP_OK; i++)
        rc = rp_unzip(job, path, has_options ? &options : NULL, &folder);
    if (rc == RP_WRONG) /* and nothing is left */
        return show(job, rp_scratch(job)) == RP_OK ? rp_return(job, "{\"reason\": %S}", &reason)
                                                   : RP_FAILED;
    return rc == RP_OK ? show(job, folder) : rc;
}

static int model(rp_job *job, const struct input *in)
{
    static char path[4096];
    size_t room = in->room > 0 && in->room < 4096 ? (size_t)in->room : sizeof path;
    int rc = rp_model_path(in->name, path, room);
    return rp_return(job, "[%d, %Q]", rc, path);
}

static int run(rp_job *job, void *user)
{
    struct input in;
    (void)user;
    if (rp_validate(job, rp_input(job), fields, &in, 0) != RP_OK)
        return RP_FAILED;
    if (strcmp(in.action, "list") == 0)
        return list(job, &in);
    return strcmp(in.action, "unzip") == 0 ? unzip(job, &in) : model(job, &in);
}

/* MODEL_TO_CHECK: a fitness check that this model is there. */
static int model_is_there(char *reason, size_t size, void *user)
{
    char path[4096];
    (void)user;
    const char *name = getenv("MODEL_TO_CHECK");
    int missing = name != NULL ? rp_model_path(name, path, sizeof path) : RP_OK;
    if (missing != RP_OK)
        snprintf(reason, size, "%s", path);
    return missing;
}

int main(int argc, char **argv)
{
    static const rp_check checks[] = { { "model_is_there", model_is_there } };
    return rp_start(
        argc, argv,
        &(rp_config){
            .handler = run, .audit = &rp_audit_part, .checks = checks, .check_count = 1 });
}
