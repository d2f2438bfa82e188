#!/bin/bash
# SPDX-License-Identifier: MIT
# vmtally forward and a collector that is not ours: what FluentServer of @fluent-org/logger received is compared with the
# snapshot, value by value. $VMT_BUILD is the build directory, $VMT_NODE_MODULES has the package.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh" || exit 1
. "$here/forward_steps.sh" || exit 1

if ! command -v node >/dev/null || [ ! -d "${VMT_NODE_MODULES:-}/@fluent-org/logger" ]; then
    skip "what a FluentServer receives" \
        "needs node, and @fluent-org/logger in \$VMT_NODE_MODULES ('${VMT_NODE_MODULES:-}')"
    exit 0
fi

start_server() { # configuration [name]: sets $collector, $port, and $got, the directory of what it receives
    got=$dir/${2:-got}
    [ -n "${2:-}" ] || rm -rf "$got"
    mkdir -p "$got"
    start_collector "$got/port" node "$here/fluent_server.js" "$1" "$got"
}

received() { # [argument...]: what the collector has, as one line in $line
    line=$("$python" "$here/forward_received.py" "$got" "$@" 2>&1)
}

# A whole mode: the collector, three samples, all of them there and right.
delivers() { # name configuration messages-regex argument...
    local name=$1 regex=$3

    start_server "$2"
    shift 3
    run vmtally forward --to "127.0.0.1:$port" --interval 0.1 --count 3 "$@"
    wait_for "the last record" has_line "$got/entries.$collector" '"vmtally.forward"'
    stop_collector
    if [[ " $* " == *" string "* ]]; then
        received "$dir/document" --strings
    else
        received "$dir/document"
    fi
    [ "$status" -eq 0 ] && [[ $line =~ $regex ]] && [[ $line == *" doubles=0 samples=1-3 gaps=0 drops=0 "*"values=same" ]]
    check $? "$name" "$line
$(shown)"
}

# No delivery: it says why, and ends when told to, with what was lost.
says_why() { # name configuration regular-expression argument...
    local name=$1 regex=$3

    start_server "$2"
    shift 3
    start_forward --to "127.0.0.1:$port" --interval 0.1 --timeout 1 "$@"
    wait_for "a message" has_line "$dir/err" "127.0.0.1:$port: .*$regex"
    end_forward TERM
    stop_collector
    [ "$status" -eq 1 ] && has_line "$dir/err" 'lost what could not be delivered any more' &&
        [ ! -s "$got/entries.$collector" ]
    check $? "$name" "$(shown)
$(head -c 300 "$got/entries.$collector")"
}

start_fixed web
vmtally export --format json web >"$dir/document" || {
    echo "Bail out! no document"
    exit 1
}

# ---- modes ----

every='^messages=([0-9]+) gzip=0 ack=\1 '
delivers "what was received is what was counted, with acks" '{}' "$every"
delivers "without acks no message asks for one" '{}' '^messages=[0-9]+ gzip=0 ack=0 ' --no-ack
delivers "compressed" '{}' '^messages=([0-9]+) gzip=\1 ack=\1 ' --gzip
delivers "compressed without acks" '{}' '^messages=([0-9]+) gzip=\1 ack=0 ' --gzip --no-ack
delivers "integers as strings" '{}' "$every" --u64 string

echo "a secret of many words" >"$dir/key"
echo "another secret" >"$dir/other"
chmod 600 "$dir/key" "$dir/other"
secured='{"security": {"serverHostname": "collector", "sharedKey": "a secret of many words"}}'
users='{"security": {"serverHostname": "collector", "sharedKey": "a secret of many words", "authorize": true,
         "userDict": {"alice": "another secret"}}}'
key=(--shared-key-file "$dir/key" --hostname agent)
delivers "with a shared key" "$secured" "$every" "${key[@]}"
delivers "with a shared key, compressed, without acks" "$secured" ' ack=0 ' "${key[@]}" --gzip --no-ack
delivers "with a shared key and a user" "$users" "$every" "${key[@]}" --user alice --password-file "$dir/other"

says_why "a wrong key delivers nothing, and is named" "$secured" 'it refused us: .*mismatch.*--shared-key-file' \
    --shared-key-file "$dir/other" --hostname agent
