/* SPDX-License-Identifier: MIT */
/* vmtally export --output: by two processes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "export.h"
#include "message.h"
#include "write_file.h"

static int not_written(const struct export_arguments *a, int error)
{
    char reason[256];

    message_error("%s: not written: %s", a->output, message_reason(error, reason, sizeof(reason)));
    return 1;
}

#define CUT 3 /* exit status of a child that could not leave all of it */

/* The child's part: into memory that its parent made. */
static int collect_into(const struct export_arguments *a, export_collect *collect, int fd)
{
    struct vmt_buffer buffer = { 0 };
    int status = collect(a, &buffer);
    int r = write_all(fd, buffer.data, buffer.size);

    if (r < 0)
        not_written(a, r);
    return r < 0 ? CUT : status;
}

/* Whoever collects files of metrics is another user as a rule, and would say nothing where it may not read. */
static void say_private(const struct export_arguments *a)
{
    struct stat st;

    if (a->format->flags & FORMAT_WHOLE && stat(a->output, &st) == 0 && S_ISREG(st.st_mode) &&
        !(st.st_mode & (S_IRGRP | S_IROTH)))
        message_error(
            "%s: only its owner can read it, as the umask asks for; if a collector shall, 'chmod 644' once: it "
            "keeps its mode",
            a->output);
}

static int write_one(const struct export_arguments *a, const char *data, size_t size)
{
    struct stat st;
    bool is_new = stat(a->output, &st) < 0;
    int r = write_file(a->output, data, size);

    if (r < 0)
        return not_written(a, r);
    if (is_new)
        say_private(a);
    return 0;
}

/* What a child left in memory, into files. From here on nobody can change it, whatever became of the child. */
static int write_collected(const struct export_arguments *a, int fd)
{
    struct stat st;
    void *data;
    int status;

    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 || fstat(fd, &st) < 0)
        return not_written(a, -errno);
    if (st.st_size == 0)
        return 1; /* the child has said why */
    data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return not_written(a, -errno);
    if (a->directory)
        status = export_files_write(a->output, data, (size_t)st.st_size);
    else
        status = write_one(a, data, (size_t)st.st_size);
    munmap(data, (size_t)st.st_size);
    return status;
}

static int wait_for(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return 1;
    }
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    message_error("the process that reads segments was ended by signal %d (%s)", WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    return -1;
}

/* Whoever looks at segments may not write files, and whoever writes files never sees a segment: two processes. */
int export_to_file(const struct export_arguments *a, export_collect *collect)
{
    int fd = memfd_create("vmtally export", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    pid_t child = fd < 0 ? -1 : fork();
    int status;

    if (child == 0)
        _exit(collect_into(a, collect, fd));
    status = child < 0 ? not_written(a, -errno) : wait_for(child);
    if (child > 0 && status >= 0 && status != CUT)
        status |= write_collected(a, fd);
    if (fd >= 0)
        close(fd);
    return status != 0;
}
