#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh DIRECTORY: builds the crates' tests and examples, and what is in this folder, which it puts into DIRECTORY:
# rust_dump and rust_write for tests/abi, libvmtally_hot.so for the disassembly and the benchmark.
here=$(cd "$(dirname "$0")" && pwd)
output=$(cd "$1" && pwd) || exit
. "$here/env.sh"
offline test --quiet --workspace --features vmtally/export --no-run || exit
offline build --quiet --release -p vmtally-tests || exit

for program in dump:rust_dump write:rust_write libvmtally_hot.so:libvmtally_hot.so; do
    made=$CARGO_TARGET_DIR/release/${program%:*} copy=$output/${program#*:}
    cmp -s "$made" "$copy" || cp "$made" "$copy" || exit
done
