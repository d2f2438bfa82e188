#!/bin/bash
# SPDX-License-Identifier: MIT
# The commands of vmtally, from outside: what they print, what they say when something is wrong, and their exit status.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh" || exit 1

# What differs from run to run: directories, process ids, ages; and how wide that makes a column.
steady() {
    local edit=(-e "s|$segments|DIR|g" -e "s|$dir|TMP|g" -e "s/ $(id -un) / USER /") pid

    for pid in $pids; do
        edit+=(-e "s/\b$pid\b/PID/g")
    done
    sed -E "${edit[@]}" -e 's/ [0-9]+(s|m[0-9]+s)(  DIR|$)/ AGE\2/' -e 's/ +/ /g' -e 's/^ //' -e 's/ $//'
}

expect() { # name status: the last run against standard input: its output and, after a line "--- stderr", its messages
    cat >"$dir/expected"
    {
        steady <"$dir/out"
        if [ -s "$dir/err" ]; then
            echo "--- stderr"
            steady <"$dir/err"
        fi
    } >"$dir/got"
    diff -u "$dir/expected" "$dir/got" >"$dir/diff" && [ "$status" -eq "$2" ]
    check $? "$1" "exit status $status, expected $2
$(cat "$dir/diff")"
}

start() { # name command...: a VM, until its segment is there; its process is $started
    local name=$1
    shift
    "$@" >/dev/null 2>"$dir/vm.err" &
    started=$!
    pids="$pids $started"
    for _ in $(seq 200); do
        [ -e "$segments/$name.vmt" ] && return
        sleep 0.05
    done
    echo "Bail out! $name did not start: $(cat "$dir/vm.err")"
    exit 1
}

poke() { # file offset bytes (as printf has them)
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; }

# ---- usage ----

run vmtally
says "no command at all is wrong usage" 2 "which command\? one of: list, show, schema, query, export, stream, cat, forward, serve, check, gc"
run vmtally shwo
says "a command with a slip is wrong usage, and names the nearest" 2 "^vmtally: no command shwo; did you mean show\?$"
run vmtally frobnicate
says "a command far from all is wrong usage" 2 "^vmtally: no command frobnicate; 'vmtally --help' lists them all$"
run vmtally "$(printf 'a\033[31mb')"
says "control characters of an argument don't reach the terminal" 2 "no command a\?\[31mb"
run vmtally list extra
says "list takes no argument" 2 "unexpected argument 'extra'"
run vmtally list --nonsense
says "an unknown option is wrong usage" 2 "unrecognized option '--nonsense'"
run vmtally --dir '' list
says "an empty --dir is wrong usage" 2 "dir needs the name of a directory"
run vmtally show a b
says "show takes one VM" 2 "'b' is one too many"
run vmtally check
says "check needs a file" 2 "which file\?"
run vmtally export
says "export needs a format" 2 "which format\? --format msgpack, json, openmetrics, prometheus, kvm, qemu, firecracker, tinykvm$"
run vmtally export --format none
says "a format that is not there names those that are" 2 \
    "no format none; there are: msgpack, json, openmetrics, prometheus, kvm, qemu, firecracker, tinykvm$"
run vmtally export --format json --full
says "--full is for msgpack" 2 "full is for --format msgpack"
run vmtally gc all
says "gc takes no argument" 2 "unexpected argument 'all'"

run vmtally --version
[ "$status" -eq 0 ] && [ "$(wc -l <"$dir/out")" -eq 1 ] && grep -qE '^vmtally [0-9]+\.[0-9]+\.[0-9]+$' "$dir/out"
check $? "--version says the version" "$(shown)"
run vmtally --help
[ "$status" -eq 0 ] && grep -q '^  gc  *remove segments whose writer is gone$' "$dir/out"
check $? "--help lists the commands" "$(shown)"
cp "$dir/out" "$dir/help"
run vmtally help
[ "$status" -eq 0 ] && cmp -s "$dir/out" "$dir/help"
check $? "help is --help" "$(shown)"
for command in list show schema query export stream cat forward serve check gc; do
    run vmtally $command --help
    cp "$dir/out" "$dir/help"
    [ "$status" -eq 0 ] && grep -q "^Usage: vmtally $command " "$dir/out"
    check $? "$command --help" "$(shown)"
    run vmtally help $command
    [ "$status" -eq 0 ] && cmp -s "$dir/out" "$dir/help"
    check $? "help $command is $command --help" "$(shown)"
