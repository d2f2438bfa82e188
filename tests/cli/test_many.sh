#!/bin/bash
# SPDX-License-Identifier: MIT
# More VMs than the soft limit of open files, which shells and services leave at 1,024: whoever looks again and again keeps
# each segment open, and sees all of them; and says how many it does not see where the hard limit is in the way.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh"
. "$here/serving.sh"

many=${VMT_BUILD:-}/tests/bench/many_vms
[ -x "$many" ] || {
    skip "all VMs are seen" "many_vms is not in \$VMT_BUILD"
    exit 0
}
mkfifo "$dir/ready"
"$many" 100 1 >"$dir/ready" 2>&1 &
pids="$pids $!"
read -r line <"$dir/ready"
[ "$line" = ready ] || {
    echo "Bail out! many_vms did not start: $line"
    exit 1
}

limited() { # soft hard command...
    (ulimit -Sn "$1" && ulimit -Hn "$2" && shift 2 && exec "$@") >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
}

limited 64 4096 vmtally stream --format json -n 1
check "$([ "$status" -eq 0 ] && [ "$(wc -l <"$dir/out")" -eq 100 ]; echo $?)" "stream has all VMs" "$(wc -l <"$dir/out") lines
$(head -c 1000 "$dir/err")"

limited 64 4096 kvmtop --json -n 1
check "$([ "$status" -eq 0 ] && [ "$(jq '.vms | length' "$dir/out")" -eq 100 ]; echo $?)" "kvmtop has all VMs" \
    "$(jq -c '.vms | length' "$dir/out" 2>&1)
$(head -c 1000 "$dir/err")"

mkfifo "$dir/port"
"$python" "$here/forward_sink.py" "$dir/records" >"$dir/port" &
pids="$pids $!"
read -r _ port <"$dir/port"
limited 64 4096 vmtally forward --to "127.0.0.1:$port" -n 1
check "$([ "$status" -eq 0 ] && [ "$(jq -r .record.vm "$dir/records" | sort -u | grep -c '^vm-')" -eq 100 ]; echo $?)" \
    "forward has all VMs" "$(head -c 1000 "$dir/err")"

soft=$(ulimit -Sn)
ulimit -Sn 64
start_serve --listen 127.0.0.1:0
ulimit -Sn "$soft"
get "$url"
check "$([ "$(grep -c '^kvmtop_vm_up{' "$dir/body")" -eq 100 ]; echo $?)" "serve has all VMs" "$(grep -c '^kvmtop_vm_up{' "$dir/body")"

limited 64 64 vmtally stream --format json -n 1
check "$([ "$status" -eq 0 ] && [ "$(grep -c 'more): Too many open files' "$dir/err")" -eq 1 ] && [ "$(wc -l <"$dir/out")" -gt 20 ]; echo $?)" \
    "stream says how many it could not read" "$(head -c 1000 "$dir/err")"
limited 64 64 vmtally forward --to "127.0.0.1:$port" -n 1
check "$(grep -q 'more): Too many open files' "$dir/err"; echo $?)" "so does forward" "$(head -c 1000 "$dir/err")"
exit $bad
