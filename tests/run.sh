#!/usr/bin/env bash
# All the tests:  ./build.sh test [PART]...     (build.sh calls this file)
#
# Parts, in order: lint unit musl fuzz gpu blackbox tsan aarch64 same. Each step prints one line with its
# counts and its time; its whole log is build/log/STEP.log, and the end of that is shown where it
# fails. The last line is "N passed, M failed", with ", K skipped" where something was skipped; the
# exit status is 1 where M is not 0.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

LOG_DIR=build/log
OFFLINE=${OFFLINE:-0}
JOBS=${JOBS:-$(nproc)}
FUZZ_SECONDS=${FUZZ_SECONDS:-10}
NATIVE=$(uname -m)
MAKEFILE=tests/build.mk
PARTS=(lint unit musl fuzz gpu blackbox tsan aarch64 same)

TESTED=()
PASSED=0
FAILED=0
SKIPPED=0
HAVE_DRIVER=0
FLAGS=(-j "$JOBS")
[ "$OFFLINE" -eq 0 ] || FLAGS+=(--offline)

if [ -t 1 ]; then
    BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' PLAIN=$'\e[0m'
else
    BOLD='' RED='' GREEN='' YELLOW='' PLAIN=''
fi

say()
{
    printf '%s\n' "$BOLD$*$PLAIN"
}

die()
{
    printf '%s\n' "${RED}tests: $*$PLAIN" >&2
    exit 1
}

. vendor/packages.sh
. vendor/toolchain.sh

# --- counting ------------------------------------------------------------------------------------
# settle NAME SECONDS PASSED FAILED SKIPPED LOG: one step's line, and the log's end if it failed.
settle()
{
    local name=$1 seconds=$2 passed=$3 failed=$4 skipped=$5 log=$6 mark words
    PASSED=$((PASSED + passed))
    FAILED=$((FAILED + failed))
    SKIPPED=$((SKIPPED + skipped))
    mark="${GREEN}ok  $PLAIN"
    [ "$skipped" -eq 0 ] || mark="${YELLOW}ok  $PLAIN"
    [ "$failed" -eq 0 ] || mark="${RED}FAIL$PLAIN"
    words="$passed passed"
    [ "$failed" -eq 0 ] || words+=", $failed failed"
    [ "$skipped" -eq 0 ] || words+=", $skipped skipped"
    [ ! -t 1 ] || printf '\r\033[K'
    printf '%s %-28s %-34s %4d s\n' "$mark" "$name" "$words" "$seconds"
    if [ "$failed" -gt 0 ]; then
        why "$log" | sed 's/^/     | /'
        echo "     the whole log: $log"
    fi
}

# What of a log says why: from pytest's list of failures on, a sanitizer's first words on, else the end.
why() # LOG
{
    local first
    first=$(grep -anm 1 -E '^=+ (FAILURES|ERRORS) =+|ERROR: (AddressSanitizer|libFuzzer|LeakSanitizer)|runtime error:|^not ok [0-9]+ - ' "$1" |
        cut -d: -f1 || true)
    if [ -n "$first" ]; then
        sed -n "$first,$((first + 80))p" "$1"
    else
        tail -n 40 "$1"
    fi
}

skip() # NAME WHY
{
    SKIPPED=$((SKIPPED + 1))
    [ ! -t 1 ] || printf '\r\033[K'
    printf '%s %-28s %s\n' "${YELLOW}SKIP$PLAIN" "$1" "NOT RUN: $2"
}

begin() # NAME: what is at work now, on a terminal
{
    [ ! -t 1 ] || printf '     %s ...' "$1"
    BEGUN=$(date +%s)
}

since()
{
    echo $(($(date +%s) - BEGUN))
}

# check NAME COMMAND...: one command, one check. Exit status 77 is a skip; the log's last line says why.
check()
{
    local name=$1 log status=0
    log=$LOG_DIR/${name//[^a-z0-9]/-}.log
    shift
    begin "$name"
    "$@" </dev/null >"$log" 2>&1 || status=$?
    case $status in
    0) settle "$name" "$(since)" 1 0 0 "$log" ;;
    77) skip "$name" "$(tail -n 1 "$log")" ;;
    *)
        settle "$name" "$(since)" 0 1 0 "$log"
        return 1
        ;;
    esac
}

