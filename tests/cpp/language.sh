#!/bin/sh
# SPDX-License-Identifier: MIT
# language.sh: each header of the C++ binding compiles alone and twice; all of them with each compiler in each C++, with
# exceptions and without; all under the warnings that strict hosts have, as does the example.
cd "$(dirname "$0")/../.." || exit 1
. tests/abi/tap.sh
flags='-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Wcast-qual -Wnon-virtual-dtor
    -Wmissing-declarations -Werror -fsyntax-only -I bindings/cpp -I lib -I shm'
headers=$(cd bindings/cpp && ls vmtally.hpp vmtally/*.hpp)

# shellcheck disable=SC2086 # flags are words
compiles() { # headers compiler standard more-flags
    for header in $1; do
        printf '#include <%s>\n#include <%s>\n' "$header" "$header" | "$2" -x c++ -std="$3" $flags $4 - 2>&1 || return 1
    done
}

for cxx in g++ clang++; do
    if ! command -v $cxx >/dev/null; then
        skip "the headers compile with $cxx" "$cxx is not installed"
        continue
    fi
    for std in c++17 c++20; do
        for more in '' '-fno-exceptions -fno-rtti'; do
            log=$(compiles vmtally/export.hpp $cxx $std "$more") # which includes all
            check $? "the headers compile with $cxx as $std $more" "$log"
        done
    done
    # shellcheck disable=SC2086 # flags are words
    log=$(printf '%s\n' '#include <vmtally.hpp>' \
        'int main() { return !vmtally::segment::create({ .name = "web-1", .keep = true }); }' |
        $cxx -x c++ -std=c++20 $flags - 2>&1)
    check $? "options may be named where they are given ($cxx, C++20)" "$log"
    # shellcheck disable=SC2086 # flags are words
    log=$($cxx -std=c++17 $flags bindings/cpp/examples/tinykvm.cpp 2>&1)
    check $? "the example compiles with $cxx" "$log"
done
log=$(compiles "$headers" "${CXX:-c++}" c++17 '')
check $? 'each header compiles alone' "$log"

# Before C++17 there is a sentence, not a page of errors.
log=$(echo '#include <vmtally.hpp>' | ${CXX:-c++} -x c++ -std=c++14 -fsyntax-only -I bindings/cpp -I lib -I shm - 2>&1)
[ $? -ne 0 ] && [ "$(printf '%s\n' "$log" | grep -c 'error: .*C++17')" -eq 1 ]
check $? 'an older C++ is refused in words' "$log"

# No header but the ones that say so reach for libvmtally-export, linux/kvm.h or liburcu.
all=$(echo '#include <vmtally.hpp>' | ${CXX:-c++} -std=c++17 -M -I bindings/cpp -I lib -I shm -xc++ - | tr ' ' '\n')
check_empty "$(printf '%s\n' "$all" | grep -E 'linux/kvm|urcu|vmtally/export|iostream')" \
    'vmtally.hpp needs no export library, nor linux/kvm.h, urcu or iostream'

# Every header is installed.
check_empty "$(for header in $headers; do grep -q "'$header'" bindings/cpp/meson.build || echo "$header"; done)" \
    'every header is installed'
exit $bad
