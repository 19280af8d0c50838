# shellcheck shell=bash
# Which packages of the distribution a verb needs, and their installation. Sourced by build.sh.
#
#   need_packages GROUP...   install what is missing of the groups; with OFFLINE=1 say so and end
#
# A package counts as there when its probe is: a command, or a file (a pattern will do).

packages_of() # GROUP: lines "package probe"
{
    local arch
    arch=$(uname -m)
    case $1 in
    build)
        cat <<EOF
gcc gcc
binutils ld
make make
musl-tools musl-gcc
musl-dev /usr/lib/$arch-linux-musl/libc.a
ca-certificates /usr/share/ca-certificates/mozilla/*.crt
xz-utils xz
EOF
        ;;
    aarch64)
        cat <<EOF
gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
binutils-aarch64-linux-gnu aarch64-linux-gnu-strip
EOF
        ;;
    qemu) echo "qemu-user-static qemu-aarch64-static" ;;
    fmt) echo "clang-format clang-format" ;;
    test)
        # libc6-dev: the sanitizers run on glibc. The runtime's package is named after clang's
        # release.
        cat <<EOF
clang clang
libclang-rt-$(clang_release)-dev /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-$arch.a
libc6-dev /usr/include/stdio.h
clang-tidy clang-tidy
clang-format clang-format
cppcheck cppcheck
shellcheck shellcheck
nginx-light nginx
tinyproxy tinyproxy
busybox-static busybox
gdb gdb
openssl openssl
openssh-client ssh-keygen
golang-go go
g++ g++
rustc rustc
cargo cargo
cmake cmake
bzip2 bzip2
chromium chromium
curl curl
strace strace
iproute2 ip
util-linux unshare
python3 python3
python3-venv /usr/lib/python3*/ensurepip/__init__.py
EOF
        ;;
    bench_alone)
        cat <<EOF
libc6-dev /usr/include/stdio.h
python3 python3
EOF
        ;;
    bench)
        cat <<EOF
libc6-dev /usr/include/stdio.h
libssl-dev /usr/include/openssl/ssl.h
nginx-light nginx
wrk wrk
python3 python3
python3-venv /usr/lib/python3*/ensurepip/__init__.py
EOF
        ;;
    *) die "no group of packages is named $1" ;;
    esac
}

# The major release of clang that the package "clang" is, or would be.
clang_release()
{
    if command -v clang >/dev/null; then
        clang -dumpversion | cut -d. -f1
    else
        apt-cache depends clang 2>/dev/null |
            awk -F 'Depends: clang-' '$2 ~ /^[0-9]+$/ && !found++ { print $2 }'
    fi
}

there() # PROBE
{
    case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    *) command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] ;;
    esac
}

as_root()
{
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

missing_packages() # GROUP...
{
    local group package probe
    for group in "$@"; do
        packages_of "$group"
    done | sort -u | while read -r package probe; do
        there "$probe" || echo "$package"
    done
}

apt_install() # PACKAGE...
{
    # A server that comes with the tests' tools (nginx, tinyproxy) is not to be started as a
    # service.
    local policy=/usr/sbin/policy-rc.d made=0 status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        made=1
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y \
        --no-install-recommends "$@" </dev/null >"$LOG_DIR/apt.log" 2>&1 || status=$?
    [ "$made" -eq 0 ] || as_root rm -f "$policy"
    return "$status"
}

need_packages() # GROUP...
{
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$OFFLINE" -eq 0 ] || die "--offline, and these packages are missing: ${missing[*]}"
    command -v apt-get >/dev/null ||
        die "please install what these packages of Debian hold: ${missing[*]}"
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        die "not root and no sudo; please have these packages installed: ${missing[*]}"
    say "installing: ${missing[*]}"
    mkdir -p "$LOG_DIR"
    # A fresh image has no package lists: without them clang's release is not known, nor anything
    # else.
    as_root apt-get -qq update </dev/null >"$LOG_DIR/apt.log" 2>&1 || {
        cat "$LOG_DIR/apt.log" >&2
        die "apt-get update failed"
    }
    mapfile -t missing < <(missing_packages "$@")
    apt_install "${missing[@]}" || {
        tail -n 20 "$LOG_DIR/apt.log" >&2
        die "installing failed; the whole log is $LOG_DIR/apt.log"
    }
}
