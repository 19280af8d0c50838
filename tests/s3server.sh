#!/usr/bin/env bash
# The real S3 server of the upload tests:  tests/s3server.sh FOLDER OFFLINE(0|1)
#
# s3s-fs, written in Rust, checks every signature. It is built from its published source with the
# versions it was published with, and unoptimised, which saves time. It becomes FOLDER/bin/s3s-fs.
# Exit status 3 if that fails: no cargo, no network, or too old a compiler.
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
cargo install "s3s-fs@$VERSION" --debug --features binary --locked --root "$folder" \
    --target-dir "$target" </dev/null || exit 3
printf '%s\n' "$VERSION" >"$folder/made-from"
