/* SPDX-License-Identifier: MIT */
/* What stands in a segment where a VMM has handed its KVM fds to the library: below the source of the VM or vCPU a
 * source "kvm-fd" that names the statistics fd, and, where the VMM copies, a source "kvm" with the kernel's own
 * schema. */
#ifndef LIB_KVM_HANDLE_H
#define LIB_KVM_HANDLE_H

#include <stdbool.h>
#include <string.h>

#include <vmtally/schema.h>

#define KVM_PROVIDER "kvm"
#define KVM_HANDLE_NAME "kvm-fd" /* of that source, and of its schema */
#define KVM_COPY_NAME "kvm"      /* of the copies, and of what readers put in the handle's place */
#define KVM_SCHEMA_VM "kvm-vm"   /* names of the kernel's schemas */
#define KVM_SCHEMA_VCPU "kvm-vcpu"

/* Of a handle that led nowhere, for people. */
#define KVM_HANDLE_UNREAD "the VMM's process has the kernel's counters open; they could not be read from there"

/* One instant: "stats_fd", the number of the fd in the VMM's process, which is above 2. 0: there is none, or no more;
 * so it is from a restart on until the new writer has opened its own. */
extern const struct vmt_schema kvm_handle_vm;
extern const struct vmt_schema kvm_handle_vcpu;

/* Counted by the kernel, or (a handle) naming where it counts: to whoever reads values, nothing that is counted. */
static inline bool kvm_is_kernels(const struct vmt_schema *schema)
{
    return strcmp(schema->provider, KVM_PROVIDER) == 0;
}

static inline bool kvm_is_handle(const struct vmt_schema *schema)
{
    return kvm_is_kernels(schema) && strcmp(schema->name, KVM_HANDLE_NAME) == 0;
}

/* Whether a handle of this value names a descriptor. */
static inline bool kvm_names_fd(uint64_t stats_fd) { return stats_fd > 2 && stats_fd <= INT32_MAX; }

#endif
