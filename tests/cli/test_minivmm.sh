#!/bin/bash
# SPDX-License-Identifier: MIT
# minivmm: that a real guest and a simulated one are counted right while vCPUs come and go, that its jail holds, and
# what it says when something is wrong.
# $VMT_BUILD is the build directory; without it vmtally and minivmm are looked for in PATH.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh"

[ -z "${VMT_BUILD:-}" ] || PATH=$VMT_BUILD/cli:$VMT_BUILD/lib/examples:$PATH
root=$here/../..
library=$(dirname "$(command -v vmtally)")/../lib
export VMTALLY_DIR LC_ALL=C.UTF-8
VMTALLY_DIR=$(mktemp -d /dev/shm/vmtally-test.XXXXXX) || exit 1
vmm=
trap '[ -z "$vmm" ] || kill "$vmm" 2>/dev/null; wait; rm -rf "$dir" "$VMTALLY_DIR"' EXIT
chmod 755 "$dir" "$VMTALLY_DIR"


run() { # command...: its output in $dir/out and $dir/err, its exit status in $status
    "$@" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
}

says() { # name status regular-expression: of the last run's standard error; no segment is left behind
    [ "$status" -eq "$2" ] && grep -qE -- "$3" "$dir/err" && [ -z "$(ls -A "$VMTALLY_DIR")" ]
    check $? "$1" "exit status $status, expected $2; $(cat "$dir/err"); $(ls -A "$VMTALLY_DIR")"
}

start() { # argument...: a VM called test, until its segment can be read; 1 if it does not get there
    minivmm --name test "$@" >"$dir/vmm.out" 2>"$dir/vmm.err" &
    vmm=$!
    for _ in $(seq 100); do
        vmtally list --json 2>/dev/null | grep -q '"live"' && return 0
        kill -0 "$vmm" 2>/dev/null || break
        sleep 0.1
    done
    return 1
}

stop() { # signal; sets $status
    kill "-$1" "$vmm"
    wait "$vmm"
    status=$?
    vmm=
}

# Snapshots of a VM whose vCPUs are unplugged and plugged, one JSON object a line, against what must be true of them.
cat >"$dir/judge.py" <<'PYTHON'
import json, sys

name, vcpus = sys.argv[1], int(sys.argv[2])
snapshots = [json.loads(line) for line in sys.stdin]
bad = 0


def check(good, what, why=""):
    global bad
    print(f"{'ok' if good else 'not ok'} - {name}: {what}")
    if not good:
        bad = 1
        print(f"# {why}")


def values(stats):
    return {s["name"]: s["value"] for s in stats}


def source(snapshot, ident):
    return next(s for s in snapshot["sources"] if s["id"] == ident)


def total(snapshot, ident, schema):
    return values(next(t for t in source(snapshot, ident)["totals"] if t["schema"] == schema)["stats"])


def live(snapshot):
    return [s for s in snapshot["sources"] if s["schema"] == "vcpu" and not s["leaving"]]


def confirmed(snapshot):
    return not any(s["unconfirmed"] for s in snapshot["sources"])


check(len(snapshots) >= 20 and all(s["state"] == "live" and not s["partial"] for s in snapshots),
      "twenty whole snapshots of a live VM", [(s["state"], s["partial"]) for s in snapshots])

last = snapshots[-1]
total_vcpu = total(last, "vm", "vcpu")
block = values(source(last, "vm/block-0")["stats"])
vm = values(source(last, "vm")["stats"])
rows = ["io_latency", "exit_io_in_agg", "exit_io_out_agg", "exit_mmio_read_agg", "exit_mmio_write_agg"]
zero = [n for n in ["exits", "exit_io_in", "exit_io_out", "exit_mmio_read", "exit_mmio_write", "exit_hlt", "exit_intr",
                    "run_time", "halt_time"] + [r + s for r in rows for s in ("_count", "_sum", "_min", "_max")]
        if not total_vcpu[n]]
