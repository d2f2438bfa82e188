#!/bin/bash
# SPDX-License-Identifier: MIT
# kvmtop from outside: as text, JSON and CSV, what it says when it is called wrongly, that a terminal is as it was when
# it ends, however it ends, and that VMs come and go while it runs.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh"
. "$here/terminal.sh"

run() { # command...: its output in $dir/out and $dir/err, its exit status in $status
    "$@" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
}

matches() { # name status regular-expression: of the last run's standard error, standard output empty
    [ "$status" -eq "$2" ] && [ ! -s "$dir/out" ] && grep -qE -- "$3" "$dir/err"
    check $? "$1" "exit status $status, expected $2; stdout: $(head -c 500 "$dir/out"); stderr: $(cat "$dir/err")"
}

# ---- wrong usage ----

for wrong in '-d 0' '-d 0.09' '-d 3601' '-d -1' '-d nan' '-d x' '-d 1s' '-n 0' '-n -1' '-n 1.5' '-n x' \
    '--no-such-option' '--json --csv' '--dir='; do
    # shellcheck disable=SC2086
    run kvmtop $wrong
    matches "wrong usage: kvmtop $wrong" 2 '^kvmtop: |^Usage: '
done
run kvmtop -b -n 1 -d 0.1 no-such-vm
matches "a VM that is not there is named" 1 "^kvmtop: no VM 'no-such-vm' in $VMTALLY_DIR"
run kvmtop -b -n 1 -d 0.1 /nonexistent/f.vmt
matches "a path that is not there is said with its reason" 1 '^kvmtop: /nonexistent/f.vmt: no such file or directory$'
run kvmtop --version
[ "$status" -eq 0 ] && grep -qE '^kvmtop [0-9]' "$dir/out"
check $? "--version" "$(cat "$dir/out" "$dir/err")"
run kvmtop --help
missing=
for option in -d -n -b --json --csv --ascii --dir; do
    grep -q -- " $option" "$dir/out" || missing="$missing $option"
done
[ "$status" -eq 0 ] && [ -z "$missing" ]
check $? "--help has all options" "missing:$missing; $(cat "$dir/out" "$dir/err")"

# ---- without a terminal ----

run kvmtop -b -n 1 -d 0.1
[ "$status" -eq 0 ] && grep -q '^0 VMs' "$dir/out" && [ ! -s "$dir/err" ]
check $? "no VMs are a table without rows" "$(cat "$dir/out" "$dir/err")"

start alpha --simulate --vcpus 2 --plug 0
start beta --simulate --vcpus 1 --plug 0

run kvmtop -b -n 2 -d 0.3
[ "$status" -eq 0 ] && [ ! -s "$dir/err" ] &&
    [ "$(grep -c '^NAME  *PID STATE  *AGE VCPUS  EXITS/s TOP EXIT' "$dir/out")" = 2 ] &&
    [ "$(grep -cE '^- alpha +[0-9]+ live +[0-9]+s +2 +[0-9.]+( k| M)? +[a-z_]+ [0-9]+% ' "$dir/out")" = 2 ] &&
    [ "$(grep -cE '^- beta +[0-9]+ live ' "$dir/out")" = 2 ] &&
    [ "$(grep -cE '[├└]─ +vcpu-[01] +[0-9]+s +- +[0-9.]+( k| M)? ' "$dir/out")" = 6 ] &&
    [ "$(grep -c '^2 VMs: 2 live  3 vCPUs  ' "$dir/out")" = 2 ] && ! grep -q "$(printf '\033')" "$dir/out"
check $? "-b prints a table a sample, with VMs, vCPUs and rates, and no colour" "$(cat "$dir/out" "$dir/err")"

run kvmtop -n 1 -d 0.1 alpha
[ "$status" -eq 0 ] && grep -q '^- alpha' "$dir/out" && ! grep -q beta "$dir/out"
check $? "without a terminal it is as with -b, and a name chooses one VM" "$(cat "$dir/out" "$dir/err")"

