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
EXTRA_ARGS=() # what stands behind "--"
DEBUG=0
SIGN_KEY=

usage()
{
    cat <<'EOF'
./build.sh [VERB] [OPTION]...

  (no verb)            build/worker, build/worker-gpu and build/handlers/NAME
  run                  build, then run the echo handler on a first job
  test [PART]...       all tests, or some: lint unit musl newer fuzz gpu blackbox confined
                       asan tsan aarch64 same
  test quick           lint and unit tests of what the last change concerns, in under a minute
  test blackbox FILE.. a file of tests/blackbox, or -k WORDS, or whatever else pytest takes
  test audited         the black-box tests under strace, held against --audit
  test coverage        how much of src/ the tests run, and what they do not
  bench [ARG]...       measure it, side by side with the Python SDK
  kit                  build/kit/slim-worker-VERSION-ARCH.tar.gz: what handlers are made with
                       without this folder (vendor/kit/README.md); its sources and provenance
  sources              build/kit/slim-worker-VERSION-sources.tar: this folder, what vendor fetches
  verify KIT.tar.gz    build it again without a network, and say whether it is the same
  gpukit               build/gpukit, to be carried to a machine with a GPU: bash run.sh OUT there
  image [BINARY]       build/image.tar for "docker load" (BINARY: build/worker)
  handler FILE... [-- ARG...]
                       a static worker out of your own handler, C and C++ (-o FILE: where to);
                       ARGs are the compiler's: -Idir -DX libz.a -lm. --debug: for gdb
  core                 build/core: all that handlers are linked with, once, as a layer of a
                       Dockerfile
  vendor               fetch, verify and unpack the sources of vendor/lock
  fmt                  format the sources
  clean                remove build/

  --target aarch64     build for 64-bit ARM, into build/aarch64/
  --offline            no network and no new packages: from the filled vendor/.cache
  -j N                 compile N files at once (default: the number of cores)
  -o FILE              output of handler
  --sign KEY           kit: sign the three files by ssh-keygen -Y (src/AUDIT.md)
  --debug              handler: symbols stay, nothing is optimized, and a line says how to run gdb
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
. vendor/kit/handler.sh

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
        --sign)
            SIGN_KEY=$(from_start "${2-}")
            [ -f "$SIGN_KEY" ] || die "--sign wants a key of ssh-keygen, not '${2-}'"
            shift
            ;;
        --debug) DEBUG=1 ;;
        --)
            shift
            if [ "$VERB" = handler ]; then EXTRA_ARGS=("$@"); else ARGS+=("$@"); fi
            break
            ;;
        -*)
            [[ $VERB = bench || $VERB = test ]] || die "unknown option $1 (--help lists them)"
            ARGS+=("$1")
            ;;
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
    *) [ "$START_DIR" = "$PWD" ] && printf '%s\n' "$1" || printf '%s\n' "$START_DIR/$1" ;;
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
    docker/tmp.sh build/tmp.tar
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

# Before anything is built: a key in this folder is one "git add ." from the archive of sources.
check_sign_key()
{
    command -v ssh-keygen >/dev/null ||
        die "--sign: there is no ssh-keygen here (package openssh-client)"
    case $(realpath -- "$SIGN_KEY") in
    "$(pwd -P)"/*) die "--sign: the key lies in this folder, which is packed; keep it elsewhere" ;;
    esac
}

# A kit for authors: build/kit/slim-worker-VERSION-ARCH.tar.gz. Beside it its sources, and how it
# came of them.
verb_kit()
{
    local file files name version
    [ -z "$SIGN_KEY" ] || check_sign_key
    version=$(vendor/version.sh)
    name=build/kit/slim-worker-$version
    files=("$name-$TARGET.tar.gz" "$name-sources.tar" "$name-$TARGET.provenance.json")
    verb_core
    run_make "$OUT/worker" "$OUT/worker-gpu"
    rm -f "${files[@]}" "${files[@]/%/.sig}"
    OUT=$OUT B=build/$TARGET vendor/kit/pack.sh "$TARGET"
    vendor/kit/sources.sh
    OUT=$OUT B=build/$TARGET vendor/kit/provenance.sh "$TARGET"
    [ -n "$SIGN_KEY" ] || return 0
    for file in "${files[@]}"; do
        ssh-keygen -q -Y sign -f "$SIGN_KEY" -n file "$file" || die "$file could not be signed"
    done
}

verb_verify()
{
    [ "${#ARGS[@]}" -eq 1 ] || die "verify wants one kit: ./build.sh verify KIT.tar.gz"
    fetch_vendor
    TARGET=$TARGET JOBS=$JOBS OFFLINE=$OFFLINE vendor/kit/verify.sh "$(from_start "${ARGS[0]}")"
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

# True where only figures are asked for that have neither the SDK nor TLS on the other side.
benches_alone()
{
    local words=" ${ARGS[*]//=/ } " rest
    [[ $words != *' --torch '* ]] || return 1
    rest=$(sed -E 's/ --only (gpu|parts|kit)\b//g' <<<"$words")
    [[ $words == *' --only '* && $rest != *' --only '* ]]
}

verb_bench()
{
    export OFFLINE
    verb_build
    if benches_alone; then
        need_packages bench_alone
        exec python3 tests/bench/run.py "${ARGS[@]}"
    fi
    need_packages bench
    tests/venv.sh build/venv-bench tests/bench/requirements.txt "$OFFLINE"
    exec build/venv-bench/bin/python tests/bench/run.py "${ARGS[@]}"
}

# The kit for a machine with a GPU: all that is known of the live paths comes from running it there.
verb_gpukit()
{
    [ "$TARGET" = "$NATIVE" ] || die "gpukit is for this machine's processor, $NATIVE"
    verb_build
    (verb_own_handler gpu)
    (verb_own_handler matmul_served)
    OFFLINE=$OFFLINE JOBS=$JOBS tests/gpulibs.sh
    tests/gpukit.sh
}

# A handler of the tests' own, into build/test-handlers.
verb_own_handler() # NAME
{
    ARGS=("tests/blackbox/handlers/$1.c")
    OUTPUT=build/test-handlers/$1
    START_DIR=$PWD verb_handler
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
    core) verb_core ;;
    kit) verb_kit ;;
    sources)
        fetch_vendor
        vendor/kit/sources.sh
        ;;
    verify) verb_verify ;;
    gpukit) verb_gpukit ;;
    handler) verb_handler ;;
    vendor) fetch_vendor ;;
    fmt) verb_fmt ;;
    clean) rm -rf build ;;
    help) usage ;;
    *) die "no verb named $VERB (--help lists them)" ;;
    esac
}

main "$@"
