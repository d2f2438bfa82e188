#!/bin/sh
# SPDX-License-Identifier: MIT
# See vmtally at work: installs what is missing, builds, starts minivmm and opens kvmtop on it. Without a terminal it
# prints three samples and ends. Everything that it starts ends with it; what it built stays in build/.
# Made for Debian 12 and a root shell; without root it needs the packages to be there. VMT_BUILD: another build directory.
set -eu

packages='gcc libc6-dev meson ninja-build pkg-config liburcu-dev libmsgpack-dev libjson-c-dev libncurses-dev libseccomp-dev zlib1g-dev
    libgnutls28-dev libmicrohttpd-dev libsystemd-dev libcrypt-dev scdoc'
root=$(cd "$(dirname "$0")/.." && pwd)
build=${VMT_BUILD:-$root/build}
dir=
vmm=
top=
starting= # yes while the last process has no name yet

say() { echo "demo: $*" >&2; }

clean_up() {
    trap - EXIT INT TERM HUP
    set +u # $! before anything was started
    for pid in $top $vmm ${starting:+$!}; do
        # More than once: it may be this shell's copy, which gives a signal to nobody before it becomes the program.
        while kill "$pid" 2>/dev/null; do
            sleep 0.1
        done
    done
    [ -z "$dir" ] || rm -rf "$dir"
}
trap clean_up EXIT
trap 'clean_up; exit 130' INT
trap 'clean_up; exit 143' TERM HUP

install_missing() {
    missing=
    for package in $packages; do
        case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
        installed) ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        say "packages are missing, and only root can install them:"
        say "    apt-get install$missing"
        exit 1
    fi
    say "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    # Without output of their own these two would be silent for longer than a person waits.
    apt-get update >&2
    # shellcheck disable=SC2086 # a list
    apt-get install -y --no-install-recommends $missing >&2
}

build() {
    if [ ! -e "$build/build.ninja" ]; then
        say "configuring $build"
        meson setup "$build" "$root" >&2
    fi
    say "building in $build"
    ninja -C "$build" cli/kvmtop cli/vmtally lib/examples/minivmm >&2
}

# 0 once minivmm's segment is there.
start() {
    starting=yes
    "$build/lib/examples/minivmm" --name demo --vcpus 2 --dir "$dir" "$@" </dev/null >"$dir/log" 2>&1 &
    vmm=$!
    starting=
    for _ in $(seq 100); do
        [ ! -e "$dir/demo.vmt" ] || return 0
        kill -0 "$vmm" 2>/dev/null || break
        sleep 0.1
    done
    kill "$vmm" 2>/dev/null || true
    wait "$vmm" || true
    vmm=
    cat "$dir/log" >&2
    return 1
}

if command -v dpkg-query >/dev/null; then
    install_missing
else
    say "this is not Debian; needed are what Debian calls $packages"
fi
build
dir=$(mktemp -d /dev/shm/vmtally-demo.XXXXXX)
export VMTALLY_DIR="$dir"
if start --kernel; then
    say "minivmm runs a real guest on /dev/kvm"
elif start --simulate; then
    say "minivmm simulates: no guest can run here (see above)"
else
    say "minivmm did not start"
    exit 1
fi
if [ -t 0 ] && [ -t 1 ]; then
    "$build/cli/kvmtop" --dir "$dir"
else
    # In the background, so that a signal is not kept waiting.
    starting=yes
    "$build/cli/kvmtop" --dir "$dir" -b -n 3 </dev/null &
    top=$!
    starting=
    wait "$top"
    top=
fi
