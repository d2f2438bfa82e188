/* SPDX-License-Identifier: MIT */
/* Families: all columns of one name. Names are the VMs' own, so that two of them may mean different things by one, or one
 * that is read as a sample of the other: METRICS.md, section 4. */
#include "metrics.h"

#include <errno.h>
#include <stdlib.h>

static int by_name(const void *a, const void *b)
{
    const struct metrics_member *x = a, *y = b;
    int r = strcmp(x->column->family, y->column->family);

    if (r == 0)
        r = strcmp(x->plan->schema.provider, y->plan->schema.provider);
    if (r == 0)
        r = strcmp(x->plan->schema.name, y->plan->schema.name);
    if (r == 0)
        r = (x->order > y->order) - (x->order < y->order);
    return r;
}

static size_t collect(const struct vmt_metrics *m, struct metrics_member *members)
{
    size_t count = 0;

    for (size_t i = 0; i < m->plan_count; i++) {
        const struct metrics_plan *plan = m->plans[i];

        if (plan->scrape != m->scrape || plan->first_row == METRICS_NONE)
            continue;
        for (uint32_t k = 0; k < plan->column_count; k++) {
            const struct metrics_column *column = &plan->columns[k];
            enum metrics_class class = column->class;

            if (!column->family || column->seen == 0)
                continue;
            if (class == METRICS_HISTOGRAM && !(column->seen & METRICS_WANT_VALUE))
                class = METRICS_SUMMARY;
            members[count++] = (struct metrics_member){ plan, column, i, class };
        }
    }
    return count;
}

static const char *lesser(const char *a, const char *b) { return !a[0] || (b[0] && strcmp(b, a) < 0) ? b : a; }

/* What the family says of itself. Of several helps it is the first by the alphabet: not whose VM came first. Without any it
 * is what the statistic is called where it comes from. */
static void describe(struct metrics_group *group)
{
    const struct metrics_member *first = group->members;
    const char *name = "";

    group->help = "";
    group->unit = first->column->unit;
    for (size_t i = 0; i < group->count; i++) {
        const struct metrics_member *member = &group->members[i];

        group->help = lesser(group->help, member->column->d.help);
        name = lesser(name, member->column->d.name);
        if (member->column->unit != first->column->unit)
            group->unit = NULL;
        if (member->class != first->class)
            group->contradicted = true;
    }
    group->help = group->help[0] ? group->help : name;
}

static int by_family(const void *key, const void *member)
{
    const struct metrics_group *a = key, *b = member;

    return strcmp(a->family, b->family);
}

static struct metrics_group *find(const struct metrics_groups *all, const char *family)
{
    struct metrics_group key = { .family = family };

    return bsearch(&key, all->groups, all->count, sizeof(key), by_family);
}

/* The other one is a family whose samples may end so. */
static bool has_samples(const struct metrics_group *group, const char *end)
{
    for (size_t i = 0; i < group->count; i++) {
        enum metrics_class class = group->members[i].class;

        if (class == METRICS_HISTOGRAM || class == METRICS_SUMMARY ||
            (class == METRICS_COUNTER && strcmp(end, "_created") == 0))
            return true;
    }
    return false;
}

/* Called as a sample of another one. */
static void contradict(const struct metrics_groups *all, struct metrics_group *group)
{
    static const char *const ends[] = { "_bucket", "_count", "_sum", "_created" };

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        char stem[METRICS_NAME_SIZE];
        struct metrics_group *other;

        if (!metrics_ends_with(group->family, group->family_size, ends[i]))
            continue;
        memcpy(stem, group->family, group->family_size);
        stem[group->family_size - strlen(ends[i])] = '\0';
        other = find(all, stem);
        if (other && has_samples(other, ends[i]))
            group->contradicted = other->contradicted = true;
    }
}

int metrics_groups_make(const struct vmt_metrics *m, struct metrics_groups *groups)
{
    size_t count;

    groups->members = calloc(m->columns + 1, sizeof(*groups->members));
    groups->groups = calloc(m->columns + 1, sizeof(*groups->groups));
    if (!groups->members || !groups->groups)
        return -ENOMEM;
    count = collect(m, groups->members);
    qsort(groups->members, count, sizeof(*groups->members), by_name);
    for (size_t i = 0; i < count; i++) {
        const struct metrics_column *column = groups->members[i].column;
        struct metrics_group *group = &groups->groups[groups->count];

        if (i == 0 || strcmp(column->family, groups->members[i - 1].column->family) != 0) {
            group->family = column->family;
            group->family_size = column->family_size;
            group->members = &groups->members[i];
            groups->count++;
        }
        groups->groups[groups->count - 1].count++;
    }
    for (size_t i = 0; i < groups->count; i++)
        describe(&groups->groups[i]);
    for (size_t i = 0; i < groups->count; i++)
        contradict(groups, &groups->groups[i]);
    return 0;
}

void metrics_groups_free(struct metrics_groups *groups)
{
    free(groups->members);
    free(groups->groups);
}
