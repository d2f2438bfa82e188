#!/bin/bash
# SPDX-License-Identifier: MIT
# The kernel's counters in kvmtop, on real VMs: beside the VMM's of a minivmm that publishes them, and of VMs that have
# never heard of vmtally; those come and go, and none is kept alive by being looked at.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh"
. "$here/terminal.sh"

# The program makes a VM of one vCPU and asks for the kernel's statistics of it.
for needed in python3 tmux; do
    command -v $needed >/dev/null || missing=$needed
done
[ -n "${missing:-}" ] || ln -s "$(python3 -c 'import sys; print(sys.executable)')" "$dir/firecracker"
if [ -n "${missing:-}" ] || ! "$dir/firecracker" "$here/kvm_vm.py" held:1 2>"$dir/probe.err" | grep -qm1 ready; then
    echo "ok - the kernel's counters in kvmtop # SKIP ${missing:+no $missing}$(tail -1 "$dir/probe.err" 2>/dev/null)"
    exit 0
fi

outside() { # name vcpus how: a VM without a segment, called as the option says; its process is $vm
    "$dir/firecracker" "$here/kvm_vm.py" "$3:$2" --id "$1" >"$dir/$1.out" 2>"$dir/vm.err" &
    vm=$!
    pids="$pids $vm"
    until_true "grep -qs ready '$dir/$1.out'" || {
        echo "Bail out! $1 did not start: $(cat "$dir/vm.err")"
        exit 1
    }
}

run() { # command...: its output in $dir/out and $dir/err, its exit status in $status
    "$@" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
}

# ---- both providers of one VM ----

start both --vcpus 2 --plug 0 --kernel
both=$vm
open_terminal t 170 50
keys t "clear; kvmtop -d 0.2 --filter 'both|box-'" Enter
sees "a VM with both says where its counters come from" t '^- both +[0-9]+ live +[0-9]+s segment\+fds +2 '
sees "what the kernel counts is no row of its own: two vCPUs are two rows" t '^ *[├└]─ +vcpu-1 '
is_true "and nothing is called kvm" t '! screen t | grep -qE "[├└]─ +kvm"'
sees "the VM's exits have a rate" t '^- both .* segment\+fds +2 +[1-9][0-9.]*( [kM])? '
keys t Down Down Down Enter # below the VM, "vm" and its disk
sees "Enter opens a vCPU" t '^both  vm/vcpu-0'
type_keys t '/exits'
keys t Enter
sees "with what the VMM counts" t '^ its own'
sees "and what the kernel counts" t '^ kvm: what the kernel counts of it'
comes "both have exits, and a rate" t \
    '[ "$(screen t | grep -cE "^.? exits +[1-9][0-9]* +[1-9][0-9.]*( [kM])?/s")" = 2 ]'
keys t Escape
type_keys t '/halt_wait_hist'
keys t Enter
sees "the kernel's histograms are histograms" t '^> +halt_wait_hist +[0-9]+ '
keys t Escape Escape
sees "back in the overview" t '^NAME'

# ---- VMs that have never heard of vmtally ----

outside box-1 2 held
sees "a VM without a segment appears with its name" t '^- box-1 +[0-9]+ live +[0-9]+s fds +2 '
sees "and its vCPUs" t '^ *[├│└ ]*[├└]─ +vcpu-1 '
run kvmtop -b -n 1 -d 0.1 box-1
[ "$status" -eq 0 ] && grep -qE "^- box-1 +$vm live +[0-9]+s fds " "$dir/out" && ! grep -q both "$dir/out"
check $? "it can be asked for by its name" "$(cat "$dir/out" "$dir/err")"
for name in "$vm" "/proc/$vm"; do
    run kvmtop -b -n 1 -d 0.1 "$name"
    [ "$status" -eq 0 ] && grep -qE "^- box-1 +$vm live +[0-9]+s fds " "$dir/out" && ! grep -q both "$dir/out"
    check $? "by ${name/$vm/PID}" "$(cat "$dir/out" "$dir/err")"
done
run kvmtop -b -n 1 -d 0.1 "/proc/$$"
[ "$status" -eq 1 ] && grep -qE "^kvmtop: /proc/$$: .*no VM" "$dir/err"
check $? "a process without a VM is said to have none" "$(cat "$dir/out" "$dir/err")"
run kvmtop --csv -n 1 -d 0.1 box-1
[ "$status" -eq 0 ] && head -1 "$dir/out" | grep -q ',counters$' && grep -q ',box-1,,.*,fds$' "$dir/out" &&
    grep -q ',box-1,vm/vcpu-1,kvm-vcpu,' "$dir/out"
check $? "as CSV" "$(cat "$dir/out" "$dir/err")"
run kvmtop --json -n 1 -d 0.1 both box-1
python3 - "$dir/out" <<'PY'
import json
import sys

