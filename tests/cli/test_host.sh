#!/bin/bash
# SPDX-License-Identifier: MIT
# VMs whose VMM has never heard of vmtally, and what the kernel counts beside those that have: found in /proc and debugfs
# by list and show, with the permissions of root and without. $VMT_BUILD is the build directory.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1

. "$here/vms.sh"
me=$$ # in all names: this machine may have other VMs

row() { # name: its row of the last list
    grep -E "^$1 " "$dir/out"
}

object() { # name filter: of its object in the last list --json
    jq -c --arg name "$1" '.[] | select(.name == $name) | '"$2" "$dir/out" 2>&1
}

value() { # heading statistic: below it in the last show
    awk -v heading="$1" -v stat="$2" '/^[^ ]/ { here = index($0, heading) == 1 } here && $1 == stat { print $2; exit }' "$dir/out"
}

# ---- what there always is ----

run vmtally show "/proc/$$"
[ "$status" -eq 1 ] && [ "$(head -1 "$dir/err")" = "vmtally: /proc/$$: no such process, or it has no VM" ]
check $? "a process without a VM is no VM" "$(shown)"
run vmtally show $$
[ "$status" -eq 1 ] && grep -q "^vmtally: no such VM: $$" "$dir/err"
check $? "nor is its number" "$(shown)"
for path in /proc/0 "/proc/0$$" "/proc/$$/" "/proc/${$}x" /proc/99999999999999999999 "/proc/self" "/proc//$$"; do
    run vmtally show "$path"
    [ "$status" -eq 1 ] && grep -qE "^vmtally: $path: [^:]*$" "$dir/err" && ! grep -q 'no such process' "$dir/err"
    check $? "what only looks like a process is a path: ${path//$$/PID}" "$(shown)"
done
run vmtally check "/proc/$$"
[ "$status" -eq 1 ] && grep -q "^vmtally: /proc/$$: a process, no segment file" "$dir/err"
check $? "check says that a process is no segment file" "$(shown)"
run vmtally list
[ "$status" -eq 0 ] && [ "$(grep -c . "$dir/err")" -le 2 ]
check $? "a list is never a failure" "$(shown)"

missing=
kvm_works || missing=/dev/kvm
[ "$(id -u)" -eq 0 ] || missing=root
if [ -n "$missing" ]; then
    sed -nE "1,${LINENO}d; s/^# ---- (.*) ----$/\1/p" "$0" | while read -r section; do
        skip "$section" "needs $missing"
    done
    exit $bad
fi

# ---- VMs of other VMMs ----

for vmm in qemu-system-x86_64 firecracker other-vmm; do
    ln -s "$(command -v "$python")" "$dir/$vmm"
done

start() { # command HOW:VCPUS... [argument...]: that VMM, until it has its VMs; its process is $started
    local command=$1

    shift
    mkfifo "$dir/ready"
    ${as:-} "$dir/$command" "$here/kvm_vm.py" "$@" <>/dev/kvm >"$dir/ready" 2>"$dir/vm.err" &
    started=$!
    pids="$pids $started"
    exec {ready}<"$dir/ready" # and it stays open: the VMM ends with us
    rm "$dir/ready"
    vms=
    while read -r what fd <&$ready && [ "$what" = vm ]; do
        vms="$vms$fd "
    done
    [ "$what" = ready ] || {
        echo "Bail out! $command did not start: $(cat "$dir/vm.err")"
        exit 1
    }
}

start qemu-system-x86_64 held:2 -name "guest=held-$me,debug-threads=on"
held=$started
start firecracker vcpus:1 --id "vcpus-$me"
vcpus=$started
start other-vmm held:1 held:2
two=$started

run vmtally list
row "held-$me" | grep -qE "^held-$me +root +$held +live +3 +fds +- +[0-9][^ ]* +/proc/$held$"
check $? "list: a VM is called as QEMU was told, and comes from its statistics fds" "$(shown)"
row "vcpus-$me" | grep -qE "^vcpus-$me +root +$vcpus +live +[12] +fds(\+debugfs)? +- +[0-9][^ ]* +/proc/$vcpus$"
check $? "list: or as Firecracker was; one that holds those of its vCPUs only" "$(shown)"
grep -qE "^other-vmm +root +$two +live +5 +fds +- +[0-9][^ ]* +/proc/$two$" "$dir/out"
check $? "list: else as its command; two VMs of one process are one row" "$(shown)"
run vmtally list --json
[ "$(object "held-$me" '[.uid, .foreign, .pid, .state, .sources, .counters, .restarts, .dropped_sources, .age_ns > 0, .path]')" = \
    "[0,false,$held,\"live\",3,[\"fds\"],null,null,true,\"/proc/$held\"]" ]
