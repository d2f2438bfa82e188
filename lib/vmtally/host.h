/* SPDX-License-Identifier: MIT */
/* vmtally/host.h: all VMs of this host, whether their VMM embeds vmtally or has never heard of it: segments, and beside
 * or instead of them what the kernel counts (provider "kvm"). What the kernel counts is had from the statistics fds that a
 * process holds open (found in /proc, duplicated with pidfd_getfd(2)), else from debugfs.
 *
 *     struct vmt_host *host;
 *     vmt_host_new(NULL, &host);
 *     vmt_host_look(host);                                   // again before each round of snapshots
 *     n = vmt_host_discover(host, NULL, &found);
 *     vmt_reader_open_host(host, found[i].path, NULL, &reader);
 *     vmt_snapshot_take(snapshot, reader);                   // both providers in one tree
 *
 * In the snapshot of a VM with a segment, what the kernel counts of a VM or vCPU is a child, named "kvm", of the source
 * that the VMM counts it in: "vm/vcpu-0/kvm" (vmt_snapshot_subject()). Without a segment source 0 counts nothing and stands
 * for the process; below it are "vm" and "vm/vcpu-0"; of several VMs of one process "vm-FD", where FD is the process's
 * descriptor of that VM ("vm#N", "vcpu-0#N" where it is not known which VM is which).
 * Totals of what is read from the kernel are over the vCPUs that there are: they fall when one is unplugged. (What copies
 * in the segment have left behind is not in them: the kernel goes on from there when that vCPU is plugged again.) Of
 * counters had from debugfs, a vCPU's are VMT_SAMPLE_ABSENT where there are several, and the VM's total is their sum.
 *
 * An open statistics fd keeps a VM alive. They are closed when their process ends, or has closed its own: at the next look,
 * and, if the caller watches vmt_host_fd(), at once.
 * Errors are negative errno. One thread at a time for a host and all readers opened with it.
 */
#ifndef VMTALLY_HOST_H
#define VMTALLY_HOST_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/reader.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmt_host;

/* All zeros but struct_size, and NULL instead of it, is a good choice. */
struct vmt_host_options {
    size_t struct_size;
    const char *proc;    /* where the proc file system is; NULL: /proc */
    const char *debugfs; /* NULL: /sys/kernel/debug */
    uint32_t pid;        /* not 0: this process only */
    uint32_t once;       /* not 0: it is looked at once only; nothing of another process is held open after that */
};

/* *ret is the caller's. options may be NULL. Looks at nothing yet. 0, -EINVAL, -ENOMEM. */
int vmt_host_new(const struct vmt_host_options *options, struct vmt_host **ret);

/* Close all readers opened with it before. NULL is allowed. */
void vmt_host_free(struct vmt_host *host);

/* Have a process of its own do all the looking from here on, with the permissions that the caller has now; the caller may
 * then give up its own, and reads what that one found in shared memory. Forks: call it while there is one thread, before
 * the first look. In that process prepare(arg) is called (NULL: nothing is), which may give up all permissions but those
 * of reading other processes; all it has open by then are standard input, output and error, and what it needs. It ends when
 * the host is freed or the caller ends. 0; -EALREADY (was split, or has looked), what fork, socketpair and memfd_create
 * give. A child that the caller forks later has no use of the host. */
int vmt_host_split(struct vmt_host *host, void (*prepare)(void *arg), void *arg);

/* Find what is new, let go of what has gone, and read all that the kernel counts. What can't be read is left out, and
 * vmt_host_trouble() says so. 0; -ENOMEM; -EALREADY (a second look with .once); of a host that was split also
 * -ETIMEDOUT (no answer within 2 s: the next look may have one), -EPIPE (that process has ended) and -EFBIG (the limit of
 * files, ulimit -f, is too low for its shared memory); then what the last look found is as it was, without those that
 * ended. */
int vmt_host_look(struct vmt_host *host);

/* Becomes readable (poll) when a process whose statistics fds this process holds has ended: call vmt_host_drop(), which
 * closes them. -1 where none is ever held, as after vmt_host_split(). */
int vmt_host_fd(const struct vmt_host *host);
void vmt_host_drop(struct vmt_host *host);

/* As vmt_discover(), and the processes that have VMs but no segment in these directories: their path is "/proc/PID", their
 * name QEMU's -name, Firecracker's --id, else the command. */
long vmt_host_discover(struct vmt_host *host, const char *dir, struct vmt_found **ret);

/* As vmt_reader_open(), also of "/proc/PID": -ESRCH where no such process has a VM. Snapshots have what the kernel counted
 * at the newest look. host may be NULL: then it is vmt_reader_open(). */
int vmt_reader_open_host(struct vmt_host *host, const char *path, const struct vmt_reader_options *options,
                         struct vmt_reader **ret);

/* The VMs that name means, among those that vmt_host_discover() finds (host NULL: vmt_discover()): those that are called so
 * (vmt_found.name); where there are none, segments in which that name stands (in jail mode a file may be called anything),
 * unless they were set aside. What is foreign (VMT_SNAPSHOT_FOREIGN), or can't be read to find out whose it is, never takes
 * the place of these, but is meant where there is nothing else; what is foreign also by its title
 * (vmt_segment_info_title()). Where no segment is called so for sure, a number means the process with that pid that has a
 * VM but no segment. name is no path: what a '/' in it means is the caller's to say.
 *
 * One snapshot is taken of each that is called so, and of each other only where none of those is the VM for sure; options
 * (may be NULL) say how. *ret is the caller's, free with vmt_found_free(). Returns how many fit equally well: 0 where
 * nothing does; 1: it is that. Errors of vmt_host_discover(); -EINVAL (options). */
long vmt_host_find(struct vmt_host *host, const char *dir, const char *name, const struct vmt_reader_options *options,
                   struct vmt_found **ret);

#define VMT_HOST_TROUBLE_DENIED 1U         /* processes that have VMs, or seem to, may not be looked into */
#define VMT_HOST_TROUBLE_NO_DEBUGFS 2U     /* VMs whose counters only debugfs has, and it is not mounted */
#define VMT_HOST_TROUBLE_DEBUGFS_DENIED 4U /* the same, and it may not be read */
#define VMT_HOST_TROUBLE_NAMESPACE 8U      /* segments whose process is in a PID namespace that we don't see into */

/* What could not be read at the newest look, as bits; and in buf (NULL: don't) in one line for people, with what to do:
 * "" if nothing. path NULL: of all VMs; "": of those that may not be looked into, of which nobody knows the names; else of
 * the VM at that path, a segment's or "/proc/PID". Of a segment whose process is not known, snapshots know whether its VMM
 * has kernel counters open (vmt_kvm_add()): it is among them if one was taken since that look. */
uint32_t vmt_host_trouble(const struct vmt_host *host, const char *path, char *buf, size_t n);

/* The number of the process that writes the segment, as this host sees it, where it knows that process; else what the segment
 * says, which is in the writer's PID namespace. Of a process without a segment, its own. */
uint32_t vmt_snapshot_pid(const struct vmt_snapshot *snapshot);

/* Number of the source that source i of the snapshot speaks of: its parent, where it is another provider's view of the
 * same thing (it has the same target as its parent, and another provider); else i. */
size_t vmt_snapshot_subject(const struct vmt_snapshot *snapshot, size_t i);

#ifdef __cplusplus
}
#endif

#endif
