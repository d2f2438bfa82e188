#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A Prometheus exporter of one's own: exporter.py [--listen ADDRESS:PORT] [--dir DIR]

Some statistics of all VMs, under names of one's own. ("vmtally serve" has all of them, and does it faster.) Each scrape
is a snapshot of each VM; port 0 takes any, and the first line printed says which."""

import argparse
import http.server
from typing import Dict, Iterator, List, NamedTuple

import vmtally


class Metric(NamedTuple):
    target: str
    """Of which sources."""
    statistic: str
    name: str
    type: str
    """counter, gauge, or summary of a histogram."""


METRICS = (
    Metric("vm", "memory_bytes", "myvmm_memory_bytes", "gauge"),
    Metric("vcpu", "exits", "myvmm_vcpu_exits_total", "counter"),
    Metric("vcpu", "run_time", "myvmm_vcpu_run_seconds_total", "counter"),
    Metric("vcpu", "io_latency_hist", "myvmm_vcpu_io_latency_seconds", "summary"),
)
QUANTILES = (0.5, 0.9, 0.99)


def labels(**values: object) -> str:
    def escape(value: object) -> str:
        return str(value).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return "{" + ",".join(f'{key}="{escape(value)}"' for key, value in values.items()) + "}"


def lines(metric: Metric, vm: str, sample: vmtally.Sample) -> Iterator[str]:
    value = sample[metric.statistic]
    if isinstance(value, vmtally.Histogram):
        scale = value.descriptor.scale
        for q in QUANTILES if value.count else ():
            yield f"{metric.name}{labels(vm=vm, source=sample.id, quantile=q)} {value.quantile(q)[1] * scale:g}"
        if value.sum is not None:
            yield f"{metric.name}_sum{labels(vm=vm, source=sample.id)} {value.sum * scale:.9g}"
        yield f"{metric.name}_count{labels(vm=vm, source=sample.id)} {value.count}"
    elif value is not None:
        number = sample.scaled(metric.statistic) if sample.schema[metric.statistic].exponent else value
        yield f"{metric.name}{labels(vm=vm, source=sample.id)} {number}"


def scrape(directory: str) -> str:
    """The exposition. A VM that can't be read is down, the others are not touched by that."""
    up: List[str] = ["# TYPE myvmm_up gauge"]
    families: Dict[str, List[str]] = {m.name: [f"# TYPE {m.name} {m.type}"] for m in METRICS}
    for found in vmtally.discover(directory or None):
        try:
            with found.attach() as reader:
                snapshot = reader.snapshot()
        except vmtally.NotFound:
            continue  # closed meanwhile
        except vmtally.Error as e:
            up.append(f"myvmm_up{labels(vm=found.name, state=e.strerror)} 0")
            continue
        state = snapshot.segment.state
        up.append(f"myvmm_up{labels(vm=found.name, state=state)} {int(state == vmtally.State.LIVE)}")
        for metric in METRICS:
            for sample in snapshot.sources(target=metric.target):
                if metric.statistic in sample:  # others may call something else a vcpu
                    families[metric.name] += lines(metric, found.name, sample)
    return "\n".join([*up, *(line for family in families.values() for line in family)]) + "\n"


class Handler(http.server.BaseHTTPRequestHandler):
    directory = ""

    def do_GET(self) -> None:
        if self.path != "/metrics":
            self.send_error(404, explain="try /metrics")
            return
        body = scrape(self.directory).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    parser = argparse.ArgumentParser(description="Some statistics of all VMs for Prometheus.")
    parser.add_argument("--listen", default="127.0.0.1:9960", metavar="ADDRESS:PORT", help="(%(default)s)")
    parser.add_argument("--dir", default="", help="where the segments are (the usual places)")
    options = parser.parse_args()
    address, _, port = options.listen.rpartition(":")
    Handler.directory = options.dir
    with http.server.ThreadingHTTPServer((address, int(port)), Handler) as server:
        print(f"http://{address}:{server.server_address[1]}/metrics", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
