#!/usr/bin/env bash
# Everything about the GPU that only a machine with one can answer, in one run:  bash run.sh OUT
#
# Carry this folder there. It needs bash, coreutils and python3, compiles nothing and connects to
# nothing but this machine. It ends within 6 minutes, prints a line a step, writes OUT/report.json
# and OUT/log. Exit status 0; 1 where a step failed; 2 for wrong arguments. What could not be done
# is "left", with the reason.
# KIT_STEPS="load calls" runs only those; RP_LIBCUDA names another driver, KIT_CUDA a folder with
# NVRTC, cudart and cuBLAS, which are else looked for in this machine's Python and /usr/local/cuda*.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: bash run.sh OUT" >&2 && exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")"
exec python3 kit.py "$out"
