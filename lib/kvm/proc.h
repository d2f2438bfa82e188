/* SPDX-License-Identifier: MIT */
/* What the proc file system says of one process. All of it is somebody else's: read with bounds, never waited for. */
#ifndef LIB_KVM_PROC_H
#define LIB_KVM_PROC_H

#include <stdint.h>
#include <sys/types.h>

#include "lib/pool.h"

#define PROC_COMM_SIZE 16
#define PROC_FDS_MAX 65536U /* of one process are looked at */

/* A descriptor of KVM's, by the text of its link. */
enum proc_kind { PROC_OTHER, PROC_VM, PROC_VCPU, PROC_VM_STATS, PROC_VCPU_STATS };

struct proc_link {
    int32_t fd;
    int32_t vcpu;  /* BULLETIN_VM (-1) of a VM's */
    int32_t first; /* of a VM's: the lowest descriptor of the same VM; it may have been duplicated */
    enum proc_kind kind;
};

struct proc_who {
    uint32_t tgid;
    uint32_t parent;
    uint32_t uid; /* effective */
    uint32_t inner_pid;
};

/* Below, root is a descriptor of the proc file system's directory. Negative errno: -ESRCH where that process has gone. */

/* The numbers that the directory at path below root (or root itself, "") has, ascending, into *numbers (uint32_t),
 * at most most of them. */
int proc_numbers(int root, const char *path, size_t most, struct pool *numbers);

/* Field 22 of its stat; 0: it has gone. */
uint64_t proc_start(const char *root_path, uint32_t pid);

int proc_who(int root, uint32_t pid, struct proc_who *ret);
int proc_comm(int root, uint32_t pid, char comm[PROC_COMM_SIZE]);

/* Its arguments, each NUL-terminated; how many bytes, at most size. The kernel waits there for a process that is being
 * changed: ask once, and only of those that matter. */
long proc_cmdline(int root, uint32_t pid, char *buf, size_t size);

/* How many descriptors it has open (Linux 6.2), 0: not known. */
uint64_t proc_fd_count(int root, uint32_t pid);

/* Its descriptors of KVM's, ascending, into *links (struct proc_link); *seen: how many were looked at. */
int proc_links(int root, uint32_t pid, struct pool *numbers, struct pool *links, size_t *seen);

/* What is behind one descriptor: of the process, or of the caller ("self"). PROC_OTHER also where there is none. */
enum proc_kind proc_link_of(int root, const char *process, int32_t fd, int32_t *vcpu);

/* The text of a link. */
enum proc_kind proc_kind_of(const char *text, int32_t *vcpu);

#endif
