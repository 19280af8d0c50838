#!/usr/bin/env bash
# A newer musl than the distribution's:  tests/newermusl.sh OFFLINE(0|1)
#
# The release that vendor/lock names, from source, static, into build/newer-musl (include/, lib/).
# The worker and its unit tests are linked with it, too: what one release hides another one shows.
# Exit status 3: it cannot be had here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

offline=$1
into=$PWD/build/newer-musl
source=vendor/.src/musl
flags=()
[ "$offline" -eq 0 ] || flags+=(--offline)

vendor/fetch.sh "${flags[@]}" musl || exit 3
[ "$(cat "$into/.sha256" 2>/dev/null)" != "$(cat "$source/.sha256")" ] || exit 0

# rcrt1.o and what else start-up needs comes with musl; gcc and its crtbegin come from this machine.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$PWD
cd "$work"
"$root/$source/configure" --prefix="$into.part" --disable-shared --disable-wrapper CFLAGS=-O2 \
    >configure.log
make -j "${JOBS:-$(nproc)}" >make.log 2>&1 || { tail -n 20 make.log; exit 1; }
rm -rf -- "$into.part" "$into"
make install >install.log
cp "$root/$source/.sha256" "$into.part/.sha256"
mv -- "$into.part" "$into"
echo "built musl $(cat "$root/$source/VERSION")"
