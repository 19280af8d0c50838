#!/usr/bin/env bash
# A first handler from the kit on a bare Debian: the commands of the kit's own manual as they stand,
# in a container of a minimal system; a line a command, with its seconds.
#   tests/bench/bare.sh [KIT.tar.gz]   (build/kit's own, if none is named)
# It needs root, debootstrap, a Docker engine and the distribution's archive.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

kit=${1:-build/kit/slim-worker-$(vendor/version.sh)-$(uname -m).tar.gz}
tag=slim-worker-bench-bare:$$
folder=$(mktemp -d)
trap 'docker image rm -f "$tag" >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT

mkdir "$folder/given"
cp "$kit" vendor/kit/examples/c/greet.c "$folder/given"
tar -xzf "$kit" -C "$folder" --strip-components=1 --wildcards --no-wildcards-match-slash \
    'slim-worker-*/*.md'
awk '/^On a bare Debian/ { here = 1 } here && /^```/ { if (fence++) exit; next } fence' \
    "$folder"/*.md >"$folder/given/commands"
cat >"$folder/given/run.sh" <<'EOS'
set -e
cd /given
while read -r command; do
    began=$(date +%s%N)
    eval "$command" </dev/null
    ended=$(date +%s%N)
    echo "$(((ended - began) / 1000000)) ms: ${command%% *}" >&3
done <commands
EOS

# shellcheck source=/dev/null
. /etc/os-release
debootstrap --variant=minbase "$VERSION_CODENAME" "$folder/root" >"$folder/log" 2>&1 ||
    { tail -n 20 "$folder/log" && exit 1; }
tar -C "$folder/root" -c . | docker import - "$tag" >/dev/null
docker run --rm --network host -v "$folder/given:/source:ro" "$tag" \
    sh -ec 'cp -r /source /given && sh /given/run.sh 3>&1 >/given/log 2>&1 || tail -n 20 /given/log'
