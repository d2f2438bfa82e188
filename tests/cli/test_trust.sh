#!/bin/bash
# SPDX-License-Identifier: MIT
# What the commands say of segments that are not what they seem: somebody else's, set aside, taken over, full, hostile.
# $VMT_BUILD is the build directory; without it the commands are looked for in PATH.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1

[ -z "${VMT_BUILD:-}" ] || PATH=$VMT_BUILD/cli:$VMT_BUILD/lib/examples:$PATH
program=$(command -v vmtally) && command -v kvmtop minivmm >/dev/null || {
    echo "Bail out! vmtally, kvmtop and minivmm are not in \$VMT_BUILD ('${VMT_BUILD:-}'), nor in PATH"
    exit 1
}
for python in /usr/bin/python3 python3; do # Debian's, which has python3-msgpack, before another
    "$python" -c 'import msgpack' 2>/dev/null && break
done
library=$(dirname "$program")/../lib/libvmtally.so
export VMTALLY_DIR LC_ALL=C.UTF-8 TERM=xterm-256color
VMTALLY_DIR=$(mktemp -d /dev/shm/vmtally-test.XXXXXX) || exit 1
segments=$VMTALLY_DIR
mine=64999  # two users that nobody is
other=64998
own=/dev/shm/vmtally-$mine
pids=
trap '[ -z "$pids" ] || kill $pids 2>/dev/null; wait 2>/dev/null
    rm -rf "${dir:?}" "${segments:?}" ${made_own:+"$own"}' EXIT
chmod 755 "$segments" "$dir"

run() { # command...: its output in $dir/out and $dir/err, its exit status in $status
    "$@" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
}

shown() { # what the last run printed and said
    head -c 2000 "$dir/out" | cat -v
    head -c 2000 "$dir/err" | cat -v
}

start() { # name [directory]: a VM, until its segment is there; its process is $started
    local at=${2:-$segments}

    VMTALLY_DIR=$at minivmm --simulate --vcpus 1 --plug 0 --seconds 0 --name "$1" >/dev/null 2>"$dir/vm.err" &
    started=$!
    pids="$pids $started"
    for _ in $(seq 200); do
        [ -e "$at/$1.vmt" ] && return
        sleep 0.05
    done
    echo "Bail out! $1 did not start: $(cat "$dir/vm.err")"
    exit 1
}

as() { # uid command...
    setpriv --reuid="$1" --regid="$1" --clear-groups -- "${@:2}"
}

# ---- somebody else's ----

