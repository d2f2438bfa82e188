/* SPDX-License-Identifier: MIT */
/* vmtally/kvm.h: for VMMs: have readers see what the kernel counts of a VM and its vCPUs beside what the VMM counts.
 * Cold calls, as those of segment.h, with the same rules and errors.
 */
#ifndef VMTALLY_KVM_H
#define VMTALLY_KVM_H

#include <stdint.h>

#include <vmtally/segment.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Once for each VM and vCPU. kvm_fd: what KVM_CREATE_VM or KVM_CREATE_VCPU gave; it stays the caller's. source: what
 * the VMM counts that VM or vCPU in. Opens KVM's statistics fd (KVM_GET_STATS_FD, Linux 5.14) and publishes its
 * number in the segment, as the child "kvm-fd" of source: a reader that may (ptrace(2), PTRACE_MODE_ATTACH)
 * duplicates it and reads the kernel's counters itself. That costs this process nothing. The fd is closed by
 * vmt_source_remove() of source, by vmt_segment_close() and vmt_segment_hand_over(), which then need no other call,
 * and first thing in a child of fork(). A vCPU must not be in KVM_RUN meanwhile: KVM would wait for it, this call for
 * KVM, and a fork() for this call. 0; -ENODEV (source NULL), -EINVAL (no KVM fd of source's kind; source is of
 * neither target "vm" nor "vcpu"), -ENOTTY (KVM is too old), -EEXIST (source has one, or a child "kvm-fd"), -EMFILE,
 * -EIO (another process's VM), and what vmt_source_add() gives. In jail mode call it before the system calls are
 * limited: what was added once may be removed and added again in there, with ioctl(KVM_GET_STATS_FD), fcntl(F_SETFD),
 * pread and close. */
int vmt_kvm_add(struct vmt_source *source, int kvm_fd);

/* Copy what the kernel counts now into the segment, for readers without that permission: the child "kvm" of each
 * source of vmt_kvm_add(), with the kernel's own schema. Of all of them; the first call adds those children, and from
 * then on vmt_kvm_add() does so. One pread each. For VMMs that have a timer of their own.
 * A copy's counts never fall, and nothing is counted twice: what is added is what the kernel counted since the last
 * time. So a source that is removed leaves its copy's counts to its parent, and a vCPU that is added again goes on
 * from there; and after a restart (.resume) a new VM's counts come on top of what the earlier writer's copy had, if
 * the first call comes before vmt_segment_ready(). What can't be read any more stays as it was. segment may be NULL.
 * 0, -ENODEV, -ECHILD, and what vmt_source_add() gives for the first that failed. */
int vmt_kvm_sample(struct vmt_segment *segment);

/* The same now, and every interval_ns (at least 1 ms) by a thread that the library starts for it, until
 * vmt_segment_close(), vmt_segment_hand_over(), or this call with 0, which end it; then copies stay as they are. The
 * thread blocks all signals; a child of fork() has none. segment may be NULL. 0; -EINVAL, -ENODEV, -ECHILD, -ENOTSUP
 * (jail mode: call vmt_kvm_sample() yourself), what pthread_create gives. */
int vmt_kvm_sample_every(struct vmt_segment *segment, uint64_t interval_ns);

#ifdef __cplusplus
}
#endif

#endif