vms = {vm["name"]: vm for vm in json.load(open(sys.argv[1], encoding="utf-8"))["vms"]}
ids = [source["id"] for source in vms["both"]["sources"]]
kernel = [s for s in vms["both"]["sources"] if s["provider"] == "kvm"]
assert ids[ids.index("vm/vcpu-1") + 1] == "vm/vcpu-1/kvm", ids
assert len(kernel) == 3, ids
assert vms["both"]["counters"] == ["segment", "fds"], vms["both"]["counters"]
assert vms["box-1"]["counters"] == ["fds"], vms["box-1"]["counters"]
assert [s["id"] for s in vms["box-1"]["sources"]] == ["", "vm", "vm/vcpu-0", "vm/vcpu-1"], vms["box-1"]
exits = [s["stats"]["exits"]["value"] for s in vms["box-1"]["sources"] if s["target"] == "vcpu"]
assert exits[0] > 0, exits
PY
check $? "as JSON, with each provider's sources" "$(cut -c1-2000 "$dir/out"; cat "$dir/err")"

# ---- they go ----

debugfs=/sys/kernel/debug/kvm
end KILL
sees "a VM that was killed is closed" t '^  box-1 +[0-9]+ closed '
patience=15 sees_not "and a row no longer some seconds later" t '^. box-1 '
if [ -r "$debugfs" ] && [ "$(readlink /proc/self/ns/pid)" = 'pid:[4026531836]' ]; then # of the initial one
    outside box-2 1 held
    sees "another one comes" t '^. box-2 +[0-9]+ live '
    before=$(find "$debugfs" -maxdepth 1 -name "$vm-*" | wc -l)
    gone=$vm
    end KILL
    until_true "! find $debugfs -maxdepth 1 -name '$gone-*' | grep -q ." && [ "$before" = 1 ]
    check $? "the kernel forgets it at once, though kvmtop had its statistics open" "before: $before; $(ls "$debugfs")"
else
    echo "ok - the kernel forgets a VM that kvmtop had looked at # SKIP no debugfs of this PID namespace"
fi
vm=$both
end KILL
sees "what a VMM counted is there when it has died, what the kernel counted is not" t '^- both +[0-9]+ died +[0-9ms]+ segment +2 '
keys t q
sees "and kvmtop ends" t '^shell>'

# ---- what can't be read ----

# In a PID namespace of its own debugfs is of no use, and this VM has no statistics fds open.
if unshare --pid --fork --mount-proc true 2>/dev/null; then
    cat >"$dir/denied.sh" <<'SH'
"$1/firecracker" "$2/kvm_vm.py" bare:1 --id box-4 >"$1/box-4.out" 2>/dev/null &
until grep -qs ready "$1/box-4.out"; do sleep 0.05; done
kvmtop -b -n 3 -d 0.1 >"$1/out" 2>"$1/err"
kvmtop -d 0.2
SH
    keys t "clear; bash '$here/alone.sh' bash '$dir/denied.sh' '$dir' '$here'" Enter
    sees "a VM of which nothing can be read is there all the same" t '^[- ] box-4 +[0-9]+ live '
    sees "and what to do is said in the line at the bottom" t '^kernel counters of box-4: '
    [ "$(cat "$dir/err")" = "kvmtop: kernel counters of box-4: debugfs names processes as the host does; run outside of \
this PID namespace" ] && [ "$(grep -c '^. box-4 ' "$dir/out")" = 3 ]
    check $? "without a terminal once, on standard error" "$(cat "$dir/out" "$dir/err")"
    keys t Down
    sees_not "until a key is pressed" t '^kernel counters of box-4: '
    keys t '?' End
    sees "the help has it still" t 'Kernel.s counters +kernel counters of box-4: '
    keys t q
    sees "as before" t '^[- ] box-4 '
    keys t q
    sees "and kvmtop ends there, too" t '^shell>'
else
    echo "ok - what can't be read is said # SKIP no PID namespace can be made"
fi

# ---- the process that looks at others may hang, or end: nothing else does ----

outside box-3 1 held
kvmtop -b -d 0.2 box-3 >"$dir/out" 2>"$dir/err" &
top=$!
pids="$pids $top"
samples() { # VM: how many of them have the kernel's counters of it
    grep -c "^- $1 " "$dir/out"
}
until_true '[ "$(samples box-3)" -gt 2 ]'
looker=$(pgrep -P $top)
kill -STOP "$looker"
until_true "grep -q 'in time' '$dir/err'"
check $? "that it hangs is said" "$(tail -3 "$dir/out"; cat "$dir/err")"
now=$(samples box-3)
until_true "[ \"\$(samples box-3)\" -gt $((now + 5)) ]"
check $? "and samples go on" "$(tail -3 "$dir/out"; cat "$dir/err")"
kill -KILL "$looker"
patience=30 until_true "grep -q 'has ended' '$dir/err'"
check $? "that it has ended is said" "$(tail -3 "$dir/out"; cat "$dir/err")"
now=$(samples box-3)
until_true "[ \"\$(samples box-3)\" -gt $((now + 5)) ]"
check $? "and samples go on" "$(tail -3 "$dir/out"; cat "$dir/err")"
[ "$(grep -c 'in time' "$dir/err")" = 1 ] && [ "$(grep -c 'has ended' "$dir/err")" = 1 ]
check $? "each once" "$(cat "$dir/err")"
kill "$top"
exit $bad
