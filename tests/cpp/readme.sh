#!/bin/bash
# SPDX-License-Identifier: MIT
# readme.sh BUILD MESON: the program in bindings/cpp/README.md compiles without a warning against what is installed,
# with the flags of pkg-config, and prints what the README says; an exporter compiles and runs, too.
. "$(dirname "$0")/../abi/tap.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$1 meson=$2
readme=$root/bindings/cpp/README.md
VMTALLY_DIR=$(mktemp -d /dev/shm/vmtally-test.XXXXXX) || exit 1
export VMTALLY_DIR
trap 'rm -rf "$dir" "$VMTALLY_DIR"' EXIT

block() { # fence number
    awk -v fence="$1" -v want="$2" '$0 == fence && !inside { n++; inside = 1; next }
        /^```/ { inside = inside ? 0 : 2; next }
        inside == 1 && n == want' "$readme"
}
block '```cpp' 1 >"$dir/disk.cpp"
awk '/^It prints$/ { on = 1 } on && /^```$/ { if (inside) exit; inside = 1; next } inside' "$readme" >"$dir/want"
[ -s "$dir/disk.cpp" ] && [ -s "$dir/want" ]
check $? 'the README has a program and what it prints' "$(head -5 "$dir/disk.cpp" "$dir/want")"

if ! command -v pkg-config >/dev/null; then
    skip 'the program of the README' 'pkg-config is not installed'
    exit "$bad"
fi
log=$($meson install --no-rebuild -C "$build" --destdir "$dir/root" 2>&1)
check $? 'meson install' "$log"
pc=$(dirname "$(find "$dir/root" -name vmtally-cpp.pc)")
export PKG_CONFIG_PATH="$pc" PKG_CONFIG_SYSROOT_DIR="$dir/root"
flags=$(pkg-config --cflags --libs vmtally-cpp 2>&1)
check $? 'pkg-config knows vmtally-cpp' "$flags"
libraries=$(dirname "$pc")
for cxx in g++ clang++; do
    if ! command -v $cxx >/dev/null; then
        skip "the README's program ($cxx)" "$cxx is not installed"
        continue
    fi
    # shellcheck disable=SC2086 # flags are words
    log=$($cxx -std=c++17 -Wall -Wextra -Wconversion -Wshadow -Werror "$dir/disk.cpp" -o "$dir/disk" $flags 2>&1)
    check $? "the README's program compiles ($cxx)" "$log"
    LD_LIBRARY_PATH=$libraries "$dir/disk" >"$dir/got" 2>&1
    log=$(diff "$dir/want" "$dir/got")
    check $? "the README's program prints what the README says ($cxx)" "$log"
    check_empty "$(ls "$VMTALLY_DIR")" "the README's program leaves nothing behind ($cxx)"
done

cat >"$dir/exports.cpp" <<'END'
#include <cstdio>
#include <vmtally/export.hpp>
int main()
{
    auto segment = vmtally::segment::create().value();
    auto reader = vmtally::reader::attach(segment).value();
    auto snapshot = reader.snapshot().value();

    std::puts(vmtally::json(snapshot).value().find("dropped_sources") != std::string::npos ? "written" : "not there");
}
END
# shellcheck disable=SC2046 # flags are words
log=$(${CXX:-c++} -std=c++17 "$dir/exports.cpp" -o "$dir/exports" \
    $(pkg-config --cflags --libs vmtally-cpp vmtally-export) 2>&1 && LD_LIBRARY_PATH=$libraries "$dir/exports" 2>&1)
[ "$log" = written ]
check $? 'an exporter compiles and runs against what is installed' "$log"
exit "$bad"
