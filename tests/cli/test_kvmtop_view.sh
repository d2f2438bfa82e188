#!/bin/bash
# SPDX-License-Identifier: MIT
# What one can do in kvmtop's live view, by keys and mouse, on minivmms with real guests where they can run: order,
# filter, tree, time, details, histograms, sizes of the terminal and its colours.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh"
. "$here/terminal.sh"

# Three VMs, of which the first by vCPUs is the second by name.
if minivmm --name probe --seconds 1 >/dev/null 2>"$dir/vm.err"; then
    simulate=
    echo "ok - guests run on real KVM"
else
    simulate=--simulate
    echo "ok - guests run on real KVM # SKIP $(head -1 "$dir/vm.err")"
fi
# shellcheck disable=SC2086
for name in "db-1 --vcpus 1" "web-1 --vcpus 2" "web-2 --vcpus 1"; do
    start $name --plug 0 $simulate
done

kvmtop_in() { # session words... of a command, of which kvmtop is the last but for its options: until it shows VMs
    local session=$1
    shift
    keys "$session" "clear; $*; echo \"status \$?\"" Enter
    until_true "! screen $session | grep -q '^status'" # it was cleared: what is there then is new
    await "$session" '^[-+] (db|web)-[12] +([0-9]+ )?live' || echo "# kvmtop did not start: $(screen "$session")"
}

quit() { # session
    to_overview "$1"
    keys "$1" q
    await "$1" '^status 0' || echo "# kvmtop did not end: $(screen "$1")"
}

# The row or line selected: the first below the titles that begins with a background of its own.
selected() { # session
    attributes "$1" | sed 1,3d | grep -m1 -E "^($escape\[[0-9;]*m)*$escape\[([0-9;]*;)?48;5;" |
        sed "s/$escape\[[0-9;]*m//g"
}

choose() { # session regular-expression: press Down until that is selected
    local was
    for _ in $(seq 60); do
        was=$(selected "$1")
        grep -qE -- "$2" <<<"$was" && return
        keys "$1" Down
        patience=2 until_true "[ \"\$(selected $1)\" != '$was' ]" || break
    done
    echo "# nothing to select like $2"
}

to_overview() { # session
    for _ in $(seq 6); do
        line "$1" 3 | grep -q '^NAME' && return
        keys "$1" Escape
        patience=2 until_true "line $1 3 | grep -q '^NAME'"
    done
}

order() { # session: of the VMs
    screen "$1" | sed -nE 's/^[-+] ([a-z]+-[0-9]).*/\1/p' | tr '\n' ' '
}

ordered() { # name session order
    comes "$1" "$2" "[ \"\$(order $2)\" = '$3 ' ]"
}

# ---- order ----

open_terminal t 120 40
kvmtop_in t kvmtop -d 0.2
ordered "by name at first" t "db-1 web-1 web-2"
keys t s
sees "s lists what one can sort by, and what it means" t '^   VCPUS +How many vCPUs are below'
choose t ' VCPUS '
keys t Enter
sees "the column chosen has a sign" t '^NAME .* VCPUS▼ '
ordered "and the greatest is first" t "web-1 db-1 web-2"
keys t I
sees "I turns it around" t '^NAME .* VCPUS▲ '
ordered "and the greatest is last" t "db-1 web-2 web-1"
keys t '>'
sees "> sorts by the next column" t '^NAME .* EXITS/s▼ '
is_true "of which the trend is" t 'row t "^NAME" | grep -q "TREND EXITS/s"'
keys t '<'
sees "< by the one before" t '^NAME .* VCPUS▼ '
click t 2 3
sees "a click on a title sorts by it" t '^NAME▲ '
ordered "as it says" t "db-1 web-1 web-2"
click t 3 3
sees "and the next one turns it around" t '^NAME▼ '
ordered "as it says then" t "web-2 web-1 db-1"
click t 2 3
sees "and back" t '^NAME▲ '
ordered "to what it was" t "db-1 web-1 web-2"

# ---- selection ----

