/* SPDX-License-Identifier: MIT */
/* The bytes of a segment, format version 1.0. FORMAT.md beside this file tells the story; every offset in it is
 * asserted here as a literal. Little-endian and big-endian machines each write their own order (byte_order tells).
 * All offsets are bytes from the start of the file; 0 means none. Fields named reserved are 0.
 */
#ifndef SHM_LAYOUT_H
#define SHM_LAYOUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <vmtally/descriptor.h>

#define SHM_MAGIC "\177VMTALLY" /* 8 bytes, no NUL */
#define SHM_BYTE_ORDER 0x01020304U
#define SHM_MAJOR 1
#define SHM_MINOR 0
#define SHM_HEADER_BYTES 4096U
#define SHM_GRANULE 128U     /* all blocks start on it: two cache lines, for the adjacent-line prefetcher */
#define SHM_ENTRY_BYTES 128U /* smallest stride of the source table */
#define SHM_ENTRY_BYTES_MAX 4096U
#define SHM_SUFFIX ".vmt"

enum shm_lifecycle { SHM_BORN = 0, SHM_OPEN = 1, SHM_CLOSED = 2 };
enum shm_source_state { SHM_FREE = 0, SHM_LIVE = 1, SHM_DRAINING = 2 };
enum shm_shard_kind { SHM_SHARD_IDLE = 0, SHM_SHARD_HELD = 1, SHM_SHARD_SHARED = 2 };

#define SHM_FIXED 1U             /* compatible feature: all is allocated at creation, shards are packed (jail mode) */
#define SHM_ENTRY_SHARED_USED 1U /* flag of an entry: its shared shard has been counted in */

struct shm_header {
    /* written once, before the file is published (by a restarter: under the lock, before lifecycle is OPEN) */
    uint8_t magic[8];
    uint32_t byte_order;
    uint16_t major;
    uint16_t minor;
    uint64_t compatible;   /* feature bits that a reader may ignore */
    uint64_t incompatible; /* feature bits that a reader must know, else it refuses */
    uint8_t identity[16];  /* random */
    uint8_t boot_id[16];   /* /proc/sys/kernel/random/boot_id, or zeros */
    uint64_t created_ns;   /* CLOCK_REALTIME */
    uint32_t pid;          /* in the writer's PID namespace */
    uint32_t header_bytes;
    uint64_t pid_start; /* field 22 of /proc/PID/stat, or 0 */
    uint64_t max_bytes; /* the file never grows past it */
    uint64_t source_offset;
    uint32_t source_bytes; /* stride of the source table */
    uint32_t source_limit; /* its entries at most */
    uint64_t reserved0;
    uint64_t heartbeat_interval_ns; /* 0: no heartbeat is promised */
    char name[64];                  /* NUL-terminated */
    uint8_t reserved1[64];
    /* written while running */
    uint64_t structure;   /* odd while sources, shards or schemas are being changed */
    uint64_t file_bytes;  /* allocated; only grows */
    uint32_t source_used; /* entries 0 .. source_used-1 have been written at some time; only grows */
    uint32_t lifecycle;   /* enum shm_lifecycle */
    uint64_t schemas;     /* first schema block */
    uint64_t incarnation; /* 1 at creation, raised by each writer that opens the segment again */
    uint64_t closed_ns;   /* CLOCK_REALTIME */
    uint64_t handed_ns;   /* CLOCK_REALTIME; not 0: the writer has stopped, whoever has its lock now may go on */
    uint8_t reserved2[72];
    uint64_t heartbeat_ns; /* CLOCK_MONOTONIC of the last heartbeat, 0: none yet */
    uint8_t reserved3[120];
    char labels[1024]; /* "key=value" strings, each NUL-terminated, an empty one last */
    uint8_t reserved4[2560];
};
#define SHM_AT(type, field, offset) static_assert(offsetof(struct type, field) == (offset), "segment ABI")
SHM_AT(shm_header, magic, 0);
SHM_AT(shm_header, byte_order, 8);
SHM_AT(shm_header, major, 12);
SHM_AT(shm_header, minor, 14);
SHM_AT(shm_header, compatible, 16);
SHM_AT(shm_header, incompatible, 24);
SHM_AT(shm_header, identity, 32);
SHM_AT(shm_header, boot_id, 48);
SHM_AT(shm_header, created_ns, 64);
SHM_AT(shm_header, pid, 72);
SHM_AT(shm_header, header_bytes, 76);
SHM_AT(shm_header, pid_start, 80);
SHM_AT(shm_header, max_bytes, 88);
SHM_AT(shm_header, source_offset, 96);
SHM_AT(shm_header, source_bytes, 104);
SHM_AT(shm_header, source_limit, 108);
SHM_AT(shm_header, heartbeat_interval_ns, 120);
SHM_AT(shm_header, name, 128);
SHM_AT(shm_header, structure, 256);
SHM_AT(shm_header, file_bytes, 264);
SHM_AT(shm_header, source_used, 272);
SHM_AT(shm_header, lifecycle, 276);
SHM_AT(shm_header, schemas, 280);
SHM_AT(shm_header, incarnation, 288);
SHM_AT(shm_header, closed_ns, 296);
SHM_AT(shm_header, handed_ns, 304);
SHM_AT(shm_header, heartbeat_ns, 384);
SHM_AT(shm_header, labels, 512);
static_assert(sizeof(struct shm_header) == 4096, "segment ABI");

