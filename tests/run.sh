#!/bin/bash
# SPDX-License-Identifier: MIT
# run.sh [STAGE...]: install what is missing (Debian, as root), build and run every test. Stages: gcc clang asan tsan
# model bench; none named: all. Its last line is "N passed, N failed[, N skipped]"; exit status 0 if none failed.
set -u
self=$(realpath "$0")
root=$(dirname "$(dirname "$self")")
here=$root/tests
exec </dev/null

packages='gcc g++ libc6-dev meson ninja-build pkg-config liburcu-dev libmsgpack-dev libjson-c-dev libncurses-dev
    libseccomp-dev scdoc libcriterion-dev clang libclang-rt-14-dev spin tmux strace jq python3 python3-msgpack binutils
    valgrind procps util-linux'

install_packages() {
    command -v dpkg-query >/dev/null || { echo "no dpkg here: the packages of Debian 12 are taken as installed"; return; }
    local package missing=()
    for package in $packages; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" -ne 0 ]; then
        echo "run.sh: install these first, or run it as root: ${missing[*]}" >&2
        exit 1
    fi
    echo "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -qy --no-install-recommends "${missing[@]}"; } >"$work/apt.log" 2>&1 || {
        tail -n 30 "$work/apt.log" >&2
        echo "run.sh: apt-get could not install ${missing[*]}" >&2
        exit 1
    }
}

# A /dev/shm of our own, where we may: nothing stays in it, and its size does not depend on where this runs.
if [ -z "${VMT_OWN_SHM:-}" ] && unshare --mount mount -t tmpfs tmpfs /dev/shm 2>/dev/null; then
    export VMT_OWN_SHM=1
    exec unshare --mount sh -c 'mount -t tmpfs -o mode=1777 tmpfs /dev/shm && exec "$@"' sh "$self" "$@"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/vmtally-tests.XXXXXX") || exit 1
mkdir "$work/logs"
passed=0 failed=0 skipped=0 failures=()

# Ends what tests left running: whatever has our build directory in its environment.
end_leftovers() {
    local pids
    pids=$(grep -lsz "^VMT_BUILD=$work/" /proc/[0-9]*/environ | sed -nE 's,^/proc/([0-9]+)/.*,\1,p')
    # shellcheck disable=SC2086 # process ids are words
    [ -z "$pids" ] || kill -KILL $pids 2>/dev/null
}

clean_up() {
    local dir
    end_leftovers
    for dir in /dev/shm/vmtally-test.*; do
        [ "$dir" -nt "$work/logs" ] && [ -z "$(grep -lsF "$dir/" /proc/[0-9]*/maps)" ] && rm -rf "$dir"
    done
    if [ "$failed" -eq 0 ]; then
        rm -rf "$work"
    else
        find "$work" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf {} +
        echo "full logs: $work/logs"
    fi
}
trap 'clean_up >&2' EXIT
trap 'exit 130' INT TERM HUP

fail() { # what log-file
    failed=$((failed + 1))
    failures+=("$1")
    grep -E -A 4 '(error|ERROR):|undefined reference|FATAL' "$2" | tail -n 60 >&2 || tail -n 40 "$2" >&2
}

report() { # name passed failed skipped since
    passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
    [ "$3" -eq 0 ] || failures+=("$1")
    printf '%-14s %4d passed, %d failed%s (%d s)\n' "$1" "$2" "$3" "$([ "$4" -eq 0 ] || echo ", $4 skipped")" \
        $((SECONDS - $5))
}

build() { # stage compiler meson-options...
    local stage=$1 compiler=$2 since=$SECONDS
    shift 2
    if { CC=$compiler meson setup "$work/$stage" "$root" "$@" && meson compile -C "$work/$stage" --ninja-args=-k0; } \
        >"$work/logs/$stage-build.txt" 2>&1; then
        echo "$stage: built with $compiler $* ($((SECONDS - since)) s)"
    else
        fail "$stage build" "$work/logs/$stage-build.txt"
        return 1
    fi
}

# sanitizers of today and address randomisation of newer kernels do not get along
fixed_addresses=
setarch -R true 2>/dev/null && fixed_addresses='setarch -R'

suite() { # stage suite [meson-test-options...]
    local stage=$1 suite=$2 since=$SECONDS prefix='' counts
    shift 2
    compgen -G "$here/$suite/*[!d]" >/dev/null || return 0 # nothing but a meson.build
    local log=$work/$stage/meson-logs/$suite.json
    [[ $stage == *san ]] && prefix=$fixed_addresses
    # shellcheck disable=SC2086 # a command or nothing
    timeout -k 10 900 $prefix meson test -C "$work/$stage" --no-rebuild --suite "$suite" --logbase "$suite" "$@" \
        >"$work/logs/$stage-$suite.txt" 2>&1
    cp "$work/$stage/meson-logs/$suite.txt" "$work/logs/$stage-$suite-full.txt" 2>/dev/null
    end_leftovers
    if [ -s "$log" ] && counts=$(python3 "$here/results.py" "$log"); then
        # shellcheck disable=SC2086 # three numbers
        report "$stage $suite" $counts "$since"
    else
        fail "$stage $suite" "$work/logs/$stage-$suite.txt"
    fi
}

stage_gcc() {
    build gcc gcc || return
    for suite in unit corrupt abi cli race; do
        suite gcc $suite
    done
}

stage_clang() {
    build clang clang || return
    for suite in unit corrupt race; do
        suite clang $suite
    done
}

stage_asan() {
    build asan gcc -Db_sanitize=address,undefined -Db_lundef=false || return
    for suite in unit corrupt cli race; do
        suite asan $suite
    done
}

stage_tsan() {
    build tsan clang -Db_sanitize=thread -Db_lundef=false || return
    for suite in unit corrupt race; do
        suite tsan $suite
    done
}

stage_model() {
    [ -f "$work/gcc/build.ninja" ] || build gcc gcc || return
    suite gcc model
}

stage_bench() {
    [ -f "$work/gcc/build.ninja" ] || build gcc gcc || return
    suite gcc bench --benchmark
    jq -r '.stdout // empty' "$work/gcc/meson-logs/bench.json" 2>/dev/null
}

install_packages
for stage in ${*:-gcc clang model asan tsan bench}; do
    case $stage in
    gcc | clang | asan | tsan | model | bench) "stage_$stage" ;;
    *)
        echo "run.sh: no stage is called '$stage': gcc clang asan tsan model bench" >&2
        exit 2
        ;;
    esac
done

trap - EXIT
clean_up
[ ${#failures[@]} -eq 0 ] || printf 'failed: %s\n' "${failures[@]}"
echo "all in $SECONDS s$([ "$skipped" -eq 0 ] || echo "; $skipped skipped, each says why")"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
