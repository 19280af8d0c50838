#!/usr/bin/env bash
# Are two kits the same?  vendor/kit/compare.sh GIVEN.tar.gz BUILT.tar.gz
# Exit status 0: byte for byte. Otherwise 1, and what differs is said: files, sections of programs
# and archives' members, and lines of the bills of materials, which name the compilers and packages.
set -euo pipefail
export LC_ALL=C

given=$1
built=$2

sums() # FOLDER
{
    (cd "$1" && find . -type f -printf '%P\n' | sort | xargs -d '\n' -r sha256sum |
        awk '{ digest = $1; sub(/^[^ ]+  /, ""); print $0 "\t" digest }')
}

# "SECTION SHA-256" of each section of a program, "MEMBER SHA-256" of each member of an archive.
parts() # FILE
{
    local part offset size
    case $1 in
    *.a)
        for part in $(ar t "$1" | sort -u); do
            printf '%s %s\n' "$part" "$(ar p "$1" "$part" | sha256sum | cut -d' ' -f1)"
        done
        ;;
    *)
        while read -r part offset size; do
            printf '%s %s\n' "$part" "$(dd if="$1" iflag=skip_bytes,count_bytes bs=64K \
                skip="$((16#$offset))" count="$((16#$size))" status=none | sha256sum |
                cut -d' ' -f1)"
        done < <(readelf -SW "$1" 2>/dev/null | grep -v NOBITS |
            sed -n 's/^ *\[ *[0-9]*\] \(\.[^ ]*\) *[^ ]* *[^ ]* \([^ ]*\) \([^ ]*\) .*/\1 \2 \3/p')
        ;;
    esac
}

where() # FILE: of the two trees
{
    local list
    list=$(comm -3 <(parts "$work/given/$1" | sort) <(parts "$work/built/$1" | sort) |
        awk '{ print $1 }' | sort -u | paste -sd' ')
    printf '  differs: %s%s\n' "$1" "${list:+ (in $list)}"
}

if cmp -s "$given" "$built"; then
    printf 'match: %s bytes, SHA-256 %s\n' "$(stat -c %s "$given")" \
        "$(sha256sum <"$given" | cut -d' ' -f1)"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/given" "$work/built"
tar -xzf "$given" -C "$work/given" --strip-components=1 --no-same-owner
tar -xzf "$built" -C "$work/built" --strip-components=1 --no-same-owner
sums "$work/given" >"$work/given.sums"
sums "$work/built" >"$work/built.sums"
echo "NO MATCH: SHA-256 $(sha256sum <"$given" | cut -d' ' -f1), built here" \
    "$(sha256sum <"$built" | cut -d' ' -f1)"
join -t $'\t' -v 1 "$work/given.sums" "$work/built.sums" | sed 's/\t.*//; s/^/  not built here: /'
join -t $'\t' -v 2 "$work/given.sums" "$work/built.sums" | sed 's/\t.*//; s/^/  only built here: /'
join -t $'\t' "$work/given.sums" "$work/built.sums" | awk -F'\t' '$2 != $3 { print $1 }' |
    while read -r file; do where "$file"; done
cmp -s "$work/given.sums" "$work/built.sums" &&
    echo "  the files are the same: the archive was packed by another tar or gzip"
diff "$work/given/sbom.cdx.json" "$work/built/sbom.cdx.json" | cut -c1-300 | sed 's/^/  /' || true
exit 1
