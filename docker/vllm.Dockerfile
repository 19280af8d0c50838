# vLLM as a Serverless worker: vLLM's own image, with the worker in the place of a Python layer. In the folder that
# it is built from lies the worker alone (build/worker-gpu, by ./build.sh):
#   docker build -f docker/vllm.Dockerfile -t my-vllm build
# Before the server starts, the worker looks whether the GPU works, in a process of its own that leaves nothing on it;
# RUNPOD_SKIP_GPU_CHECK=true leaves that out.
# The endpoint's variables say the rest: MODEL_NAME, HF_TOKEN, and in VLLM_ARGS what else "vllm serve" is to be told.
ARG BASE=vllm/vllm-openai:v0.27.1
FROM ${BASE}
COPY worker-gpu /worker
# HF_HOME is where the platform puts cached models, and on a network volume where downloads stay. A model may load
# for longer than the worker waits by default. vLLM batches: 30 jobs at a time, as RunPod's own worker has it.
ENV MODEL_NAME="" \
    VLLM_ARGS="" \
    HF_HOME=/runpod-volume/huggingface-cache \
    RP_HANDLER='sh -c "exec vllm serve \"$MODEL_NAME\" --host 127.0.0.1 --port 8000 $VLLM_ARGS"' \
    RP_HANDLER_HTTP=http://127.0.0.1:8000 \
    RP_HANDLER_READY_TIMEOUT=1200 \
    MAX_CONCURRENCY=30
ENTRYPOINT ["/worker"]
CMD []
