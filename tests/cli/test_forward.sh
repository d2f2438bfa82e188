#!/bin/bash
# SPDX-License-Identifier: MIT
# vmtally forward up to a collector that takes everything (forward_sink.py): what it is asked for, what it sends of VMs whose
# counters are known, and that nobody it speaks to can hold it up.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh"

wait_for() { # command...: until it succeeds, for a minute
    for _ in $(seq 600); do
        "$@" && return
        sleep 0.1
    done
    return 1
}

sinks=0
start_sink() { # [argument...]: a collector; $to is its endpoint, $got its lines, $entries their bytes
    sinks=$((sinks + 1))
    got=$dir/got.$sinks entries=$dir/entries.$sinks
    : >"$got"
    mkfifo "$dir/port.$sinks"
    "$python" "$here/forward_sink.py" "$@" "$got" "$entries" >"$dir/port.$sinks" 2>"$dir/sink.$sinks" {fixed_in}>&- &
    sink=$!
    pids="$pids $sink"
    read -r _ port <"$dir/port.$sinks" || {
        echo "Bail out! there is no collector: $(cat "$dir/sink.$sinks")"
        exit 1
    }
    to=127.0.0.1:$port
}

end() { # pid...: of our own
    kill "$@" 2>/dev/null
    for p in "$@"; do
        wait "$p" 2>/dev/null
        pids=${pids/ $p/}
    done
}

forward() { # argument...: as run, to a new collector
    start_sink
    run timeout 60 vmtally forward --to "$to" "$@"
    end "$sink"
}

got() { # jq-filter: of the array of all lines but those about the forwarder itself
    jq -cSs "map(select(.tag != \"vmtally.forward\")) | $1" "$got" 2>&1
}

is() { # name status jq-filter expected: of what arrived
    local value

    value=$(got "$3")
    [ "$status" -eq "$2" ] && [ "$value" = "$4" ]
    check $? "$1" "expected exit status $2 and $4, not $value
$(shown)
$(head -c 2000 "$got")"
}

same() { # name [flag...]: the entries are what the document of the last run's VM says
    local name=$1 answer

    shift
    vmtally export --format json fixed >"$dir/document"
    answer=$("$python" "$here/../unit/decode_records.py" --any-time "$@" "$entries" "$dir/document" 2>&1)
    [ "$status" -eq 0 ] && [ "${answer#same: }" != "$answer" ]
    check $? "$name" "$answer
$(shown)"
}

# ---- usage ----

usage() { # name regular-expression argument...
    local name=$1 expected=$2

    shift 2
    run vmtally forward "$@"
    says "$name" 2 "$expected"
}

usage "without --to" "where to\? --to HOST:PORT"
usage "--to: another protocol" "--to http://c:1: HOST:PORT, tls://HOST:PORT or unix:PATH" --to http://c:1
usage "--to: no such port" "--to c:99999: a port is a number, 1 to 65535" --to c:99999
usage "--to: too many" "at most 16 endpoints" $(printf -- '--to c:%d ' $(seq 17))
usage "TLS for some only" "some of --to have tls://" --to tls://a --to b
usage "TLS on a Unix socket" "no TLS on unix: sockets" --tls --to unix:/x
usage "options of TLS without it" "need --tls, or --to tls://" --to c --tls-name d
usage "a certificate without its key" "--tls-cert and --tls-key go together" --to tls://c --tls-cert /dev/null
usage "--tls-insecure with --tls-name" "takes any certificate" --to tls://c --tls-insecure --tls-name d
usage "a user without a password" "--user and --password-file go together" --to c --user u
usage "a user without a key" "--user needs --shared-key-file" --to c --user u --password-file /dev/null
usage "--interval: none" "--interval needs a number of seconds, 0.1 to 3600, not '0'" --to c -i 0
usage "--interval: not a number" "--interval needs a number of seconds, .* not 'nan'" --to c -i nan
usage "--count: none" "--count needs a whole number from 1 on, not '0'" --to c -n 0
usage "--mode: no such" "--mode is totals or deltas, not 'total'" --to c --mode total
usage "--u64: no such" "--u64 is auto or string, not 'int'" --to c --u64=int
usage "--tag: no such placeholder" "--tag: there is no \{targte\}; did you mean target\?" --to c --tag '{targte}'
usage "--queue: too small" "--queue 1M: two chunks must find room, at least 4M" --to c --queue 1M
usage "--queue: no size" "--queue needs a size such as 64M, not '5X'" --to c --queue 5X
usage "--queue: more than there is" "--queue needs a size such as 64M, not '99999999999G'" --to c --queue 99999999999G
usage "--timeout: none" "--timeout needs a number of seconds, 0.1 to 3600, not '-1'" --to c --timeout=-1
usage "--hostname: empty" "--hostname is empty" --to c --hostname ''
unreadable() { # option file reason argument...: as that is said of all files
    run timeout 60 vmtally forward --to tls://c "${@:4}" "--$1" "$2"
    says "--$1 $2: $3" 1 "^vmtally: $2: $3$"
}
for option in tls-ca shared-key-file; do
    unreadable $option "$dir/none" "no such file or directory"
    unreadable $option "$dir" "a directory; name a file in it"
