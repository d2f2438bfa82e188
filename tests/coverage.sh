#!/bin/bash
# SPDX-License-Identifier: MIT
# coverage.sh [--build] [BUILD-DIRECTORY]: builds for coverage with gcc, runs unit, corrupt and race (short) tests and the
# commands' from outside, and prints which part of the lines of shm/ and lib/ they run, a file a line with the numbers of
# those that they don't. Nothing is excluded; what a process counted that was killed is lost. With --build it only builds.
# Exit status 1 if a test fails or less than 90 % is covered, 2 if it can't be built.
set -u
here=$(dirname "$(realpath "$0")")
root=$(dirname "$here")
least=90

command -v gcovr >/dev/null || { echo "coverage.sh: gcovr is missing: apt-get install gcovr" >&2; exit 2; }
work=$(mktemp -d "${TMPDIR:-/tmp}/vmtally-coverage.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
only_build=
[ "${1:-}" != --build ] || { only_build=1; shift; }
build=${1:-$work/build}
[ -f "$build/build.ninja" ] ||
    CC=gcc CXX=g++ meson setup "$build" "$root" -Db_coverage=true --buildtype=debug \
        -Dc_args=-fprofile-update=atomic >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 2; }
meson compile -C "$build" --ninja-args=-k0 >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; exit 2; }
[ -z "$only_build" ] || exit 0
find "$build" -name '*.gcda' -delete # of an earlier run

bad=0 sums=
run() { # name argument...: of meson test
    local name=$1 counts
    shift
    meson test -C "$build" --no-rebuild --logbase "$name" "$@" >"$work/log" 2>&1
    if [ -s "$build/meson-logs/$name.json" ] && counts=$(python3 "$here/results.py" "$build/meson-logs/$name.json"); then
        # shellcheck disable=SC2086 # three numbers
        printf '%s: %d passed, %d failed, %d skipped\n' "$name" $counts
        [[ $counts == *' 0 '* ]] || bad=1
    else
        tail -n 40 "$work/log" >&2
        bad=1
    fi
}

collect() { # name: what was counted until now, to be added up
    # gcov's branches may be negative where other threads counted on; lines are not
    gcovr --root "$root" --object-directory "$build" --filter "$root/shm/" --filter "$root/lib/" \
        --gcov-ignore-parse-errors -j 2 --json "$work/$1.json" "$build" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; exit 2; }
    find "$build" -name '*.gcda' -delete
}

export VMT_RACE_SECONDS=${VMT_RACE_SECONDS:-1} VMT_KILLED_LIVES=${VMT_KILLED_LIVES:-60}
VMT_LEAVE_OUT=$here/unit/coverage.txt run tests --suite unit --suite corrupt --suite race
collect tests
# A limit on a file's size is one on gcov's, and a jail has no place for them: what that fails, stage gcc decides.
# The other tests from outside build anew, or count system calls.
decided=$bad
run commands --suite cli kvmtop minivmm vmtally
bad=$decided
collect commands

part() { # title, then filters and exclusions of gcovr: a table, and its sum into $sums
    local title=$1
    shift
    echo
    echo "$title"
    gcovr --root "$root" --add-tracefile "$work/tests.json" --add-tracefile "$work/commands.json" "$@" \
        --txt "$work/table" --fail-under-line "$least" 2>"$work/log" || bad=1
    sed -nE '/^File/,$p' "$work/table"
    sums+=$(printf '\n%-24s %s' "$title" "$(sed -nE 's/^TOTAL +//p' "$work/table")")
}
part shm --filter "$root/shm/"
part lib --filter "$root/lib/" --exclude "$root/lib/export/" --exclude "$root/lib/examples/"
part lib/export --filter "$root/lib/export/"
decided=$bad
part lib/examples --filter "$root/lib/examples/" # minivmm's jail ends without a count
bad=$decided
part 'shm and lib' --filter "$root/shm/" --filter "$root/lib/" >/dev/null
echo "$sums"
[ "$bad" -eq 0 ] || echo "coverage.sh: a test failed, or less than $least % is covered" >&2
exit $bad
