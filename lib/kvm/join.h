/* SPDX-License-Identifier: MIT */
/* What the kernel counts, as nodes of the tree of a snapshot that is being taken. */
#ifndef LIB_KVM_JOIN_H
#define LIB_KVM_JOIN_H

#include "lib/kvm/host.h"
#include "lib/snapshot.h"

/* What a reader of "/proc/PID" reads: a process without a segment. */
struct lone {
    uint64_t start;
    uint64_t closed_ns; /* CLOCK_REALTIME when it was noticed that it has gone, 0: it is there */
    uint32_t pid;
    uint32_t uid;
    uint32_t reader_uid; /* of whoever opened it */
    char name[64];
};

/* lone.c. Open it, as of the newest look. 0; -ESRCH, -ENOMEM. */
int lone_open(struct vmt_reader *r, uint32_t pid);

/* Live, or closed once it has gone. */
enum vmt_state lone_state(const struct vmt_reader *r);

/* All of a snapshot of it, up to totals_and_samples(). 0, 1 (partial), -ENOMEM. */
int lone_read(struct vmt_snapshot *s, struct vmt_reader *r);

/* Between walk() and totals_and_samples(): add what the kernel counts of the segment's writer. 0, 1 (partial),
 * -ENOMEM. */
int join_segment(struct vmt_snapshot *s, struct vmt_reader *r, const struct shm_header *header);

/* What process (NULL: none) has, to the nodes that there are. The same. */
int join_nodes(struct vmt_snapshot *s, struct vmt_reader *r, const struct bulletin_process *process);

/* When the kernel's counters were read is part of when the snapshot was taken. */
void join_times(struct vmt_snapshot *s, const struct bulletin_process *process);

/* vmt_reader_sample() of a source that was added, or of a process. */
int join_sample(const struct vmt_reader *r, const struct vmt_sample *sample, uint64_t *values);

#endif
