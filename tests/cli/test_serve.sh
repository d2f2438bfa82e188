#!/bin/bash
# SPDX-License-Identifier: MIT
# vmtally serve from outside: what it answers, to whom, and what those who mean no good can do.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh"
. "$here/serving.sh"
command -v curl >/dev/null || {
    skip "vmtally serve" "curl is not installed"
    exit 0
}

# ---- usage ----

run vmtally serve --listen nonsense
says "an address without a port is wrong usage" 2 "listen needs ADDR:PORT .* not 'nonsense'"
run vmtally serve --listen 127.0.0.1:65536
says "a port has 16 bits" 2 "listen needs ADDR:PORT"
run vmtally serve --listen ::1:9959
says "an IPv6 address needs brackets" 2 "listen needs ADDR:PORT .*\[::1\]:9959"
run vmtally serve --tls-cert cert.pem
says "a certificate needs its key" 2 "tls-cert needs its private key"
run vmtally serve --tls-client-ca ca.pem
says "certificates of clients need TLS" 2 "tls-client-ca is for TLS"
run vmtally serve --listen 192.0.2.1:0
says "an address of another host" 1 '^vmtally: 192\.0\.2\.1:0: no address of this host'
run vmtally serve --listen "unix:$dir/err"
says "a file in place of a socket" 1 '^vmtally: .*/err: is there already, and is no socket'
run vmtally serve --listen 127.0.0.1:0 --auth-file "$dir/nobody"
says "users that are not there" 1 "^vmtally: $dir/nobody: no such file"
printf '# people\nrita\n' >"$dir/users"
run vmtally serve --listen 127.0.0.1:0 --auth-file "$dir/users"
says "a user without a hash" 1 "^vmtally: $dir/users, line 2: not USER:HASH"
echo 'rita:secret' >"$dir/users"
run vmtally serve --listen 127.0.0.1:0 --auth-file "$dir/users"
says "a password in place of its hash" 1 "^vmtally: $dir/users, line 1: .*htpasswd"
: >"$dir/users"
run vmtally serve --listen 127.0.0.1:0 --auth-file "$dir/users"
says "nobody in the file" 1 "^vmtally: $dir/users: no users in it"

# ---- formats ----

