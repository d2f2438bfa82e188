#!/bin/bash
# SPDX-License-Identifier: MIT
# vmtally forward and collectors that are broken or out to harm: each is given up in time, what is wrong with it is
# said, and whoever comes after it gets all that it did not take, once for each chunk. $VMT_BUILD is the build
# directory.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh" || exit 1
. "$here/forward_steps.sh" || exit 1

# What of samples 1 to N arrived, and was acknowledged: "all", or what is missing; and whether what came twice was the
# same both times.
cat >"$dir/arrived.py" <<'END'
import json
import sys
lines = [json.loads(line) for line in open(sys.argv[1])]
acked = {line["acked"] for line in lines if "acked" in line}
entries, chunks, whats = set(), {}, set()
for line in lines:
    if "acked" in line:
        continue
    if "entries" not in line:
        print(line)
        continue
    if chunks.setdefault(line["chunk"], line["digest"]) != line["digest"]:
        print("chunk", line["chunk"], "came again, and was another")
    for seq, *what in line["entries"]:
        if line["tag"] != "vmtally.forward":
            whats.add(json.dumps(what))
            if line["chunk"] in acked:
                entries.add((seq, json.dumps(what)))
missing = [(seq, what) for seq in range(1, int(sys.argv[2]) + 1) for what in whats if (seq, what) not in entries]
print("missing:", missing[:5]) if missing else print("all" if whats else "nothing")
END

survive() { # name mode times regular-expression argument...: hostile connections, then well ones
    local name=$1 mode=$2 times=$3 regex=$4 secure=

    shift 4
    [[ " $* " != *" --shared-key-file "* ]] || secure=secure
    start_collector "$dir/port" "$python" "$here/hostile_collector.py" "$mode" "$times" "$dir/got" $secure
    start_forward --to "127.0.0.1:$port" --interval 0.1 --count 10 --timeout 1 "$@"
    end_forward
    stop_collector
    result=$("$python" "$dir/../arrived.py" "$dir/got" 10 2>&1)
    [ "$status" -eq 0 ] && [ "$result" = all ] &&
        { [ -z "$regex" ] && [ "$(grep -c . "$dir/err")" -eq 1 ] || has_line "$dir/err" ": $regex"; }
    check $? "$name" "$result
$(shown)"
}

tls() { # name mode: no delivery
    local name=$1

    start_collector "$dir/port" "$python" "$here/hostile_collector.py" "$2" 1000 "$dir/got"
    start_forward --to "127.0.0.1:$port" --interval 0.1 --timeout 1 --tls --tls-insecure
    wait_for "a message" has_line "$dir/err" "127.0.0.1:$port: TLS: "
    end_forward TERM
    stop_collector
    [ "$status" -eq 1 ] && has_line "$dir/err" 'lost what could not be delivered any more'
    check $? "$name" "$(shown)"
}

# They wait most of the time: several at once, each with a directory of its own, told in their order.
batch=0
beside() { # command...
    local own=$dir/$((++batch))

    mkdir "$own"
    (
        dir=$own pids=
        trap 'kill $pids 2>/dev/null' EXIT
        "$@"
    ) >"$own/tap" &
    waiting+=("$!:$own/tap")
    [ "${#waiting[@]}" -lt 6 ] || together
}
together() {
    local one

    for one in "${waiting[@]}"; do
        wait "${one%%:*}"
        cat "${one#*:}"
        ! grep -qE '^(not ok|Bail out)' "${one#*:}" || bad=1
    done
    waiting=()
}
waiting=()
survives() { beside survive "$@"; }

start_fixed web

# ---- what it is sent ----

