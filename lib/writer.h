/* SPDX-License-Identifier: MIT */
/* The writer's private index. A writer never follows an offset or length that it reads from the segment: what it needs
 * to find again stands here, in private memory that is all reserved when the segment is created, so that a cold call
 * in a jail allocates nothing.
 *
 * What may run beside what: everything below is changed under segment->lock only. Walks of `names` (find) are under
 * RCU; memory that they or an in-process reader may still see is retired and reused after a grace period.
 */
#ifndef LIB_WRITER_H
#define LIB_WRITER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <vmtally/schemas.h>
#include <vmtally/segment.h>

#include "lib/kvm/link.h"
#include "lib/schema_block.h"
#include "shm/layout.h"

#define SPACE_CLASSES 96U
#define SEGMENT_SOURCES 16384U /* at most, unless asked for more */
#define SEGMENT_BYTES_MIN (64U << 10)
#define SEGMENT_BYTES_MAX (1ULL << 38) /* granules are counted in 32 bits, with room to spare */

/* A list of free (or retired) blocks of one size class, linked through the map. Granule 0 is the header: none. */
struct space_list {
    uint32_t first;
    uint32_t last;
};

/* The segment's memory. Two kinds of blocks: own pages for shards, so that the thread that acquires one has it placed
 * on its node, and packed ones for all else (in jail mode for shards too). Sizes are rounded up to classes a quarter
 * of a power of two apart; a freed block serves its class again. */
struct space {
    uint8_t *base; /* NULL: not mapped, or no more */
    uint64_t max_bytes;
    uint64_t file_bytes; /* allocated */
    uint64_t packed;     /* next free byte of the chunk of packed blocks */
    uint64_t packed_end;
    int fd; /* -1: nothing can be allocated any more */
    bool fixed;
    uint32_t *map; /* a granule each: next of a free block, or index of a used shard's private half */
    struct space_list free[2][SPACE_CLASSES];
    struct space_list retired[2][SPACE_CLASSES]; /* since the last grace period began */
    struct space_list waiting[2][SPACE_CLASSES]; /* for the end of the one that somebody waits for now */
    uint32_t runs; /* what an earlier writer left unused: in the map, next at the run's first granule, its length in
                      granules at the second */
};

/* A schema that is used in this segment. */
struct schema {
    const struct vmt_schema *declared;
    uint64_t offset; /* of its block */
    uint32_t instant_count;
    uint16_t instants[VMT_SLOTS_MAX]; /* slots of instants that are sums: released as 0 */
};

/* A shard's, or a departed block's, private half. */
struct record {
    struct record *next; /* of its source; of the free ones */
    struct vmt_source *source;
    uint64_t offset;
    struct schema *schema;
    struct record *next_idle;
    pthread_mutex_t robust; /* of a thread-owned shard: the kernel's word for its owner's life */
    pthread_t owner;        /* who locked it */
    bool has_robust;        /* the mutex was made */
    bool held;
    bool by_thread;
};

struct vmt_source {
    struct vmt_segment *segment;
    struct vmt_source *parent;
    struct vmt_source *next_name;    /* RCU: of the same hash */
    struct vmt_source *next_leaving; /* of the free or retired ones too */
    struct schema *schema;
    struct shm_entry *entry;
    struct shm_shard *shared;
    uint64_t shared_offset;
    struct record *shards;        /* all but the shared one */
    struct shm_shard *last_shard; /* NULL: none yet but the shared one */
    struct record *idle;
    struct record *departed; /* blocks of what its descendants counted */
    struct shm_departed *last_departed;
    struct kvm_link *link; /* of a VM or vCPU of KVM's, or NULL */
    uint32_t index;
    uint32_t depth;
    uint32_t held;
    uint32_t held_by_thread;
    uint32_t children;
    bool removed;
    bool found; /* an earlier writer's, and not added again yet */
    char name[VMT_NAME_SIZE];
};

struct vmt_segment {
    struct vmt_segment *next; /* of all that ever were in this process; never freed, so that lookups need no lock */
    pthread_mutex_t lock;
    pthread_mutex_t reclaim; /* outside of lock: held by who waits for a grace period */
    struct space space;
    struct shm_header *header;
    struct vmt_source *root;
    struct schema *schemas;
    struct record *records;
    struct vmt_source *sources;
    struct vmt_source **names; /* hash buckets */
    void *private;             /* what the five above and space.map are carved from */
    uint64_t private_bytes;
    struct record *free_records;
    struct vmt_source *free_sources;
    struct vmt_source *retired_sources;
    struct vmt_source *waiting_sources;
    struct vmt_source *leaving; /* removed, with shards still held by threads */
    uint32_t retired_count;     /* of retired_sources */
    uint32_t schema_count;
    uint32_t record_count;
    uint32_t record_limit;
    uint32_t source_used;
    uint32_t source_limit;
    uint32_t source_allocated; /* entries whose space is allocated */
    uint32_t name_mask;
    uint32_t name_key;               /* of their hash */
    uint32_t own[VMT_SEGMENT_SLOTS]; /* slots of the library's own counters in source 0; UINT32_MAX: none */
    struct schema_set *found;        /* the schemas of an earlier writer, or NULL */
    struct kvm_links kvm;
    dev_t device; /* of the file */
    ino_t inode;
    int fd; /* ours, or -1 */
    bool open;
    bool forked;
    bool unlink;
    char name[64];
    char *path;
};

/* A store that readers in other processes may see at any time. */
#define PUT(lvalue, value) __atomic_store_n(&(lvalue), (value), __ATOMIC_RELAXED)
#define PUT_RELEASE(lvalue, value) __atomic_store_n(&(lvalue), (value), __ATOMIC_RELEASE)
#define GET(lvalue) __atomic_load_n(&(lvalue), __ATOMIC_RELAXED)

