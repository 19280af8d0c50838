#!/usr/bin/env bash
# musl for another architecture:  vendor/foreign-musl.sh aarch64 OFFLINE(0|1)
#
# The distribution's own musl-dev package of that architecture, fetched by a private apt (which
# checks it against the archive's signed lists) and unpacked to vendor/.src/musl-ARCH; nothing is
# installed. The package stays in vendor/.cache, and is unpacked from there when there is no
# network. Exit status 3: this machine's archive has no such package (Ubuntu keeps arm64 on other
# servers).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/apt.sh"

machine=$1
offline=$2
case $machine in
aarch64) arch=arm64 ;;
x86_64) arch=amd64 ;;
*)
    echo "vendor: no musl for $machine" >&2
    exit 1
    ;;
esac
cache=$here/.cache
into=$here/.src/musl-$machine

[ ! -f "$into/.unpacked" ] || exit 0

shopt -s nullglob
packages=("$cache"/musl-dev_*_"$arch".deb)
if [ "${#packages[@]}" -eq 0 ]; then
    if [ "$offline" -eq 1 ]; then
        echo "vendor: --offline, and vendor/.cache holds no musl-dev_*_$arch.deb" >&2
        exit 3
    fi
    echo "vendor: fetching musl-dev for $arch" >&2
    mkdir -p "$cache/part"
    apt_private "$cache/apt-$arch" deb "$arch"
    apt_update
    if ! (cd "$cache/part" && apt_get download musl-dev >&2); then
        echo "vendor: this machine's apt sources have no musl-dev for $arch" >&2
        exit 3
    fi
    mv -- "$cache"/part/musl-dev_*_"$arch".deb "$cache"/
    packages=("$cache"/musl-dev_*_"$arch".deb)
fi

rm -rf -- "$into" "$into.part"
mkdir -p "$into.part"
dpkg-deb -x "${packages[0]}" "$into.part"
basename "${packages[0]}" >"$into.part/.unpacked"
mv -- "$into.part" "$into"
echo "vendor: unpacked $(cat "$into/.unpacked")" >&2