done
unreadable password-file "$dir/none" "no such file or directory" --user u --shared-key-file /etc/hostname
unreadable tls-key "$dir/none" "no such file or directory" --tls-cert /etc/hostname
unreadable tls-cert "$dir/none" "no such file or directory" --tls-key /etc/hostname
: >"$dir/empty"
run timeout 60 vmtally forward --to 127.0.0.1:1 --shared-key-file "$dir/empty"
says "--shared-key-file: nothing in it" 1 "^vmtally: $dir/empty: its first line is empty"

# ---- a VM whose counters are known ----

start_fixed fixed
forward -n 3 -i 0.2
is "as many samples as were asked for, numbered" 0 '[.[].record.seq] | unique' '[1,2,3]'
is "each source is a record of each, and what is gone one more" 0 \
    'map(select(.record.seq == 2).record | [.kind, .id, .flags // []]) | sort' \
    '[["segment","",[]],["vcpu","",["departed"]],["vcpu","vm/vcpu-0",[]],["vcpu","vm/vcpu-1",[]],["vm","vm",[]]]'
is "a chunk for each kind, with an id to acknowledge it" 0 \
    '[group_by(.options.chunk)[] | {tag: [.[].tag] | unique, kinds: [.[].record.kind] | unique, seqs: [.[].record.seq] | unique, size: (.[0].options.size == length)}] | unique_by(.tag) | map([.tag, .kinds, .size])' \
    '[[["vmtally.segment"],["segment"],true],[["vmtally.vcpu"],["vcpu"],true],[["vmtally.vm"],["vm"],true]]'
is "times are whole" 0 'all(.[]; .time[0] > 1600000000 and .time[1] >= 0 and .time[1] < 1000000000)' true
is "one sender" 0 '[.[].record | [.host, .sender]] | unique | length' 1
first=$(got '.[0].record.sender')
forward -n 1
same "values are those of the VM"
[ -n "$first" ] && [ "$(got '.[0].record.sender')" != "$first" ]
check $? "another run is another sender" "$first"
forward -n 1 --u64=string
same "as strings too" --strings
is "but schema" 0 '[.[].record.schema] | unique' '[1]'
forward -n 1 --gzip
same "compressed too"
is "and that is said" 0 '[.[].options.compressed] | unique' '["gzip"]'
start_sink --no-ack
run timeout 60 vmtally forward --to "$to" -n 2 -i 0.1 --no-ack
end "$sink"
is "without acknowledgements nobody waits for one" 0 '[([.[].options.chunk] | unique), ([.[].record.seq] | unique)]' '[[null],[1,2]]'
start_sink --unix "$dir/socket"
run timeout 60 vmtally forward --to "unix:$dir/socket" -n 1
end "$sink"
same "over a Unix socket"
forward -n 1 --hostname somewhere
is "--hostname" 0 '[.[].record.host] | unique' '["somewhere"]'

# ---- what is chosen, and its tag ----

