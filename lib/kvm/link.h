/* SPDX-License-Identifier: MIT */
/* The VMM's side of provider kvm: the VMs and vCPUs that it handed over with vmt_kvm_add(), their statistics fds, and
 * what stands for them in the segment (handle.h).
 *
 * What may run beside what: all of it is changed under the segment's lock; fd and kvm_unlink()'s close also inside of
 * segments_hold(), so that a child of fork() knows exactly which descriptors are its copies of ours. The list of links
 * only grows: who walks it need not hold the lock, and what has left it is used again for the next one, without malloc.
 */
#ifndef LIB_KVM_LINK_H
#define LIB_KVM_LINK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmtally/segment.h>

struct kvm_schema;

/* A VM or vCPU whose statistics fd is open here, or was: then it remembers up to where its counts were copied, as KVM
 * can't destroy a vCPU alone, and the VMM may plug it again. */
struct kvm_link {
    struct kvm_link *next;     /* never changes */
    struct vmt_source *source; /* NULL: not in use */
    struct vmt_source *handle; /* children of source: "kvm-fd", */
    struct vmt_source *copy;   /* and "kvm", NULL: not yet */
    const struct kvm_schema *schema;
    uint64_t *last; /* what has been copied: the values then; behind them as many, for those of now */
    uint64_t parent_generation;
    uint32_t parent;        /* entry of source's parent, and its generation: where what it had counted is kept */
    int failed;             /* why there can be no copy */
    int fd;                 /* -1: none */
    bool copied;            /* last holds something */
    char id[VMT_NAME_SIZE]; /* the kernel's: "kvm-4711/vcpu-2" */
};

/* A schema that the segment uses, and holds until it is closed. */
struct kvm_kept {
    struct kvm_kept *next;
    const struct kvm_schema *schema;
};

/* Part of struct vmt_segment. */
struct kvm_links {
    struct kvm_link *first;
    struct kvm_kept *kept;
    pthread_cond_t wake; /* of the copier, with the segment's lock */
    pthread_t copier;
    uint64_t interval_ns;
    bool has_copier; /* it is to run on */
    bool copying;    /* copies are wanted */
};

void kvm_init(struct vmt_segment *segment);

/* Of vmt_kvm_add(), once there is a statistics fd. stats_fd is the library's from here on, closed also on failure. */
int kvm_link(struct vmt_source *source, int stats_fd);

/* Source is about to be removed: its children of provider kvm go first. Under the lock, inside of segments_hold().
 * Returns the fd that is to be closed once the lock is given back (it may be the VM's end, which takes its time), or
 * -1. */
int kvm_unlink(struct vmt_source *source);

/* A source is removed whose parent has a link. Under the lock. */
void kvm_child_removed(const struct vmt_source *child);

/* The writer leaves: numbers are taken back, fds closed; no more copier. Under the lock, inside of segments_hold(). */
void kvm_leave(struct vmt_segment *segment);
void kvm_free(struct vmt_segment *segment); /* all memory */

/* In a child of fork(): close what it has of the fds. Async-signal-safe. */
void kvm_after_fork(struct vmt_segment *segment);

/* copy.c. Have a copy of what the kernel counts now, if link is in use. 0, or why there is none. */
int kvm_copy(struct vmt_segment *segment, struct kvm_link *link);

/* Under the lock; link has a copy. */
void kvm_copy_values(struct kvm_link *link);

/* Whether what the kernel counts at link->fd may go on from what has been copied. */
bool kvm_goes_on(const struct kvm_link *link);

/* Wait for the copier to end. The lock must not be held. */
void kvm_stop_copier(struct vmt_segment *segment);

#endif
