#!/usr/bin/env bash
# The worker loop under ThreadSanitizer, for the part "tsan" of tests/run.sh:
#   tests/tsan.sh build    all of it with gcc -fsanitize=thread on glibc (tests/tsan.mk), into build/tsan
#   tests/tsan.sh files    the black-box tests that have many threads at work, one a line
# The tests themselves fail where a worker's output holds a report.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

JOBS=${JOBS:-$(nproc)}
NATIVE=$(uname -m)
MAKEFILE=tests/tsan.mk
TESTS=(concurrency stream progress stop signals load mock timeout http_health)

case ${1-} in
files)
    printf 'tests/blackbox/test_%s.py\n' "${TESTS[@]}"
    exit
    ;;
build) ;;
*)
    echo "tests/tsan.sh: build or files" >&2
    exit 2
    ;;
esac

. vendor/packages.sh
. vendor/toolchain.sh
toolchain "$NATIVE"
exec make "${MAKE_ARGS[@]}" tsan
