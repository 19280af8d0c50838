#!/usr/bin/env bash
# The checks that read the sources without running them. One at a time: tests/lint/lint.sh NAME
#   layers tags columns comments citations bounded calls sizes pipes audit headers format cppcheck
#   tidy shell
# format: with the word "changed", only the files that a change concerns (tests/lint/changed.py).
# Exit status 0, what the tool says, or 77 where it cannot judge here; its words on standard output.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

JOBS=${JOBS:-$(nproc)}
MUSL_INC=/usr/include/$(uname -m)-linux-musl
DEFINES=(-D_GNU_SOURCE)
INCLUDES=(-Isrc -isystem vendor/.src/bearssl/inc -isystem vendor/.src/jsmn)

c_files() # FOLDER...: what we wrote, NUL after each
{
    find "$@" \( -name .src -o -name .cache \) -prune -o \( -name '*.c' -o -name '*.h' \) -print0
}

lint_layers()
{
    python3 tests/lint/layers.py
}

# Every header includes what it needs, and may be included twice.
lint_headers()
{
    local header status=0
    while IFS= read -r -d '' header; do
        printf '#include "%s"\n#include "%s"\ntypedef int not_empty;\n' \
            "${header#src/}" "${header#src/}" |
            gcc -std=gnu11 -fsyntax-only -Wall -Wextra -Werror -nostdinc \
                -isystem "$(gcc -print-file-name=include)" -isystem "$MUSL_INC" \
                "${DEFINES[@]}" "${INCLUDES[@]}" -x c - ||
            { echo "$header does not compile alone"; status=1; }
    done < <(find src -name '*.h' -print0)
    return "$status"
}

# Releases of clang's tools differ in what they want; the ones that have the say are Debian 12's.
CLANG_RELEASE=14

other_release() # TOOL
{
    local release
    release=$("$1" --version | sed -n 's/.*version \([0-9]*\).*/\1/p')
    [ "$release" != "$CLANG_RELEASE" ] || return 1
    echo "the sources are held to $1 $CLANG_RELEASE; here is $release"
}

lint_format() # [changed]
{
    ! other_release clang-format || return 77
    if [ "${1-}" = changed ]; then
        python3 tests/lint/changed.py files |
            { grep -E '^(src|tests|vendor)/.*\.[ch]$' || true; } |
            xargs -r -d '\n' clang-format --dry-run -Werror
    else
        c_files src tests vendor | xargs -0 -r clang-format --dry-run -Werror
    fi
}

lint_cppcheck()
{
    cppcheck --quiet -j "$JOBS" --error-exitcode=1 --std=c11 --language=c --inline-suppr \
        --enable=warning,performance,portability,style \
        --suppressions-list=tests/lint/cppcheck.txt "${DEFINES[@]}" -Isrc src
}

lint_tidy()
{
    ! other_release clang-tidy || return 77
    python3 tests/lint/tidy.py
}

lint_shell()
{
    find . \( -path ./build -o -name .src -o -name .cache -o -name .git \) -prune \
        -o -name '*.sh' -print0 |
        xargs -0 shellcheck --external-sources --severity=warning
}

case $1 in
tags | columns | comments | citations | bounded | calls | sizes | pipes | audit)
    python3 tests/lint/sources.py "$1"
    ;;
*) "lint_$1" "${@:2}" ;;
esac
