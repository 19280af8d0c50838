#!/usr/bin/env bash
# The bill of materials of the binaries, as CycloneDX 1.6 JSON, and the digest of their sources.
#
#   vendor/sbom.sh OUT.json   called by vendor/build.mk with TARGET, CC, MUSL_LIB, LIBGCC, ROOTS_DIR
#                             and the flags in OPTIONS_CORE, OPTIONS_TLS and OPTIONS_LINK
#   vendor/sbom.sh files      the files of ours that are compiled, or say how
#   vendor/sbom.sh digest     the SHA-256 of their list: of lines "SHA-256  FILE", sorted by file
#
# From the same sources, packages and compiler comes the same document: no date, no name of a
# machine. What is in it of the distribution (musl, the compiler's runtime, the root certificates)
# is named with the digest of the very files that are linked.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

files()
{
    find src vendor \( -name '.?*' -o -path src/handlers -o -path vendor/kit \) -prune -o -type f \
        \( -name '*.[ch]' -o -name '*.def' -o -name '*.inc' -o -name '*.html' -o -name '*.json' \
        -o -name '*.mk' -o -name lock \) -print | sort
}

digest()
{
    files | xargs -d '\n' sha256sum | sha256sum | cut -d' ' -f1
}

sha256_of() # FILE
{
    sha256sum "$1" | cut -d' ' -f1
}

# A text as a JSON string.
quoted()
{
    local text
    text=$(sed 's/[\\"]/\\&/g' <<<"$*")
    printf '"%s"' "$text"
}

property() # NAME VALUE
{
    local value
    value=$(quoted "$2")
    printf '{"name":"slim-worker:%s","value":%s}' "$1" "$value"
}

licence() # SPDX expression
{
    printf '"licenses":[{"expression":"%s"}]' "$1"
}

# vendored NAME [NOTE]: what the lock says of it, and which of its versions lies in vendor/.src. The
# digest is the source archive's.
vendored()
{
    local name=$1 unpacked version file sha256 spdx
    unpacked=$(cat "vendor/.src/$name/.sha256")
    read -r _ version file sha256 spdx _ \
        < <(awk -v name="$name" -v sha256="$unpacked" '$1 == name && $4 == sha256' vendor/lock)
    [ -n "$version" ] || {
        echo "sbom: vendor/.src/$name is not a version that vendor/lock lists" >&2
        exit 1
    }
    printf '{"type":"library","bom-ref":"%s","name":"%s","version":"%s",%s,' \
        "$name" "$name" "$version" "$(licence "$spdx")"
    printf '"purl":"pkg:generic/%s@%s?checksum=sha256:%s",' "$name" "$version" "$sha256"
    printf '"externalReferences":[{"type":"source-distribution","url":"%s",' "${file//+/%2B}"
    printf '"hashes":[{"alg":"SHA-256","content":"%s"}]}]' "$sha256"
    [ -z "${2-}" ] || printf ',"pedigree":{"notes":"%s"}' "$2"
    printf '}'
}

# runtime NAME VERSION LICENCE FILE: a library of the distribution's, by the file that is linked.
runtime()
{
    local digest linked
    digest=$(sha256_of "$4")
    linked=$(property linked-file "${4##*/}")
    printf '{"type":"library","bom-ref":"%s","name":"%s","version":"%s",%s,' \
        "$1" "$1" "$2" "$(licence "$3")"
    printf '"purl":"pkg:generic/%s@%s","hashes":[{"alg":"SHA-256","content":"%s"}],' \
        "$1" "$2" "$digest"
    printf '"properties":[%s]}' "$linked"
}

# Lines "NAME SHA-256-OF-THE-CERTIFICATE", sorted; a file may hold several certificates.
roots()
{
    local file work digest
    work=$(mktemp -d)
    for file in "$ROOTS_DIR"/*.crt; do
        awk -v to="$work/$(basename "$file" .crt)" '
            /^-----BEGIN CERTIFICATE-----/ { n++; inside = 1; next }
            /^-----END CERTIFICATE-----/ { inside = 0; next }
            inside { print >(to (n > 1 ? "#" n : "")) }' "$file"
    done
    for file in "$work"/*; do
        digest=$(base64 -d "$file" | sha256sum | cut -d' ' -f1)
        printf '%s %s\n' "${file##*/}" "$digest"
    done
    rm -r "$work"
}

