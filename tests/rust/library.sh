#!/bin/sh
# SPDX-License-Identifier: MIT
# library.sh: how vmtally-sys finds libvmtally, and what it says where it does not.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
export CARGO_TARGET_DIR="$dir/target"
installed=$PKG_CONFIG_PATH
unset PKG_CONFIG_PATH

sys() { # command [argument...]: on vmtally-sys, with what env is told
    command=$1
    shift
    offline "$command" -p vmtally-sys "$@" 2>&1
}

fails() { # name log what...: cargo has failed, and said all of that
    name=$1 log=$2
    shift 2
    for what in "$@"; do
        case $log in
        *"$what"*) ;;
        *) check 1 "$name" "no \"$what\" in: $log" && return ;;
        esac
    done
    check 0 "$name" "$log"
}

# As if nothing were installed, whatever is here.
export PKG_CONFIG_LIBDIR="$dir/pc"
mkdir "$dir/pc"
log=$(sys build) && log="it was built: $log"
fails "a build without the library says what to do" "$log" "error: libvmtally was not found: Install" PKG_CONFIG_PATH \
    VMTALLY_LIB_DIR "Package vmtally was not found"
log=$(sys check && sys doc)
check $? "cargo check and cargo doc do without the library" "$log"
cp "$installed/"*.pc "$dir/pc"
log=$(sys build)
check $? "a build finds the library that has been installed since" "$log"
sed -i 's/^Version:.*/Version: 0.9/' "$dir/pc/"*
log=$(PKG_CONFIG_PATH="$dir/pc" sys build) && log="it was built: $log"
fails "a library that is too old is not taken" "$log" "vmtally >= 1.0" "0.9"

log=$(PKG_CONFIG="$dir/none" sys build) && log="it was built: $log"
fails "a build without pkg-config says what to do" "$log" "$dir/none could not be run" VMTALLY_LIB_DIR
log=$(PKG_CONFIG="$dir/none" VMTALLY_LIB_DIR="$build/lib" sys test --features export)
check $? "with VMTALLY_LIB_DIR pkg-config is not asked" "$log"
log=$(VMTALLY_LIB_DIR="$dir/nowhere" sys build) && log="it was built: $log"
fails "a wrong VMTALLY_LIB_DIR is named" "$log" "$dir/nowhere/libvmtally.so was not found" VMTALLY_LIB_DIR
host=$(rustc -vV | sed -n 's/^host: //p' | tr - _)
log=$(export "VMTALLY_LIB_DIR_$host=$build/lib" VMTALLY_LIB_DIR="$dir/nowhere" && sys build)
check $? "a variable for the target alone goes before the one for all" "$log"

# The programs of another machine are not linked here, but its pkg-config is asked.
cat >"$dir/aarch64-linux-gnu-pkg-config" <<END
#!/bin/sh
echo "\$@" >>"$dir/asked"
END
chmod +x "$dir/aarch64-linux-gnu-pkg-config"
log=$(unset PKG_CONFIG_LIBDIR; PATH="$dir:$PATH" sys build --features export --target aarch64-unknown-linux-gnu)
grep -q -- '--libs.*vmtally-export >= 1.0 vmtally >= 1.0' "$dir/asked"
check $? "another machine's pkg-config is asked for its libraries" "$log"

name="with the feature static a program needs no libvmtally.so"
if [ -f "$build/lib/libvmtally.a" ] && [ -f "$build/lib/libvmtally-export.a" ]; then
    mkdir -p "$dir/lib/pkgconfig"
    ln -s "$build/lib/"*.a "$dir/lib"
    cp "$installed/"*.pc "$dir/lib/pkgconfig"
    log=$(unset PKG_CONFIG_LIBDIR; VMTALLY_LIB_DIR="$dir/lib" sys test --features export,static --no-run \
        --message-format=json)
    program=$(printf '%s\n' "$log" | sed -n 's/.*"executable":"\([^"]*counting[^"]*\)".*/\1/p')
    needed=$(readelf -d "$program" 2>&1)
    [ -n "$program" ] && ! printf '%s\n' "$needed" | grep -q 'NEEDED.*libvmtally' &&
        (unset LD_LIBRARY_PATH; "$program" >"$dir/counts" 2>&1)
    check $? "$name" "$log
$needed
$(cat "$dir/counts")"
else
    skip "$name" "the static libraries are not built"
fi
exit $bad
