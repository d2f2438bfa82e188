/* SPDX-License-Identifier: MIT */
#include "filter.h"

#include <errno.h>
#include <stdlib.h>

#include <vmtally/host.h>

#include "message.h"
#include "select.h"

enum { OPTION_SOURCE = 0x300, OPTION_STAT };

static const struct argp_option options[] = {
    { "source", OPTION_SOURCE, "GLOB", 0,
      "Only sources whose full id matches, such as 'vm/vcpu-*', with what the kernel counts of them; '!GLOB': all but "
      "these. May be given more than once",
      80 },
    { "stat", OPTION_STAT, "GLOB", 0,
      "Only statistics whose name matches, such as '*_bytes'; '!GLOB': all but these. May be given more than once",
      80 },
    { 0 },
};

static void add(const char ***globs, size_t *count, const char *glob, struct argp_state *state)
{
    const char **grown = reallocarray(*globs, *count + 1, sizeof(*grown));

    if (!grown)
        argp_failure(state, 1, ENOMEM, "%s", glob);
    if (!grown)
        return;
    grown[(*count)++] = glob;
    *globs = grown;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct filter *f = state->input;

    switch (key) {
    case OPTION_SOURCE:
        add(&f->sources, &f->source_count, arg, state);
        return 0;
    case OPTION_STAT:
        add(&f->stats, &f->stat_count, arg, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp filter_argp = { options, parse, NULL, NULL, NULL, NULL, NULL };

/* Whether the globs choose what has one of two names. */
static int chosen(const char *const *globs, size_t count, const char *name, const char *other)
{
    int asked = 0, matched = 0;

    for (size_t i = 0; i < count; i++) {
        const int without = globs[i][0] == '!';
        const char *glob = globs[i] + without;
        const int fits = select_matches(glob, name) || select_matches(glob, other);

        if (without && fits)
            return 0;
        asked |= !without;
        matched |= fits;
    }
    return matched || !asked;
}

static int choose_source(void *arg, const struct vmt_snapshot *snapshot, size_t i)
{
    struct filter *f = arg;
    const struct vmt_sample *s = vmt_snapshot_source(snapshot, i);
    const struct vmt_sample *subject = vmt_snapshot_source(snapshot, vmt_snapshot_subject(snapshot, i));

    const int fits = chosen(f->sources, f->source_count, s->id, subject->id);

    f->source_found |= fits;
    return fits;
}

int filter_has_id(const struct filter *filter, const char *id)
{
    return chosen(filter->sources, filter->source_count, id, id);
}

static int choose_statistic(void *arg, const struct vmt_schema *schema, const struct vmt_descriptor *d)
{
    struct filter *f = arg;
    const int fits = chosen(f->stats, f->stat_count, d->name, d->name);

    (void)schema;
    f->stat_found |= fits;
    return fits;
}

const struct vmt_choice *filter_choice(const struct filter *filter, struct vmt_choice *ret)
{
    if (!filter->source_count && !filter->stat_count)
        return NULL;
    *ret = (struct vmt_choice){ .source = filter->source_count ? choose_source : NULL,
                                .statistic = filter->stat_count ? choose_statistic : NULL,
                                .arg = (void *)(uintptr_t)filter };
    return ret;
}

static void say_none(const char *kind, const char *const *globs, size_t count)
{
    message_error("no %s matches '%s'%s yet; 'vmtally show' shows all", kind, globs[0],
                  count > 1 ? " and the others" : "");
}

void filter_say_none(struct filter *f)
{
    if (f->said)
        return;
    if (f->source_count && !f->source_found)
        say_none("source", f->sources, f->source_count);
    else if (f->stat_count && !f->stat_found)
        say_none("statistic", f->stats, f->stat_count);
    else
        return;
    f->said = 1;
}

void filter_free(struct filter *filter)
{
    free(filter->sources);
    free(filter->stats);
    *filter = (struct filter){ 0 };
}
