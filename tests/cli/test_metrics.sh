#!/bin/bash
# SPDX-License-Identifier: MIT
# OpenMetrics and Prometheus' text, from outside: read by Prometheus' own parsers and by python3-prometheus-client, and each
# value compared with the snapshot's JSON. VMT_SEEDS: how many random scrapes.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh" || exit 1
probe=${VMT_BUILD:-}/tests/cli/metrics_probe
open=$dir/scrape.openmetrics
prom=$dir/scrape.prom

have_promtool() { command -v promtool >/dev/null; }
have_client() { "$python" -c 'import prometheus_client.openmetrics.parser' 2>/dev/null; }

read_by_all() { # what: the two scrapes are read by whoever is there
    if have_client; then
        "$python" "$here/metrics_check.py" parse "$open" "$prom" >"$dir/said" 2>&1
        check $? "python3-prometheus-client reads $1" "$(head -c 2000 "$dir/said")"
    else
        skip "python3-prometheus-client reads $1" "it is not installed"
    fi
    if have_promtool; then
        promtool check metrics <"$prom" >"$dir/said" 2>&1
        [ $? -ne 1 ] # 3: it would have liked other names
        check $? "promtool reads $1" "$(head -c 2000 "$dir/said")"
        # Prometheus' parser of OpenMetrics; it wants to know when.
        awk '!/^#/ { print $0 " 1700000000.0"; next } { print }' "$open" >"$dir/timed"
        promtool tsdb create-blocks-from openmetrics "$dir/timed" "$dir/blocks" >"$dir/said" 2>&1 &&
            [ "$(awk '$1 ~ /^[0-9A-Z]+$/ && NF > 6 { n += $(NF - 2) } END { print n }' "$dir/said")" = \
                "$(grep -vc '^#' "$open")" ]
        check $? "Prometheus' parser of OpenMetrics reads $1, each line a series" "$(head -c 2000 "$dir/said")"
        rm -rf "${dir:?}/blocks"
    else
        skip "promtool reads $1" "it is not installed"
        skip "Prometheus' parser of OpenMetrics reads $1, each line a series" "promtool is not installed"
    fi
}

compared() { # what
    "$python" "$here/metrics_check.py" compare "$dir/vms.json" "$open" "$prom" >"$dir/said" 2>&1
    check $? "$1: each value is the snapshot's, and nothing else is there" "$(head -c 3000 "$dir/said")"
}

"$probe" "$dir" fixed || exit 1
read_by_all "the snapshot of the golden files"
compared "the snapshot of the golden files"
if have_promtool; then
    promtool check metrics <"$prom" >"$dir/said" 2>&1
    check $? "promtool has nothing to say against names and helps of what is ready-made" "$(cat "$dir/said")"
else
    skip "promtool has nothing to say against names and helps of what is ready-made" "it is not installed"
fi

for seed in $(seq "${VMT_SEEDS:-8}"); do
    "$probe" "$dir" "$seed" || exit 1
    read_by_all "VMs that contradict each other (seed $seed)"
    compared "VMs that contradict each other (seed $seed)"
done

# ---- a VM ----

scrape() { # VM: as JSON, OpenMetrics, Prometheus' text
    vmtally export --format json "$1" >"$dir/vms.json" 2>"$dir/err" &&
        vmtally export --format openmetrics "$1" >"$open" 2>>"$dir/err" &&
        vmtally export --format prometheus "$1" >"$prom" 2>>"$dir/err"
    check $? "$1 is exported" "$(cat "$dir/err")"
}

start_fixed web-1
scrape web-1
read_by_all "a VM"
compared "a VM"

start_fixed evil
kill -STOP "$started" # it would write its name again
"$python" "$here/hostile.py" write "$segments/evil.vmt"
rm "$segments/web-1.vmt"
evil=$segments/evil.vmt
scrape "$evil"
read_by_all "names that would harm"
compared "names that would harm"
for file in "$open" "$prom"; do
    "$python" "$here/hostile.py" text "$file" >"$dir/said" 2>&1
    check $? "nothing in ${file##*.} would harm who prints it" "$(cat "$dir/said")"
done
kill -CONT "$started"
exit $bad
