/* SPDX-License-Identifier: MIT */
/* What could not be read, for people. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/kvm/host_struct.h"

struct line {
    char *buf;
    size_t size;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void say(struct line *line, const char *format, ...)
{
    va_list args;
    int n;

    if (line->used >= line->size)
        return;
    va_start(args, format);
    n = vsnprintf(line->buf + line->used, line->size - line->used, format, args);
    va_end(args);
    line->used += n > 0 ? (size_t)n : 0;
}

/* Of whom it is spoken: processes, and how many beside them that have no name. */
struct about {
    const struct vmt_host *host;
    const struct bulletin_process *first;
    uint32_t count;
    uint32_t denied;
};

/* "kernel counters of qemu-a and 2 more: " of those with that trouble. */
static void say_whose(struct line *line, const struct about *about, uint32_t trouble)
{
    uint32_t n = trouble & VMT_HOST_TROUBLE_DENIED ? about->denied : 0;
    const char *name = NULL;
    int length = 0;

    for (uint32_t i = 0; i < about->count; i++) {
        if (!(about->first[i].trouble & trouble) || !bulletin_lives(&about->first[i]))
            continue;
        if (!name)
            length = segments_name(about->host, &about->first[i], &name);
        n++;
    }
    say(line, "%skernel counters of ", line->used ? "; " : "");
    if (!name)
        say(line, "%" PRIu32 " %s", n, n == 1 ? "VM of another user" : "VMs of other users");
    else if (n == 1)
        say(line, "%.*s", length, name);
    else
        say(line, "%.*s and %" PRIu32 " more", length, name, n - 1);
    say(line, ": ");
}

static const char *why_debugfs(const struct vmt_host *host, const struct bulletin *b)
{
    if (b->why & BULLETIN_WHY_INNER)
        return "debugfs names processes as the host does; run outside of this PID namespace";
    if (!host->is_root)
        return "debugfs may not be read; run as root";
    if (b->why & BULLETIN_WHY_LOCKED)
        return "the kernel is locked down, debugfs has few of them; boot without lockdown=, or use a VMM that opens "
               "statistics fds";
    return "debugfs may not be read; run with all capabilities";
}

/* All, or those that path may be. Of a segment whose process is not known there is nothing to be said: the VMM need not
 * have published anything. */
static struct about about_path(const struct vmt_host *host, const struct bulletin *b, const char *path)
{
    const struct bulletin_process *p;

    if (!path)
        return (struct about){ host, bulletin_at(b, b->processes), b->process_count, b->denied };
    p = segments_process(host, path);
    return p ? (struct about){ host, p, 1, 0 } : (struct about){ host, NULL, 0, path[0] ? 0 : b->denied };
}

static uint32_t trouble_of(const struct about *about)
{
    uint32_t trouble = about->denied ? VMT_HOST_TROUBLE_DENIED : 0;

    for (uint32_t i = 0; i < about->count; i++)
        trouble |= bulletin_lives(&about->first[i]) ? about->first[i].trouble : 0;
    return trouble;
}

uint32_t vmt_host_trouble(const struct vmt_host *host, const char *path, char *buf, size_t n)
{
    const struct bulletin *b = host_bulletin(host);
    struct line line = { .buf = buf, .size = buf ? n : 0 };
    struct about about;
    uint32_t trouble;

    if (buf && n)
        buf[0] = '\0';
    if (!b)
        return 0;
    about = about_path(host, b, path);
    trouble = trouble_of(&about);
    if (trouble & VMT_HOST_TROUBLE_DENIED) {
        say_whose(&line, &about, VMT_HOST_TROUBLE_DENIED);
        say(&line, "permission denied; run %s", host->is_root ? "with CAP_SYS_PTRACE" : "as root");
    }
    if (trouble & VMT_HOST_TROUBLE_NO_DEBUGFS) {
        say_whose(&line, &about, VMT_HOST_TROUBLE_NO_DEBUGFS);
        say(&line, "debugfs is not mounted; mount -t debugfs none /sys/kernel/debug");
    }
    if (trouble & VMT_HOST_TROUBLE_DEBUGFS_DENIED) {
        say_whose(&line, &about, VMT_HOST_TROUBLE_DEBUGFS_DENIED);
        say(&line, "%s", why_debugfs(host, b));
    }
    return trouble;
}
