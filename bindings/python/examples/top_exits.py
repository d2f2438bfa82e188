# SPDX-License-Identifier: MIT
# Cells for a notebook (each "# %%" begins one), and a script: top_exits.py [VM [SECONDS]]
# What do vCPUs exit for, and how long does the VMM take to handle it?

# %% Attach to a VM: the one that was named, or the first that there is.
import sys
import time
from typing import Dict

import vmtally

arguments = sys.argv[1:]
vms = arguments[:1] or [found.path for found in vmtally.discover()]
if not vms:
    sys.exit("top_exits.py: no VMs")
vm = vmtally.attach(vms[0])
seconds = float(arguments[1]) if len(arguments) > 1 else 1.0

# %% Two snapshots, and what changed in between.
before = vm.snapshot()
time.sleep(seconds)
now = vm.snapshot()
delta = now - before
print(f"{now.segment.name}, {now.segment.state}: {delta.seconds:.2f} s")

# %% Exits a second by their reasons, of all vCPUs together. (What has a group is part of a latency.)
rates: Dict[vmtally.Descriptor, float] = {}
for vcpu in now.sources(target="vcpu", provider="vmm"):
    change = delta.of(vcpu)
    for statistic in vcpu.schema:
        if statistic.name.startswith("exit_") and statistic.type == "cumulative" and not statistic.group:
            rates[statistic] = rates.get(statistic, 0.0) + change.rate(statistic.name)

for statistic, rate in sorted(rates.items(), key=lambda item: -item[1]):
    if rate:
        print(f"{rate:12,.0f}/s  {statistic.name:<16} {statistic.help}")

# %% How long they took meanwhile: quantiles of the change, not of all that ever was.
for vcpu in now.sources(target="vcpu", provider="vmm"):
    latency = delta.of(vcpu).histogram("io_latency_hist")
    if latency.count:
        scale = latency.descriptor.scale * 1e6
        bounds = ", ".join(f"p{q * 100:g} up to {latency.quantile(q)[1] * scale:g} us" for q in (0.5, 0.9, 0.99))
        print(f"{vcpu.id}: {latency.count:,} exits handled: {bounds}")

# %% All vCPUs as one array, where numpy is there: how evenly are they used?
try:
    vcpus = now.table(vmtally.schemas.vcpu)
except (ImportError, KeyError) as why:
    print(f"no table: {why}")
else:
    run_time = vcpus.array[:, vcpus.names.index("run_time")] * vcpus.schema["run_time"].scale
    print(f"{len(vcpus.ids)} vCPUs ran {run_time.min():.3f} to {run_time.max():.3f} s, {run_time.sum():.3f} s together")
