/* SPDX-License-Identifier: MIT */
#include "lib/kvm/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/kvm/host_struct.h"
#include "lib/options.h"
#include "shm/clock.h"

/* ---- made and unmade ---- */

int vmt_host_new(const struct vmt_host_options *options, struct vmt_host **ret)
{
    struct vmt_host_options o = { 0 };
    struct vmt_host *host;
    int r;

    if (options && !options_take(&o, sizeof(o), options, options->struct_size))
        return -EINVAL;
    if (o.pid > INT32_MAX)
        return -EINVAL;
    host = calloc(1, sizeof(*host));
    if (!host)
        return -ENOMEM;
    host->remote.socket = host->boards[0].fd = host->boards[1].fd = -1;
    host->once = o.once;
    host->is_root = geteuid() == 0;
    host->hertz = (uint64_t)sysconf(_SC_CLK_TCK);
    r = finder_new(o.proc, o.debugfs, o.pid, &host->finder);
    if (r < 0) {
        vmt_host_free(host);
        return r;
    }
    *ret = host;
    return 0;
}

void vmt_host_free(struct vmt_host *host)
{
    struct parsed **schemas;

    if (!host)
        return;
    remote_stop(&host->remote);
    finder_free(host->finder);
    board_free(&host->boards[0]);
    board_free(&host->boards[1]);
    schemas = host->schemas.data;
    for (size_t i = 0; i < host->schemas.used; i++) {
        if (schemas[i])
            parsed_release(schemas[i]);
    }
    free(host->schemas.data);
    segments_forget(host);
    free(host);
}

/* From here on only the finder can write there: it has permissions that nobody shall get by what he writes for it. */
static int read_only(struct board *board)
{
    char path[32];
    int fd;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", board->fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    close(board->fd);
    board->fd = fd;
    return 0;
}

int vmt_host_split(struct vmt_host *host, void (*prepare)(void *arg), void *arg)
{
    int r = 0;

    if (host->looked || !host->finder)
        return -EALREADY;
    for (int i = 0; i < 2 && r == 0; i++) {
        host->boards[i].fd = memfd_create("vmtally-host", MFD_CLOEXEC);
        r = host->boards[i].fd < 0 ? -errno : 0;
    }
    if (r == 0)
        r = remote_start(host->finder, host->boards, prepare, arg, &host->remote);
    for (int i = 0; i < 2 && r == 0; i++)
        r = read_only(&host->boards[i]);
    if (r < 0) {
        remote_stop(&host->remote);
        board_free(&host->boards[0]);
        board_free(&host->boards[1]);
        return r;
    }
    finder_free(host->finder);
    host->finder = NULL;
    return 0;
}

/* ---- looking ---- */

static int look_here(struct vmt_host *host, unsigned next)
{
    int r;

    if (!host->finder)
        return -EALREADY;
    r = finder_look(host->finder, &host->boards[next]);
    if (r == 0 && host->once) {
        finder_free(host->finder);
        host->finder = NULL;
    }
    return r;
}

static int look_there(struct vmt_host *host, unsigned next)
{
    uint64_t bytes = 0;
    int r = remote_look(&host->remote, next, &bytes);

    return r < 0 ? r : board_map(&host->boards[next], bytes);
}

int vmt_host_look(struct vmt_host *host)
{
    unsigned next = host->looked ? 1 - host->shown : 0;
    int r = host->remote.socket < 0 ? look_here(host, next) : look_there(host, next);

    if (r < 0)
        return r;
    host->shown = next;
    host->looked = true;
    return 0;
}

int vmt_host_fd(const struct vmt_host *host) { return host->finder ? finder_fd(host->finder) : -1; }

void vmt_host_drop(struct vmt_host *host)
{
    if (host->finder)
        finder_drop_ended(host->finder, host->boards);
}

/* ---- what was found ---- */

const struct bulletin *host_bulletin(const struct vmt_host *host)
{
    return host->looked ? (const void *)host->boards[host->shown].data : NULL;
}

static struct parsed *parse(const struct bulletin *b, uint32_t n)
{
    const uint64_t *places = bulletin_at(b, b->schemas);
    const struct shm_schema *block = bulletin_at(b, places[n]);
    void *copy = malloc(shm_round(block->block_bytes, 8));

    if (!copy)
        return NULL;
    memcpy(copy, block, block->block_bytes);
    return parsed_get(copy, NULL, 0);
}

struct parsed *host_schema(struct vmt_host *host, uint32_t n)
{
    const struct bulletin *b = host_bulletin(host);
    struct parsed **schemas;
    size_t at;

    if (!b || n >= b->schema_count)
        return NULL;
    if (host->schemas.used <= n) {
        at = pool_add(&host->schemas, n + 1 - host->schemas.used, sizeof(*schemas));
        if (at == SIZE_MAX)
            return NULL;
        memset((struct parsed **)host->schemas.data + at, 0, (host->schemas.used - at) * sizeof(*schemas));
    }
    schemas = host->schemas.data;
    if (!schemas[n])
        schemas[n] = parse(b, n);
    return schemas[n];
}

const struct bulletin_process *host_process(const struct vmt_host *host, uint32_t pid, uint64_t start)
{
    const struct bulletin *b = host_bulletin(host);

    return b ? bulletin_find(b, pid, start) : NULL;
}

bool host_started(const struct vmt_host *host, uint64_t start, uint64_t time_ns)
{
    uint64_t boot_ns = shm_clock_ns(CLOCK_REALTIME) - shm_clock_ns(CLOCK_BOOTTIME);
    uint64_t start_ns = start / host->hertz * 1000000000U + start % host->hertz * 1000000000U / host->hertz;

    return boot_ns + start_ns <= time_ns;
}

bool host_same_boot(const struct bulletin *b, const struct shm_header *header)
{
    static const uint8_t unknown[sizeof(header->boot_id)];

    return memcmp(header->boot_id, b->boot_id, sizeof(b->boot_id)) == 0 ||
           memcmp(header->boot_id, unknown, sizeof(unknown)) == 0;
}

static bool writes(const struct vmt_host *host, const struct bulletin *b, const struct bulletin_process *p,
                   const struct shm_header *header)
{
    if (!bulletin_lives(p) || p->inner_pid != header->pid || !host_same_boot(b, header))
        return false;
    return header->pid_start ? p->start == header->pid_start : host_started(host, p->start, header->created_ns);
}

const struct bulletin_process *host_process_of(const struct vmt_host *host, const struct shm_header *header,
                                               uint32_t uid, bool foreign)
{
    const struct bulletin *b = host_bulletin(host);
    const struct bulletin_process *p = b ? bulletin_at(b, b->processes) : NULL;
    const struct bulletin_process *found = NULL;

    for (uint32_t i = 0; b && i < b->process_count; i++) {
        if ((foreign && p[i].uid != uid) || !writes(host, b, &p[i], header))
            continue;
        /* Of several in PID namespaces of their own that could be it, the file's owner's; else it can't be told. */
        if (found && (found->uid == uid) == (p[i].uid == uid))
            return NULL;
        if (!found || p[i].uid == uid)
            found = &p[i];
    }
    return found;
}

uint32_t host_pid_of_path(const char *path)
{
    static const char start[] = "/proc/";
    uint32_t pid = 0;

    if (strncmp(path, start, sizeof(start) - 1) != 0)
        return 0;
    path += sizeof(start) - 1;
    if (*path == '0')
        return 0;
    for (; *path; path++) {
        if (*path < '0' || *path > '9' || pid > (INT32_MAX - 9) / 10)
            return 0;
        pid = pid * 10 + (uint32_t)(*path - '0');
    }
    return pid;
}
