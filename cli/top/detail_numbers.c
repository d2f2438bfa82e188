/* SPDX-License-Identifier: MIT */
#include "cli/top/detail_numbers.h"

#include <math.h>
#include <string.h>

#include "cli/units.h"

#define SHARDS_SEARCHED 256
#define PACKING_LOSS 0.0012 /* at most, of what packed.h keeps */

static uint32_t type_of(const struct vmt_descriptor *d) { return d->flags & VMT_TYPE_MASK; }

/* It only grows, and has rates. */
static int counts_up(const struct vmt_descriptor *d) { return type_of(d) == VMT_TYPE_CUMULATIVE || histogram_is(d); }

int part_is_sum(const struct vmt_descriptor *d)
{
    uint32_t how = d->flags & VMT_AGGREGATION_MASK;

    return how != VMT_AGGREGATION_MIN && how != VMT_AGGREGATION_MAX &&
           !(how == VMT_AGGREGATION_TYPE && type_of(d) == VMT_TYPE_PEAK);
}

static double real(const struct vmt_descriptor *d, uint64_t value)
{
    return d->flags & VMT_SIGNED ? (double)(int64_t)value : (double)value;
}

double part_of_shard(const struct vmt_descriptor *d, const uint64_t *values)
{
    double sum = 0;

    if (!histogram_is(d)) {
        if (unit_absent(d, values[d->slot]))
            return NAN;
        return counts_up(d) || !part_is_sum(d) ? real(d, values[d->slot]) : (double)(int64_t)values[d->slot];
    }
    for (uint32_t i = 0; i < d->size; i++)
        sum += (double)values[d->slot + i];
    return sum;
}

int part_is_zero(const struct detail_part *p, const struct vmt_descriptor *d)
{
    const struct average *average = history_average(p->history, p->track, p->part, d->slot);

    if (!p->now.values)
        return 0;
    for (uint32_t i = d->slot; i < d->slot + d->size; i++) {
        if (p->now.values[i] && !unit_absent(d, p->now.values[i]))
            return 0;
    }
    return !average || ((isnan(average->low) || average->low == 0) && (isnan(average->high) || average->high == 0));
}

/* ---- at the beat ---- */

static double rate_at(const struct detail_part *p, const struct vmt_descriptor *d, uint32_t slot)
{
    if (p->beat != p->newest || (!p->change && !p->before.values))
        return history_slot(p->history, p->track, p->beat, p->part, slot);
    if (!p->now.values || !(p->seconds > 0))
        return NAN;
    if (p->change)
        return real(d, p->change[slot]) / p->seconds;
    return p->now.values[slot] < p->before.values[slot]
             ? NAN
             : (double)(p->now.values[slot] - p->before.values[slot]) / p->seconds;
}

/* All values are whole: where packing lost less than half of one of them, so is what comes out. */
static double unpacked(double value, double packed) { return fabs(packed) * PACKING_LOSS < 0.5 ? rint(value) : value; }

/* What is known exactly is only the newest value: what was counted since the beat is taken away from it again. */
static double value_at(const struct detail_part *p, const struct vmt_descriptor *d, uint32_t slot)
{
    double value;

    if (!p->now.values || !p->there)
        return NAN;
    value = real(d, p->now.values[slot]);
    if (p->beat == p->newest)
        return value;
    if (!counts_up(d)) {
        value = history_slot(p->history, p->track, p->beat, p->part, slot);
        return unpacked(value, value);
    }
    if (p->other)
        return NAN;
    for (size_t b = p->newest; b > p->beat && !isnan(value); b--) {
        if (!*p->lookups)
            return NAN;
        --*p->lookups;
        value -= history_slot(p->history, p->track, b, p->part, slot) * history_beat(p->history, b)->seconds;
    }
    if (value < 0 && !(d->flags & VMT_SIGNED)) /* by what packing lost */
        return 0;
    return unpacked(value, real(d, p->now.values[slot]) - value);
}

/* ---- since the mark ---- */

/* The values at the mark, if its schema has the statistic at the same slots. */
static const uint64_t *marked_of(const struct detail_part *p, const struct vmt_descriptor *d)
{
    const struct vmt_schema *schema = p->marked.schema;
    size_t i = (size_t)(d - p->now.schema->descriptors);
    const struct vmt_descriptor *was;

    if (!p->marked.values || !p->now.values || i >= schema->count)
        return NULL;
    was = &schema->descriptors[i];
    return was == d || (!strcmp(was->name, d->name) && was->flags == d->flags && was->slot == d->slot &&
                        was->size == d->size && was->bucket_size == d->bucket_size)
             ? p->marked.values
             : NULL;
}

