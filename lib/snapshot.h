/* SPDX-License-Identifier: MIT */
/* The inside of readers and snapshots. Taking one goes through these files:
 *   walk.c     the table of sources in passes, with the validation of shm/FORMAT.md, into nodes
 *   sums.c     the shards of one source, with groups, into its values
 *   kvm/join.c what the kernel counts of the same process, into more nodes; only for a reader that has a host
 *   totals.c   what users see (samples, totals) made of the nodes
 */
#ifndef LIB_SNAPSHOT_H
#define LIB_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include <vmtally/reader.h>

#include "lib/pool.h"
#include "lib/schema_set.h"
#include "lib/workspace.h"

/* What may still be looked at, in bytes of blocks: chains may be circles, and blocks lie on top of each other. */
struct budget {
    uint64_t visits;
    uint64_t again; /* groups that were being changed */
};

struct vmt_reader {
    struct shm_view view;
    struct shm_look look;
    struct schema_set *schemas;
    struct vmt_segment *segment; /* in-process, else NULL */
    char *path;
    struct pool labels; /* chars of labels_incarnation: each with its NUL, an empty one last */
    uint64_t labels_incarnation;
    /* what vmt_reader_sample() needs, from the last snapshot */
    uint64_t source_offset;
    uint32_t source_bytes;
    uint32_t source_used;
    /* of vmt_reader_open_host() */
    struct vmt_host *host; /* or NULL */
    struct lone *lone;     /* a process that is read instead of a segment, or NULL (kvm/join.h) */
    uint32_t joined_pid;   /* whose counters the last snapshot had, 0: nobody's */
    uint64_t joined_start;
};

/* One departed block of one source, as read. */
struct block {
    const struct parsed *schema;
    size_t values; /* or NOTHING */
    size_t whole;  /* what all below it count, of those whose own share is not known; or NOTHING */
    uint32_t next; /* 1 + index of the next one of the same source */
};

/* Instead of an index in the pool of values: what departed has counted nothing, as is usual. */
#define NOTHING SIZE_MAX

/* One entry of the table, as read. */
struct node {
    struct shm_entry entry; /* a checked copy */
    const struct parsed *schema;
    uint64_t generation; /* of the incarnation read; valid while seen */
    size_t values;       /* in the pool of values */
    size_t values_room;  /* slots there */
    size_t shards;       /* in the pool of shards */
    uint32_t shard_count;
    uint32_t first_block; /* 1 + index */
    uint32_t first_child; /* entry; 0 none */
    uint32_t next_sibling;
    uint32_t flags;  /* VMT_SAMPLE_ */
    uint32_t joined; /* 1 + which of the places is beside it; of one that kernel says: its entry, as users see it */
    bool kernel;     /* added by kvm/join.c */
    bool copied;     /* has a child that is a copy of what the kernel counts */
    bool seen;       /* alive and read */
    bool done;       /* as a parent, in this generation: its children and departed blocks are of one version */
    bool listed;     /* as a parent, in this generation: all its departed blocks were read */
    bool reading;    /* in this pass, as a child */
    bool parenting;  /* in this pass, as a parent */
    bool failed;     /* in this pass, as a parent */
    uint8_t pass;    /* from 1, in which it was done */
};

struct vmt_snapshot {
    struct vmt_segment_info info;
    struct schema_set *schemas; /* held for what samples point to */
    bool want_shards;
    struct workspace *work; /* while it is being taken */
    struct pool values;     /* u64 */
    struct pool shards;     /* struct vmt_shard_sample; values is an index until the end */
    struct pool samples;    /* struct vmt_sample */
    struct pool totals;     /* struct vmt_total */
    struct pool text;       /* chars */
    struct pool labels;     /* const char * */
    struct pool label_text; /* chars */
    struct budget budget;   /* of this pass */
    char *path;
    char name[64];
    uint64_t walk_ns;   /* CLOCK_MONOTONIC before the first load from the segment; of a process, as the next */
    uint64_t looked_ns; /* when the kernel's counters were read, 0: there are none */
    uint32_t pid;       /* of the writer, as the host sees it; 0: it does not know the process */
};

#define NODE(s, i) (&((struct node *)(s)->work->nodes.data)[i])
#define BLOCK(s, number) (&((struct block *)(s)->work->blocks.data)[(number)-1]) /* from 1 */
#define VALUES(s, at) (&((uint64_t *)(s)->values.data)[at])

/* The departed block of that schema of a node, or NULL. */
static inline struct block *block_find(const struct vmt_snapshot *s, const struct node *n, const struct parsed *schema)
{
    for (uint32_t b = n->first_block; b; b = BLOCK(s, b)->next) {
        if (BLOCK(s, b)->schema == schema)
            return BLOCK(s, b);
    }
    return NULL;
}

/* reader.c: the caller's options (NULL: none) into *ret, which is zeros. 0, -EINVAL. */
int reader_options_take(struct vmt_reader_options *ret, const struct vmt_reader_options *options);

/* walk.c: read all sources. 0, 1 (partial), -EBADMSG, -ENOMEM. */
int walk(struct vmt_snapshot *s, struct vmt_reader *r, const struct shm_header *header);

/* sums.c: the sums of one source into values, at the cost of budget. Returns VMT_SAMPLE_ flags, or -ESTALE (its memory
 * is somebody else's by now), -EBADMSG, -ENOMEM. each (may be NULL) is called for every shard. *work may be NULL: it is
 * taken if it is needed, and then the caller's to put back. */
struct source_ref {
    const struct parsed *schema;
    uint64_t generation;
    uint64_t shards;
    uint64_t shared; /* 0: not used */
    uint32_t entry;
};
typedef bool each_shard_fn(void *arg, uint64_t offset, const struct shm_shard *header, const uint64_t *values,
                           uint32_t flags);
int sums(struct shm_view *view, const struct source_ref *source, uint64_t *values, struct workspace **work,
         struct budget *budget, each_shard_fn *each, void *arg);

#endif
