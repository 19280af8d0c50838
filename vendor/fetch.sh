#!/usr/bin/env bash
# Fetch, verify and unpack what vendor/lock lists:  vendor/fetch.sh [--offline] [NAME...]
#
# A source lands as its original tarball in vendor/.cache and unpacked in vendor/.src/NAME. It comes
# from the distribution's source packages, only the original tarball of each: what is built is the
# author's release, and a mirror that lacks a packaging file does not matter. The file's name may
# differ between distributions; the SHA-256 of vendor/lock is what counts. Where the machine's
# release carries another version of a source, the locked file is looked for in the same archive's
# pool, which also serves newer releases. With the tarballs in the cache nothing is fetched. A wrong
# digest stops everything and unpacks nothing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$here/.cache
src=$here/.src
offline=0

. "$here/apt.sh"

die()
{
    printf 'vendor: %s\n' "$*" >&2
    exit 1
}

locked() # NAME: its lines of the lock
{
    awk -v name="$1" '$1 == name' "$here/lock"
}

locked_digests() # NAME
{
    locked "$1" | awk '{ print $4 }'
}

sha256_of() # FILE
{
    sha256sum -- "$1" | cut -d' ' -f1
}

# The cached tarball of NAME, as "FILE SHA256": any file of the cache with a locked name. A file
# that is there under such a name with another digest is an error, never silently replaced.
cached() # NAME
{
    local name version file want got
    while read -r name version file want _; do
        [ -f "$cache/$file" ] || continue
        got=$(sha256_of "$cache/$file")
        [ "$got" = "$want" ] || die "wrong SHA-256 of $name $version
  file      $cache/$file
  expected  $want
  got       $got
Nothing was unpacked. Delete the file to fetch it again."
        printf '%s %s\n' "$file" "$want"
        return
    done < <(locked "$1")
}

apt_ready=0
need_apt()
{
    [ "$apt_ready" -eq 0 ] || return 0
    command -v apt-get >/dev/null ||
        die "no apt-get here; put the files that vendor/lock names into vendor/.cache by hand"
    echo "vendor: fetching the distribution's list of source packages" >&2
    apt_private "$cache/apt-src" deb-src "$(dpkg --print-architecture)"
    apt_update
    apt_ready=1
}

# The original tarball that apt has for the source package NAME: "'URI' FILE SIZE SHA256:DIGEST".
offered() # NAME
{
    apt_get source --print-uris --only-source "$1" 2>/dev/null |
        awk "/^'.*\.orig\.tar\.[a-z0-9]* / && !found++"
}

# Downloads FILE of the source package NAME from the archive's pool.
from_pool() # NAME FILE DESTINATION
{
    local name=$1 base component prefix=${1:0:1}
    [[ $name != lib* ]] || prefix=${name:0:4}
    while read -r base; do
        for component in main universe; do
            apt_download "$base/pool/$component/$prefix/$name/$2" "$3" 2>/dev/null && return
        done
    done < <(apt_archives)
    return 1
}

is_locked() # NAME DIGEST
{
    grep -qx "$2" <<<"$(locked_digests "$1")"
}

# Keeps a download whose digest is a locked one.
accept() # NAME DOWNLOAD
{
    local want
    want=$(locked "$1" | awk -v sha="$(sha256_of "$2")" '$4 == sha { print $3 }')
    [ -n "$want" ] || return 1
    mv -- "$2" "$cache/$want"
    echo "vendor: fetched $want" >&2
}

fetch() # NAME
{
    local name=$1 line uri='' file got=nothing
    need_apt
    line=$(offered "$name")
    if [ -n "$line" ]; then
        uri=$(cut -d"'" -f2 <<<"$line")
        got=${line##*SHA256:}
    fi
    # Only what the index says is the locked file is downloaded from where the index says.
    if [ -n "$uri" ] && { [[ $line != *SHA256:* ]] || is_locked "$name" "$got"; }; then
        rm -f -- "$cache/$name.part"
        apt_download "$uri" "$cache/$name.part" || die "$uri could not be fetched"
        accept "$name" "$cache/$name.part" && return
        got=$(sha256_of "$cache/$name.part")
        rm -f -- "$cache/$name.part"
        wrong "$name" "$uri" "$got"
    fi
    for file in $(locked "$name" | awk '{ print $3 }'); do
        rm -f -- "$cache/$name.part"
        from_pool "$name" "$file" "$cache/$name.part" || continue
        accept "$name" "$cache/$name.part" && return
        got=$(sha256_of "$cache/$name.part")
        rm -f -- "$cache/$name.part"
        wrong "$name" "$file" "$got"
    done
    [ -n "$line" ] || die "this distribution's archive has no source package $name"
    wrong "$name" "$uri" "$got"
}

wrong() # NAME WHERE DIGEST
{
    die "wrong SHA-256 of $1
  file      $2
  expected  $(locked_digests "$1" | paste -sd' ')
  got       $3
Nothing was unpacked."
}

unpack() # NAME FILE SHA256
{
    local dir=$src/$1
    [ "$(cat "$dir/.sha256" 2>/dev/null)" != "$3" ] || return 0
    rm -rf -- "$dir" "$dir.part"
    mkdir -p "$dir.part"
    tar -xf "$cache/$2" -C "$dir.part" --strip-components=1 --no-same-owner
    printf '%s\n' "$3" >"$dir.part/.sha256"
    mv -- "$dir.part" "$dir"
    echo "vendor: unpacked $1" >&2
}

main()
{
    local names=() found=() name entry i
    for name in "$@"; do
        case $name in
        --offline) offline=1 ;;
        -*) die "unknown option $name" ;;
        *) names+=("$name") ;;
        esac
    done
    [ "${#names[@]}" -gt 0 ] ||
        mapfile -t names < <(awk '!/^#/ && NF && NF < 6 { print $1 }' "$here/lock" | sort -u)
    mkdir -p "$cache" "$src"
    # All are verified before the first is unpacked.
    for name in "${names[@]}"; do
        [ -n "$(locked "$name")" ] || die "vendor/lock does not list $name"
        entry=$(cached "$name")
        if [ -z "$entry" ]; then
            [ "$offline" -eq 0 ] ||
                die "--offline, and vendor/.cache holds none of:" \
                    "$(locked "$name" | awk '{ print $3 }' | paste -sd' ')"
            fetch "$name"
            entry=$(cached "$name")
        fi
        found+=("$entry")
    done
    for i in "${!names[@]}"; do
        # shellcheck disable=SC2086 # two words on purpose
        unpack "${names[i]}" ${found[i]}
    done
}

main "$@"