start web-1
web_pid=$started
sleep 0.3
if [ "$(id -u)" -eq 0 ] && as $mine test -x "$program" 2>/dev/null && as $mine test -r "$library" && mkdir "$own"; then
    made_own=1
    chown $mine "$own"
    chmod 1777 "$segments"
    start theirs
    chown $other:$other "$segments/theirs.vmt"
    cp "$segments/web-1.vmt" "$segments/copy.vmt" # its name and identity are web-1's
    chown $other:$other "$segments/copy.vmt"
    chmod 644 "$segments"/*.vmt

    run vmtally list
    [ "$status" -eq 0 ] && grep -qE "^web-1 +root +$web_pid +live " "$dir/out" &&
        grep -qE "^web-1 \(uid $other\) +$other +[0-9]+ +died .*/copy.vmt$" "$dir/out" &&
        grep -qE "^theirs \(uid $other\) +$other +[0-9]+ +live " "$dir/out"
    check $? "list shows who owns each, and what is somebody else's as such" "$(shown)"
    run vmtally list --json
    [ "$(jq -c 'map([.name, .uid, .foreign])' "$dir/out")" = \
        "[[\"web-1\",$other,true],[\"theirs\",$other,true],[\"web-1\",0,false]]" ]
    check $? "list --json: uid and foreign" "$(shown)"
    run vmtally show web-1 --stat vcpus
    [ "$status" -eq 0 ] && [ "$(grep -c '^web-1' "$dir/out")" = 1 ] && grep -q "^web-1: live, pid $web_pid," "$dir/out"
    check $? "a copy with its name does not answer for a VM" "$(shown)"
    run vmtally show "web-1 (uid $other)" --stat vcpus
    [ "$status" -eq 0 ] && grep -q "^web-1 (uid $other): died" "$dir/out"
    check $? "by its whole title it does" "$(shown)"
    run vmtally show theirs --json
    [ "$status" -eq 0 ] && [ "$(jq -c '[.name, .uid, .foreign]' "$dir/out")" = "[\"theirs\",$other,true]" ]
    check $? "a name that only somebody else has is shown, as his" "$(shown)"

    mv "$segments/web-1.vmt" "$segments/jail.vmt"
    mv "$segments/copy.vmt" "$segments/web-1.vmt"
    run vmtally show web-1 --stat vcpus
    [ "$status" -eq 0 ] && [ "$(grep -c '^web-1' "$dir/out")" = 1 ] && grep -q "^web-1: live, pid $web_pid," "$dir/out"
    check $? "nor does one whose file has the name, where a trusted segment says it is its own" "$(shown)"
    run vmtally export --format json web-1
    [ "$status" -eq 0 ] && [ "$(jq -c '[.pid, .foreign]' "$dir/out")" = "[$web_pid,false]" ]
    check $? "the same for export" "$(shown)"
    : >"$segments/broken.vmt"
    mv "$segments/web-1.vmt" "$dir/copy.vmt"
    yes 'not a segment' | head -c 9000 >"$segments/web-1.vmt"
    chown $other:$other "$segments/web-1.vmt"
    run vmtally show web-1 --stat vcpus
    [ "$status" -eq 0 ] && [ ! -s "$dir/err" ] && grep -q "^web-1: live, pid $web_pid," "$dir/out"
    check $? "a broken file of that name hinders nobody" "$(shown)"
    rm "$segments/web-1.vmt" "$segments/broken.vmt"
    mv "$segments/jail.vmt" "$segments/web-1.vmt"
    mv "$dir/copy.vmt" "$segments/copy.vmt"
    chown $other:$other "$segments/copy.vmt"

    # From the other side: what is root's, and what the directory's owner has, is trusted; another user's is not.
    run as $mine vmtally list --json
    [ "$(jq -c 'map([.name, .foreign])' "$dir/out")" = '[["web-1",true],["theirs",true],["web-1",false]]' ]
    check $? "a user trusts root" "$(shown)"
    chown $other "$segments"
    run as $mine vmtally list --json
    [ "$(jq -c 'map([.name, .foreign])' "$dir/out")" = '[["web-1",false],["theirs",false],["web-1",false]]' ]
    check $? "and the owner of the directory, where a VMM of his keeps its segments" "$(shown)"
    chown root "$segments"

    # Two directories, each with a web-1: XDG_RUNTIME_DIR's is everybody's.
    mkdir -p "$segments/run/vmtally"
    chmod 755 "$segments/run"
    chmod 1777 "$segments/run/vmtally"
    cp "$segments/web-1.vmt" "$segments/run/vmtally/web-1.vmt"
    cp "$segments/web-1.vmt" "$own/web-1.vmt"
    chown $other "$segments/run/vmtally/web-1.vmt"
    chown $mine "$own/web-1.vmt"
    two() { env -u VMTALLY_DIR XDG_RUNTIME_DIR="$segments/run" setpriv --reuid=$mine --regid=$mine --clear-groups -- "$@"; }
    run two kvmtop --json -n 1 -d 0.1
    [ "$(jq -c '.vms | map([.name, .uid, .foreign])' "$dir/out")" = "[[\"web-1\",$mine,false],[\"web-1\",$other,true]]" ]
    check $? "kvmtop --json: uid and foreign" "$(shown)"
    run two kvmtop -b -n 1 -d 0.1
    [ "$status" -eq 0 ] && grep -q "^2 VMs: 2 died  1 foreign " "$dir/out" && grep -qE '^- web-1 +[0-9]+ died ' "$dir/out" &&
        grep -qE "^- web-1 \(uid $other\) +[0-9]+ died " "$dir/out"
    check $? "kvmtop shows whose they are" "$(shown)"
    run two kvmtop --csv -n 1 -d 0.1
    [ "$(cut -d , -f 3,4 "$dir/out" | grep ',$' | sort -u)" = "web-1 (uid $other),
web-1," ]
    check $? "and so does its CSV" "$(shown)"
    run two kvmtop --json -n 1 -d 0.1 web-1
    [ "$status" -eq 0 ] && [ "$(jq -c '.vms | map(.foreign)' "$dir/out")" = "[false]" ]
    check $? "asked for by name, the trusted one comes alone" "$(shown)"
    run two vmtally show web-1 --json
    [ "$status" -eq 0 ] && [ "$(jq -c .foreign "$dir/out")" = false ]
    check $? "in vmtally too" "$(shown)"
    run two kvmtop --json -n 1 -d 0.1 "web-1 (uid $other)"
    [ "$status" -eq 0 ] && [ "$(jq -c '.vms | map(.foreign)' "$dir/out")" = "[true]" ]
    check $? "by its title, the other one" "$(shown)"
    rm -r "${segments:?}/run" "$own"

    # A directory for all, as vmtally(1) says to make it: what may be done there, and what not.
    run as $other rm -f "$segments/web-1.vmt"
    [ "$status" -ne 0 ] && [ -e "$segments/web-1.vmt" ]
    check $? "sticky: nobody removes what is another's" "$(shown)"
    VMTALLY_DIR=$segments run as $other minivmm --simulate --vcpus 1 --seconds 0.3 --name web-1
    [ "$status" -ne 0 ] && vmtally show web-1 --stat vcpus | grep -q "^web-1: live, pid $web_pid,"
    check $? "nor takes the name of a VM that runs" "$(shown)"
    # not by as(): its process is to be the one that is ended
    VMTALLY_DIR=$segments setpriv --reuid=$other --regid=$other --clear-groups -- \
        minivmm --simulate --vcpus 1 --seconds 0 --name new >/dev/null 2>&1 &
    pids="$pids $!"
    for _ in $(seq 100); do [ -e "$segments/new.vmt" ] && break; sleep 0.05; done
    [ "$(stat -c '%a %u' "$segments/new.vmt")" = "640 $other" ]
    check $? "a new segment is its VMM's, mode 0640" "$(ls -ln "$segments")"
    run as $mine vmtally show new
    [ "$status" -eq 1 ] && grep -q "new.vmt: permission denied; run as root, or join the group" "$dir/err"
    check $? "others can't read it" "$(shown)"
    run setpriv --reuid=$mine --regid=$mine --groups=$other -- vmtally show new --stat vcpus
    [ "$status" -eq 0 ] && grep -q "^new (uid $other): live" "$dir/out"
    check $? "its group can" "$(shown)"
    mkdir "$segments/group"
    chgrp $other "$segments/group"
    chmod 2775 "$segments/group"
    start grouped "$segments/group"
    [ "$(stat -c '%a %g' "$segments/group/grouped.vmt")" = "640 $other" ]
    check $? "in a directory with the set-group-id bit it has the directory's group" "$(ls -ln "$segments/group")"
    rm -f "$segments/copy.vmt"
    chmod 755 "$segments"
else
    echo "ok - files of other users # SKIP needs root, and a build directory that everybody may read"
fi

# ---- taken over, set aside, full ----

cat >"$dir/vm.py" <<'P'
import ctypes, os, sys
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
class Options(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("name", c_char_p), ("dir", c_char_p), ("path", c_char_p), ("fd", c_int),
                ("max_sources", c_uint32), ("max_bytes", c_uint64), ("fixed_bytes", c_uint64), ("labels", c_void_p),
                ("heartbeat_interval_ns", c_uint64), ("mode", c_uint32), ("keep", c_uint32),
                ("any_filesystem", c_uint32), ("resume", c_uint32), ("why", c_void_p), ("why_size", c_size_t)]
lib = ctypes.CDLL(sys.argv[1])
lib.vmt_shard_acquire.restype = c_void_p
vcpu = byref(c_void_p.in_dll(lib, "vmt_schema_vcpu"))
segment, source = c_void_p(), c_void_p()
o = Options(struct_size=ctypes.sizeof(Options), name=sys.argv[2].encode(), max_sources=3, resume=1)
r = lib.vmt_segment_create(byref(o), byref(segment))
if r:
    sys.exit(f"create: {r}")
for i in range(int(sys.argv[3])):
    lib.vmt_source_add(segment, vcpu, None, b"vcpu-%d" % i, byref(source))
lib.vmt_count(source, 0, c_uint64(10))
lib.vmt_segment_ready(segment)
print("ready", flush=True)
sys.stdin.read()
os.kill(os.getpid(), 9)
P
rounds() { # name times sources: so many writers, one after the other, each killed
    for _ in $(seq "$2"); do
        "$python" "$dir/vm.py" "$library" "$1" "$3" </dev/null >"$dir/ready" 2>"$dir/vm.err"
        grep -q ready "$dir/ready" || echo "# $(cat "$dir/vm.err")"
    done 2>/dev/null
}
rounds again 3 1
run vmtally list --json
[ "$(jq -c '.[] | select(.name == "again") | [.state, .restarts, .dropped_sources]' "$dir/out")" = '["died",2,0]' ]
check $? "list --json counts restarts" "$(shown)"
run vmtally list
[ "$status" -eq 0 ] && grep -qE '^again +[a-z]+ +[0-9]+ +died +1 +segment +2 ' "$dir/out" && ! grep -q DROPPED "$dir/out"
check $? "list shows them" "$(shown)"
run vmtally show again --stat exits
grep -qE '^  exits +30 ' "$dir/out"
check $? "and what was counted before is there" "$(shown)"
run kvmtop -b -n 1 -d 0.1 again
grep -q '^1 VM: 1 died  1 restarted' "$dir/out" && grep -qE '^- again +[0-9]+ died, restarted ' "$dir/out"
check $? "kvmtop marks and counts it" "$(shown)"
rounds full 1 5
run vmtally list
[ "$status" -eq 0 ] && head -1 "$dir/out" | grep -qE ' AGE +DROPPED +FILE$' &&
    grep -qE '^full .* 3 sources +/' "$dir/out" && grep -qE '^web-1 .* - +/' "$dir/out"
check $? "list shows what was dropped" "$(shown)"
run vmtally list --json
[ "$(jq -c '.[] | select(.name == "full") | [.sources, .dropped_sources, .dropped_shards, .shards_torn]' "$dir/out")" = \
    '[2,3,0,0]' ]
check $? "and so does list --json" "$(shown)"
run kvmtop -b -n 1 -d 0.1 full
grep -q '^1 VM: 1 died  1 dropped' "$dir/out" && grep -qE '^- full +[0-9]+ died, dropped ' "$dir/out"
check $? "and kvmtop" "$(shown)"
rm "$segments/full.vmt"
printf '\000\000\000\000' | dd of="$segments/again.vmt" bs=1 seek=108 conv=notrunc status=none # no room for sources
rounds again 1 1
run vmtally list
[ "$status" -eq 0 ] && grep -qE '^again +[a-z]+ +[0-9]+ +died +1 +segment +0 ' "$dir/out" &&
    grep -qE '^again~1 +[a-z]+ +- +damaged .*/again~1.vmt$' "$dir/out"
check $? "what a new writer set aside is listed as what it is" "$(shown)"
cp "$segments/again.vmt" "$segments/again~2.vmt"
run vmtally show again --stat exits
[ "$status" -eq 0 ] && [ "$(grep -c '^again' "$dir/out")" = 1 ] && grep -q '^again: died' "$dir/out"
check $? "and never answers for the VM" "$(shown)"
rm "$segments/again.vmt"
run vmtally show again --stat exits
[ "$status" -eq 1 ] && grep -q "no such VM: again" "$dir/err"
check $? "not even where there is no other" "$(shown)"
run vmtally show again~2 --stat exits
[ "$status" -eq 0 ] && grep -q '^again~2: damaged' "$dir/out"
check $? "but for itself" "$(shown)"
rm "$segments"/again*.vmt

# ---- hostile texts ----

name=$("$python" "$here/hostile.py" name; echo .)
name=${name%.}
sleep 0.5
"$python" "$here/hostile.py" write "$segments/web-1.vmt"
cp "$segments/web-1.vmt" "$segments/$name 1.vmt"
yes 'not a segment' | head -c 9000 >"$segments/$name 2.vmt"
: >"$segments/=1+1.vmt"

harmless() { # how name: of what the last run printed and said
    local said

    said="nothing hostile was shown"
    cat "$dir/out" "$dir/err" | grep -aq OWNED && said=$("$python" "$here/hostile.py" "$1" "$dir/out" 2>&1) &&
        { [ ! -s "$dir/err" ] || said=$("$python" "$here/hostile.py" text "$dir/err" 2>&1); }
    check $? "$2" "status $status; $said"
}

run vmtally list
harmless text "vmtally list"
[ "$(wc -l <"$dir/out")" = $(($(ls -U "$segments"/*.vmt --zero | tr -dc '\0' | wc -c) + 1)) ]
check $? "a line a file" "$(shown)"
run vmtally list --json
harmless json "vmtally list --json"
run vmtally show
harmless text "vmtally show"
run vmtally show --shards
harmless text "vmtally show --shards"
run vmtally show --json
harmless json "vmtally show --json"
run vmtally show --json --stat '*'
harmless json "vmtally show --json with a glob"
run vmtally export --format json
harmless json "vmtally export --format json"
run vmtally export --format msgpack
harmless msgpack "vmtally export --format msgpack"
run vmtally export --format msgpack --full
harmless msgpack "vmtally export --format msgpack --full"
run vmtally check "$segments"/*.vmt
harmless text "vmtally check"
run vmtally gc --dry-run
harmless text "vmtally gc"
run vmtally show "$name"
echo >"$dir/out"
harmless text "what is said of such a name"
run kvmtop -b -n 2 -d 0.2
harmless text "kvmtop -b"
run kvmtop --json -n 2 -d 0.2
harmless json "kvmtop --json"
run kvmtop --csv -n 2 -d 0.3
harmless csv "kvmtop --csv"
run kvmtop -b -n 1 -d 0.1 "$segments/$name 1.vmt" "$segments/$name 2.vmt"
harmless text "kvmtop of such a path"
said=$("$python" "$here/hostile.py" terminal kvmtop -d 0.2 2>&1)
check $? "kvmtop in a terminal" "$said"

exit $bad
