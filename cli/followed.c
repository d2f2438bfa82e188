/* SPDX-License-Identifier: MIT */
#include "followed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "message.h"
#include "select.h"

/* ---- memory ---- */

#define CLASS_UNKNOWN MEMORY_CLASSES /* whatever a snapshot that failed has taken */

static unsigned class_of(uint64_t file_bytes) { return file_bytes ? 64 - (unsigned)__builtin_clzll(file_bytes) : 0; }

static int memory_make(struct memory *m)
{
    if (m->snapshot)
        return 0;
    m->class = 0;
    return vmt_snapshot_new(&m->snapshot);
}

static void memory_free(struct memory *m)
{
    vmt_snapshot_free(m->snapshot);
    m->snapshot = NULL;
}

/* Free *m, but not what the mark is in. */
static void memory_leave(struct memory *m, const struct memory *mark)
{
    if (m->snapshot != mark->snapshot)
        vmt_snapshot_free(m->snapshot);
    m->snapshot = NULL;
}

/* Which memory the next snapshot goes into: what was there is thrown away. */
static struct memory *memory_for_next(struct followed *f, struct spare *spare)
{
    const struct vmt_segment_info *info = f->newest.snapshot ? vmt_snapshot_segment(f->newest.snapshot) : NULL;

    if (!f->keeps_before)
        return &spare->memory[info ? class_of(info->file_bytes) : 0];
    if (f->before.snapshot == f->mark.snapshot)
        f->before.snapshot = NULL;
    return &f->before;
}

void spare_free(struct spare *spare)
{
    for (size_t i = 0; i < MEMORY_CLASSES; i++)
        memory_free(&spare->memory[i]);
    vmt_delta_free(spare->delta);
    spare->delta = NULL;
}

/* ---- one path ---- */

int followed_new(struct vmt_host *host, const char *path, const char *name, uint64_t id, struct followed **ret)
{
    struct followed *f = calloc(1, sizeof(*f));

    if (!f)
        return -ENOMEM;
    f->host = host;
    f->process = host && segment_process(path) != 0;
    f->id = id;
    f->path = strdup(path);
    f->file_name = strdup(name);
    f->clean_path = strdup(path);
    if (!f->path || !f->file_name || !f->clean_path) {
        followed_free(f, NULL);
        return -ENOMEM;
    }
    message_printable(path, f->clean_path, strlen(path) + 1);
    *ret = f;
    return 0;
}

static void forget_snapshots(struct followed *f)
{
    f->compared = NULL;
    memory_leave(&f->before, &f->mark);
    if (f->newest.snapshot == f->mark.snapshot)
        f->mark.snapshot = NULL;
    memory_free(&f->mark);
    memory_free(&f->unmarked);
}

void followed_free(struct followed *f, struct spare *spare)
{
    followed_done(f, spare);
    forget_snapshots(f);
    memory_free(&f->newest);
    vmt_delta_free(f->delta);
    vmt_reader_close(f->reader);
    vmt_reader_close(f->retired);
    free(f->path);
    free(f->file_name);
    free(f->clean_path);
    free(f);
}

/* What is there, behind no link, and nothing that somebody mounted over it: a stat of that may never return. */
static int look_at(const char *path, struct stat *st)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
                            .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
    const char *slash = strrchr(path, '/');
    const char *name = !slash ? path : slash[1] ? slash + 1 : "."; /* "dir/" is the directory itself */
    char dir[PATH_MAX] = ".";
    int dirfd, fd, r;

    if (slash && (size_t)(slash - path) + 1 >= sizeof(dir))
        return -ENAMETOOLONG;
    if (slash)
        snprintf(dir, sizeof(dir), "%.*s", slash == path ? 1 : (int)(slash - path), path);
    dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return -errno;
    fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
    if (fd < 0 && errno == ENOSYS) /* before Linux 5.6 */
        fd = openat(dirfd, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    r = fd < 0 || fstat(fd, st) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    close(dirfd);
    return r;
}

int followed_exists(struct vmt_host *host, const char *path)
{
    struct vmt_reader *reader = NULL;
    struct stat st;
    int r;

    if (host && segment_process(path)) {
        r = vmt_reader_open_host(host, path, NULL, &reader);
        vmt_reader_close(reader);
        return r == 0;
    }
    r = look_at(path, &st);
    return r != -ENOENT && r != -ENOTDIR;
}

