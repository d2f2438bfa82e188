# SPDX-License-Identifier: MIT
"""The ready-made schemas of <vmtally/schemas.h>, as the library has them: vm, vcpu, block, net, vsock and balloon
(Firecracker's names), program, request and storage (TinyKVM's), so that different programs compare. segment is what a
segment counts about itself.

    vcpu = segment.add(vmtally.schemas.vcpu, "vcpu-0")
"""

from ._library import lib
from ._schema import Schema

__all__ = ["balloon", "block", "net", "program", "request", "segment", "storage", "vcpu", "vm", "vsock"]

vm = Schema.from_address(lib.address_of("vmt_schema_vm"))
vcpu = Schema.from_address(lib.address_of("vmt_schema_vcpu"))
block = Schema.from_address(lib.address_of("vmt_schema_block"))
net = Schema.from_address(lib.address_of("vmt_schema_net"))
vsock = Schema.from_address(lib.address_of("vmt_schema_vsock"))
balloon = Schema.from_address(lib.address_of("vmt_schema_balloon"))
program = Schema.from_address(lib.address_of("vmt_schema_program"))
request = Schema.from_address(lib.address_of("vmt_schema_request"))
storage = Schema.from_address(lib.address_of("vmt_schema_storage"))
segment = Schema.from_address(lib.address_of("vmt_schema_segment"))
