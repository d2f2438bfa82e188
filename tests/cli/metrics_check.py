#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What scrapes say against what the snapshots hold.

metrics_check.py parse OPENMETRICS PROM     python3-prometheus-client reads both
metrics_check.py compare JSON OPENMETRICS PROM
                                            each sample is the one that METRICS.md says, made anew from the snapshots' JSON (a
                                            document a VM, in the order of the scrape), and there is no other one

Values are compared as fractions: exactly.
"""
import json
import re
import sys
from decimal import Decimal
from fractions import Fraction

SUFFIXES = {"counter": ["", "_total", "_created"], "gauge": [""], "stateset": [""], "info": ["", "_info"],
            "histogram": ["", "_count", "_sum", "_bucket", "_created"],
            "summary": ["", "_count", "_sum", "_created"], "unknown": [""]}
WORDS = {"seconds": "seconds s sec secs ms us ns msec usec nsec milliseconds microseconds nanoseconds".split(),
         "bytes": "bytes kib mib gib kb mb gb".split(), "cycles": ["cycles"], None: []}
STATES = ["live", "closed", "died", "died mid-change", "stalled", "damaged", "other version"]
RESERVED = {"kvmtop_vm_" + s for s in ("info", "state", "up", "partial", "start_time_seconds")}

failures = []


def fail(text):
    failures.append(text)


# ---- METRICS.md, section 2: names ----

def unit_of(stat):
    return stat["unit"] if stat.get("unit") in ("seconds", "bytes", "cycles") else None


def class_of(stat):
    if stat["type"].endswith("histogram"):
        return "histogram"
    if stat["type"] == "cumulative" and stat.get("aggregation", "sum") == "sum" and not stat.get("signed") and \
            stat.get("unit") != "boolean":
        return "counter"
    return "gauge"


def valid(text):
    return re.sub("[^a-zA-Z0-9_]", "_", text)


def strip(name, kind, unit):
    if kind == "counter":
        while (shorter := re.sub("(?<=.)_(count|total)$", "", name)) != name:
            name = shorter
    for word in WORDS[unit]:
        if name.endswith("_" + word) and len(name) > len(word) + 1:
            return name[:-len(word) - 1]
    return name


def target_name(target):
    return ("other_" if valid(target).startswith("exporter") else "") + valid(target)


def family_name(target, stat, kind, unit, choice, number):
    kept = strip(stat, kind, unit) if choice == 0 else stat
    own = kept in (stat, stat[:-len("_" + (unit or ""))] if unit and stat.endswith("_" + unit) else stat)
    name = valid(kept)
    own = own and name == kept and valid(target) == target
    name = "kvmtop_" + target_name(target) + "_" + name
    name += f"_{number + 1}" * max(choice - 1, 0)
    if unit and (choice > 0 or valid(kept) != unit):
        name += "_" + unit
    if name.endswith("_total") or (kind != "counter" and re.search("_(count|sum|bucket)$", name)):
        name += "_value"
    return name, own


def latency_parts(stats, number):
    """The count and the sum of the histogram with that number, if it is that of a latency."""
    hist = stats[number]
    if class_of(hist) != "histogram" or not hist.get("group") or not hist["name"].endswith("_hist") or \
            hist["name"] == "_hist":
        return None
    stem = hist["name"][:-len("_hist")]
    parts = [next((i for i, s in enumerate(stats) if s["name"] == stem + end and s.get("group") == hist["group"] and
                   class_of(s) == "counter"), None) for end in ("_count", "_sum")]
    if None in parts or unit_of(stats[parts[0]]) or stats[parts[0]]["exponent"] or \
            unit_of(stats[parts[1]]) != unit_of(hist):
        return None
    return parts


def columns_of(source):
    """Of a schema: [statistic, class, unit, family, (count, sum) or None]."""
    stats = source["stats"]
    latencies = {i: latency_parts(stats, i) for i in range(len(stats))}
    parts = {n for pair in latencies.values() if pair for n in pair}
    columns, taken = [], set(RESERVED)
    for i, stat in enumerate(stats):
        if i not in parts:
            name = stat["name"][:-len("_hist")] if latencies[i] else stat["name"]
            columns.append([i, class_of(stat), unit_of(stat), None, latencies[i], name])
    for easy in (True, False):
        for column in columns:
            for choice in range(1 if easy else 6):
                if column[3]:
                    break
                name, own = family_name(source["target"], column[5], column[1], column[2], choice, column[0])
                if (own or not easy) and name not in taken:
                    taken.add(name)
                    column[3] = name
    return columns


# ---- section 3: labels ----

def related(a, b):
    a, b = sorted((a, b), key=len)
    return a == b or b.startswith(a + "_")


def place(source, identity, vm):
    """vcpu and device."""
    path = identity
    for top in ("vm", vm):
        if top and (path == top or path.startswith(top + "/")):
            path = path[len(top) + 1:]
            break
    if not path and source["target"] != "vm":
        path = identity
    if source["target"] != "vcpu":
        return {"device": path} if path else {}
    above, _, last = path.rpartition("/")
    last = last[5:] if last.startswith("vcpu-") and len(last) > 5 else last
    return {k: v for k, v in (("vcpu", last), ("device", above)) if v}


def rows_of(document, vm):
    """Each source with its labels; those that nothing tells apart are None."""
    sources = document["sources"]
    by_id = {s["id"]: s for s in reversed(sources)}
    had = {}
    for source in sorted((s for s in sources if any(t["value"] is not None for t in s["stats"])),
                         key=lambda s: s["leaving"]):
        labels, target = {"vm": vm}, target_name(source["target"])
        if source["provider"]:
            labels["provider"] = source["provider"]
        if source is not sources[0]:
            above = by_id[source["parent"]]
            same = above["target"] == source["target"] and above["provider"] != source["provider"]
            labels.update(place(source, above["id"] if same else source["id"], document["name"]))

        def is_had():
            others = had.get(frozenset(labels.items()), [])
            return len(others) > 8 or any(related(o, target) for o in others)

        if is_had():
            labels["generation"] = f"{source['entry']}.{source['generation']}"
        if is_had():
            yield source, None
            continue
        had.setdefault(frozenset(labels.items()), []).append(target)
        yield source, labels


def vm_names(documents):
    had, wanted = set(), {}
    for document in documents:
        name = document["name"]
        if name in had:
            while True:
                wanted[name] = wanted.get(name, 1) + 1
                if f"{name}~{wanted[name]}" not in had:
                    break
            name = f"{name}~{wanted[name]}"
        had.add(name)
        yield name


# ---- values ----

def scaled(stat, value):
    if isinstance(value, bool):
        return Fraction(value)
    return Fraction(value) * Fraction(stat.get("base", 10)) ** stat["exponent"]


def bounds(stat, count):
    """The largest value in each bucket but the last."""
    for i in range(count - 1):
        if stat["type"].startswith("linear"):
            yield (i + 1) * stat["bucket-size"] - 1
        elif i <= 64:
            yield 2 ** i - 1


def saturated(values):
    total = 0
    for value in values:
        total = min(total + value, 2 ** 64 - 1)
        yield total


def histogram_samples(source, column, labels, is_open):
    stat = source["stats"][column[0]]
    values = stat["value"] if isinstance(stat["value"], list) else [stat["value"]]
    if None in values:
        return
    totals = list(saturated(values))
    for bound, total in zip(bounds(stat, len(values)), totals):
        yield "_bucket", {**labels, "le": scaled(stat, bound)}, Fraction(total)
    yield "_bucket", {**labels, "le": "+Inf"}, Fraction(totals[-1])
    if column[4] or not is_open:
        yield "_count", labels, Fraction(totals[-1])
    if column[4]:
        of_sum = source["stats"][column[4][1]]
        yield "_sum", labels, scaled(of_sum, of_sum["value"])


def samples_of(source, columns, labels, is_open):
    """(family, class, unit, end of the name, labels, value)"""
    for column in columns:
        stat, kind, unit, family = source["stats"][column[0]], column[1], column[2], column[3]
        if kind == "histogram":
            for end, with_le, value in histogram_samples(source, column, labels, is_open):
                yield family, kind, unit, end, with_le, value
        elif stat["value"] is not None:
            yield family, kind, unit, "_total" if kind == "counter" else "", labels, scaled(stat, stat["value"])


def key(name, labels):
    return name, frozenset(labels.items())


def expected(documents, is_open):
    samples, families, present, left_out = {}, {}, set(), 0
    for document, vm in zip(documents, vm_names(documents)):
        running = document["state"] in ("live", "stalled")
        for state in STATES:
            samples[key("kvmtop_vm_state", {"vm": vm, "kvmtop_vm_state": state})] = Fraction(state == document["state"])
        samples[key("kvmtop_vm_up", {"vm": vm})] = Fraction(running)
        if not running:
            continue
        samples[key("kvmtop_vm_partial", {"vm": vm})] = Fraction(document["partial"])
        if document["created_ns"]:
            samples[key("kvmtop_vm_start_time_seconds", {"vm": vm})] = Fraction(document["created_ns"], 10 ** 9)
        for source, labels in rows_of(document, vm):
            if labels is None:
                left_out += 1
                continue
            columns = columns_of(source)
            for column in columns:
                # One without any value contradicts, too: what a type is does not hang on values.
                families.setdefault(column[3], set()).add((column[1], column[2]))
            for family, kind, unit, end, with_le, value in samples_of(source, columns, labels, is_open):
                at = key(family + end, with_le)
                if at in samples:
                    fail(f"the rules give {at} twice")
                samples[at] = value
                present.add((family, kind))
    samples[key("kvmtop_exporter_sources_left_out", {})] = Fraction(left_out)
    return samples, families, present


# ---- what is there ----

LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
LINE = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)(?:\{(.*)\})? ([^ ]+)$')


def read(text, infos):
    samples, types, units = {}, {}, {}
    for line in text.split("\n")[:-1]:
        if line.startswith("# "):
            parts = line.split(" ", 3)
            if parts[1] == "TYPE":
                types[parts[2]] = parts[3]
            elif parts[1] == "UNIT":
                units[parts[2]] = parts[3]
            continue
        name, labels, value = LINE.match(line).groups()
        pairs = {}
        at = 0
        for match in LABEL.finditer(labels or ""):
            if match.start() != at or match[1] in pairs:
                fail(f"labels: {line}")
            at = match.end()
            pairs[match[1]] = re.sub(r'\\(.)', lambda m: "\n" if m[1] == "n" else m[1], match[2])
        if at != len(labels or ""):
            fail(f"labels: {line}")
        if "le" in pairs and name.endswith("_bucket") and pairs["le"] != "+Inf":
            pairs["le"] = Fraction(Decimal(pairs["le"]))
        if name == "kvmtop_vm_info":
            infos.append(pairs)
        elif name.startswith("kvmtop_exporter_") and name != "kvmtop_exporter_sources_left_out":
            continue
        elif key(name, pairs) in samples:
            fail(f"twice: {line}")
        else:
            samples[key(name, pairs)] = Fraction(Decimal(value))
    return samples, types, units


def contradicted(families):
    """Families whose names or samples' names another one has."""
    users = {}
    for family, kinds in families.items():
        for kind, _ in kinds:
            for suffix in SUFFIXES[kind]:
                users.setdefault(family + suffix, set()).add((family, kind))
    return {family for who in users.values() if len(who) > 1 for family, _ in who}


