/* rp_gpu.h: a thread's stream and context as handles, and CUDA's own libraries. */

#include "gpu/gpu_private.h"
#include "loader/loader.h"
#include "rp_gpu.h"

#define CUDA_LIBS "/cuda/lib"

/* A library is the loader's own description: both live as long as the process. */
static struct loader_lib *loaded(rp_gpu_lib *library)
{
    return (struct loader_lib *)(void *)library;
}

void *rp_gpu_stream(rp_gpu *gpu)
{
    struct gpu_stream *stream = gpu_enter(gpu);
    if (stream == NULL)
        return NULL;
    stream->is_busy = stream->is_lent = true; /* whatever the caller asks of it */
    return stream->stream;
}

void *rp_gpu_context(rp_gpu *gpu)
{
    return gpu_enter(gpu) != NULL ? gpu->context : NULL;
}

int rp_gpu_result(int result, const char *what)
{
    return gpu_result(result, "%s", what);
}

/* --- libraries ------------------------------------------------------------------------------ */

static int find(const char *name, char *path, size_t size, struct err *err)
{
    if (loader_find(name, CUDA_LIBS, path, size, NULL) == 0)
        return 0;
    int rc = loader_find(name, NULL, path, size, err);
    return rc == 0 ? 0 : err_wrap(err, "no %s in " CUDA_LIBS, name);
}

int rp_gpu_library(const char *name, rp_gpu_lib **library)
{
    char found[LOADER_PATH_BYTES];
    struct loader_lib *lib = NULL;
    struct err err = { 0 };
    const char *path = name;
    int rc = 0;
    if (strchr(name, '/') == NULL) {
        rc = find(name, found, sizeof found, &err);
        path = found;
    }
    if (rc == 0)
        rc = loader_open(path, &lib, &err);
    *library = (rp_gpu_lib *)(void *)lib;
    if (rc == 0)
        return RP_OK;
    *library = NULL;
    return gpu_set_error(RP_FAILED, "%s", err.text);
}

void *rp_gpu_symbol(rp_gpu_lib *library, const char *name)
{
    loader_enter();
    void *address = loader_symbol(loaded(library), name);
    if (address == NULL)
        gpu_set_error(RP_FAILED, "%s has no %.64s", loader_path(loaded(library)), name);
    return address;
}