/* Where entry i of the source table is, and where, on a page, the arena behind a table of that many. */
static inline uint64_t entry_offset(uint32_t i) { return SHM_HEADER_BYTES + (uint64_t)i * SHM_ENTRY_BYTES; }
static inline uint64_t arena_offset(uint32_t source_limit) { return shm_round(entry_offset(source_limit), 4096); }

/* space.c. All sizes in bytes; offsets from the start of the file, 0 where there is no space (then *error). */
void space_init(struct space *space, uint64_t used, uint64_t file_bytes);
uint64_t space_alloc(struct vmt_segment *segment, uint64_t bytes, bool own_pages, int *error);
void space_retire(struct vmt_segment *segment, uint64_t offset, uint64_t bytes, bool own_pages);
void space_free(struct vmt_segment *segment, uint64_t offset, uint64_t bytes, bool own_pages); /* never published */

/* Make what is retired free again, after a grace period; true if there may be more now. The lock must not be held: the
 * wait is for read sections, which may be the host's own, and whoever is in one may want the lock. */
bool space_reclaim(struct vmt_segment *segment);
int space_grow(struct vmt_segment *segment, uint64_t from, uint64_t to);

/* What a block at offset occupies: a whole size class, of whole pages or granules, from *from to *to. */
void space_extent(const struct space *space, uint64_t offset, uint64_t bytes, bool own_pages, uint64_t *from,
                  uint64_t *to);

/* After a restart: what lies between from and the end of the file in no used granule (a bit each) is to be had. */
void space_recover(struct space *space, uint64_t from, const uint64_t *used);
static inline void *space_at(const struct vmt_segment *segment, uint64_t offset)
{
    return segment->space.base + offset;
}

/* schema_block.c */
bool schema_equal(const struct vmt_schema *a, const struct vmt_schema *b);
struct schema *schema_intern(struct vmt_segment *segment, const struct vmt_schema *declared, int *error);

/* The next schema of the segment's index, whose block is at offset. */
struct schema *schema_add(struct vmt_segment *segment, const struct vmt_schema *declared, uint64_t offset);

/* source.c */
struct record *record_new(struct vmt_segment *segment);
void record_free(struct vmt_segment *segment, struct record *record);
int source_make_root(struct vmt_segment *segment);
void source_count_own(struct vmt_segment *segment, uint32_t slot); /* VMT_SEGMENT_ */

/* vmt_source_add() of what is known to be good, under the lock. Where there is no room there may be more after
 * space_reclaim(). */
int source_add_locked(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                      const char *id, struct vmt_source **ret);
bool source_no_room(int error);
struct record *source_departed(const struct vmt_source *source, const struct schema *schema);
int source_check_id(const char *id);
struct vmt_source *source_named(const struct vmt_source *parent, const char *id, size_t n);
void source_put_name(struct vmt_source *source);
void source_remove_name(struct vmt_source *source);

/* removal.c */
void source_remove(struct vmt_source *source);
void source_bury(struct shm_entry *entry);         /* FORMAT.md, removal, step 5 */
void source_try_finish(struct vmt_source *source); /* fold it and its removed ancestors, if nothing holds them */
void source_reap_leaving(struct vmt_segment *segment);

/* shard.c */
void shard_init(struct vmt_segment *segment, uint64_t offset, const struct vmt_source *source, uint64_t generation,
                uint32_t kind);
void shard_reap_dead_owners(struct vmt_source *source);
void shard_take_over(struct record *shard); /* from a dead writer; becomes idle */

/* header.c */
int header_fill(struct vmt_segment *segment, const struct vmt_segment_options *o); /* all but the magic */
void header_put_writer(struct shm_header *h, const struct vmt_segment_options *o); /* what is new with each writer */
int header_check_labels(const char *const *labels);
uint64_t header_start_of(const char *stat_path); /* when a process started: field 22 of its stat, 0: not to be had */
void header_boot_id(uint64_t id[2]);             /* zeros where there is no /proc */
bool header_writer_lives(const struct shm_header *h); /* and is not this process, as far as /proc tells */

/* restart.c: go on in the segment that fd is open on, whose lock we have. 0; -EBADMSG, -EMEDIUMTYPE, -EPROTONOSUPPORT
 * (can't be gone on with: *why, and nothing was written), -ENODATA (no magic: never was one), -EEXIST (it has a
 * writer), -ENOSPC, -EFBIG, -ENOMEM ... */
int segment_restart(struct vmt_segment *segment, const struct vmt_segment_options *o, int fd, const char **why);

/* segment.c, fork.c */
bool segment_has_file(const struct vmt_segment *segment, int fd);
struct vmt_segment *segment_of(const void *address);
uint64_t segment_bytes_max(const struct vmt_segment_options *o);
void segment_give_up(const struct vmt_segment *segment);                 /* private memory in place of the file's */
void segment_clear(struct vmt_segment *segment);                         /* of all but its name */
int segment_map(struct vmt_segment *segment, int fd, uint64_t at_least); /* the file, and the private index */
struct vmt_segment *segment_first(void);
void fork_watch(void);

/* Around a segment's coming and going: a fork waits for it, as its child must know all locks that it inherits. */
void segments_hold(void);
void segments_let_go(void);

/* Around each structural change: readers see an odd number while it lasts (and for ever, if the writer dies in it). */
void structure_begin(struct vmt_segment *segment);
void structure_end(struct vmt_segment *segment);

#endif
