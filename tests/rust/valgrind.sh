#!/bin/sh
# SPDX-License-Identifier: MIT
# valgrind.sh: the Rust tests under memcheck: no bad access, nothing leaked. valgrind.txt says what is left out.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
if ! command -v valgrind >/dev/null; then
    skip "the crates' tests under valgrind" "valgrind is not installed"
    exit 0
fi

# {"reason":"compiler-artifact",...,"target":{...,"name":"counting",...},...,"executable":"/.../counting-55526acd"}
for crate in vmtally-sys vmtally; do
    offline test -p $crate --features export --no-run --message-format=json >"$dir/built" 2>"$dir/log"
    status=$?
    executables=$(sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' "$dir/built")
    [ $status -eq 0 ] && [ -n "$executables" ]
    check $? "$crate: cargo builds the tests" "$(cat "$dir/log")"
    for executable in $executables; do
        name=$(printf '%s\n' "$executable" | sed 's,.*/debug/,,; s,^deps/,,; s,-[0-9a-f]*$,,')
        sed -n "s,^$crate $name ,,p" "$here/valgrind.txt" >"$dir/left-out"
        while read -r test why; do
            skip "$crate: $name $test under valgrind" "$why"
        done <"$dir/left-out"
        # A handler of SIGBUS resumes what faulted: its registers must be right by then.
        log=$(timeout 300 valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite \
            --errors-for-leak-kinds=definite --fair-sched=try --vex-iropt-register-updates=allregs-at-mem-access \
            "$executable" $(sed 's/^\([^ ]*\).*/--skip \1/' "$dir/left-out") 2>&1)
        check $? "$crate: $name under valgrind has no error and no leak" "$log"
    done
done
exit $bad
