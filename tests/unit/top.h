/* SPDX-License-Identifier: MIT */
/* top.h: what the tests of kvmtop's parts share: segments to look at, and a host that has seen them. */
#ifndef TESTS_UNIT_TOP_H
#define TESTS_UNIT_TOP_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally.h>

#include "cli/top/history.h"
#include "cli/top/model.h"
#include "cli/sampler.h"
#include "helper.h"

struct host {
    struct sampler *sampler;
    struct history *history;
    struct model model;
    struct model_options options; /* beat: host_take() sets it to the newest */
};

static inline struct vmt_segment *start(const char *name)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = name };
    struct vmt_segment *segment = NULL;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0, "%s", name);
    return segment;
}

static inline struct vmt_source *add(struct vmt_segment *segment, const struct vmt_schema *schema,
                                     struct vmt_source *parent, const char *id)
{
    struct vmt_source *source = NULL;

    cr_assert_eq(vmt_source_add(segment, schema, parent, id, &source), 0, "%s", id);
    return source;
}

static inline void host_init(struct host *h)
{
    memset(h, 0, sizeof(*h));
    cr_assert_eq(sampler_new(NULL, NULL, NULL, 0, &h->sampler), 0);
    cr_assert_eq(history_new(1, &h->history), 0);
}

/* A beat. observe gives what it sees to the history: history_observe, or one that calls it. */
static inline void host_beat(struct host *h, sample_observer *observe, void *arg)
{
    cr_assert_eq(history_begin(h->history, sampler_epoch(h->sampler)), 0);
    cr_assert_eq(sampler_take(h->sampler, observe, arg), 0);
    cr_assert_eq(history_end(h->history, sampler_set(h->sampler)), 0);
}

/* The rows of the newest beat. */
static inline void host_build(struct host *h)
{
    h->options.beat = history_count(h->history) - 1;
    cr_assert_eq(model_build(&h->model, h->history, &h->options), 0);
}

static inline void host_take(struct host *h)
{
    host_beat(h, history_observe, h->history);
    host_build(h);
}

static inline void host_free(struct host *h)
{
    model_free(&h->model);
    history_free(h->history);
    sampler_free(h->sampler);
}

/* Row i, which must be of this name. */
static inline const struct model_row *row(const struct host *h, size_t i, const char *name)
{
    cr_assert_lt(i, h->model.count);
    cr_assert_str_eq(h->model.rows[i].facts.name, name);
    return &h->model.rows[i];
}

/* All rows' names in one line, for whoever looks at their order: "web vcpu-0 vcpu-1". */
static inline const char *rows(const struct host *h)
{
    static char text[1024];
    size_t at = 0;

    text[0] = '\0';
    for (size_t i = 0; i < h->model.count && at < sizeof(text); i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i ? " " : "", h->model.rows[i].facts.name);
    return text;
}

#endif