survives "one that never acknowledges" no_acks 2 'no ack came within 1 s; is it overloaded.*--no-ack'
survives "one that acknowledges another chunk" wrong_ack 2 'it acknowledged a chunk that it was not sent'
survives "one that acknowledges twice" acks_twice 1 'it acknowledged a chunk that it was not sent'
survives "one that floods us with acks" flood_of_acks 2 'it acknowledged a chunk that it was not sent'
survives "one that answers garbage" garbage 2 'what it sent is no message of Fluent Forward'
survives "one that speaks HTTP" http 2 'what it sent is no message of Fluent Forward'
survives "one that begins an ack of a mebibyte" huge_ack 2 'what it sent is no message of Fluent Forward'
survives "one whose map never ends" large_map 2 'it sent a message larger than 64 KiB'
survives "one whose answer is nested without end" deep 2 'what it sent is no message of Fluent Forward'
survives "one that sends an ack byte by byte, without end" drip_ack 2 'no ack came within 1 s'
survives "one that resets the connection" reset 2 '(Connection reset by peer|it closed the connection)'
survives "one that closes at once" closes 2 'it closed the connection|Connection reset by peer|Broken pipe'
survives "one that closes before its ack" closes_unacked 2 \
    'it closed the connection before it acknowledged what was sent'
survives "one that closes its half only" half_closes 2 'it closed the connection before it acknowledged what was sent'
survives "one that closes in the middle of an ack" half_an_ack 2 'it closed the connection in the middle of a message'

counts() { # name: what it has counted of all that
    start_collector "$dir/port" "$python" "$here/hostile_collector.py" no_acks 1 "$dir/got"
    start_forward --to "127.0.0.1:$port" --interval 0.1 --timeout 1
    wait_for "a message" has_line "$dir/err" "delivering to 127.0.0.1:$port\$"
    end_forward TERM
    stop_collector
    counted=$(jq -c '.own | values | .[]' "$dir/got" | tail -n 1)
    [ "$status" -eq 0 ] && [ "$(jq '.connections >= 2 and .connection_failures >= 1 and .chunks_sent_again >= 1' \
        <<<"$counted")" = true ]
    check $? "$1" "$counted
$(shown)"
}
beside counts "failures, and what was sent again, are in the forwarder's record about itself"

# ---- odd, but well ----

survives "one that closes after each ack is no failure" one_each 1000 ''
survives "one that resets the connection after each ack is none either" one_each_reset 1000 ''
survives "acks that come in pieces and with more in them" acks_in_pieces 1000 ''
survives "acks that come in another order" acks_backwards 1 ''

# ---- the handshake ----

echo key >"$dir/key"
chmod 600 "$dir/key"
key=(--shared-key-file "$dir/key" --hostname agent)
survives "one that wants a connection for each chunk gets that" no_keepalive 1000 '' "${key[@]}"
survives "one that sends HELO byte by byte, without end" drip_helo 2 'it asks for no shared key' "${key[@]}"
survives "one that does not answer PING" no_pong 2 'it did not answer PING in time' "${key[@]}"
survives "one with a wrong digest gets nothing" wrong_digest 2 'it did not show that it has the shared key' "${key[@]}"
survives "one without a digest gets nothing" no_digest 2 'it did not show that it has the shared key' "${key[@]}"
survives "one that gives our digest back gets nothing" reflected 2 'it has the same host name' "${key[@]}"
survives "one that refuses with a terminal's escapes" refuses 2 'it refused us: no\?\[31m\?thanks x+; look at' "${key[@]}"
survives "one that begins with PONG" pong_alone 2 'it did not begin with HELO' "${key[@]}"

# ---- TLS ----

beside tls "TLS with one that says nothing" never_reads
beside tls "TLS with one that speaks HTTP" http
beside tls "TLS with one that closes" closes
together

# ---- one that takes nothing, and much to send ----

