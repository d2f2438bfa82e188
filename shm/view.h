/* SPDX-License-Identifier: MIT */
/* A segment as its readers see it: read-only bytes that are not trusted and may change, shrink or vanish.
 *
 * Two ways: COPY (pread; no signal can come of it) and GUARDED (mapped, under a SIGBUS handler of ours). Nothing but
 * this file and check.c touches bytes of a segment that another process wrote; all accesses are bounded by view->bytes.
 */
#ifndef SHM_VIEW_H
#define SHM_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "shm/layout.h"

struct shm_guard; /* a slot of the SIGBUS handler's list */

struct shm_view {
    int fd;
    uint64_t cap;          /* never look behind it */
    uint64_t bytes;        /* min(size of the file, cap) */
    uint64_t file_bytes;   /* size of the file */
    uint64_t occupied;     /* bytes of it that can have been written: its holes cost whoever made it nothing */
    const uint8_t *base;   /* of the mapping, or NULL */
    uint64_t mapped_bytes; /* of the mapping */
    struct shm_guard *guard;
    uint64_t holes; /* a mapping is read through only if no more than that is not occupied */
    uint32_t looks; /* at the size, that are left to this snapshot */
    bool want_map;
    bool exact;              /* holes are of zero bytes, and all others are allocated: tmpfs, ramfs */
    bool own;                /* the writer's own mapping in this process: no guard, no growth to follow */
    bool direct;             /* for this snapshot: through the mapping */
    bool shrunk;             /* it had more bytes once, or a read met its end: damaged for good */
    bool unnamed;            /* no directory entry any more */
    uint32_t uid;            /* who owns the file */
    uint32_t trusted_uid[2]; /* besides root: whoever opened this view, and the owner of the directory */
};

/* Open path read-only. 0; -ELOOP (symbolic link), -EISDIR, -EINVAL (not a regular file), -ENOTSUP (a file system on
 * which a read may hang), -EXDEV (something is mounted there), -EBUSY (somebody has a lease on it), and what open gives.
 * Does not block: not on a FIFO, a lease, or a FUSE mounted over the file. */
int shm_view_open(const char *path, uint64_t cap, bool want_map, struct shm_view *view);

/* A handle (O_PATH) on a directory of segments, and what it is. -ENOTSUP: on a file system where a look at it may hang, as
 * for any file there. The path may lead through links, with follow it may be one itself. Where the kernel has no
 * statmount (before Linux 6.8, or a filter), a FUSE whose server hangs makes this hang. */
int shm_open_directory(const char *path, bool follow, struct stat *st);

void shm_view_own(struct shm_view *view, const void *base);
void shm_view_close(struct shm_view *view);

/* Before each snapshot: follow growth, notice truncation, decide how to read. 0, or -EBADMSG (shrunk), -EIO. */
int shm_view_begin(struct shm_view *view);

/* Whoever may create files in a directory can put any name and any identity there: such a file is somebody else's. */
static inline bool shm_view_foreign(const struct shm_view *view)
{
    return view->uid != 0 && view->uid != view->trusted_uid[0] && view->uid != view->trusted_uid[1];
}

/* Whether all reads so far were of the file's bytes. False: it was truncated meanwhile, distrust them. */
bool shm_view_good(struct shm_view *view);

/* Copy [offset, offset + bytes) to to, whole u64 at a time, both 8-byte aligned. 0 or -EBADMSG (not within). */
int shm_view_copy(struct shm_view *view, uint64_t offset, void *to, uint64_t bytes);

/* Load one u64 that leads to other bytes; acquire: pairs with the release by which the writer links what is complete.
 * 0 or -EBADMSG. */
int shm_view_link(struct shm_view *view, uint64_t offset, uint64_t *ret);

/* Of bytes that another process claims to be there: how many may be read, kept or looked at. A sound segment has
 * written, or allocated, all that its entries lead to. */
static inline uint64_t shm_view_solid(const struct shm_view *view)
{
    return view->bytes < view->occupied ? view->bytes : view->occupied;
}

/* After the header was checked: a load from a hole would allocate memory of the file system, charged to the reader. Only
 * the unused end of the source table may be one; else this snapshot is read by copying. */
void shm_view_avoid_holes(struct shm_view *view, const struct shm_header *checked);

/* The writer may have put something where the file has grown to meanwhile: look at its size again. Pointers into the
 * mapping are void afterwards. True if there is more to see. Some 64 times a snapshot, then it has not grown. */
bool shm_view_grow(struct shm_view *view);

