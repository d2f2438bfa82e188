/* SPDX-License-Identifier: MIT */
#include "cli/top/detail.h"

#include <math.h>

#include "cli/top/detail_numbers.h"

/* What the hottest has most of. */
static double heat_of(const struct detail_share *share, int by_rate)
{
    double heat = fabs(by_rate ? share->rate : share->total);

    return isnan(heat) ? -1 : heat;
}

static struct detail_share share_of(const struct detail *d, const struct vmt_sample *sample,
                                    const struct vmt_sample *before, const struct vmt_descriptor *descriptor,
                                    uint32_t k)
{
    const struct vmt_shard_sample *shard = &sample->shards[k];
    const struct vmt_shard_sample *was = before ? part_same_shard(sample, k, before) : NULL;
    double seconds = d->vm->delta ? vmt_delta_seconds(d->vm->delta) : 0;
    uint32_t type = descriptor->flags & VMT_TYPE_MASK;
    struct detail_share share = { shard->owner, shard->held, part_of_shard(descriptor, shard->values), NAN, NAN };

    if (was && seconds > 0 && type != VMT_TYPE_INSTANT && type != VMT_TYPE_PEAK) {
        double change = share.total - part_of_shard(descriptor, was->values);

        if (!histogram_is(descriptor)) /* exact, also of large ones */
            change = (double)(int64_t)(shard->values[descriptor->slot] - was->values[descriptor->slot]);
        share.rate = change >= 0 ? change / seconds : NAN;
    }
    return share;
}

size_t detail_shares(const struct detail *d, const struct detail_line *line, struct detail_share *shares, size_t max)
{
    const struct vmt_sample *sample;
    const struct vmt_sample *before = NULL;
    double sums[2] = { 0, 0 }; /* of totals, of rates */
    size_t count = 0;
    int by_rate = 0;

    if (!d->vm || !d->vm->snapshot || !line->d || line->whose != DETAIL_OWN)
        return 0;
    sample = vmt_snapshot_source(d->vm->snapshot, d->source);
    if (d->vm->before)
        before = part_same_source(d->vm->snapshot, sample, d->vm->before);
    if (before && before->schema->slots != sample->schema->slots)
        before = NULL;
    for (uint32_t k = 0; k < sample->shard_count; k++) {
        struct detail_share share = share_of(d, sample, before, line->d, k);

        sums[0] += isnan(share.total) ? 0 : fabs(share.total);
        sums[1] += isnan(share.rate) ? 0 : share.rate;
        by_rate |= !isnan(share.rate);
    }
    max = max < DETAIL_SHARES_MAX ? max : DETAIL_SHARES_MAX;
    for (uint32_t k = 0; k < sample->shard_count && max; k++) {
        struct detail_share share = share_of(d, sample, before, line->d, k);
        size_t at = count < max ? count++ : max;

        if (part_is_sum(line->d) && sums[by_rate] > 0)
            share.share = fabs(by_rate ? share.rate : share.total) / sums[by_rate];
        for (; at > 0 && heat_of(&share, by_rate) > heat_of(&shares[at - 1], by_rate); at--) {
            if (at < max)
                shares[at] = shares[at - 1];
        }
        if (at < max)
            shares[at] = share;
    }
    return sample->shard_count;
}
