/* SPDX-License-Identifier: MIT */
#include "message.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#include <vmtally/export.h>

#include "shm/view.h"

const char *message_printable(const char *text, char *buf, size_t n)
{
    snprintf(buf, n, "%s", text);
    shm_clean_text(buf, n, false);
    return buf;
}

void message_error(const char *format, ...)
{
    char text[8192];
    char line[8192];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, message_printable(text, line, sizeof(line)));
}

static const struct {
    int error;
    const char *reason;
} reasons[] = {
    { ENOENT, "no such file or directory" },
    { EACCES, "permission denied; run as root, or join the group that owns the file" },
    { EPERM, "not permitted; run as root, or as the user who owns the file" },
    { ELOOP, "a symbolic link; name the segment file itself" },
    { EISDIR, "a directory; name a file in it" },
    { ENOTDIR, "not a directory" },
    { EINVAL, "not a regular file" },
    { ENOTSUP, "on a file system where reading may hang; segments belong on a tmpfs" },
    { EXDEV, "something is mounted over it" },
    { ENODATA, "empty, or not yet published; try again in a moment" },
    { EMEDIUMTYPE, "not a vmtally segment" },
    { EBADMSG, "damaged; 'vmtally check' says where" },
    { EPROTONOSUPPORT, "of another version or byte order; use the vmtally that its VMM was built with" },
    { EBUSY, "in use by a running VMM" },
    { EAGAIN, "replaced meanwhile; try again" },
    { ENOSPC, "no space left on the file system; free some, or write elsewhere" },
    { EDQUOT, "disk quota exceeded; free some space, or write elsewhere" },
    { EFBIG, "too large; raise the limit (ulimit -f), or write elsewhere" },
    { EROFS, "on a read-only file system" },
    { ESRCH, "no such process, or it has no VM" },
    { ENOMEM, "out of memory" },
};

const char *message_reason(int error, char *buf, size_t n)
{
    char system[256];

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].error == -error) {
            snprintf(buf, n, "%s", reasons[i].reason);
            return buf;
        }
    }
    snprintf(buf, n, "%s", strerror_r(-error, system, sizeof(system)));
    return buf;
}

/* What hindered writing to stdout; a pipe that nobody reads any more is no news. */
static int say_output(int error)
{
    char reason[256];

    if (error != EPIPE)
        message_error("standard output: %s", message_reason(-error, reason, sizeof(reason)));
    return 1;
}

int message_write(const char *data, size_t size)
{
    int r = message_finish(0);

    while (size > 0 && r == 0) {
        ssize_t n = write(STDOUT_FILENO, data, size);

        if (n < 0 && errno != EINTR)
            r = say_output(errno);
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return r;
}

int message_finish(int status)
{
    struct pollfd out = { .fd = STDOUT_FILENO };
    int failed = ferror(stdout);

    errno = 0;
    if (fflush(stdout) == 0 && !failed)
        return status;
    if (errno == 0 && poll(&out, 1, 0) == 1 && out.revents & POLLERR)
        errno = EPIPE; /* an earlier write failed, and its errno is lost */
    say_output(errno ? errno : EIO);
    __fpurge(stdout); /* else exit() tries again */
    clearerr(stdout);
    return 1;
}

bool message_too_large(int error, const char *path)
{
    char shown[PATH_MAX];

    if (error == -EFBIG)
        message_error("%s: what it says of itself takes more than %zu MiB to write down; left out",
                      message_printable(path, shown, sizeof(shown)), VMT_BUFFER_MAX >> 20);
    return error == -EFBIG;
}
