# SPDX-License-Identifier: MIT
# env.sh: sourced by the scripts here. cargo builds in the build directory against the libraries there, writes nothing
# into the source tree, and asks no registry. Sets $rust, the workspace, and $dir, $bad as abi/tap.sh.
. "$here/../abi/tap.sh"
build=${VMT_BUILD:?must be set to the build directory}
rust=$(cd "$here/../../bindings/rust" && pwd)
cargo=${CARGO:-cargo}
segments=$(mktemp -d /dev/shm/vmtally-test.XXXXXX) || exit 1
trap 'rm -rf "$dir" "$segments"' EXIT
export CARGO_TARGET_DIR="$build/cargo" CARGO_HOME="$build/cargo-home" CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0
export PKG_CONFIG_PATH="$build/meson-uninstalled" LD_LIBRARY_PATH="$build/lib" VMTALLY_DIR="$segments"

offline() { # command [argument...]: cargo in the workspace, as it was locked
    command=$1
    shift
    (cd "$rust" && "$cargo" "$command" --offline --locked "$@")
}

has() { # subcommand: a part of cargo's that may not be installed
    "$cargo" "$1" --version >/dev/null 2>&1
}
