/* SPDX-License-Identifier: MIT */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vmtally/host.h>

#include "message.h"
#include "sandbox.h"

#define TROUBLE_TEXT 1024

/* It has nothing to say to the terminal, and shall not keep a pipe open that the command has closed. */
static void enter(void *common)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && null >= 0; fd++)
        dup2(null, fd);
    if (null > STDERR_FILENO)
        close(null);
    sandbox_enter_finder(common);
}

/* Who looks again and again keeps a descriptor open for each segment, and the kernel's counters take one for each vCPU. */
static void allow_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void host_start(struct options *common, int again)
{
    const struct vmt_host_options options = { .struct_size = sizeof(options), .once = !again };
    struct vmt_host *host = NULL;

    if (again)
        allow_files();
    if (vmt_host_new(&options, &host) < 0)
        return;
    if (again && vmt_host_split(host, enter, common) < 0) {
        vmt_host_free(host);
        return;
    }
    /* Without one that finds anything there are segments only, as without a host. */
    if (vmt_host_look(host) == -EFBIG)
        message_error(
            "the kernel's counters, and VMs without a segment, are left out: the memory in which they are handed "
            "over counts as a file; raise the limit (ulimit -f)");
    common->host = host;
}

void host_stop(struct options *common)
{
    vmt_host_free(common->host);
    common->host = NULL;
}

void host_say_trouble(const struct options *common, const char *path)
{
    static int said;
    char text[TROUBLE_TEXT];

    if (said || !common->host || !vmt_host_trouble(common->host, path, text, sizeof(text)))
        return;
    said = 1;
    fflush(stdout); /* both may be one terminal, or one log */
    message_error("%s", text);
}
