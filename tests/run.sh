#!/usr/bin/env bash
# All the tests:  ./build.sh test [PART]...     (build.sh calls this file)
#
# Parts, in order: lint unit musl newer fuzz gpu blackbox confined asan tsan aarch64 same. Only when
# they are named: quick (what the last change concerns, in under a minute), audited and coverage.
# What follows "blackbox" and is not a part goes to pytest: files of tests/blackbox, -k WORDS.
# tests/README.md describes all of them.
#
# Each step prints one line with its counts and its time; its whole log is build/log/STEP.log, and
# the end of that is shown when it fails. Before the last line, all that failed is named once more.
# The last line is "N passed, M failed", with ", K skipped" if something was skipped; the exit
# status is 1 unless M is 0.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

LOG_DIR=build/log
OFFLINE=${OFFLINE:-0}
JOBS=${JOBS:-$(nproc)}
FUZZ_SECONDS=${FUZZ_SECONDS:-10}
PYTEST_S=1200 # a run of it has ended by then
NATIVE=$(uname -m)
MAKEFILE=tests/build.mk
PARTS=(lint unit musl newer fuzz gpu blackbox confined asan tsan aarch64 same)
ON_DEMAND=(quick audited coverage)

CHOSEN=()
ASKED=() # of pytest, by the caller
TESTED=()
PASSED=0
FAILED=0
SKIPPED=0
FAILURES=() # a line for each
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
        FAILURES+=("$name: $words")
    fi
}