done
completed() { # words...: what bash offers for the last one
    . "$VMT_BUILD/cli/completions/vmtally" 2>/dev/null
    COMP_WORDS=(vmtally "$@") COMP_CWORD=$#
    _vmtally
    printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort
}
for command in list show schema query export stream cat forward serve check gc; do
    vmtally $command --help | sed -nE 's/^ +(-., )?(--[a-z0-9-]+).*/\2/p' | LC_ALL=C sort >"$dir/expected"
    completed $command -- >"$dir/got"
    diff "$dir/expected" "$dir/got" >"$dir/diff" && [ -s "$dir/got" ]
    check $? "completion knows the options of $command" "$(cat "$dir/diff")"
done
[ "$(completed '' | grep -v '^help$' | tr '\n' ' ')" = \
    "$(vmtally --help | sed -nE '/^Commands:/,/^$/s/^  ([a-z]+) .*/\1/p' | grep -v '^help$' | LC_ALL=C sort | tr '\n' ' ')" ]
check $? "and the commands" "$(completed '')"
[ "$(completed export --format '' | tr '\n' ' ')" = "$(vmtally export --format none 2>&1 |
    sed -n 's/.*there are: //p' | tr -d ' ' | tr ',' '\n' | LC_ALL=C sort | tr '\n' ' ')" ]
check $? "and the formats" "$(completed export --format '')"
run vmtally help shwo
says "help of an unknown command is wrong usage" 2 "did you mean show\?"

# ---- nothing there ----

run vmtally list
expect "list of nothing says where was looked, and is no failure" 0 <<'END'
--- stderr
vmtally: no VMs found in DIR, nor processes that have VMs; start one, or name another place with --dir
END
run vmtally list --json
[ "$status" -eq 0 ] && [ "$(jq length "$dir/out")" = 0 ]
check $? "list --json of nothing is an empty array" "$(shown)"
run vmtally show
says "show of nothing fails" 1 "no VMs found"
run vmtally export --format json
says "export of nothing fails" 1 "no VMs found"
run vmtally gc
expect "gc of nothing" 0 <<'END'
0 segments removed, 0 B freed, 0 in use
END
run vmtally show web-1
says "no such VM" 1 "^vmtally: no such VM: web-1 \(looked in $segments, and at all processes\); 'vmtally list' shows what there is$"
run vmtally export --format json web-1
says "no such VM to export" 1 "no such VM: web-1"
run vmtally show "$segments/web-1.vmt"
says "no such file" 1 "^vmtally: $segments/web-1.vmt: no such file or directory$"
run vmtally --dir "$segments/nowhere" list
says "--dir that is not there" 1 "nowhere: no such file or directory"
run vmtally list --dir "$here/test_vmtally.sh"
says "--dir that is no directory" 1 "test_vmtally.sh: not a directory"

# ---- a VM whose counters are known ----

start_fixed fixed
fixed_pid=$started
run vmtally list
expect "list" 0 <<'END'
NAME USER PID STATE SOURCES COUNTERS RESTARTS AGE FILE
fixed USER PID live 3 segment 0 AGE DIR/fixed.vmt
END
awk 'NR == 1 { at = index($0, "STATE") } NR == 2 { exit substr($0, at, 4) != "live" }' "$dir/out"
check $? "the columns of list stand below their titles" "$(shown)"
run vmtally list --json
[ "$(jq -c '.[] | [.name, .uid, .foreign, .pid, .state, .sources, .counters, .restarts, .dropped_sources, .dropped_shards,
    .shards_torn, .age_ns > 0, .path]' "$dir/out")" = \
    "[\"fixed\",$(id -u),false,$fixed_pid,\"live\",3,[\"segment\"],0,0,0,0,true,\"$segments/fixed.vmt\"]" ]
check $? "list --json" "$(shown)"
run vmtally list --dir "$dir"
says "--dir after the command goes before VMTALLY_DIR" 0 "no VMs found in $dir,"
VMTALLY_DIR=$dir run vmtally --dir "$segments" list
[ "$status" -eq 0 ] && grep -q '^fixed ' "$dir/out"
check $? "--dir before the command goes before VMTALLY_DIR" "$(shown)"

