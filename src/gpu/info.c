/* worker --gpu-info: the driver, its devices, and how long each step took. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "gpu/gpu_private.h"
#include "json/json.h"

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

static void find_file(struct gpu_report *report)
{
    if (report->cuda->path[0] != '\0' && realpath(report->cuda->path, report->file) == NULL)
        snprintf(report->file, sizeof report->file, "%s", report->cuda->path);
    report->file_version = gpu_file_version(report->file);
}

static void collect(struct gpu_report *report, const char *libcuda)
{
    int rc = cuda_open(libcuda, &report->cuda, &report->err);
    find_file(report);
    if (rc != 0) {
        report->status = rc == ERR_PEER ? INFO_NO_DEVICE : INFO_NO_DRIVER;
        return;
    }
    int64_t begun = clock_now_us();
    for (int i = 0; i < report->cuda->device_count && i < GPU_DEVICES_MAX; i++) {
        const char *call;
        int result = gpu_describe(report->cuda, i, &report->devices[i], &call);
        if (result != CUDA_SUCCESS) {
            char what[64];
            snprintf(what, sizeof what, "GPU %d: %s", i, call);
            cuda_error(report->cuda, result, what, &report->err);
            report->status = INFO_FAILED;
            break;
        }
        report->count++;
    }
    report->devices_us = clock_now_us() - begun;
}

/* --- as text -------------------------------------------------------------------------------- */

static void print_text(const struct gpu_report *report)
{
    const struct cuda *cuda = report->cuda;
    if (report->file[0] != '\0')
        printf("driver   %s\n", report->file);
    if (report->file_version[0] != '\0')
        printf("version  %s\n", report->file_version);
    if (cuda->version != 0)
        printf("CUDA     %d.%d\n", cuda->version / 1000, cuda->version % 1000 / 10);
    for (int i = 0; i < report->count; i++) {
        const rp_gpu_facts *facts = &report->devices[i].facts;
        printf("GPU %-4d %s, %llu MiB, compute capability %d.%d, %d multiprocessors%s%s\n", i,
               facts->name, (unsigned long long)(facts->memory_bytes >> 20), facts->capability / 10,
               facts->capability % 10, facts->multiprocessors, facts->uuid[0] != '\0' ? ", " : "",
               facts->uuid);
    }
    if (report->err.code != 0)
        printf("no GPU   %s\n", report->err.text);
    printf("time     find %.3f ms, load %.3f ms, initialise %.3f ms, devices %.3f ms\n",
           (double)cuda->find_us / 1000, (double)cuda->load_us / 1000, (double)cuda->init_us / 1000,
           (double)report->devices_us / 1000);
}

/* --- as JSON -------------------------------------------------------------------------------- */

static void add_driver(const struct gpu_report *report, struct buf *out)
{
    char cuda[24] = ""; /* stays empty if the version is not known */
    int version = report->cuda->version;
    if (version != 0)
        snprintf(cuda, sizeof cuda, "%d.%d", version / 1000, version % 1000 / 10);
    buf_add_text(out, "{\"driver\": {\"file\": ", NULL);
    json_put_lossy(out, slice_from(report->file), NULL);
    buf_add_text(out, ", \"version\": ", NULL);
    json_put_lossy(out, slice_from(report->file_version), NULL);
    json_add(out, NULL, ", \"cuda\": %Q, \"cuda_version\": %d}", cuda, version);
}

static void add_device(int index, const rp_gpu_facts *facts, struct buf *out)
{
    json_add(out, NULL, "%s{\"index\": %d, \"name\": ", index > 0 ? ", " : "", index);
    json_put_lossy(out, slice_from(facts->name), NULL);
    json_add(out, NULL,
             ", \"uuid\": %Q, \"memory_bytes\": %llu, \"compute_capability\": \"%d.%d\", "
             "\"multiprocessors\": %d, \"max_threads_per_block\": %d}",
             facts->uuid, (unsigned long long)facts->memory_bytes, facts->capability / 10,
             facts->capability % 10, facts->multiprocessors, facts->max_threads_per_block);
}

int gpu_report_json(const struct gpu_report *report, struct buf *out, struct err *err)
{
    const struct cuda *cuda = report->cuda;
    add_driver(report, out);
    buf_add_text(out, ", \"devices\": [", NULL);
    for (int i = 0; i < report->count; i++)
        add_device(i, &report->devices[i].facts, out);
    json_add(out, NULL,
             "], \"ms\": {\"find\": %.3f, \"load\": %.3f, \"initialise\": %.3f, "
             "\"devices\": %.3f}, \"error\": ",
             (double)cuda->find_us / 1000, (double)cuda->load_us / 1000,
             (double)cuda->init_us / 1000, (double)report->devices_us / 1000);
    if (report->err.code != 0)
        json_put_lossy(out, slice_from(report->err.text), NULL);
    else
        buf_add_text(out, "null", NULL);
    buf_add_text(out, "}", NULL);
    return buf_error(out, err);
}

static bool print_json(const struct gpu_report *report)
{
    struct buf out;
    struct err err = { 0 };
    buf_init(&out, LIMIT_MIB, "description of the GPU");
    int rc = gpu_report_json(report, &out, &err);
    if (rc == 0)
        printf("%.*s\n", SLICE_ARG(buf_slice(&out)));
    else
        fprintf(stderr, "worker: %s\n", err.text);
    buf_free(&out);
    return rc == 0;
}

int gpu_info(const struct config *config)
{
    static struct gpu_report report; /* too large for a small stack */
    collect(&report, config->gpu.libcuda);
    if (!config->gpu.info_json)
        print_text(&report);
    else if (!print_json(&report))
        return INFO_FAILED;
    return report.status;
}
