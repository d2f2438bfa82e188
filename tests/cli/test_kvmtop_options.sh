#!/bin/bash
# SPDX-License-Identifier: MIT
# kvmtop's options from outside: what each does, that wrong ones say what is right, and that help, manual and
# completions have all of them. $VMT_BUILD is the build directory.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh"
set -o pipefail

made=$VMT_BUILD/cli/top # manual and completions
PATH=$VMT_BUILD/cli:$VMT_BUILD/lib/examples:$PATH
export VMTALLY_DIR LC_ALL=C.UTF-8 XDG_CONFIG_HOME=$dir/config
unset NO_COLOR
VMTALLY_DIR=$(mktemp -d /dev/shm/vmtally-test.XXXXXX) || exit 1
pids=
trap 'kill $pids 2>/dev/null; wait; rm -rf "$dir" "$VMTALLY_DIR"' EXIT

run() { # command...: its output in $dir/out and $dir/err, its exit status in $status
    "$@" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
}

start() { # name options...: a VM, until its segment is there
    local name=$1
    shift
    minivmm --simulate --name "$name" "$@" >/dev/null 2>"$dir/vm.err" &
    pids="$pids $!"
    for _ in $(seq 200); do
        [ -e "$VMTALLY_DIR/$name.vmt" ] && return
        sleep 0.05
    done
    echo "Bail out! $name did not start: $(cat "$dir/vm.err")"
    exit 1
}

# ---- wrong usage ----

wrong() { # regular-expression arguments...
    local said=$1
    shift
    run kvmtop "$@"
    [ "$status" -eq 2 ] && [ ! -s "$dir/out" ] && grep -qE -- "^kvmtop: .*$said" "$dir/err"
    check $? "wrong usage says what is right: kvmtop $*" "exit status $status; $(cat "$dir/out" "$dir/err")"
}

wrong 'from 0\.1 to 3600.*0\.09|0\.09.*0\.1 to 3600' -d 0.09
wrong '0\.1 to 3600' --delay=x
wrong 'from 1 on' -n 0
wrong 'never, auto, always' --color=blue
wrong 'never, auto, always' --color=
wrong 'name, pid, state' --sort=nothing
wrong "did you mean 'exits'" --sort=exitz
wrong 'trend.* name, pid, state' --sort trend
wrong 'name, pid, state' --columns=nothing
wrong 'info, diagnostic, debug' --level=all
wrong '--filter: .' --filter='/(/'
wrong 'live view' --filter "$(printf 'a%.0s' $(seq 200))"
wrong '--schema needs --json' --schema
wrong '--schema needs --json' --csv --schema
wrong 'exclude each other' --json --csv
wrong '--columns is for' --json --columns=name
wrong 'unrecognized option' --no-such-option

# ---- lists that have to be whole ----

run kvmtop --help
[ "$status" -eq 0 ] && grep -oE -- '--[a-z-]+' "$dir/out" | sort -u >"$dir/options"
check $? "--help" "$(cat "$dir/out" "$dir/err")"
missing=
for option in delay iterations filter sort invert columns level batch json schema csv ascii color no-mouse dir \
    no-sandbox help usage version; do
    grep -qx -- "--$option" "$dir/options" || missing="$missing $option"
done
check_empty "$missing" "--help has all options"
cp "$dir/out" "$dir/help"

options_missing() { # file: options that it does not have; a name may end a longer one
    local option
    while read -r option; do
        grep -qE -- "(^|[^a-z-])$option([^a-z-]|\$)" "$1" || echo "$option"
    done <"$dir/options"
}

sed 's/\\//g' "$made/kvmtop.1.scd" >"$dir/manual" || exit 1
check_empty "$(options_missing "$dir/manual")" "the manual has each option"
for file in kvmtop _kvmtop; do
    check_empty "$(options_missing "$made/$file")" "$file has each option"
