#!/bin/sh
# SPDX-License-Identifier: MIT
# cargo.sh: the tests of the Rust crates, those in their documentation too, and what cargo can say about their code.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"

for crate in vmtally-sys vmtally; do
    offline test -p $crate --features export --no-fail-fast >"$dir/$crate" 2>&1
    python3 "$here/tap.py" $crate $? <"$dir/$crate" || bad=1
done

log=$(offline check -p vmtally 2>&1)
check $? "the crates do without the feature export" "$log"

name="no warning of clippy's"
if has clippy; then
    log=$(offline clippy --all-targets --features vmtally/export -- -D warnings 2>&1)
    check $? "$name" "$log"
else
    skip "$name" "cargo clippy is not installed"
fi

name="the code is as cargo fmt has it"
if has fmt; then
    log=$(cd "$rust" && "$cargo" fmt --all --check -- --color never 2>&1)
    check $? "$name" "$log"
else
    skip "$name" "cargo fmt is not installed"
fi

log=$(RUSTDOCFLAGS='-D warnings' offline doc -p vmtally-sys -p vmtally --features vmtally/export --no-deps 2>&1)
check $? "cargo doc makes the documentation without warnings" "$log"
exit $bad
