#!/bin/sh
# SPDX-License-Identifier: MIT
# generated.sh: what the bindings took over from the C headers (bindings/generate.py) is what the headers say now.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tap.sh"
root=$here/../..

same() { # output name
    log=$(python3 "$root/bindings/generate.py" --check "$1" 2>&1)
    status=$?
    if [ $status -eq 3 ]; then
        skip "$2" "$log"
    else
        check $status "$2" "$log
made anew by: bindings/generate.py $1"
    fi
}
same cpp "the ready-made schemas of C++ are those of the headers"
same rust "the ready-made schemas of Rust are those of the headers"
same bindings "Rust's declarations are those that bindgen makes of the headers"

# The same without bindgen, and by the compiler of this machine.
declarations() { python3 "$here/declarations.py" "$1"; }
check_empty "$(declarations missing 2>&1)" 'Rust declares all that the headers declare'

declarations c >"$dir/c.c" || exit 1
log=$(${CC:-cc} -Wall -Wextra -Werror -I "$root/lib" -I "$root/shm" -o "$dir/c" "$dir/c.c" 2>&1)
check $? "functions and objects have the same types in Rust's declarations as in the headers" "$log"

name="structs and constants are the same in Rust's declarations as in the headers: sizes, offsets, kinds, values"
if command -v rustc >/dev/null; then
    log=$(declarations rust >"$dir/rust.rs" && rustc --edition 2021 -o "$dir/rust" "$dir/rust.rs" 2>&1 &&
        "$dir/c" >"$dir/c.txt" && "$dir/rust" >"$dir/rust.txt" && [ -s "$dir/c.txt" ] &&
        diff "$dir/c.txt" "$dir/rust.txt")
    check $? "$name" "$log"
else
    skip "$name" "rustc is not installed"
fi
exit $bad
