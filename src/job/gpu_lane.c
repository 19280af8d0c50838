/* rp_gpu.h: the order that each thread has on a device; waiting and timing. */
#include <pthread.h>
#include <stdlib.h>

#include "gpu/loader.h"
#include "job/gpu_inside.h"

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* a thread's lanes, for its end alone */
static _Thread_local struct gpu_lane *lanes;
static _Thread_local struct rp_gpu *current;

static void end_lanes(void *first)
{
    const struct cuda *cuda = gpu_cuda();
    for (struct gpu_lane *lane = first, *next; lane != NULL; lane = next) {
        next = lane->next;
        /* A lost context cannot be told anything; it ends with the process. */
        if (gpu_lost() == NULL && cuda->context_set(lane->gpu->context) == CUDA_SUCCESS) {
            if (lane->start != NULL)
                cuda->event_destroy(lane->start);
            if (lane->stop != NULL)
                cuda->event_destroy(lane->stop);
            cuda->stream_destroy(lane->stream);
        }
        free(lane);
    }
}

static void make_key(void)
{
    pthread_key_create(&key, end_lanes);
}

static struct gpu_lane *new_lane(struct rp_gpu *gpu)
{
    struct gpu_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        gpu_complain(RP_FAILED, "no memory for a thread's use of the GPU");
        return NULL;
    }
    if (gpu_result(gpu_cuda()->stream_create(&lane->stream, CUDA_STREAM_NON_BLOCKING),
                   "cuStreamCreate") != RP_OK) {
        free(lane);
        return NULL;
    }
    lane->gpu = gpu;
    lane->next = lanes;
    lanes = lane;
    pthread_once(&key_once, make_key);
    pthread_setspecific(key, lanes);
    return lane;
}

struct gpu_lane *gpu_enter(struct rp_gpu *gpu)
{
    const char *lost = gpu_lost();
    struct gpu_lane *lane = lanes;
    if (lost != NULL) {
        gpu_complain(RP_FAILED, "%s", lost);
        return NULL;
    }
    loader_enter();
    if (current != gpu) {
        if (gpu_result(gpu_cuda()->context_set(gpu->context), "cuCtxSetCurrent") != RP_OK)
            return NULL;
        current = gpu;
    }
    while (lane != NULL && lane->gpu != gpu)
        lane = lane->next;
    return lane != NULL ? lane : new_lane(gpu);
}

static int wait_lane(struct gpu_lane *lane)
{
    lane->is_busy = false;
    return gpu_result(gpu_cuda()->stream_wait(lane->stream), "wait for GPU %d", lane->gpu->index);
}

int rp_gpu_wait(rp_gpu *gpu)
{
    struct gpu_lane *lane = gpu_enter(gpu);
    return lane != NULL ? wait_lane(lane) : RP_FAILED;
}

void gpu_finish_lanes(void)
{
    for (struct gpu_lane *lane = lanes; lane != NULL && gpu_lost() == NULL; lane = lane->next)
        if (lane->is_busy && gpu_enter(lane->gpu) != NULL)
            wait_lane(lane);
}

static int need_event(cuda_event *event)
{
    return *event != NULL ? RP_OK : gpu_result(gpu_cuda()->event_create(event, 0), "cuEventCreate");
}

int rp_gpu_timer_start(rp_gpu *gpu)
{
    struct gpu_lane *lane = gpu_enter(gpu);
    if (lane == NULL || need_event(&lane->start) != RP_OK || need_event(&lane->stop) != RP_OK)
        return RP_FAILED;
    return gpu_result(gpu_cuda()->event_record(lane->start, lane->stream), "cuEventRecord");
}

int rp_gpu_timer_stop(rp_gpu *gpu, double *ms)
{
    float elapsed = 0;
    const struct cuda *cuda = gpu_cuda();
    struct gpu_lane *lane = gpu_enter(gpu);
    if (lane == NULL)
        return RP_FAILED;
    if (lane->start == NULL)
        return gpu_complain(RP_FAILED, "rp_gpu_timer_stop without rp_gpu_timer_start");
    int rc = gpu_result(cuda->event_record(lane->stop, lane->stream), "cuEventRecord");
    if (rc == RP_OK)
        rc = gpu_result(cuda->event_wait(lane->stop), "wait for GPU %d", gpu->index);
    if (rc == RP_OK)
        rc = gpu_result(cuda->event_elapsed(&elapsed, lane->start, lane->stop),
                        "cuEventElapsedTime");
    *ms = (double)elapsed;
    return rc;
}
