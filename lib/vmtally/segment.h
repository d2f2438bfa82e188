/* SPDX-License-Identifier: MIT */
/* vmtally/segment.h: the writer. A VMM creates one segment, adds sources to it and acquires shards of them.
 *
 * Every call here is cold: it may take the segment's (process-private) mutex. Any thread may call any of them at any
 * time, but not from a signal handler, and not for a handle that another thread is giving back. No call checks who
 * calls. Adding and acquiring may wait for liburcu (urcu-mb) read sections of this process to end: call them outside of
 * a read section of your own, and don't hold what another one waits for. Errors are negative errno; out-parameters stay
 * untouched on failure; the library logs nothing. After fork() the child counts into private memory and every call
 * below gives -ECHILD there.
 */
#ifndef VMTALLY_SEGMENT_H
#define VMTALLY_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/count.h>
#include <vmtally/schema.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmt_segment;

/* How to create a segment. All zeros but struct_size is a good choice. */
struct vmt_segment_options {
    size_t struct_size;   /* sizeof(struct vmt_segment_options) */
    const char *name;     /* the VM's name, 1 to 63 of [A-Za-z0-9._:@+-], no '.' first; NULL: program name and pid */
    const char *dir;      /* where; NULL: $VMTALLY_DIR, else /run/vmtally where it may be written (as all that follow,
                           a memory file system), else $XDG_RUNTIME_DIR/vmtally, else /dev/shm/vmtally-UID */
    const char *path;     /* an existing empty file, used in place: neither renamed nor unlinked */
    int fd;               /* > 0: the same, already open O_RDWR (one handed over with .name, and .dir: as if made by
                             name); the caller's to close: not before
                             vmt_segment_close(), unless fixed_bytes is set; and first thing in a child of fork(),
                             which holds the writer's lock as long as it has it */
    uint32_t max_sources; /* at most; 0: 16384, or what fixed_bytes leaves room for */
    uint64_t max_bytes;   /* the file's size at most, and address space reserved; 0: 256 MiB; halved while it is
                             not to be had */
    uint64_t fixed_bytes; /* not 0: jail mode. All memory is allocated and mapped now; later calls but
                             vmt_segment_close() and those of kvm.h make no system call but private futex wait and
                             wake; vmtally(3) has them all. */
    const char *const *labels;      /* "key=value" strings, NULL-terminated; NULL: none */
    uint64_t heartbeat_interval_ns; /* not 0: vmt_segment_heartbeat() will be called at least this often */
    uint32_t mode;                  /* of the file, 0: 0640 */
    uint32_t keep;                  /* not 0: vmt_segment_close() leaves the file, for vmtally gc to remove */
    uint32_t any_filesystem;        /* not 0: allow other than tmpfs, ramfs and memfd (writeback stalls counting) */
    uint32_t resume;                /* not 0: go on in the segment of this name, or at .path or .fd, that an earlier
                                       writer left: vmt_segment_ready() tells how */
    char *why; /* filled with one line that says why what was found could not be gone on with, "" if
                                       it could or there was nothing; NULL: don't */
    size_t why_size;
};

/* Create a segment, or with .resume go on in one; this process is its one writer until vmt_segment_close(). *ret is the
 * caller's.
 * 0; -EINVAL (name, option, label), -EBADF (.fd below 0), -EEXIST (a live writer has that name, or path is not empty, or
 * what was found can't be set aside), -ENAMETOOLONG, -ENOTSUP (not a memory file system), -ENOSPC, -EFBIG (RLIMIT_FSIZE),
 * -ENOMEM, or what open, fcntl and mmap give. Nothing is left behind on failure.
 * Without .resume a file of the same name whose writer is gone is replaced. With it, the file found is checked as if an
 * enemy had written it; .fixed_bytes must be as it was (0 or not), the sizes are those it was made with, if .max_bytes,
 * .fixed_bytes and .max_sources (or their defaults) allow as much. What can't be gone on with (damaged, larger, of another version) is
 * left as it is: by .name it is renamed to NAME~1.vmt (to NAME~9.vmt, then -EEXIST) and a new segment is made, also
 * where it is another user's, or others may write it; by .path and .fd it is refused: -EMEDIUMTYPE (not a segment),
 * -EBADMSG, -EPROTONOSUPPORT, or -EBUSY (a reader keeps a lock on it). */
int vmt_segment_create(const struct vmt_segment_options *options, struct vmt_segment **ret);

/* Say goodbye: readers see "closed". Sources need not be removed before. The file made for .name is unlinked, unless
 * .keep. Shards still held stay valid, as private memory. NULL is allowed. */
void vmt_segment_close(struct vmt_segment *segment);