static double change_of(const struct detail_part *p, const struct vmt_descriptor *d, uint32_t slot,
                        const uint64_t *marked, double value)
{
    double change;

    if (!marked || unit_absent(d, marked[slot]))
        return NAN;
    if (p->beat != p->newest || !counts_up(d))
        change = value - real(d, marked[slot]);
    else if (p->now.values[slot] < marked[slot] && !(d->flags & VMT_SIGNED))
        return NAN; /* another one */
    else
        change = (double)(int64_t)(p->now.values[slot] - marked[slot]); /* exact, also of large ones */
    return change < 0 && counts_up(d) && !(d->flags & VMT_SIGNED) ? 0 : change;
}

/* ---- lines ---- */

void part_statistic(const struct detail_part *p, struct detail_line *line)
{
    const struct vmt_descriptor *d = line->d;
    const struct average *average = history_average(p->history, p->track, p->part, d->slot);

    line->values = p->there ? p->now.values : NULL;
    line->marked = marked_of(p, d);
    line->absent = !line->values || unit_absent(d, p->now.values[d->slot]);
    line->total = line->absent ? NAN : value_at(p, d, d->slot);
    line->rate = counts_up(d) ? rate_at(p, d, d->slot) : NAN;
    line->since_mark = line->absent ? NAN : change_of(p, d, d->slot, line->marked, line->total);
    line->average = average ? *average : (struct average){ { NAN, NAN, NAN }, NAN, NAN };
    for (size_t i = 0; i < sizeof(line->average.over) / sizeof(line->average.over[0]) && p->beat != p->newest; i++)
        line->average.over[i] = NAN;
}

/* Add up what is known; NAN: something is not. What is not is 0 from here on. */
static double sum_up(double *counts, uint32_t size)
{
    double sum = 0;

    for (uint32_t i = 0; i < size; i++) {
        sum += counts[i];
        counts[i] = isfinite(counts[i]) && counts[i] > 0 ? counts[i] : 0;
    }
    return sum;
}

static struct estimate estimate(const struct vmt_descriptor *d, const double *counts, double sum, double q)
{
    return isnan(sum) ? (struct estimate){ NAN, NAN, NAN, 0 } : histogram_estimate(d, counts, q);
}

struct estimate part_estimate(const struct vmt_descriptor *d, double *counts, double q)
{
    double sum = sum_up(counts, d->size);

    return estimate(d, counts, sum, q);
}

void part_histogram(const struct detail_part *p, struct detail_line *lines, const double *q, size_t quantiles,
                    double *counts)
{
    const struct vmt_descriptor *d = lines->d;

    for (size_t i = 0; i <= quantiles; i++) {
        lines[i].values = p->there ? p->now.values : NULL;
        lines[i].marked = marked_of(p, d);
    }
    lines->absent = !lines->values;
    lines->average = (struct average){ { NAN, NAN, NAN }, NAN, NAN };
    for (uint32_t i = 0; i < d->size; i++)
        counts[i] = value_at(p, d, d->slot + i);
    lines->total = sum_up(counts, d->size);
    for (size_t i = 0; i < quantiles; i++)
        lines[1 + i].of_all = estimate(d, counts, lines->total, q[i]);
    for (uint32_t i = 0; i < d->size; i++) {
        double value = lines->marked ? value_at(p, d, d->slot + i) : NAN;

        counts[i] = change_of(p, d, d->slot + i, lines->marked, value);
    }
    lines->since_mark = sum_up(counts, d->size);
    for (size_t i = 0; i < quantiles; i++)
        lines[1 + i].of_mark = estimate(d, counts, lines->since_mark, q[i]);
    for (uint32_t i = 0; i < d->size; i++)
        counts[i] = rate_at(p, d, d->slot + i);
    lines->rate = sum_up(counts, d->size);
    for (size_t i = 0; i < quantiles; i++)
        lines[1 + i].of_interval = estimate(d, counts, lines->rate, q[i]);
}

/* ---- the same one elsewhere ---- */

const struct vmt_sample *part_same_source(const struct vmt_snapshot *snapshot, const struct vmt_sample *sample,
                                          const struct vmt_snapshot *other)
{
    if (memcmp(vmt_snapshot_segment(snapshot)->identity, vmt_snapshot_segment(other)->identity,
               sizeof(vmt_snapshot_segment(other)->identity)))
        return NULL;
    for (size_t i = 0; i < vmt_snapshot_count(other); i++) {
        const struct vmt_sample *one = vmt_snapshot_source(other, i);

        if (one->entry == sample->entry && one->generation == sample->generation)
            return one;
    }
    return NULL;
}

const struct vmt_shard_sample *part_same_shard(const struct vmt_sample *sample, uint32_t k,
                                               const struct vmt_sample *other)
{
    uint32_t from_end = sample->shard_count - k;
    uint64_t id = sample->shards[k].id;

    if (k < other->shard_count && other->shards[k].id == id)
        return &other->shards[k];
    if (from_end <= other->shard_count && other->shards[other->shard_count - from_end].id == id)
        return &other->shards[other->shard_count - from_end];
    for (uint32_t i = 0; i < other->shard_count && i < SHARDS_SEARCHED; i++) {
        if (other->shards[i].id == id)
            return &other->shards[i];
    }
    return NULL;
}
