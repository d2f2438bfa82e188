#!/bin/bash
# SPDX-License-Identifier: MIT
# kvmtop's settings in a terminal: the key that saves them, what the next start makes of them, and that flags are not
# among them.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh"
. "$here/terminal.sh"
file=$XDG_CONFIG_HOME/vmtally/kvmtop.conf

run() { # words of a command, of which the last is kvmtop with its options: until it shows something
    keys t "clear; $*; echo \"status \$?\"" Enter
    await t '^[-+] alpha .* live' || echo "# kvmtop did not start"
}

quit() { # key
    keys t "$1"
    await t '^status 0' || echo "# kvmtop did not end"
}

said() { # name text: all lines of the file but comments
    local got
    got=$(grep -v '^#' "$file" 2>&1 | grep .)
    [ "$got" = "$2" ]
    check $? "$1" "$got"
}

saved() { # press the key, until it is said
    keys t W
    await t "^Settings saved in $file" || echo "# not saved: $(screen t | tail -1)"
    keys t Up # and gone
    until_true '! screen t | grep -q "^Settings saved"'
}

start alpha --simulate --vcpus 1 --plug 0
start beta --simulate --vcpus 1 --plug 0
open_terminal t 160 30

# ---- saving ----

kvmtop -b -n 1 -d 0.1 >/dev/null
run kvmtop -d 0.2
[ ! -e "$XDG_CONFIG_HOME" ]
check $? "who does not save has no file" "$(ls -R "$XDG_CONFIG_HOME" 2>&1)"
keys t I
until_true '[[ $(screen t | grep -oE "^[-+] (alpha|beta)" | tr "\n" " ") = "- beta - alpha " ]]'
check $? "the order is turned around" "$(screen t)"
saved
said "W saves what differs from the defaults, and not what a flag says" '[settings]
sort = -name'
[ "$(stat -c %a "$file" "$XDG_CONFIG_HOME" "$XDG_CONFIG_HOME/vmtally" | tr '\n' ' ')" = "600 700 700 " ] &&
    [ "$(ls -A "$XDG_CONFIG_HOME/vmtally")" = kvmtop.conf ]
check $? "the file and its directories are for their owner only, and nothing is left beside it" \
    "$(ls -laR "$XDG_CONFIG_HOME")"
top=$(pgrep -x kvmtop -P "$(tm display-message -p -t t '#{pane_pid}')")
saver=$(pgrep -x kvmtop-saver -P "$top")
[ -n "$saver" ] && [ "$(readlink "/proc/$saver/fd/"* | grep -cvE '^(/dev/null|socket:.*)$')" = 0 ]
check $? "who writes has nothing of kvmtop's open" "$(ls -l "/proc/$saver/fd" 2>&1)"
quit q
until_true "! kill -0 $saver 2>/dev/null"
check $? "it ends with kvmtop" "$(cat "/proc/$saver/status" 2>&1)"

# ---- the next start ----

run kvmtop
sees "the next start has the order that was saved, and the usual interval" t 'every 1 s$'
[[ $(screen t | grep -oE '^[-+] (alpha|beta)' | tr '\n' ' ') = "- beta - alpha " ]]
check $? "rows are in that order" "$(screen t)"
quit q

run kvmtop -d 5 --sort=exits
sees "a flag goes before the file" t 'every 5 s$'
keys t F
saved
said "and is not written: the file keeps its order, and gets what was changed in the view" '[settings]
sort = -name
follow = yes'
keys t ']'
sees "what is changed in the view after a flag" t 'every 10 s$'
saved
said "is written" '[settings]
interval = 10
sort = -name
follow = yes'
quit q
run kvmtop
sees "and is so at the next start" t 'every 10 s$'
top=$(pgrep -x kvmtop -P "$(tm display-message -p -t t '#{pane_pid}')")
saver=$(pgrep -x kvmtop-saver -P "$top")
kill -KILL "$top"
until_true "! kill -0 $saver 2>/dev/null || grep -q '^State:.*Z' /proc/$saver/status"
check $? "a kvmtop that is killed leaves no process behind" "$(cat "/proc/$saver/status" 2>&1)"
keys t 'reset' Enter
await t '^shell>'

# ---- written by people ----

printf '# mine\n[keys]\nquit = x\nback = Esc\ninvert = q\n[settings]\ninterval = 0.2\n' >"$file"
run kvmtop
keys t q
until_true '[[ $(screen t | grep -oE "^[-+] (alpha|beta)" | tr "\n" " ") = "- beta - alpha " ]]'
check $? "a key does what the file says" "$(screen t)"
saved
said "keys are kept" '[settings]
interval = 0.2
sort = -name
[keys]
quit = x
back = Esc
invert = q'
keys t '?'
sees "the help has it" t '^ *x +'
keys t Escape
await t '^[-+] alpha .* live'
quit x
sees "and ends with it" t '^status 0'

mkdir "$dir/dotfiles"
mv "$file" "$dir/dotfiles/top"
ln -s "$dir/dotfiles/top" "$file"
run kvmtop
keys t q # turns the order back
saved
quit x
[ -L "$file" ] && ! grep -q 'sort' "$dir/dotfiles/top" && grep -q 'quit = x' "$dir/dotfiles/top"
check $? "a link stays a link" "$(ls -l "$file"; cat "$dir/dotfiles/top")"
rm "$file"

printf '[settings]\nsort = exits\nintervall = 2\n' >"$file"
before=$(cat "$file")
run kvmtop
keys t W
sees "a file with a mistake is not overwritten" t '^not saved: what kvmtop said '
quit q
sees "and the mistake is said, with its place" t "^kvmtop: $file:3: no setting .intervall.; did you mean .interval.\?"
[ "$(cat "$file")" = "$before" ]
check $? "it stays as it was" "$(cat "$file")"
rm "$file"

# ---- where nothing can be saved ----

echo text >"$dir/file"
run XDG_CONFIG_HOME="$dir/file" kvmtop
keys t W
sees "a file that can't be written is said" t "^Not saved: not a directory.*: $dir/file/"
quit q
run env -u XDG_CONFIG_HOME -u HOME kvmtop
keys t W
sees "so is that there is no home" t '^settings have no place: set HOME or XDG_CONFIG_HOME'
quit q

exit $bad