comes "the first row is selected" t 'selected t | grep -q "^- db-1 "'
click t 12 8
comes "a click selects a row" t 'selected t | grep -q "^- web-1 "'
now=$(row t '^- web-1')
comes "and nothing waits for the next one" t '[ "$now" != "$(row t "^- web-1")" ]'
mouse t 2 12 4
now=$(row t '^- web-1')
comes "nor after another button" t '[ "$now" != "$(row t "^- web-1")" ]'
is_true "which does nothing" t 'selected t | grep -q "^- web-1 "'
keys t s
await t '^ SORT BY'
choose t ' VCPUS '
keys t Enter
ordered "when the order changes" t "web-1 db-1 web-2"
comes "the selection follows its item" t 'selected t | grep -q "^- web-1 " && line t 4 | grep -q "^- web-1 "'
wheel t down
resize t 120 9
keys t I
sees "on a small screen" t '^NAME .* VCPUS▲ '
sees_not "the screen stays where it is" t '^- web-1'
keys t F
sees "F: it follows" t '^The screen follows the selected row'
sees "to where the row is" t '^- web-1 '
keys t I
sees "wherever sorting puts it" t '^NAME .* VCPUS▼ '
is_true "there it is" t 'line t 4 | grep -q "^- web-1"'
keys t I
sees "there and back" t '^- web-1 '
keys t F
await t 'stays where it is'
resize t 120 40
click t 3 3
ordered "by name again" t "db-1 web-1 web-2"

# ---- the tree ----

keys t Home
await t '^- db-1'
keys t -
sees "- folds" t '^\+ db-1 '
comes "what is below" t '[ "$(line t 5 | cut -c1-7)" = "- web-1" ]'
keys t +
sees "+ unfolds" t '^- db-1 '
keys t Space
sees "Space folds" t '^\+ db-1 '
keys t Space
sees "or unfolds" t '^- db-1 '
click t 1 4
sees "a click on the sign folds" t '^\+ db-1 '
click t 2 4
sees "or unfolds as well" t '^- db-1 '
keys t '*'
comes "* folds all" t '[ "$(screen t | grep -c "^+ ")" = 3 ] && ! screen t | grep -q vcpu'
keys t '*'
comes "or unfolds all" t '[ "$(screen t | grep -c "^- ")" = 3 ]'
choose t ' vcpu-0 '
keys t t
sees "t shows the shards of a vCPU, with what they count" t '[├└]─ thread [0-9]+ .*[0-9]( k)? +[a-z_]+ [0-9]+%'
keys t t
sees_not "or hides them" t 'thread [0-9]'

# ---- filter ----

totals='^3 VMs: 3 live  4 vCPUs'
keys t /
sees "/ opens a line" t '^Filter: _ .* 0 hidden$'
type_keys t 'WEB|nothing'
sees "rows that do not match are hidden while one types, and counted" t '^Filter: WEB\|nothing_ .* 4 hidden$'
ordered "which leaves the others" t "web-1 web-2"
is_true "the totals are those of all" t 'screen t | grep -qE "$totals"'
keys t Enter
sees "Enter keeps it, and it is said" t '^filter: WEB\|nothing  4 hidden '
keys t / C-u
type_keys t '/^(web|db)-1$/'
sees "a regular expression" t ' 4 hidden$'
ordered "chooses as well" t "db-1 web-1"
type_keys t '('
sees "one that is wrong is said" t '^Filter: /\^\(web\|db\)-1\$/\(_ .*[a-z]+ .*hidden$'
ordered "and the last good one stays" t "db-1 web-1"
keys t Escape
sees "Esc takes back what was typed" t '^filter: WEB\|nothing  4 hidden '
ordered "with its rows" t "web-1 web-2"
keys t Escape
ordered "Esc shows all again" t "db-1 web-1 web-2"
sees_not "and says no more of it" t 'filter:'
keys t /
type_keys t 'nothing-like-it'
sees "where nothing matches it is said how to get out" t '^The filter hides all rows: Esc '
keys t Escape
ordered "which is so" t "db-1 web-1 web-2"

# ---- columns ----

