/* SPDX-License-Identifier: MIT */
/* vmtally/reader.h: find segments, attach to one read-only, take snapshots of it.
 *
 *     struct vmt_reader *r = NULL;
 *     struct vmt_snapshot *s = NULL;
 *     if (vmt_reader_open("/run/vmtally/web-1.vmt", NULL, &r) == 0 && vmt_snapshot_new(&s) == 0) {
 *         while (vmt_snapshot_take(s, r) >= 0) {
 *             for (size_t i = 0; i < vmt_snapshot_count(s); i++)
 *                 use(vmt_snapshot_source(s, i));
 *             sleep(1);
 *         }
 *     }
 *     vmt_snapshot_free(s);
 *     vmt_reader_close(r);
 *
 * The file is not trusted: whatever its bytes are or become while they are read, the answer is a value, a flag, a
 * state or an error, in bounded time and memory. All strings handed out are valid UTF-8 without control characters.
 * A hostile file costs about what a good one does. With B for the bytes of the file that are in use (not its size: holes
 * don't count; of more than max_bytes only so much), one snapshot reads at most 32 B in at most 6 passes, by copying in
 * at most B / 8 system calls, and holds at most 32 B of memory; its reader holds at most 4 B and 16 KiB. (Good ones: less
 * than B together.) Part of the 32 B, and 160 KiB, are needed only while a call lasts: all readers of a process share
 * them, there are as many as threads read at once, and they are given back when the last reader is closed (or what was
 * taken for a large segment, after a thousand snapshots of small ones). Schemas that are the same in many segments, to
 * the byte, are held once. No call takes more than 24 KiB of stack.
 * A reader, and a snapshot, is used by one thread at a time; different ones by different threads at once.
 * Errors are negative errno.
 */
#ifndef VMTALLY_READER_H
#define VMTALLY_READER_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/schema.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmt_reader;   /* attached to one segment */
struct vmt_snapshot; /* an immutable copy of the sums of all its sources at one time; reusable memory */
struct vmt_segment;  /* the writer's; segment.h */

/* ---- find ---- */

/* One file that may be a segment. */
struct vmt_found {
    char *path;
    char *name; /* the file's name without its suffix */
};

/* All segments in dir, or (dir NULL) in $VMTALLY_DIR, or where that is not set in all of /run/vmtally,
 * $XDG_RUNTIME_DIR/vmtally and /dev/shm/vmtally-UID; sorted by name. Nothing is opened yet. *ret is the caller's, free
 * with vmt_found_free(). Returns how many (0 where a directory does not exist); -EACCES, -ENOMEM, and what opendir
 * gives for a dir that was named. At most 65,536 files a directory are looked at. /dev/shm/vmtally-UID counts only if it
 * is the caller's own: everybody may make it. */
long vmt_discover(const char *dir, struct vmt_found **ret);

/* In the same way, the temporary files of segments that were about to be made; most are so at this moment, some were
 * left by a creator that died. name is that of the segment. For vmt_remove_dead(). */
long vmt_discover_leftovers(const char *dir, struct vmt_found **ret);
void vmt_found_free(struct vmt_found *found, long count);

/* Where vmt_discover(dir) looks, for people: "/run/vmtally, /dev/shm/vmtally-1000", into buf (of n bytes, cut to them; 4096
 * is enough but for paths that long). Returns buf. */
char *vmt_discover_places(const char *dir, char *buf, size_t n);

/* Remove the segment file at path if its writer is gone (closed or died), holding a read lock meanwhile so that no
 * restarter takes it over; or a temporary file that is locked by nobody and more than a minute old, whatever there is
 * of it. dry_run not 0: only say. 0 removed (or would be); -EBUSY (somebody writes it, or makes it), -ENODATA
 * (empty or not yet published: it may be about to become a segment), -EMEDIUMTYPE (not a segment), -EBADMSG or
 * -EPROTONOSUPPORT (not ours to judge), -EAGAIN (replaced meanwhile), and what open and unlink give: in all these cases the file is left alone. */
int vmt_remove_dead(const char *path, int dry_run);

/* The verdict on one file, every block of it looked at. *why (of why_size bytes) says in one line what is wrong, "" if
 * nothing. Takes 0.6 s where a change is under way, to tell a stall from a moment. Returns enum vmt_state, or what
 * vmt_reader_open() gives where there is no segment to judge: -EMEDIUMTYPE (not a segment), -ENODATA, -ENOENT, ... */
int vmt_check(const char *path, char *why, size_t why_size);

/* ---- attach ---- */

enum vmt_read_mode {
    VMT_READ_COPY = 0,   /* pread into private memory: no signal handler, no SIGBUS. The default. */
    VMT_READ_GUARDED = 1 /* mapped, some ten times faster; takes the process's SIGBUS handler (a chain: faults elsewhere
                            go to the handler that was there), falls back to COPY when that has been replaced or
                            SIGBUS is blocked. */
};

struct vmt_reader_options {
    size_t struct_size;
    enum vmt_read_mode mode;
    uint32_t reserved;
    uint64_t max_bytes; /* of a file that is read at most, 0: 256 MiB; what lies behind is not seen (partial) */
};

