#!/usr/bin/env bash
# The worker loop under ThreadSanitizer:  tests/tsan.sh [PYTEST-ARGUMENT]...
#
# Builds everything with gcc -fsanitize=thread on glibc (tests/tsan.mk) and runs the black-box tests that
# have many threads at work. The tests themselves fail where a worker's output holds a report. Wants what
# tests/run.sh has made ready: packages, sources, build/gen, build/venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

JOBS=${JOBS:-$(nproc)}
NATIVE=$(uname -m)
MAKEFILE=tests/tsan.mk
TESTS=(load concurrency stream progress refresh stop signals realtime)

. vendor/packages.sh
. vendor/toolchain.sh
toolchain "$NATIVE"

make "${MAKE_ARGS[@]}" tsan

files=()
for name in "${TESTS[@]}"; do
    files+=("tests/blackbox/test_$name.py")
done

# Where addresses are random the sanitizer may find no room for its shadow: they need not be random here.
runner=
if setarch "$NATIVE" -R true 2>/dev/null; then
    runner="setarch $NATIVE -R"
fi
WORKER_BUILD=build/tsan WORKER_RUNNER=$runner exec build/venv/bin/python -m pytest -q --tb=short \
    -p no:cacheprovider --color=no -n "$((JOBS * 2))" --dist loadgroup "$@" \
    "${files[@]}"
