# shellcheck shell=bash
# The tools of a target, and make with a picture of its progress. Sourced by build.sh.
#
#   toolchain TARGET      fills OUT and MAKE_ARGS for vendor/build.mk
#   run_make ARG...       make: a counter on a terminal, one line elsewhere
#   alone NAME            wait until no other run in this folder holds build/NAME.lock, and hold it
#                         until the process ends, or "free": two at once would write the
#                         same files
#   make_value NAME       what a variable of vendor/build.mk is
#   roots_version         release of the root certificates

ROOTS_DIR=/usr/share/ca-certificates/mozilla
MAKEFILE=${MAKEFILE:-vendor/build.mk}

toolchain()
{
    local target=$1 tools='' lib inc
    OUT=build
    lib=/usr/lib/$target-linux-musl
    inc=/usr/include/$target-linux-musl
    if [ "$target" != "$NATIVE" ]; then
        OUT=build/$target
        tools=$target-linux-gnu-
        vendor/foreign-musl.sh "$target" "$OFFLINE"
        lib=vendor/.src/musl-$target$lib
        inc=vendor/.src/musl-$target$inc
    fi
    [ -f "$lib/rcrt1.o" ] ||
        say "note: musl-dev has no rcrt1.o here, so the binaries are static at a fixed address"
    MAKE_ARGS=(--no-print-directory -f "$MAKEFILE" -j "$JOBS"
        TARGET="$target" OUT="$OUT" CC="${tools}gcc" AR="${tools}ar" STRIP="${tools}strip"
        MUSL_INC="$inc" MUSL_LIB="$lib"
        HOST_CC=gcc HOST_MUSL_INC="/usr/include/$NATIVE-linux-musl"
        HOST_MUSL_LIB="/usr/lib/$NATIVE-linux-musl" ROOTS_DIR="$ROOTS_DIR")
}

roots_version()
{
    dpkg-query -W -f '${Version}' ca-certificates 2>/dev/null || echo 'of unknown release'
}

make_value()
{
    make "${MAKE_ARGS[@]}" -s --eval "print-value: ; @echo \$($1)" print-value
}

# Lines "CC  file" become a counter on a terminal; elsewhere a line when compiling and when linking
# begins. Not by awk, which may keep lines back until it has 4 KB of them.
progress() # TOTAL PROGRAMS
{
    local line total=$1 programs=$2 done=0 linking=0 clear=
    [ ! -t 1 ] || clear=$'\r\e[K'
    while IFS= read -r line; do
        case $line in
        'CC  '* | 'AR  '* | 'LD  '* | 'GEN '*)
            done=$((done + 1))
            if [ -n "$clear" ]; then
                printf '%s[%d/%d] %s' "$clear" "$done" "$total" "$line"
                continue
            fi
            [ "$done" -gt 1 ] || echo "building $total files"
            if [[ $line = LD* && $line != *.o && $linking -eq 0 ]]; then
                linking=1
                echo "linking $programs programs"
            fi
            ;;
        *)
            [ "$done" -eq 0 ] || printf %s "$clear"
            printf '%s\n' "$line"
            ;;
        esac
    done
    [ "$done" -eq 0 ] || printf %s "$clear"
}

alone() # NAME
{
    mkdir -p build
    exec 8>"build/$1.lock"
    flock -n 8 || {
        say "waiting for another $1 in this folder to end"
        flock 8
    }
}

free()
{
    exec 8>&-
}

run_make()
{
    local plan total programs start status=0
    alone build
    plan=$(make "${MAKE_ARGS[@]}" -n "$@" 2>/dev/null | grep -oE "echo '(CC|AR|LD|GEN) .*" || true)
    total=$(grep -c . <<<"$plan" || true)
    programs=$(grep "echo 'LD " <<<"$plan" | grep -cv "\.o'" || true)
    start=$(date +%s)
    mkdir -p "$LOG_DIR"
    make "${MAKE_ARGS[@]}" "$@" </dev/null 2>&1 | progress "$total" "$programs" || status=$?
    free
    [ "$status" -eq 0 ] || die "the build failed"
    [ "$total" -eq 0 ] || say "built in $(($(date +%s) - start)) s"
}
