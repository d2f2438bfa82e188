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
says "a place that is not there" 1 "^vmtally: VMs can't be looked for: no such file or directory$"
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