LC_ALL=C run kvmtop -b -n 1 -d 0.1
[ "$status" -eq 0 ] && ! LC_ALL=C grep -q '[^ -~]' "$dir/out" && grep -q '|-.*vcpu' "$dir/out"
check $? "where the locale is not UTF-8, the tree is ASCII" "$(cat "$dir/out" "$dir/err")"

run kvmtop --json -n 3 -d 0.2
[ "$status" -eq 0 ] && [ "$(wc -l <"$dir/out")" = 3 ] && jq -se '
    length == 3 and all(.[]; .interval_s > 0.15 and .interval_s < 5 and (.vms | map(.name)) == ["alpha", "beta"]) and
    all(.[].vms[]; .state == "live" and .pid > 0 and (.identity | length) == 32) and
    ([.[].vms[0].sources[] | select(.schema == "vcpu") | .stats.exits |
        select(.type == "cumulative" and (has("unit") or has("base") | not) and .exponent == 0 and .rate > 0)] |
        length) == 6 and
    ([.[].vms[0].sources[0].totals[] | select(.schema == "vcpu") | .stats.exits.value] | . == sort and
        (unique | length) == 3) and
    all(.[].vms[].sources[] | select(.schema == "vcpu") | .stats.io_latency_hist;
        .type == "log2-histogram" and .base == 10 and .exponent == -9 and .unit == "seconds" and .size == 40 and
        (.value | length) == 40 and
        (.p50[0] < .p50[1]))' "$dir/out" >/dev/null
check $? "--json prints an object a sample, with totals, rates and units" "$(head -c 2000 "$dir/out"; cat "$dir/err")"

run kvmtop --csv -n 2 -d 0.2
[ "$status" -eq 0 ] && python3 - "$dir/out" <<'P'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1], newline="")))
assert list(rows[0])[:9] == ["time_ns", "interval_seconds", "vm", "source", "schema", "pid", "state", "age_seconds",
                             "vcpus"], list(rows[0])
vms = [r for r in rows if r["source"] == ""]
assert [r["vm"] for r in vms] == ["alpha", "beta"] * 2, vms
assert all(float(r["exits_per_second"]) > 0 and r["state"] == "live" for r in vms), vms
vcpus = [r for r in rows if r["schema"] == "vcpu"]
assert len(vcpus) == 6 and all(float(r["exits_per_second"]) > 0 for r in vcpus), vcpus
assert all(None not in r and None not in r.values() for r in rows)
P
check $? "--csv prints a header once and a line for each source, each sample" "$(head -20 "$dir/out"; cat "$dir/err")"

kvmtop --json -d 0.1 2>"$dir/err" | head -1 >"$dir/out"
statuses="${PIPESTATUS[*]}"
[ "$statuses" = "0 0" ] && [ ! -s "$dir/err" ] && [ "$(wc -l <"$dir/out")" = 1 ]
check $? "it ends quietly when nobody reads any more" "status $statuses $(cat "$dir/err")"

rm "$dir/out"
kvmtop --csv -d 0.1 >"$dir/out" 2>/dev/null &
flushed=$!
pids="$pids $flushed"
until_true '[ -s "$dir/out" ]' && kill -0 $flushed
check $? "each sample is flushed" "nothing arrived while it ran"
kill $flushed
wait $flushed 2>/dev/null

kvmtop -b -n 1 -d 0.1 >/dev/full 2>"$dir/err"
[ $? -eq 1 ] && grep -q '^kvmtop: standard output: no space' "$dir/err"
check $? "an output that can't be written is said" "$(cat "$dir/err")"

printf 'not a segment, and longer than nothing' >"$VMTALLY_DIR/broken.vmt"
run kvmtop -b -n 1 -d 0.1
[ "$status" -eq 0 ] && grep -qE '^  broken +not a segment ' "$dir/out" && grep -qE '^- alpha +[0-9]+ live' "$dir/out" &&
    grep -q '^3 VMs: 2 live, 1 unreadable ' "$dir/out"