forward -n 1 --source 'vm/vcpu-*' --stat exits
is "--source and --stat" 0 'map(.record | [.id, (.c | keys), .g, .h]) | sort' \
    '[["vm/vcpu-0",["exits"],null,null],["vm/vcpu-1",["exits"],null,null]]'
forward -n 1 --stat no-such-statistic
is "nothing chosen, nothing sent" 0 length 0
[ "$(grep -c "matches" "$dir/err")" -eq 1 ] && grep -q "^vmtally: no statistic matches 'no-such-statistic' yet; 'vmtally show'" "$dir/err"
check $? "which is said" "$(shown)"
forward -n 3 -i 0.1 --source 'nosuch*'
[ "$status" -eq 0 ] && [ "$(grep -c "no source matches 'nosuch[*]' yet" "$dir/err")" -eq 1 ]
check $? "of sources too, and once" "$(shown)"
forward -n 1 --source 'vm/vcpu-*' --stat exits
[ "$status" -eq 0 ] && ! grep -q matches "$dir/err"
check $? "where something is chosen nothing is said" "$(shown)"
forward -n 1 --tag 'a.{vm}.{label:zone}.{label:none}.{source}'
is "--tag" 0 '[.[].tag] | unique' '["a.fixed.a.none.segment","a.fixed.a.none.vm","a.fixed.a.none.vm.vcpu-0","a.fixed.a.none.vm.vcpu-1"]'
is "labels are in the record" 0 '[.[].record.labels] | unique' '[{"owner":"tests","zone":"a"}]'
cp "$segments/fixed.vmt" "$segments/copy.vmt"
forward -n 1
is "two files of one name are two VMs" 0 '[.[].record.vm] | unique' '["fixed","fixed~2"]'
forward -n 1 "$segments/fixed.vmt"
is "a VM by its file" 0 '[.[].record.vm] | unique' '["fixed"]'
rm "$segments/copy.vmt"
forward -n 1 fixed nobody
is "who is not there is said, the others are sent" 1 '[.[].record.vm] | unique' '["fixed"]'
grep -q "^vmtally: no VM 'nobody'; 'vmtally list' shows" "$dir/err"
check $? "by name" "$(shown)"
echo rubbish >"$segments/rubbish.vmt"
forward -n 1
is "a file that is no segment hinders no other" 0 '[.[].record.vm] | unique' '["fixed"]'
grep -q "^vmtally: $segments/rubbish.vmt: not a vmtally segment" "$dir/err"
check $? "but it is said" "$(shown)"
forward -n 1 fixed rubbish
is "one that was asked for neither" 1 '[.[].record.vm] | unique' '["fixed"]'
grep -q "^vmtally: $segments/rubbish.vmt: " "$dir/err"
check $? "and is said" "$(shown)"
rm "$segments/rubbish.vmt"

# ---- secrets ----

printf 'unmistakable-%s\n' shared-key >"$dir/key"
chmod 644 "$dir/key"
start_sink
vmtally forward --to "$to" --shared-key-file "$dir/key" -i 0.1 >"$dir/out" 2>"$dir/err" </dev/null {fixed_in}>&- &
forwarder=$!
pids="$pids $forwarder"
wait_for grep -q "$dir/key: everybody on this host can read it; chmod o-r" "$dir/err"
check $? "a key that everybody can read is said" "$(cat "$dir/err")"
cat >"$dir/memory.py" <<'END'
import sys
def holds(pid, text):
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, mode = line.split()[:2]
            if mode.startswith("rw") and mode.endswith("p"):
                start, end = (int(a, 16) for a in span.split("-"))
                mem.seek(start)
                try:
                    if text in mem.read(end - start):
                        return True
                except OSError:
                    pass
    return False
sender = int(sys.argv[1])
with open(f"/proc/{sender}/task/{sender}/children", encoding="ascii") as f:
    readers = [int(p) for p in f.read().split()]
text = b"unmistakable-" + b"shared-key"
try:
    print(holds(sender, text), [holds(reader, text) for reader in readers])
except PermissionError:
    print("denied")
END
memory=$("$python" "$dir/memory.py" "$forwarder")
if [ "$memory" = denied ]; then
    skip "the process that sees segments has no secret" "memory of other processes may not be read"
