# An image with a GPU's handler and nothing else: NVIDIA's container runtime puts the driver's own
# libraries into it when it starts. The two variables are how it is told to; --gpus all of docker
# sets the first as well. By hand, from a folder with the binary in it (build/worker-gpu, or
# build/handlers/vector_add) under the name worker:
#     docker build -f docker/gpu.Dockerfile -t my-gpu-worker FOLDER
#     docker run --rm --gpus all my-gpu-worker --gpu-info
FROM scratch
COPY worker /worker
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 65534:65534
ENTRYPOINT ["/worker"]
