#!/usr/bin/env bash
# Workers under a sanitizer (tests/sanitize.mk), for the parts "tsan" and "asan" of tests/run.sh:
#   tests/sanitize.sh build NAME    all of it by gcc on glibc, into build/NAME-worker
#   tests/sanitize.sh files NAME    the black-box tests to run on it, one a line
# The tests themselves fail where a worker's output holds a report.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

JOBS=${JOBS:-$(nproc)}
NATIVE=$(uname -m)
MAKEFILE=tests/sanitize.mk
SANITIZER=${2-}
# The tests with many threads at work. Memory is looked at in all of them.
THREADED=(concurrency stream progress stop signals load mock timeout http_health child_many
    sentiment serve endpoint watch)

case ${1-}:$SANITIZER in
files:tsan)
    printf 'tests/blackbox/test_%s.py\n' "${THREADED[@]}"
    exit
    ;;
files:asan)
    echo tests/blackbox
    exit
    ;;
build:tsan | build:asan) ;;
*)
    echo "tests/sanitize.sh: build or files, then tsan or asan" >&2
    exit 2
    ;;
esac

. vendor/packages.sh
. vendor/toolchain.sh
toolchain "$NATIVE"
exec make "${MAKE_ARGS[@]}" SANITIZER="$SANITIZER" sanitized
