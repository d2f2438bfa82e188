/* SPDX-License-Identifier: MIT */
/* Which of the processes have a segment. A look into each of a thousand files, once a second, would be too dear: what was
 * found is remembered. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/discover.h"
#include "lib/kvm/host_struct.h"
#include "shm/view.h"

#define ROUND 16U /* files that are looked into anew each time: a segment may have got another writer */

static void free_paths(struct pool *pool)
{
    struct path *paths = pool->data;

    for (size_t i = 0; i < pool->used; i++)
        free(paths[i].path);
    pool->used = 0;
}

void segments_forget(struct vmt_host *host)
{
    free_paths(&host->paths);
    free_paths(&host->old_paths);
    free(host->paths.data);
    free(host->old_paths.data);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct path *)a)->path, ((const struct path *)b)->path);
}

/* Whose is it? */
static void peek(const struct vmt_host *host, struct path *p)
{
    const struct bulletin_process *process = NULL;
    struct shm_header header;
    struct shm_view view;
    const char *why;

    p->peek = false;
    p->pid = 0;
    if (shm_view_open(p->path, SHM_HEADER_BYTES, false, &view) < 0)
        return;
    if (shm_read_header(&view, &header, &why) == 0)
        process = host_process_of(host, &header, view.uid, view.uid != 0);
    if (process) {
        p->pid = process->pid;
        p->start = process->start;
    }
    shm_view_close(&view);
}

struct path *segments_path(const struct vmt_host *host, const char *path)
{
    const struct path key = { .path = (char *)(uintptr_t)path };

    return host->paths.used ? bsearch(&key, host->paths.data, host->paths.used, sizeof(key), by_path) : NULL;
}

struct path *segments_add(struct vmt_host *host, const char *path)
{
    struct path *known = segments_path(host, path);
    struct path *paths;
    size_t at = 0;
    char *copy;

    if (known)
        return known;
    copy = strdup(path);
    if (!copy || pool_add(&host->paths, 1, sizeof(*paths)) == SIZE_MAX) {
        free(copy);
        return NULL;
    }
    paths = host->paths.data;
    while (at + 1 < host->paths.used && strcmp(paths[at].path, path) < 0)
        at++;
    memmove(&paths[at + 1], &paths[at], (host->paths.used - 1 - at) * sizeof(*paths));
    paths[at] = (struct path){ .path = copy, .peek = true };
    return &paths[at];
}

const struct bulletin_process *segments_process(const struct vmt_host *host, const char *path)
{
    struct path key = { .path = (char *)(uintptr_t)path, .pid = host_pid_of_path(path) };
    const struct path *known = segments_path(host, path);

    if (key.pid)
        return host_process(host, key.pid, 0);
    if (!known || known->peek) {
        peek(host, &key);
        known = &key;
    }
    return known->pid ? host_process(host, known->pid, known->start) : NULL;
}

int path_name(const struct path *path, const char **name)
{
    const char *slash = strrchr(path->path, '/');
    size_t n, suffix = strlen(SHM_SUFFIX);

    *name = slash ? slash + 1 : path->path;
    n = strlen(*name);
    /* As vmt_discover() has it; one that was named by its path may be called anything. */
    return (int)(n > suffix && strcmp(*name + n - suffix, SHM_SUFFIX) == 0 ? n - suffix : n);
}

int segments_name(const struct vmt_host *host, const struct bulletin_process *p, const char **name)
{
    const struct path *paths = host->paths.data;

    for (size_t i = 0; i < host->paths.used; i++) {
        if (paths[i].pid == p->pid && paths[i].start == p->start)
            return path_name(&paths[i], name);
    }
    *name = p->name;
    return (int)strlen(p->name);
}

