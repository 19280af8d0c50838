# llama.cpp's server as a Serverless worker: its own image and the worker. In the folder that it is built from lies the
# worker alone (build/worker-gpu, by ./build.sh; as in vllm.Dockerfile, it checks the GPU first):
#   docker build -f docker/llamacpp.Dockerfile -t my-llamacpp build
# The server takes all of its settings from variables (llama-server --help names them), so no shell is needed. The endpoint's
# say which model: LLAMA_ARG_HF_REPO=ORG/NAME-GGUF is downloaded, LLAMA_ARG_MODEL=/runpod-volume/model.gguf is a file. Not
# both: with LLAMA_ARG_MODEL the server looks in the repository for a file of that name. So a Dockerfile of your own that has
# the file in the image ("COPY model.gguf /models/") sets LLAMA_ARG_MODEL itself, and this one does not.
ARG BASE=ghcr.io/ggml-org/llama.cpp:server-cuda
FROM ${BASE}
COPY worker-gpu /worker
# As many slots as jobs at a time; each has its part of LLAMA_ARG_CTX_SIZE. A download may take longer than the worker waits
# by default.
ENV LLAMA_ARG_HOST=127.0.0.1 \
    LLAMA_ARG_PORT=8080 \
    LLAMA_ARG_N_PARALLEL=8 \
    RP_HANDLER=/app/llama-server \
    RP_HANDLER_HTTP=http://127.0.0.1:8080 \
    RP_HANDLER_READY_TIMEOUT=1200 \
    MAX_CONCURRENCY=8
ENTRYPOINT ["/worker"]
CMD []
