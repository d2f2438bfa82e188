#!/bin/bash
# SPDX-License-Identifier: MIT
# The systemd units: that systemd takes them, that they are as confined as they can be, and that what runs under such
# settings still sees the VMs of others. $VMT_BUILD is the build directory.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh" || exit 1

units=$here/../../cli/services
until_true() { # command: at most 60 seconds
    for _ in $(seq 600); do
        eval "$1" && return
        sleep 0.1
    done
    return 1
}

for unit in forward serve; do
    sed "s,@bindir@,$(dirname "$program"),; s,@sysconfdir@,/etc," "$units/vmtally-$unit.service.in" \
        >"$dir/vmtally-$unit.service"
done
cp "$units/vmtally-serve.socket" "$dir"

# ---- what systemd says of them ----

if command -v systemd-analyze >/dev/null; then
    got=$(cd "$dir" && SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no --recursive-errors=no \
        ./vmtally-forward.service ./vmtally-serve.service ./vmtally-serve.socket 2>&1)
    [ $? -eq 0 ] && [ -z "$(grep vmtally <<<"$got")" ]
    check $? "systemd takes the units without a warning" "$got"
    sed 's/^WatchdogSec/WatchdogSecs/' "$dir/vmtally-serve.service" >"$dir/vmtally-wrong.service"
    got=$(cd "$dir" && systemd-analyze verify --man=no ./vmtally-wrong.service 2>&1)
    grep -q WatchdogSecs <<<"$got"
    check $? "and would not take a wrong one" "$got"
    while read -r unit most; do
        got=$(cd "$dir" && systemd-analyze security --offline=true --threshold="$most" --no-pager \
            "./vmtally-$unit.service" 2>&1)
        check $? "vmtally-$unit is exposed to at most $most of 100" "$(tail -n 3 <<<"$got")"
    done <<END
forward 25
serve 18
END
else
    skip "systemd takes the units" "systemd-analyze is not installed"
fi

# ---- they run ----

reason=
[ "$(id -u)" -eq 0 ] || reason="needs root"
[ -n "$reason" ] || unshare -m true 2>/dev/null || reason="no mount namespace may be made here"
[ -n "$reason" ] || command -v systemd-analyze >/dev/null || reason="systemd-analyze is not installed"
[ -n "$reason" ] || setpriv --reuid=61184 --regid=61184 --clear-groups test -x "$program" 2>/dev/null ||
    reason="the build directory is not for everybody"
if [ -n "$reason" ]; then
    for unit in forward serve; do
        skip "vmtally-$unit sees the VMs of others under its unit's settings" "$reason"
    done
    exit $bad
fi

start_fixed web-1
chown 65533 "$segments/web-1.vmt" 2>/dev/null # another user's, with the directory: trusted, but not for everybody
chown 65533 "$segments"
chmod 700 "$segments"
chmod 600 "$segments/web-1.vmt"
kernel=
if kvm_works; then
    "$python" "$here/kvm_vm.py" held:1 >"$dir/kernel" 2>&1 </dev/null &
    kernel_pid=$!
    pids="$pids $!"
    until_true 'grep -q ready "$dir/kernel"' &&
        kernel=$(vmtally list --json 2>/dev/null | jq -r ".[] | select(.pid == $kernel_pid).name")
    [ -n "$kernel" ]
    check $? "there is a VM that has never heard of vmtally" "$(cat "$dir/kernel")"
fi

start_unit() { # unit NAME=VALUE...: until it is ready; its log is $dir/UNIT.log
    local unit=$1

    shift
    : >"$dir/$unit.log"
    : >"$dir/$unit.out"
    "$python" "$here/under_unit.py" "$dir/vmtally-$unit.service" "$dir/$unit.log" "VMTALLY_DIR=$segments" "$@" \
        >>"$dir/$unit.out" 2>&1 &
    service=$!
    pids="$pids $service"
    until_true "grep -qE 'READY=1|^status' '$dir/$unit.log'"
    grep -q 'READY=1' "$dir/$unit.log"
    check $? "vmtally-$unit says that it is ready" "$(story "$unit")"
}

story() { # unit: what there is to say about it
    tail -n 20 "$dir/$1.log" "$dir/$1.out"
}

confined() { # unit: user, no new privileges, filters of its own, capabilities: of its processes, each kind once
    local all pid

    all=$(sed -n 's/^pid //p' "$dir/$1.log")
    all+=" $(cat "/proc/$all/task/$all/children")"
    for pid in $all; do
        [ "$pid" = "${all%% *}" ] || all+=" $(cat "/proc/$pid/task/$pid/children")"
    done
    for pid in $all; do
        awk -v f=4 '/^Uid:/ { u = $2 } /^NoNewPrivs:/ { n = $2 } /^Seccomp_filters:/ { f = $2 } /^CapEff:/ { c = $2 }
            END { print u, n, f - 3, c }' "/proc/$pid/status" # 3: under_unit.py's
    done | sort -u
}

# Who speaks to the network has no capability; who sees segments can read all files; who finds VMs looks at processes,
# too.
rights='61184 1 1 0000000000000000
61184 1 1 0000000000000004
61184 1 1 0000000000080004'

ready() { grep -c 'READY=1' "$dir/$1.log"; } # unit: how often it has been

