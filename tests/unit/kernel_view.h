/* SPDX-License-Identifier: MIT */
/* kernel_view.h: schemas as those of KVM, with fewer statistics, in which a test counts what the kernel would. */
#ifndef TESTS_UNIT_KERNEL_VIEW_H
#define TESTS_UNIT_KERNEL_VIEW_H

#include <vmtally/schema.h>

#define KVM_VM_STATISTICS(X)                                                                                           \
    X(CUMULATIVE, KVM_VM_FLUSH, "remote_tlb_flush", NONE, 1, 0, "")                                                    \
    X(INSTANT, KVM_VM_PAGES, "pages_4k", NONE, 1, 0, "")
VMT_SCHEMA_ENUM(KVM_VM, KVM_VM_STATISTICS)
VMT_SCHEMA_DEFINE(kernel_vm, "kvm-vm", "kvm", "vm", KVM_VM, KVM_VM_STATISTICS)

#define KVM_VCPU_STATISTICS(X)                                                                                         \
    X(CUMULATIVE, KVM_HALT_WAIT, "halt_wait_ns", NANOSECONDS, 1, 0, "Time halted, with another CPU's work done")       \
    X(LOG, KVM_HALT_HIST, "halt_wait_hist", NANOSECONDS, 32, 0, "How long it was halted each time")                    \
    X(BOOLEAN, KVM_BLOCKING, "blocking", BOOL, 1, 0, "Whether it is halted")                                           \
    X(CUMULATIVE, KVM_EXITS, "exits", NONE, 1, 0, "Exits from the guest")                                              \
    X(CUMULATIVE, KVM_IO_EXITS, "io_exits", NONE, 1, 0, "Exits for I/O ports")                                         \
    X(CUMULATIVE, KVM_HALT_EXITS, "halt_exits", NONE, 1, 0, "Exits because the guest halted")
VMT_SCHEMA_ENUM(KVM_VCPU, KVM_VCPU_STATISTICS)
VMT_SCHEMA_DEFINE(kernel_vcpu, "kvm-vcpu", "kvm", "vcpu", KVM_VCPU, KVM_VCPU_STATISTICS)

#endif
