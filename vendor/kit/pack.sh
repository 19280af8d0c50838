#!/usr/bin/env bash
# build/kit/slim-worker-VERSION-ARCH.tar.gz of what is built:
#   OUT=build B=build/ARCH vendor/kit/pack.sh TARGET
# From the same binaries and sources comes the same archive, byte for byte: sorted, no dates, no
# names of users, no name of a file in gzip's header.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target=$1
version=$(vendor/version.sh)
name=slim-worker-$version-$target
work=build/kit/work
kit=$work/$name
tools=
[ "$target" = "$(uname -m)" ] || tools=$target-linux-gnu-

die()
{
    printf 'kit: %s\n' "$*" >&2
    exit 1
}

put() # MODE FROM TO: TO is below the kit; @VERSION@ in it is filled in
{
    [ -f "$2" ] || die "there is no $2"
    mkdir -p "$(dirname "$kit/$3")"
    case $3 in
    *.pc | *.cmake) sed "s/@VERSION@/$version/" "$2" >"$kit/$3" ;;
    *) cp "$2" "$kit/$3" ;;
    esac
    chmod "$1" "$kit/$3"
}

put_programs()
{
    local file
    for file in worker worker-gpu; do put 0755 "$OUT/$file" "bin/$file"; done
    for file in worker-cc worker-c++; do put 0755 "$OUT/core/bin/$file" "bin/$file"; done
    for file in "$OUT"/core/include/*.h; do put 0644 "$file" "include/${file##*/}"; done
    for file in "$OUT"/core/lib/*; do put 0644 "$file" "lib/${file##*/}"; done
    for file in "$kit"/lib/*.a; do "${tools}objcopy" -D --strip-debug "$file"; done
    while read -r file; do put 0644 "vendor/kit/lib/$file" "lib/$file"; done \
        < <(cd vendor/kit/lib && find pkgconfig cmake -type f)
}

# Under their folders of the repository, where they refer to each other.
put_manuals()
{
    local file
    put 0644 vendor/kit/README.md README.md
    sed -i "s/slim-worker-VERSION-x86_64/$name/" "$kit"/*.md # its commands are this kit's
    for file in README.md CHANGELOG.md src/handlers/README.md src/config/README.md \
        src/handlers/python/README.md src/source/README.md src/source/SERVE.md src/gpu/README.md \
        src/base/LIMITS.md src/AUDIT.md; do
        put 0644 "$file" "share/doc/$file"
    done
    sed -i -e 's|](../../src/|](share/doc/src/|g' -e 's|](vendor/kit/README|](../../README|g' \
        "$kit"/*.md "$kit"/share/doc/*.md
    mend_links
    while read -r file; do put 0644 "vendor/kit/$file" "$file"; done \
        < <(cd vendor/kit && files_of examples)
}

# A link to a page that only the repository has becomes its text.
mend_links()
{
    local page target
    while read -r page; do
        while read -r target; do
            [ -e "${page%/*}/$target" ] ||
                sed -i -E "s|\[([^]]*)\]\(${target//./\\.}(#[^)]*)?\)|\1|g" "$page"
        done < <(grep -oE '\]\([^)#:[:space:]]+' "$page" | cut -c3- | sort -u)
    done < <(find "$kit" -name '*.md')
}

# For Python handlers: what PYTHONPATH is set to.
put_python()
{
    local file
    while read -r file; do put 0644 "src/handlers/python/$file" "python/$file"; done \
        < <(cd src/handlers/python && find runpod -name '*.py')
}

# The files of a folder without what a build left there.
files_of() # FOLDER
{
    find "$1" -type f ! -path '*/target/*' ! -name Cargo.lock ! -name '*.o'
}

# As the source packages carry them; those of musl, the compiler's runtime and the certificates as
# the distribution's packages do.
put_licences()
{
    local ring=vendor/.src/rust-ring doc=/usr/share/doc file
    put 0644 LICENSE LICENSE
    put 0644 "$B/gen/sbom.cdx.json" sbom.cdx.json
    put 0644 vendor/.src/bearssl/LICENSE.txt licences/bearssl
    put 0644 vendor/.src/jsmn/LICENSE licences/jsmn
    put 0644 $ring/LICENSE licences/ring
    for file in BoringSSL other-bits; do
        [ ! -f "$ring/LICENSE-$file" ] || put 0644 "$ring/LICENSE-$file" "licences/ring-$file"
    done
    put 0644 $ring/third_party/fiat/LICENSE licences/fiat-crypto
    put 0644 $doc/musl-dev/copyright licences/musl
    put 0644 $doc/ca-certificates/copyright licences/ca-certificates
    put 0644 "$doc/gcc-$(gcc -dumpversion)-base/copyright" licences/gcc-runtime
    put 0644 vendor/lock licences/sources
}

[ -n "$version" ] || die "src/base/version.h names no version"
rm -rf "$work"
mkdir -p "$kit"
put_programs
put_python
put_manuals
put_licences
(cd "$kit" && find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum) \
    >"$work/sums"
mv "$work/sums" "$kit/SHA256SUMS"
tar --create --directory "$work" --format=ustar --sort=name --mtime=@0 --owner=0 --group=0 \
    --numeric-owner --mode=u=rwX,go=rX "$name" | gzip -9n >"build/kit/$name.tar.gz.part"
mv "build/kit/$name.tar.gz.part" "build/kit/$name.tar.gz"
rm -rf "$work"
printf '%-28s %8d bytes\n' "build/kit/$name.tar.gz" "$(stat -c %s "build/kit/$name.tar.gz")"