/* After a restart: all sources of this VMM have been added. With .resume, what an earlier writer left is found again by
 * adding it: vmt_source_add() with equal id, parent and schema (but for help texts) goes on with that source, its
 * counts and its shards (with another schema it is removed, and made anew). Until it is added again it is shown to
 * readers as it was, and vmt_source_find() does not know it. This call removes all that was not added again: their
 * parents keep what they had counted. NULL is allowed; without .resume there is nothing to do. */
void vmt_segment_ready(struct vmt_segment *segment);

/* Stop being the writer without saying goodbye, for another program to go on at once with .fd and .resume: by exec, or
 * sent over a socket (SCM_RIGHTS). Readers see it live all the while. Stop counting first: from here on what is counted
 * reaches nobody. All of its sources are gone, and the handle is good for vmt_segment_close() only, which then does
 * nothing; shards still held stay valid, as private memory.
 * Returns a descriptor without O_CLOEXEC, the caller's, that keeps the writer's lock (give it to one only); -ENODEV,
 * -ECHILD, -EMFILE, -EBADF (the .fd has been closed): then nothing has changed. */
int vmt_segment_hand_over(struct vmt_segment *segment);

/* The file's path ("" for .fd) and the VM's name; valid until close. NULL gives "". */
const char *vmt_segment_path(const struct vmt_segment *segment);
const char *vmt_segment_name(const struct vmt_segment *segment);

/* Tell readers that the VMM's own loop turns: one plain store of the time. NULL is allowed. Any thread. */
void vmt_segment_heartbeat(struct vmt_segment *segment);

/* What the child's fork handler does, for children made without it (raw clone, _Fork): first thing in the child. */
void vmt_child_after_fork(void);

/* Source 0, the segment itself: parent of all that have no other. Never removed. NULL gives NULL. */
struct vmt_source *vmt_segment_root(struct vmt_segment *segment);

/* Add a source called id (1 to 47 bytes, printable ASCII, no '/' or space) under parent (NULL: source 0). Its full id
 * is its parents' ids and its own, joined with '/'. The schema is copied into the segment at its first use; it must
 * stay valid as long as the segment. *ret is valid until vmt_source_remove().
 * 0; -ENODEV (segment NULL), -EINVAL (id, schema), -EEXIST (the parent has a live child of this id), -ENAMETOOLONG,
 * -ENFILE (max_sources), -ENOSPC (file system or fixed_bytes), -EDQUOT, -EFBIG, -ENOMEM, -ELOOP (deeper than
 * VMT_DEPTH_MAX), -ESTALE (parent is being removed). Where there was no room it is counted in source 0's
 * dropped_sources. */
int vmt_source_add(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                   const char *id, struct vmt_source **ret);
int vmt_source_addf(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                    struct vmt_source **ret, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Remove a source: its parent keeps what it had counted. The handle is gone. While shards of it are held or it has
 * children it is leaving: still counted, folded into its parent by the last release or removal; its id may be added
 * again at once. NULL is allowed. */
void vmt_source_remove(struct vmt_source *source);

/* The live source with this full id. 0, -ENODEV, -ENOENT, -ECHILD. The walk is under RCU; *ret stays valid as long as
 * nobody removes it. Any thread. */
int vmt_source_find(struct vmt_segment *segment, const char *id, struct vmt_source **ret);

/* A shard of source, for one execution context at a time (a thread, a queued job, a guest machine, whoever holds a
 * lock L). Handing it to another context needs no call: order it by whatever hands the work over. Never NULL: where
 * there is no memory, or source is NULL, it is private scratch memory, and source 0's dropped_shards counts it.
 * It goes on from where its last owner stopped; its memory is placed on the caller's NUMA node when it is new (not in
 * jail mode). */
struct vmt_shard *vmt_shard_acquire(struct vmt_source *source);

/* The same, for the calling thread only: when the thread ends without vmt_shard_release() (which then only it may
 * call), the kernel says so and the next acquire takes the shard over. In jail mode the same as vmt_shard_acquire(). */
struct vmt_shard *vmt_shard_acquire_thread(struct vmt_source *source);

/* n shards at once, one for each context that will touch source: shards[i] for context i. */
void vmt_shards_acquire(struct vmt_source *source, size_t n, struct vmt_shard *shards[]);

/* Give a shard back, from any thread, once its writer has stopped. The next acquire may have it at once. Instants that
 * are sums become 0. Once for each acquire: scratch memory is freed. VMT_SCRATCH and NULL are allowed. The array form
 * sets each to VMT_SCRATCH. */
void vmt_shard_release(struct vmt_shard *shard);
void vmt_shards_release(size_t n, struct vmt_shard *shards[]);

#ifdef __cplusplus
}
#endif

#endif
