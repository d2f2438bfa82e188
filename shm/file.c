/* SPDX-License-Identifier: MIT */
#include "shm/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "shm/view.h"

#define PUBLISH_TRIES 100 /* a millisecond apart: cleaners look at a file for less */

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

int shm_file_allocate(int fd, uint64_t from, uint64_t to, bool zero_fill)
{
    if (past_limit(to))
        return -EFBIG;
    if (zero_fill)
        return write_zeros(fd, from, to);
    /* fallocate(2), not posix_fallocate: glibc's stand-in would touch pages one by one. */
    while (fallocate(fd, 0, (off_t)from, (off_t)(to - from)) < 0) {
        if (errno != EINTR)
            return -errno;
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

/* 0 if the file of that name has no writer and stays locked by *fd, so that no one else replaces it too. -EAGAIN: look
 * again. */
static int lock_dead(int dirfd, const char *file_name, int *ret)
{
    struct stat held;
    struct stat named;
    int fd = openat(dirfd, file_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int r;

    if (fd < 0)
        return errno == ENOENT ? -EAGAIN : -EEXIST;
    r = fstat(fd, &held) < 0 || !S_ISREG(held.st_mode) ? -EEXIST : 0;
    if (r == 0 && shm_file_lock(fd, true) < 0)
        r = shm_locked(fd) == 0 ? -EAGAIN : -EEXIST; /* only a cleaner's read lock: soon free */
    if (r == 0 && (fstatat(dirfd, file_name, &named, AT_SYMLINK_NOFOLLOW) < 0 || held.st_dev != named.st_dev ||
                   held.st_ino != named.st_ino))
        r = -EAGAIN;
    if (r < 0)
        close(fd);
    else
        *ret = fd;
    return r;
}

int shm_file_publish(int dirfd, const char *temporary, const char *file_name)
{
    const struct timespec pause = { .tv_nsec = 1000000 };

    for (int i = 0; i < PUBLISH_TRIES; i++) {
        int old = -1;
        int r;

        if (renameat2(dirfd, temporary, dirfd, file_name, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno != EEXIST)
            return -errno;
        r = lock_dead(dirfd, file_name, &old);
        if (r == -EAGAIN) {
            nanosleep(&pause, NULL);
            continue;
        }
        if (r < 0)
            return r;
        r = renameat(dirfd, temporary, dirfd, file_name) < 0 ? -errno : 0;
        close(old);
        return r;
    }
    return -EEXIST;
}