root_certificates()
{
    local list version components
    list=$(roots)
    version=$(dpkg-query -W -f '${Version}' ca-certificates 2>/dev/null || echo unknown)
    printf '{"type":"data","bom-ref":"ca-certificates","name":"ca-certificates",'
    printf '"version":"%s",%s,' "$version" "$(licence MPL-2.0)"
    printf '"description":"Root certificates of Mozilla; name and key of each are compiled in.",'
    components=$(awk '{
        gsub(/["\\]/, "?", $1)
        printf "%s{\"type\":\"cryptographic-asset\",\"name\":\"%s\",", (NR > 1 ? ",\n" : ""), $1
        printf "\"hashes\":[{\"alg\":\"SHA-256\",\"content\":\"%s\"}],", $2
        printf "\"cryptoProperties\":{\"assetType\":\"certificate\"}}"
    }' <<<"$list")
    printf '"components":[\n%s]}' "$components"
}

# What the worker itself is, as properties.
own_properties()
{
    local digest hot properties
    digest=$(digest)
    hot=$(sed -n 's/^HOT ?= //p' vendor/build.mk)
    properties=$(
        property target "$TARGET-linux-musl"
        printf ',\n'
        property source:sha256 "$digest"
        printf ',\n'
        property flags:core "$OPTIONS_CORE"
        printf ',\n'
        property flags:core:O2-instead "$hot"
        printf ',\n'
        property flags:tls "$OPTIONS_TLS"
        printf ',\n'
        property flags:link "$OPTIONS_LINK"
    )
    printf '"properties":[%s]' "$properties"
}

# What is linked, one a line.
linked() # COMPILER'S-VERSION
{
    local musl
    musl=$("${AR:-ar}" p "$MUSL_LIB/libc.a" version.lo |
        grep -aoE '[0-9]+\.[0-9]+\.[0-9]+' | awk 'NR == 1')
    vendored bearssl 'Without rand/sysrng.c; vendor/bearssl_seed.c seeds by getrandom(2).'
    printf ',\n'
    vendored jsmn
    printf ',\n'
    vendored rust-ring 'Only the C files of P-256 and Curve25519, in vendor/curves.c.'
    printf ',\n{"type":"library","bom-ref":"fiat-crypto","name":"fiat-crypto",%s,\n' \
        "$(licence Apache-2.0)"
    printf '"description":"Field arithmetic; comes with rust-ring, in third_party/fiat."},\n'
    runtime musl "$musl" MIT "$MUSL_LIB/libc.a"
    printf ',\n'
    runtime libgcc "$1" "GPL-3.0-or-later WITH GCC-exception-3.1" "$LIBGCC"
    printf ',\n'
    root_certificates
}

# Each part is a variable first: what fails in a here-document is not noticed.
document()
{
    local version compiler linker properties components
    version=$(vendor/version.sh)
    compiler=$("$CC" -dumpfullversion)
    linker=$("$CC" -Wl,--version 2>/dev/null | sed -n '1s/.* //p')
    properties=$(own_properties)
    components=$(linked "$compiler")
    cat <<JSON
"version":1,"metadata":{"lifecycles":[{"phase":"build"}],
"tools":{"components":[{"type":"application","name":"gcc","version":"$compiler"},
{"type":"application","name":"binutils","version":"$linker"}]},
"component":{"type":"application","bom-ref":"slim-worker","name":"slim-worker","version":"$version",
$(licence MIT),"purl":"pkg:generic/slim-worker@$version",
$properties}},
"components":[
$components],
"dependencies":[{"ref":"slim-worker",
"dependsOn":["bearssl","jsmn","rust-ring","fiat-crypto","musl","libgcc","ca-certificates"]},
{"ref":"rust-ring","dependsOn":["fiat-crypto"]}],
"compositions":[{"aggregate":"complete","assemblies":["slim-worker"]}]}
JSON
}

# The serial number is made of the document's own digest, in the form of a UUID of version 8.
write_document() # OUT
{
    local body id
    body=$(document)
    ! grep -qE '"(name|version|content)":""' <<<"$body" || {
        echo "sbom: a name, a version or a digest is missing for $1" >&2
        exit 1
    }
    id=$(sha256sum <<<"$body" | cut -c1-32)
    printf '{"%s":"http://cyclonedx.org/schema/bom-1.6.schema.json",' '$schema' >"$1"
    printf '"bomFormat":"CycloneDX","specVersion":"1.6",\n' >>"$1"
    printf '"serialNumber":"urn:uuid:%s-%s-8%s-a%s-%s",\n%s\n' \
        "${id:0:8}" "${id:8:4}" "${id:13:3}" "${id:17:3}" "${id:20:12}" "$body" >>"$1"
}

case ${1-} in
files) files ;;
digest) digest ;;
*.json | *.part) write_document "$1" ;;
*)
    echo "sbom.sh: wants files, digest or OUT.json" >&2
    exit 1
    ;;
esac
