#!/bin/bash
# SPDX-License-Identifier: MIT
# kvmtop from outside: in a terminal (tmux), as text, JSON and CSV, and what it says when it is called wrongly.
# $VMT_BUILD is the build directory; without it kvmtop and minivmm are looked for in PATH.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh"
set -o pipefail

[ -z "${VMT_BUILD:-}" ] || PATH=$VMT_BUILD/cli:$VMT_BUILD/lib/examples:$PATH
export VMTALLY_DIR LC_ALL=C.UTF-8 TERM=xterm-256color
unset NO_COLOR TMUX
VMTALLY_DIR=$(mktemp -d /dev/shm/vmtally-test.XXXXXX) || exit 1
pids=
sessions=
trap 'for s in $sessions; do tm $s kill-server; done; kill $pids 2>/dev/null; wait; rm -rf "$dir" "$VMTALLY_DIR"' EXIT

run() { # command...: its output in $dir/out and $dir/err, its exit status in $status
    "$@" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
}

matches() { # name status regular-expression: of the last run's standard error, standard output empty
    [ "$status" -eq "$2" ] && [ ! -s "$dir/out" ] && grep -qE -- "$3" "$dir/err"
    check $? "$1" "exit status $status, expected $2; stdout: $(head -c 500 "$dir/out"); stderr: $(cat "$dir/err")"
}

start() { # name options...: a VM, until its segment is there; its process is $vm
    local name=$1
    shift
    minivmm --simulate --name "$name" "$@" >/dev/null 2>"$dir/vm.err" &
    vm=$!
    pids="$pids $vm"
    for _ in $(seq 200); do
        [ -e "$VMTALLY_DIR/$name.vmt" ] && return
        sleep 0.05
    done
    echo "Bail out! $name did not start: $(cat "$dir/vm.err")"
    exit 1
}

# ---- a terminal ----

tm() { # session tmux-command...
    local socket=$dir/$1
    shift
    tmux -S "$socket" -f /dev/null "$@" 2>/dev/null
}

open_terminal() { # session columns rows: a shell
    sessions="$sessions $1"
    tm "$1" new-session -d -x "$2" -y "$3" -s t "env PS1='shell> ' bash --norc --noprofile -i"
    tm "$1" set-option -g status off
    tm "$1" resize-window -t t -x "$2" -y "$3"
    await "$1" '^shell>' || echo "# no shell in $1"
}

keys() { # session keys...
    local session=$1
    shift
    tm "$session" send-keys -t t "$@"
}

screen() { # session
    tm "$1" capture-pane -p -t t
}

await() { # session regular-expression [seconds]: until the screen has it
    for _ in $(seq $((${3:-10} * 20))); do
        screen "$1" | grep -qE -- "$2" && return
        sleep 0.05
    done
    return 1
}

sees() { # name session regular-expression [seconds]
    await "$2" "$3" "${4:-}"
    check $? "$1" "$(screen "$2")"
}

sees_not() { # name session regular-expression
    ! screen "$2" | grep -qE -- "$3"
    check $? "$1" "$(screen "$2")"
}

