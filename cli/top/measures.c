/* SPDX-License-Identifier: MIT */
#include "cli/top/measures.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/top/measure_plan.h"
#include "cli/units.h"

#define ACTIVE_MAX 3
#define KERNEL_WEIGHT 0.9
#define WHO_MAX 8 /* that count exits of one row's vCPUs; more are not told apart */

struct reason {
    const struct planned *planned; /* NULL: none */
    uint64_t count;
};

/* Exits as one provider counts those of vCPUs, or (who 0) as those of all else are counted. */
struct exits {
    uint64_t who;
    int kernel;
    double count; /* NAN: nobody counts them all */
    struct reason top[MEASURES_TOP];
};

/* One counter among the most active. */
struct active {
    const struct vmt_descriptor *d;
    uint64_t count;
};

/* What is gathered over the schemas of one row. */
struct gathered {
    double sum[MEASURE_COUNT]; /* but exits */
    struct exits exits[1 + WHO_MAX];
    size_t exit_count;
    const struct planned *latency;
    uint64_t buckets[VMT_SLOTS_MAX]; /* of latency */
};

static void gather_start(struct gathered *g)
{
    for (size_t i = 0; i < MEASURE_COUNT; i++)
        g->sum[i] = NAN;
    g->exit_count = 1;
    g->exits[0] = (struct exits){ .count = NAN };
    g->latency = NULL; /* buckets are set where they are used */
}

static void add(double *sum, double value) { *sum = isnan(*sum) ? value : *sum + value; }

static struct exits *exits_of(struct gathered *g, uint64_t who)
{
    size_t i = 0;

    while (i < g->exit_count && g->exits[i].who != who)
        i++;
    if (i == g->exit_count && i <= WHO_MAX)
        g->exits[g->exit_count++] = (struct exits){ .who = who, .count = NAN };
    return &g->exits[i <= WHO_MAX ? i : WHO_MAX];
}

static void note_reason(struct reason *top, struct reason one)
{
    for (size_t i = 0; i < MEASURES_TOP && one.count; i++) {
        struct reason other = top[i];

        if (one.count > other.count) {
            top[i] = one;
            one = other;
        }
    }
}

static int same_buckets(const struct vmt_descriptor *a, const struct vmt_descriptor *b)
{
    uint32_t mask = VMT_TYPE_MASK | VMT_UNIT_MASK | VMT_BASE_MASK;

    return (a->flags & mask) == (b->flags & mask) && a->exponent == b->exponent && a->size == b->size &&
           a->bucket_size == b->bucket_size;
}

/* The ones that come first alone where they are counted, for parts of them have histograms of their own; else all that
 * can be added up. */
static void note_latency(struct gathered *g, const struct planned *p, const uint64_t *values)
{
    const uint64_t *buckets = values + p->slot;

    if (!g->latency || p->first > g->latency->first) {
        g->latency = p;
        memcpy(g->buckets, buckets, p->d->size * sizeof(*buckets));
    } else if (p->first == g->latency->first && same_buckets(g->latency->d, p->d)) {
        for (uint32_t i = 0; i < p->d->size; i++)
            g->buckets[i] += buckets[i];
    }
}

static void gather(struct gathered *g, const struct measure_plan *plan, const struct vmt_change *change)
{
    const struct planned *p = plan->planned;
    const struct planned *end = p + plan->counters;
    const uint64_t *values = change->values;
    struct exits *exits;

    if (change->flags & VMT_CHANGE_RESET)
        return;
    exits = exits_of(g, plan->counts);
    exits->kernel = plan->vcpu && plan->kernel;
    for (; p < end; p++)
        add(p->measure == MEASURE_EXITS ? &exits->count : &g->sum[p->measure], (double)values[p->slot] * p->factor);
    for (end = p + plan->reasons; p < end; p++) {
        if (values[p->slot] > exits->top[MEASURES_TOP - 1].count)
            note_reason(exits->top, (struct reason){ p, values[p->slot] });
    }
    for (end = p + plan->histograms; p < end; p++)
        note_latency(g, p, values);
}

/* To compare providers: where the kernel counts hardly more, the VMM's reasons say more, and who is chosen should not
 * depend on which was read first. */
static double weight(const struct exits *e) { return e->kernel ? e->count * KERNEL_WEIGHT : e->count; }

/* The provider that counted more of the vCPUs' exits: another one counts the same. */
static const struct exits *most_exits(const struct gathered *g)
{
    const struct exits *most = &g->exits[0];

    for (size_t i = 1; i < g->exit_count; i++) {
        const struct exits *e = &g->exits[i];

        if (i == 1 || weight(e) > weight(most) || (isnan(most->count) && !isnan(e->count)))
            most = e;
    }
    return most;
}

