# shellcheck shell=bash
# The verbs "core" and "handler". Sourced by build.sh.
#
# The core is built once, into build/core. A handler is compiled and linked with it by
# vendor/kit/bin/worker-cc, as with an unpacked kit, without make and without LTO.

verb_core()
{
    prepare
    say "root certificates: ca-certificates $(roots_version)"
    MAKE_ARGS=("${MAKE_ARGS[@]/#vendor\/build.mk/vendor\/kit\/build.mk}")
    run_make core
}

# Whether no source of the core is newer than it, nor was the compiler installed since: looking
# takes 10 ms, make half a second.
core_is_fresh()
{
    local compiler
    compiler=$(command -v gcc) || return 1
    [ -f "$CORE/stamp" ] && [ -d "$ROOTS_DIR" ] &&
        [ -z "$(find -L "$compiler" -cnewer "$CORE/stamp")" ] &&
        [ -z "$(find src vendor "$ROOTS_DIR" -type f -newer "$CORE/stamp" ! -path 'src/handlers/*' \
            ! -path 'vendor/.*' ! -path 'vendor/kit/examples/*' ! -name '*.md' -print -quit)" ]
}

find_core()
{
    CORE=build/core
    [ "$TARGET" = "$NATIVE" ] || CORE=build/$TARGET/core
    core_is_fresh || verb_core
    OUT=${CORE%/core}
    CORE=$PWD/$CORE
    [ "$TARGET" != "$NATIVE" ] || return 0
    export WORKER_CC=$TARGET-linux-gnu-gcc WORKER_CXX=$TARGET-linux-gnu-g++
    export WORKER_MUSL_LIB=$PWD/vendor/.src/musl-$TARGET/usr/lib/$TARGET-linux-musl
    export WORKER_MUSL_INC=$PWD/vendor/.src/musl-$TARGET/usr/include/$TARGET-linux-musl
}

compiler_of() # FILE: nothing for a file of another kind
{
    case $1 in
    *.c) echo worker-cc ;;
    *.cc | *.cpp | *.cxx) echo worker-c++ ;;
    esac
}

# HANDLER_FILES from ARGS, and HANDLER_LINKER: the C++ one if there is a C++ file.
find_handler_files()
{
    local file compiler
    HANDLER_FILES=() HANDLER_LINKER=worker-cc
    [ "${#ARGS[@]}" -gt 0 ] ||
        die "handler wants files: ./build.sh handler FILE... [-o OUT] [-- COMPILER'S ARGUMENT...]"
    for file in "${ARGS[@]}"; do
        compiler=$(compiler_of "$file")
        [ -n "$compiler" ] ||
            die "$file is no C or C++ file (.c .cc .cpp .cxx); objects and libraries go behind --"
        file=$(realpath -- "$(from_start "$file")")
        [ -f "$file" ] || die "there is no file $file"
        [ "$compiler" = worker-cc ] || HANDLER_LINKER=$compiler
        HANDLER_FILES+=("$file")
    done
}

# What stands behind "--": -c takes no objects and libraries, the linker no -I; -O3, -flto and the
# like are for both.
sort_compiler_arguments()
{
    local word before=
    LINK_ARGS=() COMPILE_ARGS=(-g -D_GNU_SOURCE -Wall -Wextra -fstack-protector-strong
        -fstack-clash-protection -ffunction-sections -fdata-sections -fvisibility=hidden)
    if [ "$DEBUG" -eq 1 ]; then COMPILE_ARGS+=(-O0); else COMPILE_ARGS+=(-O2); fi
    for word in "${EXTRA_ARGS[@]}"; do
        case $before$word in
        -l* | -L* | -Xlinker* | -Wl,* | *.a | *.o) LINK_ARGS+=("$word") ;;
        -f* | -m* | -O* | -g*) COMPILE_ARGS+=("$word") LINK_ARGS+=("$word") ;;
        *) COMPILE_ARGS+=("$word") ;;
        esac
        case $word in
        -l | -L | -Xlinker) before=$word ;; # the next word belongs to it
        *) before= ;;
        esac
    done
}

# compile_handler FOLDER: all files at once, into FOLDER/1.o and so on.
compile_handler()
{
    local folder=$1 file i=0 jobs=() job failed=0
    for file in "${HANDLER_FILES[@]}"; do
        i=$((i + 1))
        "$CORE/bin/$(compiler_of "$file")" "${COMPILE_ARGS[@]}" -c "$file" -o "$folder/$i.o" \
            "-ffile-prefix-map=$(dirname "$file")=." "-frandom-seed=$i" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do
        wait "$job" || failed=1
    done
    [ "$failed" -eq 0 ] || die "the handler does not compile"
}

# finish_handler LINKED OUT: the program where it is wanted, and one with its symbols for debuggers.
finish_handler()
{
    local linked=$1 out=$2 strip=strip twin
    [ "$TARGET" = "$NATIVE" ] || strip=$TARGET-linux-gnu-strip
    [ ! -e "$out" ] || [ -f "$out" ] || die "-o $out: not a regular file"
    mkdir -p "$(dirname "$out")" "build/$TARGET/debug"
    twin=build/$TARGET/debug/$(basename "$out")
    rm -f "$twin"
    mv "$linked" "$twin"
    if [ "$DEBUG" -eq 1 ]; then
        cp "$twin" "$out.part"
    else
        "$strip" --strip-all -R .comment -R .note.gnu.property -o "$out.part" "$twin"
    fi
    mv "$out.part" "$out"
    printf '%-28s %8d bytes\n' "$out" "$(stat -c %s "$out")"
    [ "$DEBUG" -eq 0 ] ||
        say "gdb -x $PWD/tests/debug/unwind.py --args $out --test_input '{\"input\": {}}'"
}

verb_handler()
{
    local out name
    find_handler_files
    sort_compiler_arguments
    find_core
    name=$(basename "${HANDLER_FILES[0]}")
    out=$OUT/handlers/${name%.*}
    [ -z "$OUTPUT" ] || out=$(realpath -m -- "$(from_start "$OUTPUT")")
    HANDLER_TMP=$(mktemp -d)
    trap 'rm -rf "$HANDLER_TMP"' EXIT
    (
        cd "$START_DIR" || exit # the caller's -I and libraries are meant from there
        compile_handler "$HANDLER_TMP"
        "$CORE/bin/$HANDLER_LINKER" -o "$HANDLER_TMP/linked" "$HANDLER_TMP"/*.o "${LINK_ARGS[@]}" ||
            die "the handler does not link"
    )
    finish_handler "$HANDLER_TMP/linked" "$out"
    [ -f build/tmp.tar ] || docker/tmp.sh build/tmp.tar
}
