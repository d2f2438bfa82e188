/* SPDX-License-Identifier: MIT */
/* What one look at the host has found: the processes that have VMs, and what KVM counts of them. Flat memory, so that it
 * may be shared: a process with the permission makes it (find.c, statistics.c, debugfs.c), and another one, which gave up
 * all permissions and reads segments, has it (host.c, join.c). Both run the same program: it is no format, and its reader
 * trusts it.
 */
#ifndef LIB_KVM_BULLETIN_H
#define LIB_KVM_BULLETIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Places are bytes from its start, multiples of 8. */
struct bulletin {
    uint64_t bytes;     /* of all of it */
    uint64_t serial;    /* of the look: 1, 2, ... */
    uint64_t epoch;     /* changes whenever a process came or went */
    uint64_t processes; /* place of the first; sorted by pid */
    uint64_t schemas;   /* place of an array of places of schema blocks (struct shm_schema), checked */
    uint32_t process_count;
    uint32_t schema_count; /* of blocks; they keep their number while the host's finder lives, new ones come last */
    uint32_t denied;       /* processes that seem to have VMs, and may not be looked into */
    uint32_t trouble;      /* VMT_HOST_TROUBLE_ of host.h */
    uint8_t boot_id[16];   /* of this boot, zeros where it is not known */
    uint32_t why;          /* BULLETIN_WHY_ */
    uint32_t closed_count; /* of all that may not be looked into */
    uint64_t closed;       /* place of the first struct bulletin_closed */
    uint64_t settled_ns;   /* CLOCK_REALTIME: of what was there by then, all has been looked at since; 0: not all has */
};

#define BULLETIN_WHY_LOCKED 1U /* the kernel is locked down: most of debugfs may not be read by anybody */
#define BULLETIN_WHY_INNER 2U  /* we are in a PID namespace of our own, and debugfs names processes as the host does */

/* A process that may not be looked into. */
struct bulletin_closed {
    uint64_t start;
    uint32_t pid;
    uint32_t inner_pid; /* of one that seems to have a VM, as denied counts them; else 0, not known */
};

struct bulletin_process {
    uint64_t start;    /* field 22 of /proc/PID/stat: with the pid, this process for good */
    uint64_t begin_ns; /* CLOCK_MONOTONIC before the first of its counters was read */
    uint64_t end_ns;
    uint64_t items; /* place of the first */
    uint32_t item_count;
    uint32_t pid;
    uint32_t inner_pid; /* in its own PID namespace */
    uint32_t uid;       /* whose it is: effective */
    uint32_t denied;    /* its statistics fds can't be had */
    uint32_t trouble;   /* VMT_HOST_TROUBLE_: what of its counters could not be read, and why */
    uint32_t ended;     /* set at any time, by bulletin_ended(): it has gone since */
    uint32_t reserved;
    char name[64]; /* QEMU's -name, Firecracker's --id, else the command; fit to print, no '/', never "" */
};

#define BULLETIN_VM (-1)         /* instead of the number of a vCPU */
#define BULLETIN_UNKNOWN_VM (-1) /* it is not known which of several */
#define BULLETIN_ONLY_VM (-2)    /* the only one, of which no fd is open any more */
#define BULLETIN_NO_VALUES 1U    /* what it counts is not known: a vCPU, of which debugfs has only the sum over all */
#define BULLETIN_TOTAL 2U        /* no thing of its own: the sum over all vCPUs of that VM; only where NO_VALUES */
#define BULLETIN_FROM_DEBUGFS 4U /* else from a statistics fd */
#define BULLETIN_SPARE 8U /* counts what another item here stands for: for who knows its fd, as a segment may say */

#define BULLETIN_NO_SCHEMA                                                                                             \
    UINT32_MAX /* of a thing of which nothing is known but that it is there; only with NO_VALUES */

/* A VM or a vCPU. Those of a VM come after it: VM, its total (if any), its vCPUs by number. Last come those of which it
 * is not known which VM of several they are: VMs, then vCPUs; then spare ones. */
struct bulletin_item {
    uint64_t generation; /* even, not 0; never the same for two things that this finder has seen */
    uint64_t values;     /* place of as many u64 as the schema has slots; zeros with NO_VALUES */
    uint32_t index;      /* small; no other item of this process has it now */
    uint32_t schema;     /* number of the block, or BULLETIN_NO_SCHEMA */
    int32_t vm;          /* the process's fd of its VM, or BULLETIN_..._VM */
    int32_t vcpu;        /* or BULLETIN_VM */
    int32_t fd;          /* of the statistics, in that process; -1 from debugfs */
    uint32_t flags;      /* BULLETIN_ */
};

/* Memory that a bulletin is made in: shared (memfd) or private. Starts as { .fd = -1 }. */
struct board {
    char *data;
    uint64_t room; /* bytes that are mapped */
    int fd;        /* of the memory file, -1: private */
    int failed;    /* there was no room: -ENOMEM, or -EFBIG (shared memory is a file to RLIMIT_FSIZE) */
};

/* Start anew: the struct bulletin alone, zeros. */
void board_clear(struct board *board);

/* bytes more at the end, zeroed; their place, 0 and board->failed where there is no memory. data may have moved. */
uint64_t board_add(struct board *board, uint64_t bytes);
void board_free(struct board *board);

/* The other side of shared memory: map what fd has, read-only. 0 or -ENOMEM. */
int board_map(struct board *board, uint64_t bytes);

/* The process with this pid, and start (0: any), that has not ended since; NULL: none. */
const struct bulletin_process *bulletin_find(const struct bulletin *b, uint32_t pid, uint64_t start);

/* It has ended. Others may be reading. */
void bulletin_ended(struct bulletin *b, uint32_t pid, uint64_t start);

static inline bool bulletin_lives(const struct bulletin_process *p)
{
    return !__atomic_load_n(&p->ended, __ATOMIC_RELAXED);
}

static inline void *bulletin_at(const struct bulletin *b, uint64_t place) { return (char *)(uintptr_t)b + place; }

#endif
