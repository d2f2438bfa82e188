/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../message.h"
#include "cat.h"

#define LOOK_MS 100 /* between two looks at whether there is more */

static int say(const char *path, int error)
{
    char reason[256];

    message_error("%s: %s", path,
                  error == -EISDIR ? "a directory; name a stream in it"
                                   : message_reason(error, reason, sizeof(reason)));
    return 1;
}

/* The new one instead of what was open. */
static void take(struct cat_input *in, int fd, const struct stat *st)
{
    if (in->fd > STDIN_FILENO)
        close(in->fd);
    in->fd = fd;
    in->device = st->st_dev;
    in->inode = st->st_ino;
    in->size = S_ISREG(st->st_mode) ? st->st_size : 0;
    in->at = 0;
}

/* 0, or a negative errno: then what was open stays. */
static int open_path(struct cat_input *in)
{
    bool standard = strcmp(in->path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(in->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode)) {
        take(in, fd, &st);
        return 0;
    }
    if (!standard)
        close(fd);
    return -EISDIR;
}

int cat_input_open(struct cat_input *in, const char *path, bool follow)
{
    int r;

    in->path = path;
    in->follow = follow && strcmp(path, "-") != 0;
    in->fd = -1;
    if (!in->bytes)
        in->bytes = malloc(CAT_BYTES);
    if (!in->bytes)
        return say(path, -ENOMEM);
    r = open_path(in);
    return r < 0 ? say(path, r) : 0;
}

void cat_input_close(struct cat_input *in)
{
    if (in->fd > STDIN_FILENO)
        close(in->fd);
    in->fd = -1;
}

/* It was cut off, and begins anew. */
static bool cut_off(struct cat_input *in)
{
    struct stat st;

    if (fstat(in->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size >= in->at || lseek(in->fd, 0, SEEK_SET) < 0)
        return false;
    in->at = 0;
    return true;
}

/* Another file has its name by now. */
static bool moved_away(const struct cat_input *in)
{
    struct stat st;

    return stat(in->path, &st) == 0 && (st.st_dev != in->device || st.st_ino != in->inode);
}

/* 0: nobody reads standard output any more. */
static bool wait_for_more(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO };

    return poll(&out, 1, LOOK_MS) != 1 || !(out.revents & (POLLERR | POLLNVAL));
}

static ssize_t read_some(struct cat_input *in)
{
    ssize_t n;

    do
        n = read(in->fd, in->bytes, CAT_BYTES);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        in->at += n;
    return n < 0 ? -errno : n;
}

ssize_t cat_input_read(struct cat_input *in, bool *anew)
{
    ssize_t n = read_some(in);

    *anew = false;
    while (n == 0 && in->follow && wait_for_more()) {
        bool moved = moved_away(in);

        n = read_some(in); /* once there is a new one, nothing more comes into the old one: this is all of it */
        if (n == 0 && (moved ? open_path(in) == 0 : cut_off(in))) {
            *anew = true;
            n = read_some(in);
        }
    }
    return n;
}