static void set_exits(struct measures *ret, struct gathered *g, double seconds)
{
    const struct exits *most = most_exits(g);
    struct exits *all = &g->exits[0];

    if (most != all) {
        if (!isnan(most->count))
            add(&all->count, most->count);
        for (size_t i = 0; i < MEASURES_TOP; i++)
            note_reason(all->top, most->top[i]);
    }
    ret->exits = all->count / seconds;
    for (size_t i = 0; i < MEASURES_TOP && all->top[i].count; i++) {
        const struct planned *p = all->top[i].planned;

        memcpy(ret->top[i].name, p->d->name + p->from, p->length); /* the rest of it is 0 */
        /* The kernel may count several accesses for one exit. */
        ret->top[i].share = all->count > 0 ? fmin((double)all->top[i].count / all->count, 1) : 0;
    }
}

static int quantile(struct quantile *ret, const struct gathered *g, double q)
{
    uint64_t low, high;

    if (vmt_quantile(g->latency->d, g->buckets, q, &low, &high) < 0)
        return 0;
    ret->low = (double)low * g->latency->factor;
    ret->high = high == UINT64_MAX ? INFINITY : (double)high * g->latency->factor;
    return 1;
}

/* 1 where any measure is there. */
static int gather_end(struct measures *ret, struct gathered *g, double seconds)
{
    set_exits(ret, g, seconds);
    ret->run = g->sum[MEASURE_RUN] / seconds;
    ret->bytes = g->sum[MEASURE_BYTES] / seconds;
    ret->ops = g->sum[MEASURE_OPS] / seconds;
    if (g->latency) /* unless nothing was recorded meanwhile */
        ret->latency = quantile(&ret->p50, g, 0.5) && quantile(&ret->p99, g, 0.99);
    return !isnan(ret->exits) || !isnan(ret->run) || !isnan(ret->bytes) || !isnan(ret->ops) || ret->latency;
}

/* ---- what there is to say of other schemas ---- */

static uint32_t type_of(const struct vmt_descriptor *d) { return d->flags & VMT_TYPE_MASK; }
static int is_event(const struct vmt_descriptor *d) { return (d->flags & VMT_UNIT_MASK) == VMT_UNIT_NONE; }

/* Keep the most active ones: events before bytes, cycles and time, whose numbers are greater by nature. */
static void note_active(struct active *active, struct active one)
{
    for (size_t i = 0; i < ACTIVE_MAX && one.d; i++) {
        struct active at = active[i];
        int event = is_event(one.d);

        if (!at.d || event > is_event(at.d) || (event == is_event(at.d) && one.count > at.count)) {
            active[i] = one;
            one = at;
        }
    }
}

static void gather_active(struct active *active, const struct vmt_change *change)
{
    if (change->flags & VMT_CHANGE_RESET)
        return;
    for (uint32_t i = 0; i < change->schema->count; i++) {
        const struct vmt_descriptor *d = &change->schema->descriptors[i];

        if (type_of(d) == VMT_TYPE_CUMULATIVE && change->values[d->slot])
            note_active(active, (struct active){ d, change->values[d->slot] });
    }
}

static void write_active(struct measures *ret, const struct active *active, double seconds)
{
    size_t at = 0;

    for (size_t i = 0; i < ACTIVE_MAX && active[i].d && at < sizeof(ret->active); i++) {
        char rate[UNIT_TEXT];
        int n = snprintf(ret->active + at, sizeof(ret->active) - at, "%s%s %s", i ? "  " : "", active[i].d->name,
                         unit_format_rate(rate, sizeof(rate), active[i].d, (double)active[i].count / seconds));

        at += n > 0 ? (size_t)n : 0;
    }
}

/* ---- of one source ---- */

void measures_none(struct measures *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->exits = ret->run = ret->bytes = ret->ops = NAN;
}

/* Change number n of source i: its own, then those of its totals. */
static const struct vmt_change *change_of(const struct vmt_delta *delta, size_t i, uint32_t n)
{
    return n ? vmt_delta_total(delta, i, n - 1) : vmt_delta_source(delta, i);
}

int measures_take(struct measures *ret, struct measure_plans *plans, uint64_t epoch, const struct sample_vm *vm,
                  size_t i)
{
    const struct vmt_sample *sample = vmt_snapshot_source(vm->snapshot, i);
    double seconds = vmt_delta_seconds(vm->delta);
    struct active active[ACTIVE_MAX] = { 0 };
    uint32_t is_vcpu = 0; /* then what is below it is another view of it */
    struct gathered g;

    measures_none(ret);
    if (!sample)
        return 0;
    gather_start(&g);
    for (uint32_t n = 0; n <= sample->total_count; n++) {
        const struct vmt_change *change = change_of(vm->delta, i, n);
        const struct measure_plan *plan;

        if (!change)
            continue;
        plan = measure_plan_of(plans, epoch, change->schema);
        if (!plan)
            return -ENOMEM;
        if (!n)
            is_vcpu = plan->vcpu;
        /* Two providers may count the same vCPUs: that does not make them more. */
        if (n && plan->vcpu && !is_vcpu && sample->totals[n - 1].sources > ret->vcpus)
            ret->vcpus = sample->totals[n - 1].sources;
        gather(&g, plan, change);
    }
    if (!(seconds > 0) || gather_end(ret, &g, seconds))
        return 0;
    for (uint32_t n = 0; n <= sample->total_count; n++) {
        if (change_of(vm->delta, i, n))
            gather_active(active, change_of(vm->delta, i, n));
    }
    write_active(ret, active, seconds);
    return 0;
}

