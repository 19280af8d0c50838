#!/usr/bin/env bash
# The GPU for real:  tests/gpu.sh [BUILD-FOLDER]     (default: build)
#
# On a machine with a GPU: information, both handlers against the CPU, a thousand jobs, memory until
# there is none, a kernel that goes wrong, and whether device memory is left behind. It needs the
# static binaries alone (worker-gpu, handlers/vector_add, handlers/matmul, test-handlers/gpu), bash and
# coreutils. GPU_SIZES are the sizes of the matrices.
#
# Elsewhere it says so and does what needs no device, with a real driver: that of RP_LIBCUDA, one that is
# installed, or what tests/driver.sh has put into BUILD-FOLDER/driver; without any, the refusal.
#
# The last line is "N passed, M failed". Exit status 0; 77 where there is no GPU and the rest passed; 1
# where something failed (a GPU that is there and does not work too); 2 where a binary is missing.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

BUILD=${1:-build}
GPU_SIZES=${GPU_SIZES:-1 15 16 17 100 512 1000 2048}
PASSED=0
FAILED=0
AS_USER=()
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# check NAME STATUS PATTERN COMMAND...: ends with that status and prints what the pattern matches.
check()
{
    local name=$1 status=$2 pattern=$3 got=0
    shift 3
    if [ "$(type -t "$1")" = function ]; then # timeout(1) knows none of them
        "$@" </dev/null >"$WORK/out" 2>&1 || got=$?
    else
        timeout 300 "${AS_USER[@]}" "$@" </dev/null >"$WORK/out" 2>&1 || got=$?
    fi
    if [ "$got" -eq "$status" ] && grep -qE -- "$pattern" "$WORK/out"; then
        PASSED=$((PASSED + 1))
        printf 'ok   %s\n' "$name"
    else
        FAILED=$((FAILED + 1))
        printf 'FAIL %s: exit status %s for %s, wanted /%s/; it said:\n' "$name" "$got" "$status" "$pattern"
        tail -n 20 "$WORK/out" | cut -c 1-600 | sed 's/^/     | /'
    fi
}

job() # HANDLER INPUT: a local run of one job
{
    printf '%s\n%s\n%s\n' "$BUILD/$1" --test_input "{\"input\": $2}"
}

# checked_job NAME STATUS PATTERN HANDLER INPUT
checked_job()
{
    local words
    mapfile -t words < <(job "$4" "$5")
    check "$1" "$2" "$3" "${words[@]}"
}

numbers() # COUNT FACTOR: a JSON list
{
    awk -v n="$1" -v f="$2" 'BEGIN { printf "["; for (i = 1; i <= n; i++) printf "%s%.7g", (i > 1 ? "," : ""), i * f; printf "]" }'
}

# Fills $WORK/info; sets STATUS to the exit status.
ask()
{
    STATUS=0
    "${AS_USER[@]}" "$BUILD/worker-gpu" --gpu-info >"$WORK/info" 2>&1 || STATUS=$?
}

# --- without a device ----------------------------------------------------------------------------
# The driver that tests/driver.sh has fetched, and copies of the binaries for an ordinary user: as root,
# the driver would make device nodes.
use_fetched_driver()
{
    mkdir -p "$WORK/build/handlers" "$WORK/driver"
    cp "$BUILD/worker-gpu" "$WORK/build/"
    cp "$BUILD/handlers/vector_add" "$BUILD/handlers/matmul" "$WORK/build/handlers/"
    cp -a "$BUILD"/driver/lib/libcuda.so.* "$WORK/driver/"
    chmod -R a+rX "$WORK"
    BUILD=$WORK/build
    export RP_LIBCUDA=$WORK/driver
    [ "$(id -u)" -ne 0 ] || AS_USER=(setpriv --reuid=65534 --regid=65534 --clear-groups)
}

# No driver's file, or one that says that there is no device; whatever else keeps the worker from a
# device is a failure.
is_without_gpu()
{
    [ ! -e /proc/driver/nvidia ] && [ ! -e /dev/nvidia0 ] && [ ! -e /dev/dxg ] || return 1
    case $STATUS in
    3) ! grep -q '^driver ' "$WORK/info" ;;
    4) grep -q '^no GPU .* no device' "$WORK/info" ;;
    *) return 1 ;;
    esac
}

without_gpu()
{
    local why='^no GPU .*no libcuda\.so\.1 in |^no GPU .*No such file'
    [ "$STATUS" -ne 4 ] || why='^no GPU .*driver present.* no device.*CUDA_ERROR_NO_DEVICE \(100\)'
    echo "NO GPU HERE, so only what needs none is done; $(grep -a '^no GPU' "$WORK/info" | cut -c 10-)"
    check "information without a GPU" "$STATUS" "$why" "$BUILD/worker-gpu" --gpu-info
    check "the same as JSON" "$STATUS" '"devices": \[\].*"error": "' "$BUILD/worker-gpu" --gpu-info --json
    checked_job "vector_add goes on with the CPU" 0 '"sum": \[11, 22\], "device": "CPU"' handlers/vector_add '{"a": [1, 2], "b": [10, 20]}'
    checked_job "matmul goes on with the CPU" 0 '"device": "CPU"' handlers/matmul '{"n": 64}'
}

