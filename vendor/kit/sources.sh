#!/usr/bin/env bash
# slim-worker-VERSION-sources.tar: this folder's files and the source archives that a build
# fetches, so that an air gap is crossed with two files. Unpacked, "./build.sh --offline kit" makes
# the kit of it. From the same files comes the same archive, byte for byte.
#
#   vendor/kit/sources.sh [FOLDER]   to FOLDER, default build/kit
#
# The files are those that git tracks, or in an unpacked archive those of its SHA256SUMS: nothing
# else that lies here, which may be a key or notes. What git does not track is named.
set -euo pipefail
shopt -s inherit_errexit
cd -P "$(dirname "${BASH_SOURCE[0]}")/../.."
export LC_ALL=C

version=$(vendor/version.sh)
name=slim-worker-$version
into=${1:-build/kit}
work=$into/sources
out=$into/$name-sources.tar

die()
{
    printf 'sources: %s\n' "$*" >&2
    exit 1
}

own_files() # ending in zero bytes
{
    if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$PWD" ]; then
        git ls-files -z --others --exclude-standard | tr '\0\n' '\n?' |
            sed 's/^/sources: left out, as git does not track it: /' >&2
        git ls-files -z --cached
    elif [ -e .git ]; then
        die "git is missing or refuses this folder: 'git status' says why"
    elif [ -f SHA256SUMS ]; then
        sed 's/^[0-9a-f]*  //' SHA256SUMS | grep -v '^vendor/\.cache/' | tr '\n' '\0'
    else
        find . \( -path ./build -o -path ./vendor/.cache -o -path ./vendor/.src -o -name .git -o \
            -name .hypothesis -o -name .schemathesis -o -name .flash -o -name .pytest_cache -o \
            -name __pycache__ \) -prune -o -type f -printf '%P\0'
    fi
}

# The archives of the lock that every build, or its unit tests, need.
put_vendored()
{
    local file
    mkdir -p "$work/$name/vendor/.cache"
    for file in $(awk '!/^#/ && NF && NF < 6 { print $3 }' vendor/lock); do
        [ ! -f "vendor/.cache/$file" ] || cp "vendor/.cache/$file" "$work/$name/vendor/.cache/"
    done
}

rm -rf "$work"
mkdir -p "$work/$name"
# A file that git knows and that was removed is none.
own_files | sort -zu |
    while read -r -d '' file; do [ ! -f "$file" ] || printf '%s\0' "$file"; done |
    tar --create --null --files-from=- | tar --extract --directory "$work/$name"
[ -f "$work/$name/build.sh" ] || die "git tracks no build.sh here: nothing to pack"
put_vendored
(cd "$work/$name" && find . -type f ! -path ./SHA256SUMS -printf '%P\n' | sort |
    xargs -d '\n' sha256sum) >"$work/sums"
mv "$work/sums" "$work/$name/SHA256SUMS"
tar --create --directory "$work" --format=ustar --sort=name --mtime=@0 --owner=0 --group=0 \
    --numeric-owner --mode=u=rwX,go=rX "$name" >"$out.part"
mv "$out.part" "$out"
rm -rf "$work"
printf '%-28s %8d bytes\n' "$out" "$(stat -c %s "$out")"
