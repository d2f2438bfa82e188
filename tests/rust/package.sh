#!/bin/sh
# SPDX-License-Identifier: MIT
# package.sh: both crates can be packaged, have what is needed and no more, and are enough to build a program with.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
export CARGO_TARGET_DIR="$build/cargo-package"
registry=$dir/registry

# cargo package builds what it has packed, against the vmtally-sys that was packed.
log=$(VERIFY=1 CARGO=$cargo "$rust/package.sh" "$registry" 2>&1)
check $? "cargo package packs both crates and builds them from the packages" "$log"

code='(build|(src|tests|examples)/([a-z_]+/)*[a-z_]+)\.rs'
cargos='Cargo\.(toml|toml\.orig|lock)|\.cargo[-_](checksum|vcs_info)\.json'
for crate in vmtally-sys vmtally; do
    package=$(echo "$registry/$crate"-[0-9]*)
    files=$(cd "$package" && find . ! -type d | sort)
    for file in Cargo.toml README.md LICENSE src/lib.rs; do
        [ -s "$package/$file" ] && [ ! -L "$package/$file" ]
        check $? "the package of $crate has $file" "$files"
    done
    cmp -s "$package/LICENSE" "$rust/../../LICENSE"
    check $? "the package of $crate has the license of all" "$(head -3 "$package/LICENSE")"
    check_empty "$(printf '%s\n' "$files" | grep -vE "^\./($code|$cargos|README\.md|LICENSE)\$")" \
        "the package of $crate has nothing needless"
    check_empty "$(cd "$rust/$crate" && find . -name '*.rs' | sort | while read -r file; do
        cmp "$file" "$package/$file" 2>&1
    done)" "the package of $crate has all of its code"
done

# A program of somebody else's: the crates come from where its other crates come from, as the README has it.
mkdir -p "$dir/program/src" "$dir/program/.cargo"
sed -n '/^\[source.crates-io\]/,/^```/p' "$rust/README.md" | sed "/^\`\`\`/d; s,\".*/registry\",\"$registry\"," \
    >"$dir/program/.cargo/config.toml"
cat >"$dir/program/Cargo.toml" <<'END'
[package]
name = "program"
version = "1.0.0"
edition = "2021"

[dependencies]
vmtally = { version = "1", features = ["export"] }
END
cat >"$dir/program/src/main.rs" <<'END'
fn main() -> Result<(), vmtally::Error> {
    let segment = vmtally::Segment::builder().name("packaged").create()?;
    println!("{}", segment.name());
    Ok(())
}
END
log=$(cd "$dir/program" && cat .cargo/config.toml && "$cargo" run --offline 2>&1)
printf '%s\n' "$log" | grep -qx packaged
check $? "a program can be built with the packages alone" "$log"
exit $bad