/* ---- of one shard ---- */

static int index_before(struct measure_plans *plans, const struct vmt_snapshot *before)
{
    size_t count = vmt_snapshot_count(before);
    size_t needed = 0;

    if (plans->indexed == before && plans->indexed_ns == vmt_snapshot_segment(before)->end_ns)
        return 0;
    plans->indexed = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t entry = vmt_entry_index(vmt_snapshot_source(before, i)->entry);

        if (entry >= needed)
            needed = entry + 1;
    }
    if (needed > plans->entry_capacity) {
        uint32_t *more = reallocarray(plans->entries, needed, sizeof(*more));

        if (!more)
            return -ENOMEM;
        plans->entries = more;
        plans->entry_capacity = needed;
    }
    plans->entry_count = needed;
    if (needed)
        memset(plans->entries, 0, needed * sizeof(*plans->entries));
    for (size_t i = 0; i < count; i++)
        plans->entries[vmt_entry_index(vmt_snapshot_source(before, i)->entry)] = (uint32_t)i + 1;
    plans->indexed = before;
    plans->indexed_ns = vmt_snapshot_segment(before)->end_ns;
    return 0;
}

/* The same source in the snapshot before, or NULL. */
static const struct vmt_sample *source_before(const struct measure_plans *plans, const struct vmt_snapshot *before,
                                              const struct vmt_sample *sample)
{
    size_t entry = vmt_entry_index(sample->entry);
    uint32_t at = entry < plans->entry_count ? plans->entries[entry] : 0;
    const struct vmt_sample *same = at ? vmt_snapshot_source(before, at - 1) : NULL;

    return same && same->generation == sample->generation && same->schema == sample->schema ? same : NULL;
}

/* The same shard, or NULL. New ones come last, but for the shared one, which comes first. */
static const struct vmt_shard_sample *shard_before(const struct vmt_sample *before, const struct vmt_sample *sample,
                                                   uint32_t k)
{
    uint32_t id = sample->shards[k].id;

    if (k < before->shard_count && before->shards[k].id == id)
        return &before->shards[k];
    return k && k <= before->shard_count && before->shards[k - 1].id == id ? &before->shards[k - 1] : NULL;
}

/* What values count more than before; 0: something fell. */
static int subtract(uint64_t *ret, const struct vmt_schema *schema, const uint64_t *values, const uint64_t *before)
{
    memset(ret, 0, schema->slots * sizeof(*ret));
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];
        uint32_t type = type_of(d);

        if (type != VMT_TYPE_CUMULATIVE && type != VMT_TYPE_LINEAR_HIST && type != VMT_TYPE_LOG_HIST)
            continue;
        for (uint32_t k = d->slot; k < d->slot + d->size; k++) {
            if (values[k] < before[k])
                return 0;
            ret[k] = values[k] - before[k];
        }
    }
    return 1;
}

int measures_take_shard(struct measures *ret, struct measure_plans *plans, uint64_t epoch, const struct sample_vm *vm,
                        size_t i, uint32_t k)
{
    const struct vmt_sample *sample = vmt_snapshot_source(vm->snapshot, i);
    const struct vmt_change *whole = vm->delta ? vmt_delta_source(vm->delta, i) : NULL;
    const struct vmt_shard_sample *shard = NULL;
    const struct vmt_sample *before;
    const struct measure_plan *plan;
    double seconds = vm->delta ? vmt_delta_seconds(vm->delta) : 0;
    struct active active[ACTIVE_MAX] = { 0 };
    uint64_t values[VMT_SLOTS_MAX];
    struct vmt_change change = { .values = values };
    struct gathered g;

    measures_none(ret);
    if (!sample || k >= sample->shard_count || !vm->before || !whole || !(seconds > 0) ||
        whole->flags & VMT_CHANGE_RESET)
        return 0;
    if (index_before(plans, vm->before) < 0)
        return -ENOMEM;
    before = source_before(plans, vm->before, sample);
    if (before)
        shard = shard_before(before, sample, k);
    if (!shard || !subtract(values, sample->schema, sample->shards[k].values, shard->values))
        return 0;
    plan = measure_plan_of(plans, epoch, sample->schema);
    if (!plan)
        return -ENOMEM;
    change.schema = sample->schema;
    gather_start(&g);
    gather(&g, plan, &change);
    if (gather_end(ret, &g, seconds))
        return 0;
    gather_active(active, &change);
    write_active(ret, active, seconds);
    return 0;
}
