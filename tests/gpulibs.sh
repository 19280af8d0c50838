#!/usr/bin/env bash
# The programs and libraries of the GPU loader's tests, into build/gpu; see tests/gpu.mk.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

OFFLINE=${OFFLINE:-0}
JOBS=${JOBS:-$(nproc)}
NATIVE=$(uname -m)
MAKEFILE=tests/gpu.mk
LOG_DIR=build/log

say()
{
    printf '%s\n' "$*"
}

die()
{
    printf '%s\n' "gpulibs.sh: $*" >&2
    exit 1
}

. vendor/toolchain.sh

toolchain "$NATIVE"
run_make gpu-tests