/* ---- the newest ---- */

/* What a failed attempt says about the segment. */
static enum vmt_state state_of_error(int error)
{
    return error == -EPROTONOSUPPORT ? VMT_STATE_OTHER_VERSION : VMT_STATE_DAMAGED;
}

int followed_is_gone(enum vmt_state state) { return state != VMT_STATE_LIVE && state != VMT_STATE_STALLED; }

/* One attempt through the reader that there is, into *m. */
static void snapshot_into(struct followed *f, struct memory *m)
{
    unsigned class;
    int r;

    vmt_snapshot_want_shards(m->snapshot, f->focused);
    r = vmt_snapshot_take(m->snapshot, f->reader);
    if (r == -ESRCH && f->process) { /* it has ended, and counts nothing any more */
        f->read = 1;
        f->error = 0;
        f->state = VMT_STATE_CLOSED;
        return;
    }
    class = r < 0 ? CLASS_UNKNOWN : class_of(vmt_snapshot_segment(m->snapshot)->file_bytes);
    if (class > m->class)
        m->class = class;
    f->read = 1;
    f->error = r < 0 ? r : 0;
    f->state = r < 0 ? state_of_error(r) : vmt_snapshot_segment(m->snapshot)->state;
    f->exposed |= r >= 0;
}

/* The next one through the same reader. */
static int take_next(struct followed *f, struct spare *spare)
{
    struct memory *next = memory_for_next(f, spare);
    struct memory older = f->newest;
    int comparable = f->read && !f->error;

    if (memory_make(next) < 0)
        return -ENOMEM;
    snapshot_into(f, next);
    f->newest = *next;
    *next = older;
    f->used = next;
    /* A snapshot that failed has no sources: compared with it, all that was ever counted would look new. */
    f->compared = comparable && !f->error ? older.snapshot : NULL;
    return 0;
}

/* What was read so far is another file's. Schemas that somebody has seen stay until all have been looked at. */
static void retire(struct followed *f, struct spare *spare)
{
    followed_done(f, spare);
    if (f->exposed)
        f->retired = f->reader;
    else
        vmt_reader_close(f->reader);
    f->reader = NULL;
    f->exposed = 0;
    f->described = 0;
    forget_snapshots(f);
}

/* What opening says where nothing is there, or not any more. */
static int nothing_there(const struct followed *f) { return f->process ? -ESRCH : -ENOENT; }

/* Open what has that name, instead of what was open; where there is nothing, that is kept. Returns f's error, or -ENOMEM
 * with f->error 0. */
static int open_new(struct followed *f, struct spare *spare)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options),
                                          .mode = VMT_READ_GUARDED,
                                          .max_bytes = FOLLOWED_BYTES };
    struct vmt_reader *reader = NULL;
    struct stat st;
    int r;

    if (f->process || look_at(f->path, &st) < 0)
        memset(&st, 0, sizeof(st));
    r = vmt_reader_open_host(f->host, f->path, &options, &reader);
    if (r == nothing_there(f) && f->reader)
        return r;
    if (f->reader)
        f->gone_ns = 0;
    retire(f, spare);
    f->reader = reader;
    f->device = st.st_dev;
    f->inode = st.st_ino;
    if (r < 0) {
        f->error = r;
        f->read = 0;
        f->state = state_of_error(r);
        return r;
    }
    f->error = 0;
    f->read = 0;
    if (memory_make(&f->newest) < 0)
        return -ENOMEM;
    snapshot_into(f, &f->newest);
    return f->error;
}

/* Whether what can be had under its name is another file: its own has lost all names, or has another one by now (it was
 * set aside), or is beyond reading. Or another process, which has the pid now. */
static int replaced(const struct followed *f)
{
    struct stat st;

    if (!f->found)
        return 0;
    if (f->error || vmt_snapshot_segment(f->newest.snapshot)->flags & VMT_SNAPSHOT_UNLINKED)
        return 1;
    if (!followed_is_gone(f->state) || f->process)
        return followed_is_gone(f->state);
    return look_at(f->path, &st) == 0 && (st.st_dev != f->device || st.st_ino != f->inode);
}

