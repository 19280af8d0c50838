/* worker --gpu-info: what there is of a GPU, and how long it takes to find out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "codec/json.h"
#include "job/gpu_inside.h"

enum { INFO_DEVICES = 0, INFO_FAILED = 1, INFO_NO_DRIVER = 3, INFO_NO_DEVICE = 4 };

const char *gpu_file_version(const char *path)
{
    static const char name[] = "libcuda.so.";
    const char *base = strrchr(path, '/');
    base = base != NULL ? base + 1 : path;
    if (strncmp(base, name, sizeof name - 1) == 0 && strchr(base + sizeof name - 1, '.') != NULL)
        return base + sizeof name - 1;
    return "";
}

static void find_file(struct gpu_report *info)
{
    if (info->cuda->path[0] != '\0' && realpath(info->cuda->path, info->file) == NULL)
        snprintf(info->file, sizeof info->file, "%s", info->cuda->path);
    info->file_version = gpu_file_version(info->file);
}

static void collect(struct gpu_report *info, const char *libcuda)
{
    int rc = cuda_open(libcuda, &info->cuda, &info->err);
    find_file(info);
    if (rc != 0) {
        info->status = rc == ERR_PEER ? INFO_NO_DEVICE : INFO_NO_DRIVER;
        return;
    }
    int64_t begun = clock_now_us();
    for (int i = 0; i < info->cuda->device_count && i < GPU_DEVICES_MAX; i++) {
        const char *call;
        int result = gpu_describe(info->cuda, i, &info->devices[i], &call);
        if (result != CUDA_SUCCESS) {
            char what[64];
            snprintf(what, sizeof what, "GPU %d: %s", i, call);
            cuda_error(info->cuda, result, what, &info->err);
            info->status = INFO_FAILED;
            break;
        }
        info->count++;
    }
    info->devices_us = clock_now_us() - begun;
}

/* --- as text ------------------------------------------------------------------------------- */

static void print_text(const struct gpu_report *info)
{
    const struct cuda *cuda = info->cuda;
    if (info->file[0] != '\0')
        printf("driver   %s\n", info->file);
    if (info->file_version[0] != '\0')
        printf("version  %s\n", info->file_version);
    if (cuda->version != 0)
        printf("CUDA     %d.%d\n", cuda->version / 1000, cuda->version % 1000 / 10);
    for (int i = 0; i < info->count; i++) {
        const rp_gpu_facts *facts = &info->devices[i].facts;
        printf("GPU %-4d %s, %llu MiB, compute capability %d.%d, %d multiprocessors%s%s\n", i,
               facts->name, (unsigned long long)(facts->memory_bytes >> 20), facts->capability / 10,
               facts->capability % 10, facts->multiprocessors, facts->uuid[0] != '\0' ? ", " : "",
               facts->uuid);
    }
    if (info->err.code != 0)
        printf("no GPU   %s\n", info->err.text);
    printf("time     find %.3f ms, load %.3f ms, initialise %.3f ms, devices %.3f ms\n",
           (double)cuda->find_us / 1000, (double)cuda->load_us / 1000, (double)cuda->init_us / 1000,
           (double)info->devices_us / 1000);
}

/* --- as JSON ------------------------------------------------------------------------------- */

static int add_devices(const struct gpu_report *info, struct buf *out, struct err *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < info->count; i++) {
        const rp_gpu_facts *facts = &info->devices[i].facts;
        rp_str name = slice_from(facts->name);
        rc = buf_add_text(out, i > 0 ? ", {\"index\": " : "{\"index\": ", err);
        if (rc == 0)
            rc = json_put_int(out, i, err);
        if (rc == 0)
            rc = buf_add_text(out, ", \"name\": ", err);
        if (rc == 0)
            rc = json_put_lossy(out, name, err);
        if (rc == 0)
            rc = json_add(out, err,
                          ", \"uuid\": %Q, \"memory_bytes\": %llu, \"compute_capability\": "
                          "\"%d.%d\", \"multiprocessors\": %d, \"max_threads_per_block\": %d}",
                          facts->uuid, (unsigned long long)facts->memory_bytes,
                          facts->capability / 10, facts->capability % 10, facts->multiprocessors,
                          facts->max_threads_per_block);
    }
    return rc;
}

static int add_driver(const struct gpu_report *info, struct buf *out, struct err *err)
{
    char cuda[24] = ""; /* what is not known is empty here */
    int version = info->cuda->version;
    if (version != 0)
        snprintf(cuda, sizeof cuda, "%d.%d", version / 1000, version % 1000 / 10);
    int rc = buf_add_text(out, "{\"driver\": {\"file\": ", err);
    if (rc == 0)
        rc = json_put_lossy(out, slice_from(info->file), err);
    if (rc == 0)
        rc = buf_add_text(out, ", \"version\": ", err);
    if (rc == 0)
        rc = json_put_lossy(out, slice_from(info->file_version), err);
    if (rc == 0)
        rc = json_add(out, err, ", \"cuda\": %Q, \"cuda_version\": %d}", cuda, version);
    return rc;
}

int gpu_report_json(const struct gpu_report *info, struct buf *out, struct err *err)
{
    const struct cuda *cuda = info->cuda;
    int rc = add_driver(info, out, err);
    if (rc == 0)
        rc = buf_add_text(out, ", \"devices\": [", err);
    if (rc == 0)
        rc = add_devices(info, out, err);
    if (rc == 0)
        rc = json_add(out, err,
                      "], \"ms\": {\"find\": %.3f, \"load\": %.3f, \"initialise\": %.3f, "
                      "\"devices\": %.3f}, \"error\": ",
                      (double)cuda->find_us / 1000, (double)cuda->load_us / 1000,
                      (double)cuda->init_us / 1000, (double)info->devices_us / 1000);
    if (rc == 0)
        rc = info->err.code != 0 ? json_put_lossy(out, slice_from(info->err.text), err)
                                 : buf_add_text(out, "null", err);
    return rc == 0 ? buf_add_text(out, "}", err) : rc;
}

static bool print_json(const struct gpu_report *info)
{
    struct buf out;
    struct err err = { 0 };
    buf_init(&out, LIMIT_MIB, "GPU's description");
    int rc = gpu_report_json(info, &out, &err);
    if (rc == 0)
        printf("%.*s\n", SLICE_ARG(buf_slice(&out)));
    else
        fprintf(stderr, "worker: %s\n", err.text);
    buf_free(&out);
    return rc == 0;
}

int gpu_info(const struct config *config)
{
    static struct gpu_report info; /* too large for a small stack */
    collect(&info, config->gpu.libcuda);
    if (!config->gpu.info_json)
        print_text(&info);
    else if (!print_json(&info))
        return INFO_FAILED;
    return info.status;
}