# --- with one ------------------------------------------------------------------------------------
# What is free on the device according to a process of its own.
free_bytes()
{
    local words
    mapfile -t words < <(job test-handlers/gpu '{"do": "memory"}')
    "${words[@]}" 2>/dev/null | sed -n 's/.*Job result: {"output": \([0-9]*\)}.*/\1/p'
}

# A thousand jobs through one process, on its own port. bash's /dev/tcp is the client.
thousand_jobs()
{
    local port=$((20000 + RANDOM % 20000)) pid i answer status=0 body='{"id": "j", "input": {"n": 64}}'
    RUNPOD_REALTIME_PORT=$port RUNPOD_ENDPOINT_ID=e RUNPOD_LOG_LEVEL=ERROR "$BUILD/handlers/matmul" >"$WORK/worker" 2>&1 &
    pid=$!
    for ((i = 0; i < 600; i++)); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
        kill -0 "$pid" 2>/dev/null || { cat "$WORK/worker"; return 1; }
        sleep 0.1
    done
    for ((i = 1; i <= 1000; i++)); do
        exec 3<>"/dev/tcp/127.0.0.1/$port" || { status=1; break; }
        printf 'POST /e/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' "${#body}" "$body" >&3
        answer=$(cat <&3)
        exec 3>&-
        if [[ $answer != *'"max_error"'* ]]; then
            echo "job $i: $answer"
            status=1
            break
        fi
    done
    kill "$pid"
    wait "$pid" || status=1
    [ "$status" -eq 0 ] && echo "1000 jobs done"
    return "$status"
}

with_gpu()
{
    local before after n
    sed 's/^/     /' "$WORK/info"
    check "information as JSON" 0 '"compute_capability": "[0-9]+\.[0-9]+"' "$BUILD/worker-gpu" --gpu-info --json
    checked_job "vector_add" 0 '"sum": \[11, 22\], "device": "[^C]' handlers/vector_add '{"a": [1, 2], "b": [10, 20]}'
    checked_job "vector_add of 3,001 elements, each checked" 0 '"device": "[^C]' handlers/vector_add "{\"a\": $(numbers 3001 0.37), \"b\": $(numbers 3001 1.9)}"
    for n in $GPU_SIZES; do
        checked_job "matmul of $n against the CPU" 0 '"max_error": ' handlers/matmul "{\"n\": $n}"
        grep -ao '"ms": [^"]*"gflops": [0-9.]*' "$WORK/out" | sed 's/^/     /'
    done
    before=$(free_bytes)
    check "1,000 jobs" 0 '1000 jobs done' thousand_jobs
    checked_job "copies, timer, pinned memory" 0 '"text": "axxdefg", "timed": true' test-handlers/gpu '{"do": "copies"}'
    checked_job "memory until there is none" 1 'CUDA_ERROR_OUT_OF_MEMORY' test-handlers/gpu '{"do": "fill_up"}'
    checked_job "PTX that is none" 1 'CUDA_ERROR_INVALID_PTX' test-handlers/gpu '{"do": "load"}'
    checked_job "a kernel that writes where it may not" 1 'CUDA_ERROR_ILLEGAL_ADDRESS' test-handlers/gpu '{"do": "illegal"}'
    checked_job "and the next process is well" 0 '"output": 42' test-handlers/gpu '{"do": "poke"}'
    after=$(free_bytes)
    # 64 MiB for what other processes do meanwhile.
    check "no device memory is left behind" 0 'same' bash -c "[ '$before' ] && d=\$(($before - $after)) && [ \${d#-} -lt 67108864 ] && echo same || echo 'free before $before, after $after'"
}

main()
{
    local file
    for file in worker-gpu handlers/vector_add handlers/matmul; do
        [ -x "$BUILD/$file" ] || { echo "$BUILD/$file is not there: ./build.sh makes it" && exit 2; }
    done
    ask
    if is_without_gpu && [ -z "${RP_LIBCUDA-}" ] && [ -e "$BUILD/driver/lib/libcuda.so.1" ]; then
        use_fetched_driver
        ask
    fi
    if [ "$STATUS" -eq 0 ]; then
        [ -x "$BUILD/test-handlers/gpu" ] || { echo "$BUILD/test-handlers/gpu is not there: ./build.sh handler tests/blackbox/handlers/gpu.c -o $BUILD/test-handlers/gpu" && exit 2; }
        with_gpu
    elif is_without_gpu; then
        without_gpu
    else
        check "a GPU that can be used" 0 '^GPU 0' "$BUILD/worker-gpu" --gpu-info
    fi
    echo "$PASSED passed, $FAILED failed"
    [ "$FAILED" -eq 0 ] || exit 1
    [ "$STATUS" -eq 0 ] || exit 77
}

main
