#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs what is missing (Debian, as root), builds and runs every test: usage() says how.
set -u
self=$(realpath "$0")
root=$(dirname "$(dirname "$self")")
here=$root/tests
exec </dev/null

usage() {
    cat <<'EOF'
usage: run.sh [STAGE...]

Stages, each with a build of its own; all of them, in this order, where none is named:
  gcc       unit, corrupt, abi, bindings (C++, Rust, Python), cli, race
  model     spin, beside cli where both run; with gcc's build
  clang     unit, corrupt, bindings (C++), race
  asan      AddressSanitizer and UndefinedBehaviorSanitizer (gcc): unit, corrupt, bindings (C++), cli (kvmtop), race
  tsan      ThreadSanitizer (clang): unit, corrupt, bindings (C++), race, fuzz (what has threads)
  valgrind  memcheck: unit, corrupt, bindings (C++; Rust's are in stage gcc)
  fuzz      libFuzzer with both sanitizers (clang): a short fixed run of each target
  coverage  coverage.sh: at least 90 % of the lines of shm/ and lib/
  bench     the speed table; with gcc's build

The build of a stage is made while the stages before it are tested, where these leave a core idle: builds.sh.

The last line is "N passed, N failed". Exit status: 0 none failed, 1 some did, 2 wrong usage.
EOF
}

stages='gcc model clang asan tsan valgrind fuzz coverage bench'
for stage in "$@"; do
    [[ $stage == -h || $stage == --help ]] && { usage; exit 0; }
    [[ " $stages " == *" $stage "* ]] && continue
    echo "run.sh: no stage is called '$stage': $stages" >&2
    exit 2
done

packages='gcc g++ libc6-dev meson ninja-build pkg-config liburcu-dev libmsgpack-dev libjson-c-dev libncurses-dev
    libseccomp-dev zlib1g-dev libgnutls28-dev libmicrohttpd-dev libsystemd-dev libcrypt-dev scdoc libcriterion-dev clang
    libclang-rt-14-dev spin tmux strace jq python3 python3-msgpack curl openssl binutils valgrind gcovr procps util-linux
    qemu-system-x86'
# Programs of others that ours are tried with, and the languages of bindings: without them those tests are skipped.
peers='prometheus prometheus-node-exporter python3-prometheus-client systemd zsh fish
    cargo rustc rustfmt rust-clippy bindgen
    python3-numpy mypy python3-build python3-setuptools python3-wheel python3-pip python3-venv'
# Debian's can't be installed beside those of others.
command -v node >/dev/null || peers+=' nodejs'
command -v npm >/dev/null || peers+=' npm'

# No service is started by being installed: what tests need of it they start themselves.
apt_install() ( # package...
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 130' INT TERM HUP
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" || exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q && apt-get install -qy --no-install-recommends "$@"
)

missing_of() { # package...: those that are not installed, in $missing
    local package
    missing=()
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
}

install_packages() {
    command -v dpkg-query >/dev/null || { echo "no dpkg here: the packages of Debian 12 are taken as installed"; return; }
    local missing
    # shellcheck disable=SC2086 # a list
    missing_of $packages
    if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" -ne 0 ]; then
        echo "run.sh: install these first, or run it as root: ${missing[*]}" >&2
        exit 1
    fi
    if [ ${#missing[@]} -gt 0 ]; then
        echo "installing ${missing[*]}"
        apt_install "${missing[@]}" >"$work/apt.log" 2>&1 || {
            tail -n 30 "$work/apt.log" >&2
            echo "run.sh: apt-get could not install ${missing[*]}" >&2
            exit 1
        }
    fi
    # shellcheck disable=SC2086 # a list
    missing_of $peers
    [ ${#missing[@]} -gt 0 ] || return
    echo "installing ${missing[*]}"
    [ "$(id -u)" -eq 0 ] && apt_install "${missing[@]}" >"$work/apt.log" 2>&1 && return
    missing_of $peers
    echo "apt-get could not install ${missing[*]}: what needs them is SKIPPED"
}

# A peer that is nobody's of ours: Fluentd's own server, for Node.js. Without it the tests that need it are skipped.
logger=@fluent-org/logger@1.0.10
fetch_node_modules() {
    export npm_config_cache=$work/npm-cache npm_config_update_notifier=false
    for _ in 1 2 3; do
        timeout 120 npm install --prefix "$work/npm" --no-audit --no-fund --no-package-lock --ignore-scripts "$logger" \
            >"$work/logs/npm.txt" 2>&1 && return
        sleep 3
    done
    rm -rf "$work/npm"
    echo "$logger could not be fetched by npm: what needs it is SKIPPED ($(grep -m 1 -i err "$work/logs/npm.txt"))"
}

# A /dev/shm of our own, where we may: nothing stays in it, and its size does not depend on where this runs. And debugfs,
# for KVM's counters in it, whether this machine has it mounted or not.
if [ -z "${VMT_OWN_SHM:-}" ] && unshare --mount mount -t tmpfs tmpfs /dev/shm 2>/dev/null; then
    export VMT_OWN_SHM=1
    exec unshare --mount sh -c 'mount -t tmpfs -o mode=1777 tmpfs /dev/shm || exit 1
        [ -d /sys/kernel/debug/kvm ] || mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
        exec "$@"' sh "$self" "$@"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/vmtally-tests.XXXXXX") || exit 1
chmod 755 "$work" # some tests are about other users, who have to reach what was built
mkdir "$work/logs"
passed=0 failed=0 skipped=0 failures=() builder=

# Ends what tests left running: whatever has our build directory in its environment.
end_leftovers() {
    local pids
    pids=$(grep -lsz "^VMT_BUILD=$work/" /proc/[0-9]*/environ | sed -nE 's,^/proc/([0-9]+)/.*,\1,p')
    # shellcheck disable=SC2086 # process ids are words
    [ -z "$pids" ] || kill -KILL $pids 2>/dev/null
}

builds_on() { # whether builds.sh runs; its number may be another's by now
    [ -n "$builder" ] && jobs -rp | grep -qx "$builder"
}

clean_up() {
    local dir
    builds_on && { kill -KILL -- "-$builder"; wait "$builder"; } 2>/dev/null
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

# The builds of these stages, one after the other, in the background: in a session of its own, which its priority is about.
build_ahead() { # stage...
    local stage builds=()
    for stage in "$@"; do
        [[ $stage == model || $stage == bench ]] && stage=gcc # their build
        [[ " ${builds[*]} " == *" $stage "* ]] || builds+=("$stage")
    done
    setsid "$here/builds.sh" "$work" "${builds[@]}" &
    builder=$!
}

# Waits for it: then nothing else runs, and it need not give way.
built() { # stage
    local stage=$1 log=$work/logs/$1-build.txt since=$SECONDS status took how
    while [ ! -e "$work/built/$stage" ] && builds_on; do
        renice -n 0 -g "$builder" >/dev/null 2>&1
        { echo 0 >"/proc/$builder/autogroup"; } 2>/dev/null
        sleep 0.5
    done
    read -r status took how 2>/dev/null <"$work/built/$stage" || status=1
    if [ "$status" -eq 0 ]; then
        echo "$stage: built with $how ($took s; waited for it $((SECONDS - since)) s)"
        return
    fi
    fail "$stage build" "$log"
    return 1
}

# sanitizers of today and address randomisation of newer kernels do not get along
fixed_addresses=
setarch -R true 2>/dev/null && fixed_addresses='setarch -R'

run_suite() { # stage suite [meson-test-options...]
    local stage=$1 suite=$2 prefix=''
    shift 2
    # shellcheck disable=SC2086 # words
    [ "$suite" = unit ] && set -- $partly_waiting "$@"
    [[ $stage == *san || $stage == fuzz ]] && prefix=$fixed_addresses
    # shellcheck disable=SC2086 # a command or nothing
    timeout -k 10 900 $prefix meson test -C "$work/$stage" --no-rebuild --suite "$suite" --logbase "$suite" "$@" \
        >"$work/logs/$stage-$suite.txt" 2>&1
}

report_suite() { # stage suite since
    local logs=$work/$1/meson-logs to=$work/logs/$1-$2 log counts
    for log in "$logs/$2.json" "$logs/$2-"*.json; do # meson adds the name of a setup
        [ ! -s "$log" ] || { cp "$log" "$to.json" && cp "${log%json}txt" "$to-full.txt"; }
    done
    if [ -s "$to.json" ] && counts=$(python3 "$here/results.py" "$to.json"); then
        # shellcheck disable=SC2086 # three numbers
        report "$1 $2" $counts "$3"
    else
        fail "$1 $2" "$to.txt"
    fi
}

suite() { # stage suite [meson-test-options...]
    local since=$SECONDS
    run_suite "$@"
    end_leftovers
    report_suite "$1" "$2" "$since"
}

# Tests of commands mostly wait: for beats, time limits, terminals. Of units a few do.
waiting="--num-processes $(($(nproc) * 2))"
partly_waiting="--num-processes $(($(nproc) * 3 / 2))"

# Of other builds than gcc's only C++'s programs are tested: C has its own suites, Rust and Python their own tools, and
# scripts that compile for themselves take both compilers. A script that runs one is nothing for valgrind.
bindings_in_cpp() { # stage [meson-test-options...]
    local stage=$1 names within=''
    shift
    [ "$stage" = valgrind ] && within=$work/$stage/
    names=$(meson introspect "$work/$stage" --tests | jq -r --arg within "$within" '
        .[] | select(.suite | any(endswith(":bindings"))) | select(.depends != [] and (.cmd[0] | startswith($within)))
            | .name | select(startswith("cpp_"))')
    # shellcheck disable=SC2086 # a list
    [ -z "$names" ] || suite "$stage" bindings "$@" $names
}

# A language that is not there has no tests that could say so.
say_what_is_left_out() {
    local line
    while read -r line; do
        echo "bindings: $line: SKIPPED"
        skipped=$((skipped + 1))
    done < <(sed -n '/^  Bindings$/,/^$/p' "$work/logs/gcc-build.txt" | grep 'left out')
}

stage_gcc() {
    fetch_node_modules & # while it is built
    local fetching=$!
    export VMT_NODE_MODULES=$work/npm/node_modules
    built gcc
    local status=$?
    wait "$fetching"
    [ "$status" -eq 0 ] || return
    say_what_is_left_out
    for suite in unit corrupt abi bindings; do
        suite gcc $suite
    done
    # What waits for a terminal and for guests, beside what computes on one core.
    local since=$SECONDS model=
    [[ " $chosen " == *' model '* ]] && { run_suite gcc model & model=$!; }
    run_suite gcc cli $waiting
    report_suite gcc cli "$since"
    if [ -n "$model" ]; then
        wait "$model"
        report_suite gcc model "$since"
        model_done=1
    fi
    end_leftovers
    suite gcc race
}

stage_model() {
    [ -z "$model_done" ] || return
    built gcc && suite gcc model
}

stage_clang() {
    built clang || return
    for suite in unit corrupt race; do
        suite clang $suite
    done
    bindings_in_cpp clang
}

stage_asan() {
    built asan || return
    for suite in unit corrupt race; do
        suite asan $suite
    done
    bindings_in_cpp asan
    suite asan cli $waiting
}

stage_tsan() {
    built tsan || return
    for suite in unit corrupt race; do
        suite tsan $suite
    done
    bindings_in_cpp tsan
    suite tsan fuzz # what has more than one thread
}

stage_valgrind() {
    built valgrind || return
    for suite in unit corrupt; do
        suite valgrind $suite --setup valgrind
    done
    bindings_in_cpp valgrind --setup valgrind
}

stage_fuzz() {
    built fuzz && suite fuzz fuzz
}

stage_coverage() {
    built coverage || return
    local since=$SECONDS log=$work/logs/coverage.txt
    if "$here/coverage.sh" "$work/coverage" >"$log" 2>&1; then
        sed -n '/^shm  *[0-9]/,$p' "$log"
        report coverage 1 0 0 "$since"
    else
        cat "$log" >&2
        report coverage 0 1 0 "$since"
    fi
}

stage_bench() {
    built gcc || return
    wait "$builder" # nothing else is to run
    suite gcc bench --benchmark
    jq -r '.stdout // empty' "$work/gcc/meson-logs/bench.json" 2>/dev/null
}

install_packages
chosen=${*:-$stages} model_done='' times=()
# shellcheck disable=SC2086 # a list
build_ahead $chosen
for stage in $chosen; do
    since=$SECONDS
    "stage_$stage"
    times+=("$stage $((SECONDS - since)) s")
done

trap - EXIT
clean_up
[ ${#failures[@]} -eq 0 ] || printf 'failed: %s\n' "${failures[@]}"
printf '%s, ' "${times[@]}" | sed 's/, $/\n/'
echo "all in $SECONDS s$([ "$skipped" -eq 0 ] || echo "; $skipped skipped, each says why")"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
