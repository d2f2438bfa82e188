#!/bin/bash
# SPDX-License-Identifier: MIT
# vmtally serve, scraped by a real Prometheus: what that makes of it, and what its own tools say of the text.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh"
. "$here/serving.sh"

start_fixed fixed
start_serve --listen 127.0.0.1:0
plain=${served#http://}

# ---- its tools ----

if command -v promtool >/dev/null; then
    get_fresh -H 'Accept: text/plain' "$url"
    promtool check metrics <"$dir/body" >"$dir/lint" 2>&1
    check $? "promtool finds nothing wrong with it" "$(cat "$dir/lint")"
else
    skip "promtool finds nothing wrong with it" "promtool is not installed"
fi
if "$python" -c 'import prometheus_client' 2>/dev/null; then
    get_fresh -H "$openmetrics" "$url"
    "$python" - "$dir/body" >"$dir/parsed" 2>&1 <<'END'
import sys
from prometheus_client.openmetrics import parser
with open(sys.argv[1]) as f:
    families = {m.name: m for m in parser.text_fd_to_metric_families(f)}
exits = {s.labels["vcpu"]: s.value for s in families["kvmtop_vcpu_exits"].samples if s.labels.get("vcpu")}
assert exits == {"0": 2**53 + 1, "1": 5}, exits
END
    check $? "python3-prometheus-client reads its OpenMetrics" "$(cat "$dir/parsed")"
    get_fresh -H 'Accept: text/plain' "$url"
    "$python" - "$dir/body" >"$dir/parsed" 2>&1 <<'END'
import sys
from prometheus_client import parser
with open(sys.argv[1]) as f:
    families = {m.name: m for m in parser.text_fd_to_metric_families(f)}
assert any(s.name == "kvmtop_vcpu_exits_total" for s in families["kvmtop_vcpu_exits"].samples), families.keys()
END
    check $? "and its text" "$(cat "$dir/parsed")"
else
    skip "python3-prometheus-client reads it" "it is not installed"
fi

# ---- itself ----

if ! command -v prometheus >/dev/null || ! "$python" -c 'import prometheus_client' 2>/dev/null; then
    skip "a real Prometheus scrapes it" "prometheus, or python3-prometheus-client, is not installed"
    exit $bad
fi

# Beside it one that wants TLS and a password.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$dir/tls.key" -out "$dir/tls.pem" 2>"$dir/openssl.err"
echo "rita:$(openssl passwd -6 secret)" >"$dir/users"
plain_serve=$serve plain_url=$url
start_serve --listen 127.0.0.1:0 --tls-cert "$dir/tls.pem" --tls-key "$dir/tls.key" --auth-file "$dir/users"
secured=${served#https://}

rm -f "$dir/rate.in" "$dir/ready"
mkfifo "$dir/rate.in" "$dir/ready"
"$python" "$here/rate_vm.py" "$library" ticking 1000 <"$dir/rate.in" >"$dir/ready" 2>"$dir/vm.err" &
ticking=$!
pids="$pids $ticking"
exec {rate_in}>"$dir/rate.in"
read -r line <"$dir/ready"
[ "$line" = ready ] || {
    echo "Bail out! rate_vm.py did not start: $(cat "$dir/vm.err")"
    exit 1
}

cat >"$dir/prometheus.yml" <<END
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: plain
    static_configs: [{ targets: ["$plain"] }]
  - job_name: secured
    scheme: https
    tls_config: { ca_file: "$dir/tls.pem" }
    basic_auth: { username: rita, password: secret }
    static_configs: [{ targets: ["$secured"] }]
  - job_name: stranger
    scheme: https
    tls_config: { ca_file: "$dir/tls.pem" }
    static_configs: [{ targets: ["$secured"] }]
END
data=$(mktemp -d "$segments/prometheus.XXXXXX")
prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$data" --web.listen-address=127.0.0.1:0 \
    --storage.tsdb.retention.time=1h >"$dir/prometheus.log" 2>&1 &
prometheus=$!
pids="$pids $prometheus"

# Which port it got: that of the socket it listens on.
port_of() {
    local inodes port
    inodes=$(find "/proc/$1/fd" -lname 'socket:*' -printf '%l\n' | tr -dc '0-9\n' | paste -sd '|')
    port=$(awk -v inodes="^($inodes)\$" '$4 == "0A" && $10 ~ inodes { sub(".*:", "", $2); print $2; exit }' /proc/net/tcp)
    [ -n "$inodes" ] && [ -n "$port" ] && at=http://127.0.0.1:$((16#$port))
}
until_true port_of "$prometheus" || {
    echo "Bail out! Prometheus did not start: $(tail -n 20 "$dir/prometheus.log")"
    exit 1
}
asks() { # what query...: of Prometheus, until it is so
    until_true "$python" "$here/prometheus_values.py" "$1" "$at" "${@:2}" && return
    "$python" "$here/prometheus_values.py" "$1" "$at" "${@:2}" >"$dir/asked" 2>&1
}
shows() {
    cat "$dir/asked" 2>/dev/null
    tail -n 5 "$dir/prometheus.log"
    cat "$dir/serve.err"
}

asks rate 'up{job="plain"}' 1 1
check $? "Prometheus scrapes it" "$(shows)"
asks rate 'up{job="secured"}' 1 1
check $? "with TLS and a password, too" "$(shows)"
asks rate 'up{job="stranger"}' 0 0
check $? "but not without a password" "$(shows)"
asks same "$plain_url" fixed
check $? "what it has of a VM is what is served, value by value" "$(shows)"
asks rate 'kvmtop_vcpu_exits_total{job="plain",vm="fixed",vcpu="1"}' 5 5
check $? "a counter" "$(shows)"
asks rate 'histogram_quantile(0.5, kvmtop_vcpu_io_latency_seconds_bucket{job="plain",vm="fixed",vcpu="0"})' 0.000000500 0.000001
check $? "a quantile of a histogram: half of them took 700 ns" "$(shows)"
asks rate 'kvmtop_vm_info{job="plain",vm="fixed",label_zone="a"}' 1 1
check $? "who a VM is" "$(shows)"
asks rate 'sum by (vm) (rate(kvmtop_vcpu_exits_total{job="plain",vm="ticking"}[10s]))' 900 1100
check $? "a PromQL query has the right rate: 1,000 a second" "$(shows)"
asks rate 'count(count_over_time(scrape_samples_scraped{job="plain"}[1m]))' 1 1
check $? "each scrape has samples" "$(shows)"

kill -KILL "$ticking"
wait "$ticking" 2>/dev/null
asks none 'kvmtop_vcpu_exits_total{vm="ticking"}'
check $? "the series of a VM that died are stale at once" "$(shows)"
asks some 'kvmtop_vcpu_exits_total{vm="fixed"}'
check $? "those of others are not" "$(shows)"
asks some 'kvmtop_vm_up{job="plain",vm="ticking"} == 0'
check $? "that it died is an alert that can be written" "$(shows)"
kill "$plain_serve"
wait "$plain_serve"
asks rate 'up{job="plain"}' 0 0
check $? "when it is stopped Prometheus knows" "$(shows)"
kill "$prometheus"
wait "$prometheus" 2>/dev/null
exit $bad
