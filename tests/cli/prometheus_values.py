#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What Prometheus has of VMs, against what vmtally serve serves: prometheus_values.py COMMAND PROMETHEUS ...

same PROMETHEUS METRICS VM   each series of VM that stays as it is, in a scrape of the URL METRICS, value by value
rate PROMETHEUS QUERY LOW HIGH   the value of the query is between these
none PROMETHEUS QUERY        it has no value
some PROMETHEUS QUERY        it has one
"""
import json
import sys
import urllib.parse
import urllib.request

from prometheus_client.openmetrics import parser

ACCEPT = "application/openmetrics-text;version=1.0.0"
# What changes from scrape to scrape.
MOVES = ("_age_seconds", "_timestamp_seconds", "kvmtop_exporter_")


def fetch(url, **headers):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers), timeout=60) as r:
        return r.read().decode()


def query(prometheus, text):
    answer = json.loads(fetch(f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": text})))
    assert answer["status"] == "success", answer
    return answer["data"]["result"]


def number(text):
    return float(text.replace("Inf", "inf"))


def key(labels):
    return tuple(sorted((k, v) for k, v in labels.items() if k not in ("__name__", "job", "instance")))


def le(labels):
    """Prometheus' own way to write a bound."""
    return dict(labels, le=repr(number(labels["le"]))) if "le" in labels else labels


def same(prometheus, url, vm):
    served = {}
    for family in parser.text_string_to_metric_families(fetch(url, Accept=ACCEPT)):
        for s in family.samples:
            if s.labels.get("vm") == vm and not any(m in s.name for m in MOVES):
                served[s.name, key(le(s.labels))] = s.value
    kept = {}
    for series in query(prometheus, '{job="plain",vm="%s"}' % vm):
        labels = series["metric"]
        if not any(m in labels["__name__"] for m in MOVES):
            kept[labels["__name__"], key(le(labels))] = number(series["value"][1])
    assert len(served) > 50, f"only {len(served)} series served"
    missing, more = served.keys() - kept.keys(), kept.keys() - served.keys()
    assert not missing and not more, f"missing {sorted(missing)[:3]}, too many {sorted(more)[:3]}"
    for k, value in served.items():
        value = float(value)  # all that Prometheus has: what is served is exact
        assert kept[k] == value or value != value and kept[k] != kept[k], (k, value, kept[k])


def main():
    command, prometheus, *rest = sys.argv[1:]
    if command == "same":
        same(prometheus, *rest)
        return
    result = query(prometheus, rest[0])
    if command == "rate":
        assert len(result) == 1, result
        assert float(rest[1]) <= number(result[0]["value"][1]) <= float(rest[2]), result
    else:
        assert bool(result) == (command == "some"), result


main()
