#!/bin/bash
# SPDX-License-Identifier: MIT
# builds.sh WORK STAGE...: makes the builds of run.sh's stages, one after the other, each in WORK/STAGE, so that they are
# ready when their tests are to run. WORK/built/STAGE says how it went: exit status, seconds, and how it was configured;
# WORK/logs/STAGE-build.txt has what was printed. It gives way to whatever else runs: tests of other stages.
set -u
here=$(dirname "$(realpath "$0")")
root=$(dirname "$here")
work=$1
shift

# What a stage is built with, and the suites of which it needs more than the ones that it runs are left out.
configuration() { # stage
    local sanitized='-Db_lundef=false -Db_sanitize'
    case $1 in
    gcc) echo gcc g++ ;;
    clang) echo clang clang++ ;;
    # Not optimized: the compiler takes a quarter of the time, and leaves in whatever there is to be found.
    asan) echo gcc g++ "$sanitized=address,undefined" --optimization=0 ;;
    tsan) echo clang clang++ "$sanitized=thread" ;;
    valgrind) echo gcc g++ -Dc_args=-DSANITIZED=1 ;;
    fuzz) echo clang clang++ "$sanitized=address,undefined" ;;
    coverage) echo gcc g++ by coverage.sh ;;
    esac
}

suites() { # stage: those whose programs it needs; none: all that there is
    case $1 in
    clang) echo unit corrupt race bindings ;;
    tsan) echo unit corrupt race bindings fuzz ;;
    valgrind) echo unit corrupt bindings ;;
    fuzz) echo fuzz ;;
    esac
}

# Names for ninja: what the tests of these suites depend on. Only C++ has a part in other builds than gcc's.
targets() { # stage suite...
    local build=$work/$1/
    shift
    meson introspect "$build" --tests --targets | jq -r --arg build "$build" '
        (.targets | map({ (.id): .filename }) | add) as $files
        | [.tests[]
            | select(.suite | any(sub(".*:"; "") | IN($ARGS.positional[])))
            | select(.name | test("^(rust|python)_") | not)
            | .depends[]]
        | unique[] | $files[.][] | ltrimstr($build)' --args "$@"
}

make_one() { # stage
    local stage=$1 wanted=()
    if [ "$stage" = coverage ]; then
        "$here/coverage.sh" --build "$work/coverage"
        return
    fi
    local cc cxx options
    read -r cc cxx options <<<"$(configuration "$stage")"
    # shellcheck disable=SC2086 # a list
    CC=$cc CXX=$cxx meson setup "$work/$stage" "$root" $options || return
    local of
    of=$(suites "$stage")
    if [ -n "$of" ]; then
        # shellcheck disable=SC2086 # a list
        mapfile -t wanted < <(targets "$stage" $of)
        [ ${#wanted[@]} -gt 0 ] || { echo "ERROR: no programs of the suites $of"; return 1; }
    fi
    ninja -C "$work/$stage" -k0 "${wanted[@]}"
}

# By the priority of processes, and by that of a session, where each has a share of its own.
give_way() {
    renice -n 19 -p $$ >/dev/null
    { echo 19 >/proc/self/autogroup; } 2>/dev/null
}

mkdir -p "$work/built"
for stage in "$@"; do
    since=$SECONDS
    give_way
    make_one "$stage" >"$work/logs/$stage-build.txt" 2>&1
    echo "$? $((SECONDS - since)) $(configuration "$stage")" >"$work/built/$stage.new"
    mv "$work/built/$stage.new" "$work/built/$stage"
done