check $? "one bad segment is a row and stops nothing" "$(cat "$dir/out" "$dir/err")"
for format in -b --json --csv; do
    run kvmtop $format -n 2 -d 0.1 alpha broken
    [ "$status" -eq 1 ] && grep -q alpha "$dir/out" && grep -q broken "$dir/out" &&
        [ "$(cat "$dir/err")" = "kvmtop: $VMTALLY_DIR/broken.vmt: not a vmtally segment" ]
    check $? "kvmtop $format: one that was asked for is said once, and is a failure" \
        "status $status; $(cat "$dir/out" "$dir/err")"
done
run kvmtop --json -n 1 -d 0.1
[ "$status" -eq 0 ] && [ "$(jq -c '.vms[] | select(.name == "broken") | .state' "$dir/out")" = \
    "$(vmtally list --json | jq -c '.[] | select(.name == "broken") | .state')" ]
check $? "its state is that of vmtally list --json" "$(cat "$dir/out" "$dir/err"; vmtally list --json)"
rm "$VMTALLY_DIR/broken.vmt"
run kvmtop -b -n 1 -d 0.1 "$VMTALLY_DIR/"
[ "$status" -eq 1 ] && grep -qF "  $VMTALLY_DIR/ " "$dir/out" &&
    grep -q "^kvmtop: $VMTALLY_DIR/: a directory" "$dir/err"
check $? "a directory is shown by its path" "$(cat "$dir/out" "$dir/err")"
run kvmtop -b -n 1 -d 0.1 --dir /nonexistent "$VMTALLY_DIR/alpha.vmt"
[ "$status" -eq 0 ] && grep -qE '^- alpha +[0-9]+ live' "$dir/out" && [ ! -s "$dir/err" ]
check $? "for a path no directory is searched" "$(cat "$dir/out" "$dir/err")"

# ---- each way to end gives the terminal back ----

# A shell as it is without kvmtop: its terminal's modes, no other screen, a cursor, no mouse.
terminal_is() {
    tm display-message -p -t t '#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{keypad_cursor_flag}'
    cat "$dir/stty" 2>&1
}

in_shell() { # command: start it, and when it is over say its status and the terminal's modes
    rm -f "$dir/stty"
    keys t "clear; $*; echo \"status \$?\"; stty -a | grep -v rows >$dir/stty" Enter
}

kvmtop_pid() { pgrep -x kvmtop -P "$(tm display-message -p -t t '#{pane_pid}')"; }

restored() { # name status
    await t "^status $2\$" && until_true '[ -s "$dir/stty" ] && [ "$(terminal_is)" = "$before" ]'
    check $? "$1" "$(screen t; diff <(echo "$before") <(terminal_is))"
}

open_terminal t 80 24
in_shell true
until_true '[ -s "$dir/stty" ]'
before=$(terminal_is)

in_shell kvmtop -d 0.2
sees "80x24: VMs, and what they do" t '^- alpha +live +[0-9.]+( k)? +[0-9.]+% +[0-9.]+ [KM]iB +[0-9.]+( k)? +[<>][0-9.]+ [uµm]s '
sees "80x24: a vCPU with rates" t '[├└]─ +vcpu-1 +[0-9.]+( k)? +[0-9.]+% '
sees "80x24: titles, the least important left out" t '^NAME▲ +STATE +EXITS/s +RUN% +IO B/s +IO/s +P99 '
sees "80x24: the keys" t '^q quit  \? help  Enter open  '
is_true "80x24: nothing is wider" t '[ "$(screen t | wc -L)" -le 80 ]'
now=$(row t '^- alpha')
comes "the numbers live" t '[ "$now" != "$(row t "^- alpha")" ]'
now=$(terminal_is)
[ "$now" != "$before" ]
check $? "while it runs the terminal is another" "$now"

resize t 120 40
sees "a larger terminal shows more columns" t '^NAME▲ +STATE +AGE VCPUS +EXITS/s TOP EXIT +RUN% +IO B/s +IO/s +(P50 +)?P99 TREND'
resize t 30 5
sees "a terminal too small is said" t '^Too small: 30x5;'
sees_not "and nothing else is there" t 'alpha'
resize t 80 24
sees "and it comes back" t '^- alpha .* live '

