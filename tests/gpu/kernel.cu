// What the tests have NVRTC compile: templates, a lambda, shared memory, mathematics.
template <typename T, int N> struct Tile {
    T values[N];
    __device__ T sum() const
    {
        T total = T(0);
#pragma unroll
        for (int i = 0; i < N; i++)
            total += values[i];
        return total;
    }
};

extern "C" __global__ void waves(float *out, const float *in, unsigned count)
{
    __shared__ float line[256];
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    auto wave = [](float x) { return sinf(x) * expf(-x * x); };
    line[threadIdx.x] = i < count ? wave(in[i]) : 0.0f;
    __syncthreads();
    Tile<float, 4> tile;
    for (unsigned k = 0; k < 4; k++)
        tile.values[k] = line[(threadIdx.x + k) % blockDim.x];
    if (i < count)
        out[i] = tile.sum();
}