# The part of a log that says why: from pytest's failures or a sanitizer's report on, else the end.
REASONS='^=+ (FAILURES|ERRORS) =+|ERROR: (AddressSanitizer|libFuzzer|LeakSanitizer)'
REASONS+='|runtime error:|^not ok [0-9]+ - '
why() # LOG
{
    local first
    first=$(grep -anm 1 -E "$REASONS" "$1" | cut -d: -f1 || true)
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

# check NAME COMMAND...: one command, one check. Exit status 77: skipped, and the log's last line
# says why.
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

# compile NAME MAKE-TARGET...: the test programs of a part; without them the part cannot run.
compile()
{
    local name=$1 log=$LOG_DIR/$1-build.log
    shift
    begin "$name: compiling"
    if flock build/build.lock make "${MAKE_ARGS[@]}" "$@" </dev/null >"$log" 2>&1; then
        [ ! -t 1 ] || printf '\r\033[K'
    else
        settle "$name: compiling" "$(since)" 0 1 0 "$log"
        return 1
    fi
}

# --- lint ----------------------------------------------------------------------------------------
LINTS_AT_ONCE=(layers tags columns comments citations bounded calls sizes pipes audit)

lints() # NAME...
{
    local what
    for what in "$@"; do
        check "lint: $what" tests/lint/lint.sh "$what" || true
    done
}

part_lint()
{
    lints "${LINTS_AT_ONCE[@]}" headers format cppcheck tidy shell
}

# --- unit ----------------------------------------------------------------------------------------
# A cmocka program speaks TAP: "ok 1 - name", "not ok 2 - name", "not ok 3 # SKIP name". One that
# ends badly without a "not ok" (a crash, a sanitizer, a leak found at the end) counts as one
# failure.
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

# The static programs of the GPU loader's tests, in build/newer/gpu.
newer_gpu_programs()
{
    local MAKE_ARGS=("${MAKE_ARGS[@]/#tests\/build.mk/tests/gpu.mk}")
    compile newer-gpu gpu-static
}

# Black-box tests of every kind of handler and of source, and of what opens files: for parts that
# run all of them only when they are named.
OF_EVERY_KIND=(roundtrip stream stop child child_once child_isolate http_own fitness_program
    fitness realtime serve download upload upload_program archives result_dir models tls proxy
    watch)
OF_EVERY_KIND=("${OF_EVERY_KIND[@]/#/tests/blackbox/test_}")
OF_EVERY_KIND=("${OF_EVERY_KIND[@]/%/.py}")

# The same sources on a newer musl than the distribution's (tests/newermusl.sh). What depends on the
# C library are threads, signals, files and sockets; the rest is the same code.
part_newer()
{
    local TESTED=(tests/blackbox)
    local MAKE_ARGS=("${MAKE_ARGS[@]}" B=build/newer OUT=build/newer
        MUSL_INC=build/newer-musl/include MUSL_LIB=build/newer-musl/lib)
    real_thing "newer musl" "the worker on another musl" tests/newermusl.sh "$OFFLINE"
    [ -f build/newer-musl/lib/libc.a ] || return 0
    compile newer unit-musl || return 0
    unit_programs build/newer/unit "newer musl"
    compile newer workers || return 0
    newer_gpu_programs || return 0
    [ "${#CHOSEN[@]}" -gt 0 ] || TESTED=("${OF_EVERY_KIND[@]}"
        tests/blackbox/test_gpu_{loader,libraries,cuda}.py)
    ! venv_or_skip newer ||
        WORKER_BUILD=build/newer pytest_part "newer musl: blackbox" -m "not shipped"
}

# --- what the last change concerns ---------------------------------------------------------------
part_quick()
{
    local names name
    lints "${LINTS_AT_ONCE[@]}"
    check "lint: format, changed files" tests/lint/lint.sh format changed || true
    mapfile -t names < <(python3 tests/lint/changed.py tests)
    if [ "${#names[@]}" -eq 0 ] || [ -z "${names[0]}" ]; then
        echo "     no unit test concerns what has changed"
        return
    fi
    compile unit "${names[@]/#/build/asan/unit/}" || return 0
    for name in "${names[@]}"; do
        unit_program "unit: ${name#test_}" "build/asan/unit/$name"
    done
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

# --- other people's programs, to test against ----------------------------------------------------
# real_thing NAME TESTS COMMAND...: fetches it; if that fails, the tests that need it are skipped
# and say so.
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
    [ "$HAVE_DRIVER" -eq 1 ] ||
        real_thing "GPU driver" "NVIDIA's own libraries" tests/driver.sh build/driver "$OFFLINE"
    HAVE_DRIVER=1
}

# --- a GPU ---------------------------------------------------------------------------------------
# gpu_script NAME [VARIABLE=VALUE]...: tests/gpu.sh, counted by its own last line. Status 77: no
# GPU.
gpu_script()
{
    local name=$1 log status=0 passed failed
    log=$LOG_DIR/${name//[^a-z0-9]/-}.log
    shift
    begin "$name"
    timeout --kill-after=10 900 env "$@" tests/gpu.sh </dev/null >"$log" 2>&1 || status=$?
    read -r passed failed < <(
        sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed.*/\1 \2/p' "$log"
    ) || true
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
    local name
    check "gpu: test libraries" tests/gpulibs.sh || return 0
    for name in gpu matmul_served; do
        check "gpu: handler $name" ./build.sh "${FLAGS[@]}" handler \
            "tests/blackbox/handlers/$name.c" -o "build/test-handlers/$name" || return 0
    done
    real_driver
    gpu_script "gpu: a fake one" RP_LIBCUDA="$PWD/build/gpu/libcuda.so.1" GPU_SIZES="1 17 100"
    gpu_script "gpu: this machine"
}

# --- black box -----------------------------------------------------------------------------------
run_pytest() # ARG...
{
    timeout --kill-after=10 "$PYTEST_S" build/venv/bin/python -m pytest -q --tb=short \
        -p no:cacheprovider --color=no -o junit_family=xunit2 -rsfE -n "$((JOBS * 3))" \
        --dist loadgroup "$@" </dev/null
}

# pytest_part NAME ARG...: a run of tests/blackbox (or of the files in TESTED), counted by pytest's
# own report. More at a time than there are cores: most of a test is waiting for the other end.
pytest_part()
{
    local name=$1 log report status=0
    [ "${#TESTED[@]}" -gt 0 ] || local TESTED=(tests/blackbox)
    log=$LOG_DIR/${name//[^a-z0-9]/-}.log
    report=$LOG_DIR/${name//[^a-z0-9]/-}.xml
    shift
    begin "$name"
    rm -f "$report" "${report%.xml}-again.xml"
    run_pytest --junitxml="$report" "$@" "${TESTED[@]}" >"$log" 2>&1 || status=$?
    [ "$status" -ne 1 ] || ! again "$report" "$log" || status=0
    settle_pytest "$name" "$status" "$report" "$log"
}

# again REPORT LOG: runs what failed only by being late (tests/verdict.py) a second time, alone, and
# names it. Status 0 if nothing has failed after that.
again()
{
    local report=$1 log=$2 second=${1%.xml}-again.xml PYTEST_S=600 late one
    mapfile -t late < <(build/venv/bin/python tests/verdict.py late "$report")
    [ "${#late[@]}" -gt 0 ] || return 1
    for one in "${late[@]}"; do
        printf '%s %s\n' "${YELLOW}late$PLAIN" "$one: run again, alone"
    done
    run_pytest --junitxml="$second" --dist no -n 0 "${late[@]}" >>"$log" 2>&1 || true
    [[ $(build/venv/bin/python tests/verdict.py counts "$report" "$second") = *" 0 "* ]]
}

# settle_pytest NAME STATUS REPORT LOG
settle_pytest()
{
    local name=$1 status=$2 report=$3 log=$4 reports=("$3") counts failed
    [ ! -f "${report%.xml}-again.xml" ] || reports+=("${report%.xml}-again.xml")
    counts=$(build/venv/bin/python tests/verdict.py counts "${reports[@]}" 2>>"$log") ||
        counts="0 0 0"
    [ "$status" -ne 124 ] || echo "it did not end within $PYTEST_S s" >>"$log"
    # Broken in itself (collecting, a time-out): one failure at the least.
    case "$status:$counts" in
    0:*) ;;
    *:*" 0 "*) counts=$(awk '{ print $1, 1, $3 }' <<<"$counts") ;;
    esac
    # shellcheck disable=SC2086 # three numbers on purpose
    settle "$name" "$(since)" $counts "$log"
    mapfile -t failed < <(build/venv/bin/python tests/verdict.py failed "${reports[@]}" 2>/dev/null)
    FAILURES+=("${failed[@]/#/    }")
    [ "$(cut -d' ' -f3 <<<"$counts")" -eq 0 ] || skipped_lines "$log"
}

# Of pytest's lines, "SKIPPED [N] FILE:LINE: WHY": one for each reason.
skipped_lines() # LOG
{
    sed -nE 's/^SKIPPED \[([0-9]+)\] [^ ]+: (.*)/\1 \2/p' "$1" | awk '
        { n = $1; sub(/^[0-9]+ /, ""); if (!($0 in of)) why[++reasons] = $0; of[$0] += n }
        END { for (i = 1; i <= reasons; i++) print "     | skipped " of[why[i]] ": " why[i] }'
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

# The tests that the caller names, with pytest's own words.
asked_tests()
{
    local log=$LOG_DIR/blackbox-asked.log report=$LOG_DIR/blackbox-asked.xml status=0
    local found=() one file
    for one in "${ASKED[@]}"; do
        file=tests/blackbox/${one#tests/blackbox/}
        [ -e "${file%%::*}" ] || file=tests/blackbox/test_$one.py
        if [ -e "${file%%::*}" ]; then found+=("$file"); else found+=("$one"); fi
    done
    [[ " ${found[*]}" == *" tests/blackbox/"* ]] || found+=(tests/blackbox)
    begin "blackbox"
    WORKER_BUILD=${WORKER_BUILD:-build} run_pytest --junitxml="$report" "${found[@]}" 2>&1 |
        tee "$log" || status=$?
    settle_pytest blackbox "$status" "$report" "$log"
}

part_blackbox()
{
    venv_or_skip blackbox || return 0
    if [ "${#ASKED[@]}" -gt 0 ]; then
        asked_tests
        return
    fi
    real_thing "inference server" "HTTP handlers before a real one" \
        tests/realserver.sh build/llama "$OFFLINE"
    real_thing "models" "tokenizer and network against other implementations" \
        tests/model.sh build/model "$OFFLINE"
    real_thing "clients of the job API" "the official clients, the console in a browser" \
        tests/venv.sh build/venv-clients tests/clients-requirements.txt "$OFFLINE"
    real_thing "S3 server" "uploads to a real one" tests/s3server.sh build/s3 "$OFFLINE"
    real_driver
    check image ./build.sh image "${FLAGS[@]}" || return 0
    WORKER_BUILD=build pytest_part blackbox
}

# --- held to what --audit lists ------------------------------------------------------------------
part_confined()
{
    local TESTED=(tests/blackbox)
    venv_or_skip confined || return 0
    [ "${#CHOSEN[@]}" -gt 0 ] || TESTED=("${OF_EVERY_KIND[@]}")
    WORKER_CONFINE=1 WORKER_BUILD=build pytest_part confined -m "not shipped and not unconfined"
}

# Under strace, which takes several times as long.
part_audited()
{
    local PYTEST_S=5400
    venv_or_skip audited || return 0
    WORKER_AUDIT=1 WORKER_BUILD=build pytest_part audited -m "not shipped and not unlisted"
}

# --- sanitizers ----------------------------------------------------------------------------------
# sanitized NAME ARG...: the black-box tests, or some, on workers under that sanitizer.
sanitized()
{
    local name=$1 runner='' TESTED
    shift
    venv_or_skip "$name" || return 0
    check "$name: build" tests/sanitize.sh build "$name" || return 0
    mapfile -t TESTED < <(tests/sanitize.sh files "$name")
    # Where addresses are random the sanitizer may find no room for its shadow: they need not be.
    [ "$name" != tsan ] || ! setarch "$NATIVE" -R true 2>/dev/null || runner="setarch $NATIVE -R"
    WORKER_BUILD=build/$name-worker WORKER_RUNNER=$runner pytest_part "$name" "$@"
}

part_asan()
{
    sanitized asan -m "not shipped"
}

part_tsan()
{
    sanitized tsan
}

# --- coverage ------------------------------------------------------------------------------------
# Unit and black-box tests on programs that count what of them is run, and a table.
part_coverage()
{
    local TESTED mask
    venv_or_skip coverage || return 0
    check "coverage: build" tests/coverage.sh build || return 0
    mask=$(umask)
    umask 0 # some tests run programs as another user, who is to count in the same files
    unit_programs build/coverage/unit coverage
    mapfile -t TESTED < <(tests/coverage.sh files)
    # Counting takes registers that a thread-local descriptor's resolver has to leave alone.
    WORKER_BUILD=build/coverage pytest_part "coverage: blackbox" -k "not [descriptor]"
    umask "$mask"
    check "coverage: report" tests/coverage.sh report || return 0
    sed '/^$/,$d; s/^/     | /' build/coverage/coverage.txt
    echo "     what was not run: build/coverage/uncovered/, file by file"
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
        skip aarch64 "no cross compiler, musl or qemu: $(tail -n 1 "$LOG_DIR/aarch64-tools.log")"
        return
    fi
    check "aarch64: build" ./build.sh --target aarch64 "${FLAGS[@]}" || return 0
    for name in worker worker-gpu; do
        check "aarch64: $name starts" qemu-aarch64-static "build/aarch64/$name" --version ||
            return 0
    done
    if venv; then
        WORKER_BUILD=build/aarch64 WORKER_RUNNER=qemu-aarch64-static \
            pytest_part "aarch64: blackbox, under qemu" -m smoke
    else
        skip "aarch64: blackbox" "build/venv is not there"
    fi
}

# --- the same bytes ------------------------------------------------------------------------------
# A build from nothing, of the archive of sources, without a network, in another folder with a blank
# in its name, and without debug information, gives the same kit, the same binaries and the same
# image archive, and its own archive of sources is the same. "check" ends nothing where a command
# fails: each says so itself.
same_bytes() # FOLDER
{
    local version kit sources elsewhere said binaries file status=0
    version=$(vendor/version.sh)
    kit=build/kit/slim-worker-$version-$NATIVE.tar.gz
    sources=build/kit/slim-worker-$version-sources.tar
    elsewhere="$1/another folder/slim-worker-$version"
    ./build.sh "${FLAGS[@]}" || return 1
    ./build.sh "${FLAGS[@]}" kit || return 1
    said=$(DEBUG_INFO='' VERIFY_FOLDER="$1/another folder" \
        ./build.sh "${FLAGS[@]}" verify "$kit") || status=$?
    echo "$said"
    [ "$status" -eq 0 ] && grep -q '^match: ' <<<"$said" || return 1
    DEBUG_INFO='' "$elsewhere/build.sh" --offline -j "$JOBS" || return 1
    docker/image.sh build/worker build/image.tar archive || return 1
    "$elsewhere/docker/image.sh" "$elsewhere/build/worker" "$elsewhere/build/image.tar" archive ||
        return 1
    binaries=$(make_value BINARIES) || return 1
    for file in $binaries build/image.tar "$kit" "$sources"; do
        cmp "$file" "$elsewhere/$file" || return 1
        echo "$file: the same $(stat -c %s "$file") bytes"
    done
}

part_same()
{
    local folder
    folder=$(mktemp -d)
    ! check "same bytes from elsewhere" same_bytes "$folder" ||
        check "same kit from a container" tests/rebuild.sh || true
    rm -rf "$folder"
}

# --- all of it -----------------------------------------------------------------------------------
chosen() # PART
{
    [ "${#CHOSEN[@]}" -eq 0 ] && [[ " ${ON_DEMAND[*]} " != *" $1 "* ]] ||
        [[ " ${CHOSEN[*]} " == *" $1 "* ]]
}

# Parts, and behind "blackbox" what is pytest's.
read_arguments() # ARG...
{
    while [ $# -gt 0 ]; do
        if [[ " ${PARTS[*]} ${ON_DEMAND[*]} " == *" $1 "* ]]; then
            CHOSEN+=("$1")
        elif [[ " ${CHOSEN[*]} " != *" blackbox "* ]]; then
            die "no part named $1: ${PARTS[*]} ${ON_DEMAND[*]}"
        else
            ASKED+=("$1")
            if [[ $1 = -[a-zA-Z] && $# -gt 1 ]]; then # -k WORDS, whatever they are
                ASKED+=("$2")
                shift
            fi
        fi
        shift
    done
}

# Whether one of the chosen parts runs what ships.
wants_build()
{
    local part
    for part in "${PARTS[@]}" audited; do
        ! chosen "$part" || return 0
    done
    return 1
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
    [ "${#FAILURES[@]}" -eq 0 ] || printf '%s\n' "failed:" "${FAILURES[@]}"
    echo "$PASSED passed, $FAILED failed$tail"
    [ "$FAILED" -eq 0 ] || exit 1
    exit 0
}

main()
{
    local part
    read_arguments "$@"
    FINISHED=0
    trap summary EXIT
    trap 'exit 130' INT TERM HUP
    [[ $FUZZ_SECONDS =~ ^[0-9]+$ ]] || die "FUZZ_SECONDS is '$FUZZ_SECONDS', no number of seconds"
    mkdir -p "$LOG_DIR"
    alone test
    need_packages build test
    vendor/fetch.sh "${FLAGS[@]:2}" || die "the sources of vendor/lock cannot be had"
    toolchain "$NATIVE"
    if ! wants_build || check build ./build.sh "${FLAGS[@]}"; then
        for part in "${ON_DEMAND[@]}" "${PARTS[@]}"; do
            ! chosen "$part" || "part_$part"
        done
    fi
    FINISHED=1
}

main "$@"