keys t C-z
sees "Ctrl-Z gives the terminal to the shell" t 'Stopped +kvmtop'
keys t "stty -a | grep -v rows >$dir/stty" Enter
comes "as it was" t '[ -s "$dir/stty" ] && [ "$(terminal_is)" = "$before" ]'
rm "$dir/stty"
keys t fg Enter
sees "fg brings it back" t '^- alpha .* live '
keys t q
await t '^shell> *$'
keys t "echo \"status \$?\"; stty -a | grep -v rows >$dir/stty" Enter
restored "q: status 0, and the terminal is as it was" 0
sees_not "nothing of it is left on the screen" t 'EXITS/s'

for signal in INT TERM HUP SEGV; do
    in_shell kvmtop -d 0.2
    await t '^- alpha .* live ' || echo "# kvmtop did not start"
    kill -$signal "$(kvmtop_pid)"
    [ $signal = SEGV ] && status=139 || status=0
    restored "SIG$signal: status $status, and the terminal is as it was" $status
done
in_shell kvmtop -d 0.2 -n 2
restored "-n ends the live view too" 0
in_shell TERM=no-such-terminal kvmtop
sees "an unknown TERM is named" t "^kvmtop: .*no-such-terminal"
restored "and is a failure" 1
in_shell TERM=dumb kvmtop
sees "so is one that can not place its cursor" t "^kvmtop: .*dumb. can.t place its cursor"
restored "which is a failure too" 1

# ---- VMs come and go ----

kvmtop --json -d 0.5 >"$dir/beats" 2>"$dir/err" &
beats=$!
pids="$pids $beats"
resize t 120 40
in_shell kvmtop -d 0.2
sees "120x40: why it exits, and more" t '^- alpha +live +[0-9ms]+ +2 +[0-9.]+( k)? +[a-z_]+ [0-9]+% +[0-9.]+% '
start gamma --simulate --vcpus 1 --plug 0
sees "a VM that starts is shown" t '^- gamma +live '
sees "and counted" t '^3 VMs: 3 live  4 vCPUs'
end TERM
sees "one that ends is shown as closed" t '^. gamma +closed '
sees "and counted as such" t '^3 VMs: 2 live, 1 closed '
patience=20
sees "and goes after a while" t '^2 VMs: 2 live '
patience=10
sees_not "with its row" t 'gamma'
start gamma --simulate --vcpus 1 --plug 0
await t '^- gamma +live '
end KILL
sees "one that is killed has died" t '^. gamma +died'
start delta --simulate --vcpus 1 --plug 0
await t '^- delta +live '
kill -STOP "$vm"
patience=30
sees "one that is stopped is stalled" t '^. delta +stalled '
sees "and counted as such" t ', 1 stalled'
patience=10
now=$(row t '^- alpha')
comes "which delays nothing" t '[ "$now" != "$(row t "^- alpha")" ]'
sees "the others live on" t '^- beta +live +[0-9ms]+ +1 +[0-9.]+( k)? +[a-z_]+ [0-9]+% '
kill -CONT "$vm"
sees "it lives again when it goes on" t '^. delta +live '
kill $beats
wait $beats
python3 - "$dir/beats" <<'P'
import json, sys

beats = [json.loads(line) for line in open(sys.argv[1]) if line.endswith("\n")]
assert len(beats) >= 20 and all(0.3 < b["interval_s"] < 2 for b in beats[1:]), [b["interval_s"] for b in beats]
first = {}
for before, beat in zip(beats, beats[1:]):
    for vm in beat["vms"]:
        if vm.get("created_ns") and first.setdefault(vm["identity"], beat) is beat and beat is not beats[1]:
            assert before["time_ns"] < vm["created_ns"] + 200e6, (vm["name"], before["time_ns"], vm["created_ns"])
names = [vm["name"] for b in first.values() if b is not beats[1] for vm in b["vms"] if first.get(vm.get("identity")) is b]
assert names[-2:] == ["gamma", "delta"], names
P
check $? "each is there at the next beat, and beats come in time meanwhile" "$(cat "$dir/err")"
keys t q
restored "it ends as ever" 0

exit $bad