/* Attach to the segment at path, read-only; needs read permission only. options may be NULL. *ret is the caller's.
 * 0; -ENOENT, -EACCES, ... of open; -ELOOP (symbolic link), -EISDIR, -EINVAL (neither directory nor regular file),
 * -ENOTSUP (a file system on which a read may hang), -EXDEV (something is mounted over it), -ENODATA (empty or not yet published), -EMEDIUMTYPE (not a segment:
 * it begins with other bytes), -EBADMSG (damaged), -EPROTONOSUPPORT (another version, or byte order), -ENOMEM. */
int vmt_reader_open(const char *path, const struct vmt_reader_options *options, struct vmt_reader **ret);

/* A reader of a segment of this very process: mapped, under RCU, no guard. Close it before the segment. -ENODEV. */
int vmt_reader_open_segment(struct vmt_segment *segment, struct vmt_reader **ret);

/* Detach. NULL is allowed. Snapshots taken stay valid. */
void vmt_reader_close(struct vmt_reader *reader);

const char *vmt_reader_path(const struct vmt_reader *reader);

/* What the writer is doing now. Some system calls; two looks some time apart are needed to say "stalled". */
enum vmt_state vmt_reader_state(struct vmt_reader *reader);

/* "live", "closed", "died", "died mid-change", "stalled", "damaged", "other version". */
const char *vmt_state_name(enum vmt_state state);

/* ---- snapshots ---- */

#define VMT_SAMPLE_LEAVING 1U     /* removed, but a shard of it is still held or it has children */
#define VMT_SAMPLE_UNCONFIRMED 2U /* a group was being changed (by a stopped or dead writer): its values may disagree */
#define VMT_SAMPLE_TORN 4U        /* a group was cut short by a dead owner: its values disagree for good */
#define VMT_SAMPLE_ABSENT 8U      /* the values could not be read whole: don't show them */

/* One shard of a source; only with vmt_snapshot_want_shards(). */
struct vmt_shard_sample {
    const uint64_t *values; /* schema->slots */
    uint32_t owner;         /* thread id in the writer's PID namespace, 0 not known */
    uint32_t held;          /* 1: held, 0: nobody's at the moment, 2: the shared one (vmt_count) */
    uint32_t flags;         /* VMT_SAMPLE_UNCONFIRMED, VMT_SAMPLE_TORN */
    uint32_t id; /* the same in all snapshots, of the same shard of the same incarnation of its source, and another one
                    for each of its shards; never 0. In a hostile file, or past its first 512 GiB, two may have one */
};

/* What all descendants of one source with one schema have counted: those that live and those that departed. (Of what
 * is read from the kernel, host.h, only those that live.) */
struct vmt_total {
    const struct vmt_schema *schema;
    const uint64_t *values;   /* schema->slots; average and count of zeros are over live ones */
    const uint64_t *departed; /* schema->slots; the part of those that departed (0 for instants) */
    uint32_t sources;         /* live ones */
    uint32_t flags;           /* VMT_SAMPLE_ABSENT: never a guess */
};

#define VMT_ENTRY_KERNEL 0x80000000U /* of entry: not in the segment's table; what the kernel counts (host.h) */

/* One source. */
struct vmt_sample {
    const char *id;                  /* "vm/vcpu-2"; "" for source 0 */
    const char *name;                /* its last part; for source 0 the segment's name */
    const struct vmt_schema *schema; /* there, at the same address, as long as its reader is, or any snapshot of it */
    const uint64_t *values;          /* schema->slots sums over its shards */
    const struct vmt_total *totals;
    const struct vmt_shard_sample *shards;
    uint64_t generation; /* with entry: this incarnation of the source in this segment */
    uint64_t created_ns; /* CLOCK_REALTIME */
    uint32_t entry;
    uint32_t parent; /* index in this snapshot; UINT32_MAX for source 0 */
    uint32_t depth;  /* 0 for source 0 */
    uint32_t total_count;
    uint32_t shard_count; /* of shards, 0 without vmt_snapshot_want_shards() */
    uint32_t flags;       /* VMT_SAMPLE_ */
};

#define VMT_SNAPSHOT_PARTIAL 1U  /* something could not be read; what is there is right */
#define VMT_SNAPSHOT_UNLINKED 2U /* the file has no name any more */
#define VMT_SNAPSHOT_MAPPED 4U   /* read through the guarded mapping, not by copying */
#define VMT_SNAPSHOT_FOREIGN                                                                                           \
    8U /* its owner (uid) is neither the reader, nor root, nor the owner of its directory: who
                                    may create files there can give them any name and identity. Show it as such. */
/* The file was set aside, as beyond repair, for another one of its name, and is called NAME~N.vmt. The name that stands in
 * it is that one's by now. */
#define VMT_SNAPSHOT_SET_ASIDE 16U

