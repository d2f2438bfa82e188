/* SPDX-License-Identifier: MIT */
#include "lib/origin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void tell(const struct vmt_segment_options *o, const char *where, const char *why)
{
    if (o->why && o->why_size)
        snprintf(o->why, o->why_size, "%s%s%s", where, *where ? ": " : "", why);
}

/* An earlier writer's file of our name. 0; -ENOENT: there is none, or none any more. */
static int restart_named(struct vmt_segment *segment, const struct vmt_segment_options *o, struct origin *from)
{
    char file_name[SHM_TEMPORARY_MAX];
    char aside[SHM_TEMPORARY_MAX];
    const char *why = "";
    struct stat st;
    int fd = -1;
    int r;

    snprintf(file_name, sizeof(file_name), "%s" SHM_SUFFIX, segment->name);
    r = shm_file_take(from->dirfd, file_name, &fd);
    if (fd < 0)
        return r;
    if (r == 0 && fstat(fd, &st) == 0 && st.st_mode & 022 & ~(o->mode ? o->mode : 0640)) {
        r = -EACCES; /* who may write it may truncate it under us */
        why = "others may write it";
    } else if (r == 0) {
        r = segment_restart(segment, o, fd, &why);
    } else if (r == -EACCES) {
        why = "it is another user's";
    } else if (r == -EBUSY) {
        why = "somebody keeps a read lock on it";
        shm_file_hold(fd); /* against cleaners; a reader that is in the way of this, too, means harm */
    }
    if (r == 0) {
        from->fd = fd;
        from->ours = true;
        from->restarted = true;
        return 0;
    }
    segment_clear(segment);
    if (*why) {
        bool sound = r == -EBUSY;

        r = shm_file_set_aside(from->dirfd, segment->name, fd, aside);
        if (r == -EEXIST &&
            sound) { /* a reader sees to it that there are nine: it shall not keep a VMM from counting */
            snprintf(aside, sizeof(aside), "%s", file_name);
            r = 0;
        }
        if (r == 0)
            tell(o, aside, why);
        if (r == 0 || r == -EAGAIN || r == -ENOENT)
            r = -ENOENT;
        else
            tell(o, file_name, why);
    }
    close(fd);
    return r;
}

static int open_by_name(struct vmt_segment *segment, const struct vmt_segment_options *o, struct origin *from)
{
    int r = shm_dir_for_writing(o->dir, o->any_filesystem, from->dir);

    if (r < 0)
        return r;
    if (strlen(from->dir) + 1 + strlen(segment->name) + strlen(SHM_SUFFIX) >= sizeof(from->dir))
        return -ENAMETOOLONG; /* could be made, but not be opened by its path */
    from->dirfd = open(from->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (from->dirfd < 0)
        return -errno;
    r = o->resume ? restart_named(segment, o, from) : -ENOENT;
    if (r != -ENOENT)
        return r;
    from->fd = shm_file_create(from->dirfd, segment->name, o->mode ? o->mode : 0640, from->temporary);
    from->ours = true;
    return from->fd < 0 ? from->fd : shm_file_lock(from->fd, true);
}

/* An existing file, used in place: empty, or an earlier writer's. */
static int open_in_place(struct vmt_segment *segment, const struct vmt_segment_options *o, struct origin *from)
{
    const char *why = "";
    struct stat st;
    int r;

    from->fd = o->path ? open(o->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : o->fd;
    from->ours = o->path != NULL;
    if (from->fd < 0 || fstat(from->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (st.st_size && !o->resume)
        return -EEXIST;
    r = shm_file_check(from->fd, o->any_filesystem);
    if (r == 0)
        r = shm_file_lock_for_writing(from->fd);
    /* Another may have come, filled it, replaced it or gone before we had the lock. */
    if (r == 0 && (fstat(from->fd, &st) < 0 || (o->path && !shm_file_is(from->fd, AT_FDCWD, o->path))))
        r = -EEXIST;
    if (r < 0)
        return r;
    if (st.st_size) {
        r = o->resume ? segment_restart(segment, o, from->fd, &why) : -EEXIST;
        from->restarted = r == 0;
        if (r < 0 && *why)
            tell(o, o->path ? o->path : "", why);
        if (r != -ENODATA)
            return r;
        /* Its creator died before it was a segment: nobody has counted. */
        segment_clear(segment);
        tell(o, "", "");
        if (ftruncate(from->fd, 0) < 0)
            return -errno;
    }
    from->empty = true;
    return 0;
}

int origin_open(struct vmt_segment *segment, const struct vmt_segment_options *o, struct origin *from)
{
    return o->path || o->fd > 0 ? open_in_place(segment, o, from) : open_by_name(segment, o, from);
}

/* A descriptor that was handed over: the file may have been made by name. */
static void find_name(struct vmt_segment *segment, const struct vmt_segment_options *o, struct origin *from)
{
    bool by_name = from->restarted && o->name && !o->fixed_bytes &&
                   shm_dir_for_writing(o->dir, o->any_filesystem, from->dir) == 0 &&
                   asprintf(&segment->path, "%s/%s" SHM_SUFFIX, from->dir, segment->name) > 0;

    if (by_name && shm_file_is(from->fd, AT_FDCWD, segment->path)) {
        segment->unlink = !o->keep;
        return;
    }
    if (by_name)
        free(segment->path);
    segment->path = strdup("");
}

int origin_name(struct vmt_segment *segment, const struct vmt_segment_options *o, struct origin *from)
{
    char file_name[96];
    int r = 0;

    if (o->path) {
        segment->path = strdup(o->path);
    } else if (o->fd > 0) {
        find_name(segment, o, from);
    } else {
        snprintf(file_name, sizeof(file_name), "%s" SHM_SUFFIX, segment->name);
        if (asprintf(&segment->path, "%s/%s", from->dir, file_name) < 0)
            segment->path = NULL;
        if (segment->path && !from->restarted)
            r = shm_file_publish(from->dirfd, from->temporary, file_name);
        segment->unlink = !o->keep;
    }
    return segment->path ? r : -ENOMEM;
}
