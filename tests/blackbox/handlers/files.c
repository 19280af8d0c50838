/*
 * Files in and out, for the black-box tests: {"action": ...} says what.
 *   download  {"url", "name", "max_bytes", "timeout_s", "authorization", "allow_private", "soft"};
 *             with "soft" a failure is an output: its reason, and how many files are left of it
 *   upload    {"path" or "text", "name", "prefix", "bucket", "region", "virtual_host", "expires_s"}
 *   scratch   {"then": "fail" | "crash" | "hang" | "tree"}: the folder's path, then an end
 *   move      download of "url", and the file uploaded
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker.h"

struct input {
    const char *action;
    rp_str url;
    const char *name;
    int64_t max_bytes;
    int timeout_s;
    const char *authorization;
    bool allow_private;
    bool soft;
    const char *path;
    rp_str text;
    const char *prefix;
    const char *bucket;
    const char *region;
    bool virtual_host;
    int expires_s;
    const char *then;
};

static const rp_field fields[] = {
    { RP_FIELD(struct input, action), .required = true,
      RP_ALLOW("download", "upload", "scratch", "move") },
    { RP_FIELD(struct input, url) },
    { RP_FIELD(struct input, name) },
    { RP_FIELD(struct input, max_bytes) },
    { RP_FIELD(struct input, timeout_s) },
    { RP_FIELD(struct input, authorization) },
    { RP_FIELD(struct input, allow_private) },
    { RP_FIELD(struct input, soft) },
    { RP_FIELD(struct input, path) },
    { RP_FIELD(struct input, text) },
    { RP_FIELD(struct input, prefix) },
    { RP_FIELD(struct input, bucket) },
    { RP_FIELD(struct input, region) },
    { RP_FIELD(struct input, virtual_host) },
    { RP_FIELD(struct input, expires_s) },
    { RP_FIELD(struct input, then) },
};

static const char *or_null(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

static int write_file(rp_job *job, const char *name, rp_str *content)
{
    char path[4200];
    const char *folder = rp_scratch(job);
    if (folder == NULL)
        return RP_FAILED;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return rp_fail(job, "cannot write %s", path);
    fwrite(content->ptr, 1, content->len, file);
    fclose(file);
    return RP_OK;
}

/* The file's last bytes, to show that it can be read. */
static int show(rp_job *job, const rp_file *file)
{
    char tail[64];
    struct stat info;
    FILE *stream = fopen(file->path, "r");
    if (stream == NULL || fstat(fileno(stream), &info) != 0)
        return rp_fail(job, "cannot read %s", file->path);
    fseek(stream, info.st_size < 60 ? 0 : info.st_size - 60, SEEK_SET);
    rp_str end = { tail, fread(tail, 1, 60, stream) };
    fclose(stream);
    return rp_return(job,
                     "{\"path\": %Q, \"name\": %Q, \"type\": %Q, \"bytes\": %llu, \"size\": %llu, "
                     "\"mode\": %u, \"end\": %S}",
                     file->path, file->name, file->type, (unsigned long long)file->bytes,
                     (unsigned long long)info.st_size, (unsigned)info.st_mode & 0777u, &end);
}

static int count_files(rp_job *job)
{
    int count = -2; /* "." and ".." */
    DIR *entries = opendir(rp_scratch(job));
    while (entries != NULL && readdir(entries) != NULL)
        count++;
    if (entries != NULL)
        closedir(entries);
    return count;
}

static int download(rp_job *job, const struct input *in, rp_file *file)
{
    rp_str reason = { NULL, 0 };
    int rc = rp_download(job, in->url,
                         &(rp_download_options){ .name = or_null(in->name),
                                                 .max_bytes = (uint64_t)in->max_bytes,
                                                 .timeout_s = (uint32_t)in->timeout_s,
                                                 .authorization = or_null(in->authorization),
                                                 .allow_private = in->allow_private,
                                                 .reason = in->soft ? &reason : NULL },
                         file);
    if (rc == RP_WRONG)
        rp_return(job, "{\"reason\": %S, \"left\": %d}", &reason, count_files(job));
    return rc;
}

static int upload(rp_job *job, const struct input *in, const char *path, rp_str *url)
{
    const rp_upload_options options = { .name = or_null(in->name),
                                        .prefix = or_null(in->prefix),
                                        .bucket = or_null(in->bucket),
                                        .region = or_null(in->region),
                                        .virtual_host = in->virtual_host,
                                        .timeout_s = (uint32_t)in->timeout_s,
                                        .expires_s = (uint32_t)in->expires_s };
    return in->text.len > 0 ? rp_upload_bytes(job, in->text, &options, url)
                            : rp_upload(job, path, &options, url);
}

/* Folders in folders, with everything in them that makes them hard to remove. */
static int make_tree(rp_job *job)
{
    const char *folder = rp_scratch(job);
    if (chdir(folder) != 0 || symlink("/etc", "etc") != 0 || symlink("..", "up") != 0)
        return rp_fail(job, "cannot make links");
    for (int depth = 0; depth < 3000; depth++)
        if (mkdir("deeper", 0700) != 0 || chdir("deeper") != 0)
            return rp_fail(job, "cannot go deeper than %d", depth);
    if (chdir(folder) != 0 || mkdir("shut", 0700) != 0 || mkdir("shut/in", 0700) != 0 ||
        mkfifo("pipe", 0600) != 0 || chmod("shut/in", 0) != 0 || chmod("shut", 0) != 0)
        return rp_fail(job, "cannot make the rest");
    return chdir("/") == 0 ? rp_return(job, "{\"path\": %Q}", folder) : RP_FAILED;
}

static int scratch(rp_job *job, const struct input *in)
{
    rp_str text = { "something", 9 };
    const char *path = rp_scratch(job);
    if (path == NULL || write_file(job, "file", &text) != RP_OK)
        return RP_FAILED;
    rp_log(job, RP_INFO, "scratch %s", path);
    if (strcmp(in->then, "fail") == 0)
        return rp_fail(job, "as told");
    if (strcmp(in->then, "crash") == 0)
        _exit(7);
    if (strcmp(in->then, "hang") == 0)
        sleep(600);
    if (strcmp(in->then, "wait") == 0)
        rp_job_wait(job, 600000);
    if (strcmp(in->then, "tree") == 0)
        return make_tree(job);
    return rp_return(job, "{\"path\": %Q}", path);
}

static int run(rp_job *job, void *user)
{
    struct input in;
    rp_file file;
    rp_str url;
    (void)user;
    if (rp_validate(job, rp_input(job), fields, &in, 0) != RP_OK)
        return RP_FAILED;
    if (strcmp(in.action, "scratch") == 0)
        return scratch(job, &in);
    if (strcmp(in.action, "upload") == 0)
        return upload(job, &in, in.path, &url) == RP_OK ? rp_return(job, "{\"url\": %S}", &url)
                                                        : RP_FAILED;
    int rc = download(job, &in, &file);
    if (rc != RP_OK)
        return rc == RP_WRONG ? RP_OK : rc;
    if (strcmp(in.action, "download") == 0)
        return show(job, &file);
    return upload(job, &in, file.path, &url) == RP_OK ? rp_return(job, "{\"url\": %S}", &url)
                                                      : RP_FAILED;
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = run, .audit = &rp_audit_part });
}