says_why "a wrong password, too" "$users" 'it refused us: username/password mismatch; .*--password-file' \
    "${key[@]}" --user alice --password-file "$dir/key"
says_why "a user that is not given" "$users" 'it refused us: .*--user' "${key[@]}"
says_why "a key that is asked for and not given" "$secured" 'asks for a shared key; give it with --shared-key-file'
says_why "the same without acks loses nothing unsaid" "$secured" 'asks for a shared key; give it with --shared-key-file' \
    --no-ack
says_why "a key that is given and not asked for" '{}' 'it asks for no shared key \(no HELO came\)' "${key[@]}"
says_why "a host name that is the collector's" "$secured" '--hostname' \
    --shared-key-file "$dir/key" --hostname collector

# ---- TLS ----

if command -v openssl >/dev/null; then
    (
        cd "$dir" || exit 1
        authority() { # name
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
                -keyout "$1.key" -out "$1.pem"
        }
        certificate() { # name authority extensions
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
                -keyout "$1.key" -out "$1.csr" &&
                openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 2 -out "$1.pem" \
                    -extfile <(echo "$3")
        }
        authority ca && authority stranger &&
            certificate server ca "subjectAltName=DNS:collector.test,IP:127.0.0.1" &&
            certificate named ca "subjectAltName=DNS:collector.test" &&
            certificate client ca "extendedKeyUsage=clientAuth"
    ) >"$dir/openssl" 2>&1 || {
        echo "Bail out! no certificates: $(tail -3 "$dir/openssl" | tr '\n' ' ')"
        exit 1
    }
    tls_of() { # certificate rest: of a server
        echo "{\"tls\": {\"key\": \"$dir/$1.key\", \"cert\": \"$dir/$1.pem\" ${2:-}} ${3:-}}"
    }
    ca=(--tls --tls-ca "$dir/ca.pem")
    delivers "over TLS, to an address that is in the certificate" "$(tls_of server)" "$every" "${ca[@]}"
    delivers "over TLS, to a name that is in the certificate" "$(tls_of named)" "$every" "${ca[@]}" \
        --tls-name collector.test
    delivers "over TLS with shared key and user, compressed" "$(tls_of server "" ", ${users:1:-1}")" ' gzip=' \
        "${ca[@]}" "${key[@]}" --user alice --password-file "$dir/other" --gzip
    delivers "over TLS, with a certificate of ours" "$(tls_of server ", \"ca\": \"$dir/ca.pem\"")" "$every" \
        "${ca[@]}" --tls-cert "$dir/client.pem" --tls-key "$dir/client.key"
    delivers "over TLS without verifying, where that is asked for" "$(tls_of named)" "$every" --tls --tls-insecure
    says_why "a certificate of an authority not trusted" "$(tls_of server)" 'issuer is unknown.*--tls-ca' \
        --tls --tls-ca "$dir/stranger.pem"
    says_why "the system's authorities do not know it either" "$(tls_of server)" \
        '(issuer is unknown|no certificates)' --tls
    says_why "a certificate of another name" "$(tls_of named)" 'does not match.*--tls-name' "${ca[@]}"
    says_why "a certificate of ours that is wanted and not given" "$(tls_of server ", \"ca\": \"$dir/ca.pem\"")" \
        '--tls-cert' "${ca[@]}"
    says_why "a collector whose TLS is older than 1.2" "$(tls_of server ', "options": {"minVersion": "TLSv1.1",
        "maxVersion": "TLSv1.1", "ciphers": "DEFAULT:@SECLEVEL=0"}')" 'TLS: .*(protocol|version|alert)' "${ca[@]}"
    says_why "TLS to a collector without it" '{}' 'TLS' "${ca[@]}"
    says_why "a collector with TLS, and we without" "$(tls_of server)" 'TLS'

    guesses() { # name mode tls-or-nothing regular-expression argument...: what one that closes might want
        start_collector "$dir/closing" "$python" "$here/hostile_collector.py" "$2" 1000 "$dir/taken" $3
        start_forward --to "127.0.0.1:$port" --interval 0.1 --timeout 1 "${@:5}"
        wait_for "a message" has_line "$dir/err" "127.0.0.1:$port: it closed the connection $4\$"
        end_forward TERM
        stop_collector
        [ "$status" -eq 1 ] && [ "$(grep -c 'does it want TLS' "$dir/err")" -eq "$([ -n "$3" ]; echo $?)" ]
        check $? "$1" "$(shown)"
    }
    with_tls=tls=$dir/server.pem:$dir/server.key unacked='before it acknowledged what was sent'
    ours=(--tls-cert "$dir/client.pem" --tls-key "$dir/client.key")
    guesses "one that closes may want TLS" closes "" 'at once; does it want TLS\?' --no-ack
    guesses "one that has it may want a certificate of ours" closes "$with_tls" \
        'at once; does it want a certificate \(--tls-cert\)\?' --no-ack "${ca[@]}"
    guesses "before its ack, too" closes_unacked "$with_tls" \
        "$unacked; does it want a certificate \(--tls-cert\)\?" "${ca[@]}"
    guesses "and with all that there is a log to look at" closes_unacked "$with_tls" "$unacked; look at its log" \
        "${ca[@]}" "${ours[@]}"
