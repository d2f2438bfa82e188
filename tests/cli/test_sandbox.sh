#!/bin/bash
# SPDX-License-Identifier: MIT
# The sandbox of the commands: that they are in it while they run, what is still possible inside, and that they work.
# $VMT_BUILD is the build directory.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1

PATH=${VMT_BUILD:?}/cli:$VMT_BUILD/lib/examples:$PATH
probes=$VMT_BUILD/tests/cli
for program in "$VMT_BUILD/cli/vmtally" "$VMT_BUILD/lib/examples/minivmm" "$probes/sandbox_probe"; do
    [ -x "$program" ] || {
        echo "Bail out! $program is not there"
        exit 1
    }
done
export VMTALLY_DIR LC_ALL=C.UTF-8 TERM=xterm-256color
unset TMUX
base=$(mktemp -d /dev/shm/vmtally-test.XXXXXX) || exit 1
VMTALLY_DIR=$base/segments
mkdir "$VMTALLY_DIR"
pids=
trap '[ -z "$pids" ] || kill $pids 2>/dev/null; tmux -S "$dir/tmux" kill-server 2>/dev/null; wait 2>/dev/null
    rm -rf "${dir:?}" "${base:?}"' EXIT
chmod 755 "$dir" "$base" "$VMTALLY_DIR"
ulimit -c unlimited 2>/dev/null # which the sandbox then takes away

start() { # name directory: a VM, until its segment is there
    VMTALLY_DIR=$2 minivmm --simulate --vcpus 1 --plug 0 --seconds 0 --name "$1" >/dev/null 2>"$dir/vm.err" &
    pids="$pids $!"
    until_true "[ -e '$2/$1.vmt' ]" || {
        echo "Bail out! $1 did not start: $(cat "$dir/vm.err")"
        exit 1
    }
}

until_true() { # command: at most 10 seconds
    for _ in $(seq 200); do
        eval "$1" && return
        sleep 0.05
    done
    return 1
}

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; }

# ---- what is possible inside ----

start web-1 "$VMTALLY_DIR"
mkdir "$base/inside" "$base/outside"
inside=$base/inside
outside=$base/outside
echo text >"$inside/file"
echo text >"$outside/file"
ln -s "$outside/file" "$inside/link"

how=
tries() { # probe action argument expected name: the probe's word, or that a signal ended it
    local got expected=$4

    got=$("$probes/$1" $how "$inside" "$2" ${3:+"$3"} 2>/dev/null)
    [ $? -ne 159 ] || got="ended by SIGSYS"
    [[ $got =~ ^($expected)$ ]]
    check $? "$1${how:+ $how}: $5" "$2 $3: '$got', expected '$expected'"
}

text=$("$probes/sandbox_probe" "$inside" text)
landlock=$(case $text in *Landlock*) echo yes ;; esac)
[ "$text" = "Landlock and seccomp" ] || echo "# this kernel has: $text"
[ "$("$probes/sandbox_probe" --no-sandbox "$inside" text)" = none ]
check $? "with --no-sandbox there is none" "$text"
case $text in *seccomp) true ;; *) false ;; esac
check $? "there is a filter of system calls" "$text"

both="sandbox_probe ${landlock:+sandbox_probe_unfiltered}"
for probe in $both; do
    case $probe in *unfiltered) denied=EACCES fatal=EACCES ;; *) denied='ENOSYS' fatal='ended by SIGSYS' ;; esac
    tries $probe read "$inside/file" done "a file in the directory can be read"
    tries $probe list "$inside" done "the directory can be read"
    tries $probe raise "" done "a signal to oneself"
    tries $probe no-core "" done "a crash leaves no file"
    if [ "$landlock" ]; then
        tries $probe read "$outside/file" EACCES "no file elsewhere"
        tries $probe read /etc/passwd EACCES "no file of the system"
        tries $probe read "$inside/link" EACCES "nor through a link"
        tries $probe list "$outside" EACCES "no other directory"
    fi
    tries $probe write "$inside/file" $denied "no writing"
    tries $probe openat2 "$inside/file" 'EACCES|ENOSYS' "no writing where a filter can't see it"
    tries $probe create "$inside/new" $denied "no new file"
    tries $probe create "$outside/new" $denied "no new file elsewhere"
    tries $probe truncate "$inside/file" $denied "no truncating"
    tries $probe rename "$inside/file" $denied "no renaming"
    tries $probe unlink "$inside/file" $denied "no removing"
    tries $probe mkdir "$inside/new" $denied "no new directory"
    tries $probe exec /bin/true "$fatal" "no other program"
    tries $probe signal $$ 'ENOSYS|EPERM' "no signal to others"
    tries $probe ptrace $$ "EPERM|$fatal" "no tracing"
    tries $probe bind "" "EACCES|$fatal" "no network"
