#!/usr/bin/env bash
# The real S3 server of the upload tests: s3s-fs, written in Rust, which checks every signature. Built from its
# published source with the versions it was published with, unoptimised, for the time that takes:  tests/s3server.sh FOLDER OFFLINE(0|1)
# leaves FOLDER/bin/s3s-fs. Exit status 3 where it cannot be had: no cargo, no network, too old a compiler.
set -euo pipefail

VERSION=0.14.1 # needs rustc 1.92 (Debian 12: package cargo-web)

folder=$1
offline=$2

[ "$(cat "$folder/made-from" 2>/dev/null)" != "$VERSION" ] || exit 0
if [ "$offline" -eq 1 ] || ! command -v cargo >/dev/null; then
    echo "there is no cargo, or no network, to build s3s-fs $VERSION with" >&2
    exit 3
fi
echo "building s3s-fs $VERSION"
target=$(mktemp -d)
trap 'rm -rf "$target"' EXIT
cargo install "s3s-fs@$VERSION" --debug --features binary --locked --root "$folder" --target-dir "$target" </dev/null || exit 3
printf '%s\n' "$VERSION" >"$folder/made-from"