def check_types(families, present, types, units, is_open):
    bad = contradicted(families)
    for family, kind in present:
        name = family if is_open or kind != "counter" else family + "_total"
        if family not in bad:
            if types.get(name) != kind:
                fail(f"{name} is a {kind}, and called {types.get(name)}")
            of = {unit for _, unit in families[family]}
            if is_open and units.get(name) != (of.pop() if len(of) == 1 else None):
                fail(f"{name} has the unit {units.get(name)}")
            continue
        name = family + {"counter": "_total", "gauge": "", "histogram": "_bucket"}[kind]
        want = "gauge" if kind == "gauge" else "unknown" if is_open else "counter" if kind == "counter" else "untyped"
        if types.get(name) != want:
            fail(f"{name} is {want}, and called {types.get(name)}")


def check_infos(infos, documents):
    if len(infos) != len(documents):
        fail(f"{len(infos)} infos of {len(documents)} VMs")
    for info, document, vm in zip(infos, documents, vm_names(documents)):
        own = sorted(v for k, v in info.items() if k.startswith("label_"))
        if info["vm"] != vm or info.get("path", "") != document.get("path", info.get("path", "")) or \
                own != sorted(document["labels"].values()):
            fail(f"{info} is not {document['labels']}")


def compare(json_path, open_path, prom_path):
    decoder, text, documents = json.JSONDecoder(), open(json_path, encoding="utf-8").read().strip(), []
    while text:
        document, end = decoder.raw_decode(text)
        documents.append(document)
        text = text[end:].lstrip()
    for path in (open_path, prom_path):
        is_open, infos = path == open_path, []
        want, families, present = expected(documents, is_open)
        got, types, units = read(open(path, encoding="utf-8", newline="").read(), infos)
        for at in want:
            if at not in got:
                fail(f"{path}: not there: {at} {want[at]}")
            elif got[at] != want[at]:
                fail(f"{path}: {at} is {want[at]}, there it is {got[at]}")
        for at in got:
            if at not in want:
                fail(f"{path}: nobody counts {at}")
        check_types(families, present, types, units, is_open)
        check_infos(infos, documents)
    print(len(want), "samples")


def parse(open_path, prom_path):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
    from prometheus_client.parser import text_string_to_metric_families as prometheus
    for reader, path in ((openmetrics, open_path), (prometheus, prom_path)):
        try:
            samples = sum(len(f.samples) for f in reader(open(path, encoding="utf-8", newline="").read()))
        except ValueError as error:
            fail(f"{path}: {error}")
            continue
        lines = sum(not line.startswith("#") for line in open(path, encoding="utf-8", newline="\n"))
        if samples != lines:
            fail(f"{path}: {samples} samples in {lines} lines")


{"parse": parse, "compare": compare}[sys.argv[1]](*sys.argv[2:])
for one in failures[:20]:
    print(one)
sys.exit(bool(failures))
