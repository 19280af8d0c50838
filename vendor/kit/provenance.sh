#!/usr/bin/env bash
# The provenance of a kit, beside it:  B=build/ARCH OUT=build vendor/kit/provenance.sh TARGET
#
# An in-toto statement (v1) with an SLSA provenance predicate (v1), as JSON: what was made, of which
# sources and packages, by which command. It names no machine, user or time, so that who makes the
# kit again has the same file. src/AUDIT.md says how to sign it and how to check it.
set -euo pipefail
shopt -s inherit_errexit
cd -P "$(dirname "${BASH_SOURCE[0]}")/../.."
export LC_ALL=C

target=$1
version=$(vendor/version.sh)
name=slim-worker-$version-$target
sources=slim-worker-$version-sources.tar
out=build/kit/$name.provenance.json

sha256_of() # FILE
{
    sha256sum "$1" | cut -d' ' -f1
}

artifact() # NAME FILE
{
    local digest
    digest=$(sha256_of "$2")
    printf '{"name":"%s","digest":{"sha256":"%s"}}' "$1" "$digest"
}

# The commit, where all that was built is in it.
commit()
{
    local changes head
    [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$PWD" ] || return 0
    changes=$(git status --porcelain)
    [ -z "$changes" ] || return 0
    head=$(git rev-parse HEAD)
    printf ',\n{"name":"commit","digest":{"gitCommit":"%s"}}' "$head"
}

vendored()
{
    local file files one
    files=$(awk '!/^#/ && NF && NF < 6 { print $3 }' vendor/lock)
    for file in $files; do
        [ -f "vendor/.cache/$file" ] || continue
        one=$(artifact "$file" "vendor/.cache/$file")
        printf ',\n%s' "$one"
    done
}

# The package of musl that a cross build took, which is not installed.
foreign_musl()
{
    local file one
    [ "$target" != "$(uname -m)" ] || return 0
    file=$(cat "vendor/.src/musl-$target/.unpacked")
    one=$(artifact "$file" "vendor/.cache/$file")
    printf ',\n%s' "$one"
}

# The packages whose bytes are in the kit, or shaped it.
package_names()
{
    local major cross='' arch=arm64
    major=$(gcc -dumpversion)
    [ "$target" = aarch64 ] || arch=amd64
    [ "$target" = "$(uname -m)" ] || cross=-${target/_/-}-linux-gnu
    printf '%s\n' "gcc-$major$cross" "binutils$cross" "libgcc-$major-dev${cross:+-$arch-cross}" \
        ca-certificates tar gzip
    [ -n "$cross" ] || echo musl-dev
}

packages()
{
    local names package architecture release distribution
    distribution=$(. /etc/os-release && printf %s "$ID")
    command -v dpkg-query >/dev/null || return 0
    names=$(package_names)
    for package in $names; do
        while read -r architecture release; do
            printf ',\n{"uri":"pkg:deb/%s/%s@%s?arch=%s"}' "$distribution" "$package" \
                "${release//+/%2B}" "$architecture"
        done < <(dpkg-query -W -f '${Architecture} ${Version}\n' "$package" 2>/dev/null)
    done
}

# Each part is a variable first: what fails in a here-document is not noticed.
statement()
{
    local kit worker gpu bill used
    kit=$(artifact "$name.tar.gz" "build/kit/$name.tar.gz")
    worker=$(artifact bin/worker "$OUT/worker")
    gpu=$(artifact bin/worker-gpu "$OUT/worker-gpu")
    bill=$(sha256_of "$B/gen/sbom.cdx.json")
    used=$(
        artifact "$sources" "build/kit/$sources"
        commit
        vendored
        foreign_musl
        packages
    )
    cat <<JSON
{"_type":"https://in-toto.io/Statement/v1",
"subject":[$kit,
$worker,
$gpu],
"predicateType":"https://slsa.dev/provenance/v1",
"predicate":{"buildDefinition":{"buildType":"urn:slim-worker:build.sh-kit:v1",
"externalParameters":{"command":"./build.sh --offline --target $target kit"},
"internalParameters":{"sbom":"sha256:$bill"},
"resolvedDependencies":[$used]},
"runDetails":{"builder":{"id":"urn:slim-worker:build.sh:local"}}}}
JSON
}

statement >"$out.part"
! grep -qE '"(name|sha256|gitCommit)":""|sha256:"' "$out.part" || {
    echo "provenance: a name or a digest is missing in $out.part" >&2
    exit 1
}
mv "$out.part" "$out"
printf '%-28s %8d bytes\n' "$out" "$(stat -c %s "$out")"
