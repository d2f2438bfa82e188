/* SPDX-License-Identifier: MIT */
/* What reading takes only while it lasts. There are as many of them as threads that read at once, however many readers
 * there are. */
#ifndef LIB_WORKSPACE_H
#define LIB_WORKSPACE_H

#include <stdint.h>

#include <vmtally/descriptor.h>

#include "lib/pool.h"

struct workspace {
    /* The values of one source while they are put together. Not on the stack, as a host's may be small; pages of it are
     * touched as far as schemas are large. */
    _Alignas(64) uint64_t spare[VMT_SLOTS_MAX];
    uint64_t copy[VMT_SLOTS_MAX];    /* of one shard, as read */
    uint64_t own[VMT_SLOTS_MAX];     /* of one shard, kept apart */
    uint64_t removed[VMT_SLOTS_MAX]; /* of all shards, read before the others */
    uint64_t whole[VMT_SLOTS_MAX];   /* of all shards, where they are kept one by one too */
    /* The table of one segment while a snapshot of it is taken. */
    struct pool nodes;   /* struct node, an entry each */
    struct pool glances; /* u64: generations, versions, first and second look */
    struct pool table;   /* bytes: the raw table */
    struct pool blocks;  /* struct block */
    struct pool order;   /* u32: entries in the order of samples */
    struct pool places;  /* struct place: where what the kernel counts belongs (kvm/place.h) */
    struct pool sorted;  /* pointers to them */
    struct pool fds;     /* struct place_fd */
    uint32_t too_large;  /* snapshots in a row that had use for a small part of the pools only */
};

/* Around the time in which there may be any: of a reader, from when it is opened until it is closed. The last one frees
 * them. Any thread. */
void workspaces_hold(void);
void workspaces_release(void);

/* One for the caller alone, with whatever is in it. NULL: no memory. Any thread. */
struct workspace *workspace_take(void);
void workspace_put(struct workspace *work);

/* After a snapshot: what one large segment took is not kept for ever, if small ones are all that follow. */
void workspace_settle(struct workspace *work);

#endif