else
    skip "over TLS" "needs openssl"
fi

# ---- other ways there ----

if [ -s /proc/net/if_inet6 ]; then
    start_server '{"listen": {"host": "::1", "port": 0}}'
    run vmtally forward --to "[::1]:$port" --interval 0.1 --count 3
    wait_for "the last record" has_line "$got/entries.$collector" '"vmtally.forward"'
    stop_collector
    received "$dir/document"
    [ "$status" -eq 0 ] && [[ $line == *" samples=1-3 gaps=0 drops=0 "*"values=same" ]]
    check $? "to an IPv6 address" "$line
$(shown)"
else
    skip "to an IPv6 address" "this machine has none"
fi

start_server '{}'
run vmtally forward --to "localhost:$port" --interval 0.1 --count 3
wait_for "the last record" has_line "$got/entries.$collector" '"vmtally.forward"'
stop_collector
received "$dir/document"
[ "$status" -eq 0 ] && [[ $line == *" samples=1-3 gaps=0 drops=0 "*"values=same" ]]
check $? "to a name whose first address may be one where nobody listens" "$line
$(shown)"

# ---- Unix sockets; killed and restarted ----

start_server "{\"listen\": {\"path\": \"$dir/socket\"}}"
run vmtally forward --to "unix:$dir/socket" --interval 0.1 --count 3
wait_for "the last record" has_line "$got/entries.$collector" '"vmtally.forward"'
stop_collector
received "$dir/document"
[ "$status" -eq 0 ] && [[ $line == *" samples=1-3 gaps=0 drops=0 "*"values=same" ]]
check $? "to a Unix socket" "$line
$(shown)"

rm -rf "$dir/killed"
start_server "{\"listen\": {\"path\": \"$dir/socket2\"}}" killed
start_forward --to "unix:$dir/socket2" --interval 0.1 --count 60
for at in 5 20 35; do
    wait_for "a record" grep -qs "\"seq\":$at," "$got/entries.$collector"
    stop_collector KILL
    rm -f "$dir/socket2"
    wait_for "a message" has_line "$dir/err" "socket2: .*(closed|no such socket|refused|reset|Broken pipe)"
    start_server "{\"listen\": {\"path\": \"$dir/socket2\"}}" killed