/* One entry of the source table. Entry 0 is the segment itself: always live, never removed. */
struct shm_entry {
    uint64_t generation; /* odd while being born or buried; never reset */
    uint64_t fold;       /* not 0: contained in the parent's departed blocks from this version of it on */
    uint64_t version;    /* as a parent: which of its departed copies is active (version & 1); never reset */
    uint32_t state;      /* enum shm_source_state */
    uint32_t parent;     /* entry; 0 for entry 0 itself */
    uint64_t schema;     /* a schema block */
    uint64_t shards;     /* its first shard but the shared one; set at most once, 0 until then */
    uint64_t departed;   /* its first departed block */
    uint64_t parent_generation;
    uint64_t created_ns;      /* CLOCK_REALTIME */
    uint32_t flags;           /* SHM_ENTRY_ */
    uint32_t shared;          /* its shared shard, in units of 128 bytes */
    char name[VMT_NAME_SIZE]; /* NUL-terminated; unique among the live children of its parent */
};
SHM_AT(shm_entry, generation, 0);
SHM_AT(shm_entry, fold, 8);
SHM_AT(shm_entry, version, 16);
SHM_AT(shm_entry, state, 24);
SHM_AT(shm_entry, parent, 28);
SHM_AT(shm_entry, schema, 32);
SHM_AT(shm_entry, shards, 40);
SHM_AT(shm_entry, departed, 48);
SHM_AT(shm_entry, parent_generation, 56);
SHM_AT(shm_entry, created_ns, 64);
SHM_AT(shm_entry, flags, 72);
SHM_AT(shm_entry, shared, 76);
SHM_AT(shm_entry, name, 80);
static_assert(sizeof(struct shm_entry) == 128, "segment ABI");

/* A schema block: this, then at kvm_offset what KVM_GET_STATS_FD gives before the data (header, id, descriptors),
 * then the side table, then its strings. Immutable once linked; never removed. */
struct shm_schema {
    uint64_t next; /* schema block */
    uint32_t block_bytes;
    uint32_t slots; /* u64 values */
    uint32_t descriptors;
    uint32_t kvm_offset;  /* from the start of the block */
    uint32_t side_offset; /* from the start of the block */
    uint32_t side_bytes;  /* stride of the side table */
    uint32_t strings_offset;
    uint32_t strings_bytes;
    uint64_t reserved0;
    char name[24];
    char provider[24];
    char target[24];
    uint64_t reserved1;
};
SHM_AT(shm_schema, next, 0);
SHM_AT(shm_schema, block_bytes, 8);
SHM_AT(shm_schema, slots, 12);
SHM_AT(shm_schema, descriptors, 16);
SHM_AT(shm_schema, kvm_offset, 20);
SHM_AT(shm_schema, side_offset, 24);
SHM_AT(shm_schema, side_bytes, 28);
SHM_AT(shm_schema, strings_offset, 32);
SHM_AT(shm_schema, strings_bytes, 36);
SHM_AT(shm_schema, name, 48);
SHM_AT(shm_schema, provider, 72);
SHM_AT(shm_schema, target, 96);
static_assert(sizeof(struct shm_schema) == 128, "segment ABI");

/* The side table: what KVM's descriptors have no place for, one a descriptor, in their order. */
struct shm_side {
    uint32_t help_offset;  /* into the strings; NUL-terminated UTF-8 */
    uint32_t label_offset; /* into the strings, 0 none; "key=value,..." */
    uint16_t group;        /* not 0: changes together with the others of this number */
    uint16_t minuend;      /* not 0: 1 + the descriptor from which this one is taken to give the level */
    uint8_t level;         /* enum vmt_level */
    uint8_t reserved0[3];
    uint64_t reserved1[2];
};
SHM_AT(shm_side, help_offset, 0);
SHM_AT(shm_side, label_offset, 4);
SHM_AT(shm_side, group, 8);
SHM_AT(shm_side, minuend, 10);
SHM_AT(shm_side, level, 12);
static_assert(sizeof(struct shm_side) == 32, "segment ABI");

