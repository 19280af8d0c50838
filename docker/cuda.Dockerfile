# An image with a GPU's handler and the files of CUDA's own libraries that it uses, and nothing else: no
# glibc, no ld.so, no shell. rp_gpu_library (src/rp_gpu.h) looks into /cuda/lib. The folder holds the
# binary under the name worker, build/tmp.tar, and cuda/ with the files themselves, under the names that are loaded:
#
#   handlers/nvrtc  libnvrtc.so.12 106.2 MB, libnvrtc-builtins.so.12.9 7.2 MB    image 114 MB
#   handlers/gemm   libcublas.so.12 105.1 MB, libcublasLt.so.12 749.2 MB, and libgcc_s.so.1 0.1 MB of
#                   any distribution, for cuBLAS throws                          image 855 MB
#   your own        what it loads, and what those files need beside glibc's libraries; a file that is
#                   missing is named when the worker starts
#
# The sizes are those of CUDA 12.9 for x86-64, from NVIDIA's Python packages (tests/cuda-requirements.txt).
# NVIDIA's licence says who may hand these files on. The driver's own come from the host, as in
# gpu.Dockerfile.
#     docker build -f docker/cuda.Dockerfile -t my-cuda-worker FOLDER
#     docker run --rm --gpus all my-cuda-worker --test_input '{"input": {...}}'
FROM scratch
ADD tmp.tar /
COPY cuda/ /cuda/lib/
COPY worker /worker
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 65534:65534
ENTRYPOINT ["/worker"]
