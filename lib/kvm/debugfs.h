/* SPDX-License-Identifier: MIT */
/* KVM's counters in debugfs: /sys/kernel/debug/kvm/<pid>-<fd>/ of each VM, a file a statistic, text. Those of vCPUs stand
 * there as sums over all of them; vcpuN/ says only that there is such a vCPU. The file of a histogram has its first bucket
 * alone, and is left out. A kernel that is locked down (kernel_lockdown(7)) lets nobody open a file that may be written,
 * as all but instants are. An open file keeps the VM alive: all are closed at once. */
#ifndef LIB_KVM_DEBUGFS_H
#define LIB_KVM_DEBUGFS_H

#include <stdint.h>

#include "lib/kvm/bulletin.h"
#include "lib/kvm/statistics.h"

/* What the files of this kernel mean. */
struct debugfs {
    int fd;                      /* of .../kvm, -1: not there */
    int error;                   /* why it is not: -ENOENT (not mounted, or no kvm), -EACCES, ... */
    int mounted;                 /* there is a debugfs: without kvm/ there are no VMs */
    uint32_t locked;             /* statistics whose files are there, but may not be read */
    const struct kvm_schema *vm; /* of those that can be read; NULL: of none */
    const struct kvm_schema *vcpu;
};

/* One directory. */
struct debugfs_vm {
    uint32_t pid; /* of the thread that made the VM, in the initial PID namespace */
    int32_t fd;   /* of the VM */
    uint64_t ino; /* of the directory: another VM of the same name has another one */
};

/* root: "/sys/kernel/debug", or where else a debugfs is. Which statistics there are is seen in root/kvm itself, which has
 * the same files, of sums over all VMs. Types and units are those of the kernel (kvm_schemas_of_host()); where that can't
 * be asked, a file that may be written is cumulative (or a peak: "max_..."), any other an instant, without units. 0 or
 * -ENOMEM; what is not there is said in *ret. */
int debugfs_open(const char *root, struct debugfs *ret);
void debugfs_close(struct debugfs *d);

/* The same, with types and units as in these schemas; NULL: they are not known. */
int debugfs_open_as(const char *root, const struct kvm_schema *vm, const struct kvm_schema *vcpu, struct debugfs *ret);

/* All VMs but this process's own (debugfs_open() has one for a moment), sorted by pid, then fd; *ret is the caller's,
 * free(). Returns how many, or a negative errno. */
long debugfs_list(const struct debugfs *d, struct debugfs_vm **ret);

/* Read one: the values of the VM into vm_values (d->vm's slots), the sums over vCPUs into sums (d->vcpu's), the numbers of
 * its vCPUs, sorted, into *vcpus (the caller's, free()). vm_values and sums may be NULL: then those files are not opened. Returns how many vCPUs; -ENOENT (it has gone, or is not all there
 * yet), -EIO (a file did not hold a number), -EPERM, -EACCES, -ENOMEM, ... What was read by then is in *vm_values, *sums. */
long debugfs_read(const struct debugfs *d, const struct debugfs_vm *vm, uint64_t *vm_values, uint64_t *sums,
                  uint32_t **vcpus);

#endif