restart_unit() { # unit: its reader is killed
    local before pid
    before=$(ready "$1")
    pid=$(sed -n 's/^pid //p' "$dir/$1.log" | tail -n 1)
    kill -KILL "$(awk '{ print $1 }' "/proc/$pid/task/$pid/children")"
    until_true "[ \$(ready '$1') -gt $before ]" && grep -q '^status 1$' "$dir/$1.log"
    check $? "vmtally-$1 is started again when a process of it fails" "$(story "$1")"
}

stop_unit() { # unit
    local before

    before=$(ready "$1")
    kill -HUP "$service"
    until_true "[ \$(ready '$1') -gt $before ]" && grep -q 'RELOADING=1' "$dir/$1.log" && grep -q '^reload 0$' "$dir/$1.log"
    check $? "vmtally-$1 reloads" "$(story "$1")"
    until_true "grep -q 'WATCHDOG=1' '$dir/$1.log'"
    check $? "vmtally-$1 feeds the watchdog" "$(story "$1")"
    : >"$dir/$1.out" # what it says from here on
    kill -TERM "$service"
    wait "$service"
    [ $? -eq 0 ] && grep -q 'STOPPING=1' "$dir/$1.log" && grep -q '^told 1$' "$dir/$1.log" &&
        ! grep -q 'has ended' "$dir/$1.out"
    check $? "vmtally-$1 ends when it is told to, and tells its other processes itself" "$(story "$1")"
}

wrong_options() { # unit variable
    : >"$dir/wrong.log"
    timeout 60 "$python" "$here/under_unit.py" "$dir/vmtally-$1.service" "$dir/wrong.log" "$2=--nosuch" \
        >"$dir/wrong.out" 2>&1
    [ $? -eq 2 ] && [ "$(grep -c '^pid ' "$dir/wrong.log")" -eq 1 ]
    check $? "vmtally-$1 is not started again with options that are wrong" "$(story wrong)"
}

probed() { # unit: system calls that it needs not are forbidden
    local got

    got=$("$python" "$here/under_unit.py" "$dir/vmtally-$1.service" "$dir/probe.log" --probe 2>&1 | sort | tr '\n' ' ')
    [ "$got" = "fchownat EPERM keyctl EPERM mlock EPERM setuid EPERM " ]
    check $? "vmtally-$1 may not do what it needs not" "$got"
}

for unit in forward serve; do
    probed "$unit"
    wrong_options "$unit" "VMTALLY_${unit^^}"
done

# A collector: prints what comes as lines of tag, vm, id, provider.
cat >"$dir/collector.py" <<'END'
import gzip, msgpack, socket, sys
server = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[1], "w") as f:
    print(server.getsockname()[1], file=f)
while True:
    peer, _ = server.accept()
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, max_buffer_size=1 << 26)
    while data := peer.recv(65536):
        unpacker.feed(data)
        for tag, entries, options in unpacker:
            if options.get("compressed") == "gzip":
                entries = gzip.decompress(entries)
            records = msgpack.Unpacker(raw=False, max_buffer_size=1 << 26)
            records.feed(entries)
            for time, record in records:
                print(tag, record, flush=True)
            if "chunk" in options:
                peer.sendall(msgpack.packb({"ack": options["chunk"]}))
END
"$python" "$dir/collector.py" "$dir/port" >"$dir/collected" 2>"$dir/collector.err" &
pids="$pids $!"
until_true '[ -s "$dir/port" ]'
start_unit forward WATCHDOG=2 "VMTALLY_FORWARD=--to 127.0.0.1:$(cat "$dir/port") --interval 0.5"
until_true 'grep -q web-1 "$dir/collected"'
check $? "vmtally-forward forwards what somebody else's VM counts" \
    "$(story forward; head -c 500 "$dir/collected" "$dir/collector.err")"
if [ -n "$kernel" ]; then
    until_true "grep -qE \"'vm': '\$kernel'.*'provider': 'kvm'\" '$dir/collected'"
    check $? "and what the kernel counts of a VM that knows nothing of it" \
        "$(story forward; head -c 500 "$dir/collected")"
else
    skip "and what the kernel counts of a VM that knows nothing of it" "no VM can be made here"
fi
got=$(confined forward)
[ "$got" = "$rights" ]
check $? "each of its processes has the rights that it needs, and no more" "$got"
restart_unit forward
stop_unit forward

start_unit serve WATCHDOG=2 --socket
port=$(sed -n 's/^port //p' "$dir/serve.log")
curl -sS --max-time 60 "http://127.0.0.1:$port/metrics" >"$dir/metrics" 2>"$dir/curl.err"
grep -q 'vm="web-1"' "$dir/metrics"
check $? "vmtally-serve serves what somebody else's VM counts, on the socket that it is given" \
    "$(story serve; cat "$dir/curl.err"; head -c 500 "$dir/metrics")"
got=$(confined serve)
[ "$got" = "$rights" ]
check $? "each of its processes has the rights that it needs, and no more" "$got"
"$python" - "$port" >"$dir/many" 2>&1 <<'END'
import socket, sys
port = int(sys.argv[1])
many = [socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(f"127.0.0.{2 + i // 30}", 0))
        for i in range(60)]
for s in many:
    s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
for s in many:
    assert s.recv(12) == b"HTTP/1.1 200"
END
check $? "it has room for all who may connect" "$(story serve; cat "$dir/many")"
restart_unit serve
stop_unit serve

exit $bad