run vmtally show --source vm/vcpu-0 --stat 'e[x]it_*r'
expect "show with globs; exact up to 64 bits" 0 <<'END'
fixed: live, pid PID, age AGE
zone=a
owner=tests

vm/vcpu-0 (vmm, vcpu)
exit_intr 0 Exits because a signal interrupted KVM_RUN
exit_other 18446744073709551615 18.4 E Exits for a reason that has no counter of its own
END
run vmtally show fixed --source vm/vcpu-0 --stat 'io_latency*'
expect "show of a latency: units, quantiles, buckets" 0 <<'END'
fixed: live, pid PID, age AGE
zone=a
owner=tests

vm/vcpu-0 (vmm, vcpu)
io_latency_count 100 Time that the VMM takes to handle an exit (count)
io_latency_sum 35184372159732 9.77 h Time that the VMM takes to handle an exit (sum)
io_latency_min 0 0 s Time that the VMM takes to handle an exit (minimum)
io_latency_max 35184372088832 9.77 h Time that the VMM takes to handle an exit (maximum)
io_latency_hist 100 recorded: p50 512 ns..1.02 us, p90 512 ns..1.02 us, p99 2.05 us..4.10 us Time that the VMM takes to handle an exit (histogram)
0 s: 1 512 ns..1.02 us: 97 2.05 us..4.10 us: 1 >=4.58 min: 1
END
run vmtally show fixed --source vm/vcpu-1 --stat 'io_latency_[mh]*'
expect "show of what was never counted" 0 <<'END'
fixed: live, pid PID, age AGE
zone=a
owner=tests

vm/vcpu-1 (vmm, vcpu)
io_latency_min - Time that the VMM takes to handle an exit (minimum)
io_latency_max 0 0 s Time that the VMM takes to handle an exit (maximum)
io_latency_hist 0 recorded Time that the VMM takes to handle an exit (histogram)
END
run vmtally show "$segments/fixed.vmt" --source vm --stat '*xits'
expect "show of totals, with what an unplugged vCPU had counted" 0 <<'END'
fixed: live, pid PID, age AGE
zone=a
owner=tests

vm (vmm, total of 2 vcpu, with departed)
exits 9007199254741098 9.01 P Returns of KVM_RUN, whatever the reason
END
run vmtally show fixed --source vm --stat 'memory_bytes'
expect "show of bytes" 0 <<'END'
fixed: live, pid PID, age AGE
zone=a
owner=tests

vm (vmm, vm)
memory_bytes 536870912 512 MiB Guest memory, as configured
END
run vmtally show fixed --source '' --stat 'sources_*'
expect "show of the segment itself" 0 <<'END'
fixed: live, pid PID, age AGE
zone=a
owner=tests

the segment
sources_added 4 Sources added since the segment was created
sources_removed 1 Sources removed, their counts kept by their parents
END
run vmtally show fixed --shards --source vm/vcpu-1 --stat run_time
expect "show --shards: what each has counted, and whose it is" 0 <<'END'
fixed: live, pid PID, age AGE
zone=a
owner=tests

vm/vcpu-1 (vmm, vcpu)
run_time 10 10 ns Time spent in KVM_RUN
shard 0: held, tid PID
run_time 10 10 ns Time spent in KVM_RUN
END
run vmtally show fixed
[ "$status" -eq 0 ] && [ "$(grep -c '^  exits ' "$dir/out")" = 4 ] && ! grep -q "$(printf '\033')" "$dir/out"
check $? "show of all sources, without colour" "$(shown)"

run vmtally show fixed --source 'disk-*'
says "a source glob that matches nothing" 1 "^vmtally: no source matches 'disk-\*'"
run vmtally show fixed --stat 'nonsense*'
says "a statistic glob that matches nothing" 1 "^vmtally: no statistic matches 'nonsense\*'; "
run vmtally show fixed --stat exit_othre
says "a statistic with a slip names the nearest" 1 "^vmtally: no statistic exit_othre; did you mean exit_other\?$"
run vmtally show fixed --stat frobnications
says "one far from all says how to see all" 1 "^vmtally: no statistic frobnications; 'vmtally show' without --stat shows all$"
run vmtally show --source vm/vpcu-1 --json
says "a source with a slip names the nearest" 1 "^vmtally: no source vm/vpcu-1; did you mean vm/vcpu-1\?$"
run vmtally show fixde
says "a VM with a slip names the nearest" 1 "^vmtally: no such VM: fixde; did you mean fixed\?$"
run vmtally export --format json fixxed
says "to export, too" 1 "^vmtally: no such VM: fixxed; did you mean fixed\?$"
run vmtally show fixed --source 'vm/vcpu-*' --stat 'memory*' --json
says "a statistic glob that matches nothing in these sources, as JSON" 1 "no statistic matches 'memory\*' in these"