survives_wide() { # name mode regular-expression
    rm -f "$dir/got"
    start_collector "$dir/port" "$python" "$here/hostile_collector.py" "$2" 1000 "$dir/got"
    start_forward --to "127.0.0.1:$port" --interval 0.1 --timeout 1 --queue 16M wide
    wait_for "a message" has_line "$dir/err" 'the queue is full: dropped [0-9]+ chunks? with [0-9]+ records'
    wait_for "a message" has_line "$dir/err" "127.0.0.1:$port: $3"
    samples() {
        kill -USR1 "$forward" && sed -n 's/.* 1 VM, \([0-9]*\) sample.*/\1/p' "$dir/err" | tail -1 | grep .
    }
    sampled() { [ "$(samples)" -gt "$1" ]; }
    wait_for "a status" samples >/dev/null
    now=$(samples)
    wait_for "samples" sampled $((now + 15))
    anonymous=$(awk '/^RssAnon:/ { print $2 }' "/proc/$forward/status")
    [ "$anonymous" -lt 25000 ]
    check $? "$1: sampling goes on, memory is bounded, what is dropped is said" "RssAnon $anonymous kB
$(shown)"
    SECONDS=0
    end_forward TERM
    [ "$status" -eq 1 ] && [ "$SECONDS" -lt 30 ] && has_line "$dir/err" 'lost what could not be delivered any more: '
    check $? "$1: it ends when told to, with what was lost" "$SECONDS s
$(shown)"
    stop_collector
}
start_wide 3000
survives_wide "one that accepts and never reads" never_reads 'it did not take what was sent in time'
survives_wide "one that reads a few bytes now and then" drip_reads 'it did not take what was sent in time'

# ---- more than the queue holds, and then one that takes all ----

start_forward --to "unix:$dir/later" --interval 0.5 --queue 4M wide
wait_for "a message" has_line "$dir/err" 'the queue is full: dropped [0-9]+ chunks? with [0-9]+ records'
start_collector "$dir/port" "$python" "$here/forward_sink.py" --unix "$dir/later" --discard "$dir/got"
all_delivered() {
    kill -USR1 "$forward" && tail -n 1 "$dir/err" | grep -q 'delivered [1-9].* waiting 0 chunks'
}
wait_for "an empty queue" all_delivered
end_forward TERM
stop_collector
[ "$status" -eq 0 ] && has_line "$dir/err" '^vmtally: dropped in all: [1-9]' && ! has_line "$dir/err" 'lost what could'
check $? "without --count what a full queue dropped is said, and is no failure" "$(shown)"

# ---- the process that reads ----

rm -f "$dir/got"
start_collector "$dir/port" "$python" "$here/hostile_collector.py" well 0 "$dir/got"
start_forward --to "127.0.0.1:$port" --interval 0.1 --timeout 10 web
wait_for "records" has_line "$dir/got" '"entries": \[\[5,'
read -r reader _ <"/proc/$forward/task/$forward/children"
kill -KILL "$reader"
end_forward
stop_collector
result=$("$python" "$dir/arrived.py" "$dir/got" 5 2>&1)
[ "$status" -eq 1 ] && [ "$result" = all ] && has_line "$dir/err" 'the process that reads segments has ended' &&
    ! has_line "$dir/err" lost && has_line "$dir/got" '"tag": "vmtally.forward"'
check $? "when it is killed what it had handed over is delivered, and that is a failure" "$result
$(shown)"

# ---- nobody there ----

start_forward --to "127.0.0.1:1" --interval 0.1 --count 2 --timeout 1 web
end_forward
[ "$status" -eq 1 ] && has_line "$dir/err" '127.0.0.1:1: (connection refused|no connection)' &&
    has_line "$dir/err" 'lost what could not be delivered any more: [0-9]+ chunks? with [1-9]'
check $? "with --count it does not wait for ever" "$(shown)"
start_forward --to "does-not-exist.invalid:1" --interval 0.1 --timeout 1 web
wait_for "a message" has_line "$dir/err" 'does-not-exist.invalid:1: .'
end_forward INT
[ "$status" -eq 1 ]
check $? "a host that is not there is said, and SIGINT ends it" "$(shown)"
start_collector "$dir/port" "$python" -c '
import socket, time
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(0)
held = [socket.socket() for _ in range(8)]
for h in held:
    h.setblocking(False)
    h.connect_ex(s.getsockname())
print("port", s.getsockname()[1], flush=True)
time.sleep(3600)'
start_forward --to "127.0.0.1:$port" --interval 0.1 --timeout 1 web
wait_for "a message" has_line "$dir/err" "127.0.0.1:$port: no connection within 1 s"
end_forward TERM
stop_collector
[ "$status" -eq 1 ]
check $? "one that accepts nothing is given up in time" "$(shown)"
exit $bad
