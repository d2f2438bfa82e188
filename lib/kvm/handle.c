/* SPDX-License-Identifier: MIT */
#include "lib/kvm/handle.h"

/* 0 where there is none (any more): restart, release and close make an instant 0, and the library's fds are above 2. */
#define HANDLE_STATISTICS(X)                                                                                           \
    X(INSTANT, KVM_HANDLE_FD, "stats_fd", NONE, 1, 0,                                                                  \
      "KVM's statistics file in the VMM's process: number of the descriptor, 0 for none")
VMT_SCHEMA_ENUM(KVM_HANDLE, HANDLE_STATISTICS)
VMT_SCHEMA_DEFINE(kvm_handle_vm, KVM_HANDLE_NAME, KVM_PROVIDER, "vm", KVM_HANDLE, HANDLE_STATISTICS)
VMT_SCHEMA_DEFINE(kvm_handle_vcpu, KVM_HANDLE_NAME, KVM_PROVIDER, "vcpu", KVM_HANDLE, HANDLE_STATISTICS)