row() { # session regular-expression: the first line of the screen with it
    screen "$1" | grep -m1 -E -- "$2"
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

start alpha --vcpus 2 --plug 0
start beta --vcpus 1 --plug 0

run kvmtop -b -n 2 -d 0.3
[ "$status" -eq 0 ] && [ ! -s "$dir/err" ] &&
    [ "$(grep -c '^NAME  *PID STATE  *AGE VCPUS  EXITS/s TOP EXIT' "$dir/out")" = 2 ] &&
    [ "$(grep -cE '^- alpha +[0-9]+ live +[0-9]+s +2 +[0-9.]+( k| M)? [a-z_]+ [0-9]+% ' "$dir/out")" = 2 ] &&
    [ "$(grep -cE '^- beta +[0-9]+ live ' "$dir/out")" = 2 ] &&
    [ "$(grep -cE '[├└]─ +vcpu-[01] +[0-9]+s +[0-9.]+( k| M)? ' "$dir/out")" = 6 ] &&
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
for _ in $(seq 100); do [ -s "$dir/out" ] && break; sleep 0.05; done
[ -s "$dir/out" ] && kill -0 $flushed
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

# ---- in a terminal ----

open_terminal small 80 24
keys small 'kvmtop -d 0.2' Enter
sees "80x24: the VM, its state and rates" small '^- alpha +live +[0-9.]+( k| M)? [a-z_]+ [0-9]+% '
sees "80x24: a vCPU with rates" small '[├└]─ +vcpu-1 +[0-9.]+( k| M)? [a-z_]+ [0-9]+% '
sees "80x24: titles, the least important left out" small '^NAME +STATE +EXITS/s TOP EXIT +RUN% +IO B/s +IO/s +P99$'
sees "80x24: a device with bytes" small '[├└]─ +block[^ ]* .* [KM]iB '
sees "80x24: the keys" small '^q quit  h, . help'
[ "$(screen small | wc -L)" -le 80 ]
check $? "80x24: nothing is wider" "$(screen small)"
before=$(row small '^- alpha')
sleep 1
[ "$before" != "$(row small '^- alpha')" ]
check $? "the numbers live" "$before"

keys small h
sees "h shows the help" small '^ Space +Fold or unfold'
keys small q
sees "q leaves the help" small '^- alpha'
keys small Space
sleep 0.3
sees "Space folds" small '^\+ alpha'
keys small Down Enter
sees "Enter shows the statistics of what is selected" small '^beta$'
sees "with their meaning" small '^ dropped_sources +0 +0/s .*Sources that could'
keys small Escape
sees "Esc goes back" small '^\+ alpha'
keys small p
sees "p pauses" small 'PAUSED  every 0.2 s$'
before=$(screen small)
sleep 0.6
[ "$before" = "$(screen small)" ]
check $? "and then nothing changes" "$(diff <(echo "$before") <(screen small))"
keys small p
sees "p goes on" small '^kvmtop .* CPUs? +every 0.2 s$'
keys small ']'
sees "] makes the interval longer" small 'every 0.5 s$'

tm small resize-window -t t -x 120 -y 40
sees "a larger terminal shows more columns" small '^NAME +PID STATE +AGE VCPUS +EXITS/s TOP EXIT +RUN% .* P50 +P99$'
tm small resize-window -t t -x 30 -y 5
sees "a terminal too small is said" small '^Too small: 30x5;'
sees_not "and nothing else is there" small 'alpha'
tm small resize-window -t t -x 80 -y 24
sees "and it comes back" small '^\+ alpha'

keys small C-z
sees "Ctrl-Z gives the terminal to the shell" small 'Stopped +kvmtop'
keys small fg Enter
sees "fg brings it back" small '^\+ alpha'
keys small q
sees "q quits" small '^shell> *$'
keys small 'echo "status $?"; stty -a | grep -o " echo " | head -1 | tr " " .' Enter
sees "with status 0" small '^status 0'
sees "the terminal echoes again" small '^\.echo\.'
sees_not "and has what was there before" small 'EXITS/s'

# Each way to end gives the terminal back.
for signal in INT TERM HUP; do
    keys small "clear; kvmtop -d 0.2; echo \"status \$?\"; stty -a | grep -o ' icanon' | tr ' ' ." Enter
    await small '^- alpha' || echo "# kvmtop did not start"
    kill -$signal "$(pgrep -x kvmtop -P "$(tm small display-message -p -t t '#{pane_pid}')")"
    sees "SIG$signal ends it with status 0" small '^status 0'
    sees "and the terminal is as it was" small '^\.icanon'
done
keys small "clear; kvmtop -d 0.2; echo \"status \$?\"; stty -a | grep -o ' icanon' | tr ' ' ." Enter
await small '^- alpha' || echo "# kvmtop did not start"
kill -SEGV "$(pgrep -x kvmtop -P "$(tm small display-message -p -t t '#{pane_pid}')")"
sees "a crash is one" small '^status 139'
sees "and gives the terminal back too" small '^\.icanon'
keys small "clear; kvmtop -d 0.2 -n 2; echo \"status \$?\"" Enter
sees "-n ends the live view too" small '^status 0'
keys small 'clear; TERM=no-such-terminal kvmtop; echo "status $?"' Enter
sees "an unknown TERM is named" small "^kvmtop: .*'no-such-terminal'"
sees "and is a failure" small '^status 1'
keys small 'clear; TERM=dumb kvmtop; echo "status $?"' Enter
sees "so is one that can't place its cursor" small "^kvmtop: .*'dumb' can't place its cursor"

open_terminal large 120 40
keys large 'kvmtop -d 0.2' Enter
numbers='[0-9.]+( k| M)? [a-z_]+ [0-9]+% +[0-9.]+% .* [<>][0-9.]+ .s +[<>][0-9.]+ .s'
sees "120x40: all columns" large "^- alpha +[0-9]+ live +[0-9ms]+ +2 +$numbers\$"
start gamma --vcpus 1 --plug 0
sees "a VM that starts is shown" large '^- gamma +[0-9]+ live '
sees "and counted" large '^3 VMs: 3 live  4 vCPUs'
kill "$vm"
wait "$vm"
sees "one that ends is shown as closed" large '^. gamma +[0-9]+ closed '
sees "and counted as such" large '^3 VMs: 2 live, 1 closed '
await large '^2 VMs: 2 live' 20
check $? "and goes after a while" "$(screen large)"
start gamma --vcpus 1 --plug 0
await large '^- gamma +[0-9]+ live '
kill -KILL "$vm"
wait "$vm" 2>/dev/null
sees "one that is killed has died" large '^. gamma +[0-9]+ died'
keys large q
await large '^shell>'

keys large 'clear; NO_COLOR=1 kvmtop -d 0.2' Enter
await large '^- alpha'
! tm large capture-pane -p -e -t t | grep -qE "$(printf '\033')\[([0-9;]*;)?[34][0-8](;[0-9]+)*m"
check $? "NO_COLOR: no colour" "$(tm large capture-pane -p -e -t t | head -5 | cat -v)"
keys large q
await large '^shell>'
keys large 'clear; kvmtop -d 0.2' Enter
await large '^- alpha'
tm large capture-pane -p -e -t t | grep -qE "$(printf '\033')\[([0-9;]*;)?3[0-7]m"
check $? "and without it there is some" "$(tm large capture-pane -p -e -t t | head -5 | cat -v)"
keys large q

exit $bad