check $? "list --json" "$(shown)"

run vmtally show "held-$me"
[ "$status" -eq 0 ] && [ ! -s "$dir/err" ] && head -1 "$dir/out" | grep -qE "^held-$me: live, pid $held, age [0-9]" &&
    [ "$(value 'vm/vcpu-0 (kvm, vcpu)' exits)" -ge 100 ] && [ "$(value 'vm/vcpu-1 (kvm, vcpu)' exits)" = 0 ] &&
    [ "$(value 'vm (kvm, total of 2 vcpu' exits)" = "$(value 'vm/vcpu-0 (kvm, vcpu)' exits)" ] &&
    [ -n "$(value 'vm (kvm, vm)' remote_tlb_flush)" ] && grep -qE '^  halt_wait_hist +0 recorded' "$dir/out"
check $? "show: what the kernel counts of a VM and of each vCPU, totals and histograms" "$(shown)"
cp "$dir/out" "$dir/whole"
same=1
for name in "$held" "/proc/$held"; do
    run vmtally show "$name"
    diff <(sed 's/age .*//' "$dir/out") <(sed 's/age .*//' "$dir/whole") >"$dir/diff" || same=
done
[ "$same" ]
check $? "show: a VM is named by pid and path as well" "$(cat "$dir/diff" "$dir/err")"
run vmtally show "held-$me" --source vm/vcpu-1 --stat 'exit*'
[ "$(sed 1d "$dir/out" | tr -s ' ')" = "
vm/vcpu-1 (kvm, vcpu)
$(grep -E '^  exits ' "$dir/whole" | head -1 | sed 's/ 1[0-9][0-9] */ 0 /' | tr -s ' ')" ]
check $? "show with globs" "$(shown)"
run vmtally show "held-$me" --stat halt_poll_fial_ns
[ "$status" -eq 1 ] && [ "$(cat "$dir/err")" = "vmtally: no statistic halt_poll_fial_ns; did you mean halt_poll_fail_ns?" ]
check $? "a slip is answered with the statistic that was meant" "$(shown)"
run vmtally show "hled-$me"
[ "$status" -eq 1 ] && grep -qE "^vmtally: no such VM: hled-$me; did you mean held-$me\?$" "$dir/err"
check $? "and with the VM" "$(shown)"
run vmtally show "held-$me" --json
[ "$(jq -c '[.name, .path, .pid, .identity != null, [.sources[] | [.id, .provider, .target]]]' "$dir/out")" = \
    "[\"held-$me\",\"/proc/$held\",$held,true,$(printf '[["",%s],["vm","kvm","vm"],["vm/vcpu-0","kvm","vcpu"],["vm/vcpu-1","kvm","vcpu"]]' \
        "$(jq -c '[.sources[0].provider, .sources[0].target]' "$dir/out" | tr -d '[]')")]" ]
check $? "show --json: ids, providers and targets" "$(shown)"
run vmtally show "$two" --stat exits
grep -oE '^vcpu-[0-9]+#[0-9]+ \(kvm, vcpu\)$' "$dir/out" | sort -u | cut -d '#' -f 1 | tr '\n' ' ' >"$dir/vcpus"
[ "$(cat "$dir/vcpus")" = "vcpu-0 vcpu-0 vcpu-1 " ] && [ "$(value 'the process (kvm, total of 3 vcpu' exits)" -ge 200 ]
check $? "show: of two VMs of one process, each vCPU is there, told apart" "$(shown)"

# ---- beside a segment ----

minivmm --vcpus 1 --plug 0 --seconds 0 --kernel --name "joined-$me" >/dev/null 2>"$dir/vm.err" &
joined=$!
pids="$pids $joined"
for _ in $(seq 200); do
    [ -e "$segments/joined-$me.vmt" ] && break
    sleep 0.05
done
sleep 0.2
run vmtally list
[ "$(grep -cE " $joined +live " "$dir/out")" = 1 ] &&
    row "joined-$me" | grep -qE " live +[0-9]+ +segment\+fds +0 .*$segments/joined-$me.vmt$"
check $? "list: a VM with a segment is one row, and comes from both" "$(shown)"
run vmtally show "joined-$me" --source vm/vcpu-0 --stat exits
before=$(value 'vm/vcpu-0 (vmm' exits)
run vmtally show "joined-$me" --source vm/vcpu-0 --stat exits
[ "$status" -eq 0 ] && [ "$(grep '^vm' "$dir/out")" = "vm/vcpu-0 (vmm, vcpu)
vm/vcpu-0 (kvm, vcpu)" ] && [ "$before" -gt 0 ] && [ "$(value 'vm/vcpu-0 (vmm' exits)" -ge "$before" ] &&
    [ "$(value 'vm/vcpu-0 (kvm' exits)" -ge $((before / 2)) ] # one that a signal ends may be no exit to the kernel
check $? "show: both providers under one vCPU, of the same exits" "$before; $(shown)"
run vmtally show "joined-$me" --source vm/vcpu-0/kvm
[ "$(grep '^vm' "$dir/out")" = "vm/vcpu-0 (kvm, vcpu)" ]
check $? "show: the kernel's alone by its own id" "$(shown)"
run vmtally show "joined-$me"
[ "$(grep '^vm.*(kvm, v\|^vm.*(vmm, v' "$dir/out" | head -4)" = "vm (vmm, vm)
vm (kvm, vm)
vm/vcpu-0 (vmm, vcpu)
vm/vcpu-0 (kvm, vcpu)" ]
check $? "show: each thing with all that counts it, before the next" "$(shown)"
run vmtally show "joined-$me" --json
[ "$(jq -c '[.sources[] | select(.provider == "kvm") | .id] | sort' "$dir/out")" = '["vm/kvm","vm/vcpu-0/kvm"]' ]
check $? "show --json: ids as in the snapshot" "$(shown)"

# ---- segments that say what is not so ----

other=65534
mkdir "$segments/own"
cp "$segments/joined-$me.vmt" "$segments/own/claim-$me.vmt"
chown -R $other "$segments/own"
run vmtally list --dir "$segments/own"
grep -qE " $joined +died +[0-9]+ +segment +" "$dir/out" && grep -qE " /proc/$joined$" "$dir/out"
check $? "a segment claims no other user's process, not even in a directory of its owner's" "$(shown)"
rm -r "$segments/own"
cp "$segments/joined-$me.vmt" "$segments/$held.vmt"
run vmtally show "$held"
[ "$(head -1 "$dir/out" | cut -d , -f 1)" = "joined-$me: died" ]
check $? "show: a number that is a segment's name is not the process that has come to have it" "$(shown)"
rm "$segments/$held.vmt"

# ---- debugfs ----

debugfs=/sys/kernel/debug/kvm
start qemu-system-x86_64 bare:2 -name "bare-$me"
bare=$started
inside() { # command...: where debugfs is not mounted
    unshare -m sh -c 'umount -l /sys/kernel/debug 2>/dev/null; ! mountpoint -q /sys/kernel/debug && exec "$@"' sh "$@"
}
if [ -d "$debugfs/$bare-${vms% }" ]; then
    run vmtally list
    row "bare-$me" | grep -qE "^bare-$me +root +$bare +live +3 +debugfs +- +[0-9][^ ]* +/proc/$bare$"
    check $? "list: of one that holds no statistics fds debugfs has the counters" "$(shown)"
    run vmtally show "bare-$me"
    [ "$status" -eq 0 ] && [ "$(grep -A 1 '^vm/vcpu-1 (kvm, vcpu)' "$dir/out" | tail -1)" = \
        "  -  debugfs has only the sum over all vCPUs: it is shown as the total of the VM" ] &&
        grep -q '^vm (kvm, total of 2 vcpu' "$dir/out" && [ "$(value 'vm (kvm, total of 2 vcpu' guest_mode)" = 0 ]
    check $? "show: of several vCPUs it has the sum, and it is said of each" "$(shown)"
    if cat "$debugfs/exits" >/dev/null 2>&1; then
        [ "$(value 'vm (kvm, total of 2 vcpu' exits)" -ge 100 ]
        check $? "show: the exits of all vCPUs" "$(shown)"
    else
        skip "show: the exits of all vCPUs" "this kernel is locked down: debugfs keeps them from everybody"
    fi
    start qemu-system-x86_64 bare:1 -name "single-$me"
    run vmtally show "single-$me" --source vm/vcpu-0
    grep -q '^vm/vcpu-0 (kvm, vcpu)$' "$dir/out" && [ "$(value 'vm/vcpu-0 (kvm, vcpu)' guest_mode)" = 0 ]
    check $? "show: the sum over one vCPU is that vCPU's" "$(shown)"
else
    skip "VMs by debugfs" "needs debugfs at /sys/kernel/debug, with kvm in it"
fi
if inside true 2>/dev/null; then
    run inside vmtally list
    [ "$status" -eq 0 ] && [ "$(grep -c 'debugfs' "$dir/err")" = 1 ] && grep -q 'mount -t debugfs' "$dir/err" &&
        row "held-$me" | grep -q ' fds ' && row "joined-$me" | grep -q ' segment+fds ' && row "bare-$me" | grep -q ' - '
    check $? "without debugfs that is said once, with what to do; all else goes on" "$(shown)"
    run inside vmtally show "held-$me"
    [ "$status" -eq 0 ] && [ ! -s "$dir/err" ] && [ "$(value 'vm/vcpu-0 (kvm, vcpu)' exits)" -ge 100 ]
    check $? "who asks for a VM that needs none is not told" "$(shown)"
    run inside vmtally show "bare-$me"
    [ "$(grep -c 'mount -t debugfs' "$dir/err")" = 1 ] &&
        grep -q '^the process (kvm, total of 2 vcpu) (could not be read)$' "$dir/out" && ! grep -q departed "$dir/out"
    check $? "who asks for one that does is; nothing of it departed" "$(shown)"
else
    skip "without debugfs" "needs a mount namespace"
fi

# ---- without permission ----

nobody="setpriv --reuid=65534 --regid=65534 --clear-groups --"
as_nobody() { $nobody "$@"; }
if as_nobody test -x "$VMT_BUILD/cli/vmtally" 2>/dev/null; then
    chmod 644 "$segments"/*.vmt
    run as_nobody vmtally list
    [ "$status" -eq 0 ] && row "joined-$me" | grep -q ' segment ' && ! grep -q "held-$me" "$dir/out" &&
        [ "$(wc -l <"$dir/err")" = 1 ] && grep -qE '^vmtally: .*(root|CAP_SYS_PTRACE)' "$dir/err"
    check $? "nobody sees segments, and is told once what he may not see" "$(shown)"
    run as_nobody vmtally show "joined-$me" --stat exits
    [ "$status" -eq 0 ] && [ "$(value 'vm/vcpu-0 (vmm, vcpu)' exits)" -ge 0 ] && ! grep -q '(kvm' "$dir/out"
    check $? "he has the VMM's counters" "$(shown)"
    run as_nobody vmtally show "$held"
    [ "$status" -eq 1 ] && grep -q "^vmtally: no such VM: $held" "$dir/err"
    check $? "and nothing of a process that is not his" "$(shown)"
    if as_nobody test -x "$here/kvm_vm.py" && ! grep -q '[1-9]' /proc/sys/kernel/yama/ptrace_scope 2>/dev/null; then
        as=$nobody start qemu-system-x86_64 held:1 -name "his-$me"
        run as_nobody vmtally show "his-$me" --stat exits
        [ "$status" -eq 0 ] && [ ! -s "$dir/err" ] && grep -q "^his-$me: live, pid $started" "$dir/out" &&
            [ "$(value 'vm/vcpu-0 (kvm, vcpu)' exits)" -ge 100 ]
        check $? "of a VM that is his own he has the kernel's" "$(shown)"
        run vmtally list
        row "his-$me" | grep -qE "^his-$me \(uid 65534\) +nobody +$started +live +2 +fds "
        check $? "for root it is somebody else's: its name proves nothing" "$(shown)"
    else
        skip "a VM that is nobody's own" "needs sources that everybody may read, and no Yama"
    fi
else
    skip "as nobody" "needs a build directory that everybody may read"
fi

# ---- without permission: VMs that hand over their descriptors ----

# In a PID namespace of its own, with no other VMs: three that have a segment which everybody may read.
cat >"$dir/three.sh" <<'P'
dir=$1
export VMTALLY_DIR=$2/three
rm -rf "$VMTALLY_DIR"
mkdir -m 755 "$VMTALLY_DIR"
for n in 1 2 3; do
    minivmm --vcpus 1 --plug 0 --seconds 0 --kernel --name "k$n" >/dev/null 2>&1 &
done
for _ in $(seq 600); do
    [ "$(vmtally list --json 2>/dev/null | jq -c '[.[].counters]')" = '[["segment","fds"],["segment","fds"],["segment","fds"]]' ] && break
    sleep 0.05
done
chmod 644 "$VMTALLY_DIR"/*.vmt
while read -r command; do
    timeout 60 setpriv --reuid=65534 --regid=65534 --clear-groups -- $command >"$dir/out" 2>"$dir/err" </dev/null
    echo "$?, $(grep -c . "$dir/err") said: $(tr '\n' ' ' <"$dir/err") $(grep -haom 1 stats_fd "$dir/out") <- $command"
done
P
alone=(unshare --pid --fork --mount-proc --kill-child --)
if "${alone[@]}" true 2>/dev/null && as_nobody test -x "$VMT_BUILD/cli/vmtally" 2>/dev/null; then
    "${alone[@]}" bash "$dir/three.sh" "$dir" "$segments" >"$dir/three" 2>&1 <<'COMMANDS'
vmtally list
vmtally list --json
vmtally show
vmtally show --json
vmtally schema
vmtally export --format json
vmtally export --format msgpack
vmtally export --format prometheus
vmtally export --format openmetrics
vmtally stream --format json --count 1
kvmtop -b -n 1
kvmtop --json -n 1
COMMANDS
    said=': kernel counters of k1 and 2 more: permission denied; run as root'
    [ "$(grep -cE "^0, 1 said: (vmtally|kvmtop)$said   <- " "$dir/three")" = 12 ]
    check $? "what may not be read of VMs with segments is said once, and no descriptor's number instead" "$(cat "$dir/three")"
    "${alone[@]}" bash "$dir/three.sh" "$dir" "$segments" >"$dir/three" 2>&1 <<'COMMANDS'
vmtally query --vm k2 {"execute":"query-stats","arguments":{"target":"vm"}}
vmtally show k2
vmtally show k2 --stat stats_fd
COMMANDS
    [ "$(grep -c 'vmtally: kernel counters of k2: permission denied; run as root   <- ' "$dir/three")" = 3 ] &&
        tail -1 "$dir/three" | grep -q '^1, 2 said: vmtally: no statistic stats_fd'
    check $? "of the one that is asked for it is said by its name; a descriptor's number is no statistic" "$(cat "$dir/three")"
    for command in list "show joined-$me" "schema joined-$me" "export --format json joined-$me"; do
        run "${alone[@]}" vmtally $command
        [ "$status" -eq 0 ] && [ "$(cat "$dir/err")" = \
            "vmtally: kernel counters of joined-$me: its process is in another PID namespace; run outside of this one" ]
        check $? "root in a PID namespace of his own is told why he has not all: ${command%% *}" "$(shown)"
    done
    rm -r "$segments/three"
    "${alone[@]}" minivmm --vcpus 1 --plug 0 --seconds 0 --kernel --name "inner-$me" >/dev/null 2>&1 &
    unshared=$!
    for _ in $(seq 600); do
        run vmtally list
        row "inner-$me" | grep -q ' segment+fds ' && break
        sleep 0.05
    done
    inner=$(row "inner-$me" | awk '{ print $3 }')
    [ "$(cat "/proc/$inner/comm")" = minivmm ] && grep -qE "^NSpid:.*$inner.*[^0-9]1$" "/proc/$inner/status"
    check $? "list: the pid of a VM in another PID namespace is the one that it has here" "$inner; $(shown)"
    run vmtally show "inner-$me"
    head -1 "$dir/out" | grep -q "^inner-$me: live, pid $inner, "
    check $? "show: as well" "$(shown)"
    kill -KILL $unshared # it ignores others
    wait $unshared 2>/dev/null
    rm "$segments/inner-$me.vmt"
else
    skip "VMs with segments, without permission" "needs a PID namespace, and a build directory that everybody may read"
fi

# ---- nothing is held ----

# A command that waits for its reader has let go of all that is others'.
cat >"$dir/waiting.py" <<'P'
import fcntl, os, subprocess, sys, time
r, w = os.pipe()
fcntl.fcntl(w, 1031, 4096) # F_SETPIPE_SZ
p = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=w)
os.close(w)
def waits():
    with open(f"/proc/{p.pid}/wchan") as f:
        return "pipe" in f.read()
for _ in range(200):
    time.sleep(0.02)
    if p.poll() is not None or waits():
        break
fds = [os.readlink(f"/proc/{p.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{p.pid}/fd")]
print(p.poll(), [fd for fd in fds if "kvm" in fd or "pidfd" in fd])
while os.read(r, 65536):
    pass
sys.exit(p.wait())
P
got=$("$python" "$dir/waiting.py" vmtally show "held-$me" 2>&1)
[ "$got" = "None []" ]
check $? "a command that waits for its reader keeps no VM alive" "$got"

kill $held
wait $held 2>/dev/null
run vmtally show "held-$me"
[ "$status" -eq 1 ] && grep -q "no such VM: held-$me" "$dir/err"
check $? "a VM is gone with its process" "$(shown)"
run vmtally show "/proc/$held"
[ "$status" -eq 1 ] && grep -q "^vmtally: /proc/$held: no such process, or it has no VM" "$dir/err"
check $? "and its path" "$(shown)"
run vmtally gc --dry-run
[ "$status" -eq 0 ] && grep -q ', 1 in use$' "$dir/out" && [ ! -s "$dir/err" ]
check $? "gc looks at segments only" "$(shown)"

exit $bad
