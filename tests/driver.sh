#!/usr/bin/env bash
# The real driver's libraries for the tests:  tests/driver.sh FOLDER OFFLINE(0|1)
#
# Leaves libcuda, libnvidia-ptxjitcompiler, libnvidia-ml and libnvidia-nvvm of the distribution's
# component non-free in FOLDER/lib (files and links), their version in FOLDER/version. Nothing of it
# may be committed or handed on. They come through a private apt, whose signed lists say their
# digests: a point release replaces them, so no digest is pinned here. Exit status 3 where they
# cannot be had, with the reason.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PACKAGES=(libcuda1 libnvidia-ptxjitcompiler1 libnvidia-ml1 libnvidia-nvvm4)
folder=$1
offline=$2

. vendor/apt.sh

none()
{
    printf 'no driver to test with: %s\n' "$*" >&2
    exit 3
}

# The archive's entries with non-free beside main, whatever components this machine uses.
add_component()
{
    sed -i 's/\bnon-free\b//; s/$/ non-free/' "$APT_PRIVATE/sources.list"
}

fetch()
{
    apt_private "$folder/apt" deb "$(dpkg --print-architecture)"
    add_component
    apt_get update </dev/null >&2 || none "the package lists cannot be fetched"
    mkdir -p "$folder/debs"
    (cd "$folder/debs" && apt_get download "${PACKAGES[@]}" </dev/null >&2) ||
        none "this distribution has no ${PACKAGES[*]}"
}

unpack()
{
    local deb unpacked=$folder/unpacked lib
    mkdir -p "$unpacked" "$folder/lib.part"
    for deb in "$folder"/debs/*.deb; do
        dpkg-deb -x "$deb" "$unpacked"
    done
    # From the packages' folders into one, as NVIDIA's container runtime lays them out.
    while IFS= read -r -d '' lib; do
        cp -a "$lib" "$folder/lib.part/"
    done < <(find "$unpacked" -name 'lib*.so.*' ! -path '*/share/*' -print0)
    [ -e "$folder/lib.part/libcuda.so.1" ] || none "the package libcuda1 holds no libcuda.so.1"
    mv "$folder/lib.part" "$folder/lib"
    dpkg-deb -f "$folder"/debs/libcuda1_*.deb Version >"$folder/version"
    rm -rf "$unpacked" "$folder/debs"
}

[ ! -f "$folder/version" ] || exit 0
[ "$offline" -eq 0 ] || none "--offline, and $folder is not filled"
command -v apt-get >/dev/null || none "there is no apt-get here"
rm -rf "$folder"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
fetch
unpack
echo "driver $(cat "$folder/version")"