/* Through the reader that there is; another one where that is not, or reads what is not there any more. */
static int take_any(struct followed *f, struct spare *spare)
{
    int was_bad = f->error != 0; /* then that is looked at afresh first */
    int r;

    if (!f->reader || (was_bad && f->found)) {
        r = open_new(f, spare);
        if (!(r == nothing_there(f) && f->reader))
            return r == -ENOMEM && !f->error ? r : 0;
    }
    r = take_next(f, spare);
    if (r < 0 || was_bad || !replaced(f))
        return r;
    r = open_new(f, spare);
    return r == -ENOMEM && !f->error ? r : 0;
}

int followed_take(struct followed *f, struct spare *spare, uint64_t now_ns)
{
    int r;

    if (f->taken)
        return 0;
    f->taken = 1;
    memory_free(&f->unmarked);
    if (!f->keeps_before) {
        memory_leave(&f->before, &f->mark);
        vmt_delta_free(f->delta);
        f->delta = NULL;
    }
    r = take_any(f, spare);
    if (!followed_is_gone(f->state) && !f->error)
        f->gone_ns = 0;
    else if (!f->gone_ns)
        f->gone_ns = now_ns;
    return r;
}

int followed_compare(struct followed *f, struct spare *spare, const struct vmt_delta **ret)
{
    struct vmt_delta **delta = f->keeps_before ? &f->delta : &spare->delta;

    if (!*delta && vmt_delta_new(delta) < 0)
        return -ENOMEM;
    *ret = f->read ? *delta : NULL;
    return f->read ? vmt_delta_compute(*delta, f->compared, f->newest.snapshot) : 0;
}

void followed_done(struct followed *f, struct spare *spare)
{
    struct memory *used = f->used;

    if (used && used != &f->before) {
        f->compared = NULL;
        if (used->snapshot == f->mark.snapshot)
            used->snapshot = NULL;
        else if (used != &spare->memory[used->class < MEMORY_CLASSES ? used->class : 0])
            memory_free(used); /* it may be larger than those that take it in turns */
    }
    f->used = NULL;
}

int followed_end(struct followed *f)
{
    int gone = f->retired != NULL;

    vmt_reader_close(f->retired);
    f->retired = NULL;
    f->taken = 0;
    return gone;
}

void followed_mark(struct followed *f, int mark)
{
    struct memory old = f->mark;

    f->mark.snapshot = NULL;
    if (old.snapshot && old.snapshot != f->newest.snapshot && old.snapshot != f->before.snapshot) {
        memory_free(&f->unmarked); /* only then: who looks at this beat has it still */
        f->unmarked = old;
    }
    if (mark && f->read && !f->error)
        f->mark = f->newest;
}

/* ---- its name ---- */

/* Who restarts a VM on the same segment goes on with the row; a process may give up its owner's rights. */
static int is_another(const struct followed *f, const struct vmt_segment_info *info)
{
    return f->process ? f->pid_start != info->pid_start : f->uid != info->uid;
}

void followed_describe(struct followed *f, uint64_t *last_id)
{
    const struct vmt_segment_info *info = f->read ? vmt_snapshot_segment(f->newest.snapshot) : NULL;

    if (info && (f->error || f->process) && !info->file_bytes && !info->pid_start)
        info = NULL; /* it did not come so far as to say anything */
    if (f->described && (!info || (f->owned && f->uid == info->uid && f->foreign == segment_foreign(info) &&
                                   !is_another(f, info) && !strcmp(f->told_name, info->name))))
        return;
    f->described = 1;
    message_printable(f->file_name, f->name, sizeof(f->name));
    f->owner[0] = '\0';
    f->told_name[0] = '\0';
    if (info && info->name[0])
        segment_name(f->name, sizeof(f->name), info);
    if (info)
        segment_owner(f->owner, sizeof(f->owner), info);
    snprintf(f->title, sizeof(f->title), "%.*s%s", (int)(sizeof(f->title) - sizeof(f->owner)), f->name, f->owner);
    if (!info)
        return;
    if (f->owned && is_another(f, info))
        f->id = ++*last_id;
    f->created_ns = info->realtime_ns - select_age_ns(info);
    f->pid_start = info->pid_start;
    f->uid = info->uid;
    f->owned = 1;
    f->foreign = segment_foreign(info);
    snprintf(f->told_name, sizeof(f->told_name), "%s", info->name);
}
