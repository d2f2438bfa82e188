/* SPDX-License-Identifier: MIT */
#include "write_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY 32 /* bytes of a temporary name */

int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

static int write_in_place(const char *path, const char *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, 0666);
    int r;

    if (fd < 0)
        return -errno;
    r = write_all(fd, data, size);
    return close(fd) < 0 && r == 0 ? -errno : r;
}

/* A new file in that directory. Its descriptor, or a negative errno. */
static int create_temporary(int dirfd, char name[TEMPORARY])
{
    for (int i = 0; i < 100; i++) {
        uint64_t random;
        int fd;

        if (getrandom(&random, sizeof(random), 0) != sizeof(random))
            return -EIO;
        snprintf(name, TEMPORARY, ".vmtally-%016" PRIx64, random);
        fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd < 0 ? -errno : fd;
    }
    return -EEXIST;
}

static int write_and_rename(int dirfd, const char *name, mode_t mode, const char *data, size_t size)
{
    char temporary[TEMPORARY];
    int fd = create_temporary(dirfd, temporary);
    int r;

    if (fd < 0)
        return fd;
    r = fchmod(fd, mode) < 0 ? -errno : write_all(fd, data, size);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && renameat(dirfd, temporary, dirfd, name) < 0)
        r = -errno;
    if (r)
        unlinkat(dirfd, temporary, 0);
    return r;
}

int write_file_at(int dirfd, const char *name, const char *data, size_t size)
{
    mode_t mask = umask(0);
    mode_t mode = 0666 & ~mask;
    sigset_t endings, before;
    struct stat st;
    int r;

    umask(mask);
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (!S_ISREG(st.st_mode))
            return -EEXIST;
        mode = st.st_mode & 0777;
    }
    /* Ended in between, the temporary file would stay. */
    sigemptyset(&endings);
    sigaddset(&endings, SIGHUP);
    sigaddset(&endings, SIGINT);
    sigaddset(&endings, SIGQUIT);
    sigaddset(&endings, SIGTERM);
    sigprocmask(SIG_BLOCK, &endings, &before);
    r = write_and_rename(dirfd, name, mode, data, size);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}

int write_file(const char *path, const char *data, size_t size)
{
    const char *slash = strrchr(path, '/');
    char *directory;
    struct stat st;
    int dirfd;
    int r;

    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return write_in_place(path, data, size);
    directory = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!directory)
        return -ENOMEM;
    dirfd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    r = dirfd < 0 ? -errno : write_file_at(dirfd, slash ? slash + 1 : path, data, size);
    free(directory);
    if (dirfd >= 0)
        close(dirfd);
    return r;
}
