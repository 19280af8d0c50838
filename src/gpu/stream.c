/* rp_gpu.h: each thread's stream on a device; waiting and timing. */
#include <pthread.h>
#include <stdlib.h>

#include "gpu/gpu_private.h"
#include "loader/loader.h"

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* the thread's streams again, for end_streams */
static bool have_key;     /* without it, streams stay when their thread ends */
static _Thread_local struct gpu_stream *streams;
static _Thread_local struct rp_gpu *current;
static _Thread_local unsigned selected; /* by rp_gpu_use_stream */

/* Held while an ending thread calls the driver, so that exit waits for that; guards is_exiting. */
static pthread_mutex_t end_lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_exiting;

/* Runs before the driver's own exit handlers: it was registered after the driver had started. */
static void stop_ending(void)
{
    pthread_mutex_lock(&end_lock);
    is_exiting = true;
    pthread_mutex_unlock(&end_lock);
}

static void end_streams(void *first)
{
    const struct cuda *cuda = gpu_cuda();
    streams = NULL; /* another destructor may use the GPU: it gets streams of its own */
    current = NULL;
    pthread_mutex_lock(&end_lock);
    for (struct gpu_stream *stream = first, *next; stream != NULL; stream = next) {
        next = stream->next;
        /* A lost context accepts no calls, nor does a driver that exit has ended. */
        if (!is_exiting && gpu_lost() == NULL &&
            cuda->context_set(stream->gpu->context) == CUDA_SUCCESS) {
            if (stream->start != NULL)
                cuda->event_destroy(stream->start);
            if (stream->stop != NULL)
                cuda->event_destroy(stream->stop);
            cuda->stream_destroy(stream->stream);
        }
        free(stream);
    }
    pthread_mutex_unlock(&end_lock);
}

static void make_key(void)
{
    have_key = atexit(stop_ending) == 0 && pthread_key_create(&key, end_streams) == 0;
}

static struct gpu_stream *new_stream(struct rp_gpu *gpu, unsigned index)
{
    struct gpu_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        gpu_set_error(RP_FAILED, "no memory for a thread's stream on the GPU");
        return NULL;
    }
    if (gpu_result(gpu_cuda()->stream_create(&stream->stream, CUDA_STREAM_NON_BLOCKING),
                   "cuStreamCreate") != RP_OK) {
        free(stream);
        return NULL;
    }
    stream->gpu = gpu;
    stream->index = index;
    stream->next = streams;
    streams = stream;
    pthread_once(&key_once, make_key);
    if (have_key)
        pthread_setspecific(key, streams);
    return stream;
}

static int make_current(struct rp_gpu *gpu)
{
    const char *lost = gpu_lost();
    if (gpu == NULL)
        return gpu_set_error(RP_FAILED, "the rp_gpu is NULL: rp_gpu_open has opened no device");
    if (lost != NULL)
        return gpu_set_error(RP_FAILED, "%s", lost);
    loader_enter();
    if (current == gpu)
        return RP_OK;
    int rc = gpu_result(gpu_cuda()->context_set(gpu->context), "cuCtxSetCurrent");
    if (rc == RP_OK)
        current = gpu;
    return rc;
}

struct gpu_stream *gpu_enter_stream(struct rp_gpu *gpu, unsigned index)
{
    struct gpu_stream *stream = streams;
    if (make_current(gpu) != RP_OK)
        return NULL;
    while (stream != NULL && (stream->gpu != gpu || stream->index != index))
        stream = stream->next;
    return stream != NULL ? stream : new_stream(gpu, index);
}

struct gpu_stream *gpu_enter(struct rp_gpu *gpu)
{
    return gpu_enter_stream(gpu, selected);
}

static int wait_stream(struct gpu_stream *stream)
{
    stream->is_busy = stream->is_lent;
    return gpu_result(gpu_cuda()->stream_wait(stream->stream), "wait for GPU %d",
                      stream->gpu->index);
}

int gpu_wait_current(struct rp_gpu *gpu)
{
    struct gpu_stream *stream = gpu_enter(gpu);
    return stream != NULL ? wait_stream(stream) : RP_FAILED;
}

int rp_gpu_wait(rp_gpu *gpu)
{
    int rc = gpu_wait_current(gpu);
    for (struct gpu_stream *stream = streams; stream != NULL; stream = stream->next)
        if (stream->gpu == gpu && stream->is_busy && wait_stream(stream) != RP_OK)
            rc = RP_FAILED;
    return rc;
}

void gpu_wait_busy(const struct rp_gpu *gpu, const struct gpu_stream *except)
{
    for (struct gpu_stream *stream = streams; stream != NULL; stream = stream->next)
        if (stream->gpu == gpu && stream != except && stream->is_busy && !stream->is_captured)
            wait_stream(stream);
}

int rp_gpu_use_stream(unsigned index)
{
    if (index >= RP_GPU_STREAMS_MAX)
        return gpu_set_error(RP_FAILED, "rp_gpu_use_stream: %u is not below %u", index,
                             RP_GPU_STREAMS_MAX);
    selected = index;
    return RP_OK;
}

int gpu_end_capture(struct gpu_stream *stream, void **recorded)
{
    int (*end)(cuda_stream, void **);
    *recorded = NULL;
    stream->is_captured = false;
    if (gpu_need("cuStreamEndCapture", &end) != RP_OK)
        return RP_FAILED;
    return gpu_result(end(stream->stream, recorded), "capture a graph");
}

void gpu_drop_recording(void *recorded)
{
    int (*destroy)(void *);
    if (recorded != NULL && gpu_need("cuGraphDestroy", &destroy) == RP_OK)
        destroy(recorded);
}

static void abandon_capture(struct gpu_stream *stream)
{
    void *recorded;
    gpu_end_capture(stream, &recorded);
    gpu_drop_recording(recorded);
}

void gpu_finish_streams(void)
{
    selected = 0;
    for (struct gpu_stream *stream = streams; stream != NULL && gpu_lost() == NULL;
         stream = stream->next) {
        if (stream->is_captured && gpu_enter(stream->gpu) != NULL)
            abandon_capture(stream);
        if (stream->is_busy && gpu_enter(stream->gpu) != NULL)
            wait_stream(stream);
    }
}

static int need_event(cuda_event *event)
{
    return *event != NULL ? RP_OK : gpu_result(gpu_cuda()->event_create(event, 0), "cuEventCreate");
}

int rp_gpu_timer_start(rp_gpu *gpu)
{
    struct gpu_stream *stream = gpu_enter(gpu);
    if (stream == NULL || need_event(&stream->start) != RP_OK || need_event(&stream->stop) != RP_OK)
        return RP_FAILED;
    return gpu_result(gpu_cuda()->event_record(stream->start, stream->stream), "cuEventRecord");
}

int rp_gpu_timer_stop(rp_gpu *gpu, double *ms)
{
    float elapsed = 0;
    const struct cuda *cuda = gpu_cuda();
    struct gpu_stream *stream = gpu_enter(gpu);
    if (stream == NULL)
        return RP_FAILED;
    if (stream->start == NULL)
        return gpu_set_error(RP_FAILED, "rp_gpu_timer_stop without rp_gpu_timer_start");
    int rc = gpu_result(cuda->event_record(stream->stop, stream->stream), "cuEventRecord");
    if (rc == RP_OK)
        rc = gpu_result(cuda->event_wait(stream->stop), "wait for GPU %d", gpu->index);
    if (rc == RP_OK)
        rc = gpu_result(cuda->event_elapsed(&elapsed, stream->start, stream->stop),
                        "cuEventElapsedTime");
    *ms = (double)elapsed;
    return rc;
}
