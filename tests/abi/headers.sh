#!/bin/sh
# SPDX-License-Identifier: MIT
# headers.sh: every public header compiles alone, in each C and C++ that VMMs are written in, and drags nothing along.
cd "$(dirname "$0")/../.." || exit 1
. tests/abi/tap.sh
flags='-Wall -Wextra -Werror -fsyntax-only -I lib -I shm'
headers=$(cd lib && ls vmtally.h vmtally/*.h; cd ../shm && ls vmtally/*.h)

# One test for a compiler and a language: each header alone and twice, then use.c, which uses what they offer.
compiles() { # compiler language standard
    name="headers compile with $1 as $3"
    if ! command -v "$1" >/dev/null; then
        echo "ok - $name # SKIP $1 is not installed"
        return
    fi
    log=$(
        for header in $headers; do
            printf '#include <%s>\n#include <%s>\n' "$header" "$header" | "$1" -x "$2" -std="$3" $flags - 2>&1 ||
                exit 1
        done
        "$1" -x "$2" -std="$3" $flags tests/abi/use.c 2>&1
    )
    check $? "$name" "$log"
}

for cc in gcc clang; do
    compiles $cc c gnu89
    compiles $cc c c11
done
for cxx in g++ clang++; do
    compiles $cxx c++ c++17
    compiles $cxx c++ c++20
done

paths=$(cd lib && ls vmtally.h vmtally/*.h | sed 's,^,lib/,'; cd .. && ls shm/vmtally/*.h)
check_empty "$(grep -nE '^[[:space:]]*#[[:space:]]*include' $paths |
    grep -vE '<(stdint\.h|stddef\.h|vmtally/[a-z_]+\.h)>$')" 'headers include only stdint.h, stddef.h and each other'

all=$(for header in $headers; do printf '#include <%s>\n' "$header"; done)
check_empty "$(printf '%s\n' "$all" | ${CC:-cc} -M -I lib -I shm -xc - | tr ' ' '\n' | grep -E 'linux/kvm|urcu')" \
    'headers reach neither linux/kvm.h nor urcu'

exit $bad