keys t c
sees "c lists the columns" t '^ \[x\] AGE +Since the VM started'
choose t ' AGE '
keys t Space
sees "Space hides one" t '^ \[ \] AGE '
keys t Escape
sees "which then is not there" t '^NAME▲ +(PID +)?STATE +VCPUS '
keys t c
await t '^ COLUMNS'
choose t ' AGE '
keys t Enter
sees "Enter shows it again" t '^ \[x\] AGE '
keys t Escape
sees "as it was" t '^NAME▲ +STATE +AGE VCPUS '

# ---- time ----

# What stands below the time.
standing() { screen t | sed 1d; }

keys t ']'
sees "] makes the interval longer" t ' every 0.5 s$'
keys t '['
sees "[ makes it shorter" t ' every 0.2 s$'
keys t p
sees "p pauses" t '  PAUSED [0-9:]{8}, [0-9]+s ago$'
sees "time goes on" t '  PAUSED [0-9:]{8}, [1-9]s ago$'
paused=$(line t 1 | cut -c-18)
rows=$(standing) # only now: of the newest beat more digits are known than of others, and the last one may change once
sees "and on" t '  PAUSED [0-9:]{8}, [2-9]s ago$'
[ "$rows" = "$(standing)" ] && [ "$paused" = "$(line t 1 | cut -c-18)" ]
check $? "but nothing else changes" "$(diff <(echo "$rows") <(standing))"
keys t Left Left
comes "Left goes back" t '[ "$(standing)" != "$rows" ]'
keys t Right Right
comes "Right forward, to that beat" t '[ "$(standing)" = "$rows" ] && [ "$paused" = "$(line t 1 | cut -c-18)" ]'
keys t p
sees "p goes on" t ' every 0.2 s$'
# shellcheck disable=SC2086
start late --vcpus 1 --plug 0 $simulate
sees "a VM starts" t '^- late +live'
sees "and is counted" t '^4 VMs: 4 live  5 vCPUs'
keys t '{' '{'
sees "{ goes back by many" t 'PAUSED .* [0-9ms]+ ago$'
sees "to when it was not there" t "$totals"
sees_not "nor its row" t 'late'
keys t n
sees "n returns" t ' every 0.2 s$'
sees "to what is now" t '^- late +live'
end TERM
sees "that it ended is seen" t '^. late +closed'
keys t p
await t PAUSED
comes "and that it lived, in the past" t 'row t "^. late" | grep -q " live " || ! keys t Left || ! sleep 0.1'
keys t Escape
sees "Esc returns as well" t ' every 0.2 s$'

# ---- detail ----

keys t Home
choose t '^- web-1 '
keys t Enter
sees "Enter shows all of a VM" t '^  VM +web-1$'
sees "its own statistics, and what they mean" t '^> dropped_sources +0 +0/s '
keys t Escape
await t '^- web-1'
choose t ' vcpu-0 '
keys t Enter
sees "all of a vCPU" t '^web-1  vm/vcpu-0'
detail='^> exits +[0-9]+ +[0-9.]+( k)?/s +[0-9.]+( k)?/s +[0-9.]+( k)?/s +[0-9.]+( k)?/s'
sees "value, rate and averages" t "$detail"
sees "their titles" t '^ NAME +VALUE +RATE +AVG10 +AVG100 +AVG1000 +SINCE MARK +MIN +MAX$'
sees "times in units that fit, and as a share" t '^  run_time +[0-9.]+ m?s +[0-9.]+% '
sees "minimum and maximum" t "$detail +- +[0-9.]+( k)?/s +[0-9.]+( k)?/s\$"
sees "the graph of what is selected" t '^ exits: cumulative, a number +\[graph\] shards$'
sees "what it means" t '^ Returns of KVM_RUN'
sees "over time" t ' -[0-9ms]+ +now$'
is_true "as blocks" t 'screen t | grep -q "█████"'
keys t Tab
sees "Tab: the threads that count it" t 'graph \[shards\]$'
sees "each with its share" t '^ thread [0-9]+ +[0-9]+ +[0-9.]+( k)?/s +100% █+$'
keys t Tab
await t '\[graph\] shards$'
keys t m
sees "m sets the mark" t '^Marked: '
sees "then there is what changed since" t "$detail +\+[1-9]"
keys t Down Up
sees "when that was is at the top" t '  marked [0-9:]{8}  every 0.2 s$'
since=$(row t '^> exits' | grep -oE '\+[0-9]+')
comes "and it grows" t '[ "$(row t "^> exits" | grep -oE "\+[0-9]+" | tr -d +)" -gt "${since#+}" ]'
keys t M
sees "M forgets the mark" t "$detail +- "
sees_not "and when it was" t '  marked [0-9:]{8}'
sees "what counted nothing is shown" t '^  exit_irq_window +0 '
keys t z
sees_not "z hides it" t '^  exit_irq_window +0 '
sees "and how many that are is said" t '^web-1  vm/vcpu-0 +[0-9]+ hidden: zero$'
keys t z
sees "z shows it again" t '^  exit_irq_window +0 '
# minivmm has nothing of another level: what v does is seen in the settings.
keys t v W
sees "W saves" t '^Settings saved in '
grep -qx 'level = diagnostic' "$XDG_CONFIG_HOME/vmtally/kvmtop.conf"
check $? "that v shows statistics up to the next level" "$(cat "$XDG_CONFIG_HOME/vmtally/kvmtop.conf")"
rm -f "$XDG_CONFIG_HOME/vmtally/kvmtop.conf"