done
tries sandbox_probe socket "" 'ended by SIGSYS' "no socket at all"
tries sandbox_probe fork "" ENOSYS "no other process"
tries sandbox_probe code "" ENOSYS "memory can't become code"
tries sandbox_probe code-anew "" ENOSYS "no new code"
tries sandbox_probe chmod "$inside/file" ENOSYS "no changing of modes"
tries sandbox_probe setuid 65534 'ENOSYS' "no other user"
tries sandbox_probe type x 'ENOSYS' "nothing is typed into a terminal"
tries sandbox_probe talk "" ENOSYS "nor talk through one that is open"
tries sandbox_probe accept "" ENOSYS "nor take connections"
tries sandbox_probe getfd $$ ENOSYS "nothing of other processes"
tries sandbox_probe compare-files $$ ENOSYS "nothing learnt of them"
how=--host
tries sandbox_probe talk "" done "it talks to whom it is connected with"
tries sandbox_probe talk-to "" ENOSYS "and with nobody else"
tries sandbox_probe socket "" 'ended by SIGSYS' "no socket at all"
tries sandbox_probe getfd $$ ENOSYS "nothing of other processes"
how=--serve
tries sandbox_probe accept "" done "a server takes connections"
tries sandbox_probe talk "" done "and talks"
tries sandbox_probe talk-to "" ENOSYS "but with nobody else"
tries sandbox_probe socket "" 'ended by SIGSYS' "no socket of its own"
tries sandbox_probe write "$inside/file" ENOSYS "no writing"

# Who looks at other processes sees no segment; it can read what its user may.
how=--finder
tries sandbox_probe read "$outside/file" done "any file can be read"
tries sandbox_probe readlink "/proc/$$/fd/1" done "what other processes have open"
tries sandbox_probe getfd $$ done "and duplicated"
tries sandbox_probe compare-files $$ done "and compared"
tries sandbox_probe talk "" done "it tells what it found"
tries sandbox_probe talk-to "" ENOSYS "to nobody else"
tries sandbox_probe compare-memory $$ ENOSYS "nothing else of them is compared"
tries sandbox_probe machine /dev/null ENOSYS "no new machine"
while read -r action argument; do
    tries sandbox_probe "$action" "$argument" ENOSYS "no $action"
done <<END
write $inside/file
create $inside/new
openat2 $inside/file
truncate $inside/file
rename $inside/file
unlink $inside/file
mkdir $inside/new
chmod $inside/file
setuid 65534
signal $$
accept
fork
code
code-anew
type x
END
while read -r action argument; do
    tries sandbox_probe "$action" "$argument" 'ended by SIGSYS' "no $action"
done <<END
exec /bin/true
ptrace $$
socket
bind
abstract x
END
tries sandbox_probe no-core "" done "a crash leaves no file"
how=
[ "$(cat "$inside/file" "$outside/file")" = "$(printf 'text\ntext')" ] && [ "$(ls "$inside" "$outside" | wc -l)" = 6 ]
check $? "and nothing was changed" "$(ls -l "$inside" "$outside")"
got=$("$probes/sandbox_probe" --remove "$inside" unlink "$inside/link"; "$probes/sandbox_probe" --remove "$inside" \
    unlink "$outside/file"; "$probes/sandbox_probe" --remove "$inside" write "$inside/file")
[ ! -e "$inside/link" ] && [[ $got = $'done\nEACCES\nENOSYS' || -z $landlock ]]
check $? "who may remove files may do it there only, and nothing else" "$got"
got=$("$probes/sandbox_probe" "$base/not/yet" text; mkdir -p "$base/not/yet"; echo x >"$base/not/yet/file"
    rmdir "$base/not/none" 2>/dev/null; "$probes/sandbox_probe" "$base/not/none" read "$base/not/yet/file")
