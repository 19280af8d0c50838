# A sentiment worker: one static binary, its weights, and nothing else. On a machine with a GPU, NVIDIA's
# container runtime adds the driver (docker/gpu.Dockerfile says more); elsewhere the CPU computes. Wanted in
# the folder that it is built from:
#   sentiment   build/handlers/sentiment, and tmp.tar, build/tmp.tar, by ./build.sh
#   model/      config.json, vocab.txt and model.safetensors of a DistilBERT
# docker build -f docker/sentiment.Dockerfile -t my-sentiment FOLDER
# To mount the weights instead, leave model/ empty and run with -v /path/of/the/model:/model:ro; weights on a
# network volume are found with -e MODEL_DIR=/runpod-volume/...
FROM scratch
ADD tmp.tar /
COPY sentiment /worker
COPY model /model
ENV MODEL_DIR=/model \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 65534:65534
ENTRYPOINT ["/worker"]