done
end_forward
wait_for "the last record" has_line "$got/entries.$collector" '"vmtally.forward"'
stop_collector
received "$dir/document" --killed
[ "$status" -eq 0 ] && [[ $line == *" samples=1-60 gaps=0 drops=0 dropped=0 values=same" ]]
check $? "a collector killed and restarted three times in mid-stream gets every record" "$line
$(shown)"
last=$(sed -n '/"vmtally.forward"/h; $ { x; p }' "$got/entries.$collector")
[ "$(jq '.record | .c.connections >= 4 and .c.bytes_delivered > .c.records_delivered and .c.records_delivered > 100 and
    .g.sample_ns > 0 and .g.vms == 1' <<<"$last")" = true ]
check $? "and what it took for that is in the forwarder's record about itself" "$last"

# ---- several ----

start_server '{}' second
second=$collector second_port=$port
start_server '{}' first
start_forward --to "127.0.0.1:$port" --to "127.0.0.1:$second_port" --interval 0.1
wait_for "a message" has_line "$dir/err" "delivering to 127.0.0.1:$port\$"
wait_for "a record" has_line "$got/entries.$collector" '"seq":3,'
[ ! -s "$dir/second/entries.$second" ]
check $? "the first of several gets all while it is there" "$(head -c 1000 "$dir/second/entries.$second")"
stop_collector KILL
wait_for "a message" has_line "$dir/err" "delivering to 127.0.0.1:$second_port\$"
wait_for "a record" has_line "$dir/second/entries.$second" '"seq":[1-9][0-9]'
end_forward TERM
collector=$second
stop_collector
[ "$status" -eq 0 ] && ! grep -q lost "$dir/err"
check $? "when it dies the next one gets what is left, and it is said which" "$(shown)"
mkdir "$dir/both"
cp "$dir"/first/raw.* "$dir"/first/entries.* "$dir"/second/raw.* "$dir"/second/entries.* "$dir/both"
got=$dir/both
received "$dir/document" --killed
[[ $line == *" gaps=0 drops=0 dropped=0 values=same" ]]
check $? "and both together have every record" "$line"

# ---- signals ----

start_server "$secured"
cp "$dir/other" "$dir/changing"
start_forward --to "127.0.0.1:$port" --interval 0.1 --shared-key-file "$dir/changing" --hostname agent
wait_for "a message" has_line "$dir/err" 'it refused us'
cp "$dir/key" "$dir/changing"
kill -HUP "$forward"
wait_for "a message" has_line "$dir/err" "delivering to 127.0.0.1:$port\$"
wait_for "a record" has_line "$got/entries.$collector" '"seq":'
check 0 "SIGHUP reads a key anew"
rm "$dir/changing"
kill -HUP "$forward"
wait_for "a message" has_line "$dir/err" "$dir/changing"
before=$(wc -l <"$got/entries.$collector")
more() { [ "$(wc -l <"$got/entries.$collector")" -gt "$before" ]; }
wait_for "more records" more
check 0 "a key file that is gone leaves what was read before in use"
kill -USR1 "$forward"
wait_for "a status" has_line "$dir/err" \
    "to 127.0.0.1:$port; 1 VM, [0-9]+ samples? .*delivered [0-9]+ chunks with [0-9]+ records .*dropped 0 chunks"
check 0 "SIGUSR1 says where it is at"
end_forward TERM
wait_for "the last record" has_line "$got/entries.$collector" '"vmtally.forward"'
stop_collector
received "$dir/document"
[ "$status" -eq 0 ] && [[ $line == *" samples=1-"*" gaps=0 drops=0 dropped=0 values=same" ]]
check $? "SIGTERM delivers what waits, and ends well" "$line
$(shown)"

start_server "{\"listen\": {\"path\": \"$dir/socket-b\"}}"
other=$collector
start_forward --to "unix:$dir/socket-a" --to "unix:$dir/socket-b" --interval 0.1
wait_for "a message" has_line "$dir/err" 'delivering to unix:.*/socket-b$'
start_server "{\"listen\": {\"path\": \"$dir/socket-a\"}}" preferred
kill -HUP "$forward"
wait_for "a message" has_line "$dir/err" 'delivering to unix:.*/socket-a$'
end_forward TERM
stop_collector
collector=$other
stop_collector
[ "$status" -eq 0 ]
check $? "SIGHUP goes back to the first of several" "$(shown)"

# ---- more than the queue holds ----

start_wide 3000
start_forward --to "unix:$dir/socket3" --interval 0.1 --count 30 --queue 4M wide
wait_for "a message" has_line "$dir/err" 'the queue is full: dropped [0-9]+ chunks? with [0-9]+ records'
start_server "{\"listen\": {\"path\": \"$dir/socket3\"}}"
end_forward
wait_for "the last record" has_line "$got/entries.$collector" '"vmtally.forward"'
stop_collector
received
said=$(sed -n 's/.*dropped in all: [0-9]* chunks\? with \([0-9]*\) records.*/\1/p' "$dir/err")
[ "$status" -eq 1 ] && [[ $line == *" doubles=0 "*" drops=0 dropped=$said" ]] && [ "${said:-0}" -gt 0 ]
check $? "what was dropped is what was not received, to the record" "$line
$(shown)"
exit $bad