zero += [n for n in ["read_bytes", "write_bytes", "read_count", "write_count", "flush_count", "queue_event_count",
                     "read_agg_count", "write_agg_sum"] if not block[n]]
zero += [n for n in ["vcpus", "memory_bytes"] if not vm[n]]
check(not zero, "all that the guest does is counted", f"zero: {zero}")
check(total_vcpu["failures"] == 0 and total_vcpu["exit_other"] == 0 and block["execute_fails"] == 0 and
      block["invalid_reqs_count"] == 0, "nothing failed", (total_vcpu, block))

reasons = ["exit_io_in", "exit_io_out", "exit_mmio_read", "exit_mmio_write", "exit_hlt", "exit_intr", "exit_other",
           "exit_irq_window"]
sure = [s for s in snapshots if confirmed(s)]
wrong = [(t["exits"], sum(t[r] for r in reasons)) for s in sure for t in [total(s, "vm", "vcpu"), total(s, "", "vcpu")]
         if t["exits"] != sum(t[r] for r in reasons)]
check(len(sure) > len(snapshots) // 2 and not wrong, "exits are the sum of their reasons, unplugged vCPUs included",
      f"{len(sure)} of {len(snapshots)} confirmed; {wrong}")
wrong = [(r, t[r + "_count"], sum(t[r + "_hist"])) for s in sure for t in [total(s, "vm", "vcpu")] for r in rows
         if t[r + "_count"] != sum(t[r + "_hist"])]
check(not wrong, "each histogram of a latency holds as many as were counted", wrong)

fell = []
for older, newer in zip(snapshots, snapshots[1:]):
    for ident in "", "vm":
        for t in source(older, ident)["totals"]:
            if t["schema"].startswith("kvm-"):
                continue  # read from the kernel: of the vCPUs that there are
            then = {s["name"]: s for s in t["stats"]}
            now = total(newer, ident, t["schema"])
            for n, s in then.items():
                if s["type"] == "cumulative" and now[n] < s["value"] or \
                        s["type"].endswith("histogram") and any(b < a for a, b in zip(s["value"], now[n])):
                    fell.append((ident, t["schema"], n, s["value"], now[n]))
check(not fell, "no total of its own ever falls", fell)

counts = [len(live(s)) for s in snapshots]
incarnations = {(s["entry"], s["generation"]) for x in snapshots for s in live(x)}
check(min(counts) < vcpus == max(counts) and len(incarnations) > vcpus, "vCPUs are unplugged and plugged meanwhile",
      (counts, incarnations))
