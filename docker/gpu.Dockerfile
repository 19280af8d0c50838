# An image with a GPU's handler and nothing else: NVIDIA's container runtime puts the driver's own
# libraries into it when it starts, into /usr/lib64, since nothing here looks like Debian. The variables
# are what it reads: which devices (--gpus of docker says so as well), and which of the driver's parts.
# compute is libcuda and its compiler of PTX; older runtimes leave them out where nothing asks for them.
# ./build.sh image build/handlers/vector_add makes this of any binary with the GPU part; by hand, from a
# folder with the binary in it under the name worker, and build/tmp.tar:
#     docker build -f docker/gpu.Dockerfile -t my-gpu-worker FOLDER
#     docker run --rm --gpus all my-gpu-worker --gpu-info
FROM scratch
ADD tmp.tar /
COPY worker /worker
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 65534:65534
ENTRYPOINT ["/worker"]
