#!/usr/bin/env bash
# How much of src/ the tests run, for the part "coverage" of tests/run.sh:
#   tests/coverage.sh build    all of it with counters (tests/coverage.mk), into build/coverage
#   tests/coverage.sh files    the black-box tests that can be run on those, one a line
#   tests/coverage.sh report   the table, from what the counters say (tests/coverage.py)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

JOBS=${JOBS:-$(nproc)}
NATIVE=$(uname -m)
MAKEFILE=tests/coverage.mk
FOLDER=build/coverage
# They build images or handlers of the shipped kind, or weigh the shipped program.
NOT_THESE='test_(audit|docker|gpu_docker|http_docker|readme|gdb|memory|release|sbom)\.py'

build()
{
    . vendor/packages.sh
    . vendor/toolchain.sh
    toolchain "$NATIVE"
    rm -rf "$FOLDER/raw" "$FOLDER/uncovered"
    mkdir -p "$FOLDER/raw"
    chmod 777 "$FOLDER/raw" # some tests run programs as another user
    make "${MAKE_ARGS[@]}" coverage
}

case ${1-} in
build) build ;;
files) printf '%s\n' tests/blackbox/test_*.py | grep -vE "$NOT_THESE" ;;
report) python3 tests/coverage.py "$FOLDER" ;;
*)
    echo "tests/coverage.sh: build, files or report" >&2
    exit 2
    ;;
esac
