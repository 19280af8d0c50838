/* rp_gpu.h: events between streams, and graphs. */
#include <stdlib.h>

#include "gpu/gpu_private.h"
#include "rp_gpu.h"

#define EVENT_WITHOUT_TIME 2u /* CU_EVENT_DISABLE_TIMING: cheaper, and all that order needs */
#define CAPTURE_THIS_THREAD 1 /* CU_STREAM_CAPTURE_MODE_THREAD_LOCAL */

struct rp_gpu_event {
    struct rp_gpu *gpu;
    cuda_event event;
};

struct rp_gpu_graph {
    struct rp_gpu *gpu;
    void *executable;
};

/* --- events --------------------------------------------------------------------------------- */

int rp_gpu_event_new(rp_gpu *gpu, rp_gpu_event **event)
{
    *event = NULL;
    if (gpu_enter(gpu) == NULL)
        return RP_FAILED;
    struct rp_gpu_event *made = calloc(1, sizeof *made);
    if (made == NULL)
        return gpu_set_error(RP_FAILED, "no memory for an event's description");
    made->gpu = gpu;
    if (gpu_result(gpu_cuda()->event_create(&made->event, EVENT_WITHOUT_TIME), "cuEventCreate") !=
        RP_OK) {
        free(made);
        return RP_FAILED;
    }
    *event = made;
    return RP_OK;
}

int rp_gpu_event_record(rp_gpu_event *event)
{
    struct gpu_stream *stream = gpu_enter(event->gpu);
    if (stream == NULL)
        return RP_FAILED;
    return gpu_result(gpu_cuda()->event_record(event->event, stream->stream), "cuEventRecord");
}

int rp_gpu_event_order(rp_gpu_event *event)
{
    int (*wait)(cuda_stream, cuda_event, unsigned);
    struct gpu_stream *stream = gpu_enter(event->gpu);
    if (stream == NULL || gpu_need("cuStreamWaitEvent", &wait) != RP_OK)
        return RP_FAILED;
    stream->is_busy = true;
    return gpu_result(wait(stream->stream, event->event, 0), "cuStreamWaitEvent");
}

void rp_gpu_event_free(rp_gpu_event *event)
{
    if (event == NULL)
        return;
    if (gpu_enter(event->gpu) != NULL)
        gpu_result(gpu_cuda()->event_destroy(event->event), "cuEventDestroy");
    free(event);
}

/* --- graphs --------------------------------------------------------------------------------- */

int rp_gpu_capture_begin(rp_gpu *gpu)
{
    int (*begin)(cuda_stream, int);
    struct gpu_stream *stream = gpu_enter(gpu);
    if (stream == NULL || gpu_need("cuStreamBeginCapture_v2", &begin) != RP_OK)
        return RP_FAILED;
    int rc = gpu_result(begin(stream->stream, CAPTURE_THIS_THREAD), "begin to capture a graph");
    stream->is_captured = rc == RP_OK;
    return rc;
}

static int make_executable(struct gpu_stream *stream, struct rp_gpu_graph *graph)
{
    int (*make)(void **, void *, unsigned long long);
    void *recorded;
    int rc = gpu_end_capture(stream, &recorded);
    if (rc == RP_OK)
        rc = gpu_need("cuGraphInstantiateWithFlags", &make);
    if (rc == RP_OK)
        rc = gpu_result(make(&graph->executable, recorded, 0), "make a graph");
    gpu_drop_recording(recorded);
    return rc;
}

int rp_gpu_capture_end(rp_gpu *gpu, rp_gpu_graph **graph)
{
    struct gpu_stream *stream = gpu_enter(gpu);
    *graph = NULL;
    if (stream == NULL)
        return RP_FAILED;
    if (!stream->is_captured)
        return gpu_set_error(RP_FAILED, "rp_gpu_capture_end without rp_gpu_capture_begin");
    struct rp_gpu_graph *made = calloc(1, sizeof *made);
    if (made == NULL)
        return gpu_set_error(RP_FAILED, "no memory for a graph's description");
    made->gpu = gpu;
    if (make_executable(stream, made) != RP_OK) {
        free(made);
        return RP_FAILED;
    }
    *graph = made;
    return RP_OK;
}

int rp_gpu_graph_launch(rp_gpu_graph *graph)
{
    int (*launch)(void *, cuda_stream);
    struct gpu_stream *stream = gpu_enter(graph->gpu);
    if (stream == NULL || gpu_need("cuGraphLaunch", &launch) != RP_OK)
        return RP_FAILED;
    stream->is_busy = true;
    return gpu_result(launch(graph->executable, stream->stream), "launch a graph");
}

void rp_gpu_graph_free(rp_gpu_graph *graph)
{
    int (*destroy)(void *);
    if (graph == NULL)
        return;
    if (gpu_enter(graph->gpu) != NULL && gpu_need("cuGraphExecDestroy", &destroy) == RP_OK)
        gpu_result(destroy(graph->executable), "free a graph");
    free(graph);
}
