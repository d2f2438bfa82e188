/* SPDX-License-Identifier: MIT */
/* What a reader makes of descriptors: find one by name, the bounds of its buckets, quantiles.
 * Descriptors and counts may come from another process: any size, bucket size and count is taken without overflow. */
#include <errno.h>
#include <float.h>
#include <string.h>

#include <vmtally/schema.h>

__extension__ typedef unsigned __int128 wide; /* holds any sum of counts: 65,535 buckets of 64 bits */

const struct vmt_descriptor *vmt_schema_find(const struct vmt_schema *schema, const char *name)
{
    for (uint32_t i = 0; i < schema->count; i++)
        if (strcmp(schema->descriptors[i].name, name) == 0)
            return &schema->descriptors[i];
    return NULL;
}

void vmt_bucket_bounds(const struct vmt_descriptor *d, uint32_t i, uint64_t *low, uint64_t *high)
{
    uint64_t from = 0, to = UINT64_MAX;

    switch (d->flags & VMT_TYPE_MASK) {
    case VMT_TYPE_LINEAR_HIST:
        from = (uint64_t)i * d->bucket_size;
        to = from + d->bucket_size;
        break;
    case VMT_TYPE_LOG_HIST:
        /* fls64 gives 0 to 64: buckets after 64 stay empty, and 2^64, where that one ends, is not a uint64_t. */
        from = i == 0 ? 0 : i <= 64 ? UINT64_C(1) << (i - 1) : UINT64_MAX;
        to = i < 64 ? UINT64_C(1) << i : UINT64_MAX;
        break;
    default:
        break;
    }
    if (i + 1 >= d->size)
        to = UINT64_MAX;
    *low = from;
    *high = to;
}

/* Nearest rank: the smallest whole number that is >= q * total, from 1 to total. */
static wide rank_of(double q, wide total)
{
    double exact, slack;
    wide rank;

    if (q >= 1)
        return total;
    if (!(q > 0)) /* NaN too */
        return 1;
    /* A q such as 0.07 is rounded to a double a little above it: that must not make 7 of 100 the 8th. */
    exact = q * (double)total;
    slack = exact * (2 * DBL_EPSILON);
    rank = (wide)(exact - slack);
    if ((double)rank < exact - slack)
        rank++;
    if (rank < 1)
        return 1;
    return rank < total ? rank : total;
}

int vmt_quantile(const struct vmt_descriptor *d, const uint64_t *buckets, double q, uint64_t *low, uint64_t *high)
{
    wide total = 0, seen = 0, rank;
    uint32_t i;

    for (i = 0; i < d->size; i++)
        total += buckets[i];
    if (total == 0)
        return -ENODATA;
    rank = rank_of(q, total);
    for (i = 0; i + 1 < d->size; i++) {
        seen += buckets[i];
        if (seen >= rank)
            break;
    }
    vmt_bucket_bounds(d, i, low, high);
    return 0;
}