start_fixed fixed
start_serve --listen 127.0.0.1:0
[[ $url =~ ^http://127\.0\.0\.1:[1-9][0-9]*/metrics$ ]]
check $? "port 0 is one that is free, and said" "$(cat "$dir/serve.err")"
run vmtally serve --listen "${served#http://}"
says "a port that is taken" 1 "^vmtally: ${served#http://}: somebody listens there already"

get "$url"
[ "$code" = 200 ] && [ "$(header content-type)" = 'text/plain; version=0.0.4; charset=utf-8' ] && ! grep -q '# EOF' "$dir/body"
check $? "without a wish it is Prometheus' text" "$(answered)"
get -H "$openmetrics" "$url"
[ "$code" = 200 ] && [ "$(header content-type)" = 'application/openmetrics-text; version=1.0.0; charset=utf-8' ] &&
    [ "$(tail -n 1 "$dir/body")" = '# EOF' ]
check $? "to Prometheus it is OpenMetrics" "$(answered)"
for accept in 'application/openmetrics-text;q=0, */*' 'text/plain, application/openmetrics-text;q=0.9' 'application/json' '*/*' \
    'application/openmetrics-text;version=2.0.0' 'application/openmetrics-text;q=junk'; do
    get -H "Accept: $accept" "$url"
    [ "$code" = 200 ] && [ "$(header content-type)" = 'text/plain; version=0.0.4; charset=utf-8' ]
    check $? "Accept: $accept is text" "$(answered)"
done
for accept in 'application/openmetrics-text' 'Application/OpenMetrics-Text; Version="1.0.0"; charset=utf-8' \
    'text/plain;q=0.5, application/openmetrics-text;q=0.9' 'application/*'; do
    get -H "Accept: $accept" "$url"
    [ "$code" = 200 ] && [[ $(header content-type) = application/openmetrics-text* ]]
    check $? "Accept: $accept is OpenMetrics" "$(answered)"
done
get -H 'Accept: text/plain;q=0.5' -H 'Accept: application/openmetrics-text' "$url"
[[ $(header content-type) = application/openmetrics-text* ]]
check $? "two headers are one list" "$(answered)"

for format in "$openmetrics" 'Accept: text/plain'; do
    get -H "$format" "$url"
    grep -qE '^kvmtop_vcpu_exits_total\{[^}]*vm="fixed"[^}]*\} 9007199254740993$' "$dir/body" &&
        grep -qE '^kvmtop_vcpu_exit_other_total\{[^}]*\} 18446744073709551615$' "$dir/body"
    check $? "values are exact above 2^53 (${format:0:30})" "$(answered)"
done

get -H 'Accept-Encoding: gzip' "$url"
[ "$(header content-encoding)" = gzip ] && [ "$(header content-length)" = "$(stat -c %s "$dir/body")" ] &&
    gzip -dc "$dir/body" 2>/dev/null | grep -q '^kvmtop_vcpu_exits_total{' && [ "$(header vary)" = 'Accept, Accept-Encoding' ]
check $? "gzip where it is accepted" "$(answered)"
for accept in 'gzip;q=0' 'deflate, br' 'identity, gzip;q=0.5'; do
    get -H "Accept-Encoding: $accept" "$url"
    [ -z "$(header content-encoding)" ] && grep -q '^kvmtop_vcpu_exits_total{' "$dir/body"
    check $? "Accept-Encoding: $accept is not compressed" "$(answered)"
done

# ---- paths and methods ----

get "$served/healthz"
[ "$code" = 200 ] && [ "$(cat "$dir/body")" = ok ]
check $? "/healthz is ok" "$(answered)"
get "$served/"
[ "$code" = 200 ] && [[ $(header content-type) = text/html* ]] && grep -q 'href="/metrics"' "$dir/body"
check $? "/ leads to /metrics" "$(answered)"
get "$served/other"
[ "$code" = 404 ]
check $? "what is not there is not found" "$(answered)"
get -I "$url"
[ "$code" = 200 ] && [ "$(header content-length)" -gt 100 ]
check $? "HEAD is answered without a body" "$(answered)"
for method in POST PUT DELETE PATCH OPTIONS; do
    get -X "$method" -d data "$url"
    [ "$code" = 405 ] && [ "$(header allow)" = 'GET, HEAD' ]
    check $? "$method is not allowed" "$(answered)"
done
get -X GET -d "$(head -c 20000 /dev/zero | tr '\0' x)" "$url"
[ "$code" = 200 ]
check $? "a body that nobody wants is passed over" "$(answered)"

# ---- sharing ----

threads() { find "/proc/$serve/task" -mindepth 1 -maxdepth 1 | wc -l; }
all_wait() { [ "$(threads)" -ge $((idle + 20)) ]; }
all_gone() { [ "$(threads)" -le 3 ]; }

get_fresh "$url"
before=$(value kvmtop_exporter_samples_total)
until_true all_gone
idle=$(threads)
later
kill -STOP "$reader"
for i in $(seq 20); do
    if [ $((i % 2)) -eq 0 ]; then accept=$openmetrics; else accept='Accept: text/plain'; fi
    curl -s --max-time 60 --noproxy '*' -o "$dir/share.$i" -w '%{http_code}\n' -H "$accept" -H 'X-Prometheus-Scrape-Timeout-Seconds: 60' \
        "$url" >"$dir/code.$i" &
    curls[i]=$!
done
until_true all_wait
waiting=$?
kill -CONT "$reader"
wait "${curls[@]}"
later
[ "$waiting" -eq 0 ] && [ "$(cat "$dir"/code.* | sort | uniq -c | awk '{ print $1, $2 }')" = '20 200' ]
check $? "scrapes at the same time are all answered" "$(cat "$dir"/code.* | sort | uniq -c)"
get "$url"
after=$(value kvmtop_exporter_samples_total)
# One for all 20; one for the last; and where this machine is slow, few more.
[ -n "$before" ] && [ -n "$after" ] && [ $((after - before)) -ge 1 ] && [ $((after - before)) -le 5 ]
check $? "scrapes at the same time share a snapshot, also in two formats" "samples $before, then $after"
rm -f "$dir"/share.* "$dir"/code.*

get_fresh "$url"
[ "$(value kvmtop_exporter_vms)" = 1 ] && [ "$(value kvmtop_exporter_unreadable_vms)" = 0 ] &&
    [ "$(value kvmtop_exporter_scrapes_total)" -gt 20 ] && [ "$(value kvmtop_exporter_sent_bytes_total)" -gt 1000 ]
check $? "it counts itself" "$(answered)"
positive() { awk -v name="$1" '$1 == name && $2 > 0 { n++ } END { exit n != 1 }' "$dir/body"; }
positive kvmtop_exporter_sample_duration_seconds && positive kvmtop_exporter_cpu_seconds_total &&
    awk -v now="$(date +%s)" '$1 == "kvmtop_exporter_start_time_seconds" && $2 <= now + 1 && $2 > now - 3600 { n++ } END { exit n != 1 }' \
        "$dir/body"
check $? "and the time that it takes" "$(grep '^kvmtop_exporter' "$dir/body")"

# ---- a reader that hangs ----

later
kill -STOP "$reader"
get -H 'X-Prometheus-Scrape-Timeout-Seconds: 1' "$url"
[ "$code" = 503 ] && grep -q 'has not answered in time' "$dir/body"
check $? "a scrape while the reader hangs ends when Prometheus would give up" "$(answered)"
get "$served/healthz"
[ "$code" = 503 ]
check $? "/healthz says that it hangs" "$(answered)"
get "$served/"
[ "$code" = 200 ]
check $? "others are answered meanwhile" "$(answered)"
kill -CONT "$reader"
healthy() { get "$served/healthz" && [ "$code" = 200 ]; }
until_true healthy && get "$url" && [ "$code" = 200 ]
check $? "it answers again when the reader does" "$(answered)"

# ---- VMs that come and go ----

vm=$started
start_fixed second
get_fresh "$url"
grep -q '^kvmtop_vcpu_exits_total{.*vm="second"' "$dir/body"
check $? "a VM that comes is in the next scrape" "$(answered)"
kill -KILL "$started"
wait "$started" 2>/dev/null
get_fresh "$url"
! grep -q '^kvmtop_vcpu_exits_total{.*vm="second"' "$dir/body" && grep -q '^kvmtop_vcpu_exits_total{.*vm="fixed"' "$dir/body"
check $? "the series of a VM that was killed end, those of others go on" "$(answered)"
grep -q '^kvmtop_vm_up{.*vm="second".* 0$' "$dir/body"
check $? "and that it is gone is said" "$(answered)"
rm -f "$segments/second.vmt"

# ---- texts that mean harm ----

evil=$("$python" "$here/hostile.py" name)
cp "$segments/fixed.vmt" "$segments/$evil.vmt"
"$python" "$here/hostile.py" write "$segments/$evil.vmt"
for format in "$openmetrics" 'Accept: text/plain'; do
    get_fresh -H "$format" "$url"
    [ "$code" = 200 ] && grep -qE '^kvmtop_vcpu_exits_total\{[^}]*vm="fixed"[^}]*\} 9007199254740993$' "$dir/body" &&
        "$python" "$here/hostile.py" text "$dir/body" >"$dir/found" 2>&1
    check $? "names that mean harm are harmless (${format:0:30})" "$(cat "$dir/found")
$(answered)"
done
rm -f "$segments/$evil.vmt"
for i in 1 2 3; do
    head -c $((i * 5000)) /dev/urandom >"$segments/junk-$i.vmt"
done
get_fresh "$url"
[ "$code" = 200 ] && grep -q '^kvmtop_vcpu_exits_total{.*vm="fixed"' "$dir/body" && [ "$(value kvmtop_exporter_unreadable_vms)" = 3 ]
check $? "files that can't be read are counted, and hinder nobody" "$(answered)"
get_fresh "$url"
[ "$(grep -c 'junk-1.vmt (and 2 more): not a vmtally segment' "$dir/serve.err")" -eq 1 ]
check $? "and are said once" "$(cat "$dir/serve.err")"
rm -f "$segments"/junk-*.vmt

# ---- clients that mean harm ----

"$python" - "${served##*:}" "$serve" >"$dir/harm" 2>&1 <<'END'
import http.client, os, socket, sys, time
port, pid = int(sys.argv[1]), int(sys.argv[2])

def connect(source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", port), timeout=90, source_address=(source, 0))

def scrape(source):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=90, source_address=(source, 0))
    c.request("GET", "/metrics")
    r = c.getresponse()
    return r.status, len(r.read())

def reply(data):
    s = connect()
    try:
        s.sendall(data)
        return s.recv(100)
    except OSError:
        return b""

def memory():
    with open(f"/proc/{pid}/status") as f:
        return next(int(l.split()[1]) for l in f if l.startswith("VmRSS"))

for what in (b"\0" * 4000, b"GET\r\n\r\n", b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0",
             b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 50000 + b"\r\n", b"GET /metrics HTTP/9.9\r\n\r\n",
             b"GET /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
             b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: " + b"a;q=1," * 4000 + b"\r\n\r\n"):
    answer = reply(what + b"\r\n\r\n")
    assert not answer or answer.startswith(b"HTTP/1."), (what[:30], answer)
assert scrape("127.0.0.1")[0] == 200

# More than one host may have, each a byte now and then: others are served, and none of these stays.
slow = []
for _ in range(60):
    s = connect()
    s.sendall(b"GET /metrics HTTP/1.1\r\n")
    slow.append(s)
before = memory()
assert scrape("127.0.0.2")[0] == 200, "nobody else is served"
deadline = time.monotonic() + 60
while slow and time.monotonic() < deadline:
    for s in list(slow):
        try:
            s.sendall(b"X")
            s.settimeout(0.001)
            if not s.recv(10):
                slow.remove(s)
        except TimeoutError:
            pass
        except OSError:
            slow.remove(s)
    time.sleep(0.2)
assert not slow, f"{len(slow)} that send a byte now and then are still connected"
assert scrape("127.0.0.1")[0] == 200
assert memory() < before + 50000, (before, memory())
END
check $? "clients that mean harm hold nothing for long, and keep nobody out" "$(cat "$dir/harm")
$(cat "$dir/serve.err")"
get_fresh "$url"
[ "$(value kvmtop_exporter_refused_total)" -ge 28 ]
check $? "and are counted" "$(answered)"

# ---- the two processes ----

grep -q "$segments" "/proc/$reader/maps" && ! grep -q "$segments" "/proc/$serve/maps"
check $? "the server sees no segment, the reader does" "$(grep "$segments" "/proc/$serve/maps")"
[ "$(find "/proc/$reader/fd" -lname 'socket:*' | wc -l)" -le 2 ] # the channel, and the one to who looks at the host
check $? "the reader has no socket to the network" "$(ls -l "/proc/$reader/fd")"
get_fresh "$url"
before=$(value kvmtop_exporter_kernel_looks_failed_total)
looker=$(pgrep -P "$reader" | head -n 1)
[ -z "$looker" ] || kill -KILL "$looker"
get_fresh "$url"
after=$(value kvmtop_exporter_kernel_looks_failed_total)
[ "$code" = 200 ] && [ -n "$before" ] && [ "${after:-0}" -gt "$before" ]
check $? "samples without the kernel's counters are counted" "failed $before, then $after; process $looker"
kill -KILL "$reader"
wait "$serve"
status=$?
[ "$status" -eq 1 ] && grep -q 'the process that reads segments was ended by signal 9' "$dir/serve.err"
check $? "without its reader it ends, and says why" "exit status $status
$(cat "$dir/serve.err")"
start_serve --listen 127.0.0.1:0
end_serve
[ "$status" -eq 0 ] && until_true ended "$reader"
check $? "SIGTERM ends both" "exit status $status
$(cat "$dir/serve.err")"

# ---- a directory that may not be read ----

limited=() # root without what lets it read all
[ "$(id -u)" -ne 0 ] || limited=(setpriv --bounding-set -dac_read_search,-dac_override)
if "${limited[@]}" true 2>/dev/null; then
    mkdir "$dir/closed"
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nexec %s "%s" "$@"\n' "${limited[*]}" "$program" >"$dir/limited"
    chmod 755 "$dir/limited"
    program=$dir/limited start_serve --listen 127.0.0.1:0 --dir "$dir/closed"
    get "$served/healthz"
    [ "$code" = 200 ]
    check $? "/healthz is ok where there is no VM yet" "$(answered)"
    chmod 0 "$dir/closed"
    get_fresh "$served/healthz"
    [ "$code" = 503 ] && grep -q "^$dir/closed: permission denied" "$dir/body"
    check $? "/healthz says that VMs can't be looked for, though nobody scrapes" "$(answered)"
    get_fresh "$url"
    [ "$code" = 503 ] && grep -q "^$dir/closed: permission denied" "$dir/body"
    check $? "as a scrape does" "$(answered)"
    get_fresh "$served/healthz"
    [ "$code" = 503 ] && [ "$(grep -c "$dir/closed: permission denied" "$dir/serve.err")" -eq 1 ]
    check $? "and it is said once" "$(answered)"
    chmod 755 "$dir/closed"
    get_fresh "$served/healthz"
    [ "$code" = 200 ]
    check $? "/healthz is ok when they can be looked for again, before anybody scrapes" "$(answered)"
    get "$url"
    [ "$code" = 200 ] && [ "$(grep -c "scrapes can be answered again" "$dir/serve.err")" -eq 1 ]
    check $? "as a scrape is" "$(answered)"
    end_serve
else
    skip "/healthz says that VMs can't be looked for" "capabilities can't be dropped here"
fi

# ---- what is served ----

start_serve --listen 127.0.0.1:0 --stat exits --source vm/vcpu-1 fixed
get "$url"
[ "$(grep -c '^kvmtop_vcpu_' "$dir/body")" -eq 1 ] && grep -qE '^kvmtop_vcpu_exits_total\{.*\} 5$' "$dir/body"
check $? "VMs, sources and statistics are chosen" "$(answered)"
! grep -q 'matches' "$dir/serve.err"
check $? "and nothing is said of those that match" "$(answered)"
end_serve
start_serve --listen 127.0.0.1:0 --source 'nosuch*'
get "$url"
get_fresh "$url"
[ "$code" = 200 ] && [ "$(grep -c "no source matches 'nosuch\*' yet" "$dir/serve.err")" -eq 1 ]
check $? "a --source that nothing matches is said once" "$(answered)"
end_serve
start_serve --listen 127.0.0.1:0 --stat nosuch --source 'vm/vcpu-*'
get "$url"
get_fresh "$url"
[ "$code" = 200 ] && [ "$(grep -c 'matches' "$dir/serve.err")" -eq 1 ] && grep -q "no statistic matches 'nosuch' yet" "$dir/serve.err"
check $? "and a --stat" "$(answered)"
end_serve
start_serve --listen 127.0.0.1:0 absent
get "$url"
[ "$code" = 200 ] && [ "$(value kvmtop_exporter_vms)" = 0 ] && grep -q "no VM 'absent' yet" "$dir/serve.err"
check $? "a VM that is not there yet is waited for" "$(answered)"
end_serve

# ---- who may ----

echo "rita:$(openssl passwd -6 secret)" >"$dir/users"
start_serve --listen 127.0.0.1:0 --auth-file "$dir/users"
get "$url"
[ "$code" = 401 ] && [[ $(header www-authenticate) = 'Basic realm="vmtally"'* ]]
check $? "who says no password is asked for it" "$(answered)"
for user in rita:wrong nobody:secret rita: :secret 'rita:secret '; do
    get -u "$user" "$url"
    [ "$code" = 401 ]
    check $? "'$user' is not let in" "$(answered)"
done
get -H 'Authorization: Basic !!!' "$url"
[ "$code" = 401 ]
check $? "what is no base64 is not let in" "$(answered)"
for _ in 1 2; do
    get_fresh -u rita:secret "$url"
    [ "$code" = 200 ] && grep -q '^kvmtop_vcpu_exits_total{' "$dir/body"
    check $? "user and password are let in" "$(answered)"
done
[ "$(value kvmtop_exporter_refused_total)" = 7 ]
check $? "those that were not let in are counted" "$(answered)"
get "$served/healthz"
[ "$code" = 200 ]
check $? "/healthz needs no password" "$(answered)"
echo "rita:$(openssl passwd -6 other)" >"$dir/users"
kill -HUP "$serve"
until_true grep -q ': reloaded$' "$dir/serve.err"
get -u rita:secret "$url"
[ "$code" = 401 ] && get -u rita:other "$url" && [ "$code" = 200 ]
check $? "SIGHUP: users are read again" "$(answered)"
echo "rita" >"$dir/users"
kill -HUP "$serve"
until_true grep -q ': not reloaded' "$dir/serve.err"
get -u rita:other "$url"
[ "$code" = 200 ] && grep -q "$dir/users, line 1: not USER:HASH" "$dir/serve.err"
check $? "SIGHUP: users that are wrong are said, and those of before may" "$(answered)"
end_serve
echo "rita:$(openssl passwd -6 other)" >"$dir/users"

start_serve --listen :0
grep -q '\[*.*\]*:[0-9]*: whoever reaches this address can read' "$dir/serve.err"
check $? "an address for all without a password is warned of" "$(cat "$dir/serve.err")"
get "http://127.0.0.1:${served##*:}/metrics"
[ "$code" = 200 ]
check $? "all addresses are IPv4's, too" "$(answered)"
end_serve
start_serve --listen :0 --auth-file "$dir/users"
grep -q ': passwords go over the network as they are' "$dir/serve.err"
check $? "passwords without TLS are warned of" "$(cat "$dir/serve.err")"
end_serve

if "$python" -c 'import socket; socket.create_server(("::1", 0), family=socket.AF_INET6)' 2>/dev/null; then
    start_serve --listen '[::1]:0'
    get -g "$url"
    [[ $url = http://\[::1\]:* ]] && [ "$code" = 200 ] && ! grep -q 'whoever' "$dir/serve.err"
    check $? "IPv6's loopback" "$(answered)"
    end_serve
else
    skip "IPv6's loopback" "there is no IPv6 here"
fi

# ---- TLS ----

certificate() { # name subject [openssl's arguments...]: $dir/name.key and $dir/name.pem
    local name=$1 subject=$2
    shift 2
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "$subject" \
        -keyout "$dir/$name.key" -out "$dir/$name.pem" "$@" 2>"$dir/openssl.err"
}
certificate ca /CN=ca -addext keyUsage=keyCertSign
certificate server /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1
certificate newer /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=client -keyout "$dir/client.key" \
    -out "$dir/client.csr" 2>"$dir/openssl.err"
printf 'extendedKeyUsage=clientAuth\n' >"$dir/client.ext"
openssl x509 -req -in "$dir/client.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
    -extfile "$dir/client.ext" -out "$dir/client.pem" 2>"$dir/openssl.err"

run vmtally serve --listen 127.0.0.1:0 --tls-cert "$dir/server.pem" --tls-key "$dir/client.key"
says "a key of another certificate" 1 "^vmtally: $dir/client\.key: not the key of the certificate in $dir/server\.pem"
run vmtally serve --listen 127.0.0.1:0 --tls-cert "$dir/server.key" --tls-key "$dir/server.key"
says "a key in place of a certificate" 1 "^vmtally: $dir/server\.key: no certificate in PEM"
openssl pkey -in "$dir/server.key" -aes256 -passout pass:x -out "$dir/locked.key"
run vmtally serve --listen 127.0.0.1:0 --tls-cert "$dir/server.pem" --tls-key "$dir/locked.key"
says "a key with a password" 1 "^vmtally: $dir/locked\.key: has a password"

cp "$dir/server.pem" "$dir/tls.pem"
cp "$dir/server.key" "$dir/tls.key"
start_serve --listen 127.0.0.1:0 --tls-cert "$dir/tls.pem" --tls-key "$dir/tls.key" --auth-file "$dir/users"
[[ $url = https://127.0.0.1:* ]]
check $? "with a certificate it is https" "$url"
get -u rita:other --cacert "$dir/server.pem" "$url"
[ "$code" = 200 ]
check $? "TLS with a password" "$(answered)"
get --cacert "$dir/server.pem" --tls-max 1.1 "$served/healthz"
[ "$code" = 000 ]
check $? "TLS older than 1.2 is refused" "$(answered)"
get "http${served#https}/metrics"
[ "$code" = 000 ]
check $? "without TLS there is no answer" "$(answered)"
cp "$dir/newer.pem" "$dir/tls.pem"
kill -HUP "$serve"
until_true grep -q ': not reloaded' "$dir/serve.err"
get -u rita:other --cacert "$dir/server.pem" "$url"
[ "$code" = 200 ]
check $? "SIGHUP with half of a new pair keeps the old one" "$(answered)"
cp "$dir/newer.key" "$dir/tls.key"
kill -HUP "$serve"
until_true grep -q ': reloaded$' "$dir/serve.err"
get -u rita:other --cacert "$dir/newer.pem" "$url"
[ "$code" = 200 ]
check $? "SIGHUP: the certificate is read again" "$(answered)"
get -u rita:other --cacert "$dir/server.pem" "$url"
[ "$code" = 000 ]
check $? "and the old one is not shown any more" "$(answered)"
end_serve

start_serve --listen 127.0.0.1:0 --tls-cert "$dir/server.pem" --tls-key "$dir/server.key" --tls-client-ca "$dir/ca.pem"
get --cacert "$dir/server.pem" "$url"
[ "$code" = 403 ]
check $? "who has no certificate may not" "$(answered)"
get --cacert "$dir/server.pem" --cert "$dir/newer.pem" --key "$dir/newer.key" "$url"
[ "$code" = 403 ]
check $? "nor who has one by somebody else" "$(answered)"
get --cacert "$dir/server.pem" --cert "$dir/client.pem" --key "$dir/client.key" "$url"
[ "$code" = 200 ]
check $? "who has one by the right authority may" "$(answered)"
end_serve

# ---- other sockets ----

start_serve --listen "unix:$dir/sock" --listen 127.0.0.1:0
get --unix-socket "$dir/sock" http://vmtally/metrics
[ "$code" = 200 ] && [ "$(stat -c %a "$dir/sock")" = 600 ]
check $? "a unix socket, for its owner alone" "$(answered)"
get "$url"
[ "$code" = 200 ]
check $? "beside another address" "$(answered)"
end_serve
[ ! -e "$dir/sock" ]
check $? "its name is removed at the end" "$(ls -l "$dir")"

: >"$dir/serve.err"
"$python" - "$program" "$dir/port" 2>"$dir/serve.err" <<'END' &
import os, socket, sys
s = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[2] + ".new", "w") as f:
    f.write(str(s.getsockname()[1]))
os.rename(sys.argv[2] + ".new", sys.argv[2])
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], [sys.argv[1], "serve"])
END
serve=$!
pids="$pids $serve"
until_true grep -q ': listening on ' "$dir/serve.err"
get "http://127.0.0.1:$(cat "$dir/port")/metrics"
[ "$code" = 200 ] && grep -q "listening on http://127.0.0.1:$(cat "$dir/port")/metrics" "$dir/serve.err"
check $? "a socket that was passed is served" "$(answered)"
end_serve
[ "$status" -eq 0 ]
check $? "and left as it is at the end" "exit status $status"

if command -v systemd-socket-activate >/dev/null; then
    : >"$dir/serve.err"
    systemd-socket-activate -l "$dir/activated" "$program" serve 2>"$dir/serve.err" &
    serve=$!
    pids="$pids $serve"
    until_true test -S "$dir/activated"
    get --unix-socket "$dir/activated" --retry 5 --retry-connrefused http://vmtally/metrics
    [ "$code" = 200 ] && grep -q "listening on unix:$dir/activated" "$dir/serve.err"
    check $? "systemd-socket-activate starts it at the first scrape" "$(answered)"
    end_serve
else
    skip "systemd-socket-activate starts it at the first scrape" "it is not installed"
fi

# ---- systemd's notifications ----

"$python" - "$program" "$dir/notify" >"$dir/notified" 2>&1 <<'END'
import os, signal, socket, subprocess, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[2])
s.settimeout(60)
seen = []
def expect(what):
    while not any(what in m for m in seen):
        seen.append(s.recv(4096).decode())
    seen.clear()
p = subprocess.Popen([sys.argv[1], "serve", "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True,
                     env=dict(os.environ, NOTIFY_SOCKET=sys.argv[2], WATCHDOG_USEC="400000"))
reader = 0
try:
    expect("READY=1")
    expect("WATCHDOG=1")
    expect("WATCHDOG=1")
    p.send_signal(signal.SIGHUP)
    expect("RELOADING=1")
    expect("READY=1")
    # A reader that hangs for longer than a scrape may take: the watchdog is not told that all is well.
    reader = int(subprocess.run(["pgrep", "-P", str(p.pid)], capture_output=True, text=True).stdout.split()[0])
    os.kill(reader, signal.SIGSTOP)
    expect("does not answer")
    s.settimeout(0.01)
    try:
        while True:
            s.recv(4096)
    except TimeoutError:
        pass
    s.settimeout(2)
    try:
        message = s.recv(4096).decode()
        assert "WATCHDOG=1" not in message, message
    except TimeoutError:
        pass
    s.settimeout(60)
    os.kill(reader, signal.SIGCONT)
    expect("WATCHDOG=1")
    p.send_signal(signal.SIGTERM)
    expect("STOPPING=1")
    assert p.wait(60) == 0, p.returncode
finally:
    p.kill()
END
check $? "systemd is told when it is ready, reloads, and stops, and that all is well only while the reader answers" \
    "$(cat "$dir/notified")"
exit $bad
