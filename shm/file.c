/* SPDX-License-Identifier: MIT */
#include "shm/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "shm/view.h"

#define LOCK_TRIES 100   /* a millisecond apart: cleaners look at a file for less */
#define CLEANER_WAITS 50 /* times as long for one that is stopped in the middle */

int shm_file_check(int fd, bool any_filesystem)
{
    struct statfs fs;
    struct stat st;

    if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return -EINVAL;
    if (any_filesystem || fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)
        return 0;
    return -ENOTSUP;
}

static int write_zeros(int fd, uint64_t from, uint64_t to)
{
    static const char zeros[65536];

    while (from < to) {
        size_t n = to - from < sizeof(zeros) ? (size_t)(to - from) : sizeof(zeros);
        ssize_t done = pwrite(fd, zeros, n, (off_t)from);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -ENOSPC;
        from += (uint64_t)done;
    }
    return 0;
}

/* Past it the kernel sends SIGXFSZ, which kills a VMM. */
static bool past_limit(uint64_t bytes)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && bytes > limit.rlim_cur;
}

int shm_file_extend(int fd, uint64_t bytes)
{
    if (past_limit(bytes))
        return -EFBIG;
    return ftruncate(fd, (off_t)bytes) < 0 ? -errno : 0;
}

/* fallocate(2), not posix_fallocate: glibc's stand-in would touch pages one by one. */
static int place(int fd, uint64_t from, uint64_t to)
{
    while (fallocate(fd, 0, (off_t)from, (off_t)(to - from)) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

int shm_file_allocate(int fd, uint64_t from, uint64_t to, bool zero_fill)
{
    if (past_limit(to))
        return -EFBIG;
    return zero_fill ? write_zeros(fd, from, to) : place(fd, from, to);
}

int shm_file_fill_holes(int fd, uint64_t from, uint64_t to, bool zero_fill)
{
    if (!zero_fill)
        return place(fd, from, to);
    while (from < to) {
        off_t hole = lseek(fd, (off_t)from, SEEK_HOLE);
        off_t data;
        uint64_t end;
        int r;

        if (hole < 0)
            return -errno;
        if ((uint64_t)hole >= to)
            return 0;
        data = lseek(fd, hole, SEEK_DATA);
        if (data < 0 && errno != ENXIO)
            return -errno;
        end = data < 0 || (uint64_t)data > to ? to : (uint64_t)data;
        r = write_zeros(fd, (uint64_t)hole, end);
        if (r < 0)
            return r;
        from = end;
    }
    return 0;
}

int shm_file_map(int fd, uint64_t min_bytes, uint64_t *max_bytes, void **base)
{
    for (uint64_t bytes = *max_bytes; bytes >= min_bytes; bytes = bytes / 2 / 4096 * 4096) {
        void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

        if (p != MAP_FAILED) {
            madvise(p, bytes, MADV_DONTDUMP);
            *max_bytes = bytes;
            *base = p;
            return 0;
        }
        if (errno != ENOMEM && errno != EAGAIN)
            return -errno;
    }
    return -ENOMEM;
}

int shm_file_lock(int fd, bool exclusive)
{
    struct flock lock = { .l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

int shm_file_create(int dirfd, const char *name, unsigned mode, char temporary[SHM_TEMPORARY_MAX])
{
    for (int i = 0; i < 8; i++) {
        uint64_t random = 0;
        int fd;

        if (getrandom(&random, sizeof(random), 0) < 0)
            return -errno;
        snprintf(temporary, SHM_TEMPORARY_MAX, ".%s.%016llx.tmp", name, (unsigned long long)random);
        fd = openat(dirfd, temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
        if (fd >= 0) {
            fchmod(fd, (mode_t)mode); /* whatever the umask; the owner may always */
            return fd;
        }
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

void shm_file_unlock(int fd)
{
    struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

    fcntl(fd, F_OFD_SETLK, &lock);
}

bool shm_file_is(int fd, int dirfd, const char *file_name)
{
    struct stat held;
    struct stat named;

    return fstat(fd, &held) == 0 && fstatat(dirfd, file_name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

static void pause_a_moment(void)
{
    const struct timespec pause = { .tv_nsec = 1000000 };

    nanosleep(&pause, NULL);
}

int shm_file_hold(int fd)
{
    int r = shm_file_lock(fd, false);

    /* Not seen by locks of the other kind. Else two could pass their looks, and the second take a new file's name. */
    if (r == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
        r = errno == EWOULDBLOCK ? -EBUSY : -errno;
    return r;
}

int shm_file_lock_for_writing(int fd)
{
    int r = shm_file_lock(fd, true);

    for (int i = 0; i < LOCK_TRIES && r == -EBUSY; i++) {
        if (shm_locked(fd) != 0)
            return -EEXIST;
        pause_a_moment();
        r = shm_file_lock(fd, true);
    }
    return r;
}

int shm_file_take(int dirfd, const char *file_name, int *ret)
{
    struct stat st;
    int waits = 0;

    for (int i = 0; i < LOCK_TRIES; i++) {
        int fd = openat(dirfd, file_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        int r;

        if (fd < 0) {
            bool in_the_way = errno == EACCES || errno == ELOOP || errno == EISDIR || errno == ENXIO || errno == EPERM;

            return in_the_way ? -EEXIST : -errno;
        }
        r = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ? -EEXIST : shm_file_lock_for_writing(fd);
        if (r == 0 && !shm_file_is(fd, dirfd, file_name)) {
            close(fd); /* replaced, or removed, before we had the lock */
            pause_a_moment();
            continue;
        }
        if (r == 0 && st.st_uid != geteuid())
            r = -EACCES; /* whoever owns it may truncate it under us, at any time */
        if (r == -EBUSY && waits++ < CLEANER_WAITS && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
            close(fd); /* a cleaner that is at work: it may be about to take the name away */
            continue;
        }
        if (r == 0 || r == -EACCES || r == -EBUSY)
            *ret = fd;
        else
            close(fd);
        return r;
    }
    return -EEXIST;
}

int shm_file_set_aside(int dirfd, const char *name, int fd, char aside[SHM_TEMPORARY_MAX])
{
    char file_name[SHM_TEMPORARY_MAX];

    snprintf(file_name, sizeof(file_name), "%s" SHM_SUFFIX, name);
    if (!shm_file_is(fd, dirfd, file_name))
        return -EAGAIN;
    for (int i = 1; i <= SHM_ASIDE_MAX; i++) {
        snprintf(aside, SHM_TEMPORARY_MAX, "%s~%d" SHM_SUFFIX, name, i);
        if (renameat2(dirfd, file_name, dirfd, aside, RENAME_NOREPLACE) == 0) {
            if (shm_file_is(fd, dirfd, aside))
                return 0;
            /* Another one's, which came between: it gets its name back. */
            return renameat2(dirfd, aside, dirfd, file_name, RENAME_NOREPLACE) == 0 ? -EAGAIN : -errno;
        }
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

int shm_file_publish(int dirfd, const char *temporary, const char *file_name)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        int old = -1;
        int r;

        if (renameat2(dirfd, temporary, dirfd, file_name, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno != EEXIST)
            return -errno;
        /* Locked meanwhile, so that no one else takes or replaces it too; or held, where a reader's lock is there. */
        r = shm_file_take(dirfd, file_name, &old);
        if (r == -ENOENT)
            continue;
        if (r == -EBUSY && shm_file_hold(old) == 0 && shm_file_is(old, dirfd, file_name))
            r = 0;
        if (r == 0 || r == -EACCES)
            r = renameat(dirfd, temporary, dirfd, file_name) < 0 ? -errno : 0;
        if (old >= 0)
            close(old);
        return r == -EBUSY ? -EEXIST : r;
    }
    return -EEXIST;
}
