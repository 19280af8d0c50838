#!/bin/sh
# Look at what the linker made:  check-binary.sh FILE pie|fixed
# A binary for an empty image asks for no interpreter and no library; a hardened one has all its
# relocations done and read-only before main runs, and no memory that is both written and run.
set -eu

file=$1
kind=$2
headers=$(LC_ALL=C readelf --wide --file-header --program-headers --dynamic "$file")

die()
{
    printf '%s: %s\n' "$file" "$1" >&2
    exit 1
}

has()
{
    printf '%s\n' "$headers" | grep -qE "$1"
}

! has '^ +INTERP ' || die 'asks for an interpreter: it is not static'
! has '\(NEEDED\)' || die 'asks for a shared library'
! has '\(TEXTREL\)' || die 'has relocations in its code'
has '^ +GNU_STACK .* RW +0x' || die 'has an executable stack'
! has '^ +LOAD .* RWE ' || die 'has memory that is both written and executed'
if [ "$kind" = pie ]; then
    has 'Type: +DYN' || die 'is not position independent'
    has '^ +GNU_RELRO ' || die 'has no read-only relocations'
    has 'FLAGS_1.* NOW' || die 'does not bind everything at start'
fi
