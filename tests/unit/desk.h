/* SPDX-License-Identifier: MIT */
/* desk.h: what the tests of the detail share: a VM with one source that has a statistic of every kind, the host that
 * looks at it, and its lines. */
#ifndef TESTS_UNIT_DESK_H
#define TESTS_UNIT_DESK_H

#include <errno.h>
#include <unistd.h>

#include "cli/top/detail.h"
#include "cli/top/grid.h"
#include "cli/top/view.h"
#include "top.h"

#define ODD_STATISTICS(X)                                                                                              \
    X(CUMULATIVE, ODD_QUIET, "quiet", NONE, 1, 0, "Never counted")                                                     \
    X(CUMULATIVE, ODD_FRAMES, "frames", NONE, 1, 0, "Frames drawn")                                                    \
    X(CUMULATIVE, ODD_PIXELS, "pixel_bytes", KIBIBYTES, 1, 0, "Bytes of pixels")                                       \
    X(MINIMUM, ODD_LEAST, "least", NANOSECONDS, 1, 0, "Least time")                                                    \
    X(INSTANT, ODD_DEPTH, "depth", NONE, 1, 0, "Frames that wait to be drawn")                                         \
    X(SIGNED_INSTANT, ODD_DRIFT, "drift", NONE, 1, 0, "How far it is off")                                             \
    X(BOOLEAN, ODD_ON, "on", BOOL, 1, 0, "Whether there is a picture")                                                 \
    X(PEAK, ODD_MOST, "most", NONE, 1, 0, "Most that ever waited")                                                     \
    X(LOG, ODD_TIMES, "times", NANOSECONDS, 32, 0, "Time that a frame takes")
VMT_SCHEMA_ENUM(ODD, ODD_STATISTICS)
VMT_SCHEMA_DEFINE(odd_schema, "odd", "test", "gpu", ODD, ODD_STATISTICS)

struct desk {
    struct host host;
    struct vmt_segment *segment;
    struct vmt_source *gpu;
    struct detail detail;
    struct detail_options options;
    struct view view;
    struct grid grid;
    uint64_t key;
};

/* A beat in which that VM is in focus. Beats have some length, or else what lies between two clocks is much of it. */
static inline void take(struct desk *k)
{
    long track = history_count(k->host.history) ? history_find(k->host.history, k->key) : -1;

    if (track >= 0) {
        uint64_t vm = history_vm_id(k->host.history, (size_t)track);

        cr_assert_eq(sampler_focus(k->host.sampler, &vm, 1), 0);
        history_focus(k->host.history, &k->key, 1);
    }
    usleep(20000);
    host_take(&k->host);
}

/* A VM "web" with a source "gpu" of odd_schema, and two beats that have seen it. */
static inline void desk_init(struct desk *k)
{
    memset(k, 0, sizeof(*k));
    k->options.level = VMT_LEVEL_DEBUG;
    k->view.settings.ascii = 1;
    k->view.settings.level = VMT_LEVEL_DEBUG;
    k->view.mode = VIEW_DETAIL;
    k->segment = start("web");
    k->gpu = add(k->segment, &odd_schema, NULL, "gpu");
    host_init(&k->host);
    host_take(&k->host);
    k->key = row(&k->host, 1, "gpu")->facts.key;
    take(k);
}

static inline void desk_free(struct desk *k)
{
    detail_free(&k->detail);
    grid_free(&k->grid);
    filter_free((struct filter *)k->options.filter);
    host_free(&k->host);
    vmt_segment_close(k->segment);
}

static inline int build_at(struct desk *k, uint64_t key, size_t beat)
{
    return detail_build(&k->detail, sampler_set(k->host.sampler), k->host.history, beat, key, &k->options);
}

static inline void build(struct desk *k) { cr_assert_eq(build_at(k, k->key, SIZE_MAX), 0); }

/* The line of this name, the first behind the heading (NULL: any) that has that text in it; or NULL. */
static inline const struct detail_line *find_below(const struct desk *k, const char *heading, const char *name)
{
    int below = !heading;

    for (size_t i = 0; i < k->detail.count; i++) {
        const struct detail_line *line = &k->detail.lines[i];

        if (line->kind == DETAIL_HEADING && heading)
            below = strstr(line->name, heading) != NULL;
        if (below && line->kind != DETAIL_HEADING && !strcmp(line->name, name))
            return line;
    }
    return NULL;
}

static inline const struct detail_line *find(const struct desk *k, const char *name)
{
    const struct detail_line *line = find_below(k, NULL, name);

    cr_assert_not_null(line, "%s", name);
    return line;
}

static inline void set_filter(struct desk *k, const char *text)
{
    struct filter *filter = NULL;
    char why[80];

    filter_free((struct filter *)k->options.filter);
    cr_assert_eq(filter_new(text, &filter, why, sizeof(why)), 0);
    k->options.filter = k->view.statistics.filter = filter;
}

#endif
