#!/bin/sh
# docker/tmp.sh OUT.tar: an empty /tmp of mode 1777, the same bytes each time. A Dockerfile that
# begins FROM scratch has it by "ADD tmp.tar /": rp_scratch and rp_download make folders there.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/tmp"
tar --create --file "$1.$$" --directory "$folder" --format=ustar --mtime=@0 --owner=0 --group=0 \
    --numeric-owner --mode=1777 --blocking-factor=2 tmp
mv "$1.$$" "$1"