/* The paths of what was found, with what is known of them. */
static int take_paths(struct vmt_host *host, const struct vmt_found *found, size_t n)
{
    struct pool before = host->paths;
    struct path *paths;

    if (!pool_reserve(&host->old_paths, n, sizeof(*paths)))
        return -ENOMEM;
    paths = host->old_paths.data;
    for (size_t i = 0; i < n; i++) {
        const struct path key = { .path = found[i].path };
        struct path *known = before.used ? bsearch(&key, before.data, before.used, sizeof(key), by_path) : NULL;
        char *copy = strdup(found[i].path);

        if (!copy)
            return -ENOMEM;
        paths[i] = known ? *known : (struct path){ .peek = true };
        paths[i].path = copy;
        host->old_paths.used = i + 1;
    }
    if (n)
        qsort(paths, n, sizeof(*paths), by_path);
    host->paths = host->old_paths;
    host->old_paths = before;
    return 0;
}

static void look_into(struct vmt_host *host, const struct bulletin *b)
{
    struct path *paths = host->paths.data;
    size_t n = host->paths.used;

    for (size_t i = 0; i < n; i++) {
        bool joined = paths[i].pid && host_process(host, paths[i].pid, paths[i].start);

        paths[i].peek = paths[i].peek || (paths[i].pid && !joined) || (!joined && b->epoch != host->paths_epoch);
    }
    host->paths_epoch = b->epoch;
    for (size_t i = 0; i < ROUND && i < n; i++)
        paths[host->turn++ % n].peek = true;
    for (size_t i = 0; i < n; i++) {
        if (paths[i].peek)
            peek(host, &paths[i]);
    }
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* The pids of those that have one, sorted. */
static int with_segments(const struct vmt_host *host, struct pool *pids)
{
    const struct path *paths = host->paths.data;

    if (!pool_reserve(pids, host->paths.used, sizeof(uint32_t)))
        return -ENOMEM;
    for (size_t i = 0; i < host->paths.used; i++) {
        if (paths[i].pid)
            ((uint32_t *)pids->data)[pids->used++] = paths[i].pid;
    }
    if (pids->used)
        qsort(pids->data, pids->used, sizeof(uint32_t), by_number);
    return 0;
}

/* Those of the processes that have none, behind n others. */
static int add_processes(const struct bulletin *b, const struct pool *pids, struct vmt_found **found, long *n)
{
    const struct bulletin_process *p = bulletin_at(b, b->processes);
    struct vmt_found *all = realloc(*found, ((size_t)*n + b->process_count + 1) * sizeof(*all));

    if (!all)
        return -ENOMEM;
    *found = all;
    for (uint32_t i = 0; i < b->process_count; i++) {
        struct vmt_found *f = &all[*n];

        if (!bulletin_lives(&p[i]) ||
            (pids->used && bsearch(&p[i].pid, pids->data, pids->used, sizeof(uint32_t), by_number)))
            continue;
        f->name = strdup(p[i].name);
        if (!f->name || asprintf(&f->path, "/proc/%" PRIu32, p[i].pid) < 0) {
            free(f->name);
            return -ENOMEM;
        }
        (*n)++;
    }
    return 0;
}

long vmt_host_discover(struct vmt_host *host, const char *dir, struct vmt_found **ret)
{
    const struct bulletin *b = host_bulletin(host);
    bool segments = !dir || *dir; /* "" is no directory: then all processes */
    struct vmt_found *found = NULL;
    struct pool pids = { 0 };
    long n = segments ? vmt_discover(dir, &found) : 0;
    int r = 0;

    if (n < 0)
        return n;
    if (b) {
        if (segments) {
            r = take_paths(host, found, (size_t)n);
            if (r == 0)
                look_into(host, b);
            if (r == 0)
                r = with_segments(host, &pids);
        }
        if (r == 0)
            r = add_processes(b, &pids, &found, &n);
        free(pids.data);
        free_paths(&host->old_paths);
    }
    if (r < 0) {
        vmt_found_free(found, n);
        return r;
    }
    if (n)
        qsort(found, (size_t)n, sizeof(*found), discover_order);
    *ret = found;
    return n;
}
