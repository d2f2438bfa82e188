/* SPDX-License-Identifier: MIT */
/* The ready-made schemas, made from their lists. A schema is called after its target. */
#include <vmtally/schemas.h>

VMT_SCHEMA_DEFINE(vmt_schema_segment, "segment", "vmtally", "segment", VMT_SEGMENT, VMT_SEGMENT_STATISTICS)
VMT_SCHEMA_DEFINE(vmt_schema_vm, "vm", "vmm", "vm", VMT_VM, VMT_VM_STATISTICS)
VMT_SCHEMA_DEFINE(vmt_schema_vcpu, "vcpu", "vmm", "vcpu", VMT_VCPU, VMT_VCPU_STATISTICS)
VMT_SCHEMA_DEFINE(vmt_schema_block, "block", "vmm", "block", VMT_BLOCK, VMT_BLOCK_STATISTICS)
VMT_SCHEMA_DEFINE(vmt_schema_net, "net", "vmm", "net", VMT_NET, VMT_NET_STATISTICS)
VMT_SCHEMA_DEFINE(vmt_schema_vsock, "vsock", "vmm", "vsock", VMT_VSOCK, VMT_VSOCK_STATISTICS)
VMT_SCHEMA_DEFINE(vmt_schema_balloon, "balloon", "vmm", "balloon", VMT_BALLOON, VMT_BALLOON_STATISTICS)
VMT_SCHEMA_DEFINE(vmt_schema_program, "program", "vmm", "program", VMT_PROGRAM, VMT_PROGRAM_STATISTICS)
VMT_SCHEMA_DEFINE(vmt_schema_request, "request", "vmm", "request", VMT_REQUEST, VMT_REQUEST_STATISTICS)
VMT_SCHEMA_DEFINE(vmt_schema_storage, "storage", "vmm", "storage", VMT_STORAGE, VMT_STORAGE_STATISTICS)