[ "$got" = "$text
done" ]
check $? "of a directory that is not there yet, the nearest above it can be read" "$got"

# Who speaks to a network or writes files sees no segment: it may all that, but start no program and look at nobody.
how=--speaker
tries sandbox_probe read "$outside/file" done "what its user may is read"
tries sandbox_probe write "$outside/file" done "and written"
tries sandbox_probe create "$outside/written" done "new files"
tries sandbox_probe resolve localhost done "names are resolved"
tries sandbox_probe bind "" done "sockets of its own"
tries sandbox_probe thread "" done "threads"
tries sandbox_probe talk "" done "it talks to who sees segments"
tries sandbox_probe accept "" done "and takes connections"
tries sandbox_probe no-core "" done "a crash leaves no file"
tries sandbox_probe code "" EPERM "memory can't become code"
tries sandbox_probe code-written "" EPERM "what is written is no code"
tries sandbox_probe setuid 65534 'EPERM' "no other user"
tries sandbox_probe exec /bin/true 'ended by SIGSYS' "no other program"
tries sandbox_probe ptrace $$ 'ended by SIGSYS' "no tracing"
tries sandbox_probe getfd $$ 'ended by SIGSYS' "nothing of other processes"
tries sandbox_probe compare-files $$ 'ended by SIGSYS' "nothing learnt of them"
how=

# As a service has it: a user without a name, and capabilities that only the reader is to have.
echo text >"$base/private"
chmod 600 "$base/private"
if [ "$(id -u)" -eq 0 ] && as_nobody test -x "$probes/sandbox_probe" 2>/dev/null; then
    given() { # capabilities, one more argument each...
        setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+dac_read_search,+sys_ptrace \
            --ambient-caps=-all,+dac_read_search,+sys_ptrace -- "$probes/sandbox_probe" "$@" 2>&1
    }
    got="$(given "$base" read "$base/private") $(given --finder "$base" read "$base/private") \
$(given --speaker "$base" read "$base/private") $(given --no-sandbox "$base" read "$base/private")"
    [ "$got" = "done done EACCES done" ]
    check $? "who sees segments may read those of others, and who speaks to a network may read no more than its user" \
        "$got"
    chown 65533 "$base/private"
    got=$("$probes/sandbox_probe" --speaker "$base" write "$base/private")
    [ "$got" = "done" ]
    check $? "root may still write what belongs to others" "$got"
else
    skip "who speaks to a network may read no more than its user" "needs root, and a build directory that nobody may read"
fi

# ---- the commands are in it ----

filters() { awk '$1 == "Seccomp_filters:" { print $2 }' "/proc/$1/status"; }
mine=$(filters self)

in_sandbox() { # pid: no new privileges, one filter more than this script has, and of root's rights that to read
    grep -qE '^NoNewPrivs:[[:space:]]+1$' "/proc/$1/status" && grep -qE '^Seccomp:[[:space:]]+2$' "/proc/$1/status" &&
        [ "$(filters "$1")" = "${mine:+$((mine + 1))}" ] &&
        grep -qE '^CapEff:[[:space:]]+000000000000000[024]$' "/proc/$1/status" &&
        grep -qE '^CapPrm:[[:space:]]+000000000000000[024]$' "/proc/$1/status"
}

# The process that looks at others for it has one right more of root's; it has nothing of its terminal or pipe.
finder_in_sandbox() { # pid
    grep -qE '^NoNewPrivs:[[:space:]]+1$' "/proc/$1/status" && grep -qE '^Seccomp:[[:space:]]+2$' "/proc/$1/status" &&
        [ "$(filters "$1")" = "${mine:+$((mine + 1))}" ] &&
        grep -qE '^CapEff:[[:space:]]+(0000000000000000|000000000008000[24])$' "/proc/$1/status" &&
        grep -qE '^CapPrm:[[:space:]]+(0000000000000000|000000000008000[24])$' "/proc/$1/status" &&
        [ "$(readlink "/proc/$1/fd/"[012] | sort -u)" = /dev/null ]
}

status_of() { grep -E '^(State|NoNewPrivs|Seccomp|Seccomp_filters|Cap...):' "/proc/$1/status" 2>&1; }

# Emptied before: else what an earlier one said could be taken for the first word of the one that starts now.
: >"$dir/samples"
kvmtop --json -d 0.2 >"$dir/samples" 2>"$dir/err" &
top=$!
pids="$pids $top"
until_true '[ -s "$dir/samples" ]'
in_sandbox $top
check $? "kvmtop without a terminal" "$(status_of $top)"
finder=$(cat "/proc/$top/task/$top/children")
finder_in_sandbox ${finder:-none}
check $? "and who looks at processes for it" "$(status_of ${finder:-none}; ls -l "/proc/${finder% }/fd")"
start web-2 "$VMTALLY_DIR"
until_true "tail -n 1 '$dir/samples' | jq -e '.vms | map(.state) == [\"live\", \"live\"]' >/dev/null 2>&1"
check $? "and it sees a VM that starts later" "$(tail -n 1 "$dir/samples" | cut -c 1-300; cat "$dir/err")"
kill $top
wait $top 2>/dev/null
until_true "! kill -0 $finder 2>/dev/null"
check $? "who ends with it" "$(status_of $finder)"
: >"$dir/samples"
kvmtop --no-sandbox -b -d 0.2 >"$dir/samples" 2>&1 &
top=$!
pids="$pids $top"
until_true '[ -s "$dir/samples" ]'
[ "$(filters $top)" = "$mine" ] && ! in_sandbox $top
check $? "with --no-sandbox it is not" "$(status_of $top)"
kill $top
wait $top 2>/dev/null

: >"$dir/samples"
VMTALLY_DIR=$base/later kvmtop --json -d 0.2 >"$dir/samples" 2>"$dir/err" &
top=$!
pids="$pids $top"
until_true '[ -s "$dir/samples" ]'
in_sandbox $top || echo "# not in the sandbox"
mkdir "$base/later"
start web-3 "$base/later"
until_true "tail -n 1 '$dir/samples' | jq -e '.vms[0].state == \"live\"' >/dev/null 2>&1"
check $? "a directory that comes later is looked into" "$(tail -n 1 "$dir/samples" | cut -c 1-300; cat "$dir/err")"
kill $top
wait $top 2>/dev/null
if [ "$landlock" ]; then
    mkdir "$base/moving"
    : >"$dir/samples"
    VMTALLY_DIR=$base/moving kvmtop --json -d 0.2 >"$dir/samples" 2>"$dir/err" &
    top=$!
    pids="$pids $top"
    until_true '[ -s "$dir/samples" ]'
    mv "$base/moving" "$base/moved"
    mkdir "$base/moving"
    until_true '! kill -0 $top 2>/dev/null' || kill $top
    wait $top
    [ $? -eq 1 ] && grep -q "^kvmtop: $base/moving: permission denied; was the directory made anew?" "$dir/err"
    check $? "one that was made anew is said" "$(cat "$dir/err")"
fi

tm() { tmux -S "$dir/tmux" -f /dev/null "$@" 2>/dev/null; }
tm new-session -d -x 100 -y 40 -s t "env PS1='shell> ' bash --norc --noprofile -i"
tm send-keys -t t 'kvmtop -d 0.2' Enter
sees() { until_true "tm capture-pane -p -t t | grep -qE -- '$1'"; }
sees '^- web-1 .* live'
top=$(pgrep -x kvmtop -P "$(tm display-message -p -t t '#{pane_pid}')")
in_sandbox "$top"
check $? "kvmtop in a terminal" "$(status_of "$top")"
tm send-keys -t t h End
sees "^ Sandbox +$text\$"
check $? "its help says what is in force" "$(tm capture-pane -p -t t)"
tm send-keys -t t q C-z
sees 'Stopped +kvmtop' && tm send-keys -t t fg Enter && sees '^- web-1 .* live' && tm resize-window -t t -x 60 -y 20 &&
    sees '^- web-1 .* live' && tm send-keys -t t q && sees '^shell> *$'
check $? "it is stopped, continued, resized and ended as without one" "$(tm capture-pane -p -t t)"

# A command that nobody reads from waits where it writes; then there is time to look at it. Prints what it writes.
cat >"$dir/held.py" <<'P'
import fcntl, os, subprocess, sys, time
which, looked, command = sys.argv[1], sys.argv[2], sys.argv[3:]
r, w = os.pipe()
os.set_blocking(w, False)
filled = 0
try:
    while True:
        filled += os.write(w, b"x" * (4096 if not filled % 4096 else 1))
except BlockingIOError:
    pass
os.set_blocking(w, True)
p = subprocess.Popen(command, **{"stdin": subprocess.DEVNULL, which: w})
os.close(w)
def sleeping(pid): # the process, or its child, in the kernel's pipe_write
    try:
        with open(f"/proc/{pid}/wchan") as f:
            where = f.read()
        with open(f"/proc/{pid}/status") as f:
            status = f.read()
    except OSError:
        return None
    return status if "State:\tS" in status and ("pipe" in where or where in ("", "0")) else None
def family():
    try:
        with open(f"/proc/{p.pid}/task/{p.pid}/children") as f:
            return [int(c) for c in f.read().split()] + [p.pid]
    except OSError:
        return [p.pid]
for _ in range(400):
    time.sleep(0.02)
    pid = family()[0]
    if p.poll() is not None or sleeping(pid) and (time.sleep(0.1), family()[0])[1] == pid:
        break
with open(looked, "w") as f:
    f.write(sleeping(pid) or "gone\n")
os.read(r, filled)
data = b""
while chunk := os.read(r, 65536):
    data += chunk
sys.stdout.buffer.write(data)
sys.exit(p.wait())
P
held() { # stream command...: its output in $dir/out, its exit status in $status; how it was meanwhile in $dir/looked
    python3 "$dir/held.py" "$1" "$dir/looked" "${@:2}" >"$dir/out" 2>"$dir/err"
    status=$?
}
looked_good() { # the same; gc needs rights to remove
    grep -qE '^NoNewPrivs:[[:space:]]+1$' "$dir/looked" && grep -qE '^Seccomp:[[:space:]]+2$' "$dir/looked" &&
        grep -qE '^CapEff:[[:space:]]+000000000000000[024e]$' "$dir/looked"
}

for command in "list" "list --json" "show web-1" "show --json" "export --format json" \
    'query --vm web-1 {"execute":"query-stats-schemas"}' "check $VMTALLY_DIR/web-1.vmt" "gc" "gc --dry-run"; do
    held stdout vmtally $command
    [ "$status" -eq 0 ] && [ -s "$dir/out" ] && looked_good
    check $? "vmtally ${command% "$VMTALLY_DIR"*}" "status $status; $(cat "$dir/looked" "$dir/err")"
done
held stdout vmtally show web-1 --no-sandbox
[ "$status" -eq 0 ] && [ -s "$dir/out" ] && grep -q '^NoNewPrivs:' "$dir/looked" && ! looked_good
check $? "with --no-sandbox it is not" "status $status; $(cat "$dir/looked")"
echo 'no segment at all, but longer than nothing' >"$VMTALLY_DIR/text.vmt"
held stderr vmtally export --format json -o "$dir/file"
[ "$status" -eq 1 ] && grep -q 'text.vmt: not a vmtally segment' "$dir/out" && looked_good &&
    [ "$(jq -r .name "$dir/file" | tr '\n' ' ')" = "web-1 web-2 " ]
check $? "vmtally export -o: who reads is inside, and the file is written all the same" \
    "status $status; $(cat "$dir/looked" "$dir/out" "$dir/err")"
rm "$VMTALLY_DIR/text.vmt"

vmtally query --vm web-1 --listen "unix:$dir/query" 2>"$dir/err" &
outer=$!
pids="$pids $outer"
until_true 'inner=$(cat "/proc/$outer/task/$outer/children") && in_sandbox ${inner:-none}'
check $? "vmtally query --listen: who answers is inside" "$(status_of ${inner:-none}; cat "$dir/err")"
finder=$(cat "/proc/${inner% }/task/${inner% }/children")
finder_in_sandbox ${finder:-none}
check $? "and who looks at processes for it" "$(status_of ${finder:-none})"
got=$(printf '{"execute":"qmp_capabilities"}{"execute":"query-name"}' | timeout 10 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.stdin.buffer.read())
s.shutdown(socket.SHUT_WR)
while data := s.recv(65536):
    sys.stdout.buffer.write(data)' "$dir/query" | tr -d '\r' | tail -n 1)
[ "$got" = '{"return":{"name":"web-1"}}' ]
check $? "and it answers" "$got"
kill $outer
wait $outer
[ $? -eq 0 ] && [ ! -e "$dir/query" ]
check $? "the socket is removed by who is outside" "$(ls -l "$dir/query"; cat "$dir/err")"

# ---- and they work for others than root ----

chmod 644 "$VMTALLY_DIR"/*.vmt
if [ "$(id -u)" -eq 0 ] && as_nobody test -x "$VMT_BUILD/cli/vmtally" 2>/dev/null; then
    got=$(as_nobody kvmtop --json -n 1 -d 0.2 2>&1 | jq -c '.vms | map([.name, .state])' 2>&1)
    [ "$got" = '[["web-1","live"],["web-2","live"]]' ]
    check $? "kvmtop as nobody" "$got"
    got=$(as_nobody vmtally show web-1 --stat exits 2>&1)
    grep -q '^web-1: live' <<<"$got"
    check $? "vmtally as nobody" "$got"
    chown 65534 "$VMTALLY_DIR/web-2.vmt"
    chmod 600 "$VMTALLY_DIR/web-2.vmt"
    run=$(vmtally show web-2 --stat exits 2>&1)
    grep -q '^web-2 (uid 65534): live' <<<"$run"
    check $? "root still reads what only its owner may" "$run"
else
    echo "ok - as another user # SKIP needs root, and a build directory that nobody may read"
fi

exit $bad