# ---- histograms ----

keys t /
type_keys t io_latency_hist
sees "a filter chooses statistics" t '^web-1  vm/vcpu-0 +[0-9]+ of [0-9]+ hidden: filter$'
keys t Enter
sees "quantiles are below a histogram" t '^    p99\.9 +[0-9.]+ [nuµm]s +[0-9.]+ [nuµm]s '
keys t Enter
sees "Enter shows its buckets" t '^web-1  vm/vcpu-0: io_latency_hist +of the interval, [0-9.]+ m?s$'
sees "as bars" t '^ +[0-9.]+ [nuµm]s - +[0-9.]+ [nuµm]s +[0-9.]+( k)? +[0-9.]+% █'
bounds='\([0-9.]+( [nuµm]s)? to [0-9.]+( [nuµm]s)?\)'
sees "quantiles with how far off they may be" t "^p50 [0-9.]+ [nuµm]s $bounds +p90 [0-9.]+ [nuµm]s $bounds"
sees "up to p99.9" t "^p99 [0-9.]+ [nuµm]s $bounds +p99.9 [0-9.]+ [nuµm]s $bounds"
keys t s
sees "s: since the mark, of which there is none" t '^There is no mark'
keys t m
sees "with one" t 'io_latency_hist +since the mark, '
sees "what was recorded since then" t '^[0-9.]+( k)? recorded, '
keys t s
sees "of all time" t 'io_latency_hist +of all time, '
keys t s
await t 'of the interval'
keys t Tab
sees "Tab: over time, as a heat map" t ' its beat '
sees "a row for each bucket" t '^ +[0-9.]+ [nuµm]s .*█████'
keys t Tab
await t '^ +FROM +BELOW +COUNT'
keys t C
sees "C: others are compared with this one" t '^Compared with vcpu-0 '
to_overview t
sees "it is marked" t 'vcpu-0 \(C\) '
choose t ' vcpu-1 '
keys t Enter
await t '^web-1  vm/vcpu-1'
keys t /
type_keys t io_latency_hist
keys t Enter
await t '^filter: io_latency_hist'
keys t Enter
sees "another one beside it" t '^. web-1  vm/vcpu-0 .*recorded'
is_true "both are named" t 'screen t | grep -qE "^. web-1  vm/vcpu-1 .*recorded"'
sees "with two bars" t '^ +[0-9.]+ [nuµm]s - +[0-9.]+ [nuµm]s +[0-9.]+( k)? +[0-9.]+% +█+.* +[0-9.]+( k)? +[0-9.]+% +[▓▒░█▌]+'
keys t C
sees "C again: this one" t '^Compared with '
keys t C
sees "and then no more" t '^Compared no more'

