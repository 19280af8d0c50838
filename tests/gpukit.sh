#!/usr/bin/env bash
# build/gpukit, the folder to carry to a machine with a GPU; ./build.sh gpukit calls it when all is
# built. What the kit does: tests/gpukit/run.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kit=build/gpukit
rm -rf "$kit"
mkdir -p "$kit/bin" "$kit/tests" "$kit/build/handlers" "$kit/build/test-handlers"
cp tests/gpukit/run.sh tests/gpukit/kit.py tests/gpukit/elf.py tests/gpukit/distilbert.py \
    tests/gpu/kernel.cu "$kit/"
cp tests/gpu.sh "$kit/tests/"
cp build/worker-gpu "$kit/build/"
for name in vector_add matmul nvrtc gemm sentiment; do
    [ ! -e "build/handlers/$name" ] || cp "build/handlers/$name" "$kit/build/handlers/"
done
cp build/test-handlers/gpu build/test-handlers/matmul_served "$kit/build/test-handlers/"
for name in probe cudalibs; do
    cp "build/gpu/$name" "build/gpu/$name-glibc" "$kit/bin/"
done
names='s/^(MUSL|ALIAS|WRAPPER)\(([A-Za-z0-9_]+).*/\2/p'
sed -nE "$names" src/loader/libc_names.def >"$kit/table.txt"
# The kernel of the handler that ships, as it lies in the binary.
python3 - build/handlers/matmul >"$kit/matmul.ptx" <<'PY'
import re, sys
texts = re.findall(rb"\.version [^\0]+", open(sys.argv[1], "rb").read())
sys.stdout.write(next(text for text in texts if b"matmul" in text).decode())
PY
printf 'made of %s\n' "$(git describe --always --dirty 2>/dev/null || echo unknown)" >"$kit/version"
printf '%s  %s bytes\n' "$kit" "$(du -sb "$kit" | cut -f 1)"