done
sed -E 's/ -l ([a-z-]+)/ --\1/' "$made/kvmtop.fish" >"$dir/fish"
check_empty "$(options_missing "$dir/fish")" "kvmtop.fish has each option"
check_empty "$(grep -E '@[A-Z_]+@' "$dir/manual")" "the manual has nothing left to fill in"
for section in OPTIONS COLUMNS KEYS SETTINGS CSV; do
    [ "$(sed -n "/^# $section\$/,/^# /p" "$dir/manual" | wc -l)" -gt 12 ]
    check $? "the manual's section $section is there" "$(grep '^# ' "$dir/manual")"
done

# What kvmtop itself says are its columns and settings.
run kvmtop --sort=''
sed -n 's/.*: //; s/, /\n/gp' "$dir/err" | grep -xE '[a-z0-9-]+' >"$dir/columns"
[ "$(wc -l <"$dir/columns")" -gt 10 ]
check $? "kvmtop names its columns" "$(cat "$dir/err")"
missing=
while read -r column; do
    grep -q "(_${column}_)" "$dir/manual" || missing="$missing manual:$column"
    for file in kvmtop _kvmtop kvmtop.fish; do
        grep -qw -- "$column" "$made/$file" || missing="$missing $file:$column"
    done
done <"$dir/columns"
check_empty "$missing" "manual and completions have each column"
kvmtop --csv -n 1 -d 0.1 | head -1 | tr ',' '\n' >"$dir/titles"
missing=
while read -r title; do
    grep -qF "_${title}_" "$dir/manual" || missing="$missing $title"
done <"$dir/titles"
[ -s "$dir/titles" ]
check_empty "$missing" "the manual has each column of --csv"

# ---- completions, asked ----

printf 'no segment, but long enough to be looked at' >"$VMTALLY_DIR/\$(touch\${IFS}$(basename "$dir")).vmt"
start alpha --vcpus 1 --plug 0
start alien --vcpus 2 --plug 0

complete_bash() { # words...: what is offered for the last one, a line each
    bash --norc --noprofile -c '
        . "$1"
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _kvmtop 2>/dev/null
        [ ${#COMPREPLY[@]} -eq 0 ] || printf "%s\n" "${COMPREPLY[@]}"' bash "$made/kvmtop" "$@"
}

offers() { # what words...: exactly these, in any order
    local what=$1 got
    shift
    got=$(complete_bash "$@" | sort | tr '\n' ' ')
    [ "$got" = "$what" ]
    check $? "bash: $* offers ${what:-nothing}" "$got"
}

offers '--color --columns --csv ' kvmtop --c
offers '--json ' kvmtop -d 2 --j
offers 'always auto ' kvmtop --color a
offers 'always ' kvmtop --color = al # as bash divides --color=al
offers 'always auto never ' kvmtop --color =
offers 'debug diagnostic ' kvmtop --level d
offers 'exits ' kvmtop -s e
offers '-exits ' kvmtop --sort -e
offers 'name,exits ' kvmtop --columns name,e
offers '' kvmtop -n 1
offers '' kvmtop --filter a
offers 'alien alpha ' kvmtop al
offers 'alien alpha ' kvmtop --json -n 1 al
offers "$VMTALLY_DIR/alien.vmt $VMTALLY_DIR/alpha.vmt " kvmtop "$VMTALLY_DIR/al"
offers '' kvmtop --dir /nonexistent al
VMTALLY_DIR=/nonexistent offers 'alien alpha ' kvmtop --dir "$VMTALLY_DIR" al
VMTALLY_DIR=/nonexistent offers 'alien alpha ' kvmtop --dir = "$VMTALLY_DIR" --json al
(cd "$dir" && complete_bash kvmtop '' >"$dir/offered")
[ ! -e "$dir/$(basename "$dir")" ] && grep -qF "\$(touch\${IFS}$(basename "$dir"))" "$dir/offered"
check $? "bash: a hostile name is offered and never run" "$(cat "$dir/offered"; ls "$dir")"

if command -v zsh >/dev/null; then
    run zsh -n "$made/_kvmtop"
    [ "$status" -eq 0 ] && [ ! -s "$dir/err" ]
    check $? "zsh reads _kvmtop" "$(cat "$dir/err")"
else
    skip "zsh reads _kvmtop" "zsh is not installed"
fi
if command -v fish >/dev/null; then
    run fish -n "$made/kvmtop.fish"
    [ "$status" -eq 0 ] && [ ! -s "$dir/err" ]
    check $? "fish reads kvmtop.fish" "$(cat "$dir/err")"
    run fish --no-config -c '. $argv[1]; complete -C "kvmtop --color "; complete -C "kvmtop al"' "$made/kvmtop.fish"
    for word in never auto always alpha alien; do
        grep -qE "^$word" "$dir/out" || status=1
    done
    check "$status" "fish: offers values and VMs" "$(cat "$dir/out" "$dir/err")"
else
    skip "fish reads kvmtop.fish" "fish is not installed"
    skip "fish: offers values and VMs" "fish is not installed"
fi
rm "$VMTALLY_DIR"/*touch*

# ---- filters, order, columns ----

rows() { # of the last run's text: names of VMs and sources in order
    sed -nE 's/^[-+ ]*([|`├└─ -]*[|`├└─-] )?(alpha|alien|vcpu-[0-9]|block[^ ]*) .*/\2/p' "$dir/out" | tr '\n' ' '
}

run kvmtop -b -n 1 -d 0.1 --filter 'vcpu-1'
[ "$status" -eq 0 ] && [ "$(rows)" = 'alien vcpu-1 ' ] && grep -q '^2 VMs: 2 live  3 vCPUs' "$dir/out"
check $? "-b: --filter leaves the VM and what matches, and the totals of all" "$(rows) $(cat "$dir/out" "$dir/err")"
run kvmtop -b -n 1 -d 0.1 -f '/^ALI/'
[[ $(rows) == 'alien '* && $(rows) != *alpha* ]]
check $? "-b: a regular expression, and case does not matter" "$(rows) $(cat "$dir/out" "$dir/err")"
run kvmtop -b -n 1 -d 0.1 -f 'alpha|alien' -s name
[[ $(rows) == 'alien '*'alpha '* ]]
check $? "-b: one of two, by name" "$(rows) $(cat "$dir/out" "$dir/err")"
run kvmtop -b -n 1 -d 0.1 --sort=-name
[[ $(rows) == 'alpha '*'alien vcpu-1 vcpu-0'* || $(rows) == 'alpha '*'alien '* ]]
check $? "-b: a - before the column inverts" "$(rows) $(cat "$dir/out" "$dir/err")"
run kvmtop -b -n 1 -d 0.1 -s name -I
[[ $(rows) == 'alpha '*'alien '* ]]
check $? "-b: so does --invert" "$(rows) $(cat "$dir/out" "$dir/err")"
run kvmtop -b -n 1 -d 0.1 -s vcpus
[[ $(rows) == 'alien '*'alpha '* ]]
check $? "-b: numbers the largest first" "$(rows) $(cat "$dir/out" "$dir/err")"
run kvmtop -b -n 1 -d 0.1 --columns=state,exits
grep -qE '^NAME +STATE +EXITS/s *$' "$dir/out"
check $? "-b: --columns" "$(cat "$dir/out" "$dir/err")"
mkdir -p "$XDG_CONFIG_HOME/vmtally"
printf '[settings]\nsort = -name\ncolumns = state\n' >"$XDG_CONFIG_HOME/vmtally/kvmtop.conf"
run kvmtop -b -n 1 -d 0.1
[[ $(rows) == 'alpha '*'alien '* ]] && grep -qE '^NAME +STATE *$' "$dir/out"
check $? "the file of settings counts" "$(cat "$dir/out" "$dir/err")"
run kvmtop -b -n 1 -d 0.1 -s name
[[ $(rows) == 'alien '*'alpha '* ]] && grep -q sort "$XDG_CONFIG_HOME/vmtally/kvmtop.conf"
check $? "an option counts more, and the file stays as it was" "$(cat "$dir/out" "$dir/err")"
sed -n '/^```$/,/^```$/p' "$dir/manual" | grep -v '^```' >"$XDG_CONFIG_HOME/vmtally/kvmtop.conf"
run kvmtop -b -n 1 -d 0.1
[ "$status" -eq 0 ] && [ ! -s "$dir/err" ] && grep -qE '^NAME +STATE +EXITS/s +RUN% .* P99' "$dir/out" &&
    [ "$(grep -c = "$XDG_CONFIG_HOME/vmtally/kvmtop.conf")" -gt 5 ]
check $? "the manual's example of settings is right" \
    "$(cat "$XDG_CONFIG_HOME/vmtally/kvmtop.conf" "$dir/out" "$dir/err")"
rm "$XDG_CONFIG_HOME/vmtally/kvmtop.conf"

# ---- JSON ----

run kvmtop --json -n 2 -d 0.1 -f vcpu-1 -s -name
[ "$status" -eq 0 ] && jq -se 'length == 2 and
    all(.[]; [.vms[] | .name] == ["alien"] and
    [.vms[0].sources[].id | select(test("vcpu"))] == [.vms[0].sources[-1].id] and .vms[0].sources[0].id == "" and (.vms[0].sources[-1].id | test("vcpu-1$")))' "$dir/out" >/dev/null
check $? "--json has the filter of the live view" "$(head -c 1000 "$dir/out"; cat "$dir/err")"
run kvmtop --json -n 1 -d 0.1 -I
[ "$(jq -c '[.vms[].name]' "$dir/out")" = '["alpha","alien"]' ]
check $? "and its order" "$(head -c 1000 "$dir/out"; cat "$dir/err")"
run kvmtop --json --schema -n 3 -d 0.2
[ "$status" -eq 0 ] && jq -se '
    (map(has("schema")) | index(false)) as $first | .[:$first] as $said | .[$first:] as $samples |
    ($said | map(.schema.id)) as $ids |
    ($samples | length) == 3 and all($samples[]; has("vms")) and ($ids | unique | length) == ($ids | length) and
    all($said[].schema; .name and .provider and .target and (.statistics | length) > 0 and
        all(.statistics[]; .name and .type and has("exponent"))) and
    ([$said[].schema.statistics[] | select(.help)] | length) > 20 and
    all($samples[].vms[].sources[] | ., (.totals // [])[]; .schema_id | IN($ids[])) and
    all($samples[].vms[].sources[] | select(.schema == "vcpu"); . as $source |
        ($said[].schema | select(.id == $source.schema_id) | .name) == "vcpu" and
        (.stats.exits | keys) == ["rate", "value"] and (.stats.io_latency_hist | has("type") | not)) and
    ([$said[].schema | select(.name == "vcpu") | .statistics[] | select(.name == "io_latency_hist")] | .[0] |
        .type == "log2-histogram" and .unit == "seconds" and .base == 10 and .exponent == -9 and .size == 40)
    ' "$dir/out" >/dev/null
check $? "--json --schema says each schema once, before the samples, and then no more" \
    "$(head -c 1500 "$dir/out"; cat "$dir/err")"
kvmtop --json -d 0.1 -n 1 >"$dir/whole" && kvmtop --json --schema -d 0.1 -n 1 | tail -1 >"$dir/short"
[ "$(wc -c <"$dir/short")" -lt "$(wc -c <"$dir/whole")" ]
check $? "which makes samples shorter" "$(wc -c "$dir/short" "$dir/whole")"
for format in '--json' '--json --schema' '--csv' '-b'; do
    # shellcheck disable=SC2086
    kvmtop $format -d 0.1 2>"$dir/err" | head -1 >"$dir/out"
    statuses="${PIPESTATUS[*]}"
    [ "$statuses" = "0 0" ] && [ ! -s "$dir/err" ] && [ "$(wc -l <"$dir/out")" = 1 ]
    check $? "kvmtop $format ends quietly when nobody reads any more" "status $statuses; $(cat "$dir/err")"
done

# ---- CSV ----

titles=time_ns,interval_seconds,vm,source,schema,pid,state,age_seconds,vcpus,exits_per_second,top_exit,top_exit_share
titles=$titles,run_share,io_bytes_per_second,io_operations_per_second,latency_p50_low_seconds,latency_p50_high_seconds
titles=$titles,latency_p99_low_seconds,latency_p99_high_seconds
run kvmtop --csv -n 2 -d 0.1 -s -name
[ "$status" -eq 0 ] && [[ $(head -1 "$dir/out"), == "$titles",* ]] && [ "$(grep -c '^time_ns' "$dir/out")" = 1 ]
check $? "--csv has the columns that it always had first" "$(head -1 "$dir/out")"
[ "$(cut -d, -f3,4 "$dir/out" | grep -E ',$' | head -2 | tr '\n' ' ')" = 'alpha, alien, ' ]
check $? "--csv has the order of the live view" "$(head -20 "$dir/out")"
run kvmtop --csv -n 1 -d 0.1 -f vcpu-1
[ "$(cut -d, -f3 "$dir/out" | tail -n +2 | sort -u)" = alien ] && ! grep -q 'vcpu-0' "$dir/out"
check $? "and its filter" "$(cat "$dir/out" "$dir/err")"

exit $bad