#define VMT_FROM_SEGMENT 1U /* the VMM's own, in a segment */
#define VMT_FROM_FDS 2U     /* the kernel's, by statistics fds of the VMM's process */
#define VMT_FROM_DEBUGFS 4U /* the kernel's, by debugfs: no histograms; of several vCPUs only their sum */
#define VMT_FROM_COPIES 8U  /* the kernel's, as the VMM has copied them into the segment */

/* The segment as of the snapshot. Of a process without one (host.h): path "/proc/PID", its pid as seen by the reader, no
 * labels, version 0.0, file_bytes and created_ns 0; it is live, or closed once it has gone. */
struct vmt_segment_info {
    const char *path;
    const char *name;
    const char *const *labels; /* "key=value", NULL-terminated */
    uint8_t identity[16];
    uint8_t boot_id[16];
    uint64_t incarnation; /* of the segment: how many writers it has had */
    uint64_t created_ns;  /* CLOCK_REALTIME */
    uint64_t pid_start;
    uint64_t begin_ns;     /* CLOCK_MONOTONIC before the first load */
    uint64_t end_ns;       /* CLOCK_MONOTONIC after the last validated load */
    uint64_t realtime_ns;  /* CLOCK_REALTIME at begin_ns */
    uint64_t closed_ns;    /* CLOCK_REALTIME, 0 unless closed */
    uint64_t heartbeat_ns; /* CLOCK_MONOTONIC of the last heartbeat, 0: none */
    uint64_t file_bytes;
    uint32_t pid; /* in the writer's PID namespace */
    uint32_t uid; /* who owns the file; the kernel says so, not the file */
    uint16_t major;
    uint16_t minor;
    enum vmt_state state;
    uint32_t flags; /* VMT_SNAPSHOT_ */
    uint32_t from;  /* VMT_FROM_: where the values of this snapshot come from */
};

#define VMT_TITLE_SIZE 320 /* bytes that hold any title */

/* What people see and may ask for (vmt_host_find()): the segment's name; of a file that was set aside the file's, without
 * its suffix; and where it is foreign behind that whose it is, " (uid 1001)". No segment's name has a space: an owner can be
 * neither feigned nor left out. Into buf; of less than VMT_TITLE_SIZE bytes the name gets what the owner leaves. Returns how
 * many bytes are the name; what follows is the owner, or nothing. */
size_t vmt_segment_info_title(const struct vmt_segment_info *info, char *buf, size_t n);

/* Where the source with this entry is in an array by entry, which need be only twice as large as there are sources in
 * the segment's table, or as the kernel counts; whichever is more. */
static __inline__ size_t vmt_entry_index(uint32_t entry) { return entry << 1 | entry >> 31; }

/* Memory for snapshots. *ret is the caller's. 0 or -ENOMEM. */
int vmt_snapshot_new(struct vmt_snapshot **ret);

/* NULL is allowed. */
void vmt_snapshot_free(struct vmt_snapshot *snapshot);

/* From the next vmt_snapshot_take() on, keep the values of each shard too (1) or not (0). */
void vmt_snapshot_want_shards(struct vmt_snapshot *snapshot, int want);

/* Take a snapshot; what was in it before is gone. Allocates only while the segment outgrows it, or more threads than
 * before do so at once. Returns 0, or 1 where it is partial and says so. On error the snapshot has no sources, but info
 * (name, state) as far as it is known: -EBADMSG (damaged), -EPROTONOSUPPORT, -ENOMEM, -EIO. */
int vmt_snapshot_take(struct vmt_snapshot *snapshot, struct vmt_reader *reader);

/* The following are valid until the next take or free of the same snapshot. */
const struct vmt_segment_info *vmt_snapshot_segment(const struct vmt_snapshot *snapshot);

/* Sources: parents before their children, number 0 is the segment itself. */
size_t vmt_snapshot_count(const struct vmt_snapshot *snapshot);
const struct vmt_sample *vmt_snapshot_source(const struct vmt_snapshot *snapshot, size_t i);

/* The source with this full id (not leaving, if there are two), or NULL. */
const struct vmt_sample *vmt_snapshot_find(const struct vmt_snapshot *snapshot, const char *id);

/* The total of one statistic over all descendants of sample and over all schemas that have it with the same name, type
 * and unit, into values[d->size] by d's aggregation. 0, -ENOENT (no schema has it), -ENODATA (absent). */
int vmt_sample_total(const struct vmt_sample *sample, const struct vmt_descriptor *d, uint64_t *values);

/* The sums of one source only, without times and state: for those who read one source very often. sample is from an
 * earlier snapshot of this reader, values has room for sample->schema->slots. In VMT_READ_GUARDED mode SIGBUS and its
 * handler must be as they were at the last vmt_snapshot_take().
 * 0, 1 (a group is unconfirmed), -ESTALE (the source has gone), -ENODATA (VMT_SAMPLE_ABSENT: not known), -EBADMSG
 * (damaged), -ENOMEM (more threads than before read at once). */
int vmt_reader_sample(struct vmt_reader *reader, const struct vmt_sample *sample, uint64_t *values);

#ifdef __cplusplus
}
#endif

#endif
