#!/usr/bin/env bash
# Builds a kit again and compares:
#   TARGET=ARCH JOBS=N OFFLINE=0|1 vendor/kit/verify.sh KIT.tar.gz
#
# The sources are packed as vendor/kit/sources.sh does, unpacked in another folder (VERIFY_FOLDER,
# default build/verify) and built there from nothing, in a network namespace without a network where
# the system lets one be made. build/kit is left as it is. The musl of a kit for another processor
# is in no archive of sources: it is the package in vendor/.cache (vendor/foreign-musl.sh).
#
# Exit status 0: the same bytes; 1: not, and it says where.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

kit=$1
folder=${VERIFY_FOLDER:-build/verify}
version=$(vendor/version.sh)
name=slim-worker-$version-$TARGET.tar.gz

die()
{
    printf 'verify: %s\n' "$*" >&2
    exit 1
}

# The package of musl for another processor; of this one, it is installed.
foreign_musl()
{
    [ "$TARGET" != "$(uname -m)" ] || return 0
    vendor/foreign-musl.sh "$TARGET" "$OFFLINE" ||
        die "a kit that was built for $TARGET on another processor is made of that package of" \
            "musl, which its provenance names: it belongs in vendor/.cache"
    cat "vendor/.src/musl-$TARGET/.unpacked"
}

[ -f "$kit" ] || die "there is no file $kit"
[ "${kit##*/}" = "$name" ] ||
    die "${kit##*/} is not what these sources make for $TARGET: $name"
foreign=$(foreign_musl)
without_network=(unshare --map-root-user --net)
"${without_network[@]}" true 2>/dev/null || without_network=()
[ "${#without_network[@]}" -gt 0 ] || echo "verify: no network namespace here; --offline alone"
rm -rf "$folder"
mkdir -p "$folder"
vendor/kit/sources.sh "$folder"
tar -xf "$folder/slim-worker-$version-sources.tar" -C "$folder" --no-same-owner
rm "$folder/slim-worker-$version-sources.tar"
if [ -n "$foreign" ]; then
    cp "vendor/.cache/$foreign" "$folder/slim-worker-$version/vendor/.cache/"
    echo "verify: with $foreign of vendor/.cache"
fi
echo "verify: building in $folder/slim-worker-$version"
"${without_network[@]}" "$folder/slim-worker-$version/build.sh" --offline -j "$JOBS" \
    --target "$TARGET" kit </dev/null
vendor/kit/compare.sh "$kit" "$folder/slim-worker-$version/build/kit/$name"
