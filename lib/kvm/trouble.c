/* SPDX-License-Identifier: MIT */
/* What could not be read, and why; for people. */
#include <errno.h>
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

/* ---- segments whose process is not known ---- */

/* Is the writer one of those that may not be looked into? Of most of them only the start is known: enough for words. */
static const struct bulletin_closed *closed_of(const struct bulletin *b, const struct shm_header *header)
{
    const struct bulletin_closed *closed = bulletin_at(b, b->closed);

    for (uint32_t i = 0; i < b->closed_count && header->pid_start; i++) {
        if (closed[i].start == header->pid_start && (!closed[i].inner_pid || closed[i].inner_pid == header->pid))
            return &closed[i];
    }
    return NULL;
}

/* What the look came too early for is no trouble: the next one finds it. */
static bool settled(const struct vmt_host *host, const struct bulletin *b, const struct shm_header *header,
                    uint64_t since_ns)
{
    return since_ns <= b->settled_ns && host_same_boot(b, header) &&
           (!header->pid_start || host_started(host, header->pid_start, b->settled_ns));
}

int host_unread(struct vmt_host *host, const char *path, const struct shm_header *header, uint64_t since_ns)
{
    const struct bulletin *b = host_bulletin(host);
    const struct bulletin_closed *closed = closed_of(b, header);
    uint32_t why = 0;
    struct path *p;

    if (since_ns && settled(host, b, header, since_ns)) {
        if (!closed && b->why & BULLETIN_WHY_INNER)
            why = VMT_HOST_TROUBLE_NAMESPACE;
        else if (closed || !host->is_root) /* processes of others may be hidden altogether */
            why = VMT_HOST_TROUBLE_DENIED;
    }
    p = why ? segments_add(host, path) : segments_path(host, path);
    if (!p)
        return why ? -ENOMEM : 0;
    p->unread = why;
    p->unread_at = b->serial;
    p->closed_pid = closed && closed->inner_pid ? closed->pid : 0;
    return 0;
}

/* ---- in words ---- */

/* Of whom it is spoken: processes, segments, and how many processes beside them that have no name. */
struct about {
    const struct vmt_host *host;
    const struct bulletin_process *first;
    const struct path *paths;
    size_t path_count;
    uint32_t count;
    uint32_t denied;
};

static uint32_t trouble_of_process(const struct bulletin_process *p) { return bulletin_lives(p) ? p->trouble : 0; }

static uint32_t trouble_of_segment(const struct about *about, const struct path *path)
{
    return path->unread_at == host_bulletin(about->host)->serial ? path->unread : 0;
}

/* "kernel counters of qemu-a and 2 more: " of those with that trouble. How many they are. */
static uint32_t say_whose(struct line *line, const struct about *about, uint32_t trouble)
{
    uint32_t unnamed = trouble & VMT_HOST_TROUBLE_DENIED ? about->denied : 0;
    const char *name = NULL;
    int length = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < about->count; i++) {
        if (!(trouble_of_process(&about->first[i]) & trouble))
            continue;
        if (!name)
            length = segments_name(about->host, &about->first[i], &name);
        n++;
    }
    for (size_t i = 0; i < about->path_count; i++) {
        const struct path *path = &about->paths[i];

        if (!(trouble_of_segment(about, path) & trouble))
            continue;
        if (!name)
            length = path_name(path, &name);
        n++;
        unnamed -= path->closed_pid && unnamed; /* it has a name now */
    }
    n += unnamed;
    say(line, "%skernel counters of ", line->used ? "; " : "");
    if (!name)
        say(line, "%" PRIu32 " %s", n, n == 1 ? "VM of another user" : "VMs of other users");
    else if (n == 1)
        say(line, "%.*s", length, name);
    else
        say(line, "%.*s and %" PRIu32 " more", length, name, n - 1);
    say(line, ": ");
    return n;
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

/* All, or those that path may be. Of a segment whose process is not known, and which has no handles, there is nothing to be
 * said: the VMM need not have published anything. */
static struct about about_path(const struct vmt_host *host, const struct bulletin *b, const char *path)
{
    struct about about = { .host = host };

    if (!path) {
        about.first = bulletin_at(b, b->processes);
        about.count = b->process_count;
        about.paths = host->paths.data;
        about.path_count = host->paths.used;
    } else {
        about.first = segments_process(host, path);
        about.count = about.first != NULL;
        about.paths = about.first ? NULL : segments_path(host, path);
        about.path_count = about.paths != NULL;
    }
    about.denied = !path || !path[0] ? b->denied : 0;
    return about;
}

static uint32_t trouble_of(const struct about *about)
{
    uint32_t trouble = about->denied ? VMT_HOST_TROUBLE_DENIED : 0;

    for (uint32_t i = 0; i < about->count; i++)
        trouble |= trouble_of_process(&about->first[i]);
    for (size_t i = 0; i < about->path_count; i++)
        trouble |= trouble_of_segment(about, &about->paths[i]);
    return trouble;
}

static void say_all(struct line *line, const struct about *about, uint32_t trouble)
{
    if (trouble & VMT_HOST_TROUBLE_DENIED) {
        say_whose(line, about, VMT_HOST_TROUBLE_DENIED);
        say(line, "permission denied; run %s", about->host->is_root ? "with CAP_SYS_PTRACE" : "as root");
    }
    if (trouble & VMT_HOST_TROUBLE_NAMESPACE) {
        uint32_t n = say_whose(line, about, VMT_HOST_TROUBLE_NAMESPACE);

        say(line, "%s in another PID namespace; run outside of this one",
            n == 1 ? "its process is" : "their processes are");
    }
    if (trouble & VMT_HOST_TROUBLE_NO_DEBUGFS) {
        say_whose(line, about, VMT_HOST_TROUBLE_NO_DEBUGFS);
        say(line, "debugfs is not mounted; mount -t debugfs none /sys/kernel/debug");
    }
    if (trouble & VMT_HOST_TROUBLE_DEBUGFS_DENIED) {
        say_whose(line, about, VMT_HOST_TROUBLE_DEBUGFS_DENIED);
        say(line, "%s", why_debugfs(about->host, host_bulletin(about->host)));
    }
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
    if (line.size)
        say_all(&line, &about, trouble);
    return trouble;
}