run vmtally show fixed --json
cp "$dir/out" "$dir/whole"
[ "$status" -eq 0 ] && [ "$(wc -l <"$dir/out")" = 1 ] && grep -qE '"value": ?18446744073709551615\}' "$dir/out"
check $? "show --json is one line with exact values" "$(shown)"
run vmtally show fixed --json --source 'vm/vcpu-*' --stat exit_other
[ "$status" -eq 0 ] && grep -qE '"value": ?18446744073709551615\}' "$dir/out" &&
    [ "$(jq -c '[.sources[].stats[].name]' "$dir/out")" = '["exit_other","exit_other"]' ] &&
    [ "$(jq -c 'del(.sources, .time, .time_ns, .begin_ns, .end_ns)' "$dir/out")" = \
        "$(jq -c 'del(.sources, .time, .time_ns, .begin_ns, .end_ns)' "$dir/whole")" ] &&
    [ "$(jq -c '.sources[0]' "$dir/out")" = "$(jq -c '.sources[] | select(.id == "vm/vcpu-0") |
        .stats |= map(select(.name == "exit_other"))' "$dir/whole")" ]
check $? "show --json with globs has the shape of the whole, and only what matches" "$(shown)"
run vmtally show fixed --json --shards --source vm/vcpu-1 --stat run_time
[ "$(jq -c '[.sources[].shards[] | [.held, .shared, .values]]' "$dir/out")" = '[[true,false,[10]]]' ]
check $? "show --json --shards with globs" "$(shown)"
run vmtally show fixed --json --source vm --stat exits
[ "$(jq -c '.sources[0].stats' "$dir/out")" = '[]' ] &&
    grep -qE '"value": ?9007199254741098\}' "$dir/out"
check $? "show --json with globs keeps totals" "$(shown)"

# ---- export ----

run vmtally export --format json
[ "$status" -eq 0 ] && [ "$(wc -l <"$dir/out")" = 1 ] &&
    [ "$(jq -c 'del(.time, .time_ns, .begin_ns, .end_ns)' "$dir/out")" = \
        "$(jq -c 'del(.time, .time_ns, .begin_ns, .end_ns)' "$dir/whole")" ]
check $? "export --format json is show --json" "$(shown)"

cat >"$dir/unpack.py" <<'END'
import msgpack, sys
frames = list(msgpack.Unpacker(open(sys.argv[1], "rb"), timestamp=2, strict_map_key=False))
def values(o):
    if isinstance(o, (list, tuple)):
        for x in o: yield from values(x)
    elif isinstance(o, dict):
        for x in o.values(): yield from values(x)
    else:
        yield o
print(len(frames) > 0, 2**64 - 1 in values(frames), 2**53 + 1 in values(frames), "fixed" in values(frames))
if len(sys.argv) > 2:
    exits = {s["id"]: t["value"] for s in frames[0]["sources"] for t in s["stats"] if t["name"] == "exits"}
    print(len(frames), exits["vm/vcpu-0"], exits["vm/vcpu-1"])
END
unpack() { "$python" "$dir/unpack.py" "$@" 2>&1; }
run vmtally export --format msgpack fixed
[ "$status" -eq 0 ] && [ "$(unpack "$dir/out")" = "True True True True" ]
check $? "export --format msgpack decodes" "$(unpack "$dir/out")"
run vmtally export --format msgpack --full fixed
[ "$status" -eq 0 ] && [ "$(unpack "$dir/out" full)" = "True True True True
1 9007199254740993 5" ]
check $? "export --format msgpack --full decodes to maps" "$(unpack "$dir/out" full)"

run vmtally export --format msgpack -o "$dir/file" fixed
[ "$status" -eq 0 ] && [ ! -s "$dir/out" ] && [ "$(unpack "$dir/file")" = "True True True True" ]
check $? "export -o" "$(shown)"
chmod 604 "$dir/file"
run vmtally export --format json -o "$dir/file" fixed
[ "$status" -eq 0 ] && [ "$(stat -c %a "$dir/file")" = 604 ] && [ "$(jq -r .name "$dir/file")" = fixed ]
check $? "export -o replaces a file and keeps its mode" "$(ls -l "$dir/file")"
ln -s file "$dir/link"
: >"$dir/file"
run vmtally export --format json -o "$dir/link" fixed
[ "$status" -eq 0 ] && [ -L "$dir/link" ] && [ "$(jq -r .name "$dir/file")" = fixed ]
check $? "export -o writes through a symbolic link" "$(ls -l "$dir/link" "$dir/file")"
run vmtally export --format json -o - fixed
[ "$status" -eq 0 ] && [ "$(jq -r .name "$dir/out")" = fixed ]
check $? "export -o - is standard output" "$(shown)"
run vmtally export --format json -o "$dir" fixed
says "export -o to a directory" 1 "^vmtally: $dir: not written: "
run vmtally export --format json -o "$dir/nowhere/file" fixed
says "export -o into a directory that is not there" 1 "nowhere/file: not written: no such file or directory"
run vmtally export --format json -o /dev/full fixed
says "export -o to a full device" 1 "^vmtally: /dev/full: not written: no space left"
[ -c /dev/full ]
check $? "a device stays one" "$(ls -l /dev/full)"

mkdir "$dir/small"
echo before >"$dir/small/file"
got=$( (ulimit -f 0 && vmtally export --format json -o "$dir/small/file" fixed 2>&1; echo "status $?") | cat)
[ "$got" = "vmtally: $dir/small/file: not written: too large; raise the limit (ulimit -f), or write elsewhere
status 1" ] && [ "$(cat "$dir/small/file")" = before ] && [ "$(ls -A "$dir/small")" = file ]
check $? "export -o past the limit of a file's size leaves the old file, and nothing else" "$got"
got=$(unshare -m sh -c 'mount -n -t tmpfs -o size=8k tmpfs "$1" || exit 77
    vmtally export --format json -o "$1/file" fixed
    echo "status $?, left: $(ls -A "$1")"' sh "$dir/small" 2>&1)
if [ $? -eq 0 ]; then
    [ "$got" = "vmtally: $dir/small/file: not written: no space left on the file system; free some, or write elsewhere
status 1, left: " ]
    check $? "export -o on a full file system leaves nothing" "$got"
else
    echo "ok - export -o on a full file system leaves nothing # SKIP needs to mount one"
fi

for command in "list" "list --json" "show fixed" "show --json" "export --format msgpack" "gc" "--help" "--version" \
    "help show" "check $segments/fixed.vmt"; do
    vmtally $command >/dev/full 2>"$dir/err"
    [ $? -eq 1 ] && [ "$(cat "$dir/err")" = \
        "vmtally: standard output: no space left on the file system; free some, or write elsewhere" ]
    check $? "${command% "$segments"*}: a full device is said once, and fails" "$(cat "$dir/err")"
done
cat >"$dir/pipe.py" <<'END'
import os, subprocess, sys
for restore in True, False: # SIGPIPE as it is, and ignored
    r, w = os.pipe()
    os.close(r)
    done = subprocess.run(sys.argv[1:], stdout=w, stderr=subprocess.PIPE, restore_signals=restore)
    os.close(w)
    print(done.returncode, repr(done.stderr.decode()), end=" ")
END
for command in "list" "show fixed" "export --format json" "--help"; do
    got=$("$python" "$dir/pipe.py" vmtally $command 2>&1)
    [ "$got" = "-13 '' 1 '' " ]
    check $? "$command: ends quietly when nobody reads" "$got"
done
got=$(in_terminal vmtally export --format msgpack fixed)
[ "$got" = "2 vmtally export: msgpack is not for a terminal; use --output FILE or a pipe" ]
check $? "msgpack does not go to a terminal" "$got"

# ---- a VM with threads that count ----

start busy minivmm --simulate --vcpus 2 --seconds 0 --name busy
busy_pid=$started
largest='[.sources[].totals[].stats[] | select(.name == "exits").value] | max'
before=0
for _ in $(seq 100); do # it has just begun
    sleep 0.1
    before=$(vmtally show busy --json | jq "$largest // 0")
    [ "$before" -gt 0 ] && break
done
sleep 0.3
after=$(vmtally show busy --json | jq "$largest // 0")
[ "$before" -gt 0 ] && [ "$after" -gt "$before" ]
check $? "the totals of minivmm grow" "$before $after"
run vmtally show busy --stat exits
[ "$status" -eq 0 ] && grep -q '^busy: live, pid ' "$dir/out" && grep -Eq '^  exits +[0-9]' "$dir/out"
check $? "show of minivmm" "$(shown)"
run vmtally show --stat exits
[ "$status" -eq 0 ] && [ "$(grep ': live' "$dir/out" | cut -d : -f 1 | tr '\n' ' ')" = "busy fixed " ]
check $? "show without a VM shows all" "$(shown)"
run vmtally export --format json
[ "$status" -eq 0 ] && [ "$(jq -r .name "$dir/out" | tr '\n' ' ')" = "busy fixed " ]
check $? "export without a VM exports all, an object a line" "$(cut -c 1-80 "$dir/out")"
run vmtally show --stat exits busy
[ "$status" -eq 0 ] && [ "$(grep -c ': live' "$dir/out")" = 1 ]
check $? "show of one VM among two" "$(shown)"

# ---- check ----

run vmtally check "$segments/fixed.vmt"
expect "check: live is sound" 0 <<'END'
DIR/fixed.vmt: live
END
keep_in=$fixed_in
start_fixed kept keep
exec {fixed_in}>&-
wait "$started"
run vmtally check "$segments/kept.vmt"
expect "check: closed is sound" 0 <<'END'
DIR/kept.vmt: closed
END
start_fixed stalled stalled
sleep 0.1
run vmtally check "$segments/stalled.vmt"
expect "check: stalled is not sound" 1 <<'END'
DIR/stalled.vmt: stalled
END
exec {fixed_in}>&-
wait "$started"
fixed_in=$keep_in
start victim minivmm --simulate --vcpus 1 --seconds 0 --plug 0 --name victim
sleep 1 # it changes nothing any more but its counters
kill -9 "$started"
wait "$started" 2>/dev/null
run vmtally check "$segments/victim.vmt"
expect "check: killed is died, and sound" 0 <<'END'
DIR/victim.vmt: died
END

cp "$segments/fixed.vmt" "$dir/dead.vmt"
run vmtally check "$dir/dead.vmt"
expect "check: a copy that nobody writes is died, and sound" 0 <<'END'
TMP/dead.vmt: died
END
damaged() { # name offset bytes: a copy with other bytes
    cp "$dir/dead.vmt" "$dir/$1.vmt"
    poke "$dir/$1.vmt" "$2" "$3"
}
damaged odd 256 '\001' # the structure generation
run vmtally check "$dir/odd.vmt"
[ "$status" -eq 1 ] && grep -qE "^$dir/odd.vmt: died mid-change" "$dir/out"
check $? "check: died in the middle of a change is not sound" "$(shown)"
damaged version 12 '\143' # the major version
run vmtally check "$dir/version.vmt"
expect "check: another version" 1 <<'END'
TMP/version.vmt: other version: another major version of the format
END
damaged damaged 280 '\377\377\377\377' # the first schema lies outside of the file
run vmtally check "$dir/damaged.vmt"
[ "$status" -eq 1 ] && grep -qE "^$dir/damaged.vmt: damaged: .+" "$dir/out"
check $? "check: damaged, and why" "$(shown)"
head -c 5000 "$dir/dead.vmt" >"$dir/short.vmt"
run vmtally check "$dir/short.vmt"
[ "$status" -eq 1 ] && grep -qE "short.vmt: .*damaged" "$dir/out" "$dir/err"
check $? "check: cut short" "$(shown)"
: >"$dir/empty.vmt"
run vmtally check "$dir/empty.vmt"
says "check: empty" 1 "empty.vmt: empty, or not yet published"
yes 'no segment at all' | head -c 5000 >"$dir/text.vmt"
run vmtally check "$dir/text.vmt"
says "check: no segment" 1 "text.vmt: not a vmtally segment$"
head -c 100000 /dev/zero >"$dir/zeros.vmt"
run vmtally check "$dir/zeros.vmt"
says "check: zeros" 1 "zeros.vmt: "
mkfifo "$dir/fifo.vmt"
run timeout 10 vmtally check "$dir/fifo.vmt"
says "check: a FIFO, without waiting" 1 "fifo.vmt: not a regular file"
ln -s dead.vmt "$dir/symbolic.vmt"
run vmtally check "$dir/symbolic.vmt"
says "check: a symbolic link" 1 "symbolic.vmt: a symbolic link; name the segment file itself"
mkdir "$dir/directory.vmt"
run vmtally check "$dir/directory.vmt"
says "check: a directory" 1 "directory.vmt: a directory"
run vmtally check /dev/null
says "check: a device" 1 "/dev/null: not a regular file"
run vmtally check "$dir/none.vmt"
says "check: no file" 1 "none.vmt: no such file or directory"
run vmtally check "$segments/fixed.vmt" "$dir/text.vmt"
expect "check: one of two is not sound" 1 <<'END'
DIR/fixed.vmt: live
--- stderr
vmtally: TMP/text.vmt: not a vmtally segment
END

# ---- what may lie about ----

damaged damaged 108 '\000\000\000\000' # no room for sources
for name in damaged version empty text; do
    cp "$dir/$name.vmt" "$segments/$name.vmt"
done
cp "$dir/text.vmt" "$segments/$(printf 'bad\033[31m\nname\377').vmt"
chmod 644 "$segments"/*.vmt
mkfifo "$segments/fifo.vmt"
mkdir "$segments/directory.vmt"
ln -s fixed.vmt "$segments/symbolic.vmt"
run timeout 30 vmtally list
[ "$status" -eq 0 ] && grep -q '^fixed .* live ' "$dir/out" && grep -q '^busy .* live ' "$dir/out" &&
    grep -q '^text  .*  -  not a vmtally segment  ' "$dir/out" &&
    grep -q '^damaged  .*  -  damaged  ' "$dir/out" && grep -q '^empty  .*  -  empty, or not yet published  ' "$dir/out"
check $? "list shows what can't be read with the reason, and the rest" "$(shown)"
cat "$dir/out" "$dir/err" >"$dir/both"
! LC_ALL=C grep -q "$(printf '\033')" "$dir/both" && iconv -f UTF-8 -t UTF-8 "$dir/both" >/dev/null 2>&1 &&
    ! grep -q '^name' "$dir/both"
check $? "names of files don't reach the terminal as they are" "$(cat -v "$dir/both")"
run timeout 30 vmtally list --json
[ "$status" -eq 0 ] && [ "$(jq -c '.[] | select(.name == "text") | [.pid, .sources, .foreign, .age_ns, .state]' "$dir/out")" = \
    '[null,null,null,null,"not a vmtally segment"]' ]
check $? "list --json of what can't be read" "$(shown)"
run timeout 30 vmtally show --stat exits
[ "$status" -eq 1 ] && grep -q '^fixed: live' "$dir/out" && grep -q 'text.vmt: not a vmtally segment' "$dir/err"
check $? "show of all goes on where one can't be read, and fails in the end" "$(shown)"
run timeout 30 vmtally export --format json
[ "$status" -eq 1 ] && jq -r .name "$dir/out" | grep -q '^fixed$' && grep -q 'text.vmt: not a vmtally seg' "$dir/err"
check $? "export of all does, too" "$(shown)"
run vmtally export --format json -o "$dir/all" text
[ "$status" -eq 1 ] && [ ! -e "$dir/all" ] && grep -q 'text.vmt: not a vmtally segment' "$dir/err"
check $? "export of what can't be read writes no file" "$(shown)"
cp "$dir/dead.vmt" "$segments/jail-7.vmt"
run vmtally show "$segments/jail-7.vmt" --source vm --stat vcpus
[ "$status" -eq 0 ] && grep -q '^fixed: died' "$dir/out"
check $? "show of a file of another name than its VM's" "$(shown)"
mv "$segments/jail-7.vmt" "$dir/alone-7.vmt"
mkdir "$dir/alone"
mv "$dir/alone-7.vmt" "$dir/alone/jail-7.vmt"
run vmtally --dir "$dir/alone" show fixed --source vm --stat vcpus
[ "$status" -eq 0 ] && grep -q '^fixed: died' "$dir/out"
check $? "a VM is found by its name, whatever its file is called" "$(shown)"

# ---- permission ----

chmod 600 "$segments/fixed.vmt" "$segments/busy.vmt"
if [ "$(id -u)" -eq 0 ] && as_nobody test -x "$program" 2>/dev/null && as_nobody test -r "$library"; then
    run as_nobody vmtally show fixed
    says "show without permission" 1 \
        "^vmtally: $segments/fixed.vmt: permission denied; run as root, or join the group that owns the file$"
    run as_nobody vmtally list
    [ "$status" -eq 0 ] && grep -q '^fixed .* -  permission denied  ' "$dir/out" &&
        grep -q '^kept .* closed ' "$dir/out" && [ "$(grep -c 'run as root' "$dir/err")" = 1 ] &&
        grep -q "busy.vmt and 1 more: permission denied; run as root" "$dir/err"
    check $? "list without permission shows the file, and says it once" "$(shown)"
    run as_nobody vmtally gc
    [ "$status" -eq 1 ] && [ -e "$segments/kept.vmt" ] && grep -q 'kept.vmt: not removed: ' "$dir/err"
    check $? "gc without permission fails and names the file" "$(shown)"
    chmod 700 "$segments"
    run as_nobody vmtally list
    says "list of a directory without permission" 1 "$segments: permission denied"
    chmod 755 "$segments"
else
    echo "ok - without permission # SKIP needs root, and a build directory that nobody may read"
fi
chmod 640 "$segments/fixed.vmt" "$segments/busy.vmt"

# ---- gc ----

rm -r "${segments:?}"/{text,fifo,directory,symbolic,bad*}.vmt
run vmtally gc --dry-run
sed -i -E 's/\([0-9.]+ [KM]iB\)/(SIZE)/; s/, [0-9.]+ [KM]iB/, SIZE/' "$dir/out"
expect "gc --dry-run says what would be removed, and what is left alone" 0 <<'END'
would remove DIR/kept.vmt (SIZE)
would remove DIR/victim.vmt (SIZE)
2 segments to remove, SIZE to free, 2 in use, 3 left alone
--- stderr
vmtally: DIR/damaged.vmt: left alone: damaged; 'vmtally check' says where
vmtally: DIR/empty.vmt: left alone: empty, or not yet published; try again in a moment
vmtally: DIR/version.vmt: left alone: of another version or byte order; use the vmtally that its VMM was built with
END
[ -e "$segments/kept.vmt" ] && [ -e "$segments/victim.vmt" ]
check $? "gc --dry-run removes nothing" "$(ls "$segments")"
temporary=$segments/.starting.0123456789abcdef.tmp
: >"$temporary"
run vmtally gc
sed -i -E 's/\([0-9.]+ [KM]iB\)/(SIZE)/; s/, [0-9.]+ [KM]iB/, SIZE/' "$dir/out"
expect "gc removes what is closed or died, and leaves what may become a segment" 0 <<'END'
removed DIR/kept.vmt (SIZE)
removed DIR/victim.vmt (SIZE)
2 segments removed, SIZE freed, 2 in use, 3 left alone
--- stderr
vmtally: DIR/damaged.vmt: left alone: damaged; 'vmtally check' says where
vmtally: DIR/empty.vmt: left alone: empty, or not yet published; try again in a moment
vmtally: DIR/version.vmt: left alone: of another version or byte order; use the vmtally that its VMM was built with
END
[ "$(cd "$segments" && echo *)" = "busy.vmt damaged.vmt empty.vmt fixed.vmt version.vmt" ]
check $? "gc leaves those of running VMs alone" "$(ls "$segments")"
[ -e "$temporary" ]
check $? "and the file of one that is starting" "$(ls -A "$segments")"
rm -f "$temporary"
run vmtally show busy --stat exits
[ "$status" -eq 0 ] && grep -q '^busy: live' "$dir/out"
check $? "and they go on" "$(shown)"

kill "$busy_pid"
wait "$busy_pid" 2>/dev/null
[ ! -e "$segments/busy.vmt" ]
check $? "a VM that ends takes its segment with it" "$(ls "$segments")"
exit $bad
