#!/usr/bin/env bash
# The one door: builds, runs and tests the worker. ./build.sh --help tells how.
set -euo pipefail
START_DIR=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"

LOG_DIR=build/log
OFFLINE=0
JOBS=$(nproc)
NATIVE=$(uname -m)
TARGET=$NATIVE
OUTPUT=
VERB=
ARGS=()

usage()
{
    cat <<'EOF'
./build.sh [VERB] [OPTION]...

  (no verb)            build/worker, build/worker-gpu and build/handlers/NAME
  run                  build, then run the echo handler on a first job
  test [PART]...       all tests, or some: lint unit musl fuzz gpu blackbox tsan aarch64 same
  bench [ARG]...       measure it, side by side with the Python SDK
  image [BINARY]       build/image.tar for "docker load" (BINARY: build/worker)
  handler FILE.c       a static worker out of your own handler (-o FILE: where to)
  vendor               fetch, verify and unpack the sources of vendor/lock
  fmt                  format the sources
  clean                remove build/

  --target aarch64     build for 64-bit ARM, into build/aarch64/
  --offline            no network and no new packages: from the filled vendor/.cache
  -j N                 compile N files at once (default: the number of cores)
  -o FILE              output of handler
  -h, --help           this text

Missing packages are installed (Debian, Ubuntu; as root or by sudo) and named.
FUZZ_SECONDS=N: how long the tests run each fuzz target (default 10).
EOF
}

say()
{
    printf '%s\n' "${BOLD:-}$*${PLAIN:-}"
}

die()
{
    printf '%s\n' "${RED:-}build.sh: $*${PLAIN:-}" >&2
    exit 1
}

if [ -t 1 ]; then
    BOLD=$'\e[1m' RED=$'\e[31m' PLAIN=$'\e[0m'
fi

. vendor/packages.sh
. vendor/toolchain.sh

parse()
{
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --offline) OFFLINE=1 ;;
        --target)
            TARGET=${2-}
            shift
            ;;
        --target=*) TARGET=${1#*=} ;;
        -j)
            JOBS=${2-}
            shift
            ;;
        -j*) JOBS=${1#-j} ;;
        -o)
            OUTPUT=${2-}
            [ -n "$OUTPUT" ] || die "-o wants a file"
            shift
            ;;
        --)
            shift
            ARGS+=("$@")
            break
            ;;
        -*) if [ "$VERB" = bench ]; then ARGS+=("$1"); else die "unknown option $1 (--help lists them)"; fi ;;
        *) if [ -z "$VERB" ]; then VERB=$1; else ARGS+=("$1"); fi ;;
        esac
        shift || die "the last option wants a value (--help)"
    done
    case $TARGET in
    x86_64 | aarch64) ;;
    arm64) TARGET=aarch64 ;;
    *) die "no target named '$TARGET': x86_64 or aarch64" ;;
    esac
    [[ $JOBS =~ ^[1-9][0-9]*$ ]] || die "-j wants a number, not '$JOBS'"
}

# A path as the caller meant it, who may stand in another folder.
from_start() # PATH
{
    case $1 in
    /*) printf '%s\n' "$1" ;;
    *) if [ "$START_DIR" = "$PWD" ]; then printf '%s\n' "$1"; else printf '%s\n' "$START_DIR/$1"; fi ;;
    esac
}

# What ./build.sh does before it compiles anything: tools, sources, flags for make.
prepare()
{
    need_packages build
    [ "$TARGET" = "$NATIVE" ] || need_packages "$TARGET"
    fetch_vendor
    toolchain "$TARGET"
}

fetch_vendor()
{
    if [ "$OFFLINE" -eq 1 ]; then
        vendor/fetch.sh --offline
    else
        vendor/fetch.sh
    fi
}

verb_build()
{
    local binary
    prepare
    say "root certificates: ca-certificates $(roots_version)"
    run_make all
    for binary in $(make_value BINARIES); do
        printf '%-28s %8d bytes\n' "$binary" "$(stat -c %s "$binary")"
    done
}

verb_run()
{
    local input='{"input":{"prompt":"The quick brown fox jumps"}}'
    verb_build
    say "\$ build/handlers/echo --test_input '$input'"
    exec build/handlers/echo --test_input "$input"
}

verb_handler()
{
    local file=${ARGS[0]-} out
    [ "${#ARGS[@]}" -eq 1 ] || die "handler wants one file: ./build.sh handler FILE.c [-o OUT]"
    file=$(from_start "$file")
    [ -f "$file" ] || die "there is no file $file"
    case $file in
    *.c) ;;
    *) die "$file is no C file (.c)" ;;
    esac
    prepare
    out=$OUT/handlers/$(basename "$file" .c)
    [ -z "$OUTPUT" ] || out=$(from_start "$OUTPUT")
    HANDLER_TMP=$(mktemp -d)
    trap 'rm -rf "$HANDLER_TMP"' EXIT
    run_make HANDLER_SRC="$file" HANDLER_OUT="$out" HANDLER_TMP="$HANDLER_TMP" user-handler
    printf '%-28s %8d bytes\n' "$out" "$(stat -c %s "$out")"
}

verb_image()
{
    local binary=${ARGS[0]-}
    if [ -z "$binary" ]; then
        verb_build
        binary=$OUT/worker
    else
        binary=$(from_start "$binary")
    fi
    docker/image.sh "$binary" build/image.tar
}

verb_bench()
{
    verb_build
    need_packages bench
    tests/venv.sh build/venv-bench tests/bench/requirements.txt "$OFFLINE"
    exec build/venv-bench/bin/python tests/bench/run.py "${ARGS[@]}"
}

verb_fmt()
{
    need_packages fmt
    find src tests vendor -name .src -prune -o \( -name '*.c' -o -name '*.h' \) -print0 |
        xargs -0 -r clang-format -i
}

main()
{
    parse "$@"
    case $VERB in
    '') verb_build ;;
    run) verb_run ;;
    test)
        export OFFLINE JOBS
        exec tests/run.sh "${ARGS[@]}"
        ;;
    bench) verb_bench ;;
    image) verb_image ;;
    handler) verb_handler ;;
    vendor) fetch_vendor ;;
    fmt) verb_fmt ;;
    clean) rm -rf build ;;
    help) usage ;;
    *) die "no verb named $VERB (--help lists them)" ;;
    esac
}

main "$@"