/* A shard: this header, then the values. Writers count at 128 + 8 * slot from its start. */
struct shm_shard {
    uint64_t next;       /* the next shard of the same source; set at most once */
    uint64_t generation; /* of its source */
    uint32_t source;     /* entry */
    uint32_t slots;
    uint32_t kind;  /* enum shm_shard_kind */
    uint32_t owner; /* thread id of who acquired it, 0 where that is not known */
    uint64_t torn;  /* groups cut short by a dead owner */
    uint8_t reserved0[72];
    uint64_t begun; /* groups */
    uint64_t ended;
};
SHM_AT(shm_shard, next, 0);
SHM_AT(shm_shard, generation, 8);
SHM_AT(shm_shard, source, 16);
SHM_AT(shm_shard, slots, 20);
SHM_AT(shm_shard, kind, 24);
SHM_AT(shm_shard, owner, 28);
SHM_AT(shm_shard, torn, 32);
SHM_AT(shm_shard, begun, 112);
SHM_AT(shm_shard, ended, 120);
static_assert(sizeof(struct shm_shard) == 128, "segment ABI");

/* A departed block of one parent and one schema: this, then two copies of the values, the second one
 * shm_copy_bytes(slots) after the first. */
struct shm_departed {
    uint64_t next;       /* the next departed block of the same parent; set at most once */
    uint64_t schema;     /* a schema block */
    uint64_t generation; /* of the parent */
    uint32_t source;     /* the parent's entry */
    uint32_t slots;
    uint8_t reserved0[96];
};
SHM_AT(shm_departed, next, 0);
SHM_AT(shm_departed, schema, 8);
SHM_AT(shm_departed, generation, 16);
SHM_AT(shm_departed, source, 24);
SHM_AT(shm_departed, slots, 28);
static_assert(sizeof(struct shm_departed) == 128, "segment ABI");

static inline uint64_t shm_round(uint64_t bytes, uint64_t unit) { return (bytes + unit - 1) / unit * unit; }
static inline uint64_t shm_copy_bytes(uint32_t slots) { return shm_round((uint64_t)slots * 8, 64); }
static inline uint64_t shm_shard_bytes(uint32_t slots) { return sizeof(struct shm_shard) + (uint64_t)slots * 8; }
static inline uint64_t shm_departed_bytes(uint32_t slots)
{
    return sizeof(struct shm_departed) + 2 * shm_copy_bytes(slots);
}

/* The identity of a slot's aggregation over shards: what it holds before anything was counted.
 * Sum 0, min the greatest, max the least that there is (0 where unsigned). */
static inline uint64_t shm_identity(uint32_t flags)
{
    uint32_t how = flags & VMT_AGGREGATION_MASK;

    if (how == VMT_AGGREGATION_MIN)
        return flags & VMT_SIGNED ? (uint64_t)INT64_MAX : UINT64_MAX;
    if (how == VMT_AGGREGATION_MAX || (how == VMT_AGGREGATION_TYPE && (flags & VMT_TYPE_MASK) == VMT_TYPE_PEAK))
        return flags & VMT_SIGNED ? (uint64_t)INT64_MIN : 0;
    return 0;
}

/* Two shards' values of one slot, put together. */
static inline uint64_t shm_combine(uint32_t flags, uint64_t a, uint64_t b)
{
    uint32_t how = flags & VMT_AGGREGATION_MASK;
    int less = flags & VMT_SIGNED ? (int64_t)a < (int64_t)b : a < b;

    if (how == VMT_AGGREGATION_MIN)
        return less ? a : b;
    if (how == VMT_AGGREGATION_MAX || (how == VMT_AGGREGATION_TYPE && (flags & VMT_TYPE_MASK) == VMT_TYPE_PEAK))
        return less ? b : a;
    return a + b;
}

/* What a parent keeps of this slot when a child departs: not instants, averages and counts of zeros. */
static inline int shm_kept_on_departure(uint32_t flags)
{
    switch (flags & VMT_AGGREGATION_MASK) {
    case VMT_AGGREGATION_MIN:
    case VMT_AGGREGATION_MAX:
        return 1;
    case VMT_AGGREGATION_TYPE:
    case VMT_AGGREGATION_SUM:
        return (flags & VMT_TYPE_MASK) != VMT_TYPE_INSTANT;
    default:
        return 0;
    }
}

#endif
