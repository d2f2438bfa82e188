#!/bin/sh
# SPDX-License-Identifier: MIT
# package.sh REGISTRY [DEPFILE]: packages both crates with cargo and unpacks them into REGISTRY, which is made anew and
# is then a directory source of cargo's, as Debian's /usr/share/cargo/registry is. cargo works in $CARGO_TARGET_DIR, else
# in $VMT_BUILD/cargo. DEPFILE: what they were made of, for ninja. $VERIFY not empty: cargo builds what it has packed.
set -eu
rust=$(cd "$(dirname "$0")" && pwd)
name=$1
rm -rf "$name"
mkdir -p "$name"
registry=$(cd "$name" && pwd)
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$VMT_BUILD/cargo}" CARGO_HOME="${CARGO_HOME:-$VMT_BUILD/cargo-home}"
export CARGO_TERM_COLOR=never
verify=--no-verify
[ -z "${VERIFY-}" ] || verify=

for crate in vmtally-sys vmtally; do
    rm -f "$CARGO_TARGET_DIR/package/$crate"-[0-9]*.crate
    # vmtally needs vmtally-sys from where all crates come from: from the registry that grows here.
    (cd "$rust" && "${CARGO:-cargo}" package --quiet --offline --locked --allow-dirty $verify -p $crate \
        --config 'source.crates-io.replace-with = "made"' --config "source.made.directory = '$registry'")
    package=$(ls "$CARGO_TARGET_DIR/package/$crate"-[0-9]*.crate)
    tar -xzf "$package" -C "$registry"
    sum=$(sha256sum "$package" | cut -d ' ' -f 1)
    printf '{"package":"%s","files":{}}\n' "$sum" >"$registry/$(basename "$package" .crate)/.cargo-checksum.json"
done

if [ $# -gt 1 ]; then
    printf '%s: ' "$name" >"$2"
    find "$rust" -path "$rust/target" -prune -o -type f -print | sed 's/[ #]/\\&/g; s/\$/$$/g' | tr '\n' ' ' >>"$2"
fi
