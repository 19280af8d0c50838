#!/usr/bin/env bash
# Makes the kit of build/kit again in a container, as src/AUDIT.md says: a system that has only the
# packages of its Dockerfile, and no network. Status 0: the same bytes; 77: no such container here.
#
# Instead of an image that would have to be pulled, the container has these packages of this machine
# (packages_tar.py); the command is the manual's own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kit=build/kit/slim-worker-$(vendor/version.sh)-$(uname -m).tar.gz
sources=build/kit/slim-worker-$(vendor/version.sh)-sources.tar
tag=slim-worker-test-build:$$
skip()
{
    echo "$*"
    exit 77
}

# The package list and the command of the section "Across an air gap".
packages()
{
    sed -n 's/^RUN .*apt-get install -y --no-install-recommends //p' src/AUDIT.md
}

container()
{
    sed -n '/^docker run .*slim-worker-build/,/^```/p' src/AUDIT.md | sed '/^```/d'
}

if [ -z "$(packages)" ] || [ -z "$(container)" ]; then
    echo "src/AUDIT.md has no such container any more"
    exit 1
fi
docker version >/dev/null 2>&1 || skip "no Docker engine"
dpkg-query -W gcc >/dev/null 2>&1 || skip "the compiler is not the distribution's package"
folder=$(mktemp -d)
trap 'docker image rm -f "$tag" >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
ln "$kit" "$sources" "$folder" 2>/dev/null || cp "$kit" "$sources" "$folder"
# shellcheck disable=SC2046 # words
python3 tests/packages_tar.py $(packages) | docker import - "$tag"
container | sed "s/slim-worker-build/$tag/; s/-x86_64\.tar/-$(uname -m).tar/" >"$folder/command"
(cd "$folder" && sh command) | tee "$folder/said"
grep -q '^match: ' "$folder/said"
