#!/usr/bin/env bash
# The image of one binary:  docker/image.sh BINARY OUT.tar [archive]
#
# OUT.tar is for "docker load" (or podman, skopeo, crane). It is written here, without an engine,
# and from the same binary comes the same archive, byte for byte: no dates, no names of users, one
# order. What it describes is docker/Dockerfile's image, or docker/gpu.Dockerfile's for a binary
# with the GPU part; where an engine runs, that is built as well, unless "archive" says to leave it.
set -euo pipefail

binary=$1
out=$2
only=${3-}
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=$("$top/vendor/version.sh")
work=$top/build/image

die()
{
    printf 'image: %s\n' "$*" >&2
    exit 1
}

# tar TO FROM FILE...: an archive that depends on the files' names and bytes only. A blocking factor
# of 2 ends it after the two empty blocks that the format asks for, not at a multiple of 10 KiB.
tar_same()
{
    local to=$1 from=$2
    shift 2
    tar --create --file "$to" --directory "$from" --format=ustar --sort=name --mtime=@0 \
        --owner=0 --group=0 --numeric-owner --blocking-factor=2 "$@"
}

sha256_of()
{
    sha256sum "$1" | cut -d' ' -f1
}

docker_arch() # BINARY
{
    case $(LC_ALL=C readelf -h "$1" 2>/dev/null | sed -n 's/^ *Machine: *//p') in
    *X86-64*) echo amd64 ;;
    AArch64) echo arm64 ;;
    *) die "$1 is not a program for x86-64 or 64-bit ARM" ;;
    esac
}

# A binary with the GPU part holds the names of the driver's calls; it may be of another processor,
# so it is not asked.
dockerfile_of() # BINARY
{
    if grep -qaF cuGetProcAddress "$1"; then
        echo "$top/docker/gpu.Dockerfile"
    else
        echo "$top/docker/Dockerfile"
    fi
}

# The Dockerfile's ENV as a member of the configuration, with a comma after it; nothing without one.
environment_of() # DOCKERFILE
{
    local variables
    variables=$(sed -n '/^ENV /,/[^\\]$/p' "$1" |
        { grep -oE '[A-Z_]+=[^ \]+' || true; } | sed 's/.*/"&"/' | paste -sd,)
    [ -z "$variables" ] || printf '"Env":[%s],' "$variables"
}

# Labels for a binary that carries its bill of materials: the document's digest, and how to have it
# printed. It has 36 KB, too many for a label, and is in the image already. Lines "NAME=VALUE".
labels_of() # BINARY
{
    local where offset size sha256
    # readelf knows other processors' programs, which objcopy may not. Both are hexadecimal.
    where=$(LC_ALL=C readelf -SW "$1" |
        sed -n 's/^.* \.sbom  *PROGBITS  *[0-9a-f]* \([0-9a-f]*\) \([0-9a-f]*\) .*/\1 \2/p')
    [ -n "$where" ] || return 0
    read -r offset size <<<"$where"
    sha256=$(dd if="$1" iflag=skip_bytes,count_bytes bs=64K skip="$((16#$offset))" \
        count="$((16#$size))" status=none | gzip -dc | sha256sum | cut -d' ' -f1)
    printf 'slim-worker.sbom.sha256=%s\n' "$sha256"
    printf 'slim-worker.sbom.print=/worker --sbom\n'
}

# The labels as a member of the configuration, with a comma after it; nothing without one.
labels_member()
{
    [ "${#labels[@]}" -eq 0 ] ||
        printf '"Labels":{%s},' "$(printf '%s\n' "${labels[@]}" | sed 's/=/":"/; s/.*/"&"/' |
            paste -sd,)"
}

write_archive()
{
    local arch layer config
    arch=$(docker_arch "$binary")
    # With an empty /tmp for everybody, which the Dockerfiles have from tmp.tar.
    tar_same "$work/layer.tar" "$work/layer" tmp worker
    layer=$(sha256_of "$work/layer.tar")
    # The same fields as in the Dockerfiles.
    cat >"$work/config.json" <<EOF
{"architecture":"$arch","os":"linux","created":"1970-01-01T00:00:00Z",
"config":{$(environment_of "$dockerfile")$(labels_member)"User":"65534:65534",
"Entrypoint":["/worker"],"WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":["sha256:$layer"]},
"history":[{"created":"1970-01-01T00:00:00Z","created_by":"slim-worker $version"}]}
EOF
    config=$(sha256_of "$work/config.json")
    mkdir -p "$work/archive/$layer"
    mv "$work/layer.tar" "$work/archive/$layer/layer.tar"
    mv "$work/config.json" "$work/archive/$config.json"
    printf '[{"Config":"%s.json","RepoTags":["slim-worker:%s","slim-worker:latest"],' \
        "$config" "$version" >"$work/archive/manifest.json"
    printf '"Layers":["%s/layer.tar"]}]\n' "$layer" >>"$work/archive/manifest.json"
    (cd "$work/archive" && tar_same "$work/image.tar" . --mode=u=rwX,go=rX --no-recursion \
        manifest.json "$config.json" "$layer" "$layer/layer.tar")
    layer_bytes=$(stat -c %s "$work/archive/$layer/layer.tar")
    mkdir -p "$(dirname "$out")"
    mv "$work/image.tar" "$out"
}

build_with_engine()
{
    if ! command -v docker >/dev/null; then
        echo "no docker here: the archive is the image"
    elif ! docker version >/dev/null 2>&1; then
        echo "docker is here, but no engine answers: the archive is the image"
    elif [ "$(docker_arch "$binary")" != "$(docker version --format '{{.Server.Arch}}')" ]; then
        echo "docker's engine is of another architecture: the archive is the image"
    else
        docker build --quiet --tag "slim-worker:$version" --tag slim-worker:latest \
            "${labels[@]/#/--label=}" --file "$dockerfile" "$work/context" \
            >"$work/docker.log" 2>&1 || {
            cat "$work/docker.log" >&2
            die "docker build failed"
        }
        echo "docker has it as slim-worker:$version and slim-worker:latest"
    fi
}

[ -f "$binary" ] || die "there is no file $binary"
dockerfile=$(dockerfile_of "$binary")
[ -n "$version" ] || die "src/base/version.h names no version"
rm -rf "$work"
mkdir -p "$work/context" "$work/archive"
install -m 0755 "$binary" "$work/context/worker"
install -d -m 0755 "$work/layer"
install -m 0755 "$binary" "$work/layer/worker"
install -d -m 1777 "$work/layer/tmp"
"$top/docker/tmp.sh" "$work/context/tmp.tar"
labels=()
described=$(labels_of "$binary") # a command of its own, so that its failure ends this script
[ -z "$described" ] || mapfile -t labels <<<"$described"
write_archive
binary_bytes=$(stat -c %s "$binary")
printf '%s: image of %d bytes (the binary has %d, the layer %d more)\n' \
    "$out" "$layer_bytes" "$binary_bytes" "$((layer_bytes - binary_bytes))"
[ "$only" = archive ] || build_with_engine