else
    [ "$memory" = "True [False]" ]
    check $? "the process that sees segments has no secret" "sender, readers: $memory"
fi
end "$forwarder" "$sink"

# ---- VMs that come and go ----

start_sink
vmtally forward --to "$to" -i 0.1 --hostname h >"$dir/out" 2>"$dir/err" </dev/null {fixed_in}>&- &
forwarder=$!
pids="$pids $forwarder"
sent() { # jq-filter: whether it holds
    [ "$(got "$1")" = true ]
}
wait_for sent 'any(.[]; .record.vm == "fixed")'
check $? "without -n it goes on and on" "$(cat "$dir/err")"
first_in=$fixed_in
fixed=$started
start_fixed late keep
late=$started
wait_for sent 'any(.[]; .record.vm == "late" and .record.state == null)'
check $? "a VM that comes later is sent too" "$(cat "$dir/err")"
exec {fixed_in}>&-
wait "$late"
pids=${pids/ $late/}
wait_for sent 'any(.[]; .record.vm == "late" and .record.state == "closed")'
check $? "the end of a VM is told" "$(got 'map(select(.record.vm == "late"))[-1]')"
last=$(got '[.[].record.seq] | max')
wait_for sent "any(.[]; .record.vm == \"fixed\" and .record.seq > $last + 5)"
[ "$(got '[.[].record | select(.vm == "late" and .state == "closed").seq] | unique | length')" = 1 ]
check $? "once" "$(got 'map(.record | select(.vm == "late") | [.seq, .state]) | unique')"
sent '[.[].record.seq] | unique | . == [range(.[0]; .[-1] + 1)] and .[0] == 1'
check $? "no sample is missing" "$(got '[.[].record.seq] | unique')"
kill -TERM "$forwarder"
wait "$forwarder"
status=$?
pids=${pids/ $forwarder/}
[ "$status" -eq 0 ] && [ ! -s "$dir/out" ]
check $? "SIGTERM ends it, done" "exit status $status: $(cat "$dir/err")"
end "$sink"
exec {first_in}>&-
wait "$fixed"
pids=${pids/ $fixed/}
rm -f "$segments"/*.vmt

# ---- deltas ----

minivmm --vcpus 2 --seconds 300 --name busy --simulate >"$dir/vmm.out" 2>&1 </dev/null &
busy=$!
pids="$pids $busy"
wait_for test -e "$segments/busy.vmt"
start_sink
vmtally forward --to "$to" -i 0.1 --mode deltas >"$dir/out" 2>"$dir/err" </dev/null &
forwarder=$!
pids="$pids $forwarder"
wait_for sent '[.[].record | select(.since_ns).seq] | unique | length > 5'
check $? "after the first sample there are deltas" "$(cat "$dir/err")"
kill -STOP "$busy"
last=$(got '[.[].record.seq] | max')
wait_for sent "any(.[]; .record.seq > $last + 3)"
vmtally export --format json busy >"$dir/document"
end "$forwarder" "$sink"
cat >"$dir/sum.py" <<'END'
"""Totals that are told, and all that is added to them, are what the VM has counted in the end."""
import json
import sys
with open(sys.argv[1], encoding="utf-8") as f:
    lines = [json.loads(line) for line in f]
with open(sys.argv[2], encoding="utf-8") as f:
    document = json.load(f)
records = [line["record"] for line in lines if line["tag"] != "vmtally.forward"]
sums, times, deltas = {}, {}, 0
for line in lines:
    record = line["record"]
    if line["tag"] == "vmtally.forward" or "departed" in record.get("flags", []):
        continue
    counted = dict(record.get("c", {}))
    for name, h in record.get("h", {}).items():
        counted[name + ".count"] = h["count"]
        assert sum(h["n"]) == h["count"], h
    key = record["id"]
    now = line["time"][0] * 10**9 + line["time"][1]
    assert ("since_ns" in record) != (record.get("reset", False)), record
    if "since_ns" not in record:
        assert key not in sums, "totals again"
        sums[key] = counted
    else:
        deltas += sum(counted.values())
        assert abs(record["since_ns"] - times[key]) < 10**6, (record["since_ns"], times[key])
        for name, value in counted.items():
            sums[key][name] += value
    times[key] = now
compared = 0
for source in document["sources"]:
    for stat in source["stats"]:
        if stat["type"] == "cumulative" and stat["name"] in sums[source["id"]]:
            assert sums[source["id"]][stat["name"]] == stat["value"], (source["id"], stat, sums[source["id"]])
            compared += stat["value"] > 0
assert deltas > 0 and compared > 3, (deltas, compared)
print("equal")
END
sum=$("$python" "$dir/sum.py" "$got" "$dir/document" 2>&1)
[ "$sum" = equal ]
check $? "deltas add up to the totals" "$sum"
kill -CONT "$busy"
end "$busy"
rm -f "$segments"/*.vmt

# ---- a VM with more than its share ----

mkfifo "$dir/wide.in" "$dir/wide.ready"
"$python" "$here/wide_vm.py" "$library" wide 10000 <"$dir/wide.in" >"$dir/wide.ready" 2>&1 &
wide=$!
pids="$pids $wide"
exec {wide_in}>"$dir/wide.in"
read -r got <"$dir/wide.ready"
if [ "$got" != ready ]; then
    check 1 "a VM of 10,000 vCPUs" "$got"
fi
start_fixed fixed
start_sink
run timeout 120 vmtally forward --to "$to" -n 2 -i 3 --queue 128M --hostname "$(printf '%01000d' 0)" {wide_in}>&- {fixed_in}>&-
end "$sink"
[ "$status" -eq 1 ] && [ "$(grep -c "^vmtally: $segments/wide.vmt: its records are more than 8 MiB a sample; those behind" "$dir/err")" -eq 1 ]
check $? "a VM with more records than its share is named once, and that all was not sent is the exit status" "$(shown)"
left_out=$(jq -s 'map(select(.tag == "vmtally.forward"))[-1].record.c | .records_left_out > 1000 and .records_not_handed < .records_left_out' "$got")
[ "$left_out" = true ]
check $? "what was left out is counted apart" "$(jq -c 'select(.tag == "vmtally.forward").record' "$got")"
[ "$(got 'map(select(.record.vm == "fixed").record.seq) | unique')" = '[1,2]' ]
check $? "the others are sent" "$(got 'map(.record.vm) | unique')"
exec {wide_in}>&- {fixed_in}>&-
wait "$wide" "$started"
pids=${pids/ $wide/}
pids=${pids/ $started/}
rm -f "$segments"/*.vmt

# ---- nobody holds it up ----

many=${VMT_BUILD:-}/tests/bench/many_vms
if [ ! -x "$many" ]; then
    skip "a sender that is stopped does not stop the sampling" "many_vms is not in \$VMT_BUILD"
else
    mkfifo "$dir/many"
    "$many" 100 8 >"$dir/many" 2>&1 </dev/null &
    maker=$!
    pids="$pids $maker"
    read -r _ <"$dir/many"
    start_sink --discard
    vmtally forward --to "$to" -i 0.1 >"$dir/out" 2>"$dir/err" </dev/null &
    forwarder=$!
    pids="$pids $forwarder"
    reader=
    has_reader() {
        reader=$(cut -d' ' -f1 "/proc/$forwarder/task/$forwarder/children") && [ -n "$reader" ]
    }
    wait_for has_reader
    ran_ms() {
        local ns _

        read -r ns _ <"/proc/$reader/schedstat"
        echo $((ns / 1000000))
    }
    kill -STOP "$forwarder"
    before=$(ran_ms)
    ran() { # ms
        [ "$(ran_ms)" -ge $((before + $1)) ]
    }
    wait_for ran 150 # a sample takes about two of them
    check $? "a sender that is stopped does not stop the sampling" "$before ms, then $(ran_ms) ms"
    kill -CONT "$forwarder"
    not_handed() { # it says so whenever it is asked
        kill -USR1 "$forwarder"
        grep -qE '[1-9][0-9]* records? not taken over' "$dir/err"
    }
    wait_for not_handed
    check $? "what it could not take is counted, and said" "$(cat "$dir/err")"
    end "$forwarder" "$maker" "$sink"
fi
exit $bad