static inline bool shm_within_now(const struct shm_view *view, uint64_t offset, uint64_t bytes)
{
    return offset <= view->bytes && bytes <= view->bytes - offset;
}

/* Is [offset, offset + bytes) within the file as it is now, and offset a multiple of align? */
static inline bool shm_within(struct shm_view *view, uint64_t offset, uint64_t bytes, uint64_t align)
{
    return offset % align == 0 && (shm_within_now(view, offset, bytes) ||
                                   (offset < view->cap && shm_view_grow(view) && shm_within_now(view, offset, bytes)));
}

/* Through the mapping; only when view->direct and within. */
static inline const uint64_t *shm_at(const struct shm_view *view, uint64_t offset)
{
    return (const uint64_t *)(const void *)(view->base + offset);
}

/* ---- guard.c ---- */

/* Watch [base, base + bytes): a SIGBUS there maps zeros over the rest and marks the guard. NULL: no memory. */
struct shm_guard *shm_guard_add(const void *base, uint64_t bytes);
void shm_guard_remove(struct shm_guard *guard);
bool shm_guard_hit(const struct shm_guard *guard);

/* Is the handler ours, and SIGBUS not blocked in this thread? Two system calls. */
bool shm_guard_ready(void);

/* ---- state.c ---- */

/* What is remembered between two looks at the writer. */
struct shm_look {
    uint64_t structure; /* an odd number seen, 0: none */
    uint64_t since_ns;  /* CLOCK_MONOTONIC when it was first seen */
};

/* The writer's state, as enum vmt_state; header is filled, up to the labels, with the bytes looked at. */
int shm_state(struct shm_view *view, struct shm_look *look, struct shm_header *header);

/* 1 if somebody holds the writer's lock, 0 if nobody, or negative errno. */
int shm_locked(int fd);

/* ---- sum.c ---- */

/* to[i] = from[i]; each u64 of from is loaded once and whole. 8-byte aligned. */
void shm_load(uint64_t *to, const uint64_t *from, uint64_t n);

/* to[i] = acc[i] + from[i], and to[i] = acc[i] + from[0][i] + ... + from[count - 1][i] (acc may be NULL, or to). The
 * same loads; what is loaded from is 32-byte aligned. */
void shm_load_add(uint64_t *to, const uint64_t *acc, const uint64_t *from, uint64_t n);
void shm_sum(uint64_t *to, const uint64_t *acc, const uint64_t *const *from, uint32_t count, uint64_t n);

/* ---- check.c: the one checking layer ---- */

/* NULL, or what is wrong in one line; *error is then -EBADMSG, -EPROTONOSUPPORT or -ENODATA. h is a private copy. */
const char *shm_check_header(const struct shm_header *h, uint64_t bytes, int *error);

/* The same for this file: nor may the table be larger than what was written of the file. */
const char *shm_check_header_of(const struct shm_view *view, const struct shm_header *h, int *error);

/* The file's header into *h, checked. 0; -EMEDIUMTYPE (not a segment: it begins with other bytes), or as above; -EIO. *why
 * on failure. */
int shm_read_header(struct shm_view *view, struct shm_header *h, const char **why);

/* The entry (a private copy, generation even, not free), as far as one entry can tell. Makes its name fit to show. */
const char *shm_check_entry(struct shm_entry *e, uint32_t index, uint32_t limit, struct shm_view *view);

/* Read the schema block at offset into memory of the caller's (free). All offsets and counts in it are then good, all
 * its strings are terminated and fit to show. *why on failure. 0, -EBADMSG, -ENOMEM. */
int shm_check_schema(struct shm_view *view, uint64_t offset, struct shm_schema **ret, const char **why);

/* Whether this descriptor of a checked schema is one that this version understands. */
bool shm_descriptor_known(const struct vmt_kvm_desc *d);

/* Make text fit to show: size bytes with a NUL, no control characters, and valid UTF-8 or (ascii) printable ASCII. What
 * is not becomes '?'. */
void shm_clean_text(char *text, size_t size, bool ascii);

static inline const struct vmt_kvm_desc *shm_descriptors(const struct shm_schema *schema)
{
    const struct vmt_kvm_header *kvm = (const void *)((const char *)schema + schema->kvm_offset);

    return (const void *)((const char *)kvm + kvm->desc_offset);
}

static inline const struct shm_side *shm_side_of(const struct shm_schema *schema, uint32_t i)
{
    return (const void *)((const char *)schema + schema->side_offset + (uint64_t)i * schema->side_bytes);
}

#endif
