/* SPDX-License-Identifier: MIT */
/* Which VMs a name means. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/kvm/host.h"
#include "lib/snapshot.h"

/* How well one fits: each never takes the place of a later one. */
enum fit { FIT_NOT, FIT_DOUBTFUL, FIT_NAME, FIT_FILE };

struct search {
    struct vmt_host *host;
    const char *name;
    const struct vmt_reader_options *options;
    struct vmt_snapshot *snapshot;
    struct vmt_found *found;
    long count;
    enum fit *fits; /* of each found */
    enum fit best;
};

static bool called_so(const struct search *s, const struct vmt_found *found) { return !strcmp(found->name, s->name); }

static int take(const struct search *s, const char *path)
{
    struct vmt_reader *reader = NULL;
    int r = vmt_reader_open_host(s->host, path, s->options, &reader);

    if (r < 0)
        return r;
    r = vmt_snapshot_take(s->snapshot, reader);
    vmt_reader_close(reader);
    return r;
}

static enum fit fit(const struct search *s, const struct vmt_found *found)
{
    const struct vmt_segment_info *info = vmt_snapshot_segment(s->snapshot);
    bool file = called_so(s, found);
    char title[VMT_TITLE_SIZE];
    bool name;

    if (take(s, found->path) < 0)
        return file ? FIT_DOUBTFUL : FIT_NOT;
    name = !(info->flags & VMT_SNAPSHOT_SET_ASIDE) && !strcmp(info->name, s->name);
    if (info->flags & VMT_SNAPSHOT_FOREIGN) {
        vmt_segment_info_title(info, title, sizeof(title));
        return file || name || !strcmp(title, s->name) ? FIT_DOUBTFUL : FIT_NOT;
    }
    return file ? FIT_FILE : name ? FIT_NAME : FIT_NOT;
}

/* Look at those that are called so, or at all others. */
static void judge(struct search *s, bool called)
{
    for (long i = 0; i < s->count; i++) {
        if (called_so(s, &s->found[i]) == called)
            s->fits[i] = fit(s, &s->found[i]);
        if (s->fits[i] > s->best)
            s->best = s->fits[i];
    }
}

static bool is_process(const struct search *s, long i) { return s->host && host_pid_of_path(s->found[i].path); }

/* It is the name of a segment, for sure. */
static bool is_segments(const struct search *s)
{
    for (long i = 0; i < s->count; i++) {
        if (s->fits[i] == FIT_FILE && !is_process(s, i))
            return true;
    }
    return false;
}

/* A pid is no name that a process gives itself; but it may come to have the one that a VM is called by. */
static bool is_pid(struct search *s)
{
    for (long i = 0; i < s->count; i++) {
        if (!is_process(s, i) || strcmp(strrchr(s->found[i].path, '/') + 1, s->name) != 0)
            continue;
        memset(s->fits, 0, (size_t)s->count * sizeof(*s->fits)); /* FIT_NOT */
        s->best = s->fits[i] = FIT_FILE;
        return true;
    }
    return false;
}

/* Those that fit best, in their order; the others go. */
static void keep_best(struct search *s)
{
    long kept = 0;

    for (long i = 0; i < s->count; i++) {
        struct vmt_found found = s->found[i];

        if (s->best == FIT_NOT || s->fits[i] != s->best)
            continue;
        s->found[i] = s->found[kept];
        s->found[kept++] = found;
    }
    for (long i = kept; i < s->count; i++) {
        free(s->found[i].path);
        free(s->found[i].name);
    }
    s->count = kept;
}

static int search(struct search *s)
{
    int r = vmt_snapshot_new(&s->snapshot);

    s->fits = calloc((size_t)s->count + 1, sizeof(*s->fits));
    if (r < 0 || !s->fits)
        return -ENOMEM;
    judge(s, true); /* all need not be read where one is called so */
    if ((is_segments(s) || !is_pid(s)) && s->best < FIT_FILE)
        judge(s, false);
    keep_best(s);
    return 0;
}

long vmt_host_find(struct vmt_host *host, const char *dir, const char *name, const struct vmt_reader_options *options,
                   struct vmt_found **ret)
{
    struct search s = { .host = host, .name = name, .options = options };
    struct vmt_reader_options o = { 0 };
    int r = reader_options_take(&o, options);

    if (r < 0)
        return r;
    s.count = host ? vmt_host_discover(host, dir, &s.found) : vmt_discover(dir, &s.found);
    if (s.count < 0)
        return s.count;
    r = search(&s);
    vmt_snapshot_free(s.snapshot);
    free(s.fits);
    if (r == 0 && s.count) {
        *ret = s.found;
        return s.count;
    }
    vmt_found_free(s.found, s.count);
    if (r == 0)
        *ret = NULL;
    return r;
}
