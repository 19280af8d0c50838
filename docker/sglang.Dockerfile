# SGLang as a Serverless worker: SGLang's own image and the worker. In the folder that it is built from lies the worker
# alone (build/worker-gpu, by ./build.sh; as in vllm.Dockerfile, it checks the GPU first):
#   docker build -f docker/sglang.Dockerfile -t my-sglang build
# The endpoint's variables say the rest: MODEL_NAME, HF_TOKEN, and in SGLANG_ARGS what else the server is to be told.
ARG BASE=lmsysorg/sglang:latest
FROM ${BASE}
COPY worker-gpu /worker
# As in vllm.Dockerfile.
ENV MODEL_NAME="" \
    SGLANG_ARGS="" \
    HF_HOME=/runpod-volume/huggingface-cache \
    RP_HANDLER='sh -c "exec python3 -m sglang.launch_server --model-path \"$MODEL_NAME\" --host 127.0.0.1 --port 30000 $SGLANG_ARGS"' \
    RP_HANDLER_HTTP=http://127.0.0.1:30000 \
    RP_HANDLER_READY_TIMEOUT=1200 \
    MAX_CONCURRENCY=30
ENTRYPOINT ["/worker"]
CMD []