# compile NAME MAKE-TARGET: the test programs of a part; without them the part cannot run.
compile()
{
    local log=$LOG_DIR/$1-build.log
    begin "$1: compiling"
    if flock build/build.lock make "${MAKE_ARGS[@]}" "$2" </dev/null >"$log" 2>&1; then
        [ ! -t 1 ] || printf '\r\033[K'
    else
        settle "$1: compiling" "$(since)" 0 1 0 "$log"
        return 1
    fi
}

# --- lint ----------------------------------------------------------------------------------------
part_lint()
{
    local what
    for what in layers headers format cppcheck tidy shell; do
        check "lint: $what" tests/lint/lint.sh "$what" || true
    done
}

# --- unit ----------------------------------------------------------------------------------------
# A cmocka program speaks TAP: "ok 1 - name", "not ok 2 - name", "not ok 3 # SKIP name". One that ends badly
# without a "not ok" (a crash, a sanitizer, a leak found at the end) counts as one failure.
unit_program() # NAME PROGRAM
{
    local name=$1 program=$2 log status=0 passed failed skipped
    log=$LOG_DIR/${name//[^a-z0-9_]/-}.log
    begin "$name"
    CMOCKA_MESSAGE_OUTPUT=TAP ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
        timeout --kill-after=5 180 "$program" </dev/null >"$log" 2>&1 || status=$?
    failed=$(grep -acE '^not ok [0-9]+ - ' "$log" || true)
    skipped=$(grep -acE '^(not )?ok [0-9]+ # SKIP' "$log" || true)
    passed=$(grep -acE '^ok [0-9]+ - ' "$log" || true)
    [ "$status" -ne 124 ] || echo "it did not end within 180 s" >>"$log"
    [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
    if [ "$status" -eq 0 ] && [ $((passed + failed + skipped)) -eq 0 ]; then
        echo "it ended well but reported no test" >>"$log"
        failed=1
    fi
    settle "$name" "$(since)" "$passed" "$failed" "$skipped" "$log"
}

unit_programs() # FOLDER PREFIX
{
    local source name
    for source in tests/unit/test_*.c; do
        name=$(basename "$source" .c)
        unit_program "$2: ${name#test_}" "$1/$name"
    done
}

part_unit()
{
    compile unit unit-asan || return 0
    unit_programs build/asan/unit unit
}

part_musl()
{
    compile musl unit-musl || return 0
    unit_programs "build/$NATIVE/unit" musl
}

# --- fuzz ----------------------------------------------------------------------------------------
fuzz_one() # NAME: libFuzzer over a copy of the corpus; what breaks stays in build/fuzz
{
    local name=$1 corpus dictionary=() until=(-max_total_time="$FUZZ_SECONDS")
    corpus=build/fuzz/${name#fuzz_}
    rm -rf "$corpus"
    mkdir -p "$corpus"
    [ ! -d "tests/fuzz/corpus/${name#fuzz_}" ] || cp "tests/fuzz/corpus/${name#fuzz_}"/* "$corpus"/
    [ ! -f "tests/fuzz/${name#fuzz_}.dict" ] || dictionary=(-dict="tests/fuzz/${name#fuzz_}.dict")
    [ "$FUZZ_SECONDS" -gt 0 ] || until=(-runs=0) # the corpus alone; 0 seconds would be for ever
    UBSAN_OPTIONS=print_stacktrace=1 timeout --kill-after=5 $((FUZZ_SECONDS + 120)) \
        "build/asan/fuzz/$name" "${dictionary[@]}" "${until[@]}" -timeout=10 \
        -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="build/fuzz/$name-" "$corpus"
}

part_fuzz()
{
    local source name status seconds
    compile fuzz fuzz || return 0
    mkdir -p build/fuzz
    begin "fuzz: $FUZZ_SECONDS s each"
    # As many at a time as there are cores; the lines come in order afterwards.
    for source in tests/fuzz/fuzz_*.c; do
        name=$(basename "$source" .c)
        while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do wait -n || true; done
        (
            BEGUN=$(date +%s) status=0
            fuzz_one "$name" </dev/null >"$LOG_DIR/$name.log" 2>&1 || status=1
            echo "$status $(since)" >"$LOG_DIR/$name.status"
        ) &
    done
    wait
    for source in tests/fuzz/fuzz_*.c; do
        name=$(basename "$source" .c)
        read -r status seconds <"$LOG_DIR/$name.status"
        settle "fuzz: ${name#fuzz_}" "$seconds" $((1 - status)) "$status" 0 "$LOG_DIR/$name.log"
    done
}

# --- what others have made, for tests against it ---------------------------------------------------
# real_thing NAME TESTS COMMAND...: brings it here; where it cannot be had the tests that want it skip, and say so.
real_thing()
{
    local name=$1 tests=$2 log status=0
    log=$LOG_DIR/${name//[^a-zA-Z0-9]/-}.log
    shift 2
    begin "$name"
    timeout --kill-after=10 600 "$@" </dev/null >"$log" 2>&1 || status=$?
    [ ! -t 1 ] || printf '\r\033[K'
    [ "$status" -eq 0 ] || skip "$name" "$tests: $(tail -n 1 "$log")"
}

# Once a run: both parts that use it ask.
real_driver()
{
    [ "$HAVE_DRIVER" -eq 1 ] || real_thing "GPU driver" "NVIDIA's own libraries" tests/driver.sh build/driver "$OFFLINE"
    HAVE_DRIVER=1
}

# --- a GPU ---------------------------------------------------------------------------------------
# gpu_script NAME [VARIABLE=VALUE]...: tests/gpu.sh, counted by its own last line. Status 77: there is no GPU.
gpu_script()
{
    local name=$1 log status=0 passed failed
    log=$LOG_DIR/${name//[^a-z0-9]/-}.log
    shift
    begin "$name"
    timeout --kill-after=10 900 env "$@" tests/gpu.sh </dev/null >"$log" 2>&1 || status=$?
    read -r passed failed < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed.*/\1 \2/p' "$log") || true
    case $status:${failed:-none} in
    0:0 | 77:0 | 1:[1-9]*) ;;
    *) failed=1 && echo "it ended with status $status" >>"$log" ;; # broken in itself
    esac
    settle "$name" "$(since)" "${passed:-0}" "$failed" "$((status == 77))" "$log"
    [ "$status" -ne 77 ] || grep -a '^NO GPU HERE' "$log" | sed 's/^/     | /'
}

# The script's branch for a GPU is run on the fake one everywhere, with fewer and smaller matrices.
part_gpu()
{
    check "gpu: test libraries" tests/gpulibs.sh || return 0
    check "gpu: test handler" ./build.sh "${FLAGS[@]}" handler tests/blackbox/handlers/gpu.c -o build/test-handlers/gpu ||
        return 0
    real_driver
    gpu_script "gpu: a fake one" RP_LIBCUDA="$PWD/build/gpu/libcuda.so.1" GPU_SIZES="1 17 100"
    gpu_script "gpu: this machine"
}

# --- black box -----------------------------------------------------------------------------------
# pytest_part NAME ARG...: a run of tests/blackbox (or of the files in TESTED), counted by pytest's own report. More at a time than
# there are cores: most of a test is waiting for the other end.
pytest_part()
{
    local name=$1 log report status=0 counts
    [ "${#TESTED[@]}" -gt 0 ] || local TESTED=(tests/blackbox)
    log=$LOG_DIR/${name//[^a-z0-9]/-}.log
    report=$LOG_DIR/${name//[^a-z0-9]/-}.xml
    shift
    begin "$name"
    rm -f "$report"
    timeout --kill-after=10 1200 build/venv/bin/python -m pytest -q --tb=short -p no:cacheprovider \
        --color=no -o junit_family=xunit2 --junitxml="$report" -rsfE \
        -n "$((JOBS * 2))" --dist loadgroup "$@" "${TESTED[@]}" \
        </dev/null >"$log" 2>&1 || status=$?
    counts=$(build/venv/bin/python - "$report" 2>/dev/null <<'EOF'
import sys, xml.etree.ElementTree as tree
suite = next(tree.parse(sys.argv[1]).iter("testsuite"))
total, failed, skipped = (int(suite.get(key)) for key in ("tests", "failures", "skipped"))
failed += int(suite.get("errors"))
print(max(0, total - failed - skipped), failed, skipped)
EOF
    ) || counts="0 0 0"
    [ "$status" -ne 124 ] || echo "it did not end within 1200 s" >>"$log"
    # Broken in itself (collecting, a time-out): one failure at the least.
    case "$status:$counts" in
    0:*) ;;
    *:*" 0 "*) counts=$(awk '{ print $1, 1, $3 }' <<<"$counts") ;;
    esac
    # shellcheck disable=SC2086 # three numbers on purpose
    settle "$name" "$(since)" $counts "$log"
    [ "$(cut -d' ' -f3 <<<"$counts")" -eq 0 ] || grep -a '^SKIPPED' "$log" | sed 's/^/     | /'
}

venv()
{
    tests/venv.sh build/venv tests/requirements.txt "$OFFLINE" >"$LOG_DIR/venv.log" 2>&1
}

# The packages of Python's index, or one line that says that the part is not run.
venv_or_skip() # PART
{
    ! venv || return 0
    if [ "$OFFLINE" -eq 1 ]; then
        skip "$1" "--offline, and build/venv is not there yet"
    else
        settle "$1: Python packages" 0 0 1 0 "$LOG_DIR/venv.log"
    fi
    return 1
}

part_blackbox()
{
    venv_or_skip blackbox || return 0
    real_thing "inference server" "HTTP handlers before a real one" tests/realserver.sh build/llama "$OFFLINE"
    real_thing "S3 server" "uploads to a real one" tests/s3server.sh build/s3 "$OFFLINE"
    real_driver
    check image ./build.sh image "${FLAGS[@]}" || return 0
    WORKER_BUILD=build pytest_part blackbox
}

# --- threads -------------------------------------------------------------------------------------
# The tests with many threads at work, again, on workers under ThreadSanitizer.
part_tsan()
{
    local runner='' TESTED
    venv_or_skip tsan || return 0
    check "tsan: build" tests/tsan.sh build || return 0
    mapfile -t TESTED < <(tests/tsan.sh files)
    # Where addresses are random the sanitizer may find no room for its shadow: they need not be.
    ! setarch "$NATIVE" -R true 2>/dev/null || runner="setarch $NATIVE -R"
    WORKER_BUILD=build/tsan WORKER_RUNNER=$runner pytest_part tsan
}

# --- another architecture ------------------------------------------------------------------------
part_aarch64()
{
    local status=0 name
    if [ "$NATIVE" = aarch64 ]; then
        skip aarch64 "this machine is one: the other parts ran on it"
        return
    fi
    begin aarch64
    (need_packages aarch64 qemu && vendor/foreign-musl.sh aarch64 "$OFFLINE") \
        </dev/null >"$LOG_DIR/aarch64-tools.log" 2>&1 || status=$?
    [ ! -t 1 ] || printf '\r\033[K'
    if [ "$status" -ne 0 ]; then
        skip aarch64 "cross compiler, musl or qemu cannot be had here: $(tail -n 1 "$LOG_DIR/aarch64-tools.log")"
        return
    fi
    check "aarch64: build" ./build.sh --target aarch64 "${FLAGS[@]}" || return 0
    for name in worker worker-gpu; do
        check "aarch64: $name starts" qemu-aarch64-static "build/aarch64/$name" --version || return 0
    done
    if venv; then
        WORKER_BUILD=build/aarch64 WORKER_RUNNER=qemu-aarch64-static \
            pytest_part "aarch64: blackbox, under qemu" -m smoke
    else
        skip "aarch64: blackbox" "build/venv is not there"
    fi
}

# --- the same bytes ------------------------------------------------------------------------------
# A build from nothing, in another folder with a blank in its name, gives the same binaries and the
# same image archive.
same_bytes() # FOLDER
{
    local elsewhere="$1/another folder" binaries file
    mkdir -p "$elsewhere/vendor/.cache"
    cp -r src docker build.sh "$elsewhere/"
    cp vendor/[!.]* "$elsewhere/vendor/"
    cp vendor/.cache/*.tar.* "$elsewhere/vendor/.cache/"
    "$elsewhere/build.sh" --offline -j "$JOBS"
    ./build.sh "${FLAGS[@]}"
    docker/image.sh build/worker build/image.tar archive
    "$elsewhere/docker/image.sh" "$elsewhere/build/worker" "$elsewhere/build/image.tar" archive
    binaries=$(make_value BINARIES) || return 1
    for file in $binaries build/image.tar; do
        cmp "$file" "$elsewhere/$file" || return 1
        echo "$file: the same $(stat -c %s "$file") bytes"
    done
}

part_same()
{
    local folder
    folder=$(mktemp -d)
    check "same bytes from elsewhere" same_bytes "$folder" || true
    rm -rf "$folder"
}

# --- all of it -----------------------------------------------------------------------------------
chosen() # PART
{
    [ "${#CHOSEN[@]}" -eq 0 ] || [[ " ${CHOSEN[*]} " == *" $1 "* ]]
}

# What still runs in the background (fuzz targets, each under a timeout that passes the signal on).
end_children()
{
    local job
    for job in $(jobs -p); do
        # shellcheck disable=SC2046 # process ids
        kill $(cat "/proc/$job/task/$job/children" 2>/dev/null) "$job" 2>/dev/null || true
    done
}

# The last line, whatever happens: a script that breaks off has failed.
summary()
{
    local status=$? tail=''
    trap - EXIT
    if [ "$FINISHED" -eq 0 ]; then
        end_children
        FAILED=$((FAILED + 1))
        echo "${RED}the tests broke off (exit status $status)$PLAIN"
    fi
    [ "$SKIPPED" -eq 0 ] || tail=", $SKIPPED skipped"
    echo "$PASSED passed, $FAILED failed$tail"
    [ "$FAILED" -eq 0 ] || exit 1
    exit 0
}

main()
{
    local part
    CHOSEN=("$@")
    for part in "$@"; do
        [[ " ${PARTS[*]} " == *" $part "* ]] || die "no part named $part: ${PARTS[*]}"
    done
    FINISHED=0
    trap summary EXIT
    trap 'exit 130' INT TERM HUP
    [[ $FUZZ_SECONDS =~ ^[0-9]+$ ]] || die "FUZZ_SECONDS is '$FUZZ_SECONDS', no number of seconds"
    mkdir -p "$LOG_DIR"
    alone test
    need_packages build test
    vendor/fetch.sh "${FLAGS[@]:2}" || die "the sources of vendor/lock cannot be had"
    toolchain "$NATIVE"
    if check build ./build.sh "${FLAGS[@]}"; then
        for part in "${PARTS[@]}"; do
            ! chosen "$part" || "part_$part"
        done
    fi
    FINISHED=1
}

main "$@"