kept = total_vcpu["exits"] - sum(values(s["stats"])["exits"] for s in live(last))
check(kept > 0, "the VM keeps what unplugged vCPUs had counted", kept)
told = [(values(source(s, "vm")["stats"])["vcpus"], len(live(s))) for s in snapshots]
check(sum(a == b for a, b in told) > len(told) // 2, "the VM says how many vCPUs it has", told)


def asked(snapshot):
    return values(source(snapshot, "vm/block-0")["stats"])["queue_event_count"]


def done(snapshot):
    v = values(source(snapshot, "vm/block-0")["stats"])
    return v["read_count"] + v["write_count"] + v["flush_count"]


wrong = [(asked(a), done(a), asked(b), done(b)) for a, b in zip(snapshots, snapshots[1:])
         if done(a) > asked(b) or asked(a) > done(b) + vcpus]
check(not wrong, "what vCPU threads submit the device thread completes", wrong)
sys.exit(bad)
PYTHON

watch() { # name argument...: a VM of three vCPUs, watched while it runs, then ended by SIGTERM
    local name=$1
    shift
    start --vcpus 3 --plug 0.3 "$@"
    check $? "$name: starts" "$(cat "$dir/vmm.err")"
    sleep 0.5
    for _ in $(seq 24); do
        vmtally export --format json test
        sleep 0.07
    done >"$dir/snapshots" 2>"$dir/err"
    # Without --kernel it may be said that debugfs can't be had.
    check_empty "$(grep -v '^vmtally: kernel counters of .*debugfs' "$dir/err")" "$name: can be read at any time"
    python3 "$dir/judge.py" "$name" 3 <"$dir/snapshots"
    check $? "$name: is counted right" "see above"
    vmtally show test --json --shards --source vm/block-0 >"$dir/out"
    [ "$(grep -o '"held":true' "$dir/out" | wc -l)" -eq 4 ]
    check $? "$name: the disk has a shard for each vCPU and one for its own thread" "$(cat "$dir/out")"
    stop TERM
    [ "$status" -eq 0 ] && [ ! -s "$dir/vmm.err" ] && [ -z "$(ls -A "$VMTALLY_DIR")" ]
    check $? "$name: ends well on SIGTERM and leaves no file" \
        "exit status $status; $(cat "$dir/vmm.err"); $(ls -A "$VMTALLY_DIR")"
}

status_of() { # field: of all threads of the VM
    cat "/proc/$vmm/task"/*/status | sed -n "s/^$1:[[:space:]]*//p" | sort -u
}

jail() { # name argument...
    local name=$1
    shift
    start --jail --vcpus 3 --plug 0.1 --seconds 2 "$@"
    check $? "$name: starts" "$(cat "$dir/vmm.err")"
    for _ in $(seq 100); do # the segment is there before the filter
        [ "$(status_of Seccomp)" = 2 ] && break
        sleep 0.01
    done
    [ "$(status_of Seccomp)" = 2 ] && [ "$(status_of NoNewPrivs)" = 1 ] && [ -z "$(status_of Groups | tr -d ' ')" ] &&
        [ "$(status_of Uid | tr '\t' ' ')" = "65534 65534 65534 65534" ] &&
        [ "$(status_of Gid | tr '\t' ' ')" = "65534 65534 65534 65534" ] &&
        [ "$(status_of CapEff)" = 0000000000000000 ]
    check $? "$name: all threads are nobody's and under the filter" "$(cat "/proc/$vmm/task"/*/status)"
    [ -z "$(ls -A "/proc/$vmm/root/")" ] && readlink "/proc/$vmm/root" | grep -q '(deleted)$'
    check $? "$name: the root directory is empty and has no name" "$(readlink "/proc/$vmm/root")"
    wait "$vmm"
    status=$?
    vmm=
    check "$status" "$name: unplugs and plugs vCPUs under the filter until its end" "$(cat "$dir/vmm.err")"
    vmtally list --json >"$dir/out" 2>&1
    grep -q '"closed"' "$dir/out"
    check $? "$name: closes its segment" "$(cat "$dir/out")"
    vmtally gc >"$dir/out" 2>&1 && [ -z "$(ls -A "$VMTALLY_DIR")" ]
    check $? "$name: leaves a segment that gc removes" "$(cat "$dir/out"; ls -A "$VMTALLY_DIR")"
}

# The system calls behind the filter, against those that the manual lists.
trace() { # name argument...
    local name=$1
    shift
    sed -n "/^# THE JAIL'S SYSTEM CALLS/,/^# EXIT STATUS/p" "$root/lib/examples/minivmm.1.scd" |
        grep -oE '\b[a-z_0-9]+\b' | sort -u >"$dir/listed"
    strace -f -o "$dir/trace" minivmm --jail --vcpus 3 --plug 0.1 --seconds 1 "$@" >/dev/null 2>"$dir/err"
    status=$?
    sed '1,/SECCOMP_FILTER_FLAG_TSYNC.*, {/d' "$dir/trace" | sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' | sort -u >"$dir/made"
    [ "$status" -eq 0 ] && grep -qx futex "$dir/made" && [ -z "$(comm -23 "$dir/made" "$dir/listed")" ]
    check $? "$name: makes no system call that its manual does not list" \
        "exit status $status $(cat "$dir/err"); not listed: $(comm -23 "$dir/made" "$dir/listed" | tr '\n' ' ')"
    rm -f "$VMTALLY_DIR"/*
}

# ---- counting ----

watch simulated --simulate
if kvm_works; then
    watch guest
else
    skip "guest: is counted right" "no guest can run on this machine"
fi

# ---- the kernel's counters ----

# What the kernel counted of all vCPUs that there ever were, against what their threads did. Of a closed segment: copies
# only, of the last moment. Kicks (exit_intr) may come before the guest has been entered.
cat >"$dir/exits.py" <<'PYTHON'
import json, sys

totals = {}
for source in json.load(sys.stdin)["sources"]:
    if source["id"] == "":
        totals = {t["schema"]: {s["name"]: s["value"] for s in t["stats"]} for t in source["totals"]}
vmm, kernel = totals["vcpu"], totals["kvm-vcpu"]
print(vmm["exits"], vmm["exit_intr"], kernel["exits"])
sys.exit(not 0 < vmm["exits"] - vmm["exit_intr"] <= kernel["exits"] < 2 * vmm["exits"])
PYTHON

if kvm_works; then
    watch "guest with the kernel's counters" --kernel-copy 0.05
    # Killed, and gone on with by a VM of its own.
    start --kernel-copy 0.05 --plug 0
    sleep 0.5
    descriptors=$(ls -l "/proc/$vmm/fd")
    [ "$(grep -c 'kvm-vm-stats' <<<"$descriptors")" = 1 ] && [ "$(grep -c 'kvm-vcpu-stats' <<<"$descriptors")" = 2 ]
    check $? "--kernel: a statistics descriptor each" "$descriptors"
    vmtally show test --source vm/vcpu-1/kvm >"$dir/out" 2>&1
    grep -qE '^ +exits +[1-9]' "$dir/out"
    check $? "--kernel: what the kernel counts stands beside it" "$(cat "$dir/out")"
    stop KILL 2>/dev/null
    run minivmm --name test --kernel --seconds 0.3 --plug 0.1
    [ "$status" -eq 0 ] && [ ! -s "$dir/err" ]
    check $? "--kernel: goes on where one was killed" "exit status $status; $(cat "$dir/err")"
    if [ "$(id -u)" -eq 0 ]; then
        run minivmm --name test --jail --vcpus 3 --plug 0.1 --seconds 1 --kernel-copy 0.05
        vmtally export --format json test >"$dir/json" 2>>"$dir/err"
        [ "$status" -eq 0 ] && python3 "$dir/exits.py" <"$dir/json" >"$dir/out" 2>>"$dir/err"
        check $? "the kernel counts as many exits as minivmm, plugged again or not" "$(cat "$dir/out" "$dir/err")"
        rm -f "$VMTALLY_DIR"/*
    fi
else
    skip "guest with the kernel's counters" "no guest can run on this machine"
fi

# ---- jail ----

if [ "$(id -u)" -ne 0 ]; then
    skip "jail: simulated" "needs root"
    run minivmm --jail --simulate --seconds 1
    says "jail: without root it says so" 1 "needs root"
else
    jail "simulated jail" --simulate
    if command -v strace >/dev/null; then
        trace "simulated jail" --simulate
    else
        skip "simulated jail: makes no system call that its manual does not list" "no strace here"
    fi
    if kvm_works; then
        jail "guest's jail"
        jail "guest's jail with the kernel's counters" --kernel-copy 0.05
        if command -v strace >/dev/null; then
            trace "guest's jail"
            trace "guest's jail with the kernel's counters" --kernel-copy 0.05
        fi
    else
        skip "guest's jail: unplugs and plugs vCPUs under the filter until its end" "no guest can run on this machine"
    fi
fi

# What the manual promises of cold calls in jail mode, alone: threads that add, find, acquire, count, release and remove
# against each other under a filter that knows two system calls and the end. The control does the same out of jail mode.
cat >"$dir/cold.c" <<'C'
#include <linux/futex.h>
#include <pthread.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vmtally.h>

#define THREADS 4
static struct vmt_segment *segment;
static struct vmt_source *vm;
static int begun, go, done, failed;

static void *churn(void *argument)
{
    __atomic_fetch_add(&begun, 1, __ATOMIC_RELAXED);
    while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
        ;
    for (int i = 0; i < 2000; i++) {
        struct vmt_source *source = NULL;
        struct vmt_shard *sh[3];

        failed |= vmt_source_addf(segment, &vmt_schema_vcpu, vm, &source, "vcpu-%d", (int)(long)argument) < 0;
        vmt_shards_acquire(source, 3, sh);
        vmt_add(sh[0], VMT_VCPU_EXITS, 1);
        vmt_count(source, VMT_VCPU_FAILURES, 1);
        {
            VMT_TIME(sh[1], VMT_VCPU_IO_LATENCY);
        }
        failed |= sh[2] == VMT_SCRATCH;
        vmt_segment_heartbeat(segment);
        vmt_shards_release(3, sh);
        vmt_source_remove(source);
    }
    __atomic_fetch_add(&done, 1, __ATOMIC_RELEASE);
    for (;;)
        ; /* to end would take more system calls */
}

int main(int argc, char **argv)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "cold" };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);

    if (argc > 1 && strcmp(argv[1], "jail") == 0) {
        options.fd = memfd_create("cold", 0);
        options.fixed_bytes = 1 << 20;
    }
    if (vmt_segment_create(&options, &segment) < 0 || vmt_source_add(segment, &vmt_schema_vm, NULL, "vm", &vm) < 0)
        return 3;
    for (long n = 0; n < THREADS; n++) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, churn, (void *)n))
            return 3;
    }
    while (__atomic_load_n(&begun, __ATOMIC_RELAXED) < THREADS)
        ;
    seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(futex), 1, SCMP_CMP(1, SCMP_CMP_EQ, FUTEX_WAIT_PRIVATE, 0));
    seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(futex), 1, SCMP_CMP(1, SCMP_CMP_EQ, FUTEX_WAKE_PRIVATE, 0));
    seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(exit_group), 0);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (seccomp_load(filter) < 0)
        return 3;
    __atomic_store_n(&go, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < THREADS)
        ;
    _exit(failed);
}
C
if ${CC:-cc} -D_GNU_SOURCE -I"$root" -I"$root/shm" -I"$root/lib" -o "$dir/cold" "$dir/cold.c" \
    -L"$library" -Wl,-rpath,"$library" -lvmtally -lseccomp -lpthread 2>"$dir/err"; then
    run "$dir/cold" jail
    check "$status" "cold calls in jail mode make no system call but private futex wait and wake" \
        "exit status $status (159: killed by the filter); $(cat "$dir/err")"
    (run "$dir/cold" free; exit "$status") 2>/dev/null
    [ $? -eq 159 ]
    check $? "out of jail mode the same filter kills" "it should have"
    rm -f "$VMTALLY_DIR"/*
else
    check 1 "cold calls can be compiled" "$(cat "$dir/err")"
fi

# ---- what can be wrong ----

run minivmm --kvm "$dir/nowhere"
says "no /dev/kvm: it says so" 1 "nowhere: no guest can run here; --simulate .*No such file"
run minivmm --kvm /dev/null
says "a /dev/kvm that is none: it says so" 1 "/dev/null: not a KVM.*--simulate"
if [ "$(id -u)" -eq 0 ] && [ -e /dev/kvm ] && unshare -m true 2>/dev/null; then
    run unshare -m sh -c 'mount --bind /dev/null /dev/kvm && exec minivmm'
    says "the default is /dev/kvm" 1 "^minivmm: /dev/kvm: not a KVM.*--simulate"
else
    skip "the default is /dev/kvm" "needs root, and a /dev/kvm to hide"
fi
if [ "$(id -u)" -eq 0 ] && setpriv --reuid=65534 --clear-groups minivmm --version >/dev/null 2>&1; then
    : >"$dir/kvm" && chmod 600 "$dir/kvm"
    run setpriv --reuid=65534 --clear-groups minivmm --kvm "$dir/kvm"
    says "a /dev/kvm that is not ours: it says so" 1 "no guest can run here; --simulate .*Permission denied"
    run setpriv --reuid=65534 --clear-groups minivmm --simulate
    says "a directory that is not ours: it says so" 1 \
        "can't create the segment of minivmm in $VMTALLY_DIR: Permission denied"
    chmod 777 "$VMTALLY_DIR"
    run setpriv --reuid=65534 --clear-groups minivmm --simulate --jail
    chmod 755 "$VMTALLY_DIR"
    says "a jail without root: it says so, and removes what it made" 1 "needs root"
else
    skip "what is not ours" "needs root, and a build that others may run"
fi
run minivmm --simulate --jail --dir "$dir"
says "a jail in no memory file system: it says so" 1 "is no directory of a memory file system"
run minivmm --simulate --dir "$dir"
says "a directory in no memory file system: it says so" 1 "is no directory of a memory file system"
run env VMTALLY_DIR="$dir" minivmm --simulate
says "\$VMTALLY_DIR in no memory file system: it says which directory that is" 1 \
    "can't create the segment of minivmm in $dir: it is no directory of a memory file system"
check_empty "$(find "$dir" -name '*.vmt*')" "nothing is left in a directory that won't do"

start --simulate
run minivmm --simulate --name test --seconds 1
[ "$status" -eq 1 ] && grep -q "name test: a VMM of that name is running" "$dir/err" &&
    vmtally list --json | grep -q '"live"'
check $? "a name that is taken: it says so, and leaves the other alone" "exit status $status; $(cat "$dir/err")"
stop INT
check "$status" "SIGINT ends it well" "$(cat "$dir/vmm.err")"

wrong() { # argument... regular-expression
    local expected=${*: -1}
    run minivmm "${@:1:$#-1}"
    says "wrong usage: ${*:1:$#-1}" 2 "$expected"
}
wrong --vcpus 0 "vcpus 0: not a whole number from 1 to 64"
wrong --vcpus 65 "vcpus 65: "
wrong --vcpus 1.5 "vcpus 1.5: "
wrong --vcpus two "vcpus two: "
wrong --seconds -1 "seconds -1: not a number of seconds"
wrong --seconds nan "seconds nan: "
wrong --plug soon "plug soon: "
wrong --simulate --name a/b "name a/b: not 1 to 63"
wrong --simulate --jail --name ../b "name ../b: not 1 to 63"
wrong --simulate --name "$(head -c 64 /dev/zero | tr '\0' x)" "name x+: not 1 to 63"
wrong --kernel --simulate "kernel: this needs a real VM"
wrong --simulate --kernel-copy 1 "kernel-copy: this needs a real VM"
wrong --kernel-copy 0 "kernel-copy 0: not a number of seconds from 0.001"
wrong --kernel-copy often "kernel-copy often: not a number"
wrong --frobnicate "unrecognized option '--frobnicate'"
wrong web-1 "web-1: not an option"

run minivmm --version
[ "$status" -eq 0 ] && grep -qE '^minivmm [0-9]+\.[0-9]+\.[0-9]+$' "$dir/out"
check $? "--version says the version" "$(cat "$dir/out" "$dir/err")"
run minivmm --help
for option in vcpus seconds name dir simulate jail kvm plug kernel kernel-copy; do
    grep -q -- "--$option" "$dir/out" || status=1
    grep -q -- "^\*--$option\*" "$root/lib/examples/minivmm.1.scd" || status=1
done
check "$status" "--help and the manual name every option" "$(cat "$dir/out")"

# ---- the example ----

check_empty "$(grep -nE '\b(vmt_[a-z_]+\(|VMT_TIME)' "$root/lib/examples/minivmm.c" | grep -v '/\* vmtally')" \
    "each line of the example that concerns vmtally says so"

exit $bad
