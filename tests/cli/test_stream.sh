#!/bin/bash
# SPDX-License-Identifier: MIT
# vmtally stream, from outside: nothing that a VM counts is lost, whatever becomes of who reads.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh" || exit 1

# ---- usage ----

run vmtally stream
says "a format is needed" 2 "which format\? --format msgpack, json, firecracker$"
run vmtally stream --format qemu
says "not all formats go on and on" 2 "no format qemu; there are: msgpack, json, firecracker$"
run vmtally stream --format jsno
says "a format with a slip" 2 "no format jsno; did you mean json\?"
for interval in 0 -1 x 1x '' nan inf +5 ' 5' 0x10 86401; do
    run vmtally stream --format json --interval "$interval"
    says "an interval of '$interval'" 2 "interval needs a number of seconds, 0.01 to 86400, not '${interval/+/\\+}'"
done
for count in 0 -1 1.5 x +5 ' 5' 9223372036854775808 99999999999999999999; do
    run vmtally stream --format json -n "$count"
    says "a count of $count" 2 "count needs a whole number from 1 on, not '${count/+/\\+}'"
done
run vmtally stream --format json -o ''
says "an output without a name" 2 "output needs the name of a file"
run vmtally stream --format json -n 1 -o "$dir"
says "a directory is no file" 1 "^vmtally: $dir: not written: a directory; name a file in it$"
run vmtally stream --format json -n 1 -o "$dir/no/file"
says "nor is what lies nowhere" 1 "^vmtally: $dir/no/file: not written: no such file or directory$"
got=$(in_terminal vmtally stream --format msgpack)
[ "$got" = "2 vmtally stream: msgpack is not for a terminal; use --output FILE or a pipe" ]
check $? "msgpack is not for a terminal" "$got"
run vmtally --dir "$dir/none" stream --format json -n 1
says "a place that is not there" 1 "^vmtally: $dir/none: no such file or directory$"
nowhere() { # name command...: with a VMTALLY_DIR that is not there
    local name=$1

    shift
    VMTALLY_DIR=$dir/nowhere run timeout 60 "$@"
    [ "$(grep -c "^vmtally: $dir/nowhere: no such directory; it is what VMTALLY_DIR names$" "$dir/err")" -eq 1 ]
    check $? "a VMTALLY_DIR that is not there is said once by $name" "$(shown)"
}
nowhere stream vmtally stream --format json -n 2 --interval 0.1
nowhere export vmtally export --format json
nowhere forward vmtally forward --to 127.0.0.1:1 -n 2 -i 0.1 --timeout 0.5
nowhere serve timeout 5 vmtally serve --listen 127.0.0.1:0
run timeout 5 vmtally --dir "$dir/nowhere" serve --listen 127.0.0.1:0
[ "$(grep -c "^vmtally: $dir/nowhere: no such directory; it is what --dir names$" "$dir/err")" -eq 1 ]
check $? "and a --dir" "$(shown)"
closed() { # command...: in a directory that is not for everybody
    VMTALLY_DIR=$dir/closed run timeout 60 setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"
    grep -qx "${1##*/}: $dir/closed: permission denied; run as root, or join the group that owns the file" "$dir/err" &&
        [ "$status" -eq 1 ] && ! grep -q 'made anew' "$dir/err"
    check $? "a directory that may not be read is named by ${1##*/} $2" "$(shown)"
}
if [ "$(id -u)" -eq 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups -- test -x "$program" 2>/dev/null; then
    mkdir -m 700 "$dir/closed"
    closed vmtally stream --format json -n 1
    closed vmtally forward --to 127.0.0.1:1 -n 1
    closed vmtally list
    closed vmtally export --format json
    closed "$(dirname "$program")/kvmtop" --json -n 1
else
    skip "a directory that may not be read is named" "needs root, and a build directory that nobody may read"
fi
replaced() { # regular-expression command...: once it has said that, the directory in which it looks is another one
    local i said=$1 one

    shift
    mkdir "$dir/moving"
    VMTALLY_DIR=$dir/moving "$@" >"$dir/out" 2>"$dir/err" </dev/null &
    one=$!
    pids="$pids $one"
    for ((i = 0; i < 600; i++)); do
        sleep 0.1
        [ -s "$dir/err" ] && kill -USR1 "$one" # now it is ready to be asked
        grep -qE "$said" "$dir/err" && break
    done
    mv "$dir/moving" "$dir/moved"
    mkdir "$dir/moving"
    for ((; i < 1200; i++)); do
        kill -0 "$one" 2>/dev/null || break
        sleep 0.1
    done
    kill "$one" 2>/dev/null
    wait "$one"
    status=$?
    pids=${pids/ $one/}
    rm -r "$dir/moving" "$dir/moved"
    [ "$status" -eq 1 ] &&
        grep -q "^vmtally: $dir/moving: permission denied; was the directory made anew? Then start again" "$dir/err"
    check $? "one that was made anew is said by $1 $2" "$(shown)"
}
if "${VMT_BUILD:-}/tests/cli/sandbox_probe" "$segments" text 2>/dev/null | grep -q Landlock; then
    replaced 'no VMs yet' vmtally stream --format json --interval 0.1
    replaced ' [1-9][0-9]* samples?' vmtally forward --to 127.0.0.1:1 --interval 0.1 --timeout 0.1
else
    skip "one that was made anew is said" "needs Landlock"
fi
run timeout 60 vmtally stream --format json -n 2 --interval 0.1
says "without any VM it waits for one" 0 "^vmtally: no VMs yet; waiting for them$"
run timeout 60 vmtally stream --format json -n 2 --interval 0.1 nobody
says "also for one that was named" 0 "^vmtally: no VM nobody yet; waiting for it"


# ---- what can't be read ----

start_fixed fixed
for i in 1 2 3; do echo rubbish >"$segments/rubbish$i.vmt"; done
run timeout 60 vmtally stream --format json -n 3 --interval 0.1
[ "$status" -eq 0 ] && [ "$(jq -r .name "$dir/out" | uniq -c | tr -s ' ')" = " 3 fixed" ] &&
    grep -qx "vmtally: $segments/rubbish1.vmt (and 2 more): not a vmtally segment" "$dir/err" &&
    [ "$(grep -c rubbish "$dir/err")" = 1 ]
check $? "files that are no segments hinder no other, and are said once" "$(shown)"
(ulimit -f 1 && exec timeout 60 vmtally stream --format json -n 1 fixed) 2>"$dir/err" | cat >"$dir/out" # no file of its own
status=${PIPESTATUS[0]}
[ "$status" -eq 0 ] && [ "$(jq -r .name "$dir/out")" = fixed ] &&
    grep -q "^vmtally: the kernel's counters, and VMs without a segment, are left out: .*ulimit -f" "$dir/err"
check $? "a limit of files that is too low for the kernel's counters leaves these out, and no more" "$(shown)"
kill $pids
wait $pids 2>/dev/null
pids=
rm "$segments"/*.vmt

"$python" "$here/streamed.py" "$library" "$dir" || bad=1
exit $bad