# ---- help ----

keys t '?'
sees "? helps" t '^ KEYS OF THE HISTOGRAM'
keys t Escape
to_overview t
keys t '?'
sees "with the keys that work here" t '^ KEYS OF THE OVERVIEW'
keys t Escape
sees "Esc leaves it" t '^NAME'
quit t

# ---- sizes ----

# Each view, as it is on the screen now, to a command.
each_view() { # session command
    local session=$1 command=$2
    to_overview "$session"
    $command "the overview"
    keys "$session" s
    await "$session" '^ SORT BY' && $command "the chooser of the order"
    to_overview "$session"
    keys "$session" c
    await "$session" '^ COLUMNS' && $command "the chooser of columns"
    to_overview "$session"
    keys "$session" '?'
    await "$session" '^HELP' && $command "the help"
    to_overview "$session"
    choose "$session" 'vcpu-0 '
    keys "$session" Enter
    await "$session" '^> exits ' && $command "the detail"
    keys "$session" t
    await "$session" '^> exits ' && $command "the shards"
    keys "$session" t /
    type_keys "$session" io_latency_hist
    keys "$session" Enter
    await "$session" '^> io_latency' && $command "a detail with a filter"
    keys "$session" Enter
    await "$session" 'io_latency_hist +.*interval, ' && await "$session" '% .*[#█]' && $command "the histogram"
    keys "$session" Tab
    until_true "screen $session | grep -q 'its beat' || ! screen $session | sed '1,4d;\$d' | grep -q %" &&
        $command "the heat map"
    keys "$session" Tab
    to_overview "$session"
}

seen=0
fits() { # view: nothing is wider or higher than $columns x $rows, and the last line has keys, a filter or a notice
    seen=$((seen + 1))
    [ "$(screen t | wc -L)" -le $columns ] && [ "$(screen t | wc -l)" -le $rows ] && line t $rows | grep -q '[a-z]'
    check $? "${columns}x$rows: $1" "$(screen t)"
}

for size in 80x24 40x6 200x60; do
    columns=${size%x*} rows=${size#*x} seen=0
    resize t "$columns" "$rows"
    kvmtop_in t kvmtop -d 0.2
    each_view t fits
    [ $seen -eq 9 ]
    check $? "$size: all views can be reached" "$seen of 9; $(screen t)"
    quit t
done

is_ascii() { # view
    seen=$((seen + 1))
    ! screen t | LC_ALL=C grep -q '[^ -~]'
    check $? "--ascii: $1" "$(screen t)"
}

resize t 120 40
seen=0
kvmtop_in t kvmtop -d 0.2 --ascii
each_view t is_ascii
[ $seen -eq 9 ]
check $? "--ascii: all views" "$seen of 9"
quit t

# ---- colours ----

colours() { attributes t | grep -oE "$escape\[([0-9;]*;)?[34][0-8](;5;[0-9]+)?m" | grep -vE '\[[34]9m' | sort -u; }

kvmtop_in t kvmtop -d 0.2
is_true "colours, 256 of them" t 'colours | grep -q "[34]8;5;"'
quit t
for how in 'kvmtop --color=never' 'NO_COLOR=1 kvmtop' 'NO_COLOR=1 kvmtop --color=auto' 'TERM=vt100 kvmtop'; do
    kvmtop_in t "$how" -d 0.2
    check_empty "$(colours)" "$how: no colour"
    is_true "$how: what is selected is seen nevertheless" t "attributes t | sed 1,2d | grep -q \"\$escape\\[.*[17]m\""
    quit t
done
kvmtop_in t NO_COLOR=1 kvmtop --color=always -d 0.2
is_true "NO_COLOR=1 kvmtop --color=always: colours" t '[ -n "$(colours)" ]'
quit t
kvmtop_in t TERM=xterm kvmtop -d 0.2
is_true "a terminal of 8 colours gets no others" t 'colours | grep -q . && ! colours | grep -q "8;5;"'
quit t

exit $bad
