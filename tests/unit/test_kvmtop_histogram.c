/* SPDX-License-Identifier: MIT */
/* Histograms as kvmtop sees them: what was counted in a span, and quantiles estimated from buckets. */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/top/histogram.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define LOG_HISTOGRAM(buckets)                                                                                         \
    {                                                                                                                  \
        .name = "h", .help = "", .flags = VMT_TYPE_LOG_HIST, .size = (buckets)                                         \
    }
#define LINEAR_HISTOGRAM(buckets, width)                                                                               \
    {                                                                                                                  \
        .name = "h", .help = "", .flags = VMT_TYPE_LINEAR_HIST, .size = (buckets), .bucket_size = (width)              \
    }

static const double quantiles[HISTOGRAM_QUANTILES] = { 0.5, 0.9, 0.99, 0.999 };

/* ---- random samples ---- */

static uint64_t state = 88172645463325252U;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Spread over all magnitudes up to 2^bits. */
static uint64_t sample_below(unsigned bits) { return next_random() >> (64 - 1 - next_random() % bits); }

static uint32_t bucket_of(const struct vmt_descriptor *d, uint64_t value)
{
    uint64_t i = (d->flags & VMT_TYPE_MASK) == VMT_TYPE_LINEAR_HIST ? value / d->bucket_size
               : value                                              ? 64U - (unsigned)__builtin_clzll(value)
                                                                    : 0;

    return i < d->size ? (uint32_t)i : d->size - 1U;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* n samples into a histogram, and their exact quantiles: the nearest rank. */
static void assert_estimates(const struct vmt_descriptor *d, size_t n, unsigned bits)
{
    uint64_t *samples = calloc(n, sizeof(*samples));
    uint64_t *buckets = calloc(d->size, sizeof(*buckets));
    struct histogram h = { 0 };

    for (size_t i = 0; i < n; i++) {
        samples[i] = sample_below(bits);
        buckets[bucket_of(d, samples[i])]++;
    }
    qsort(samples, n, sizeof(*samples), compare);
    histogram_start(&h, d);
    cr_assert_eq(histogram_add(&h, buckets, NULL), 0);
    cr_assert_eq(h.side_count, 1);
    cr_expect_eq(h.sides[0].total, (double)n);
    cr_expect_eq(h.first, bucket_of(d, samples[0]));
    cr_expect_eq(h.last, bucket_of(d, samples[n - 1]));
    for (int q = 0; q < HISTOGRAM_QUANTILES; q++) {
        const struct estimate *e = &h.sides[0].quantiles[q];
        size_t rank = (size_t)ceil(quantiles[q] * (double)n - 1e-9);
        uint64_t exact = samples[rank - 1];
        uint64_t low, high;

        cr_expect(e->low <= (double)exact, "%zu samples, %s: %g > %g", n, histogram_quantile_names[q], e->low,
                  (double)exact);
        cr_expect((double)exact < e->high || (double)exact > 0x1p53, "%zu samples, %s: %g >= %g", n,
                  histogram_quantile_names[q], (double)exact, e->high);
        cr_expect(e->value >= e->low && e->value <= e->high);
        cr_expect_eq(e->open, isinf(e->high) != 0);
        cr_expect(isfinite(e->value));
        cr_assert_eq(vmt_quantile(d, buckets, quantiles[q], &low, &high), 0);
        cr_expect_eq(e->low, (double)low, "the same bucket as the library finds");
        cr_expect(q == 0 || e->value >= e[-1].value, "p50 <= p90 <= p99 <= p99.9");
    }
    histogram_free(&h);
    free(buckets);
    free(samples);
}

Test(histogram, exact_quantiles_are_inside_the_bounds)
{
    static const struct vmt_descriptor histograms[] = {
        LOG_HISTOGRAM(1),
        LOG_HISTOGRAM(2),
        LOG_HISTOGRAM(24),
        LOG_HISTOGRAM(64),
        LOG_HISTOGRAM(65),
        LOG_HISTOGRAM(66),
        LOG_HISTOGRAM(4096),
        LINEAR_HISTOGRAM(1, 1),
        LINEAR_HISTOGRAM(2, 10),
        LINEAR_HISTOGRAM(16, 100),
        LINEAR_HISTOGRAM(4096, 1),
        LINEAR_HISTOGRAM(4096, 1000),
        LINEAR_HISTOGRAM(300, UINT32_MAX),
    };
    static const size_t sizes[] = { 1, 2, 3, 10, 100, 101, 1000, 5000 };
    static const unsigned bits[] = { 1, 4, 12, 40, 63 };

    for (size_t i = 0; i < LENGTH(histograms); i++)
        for (size_t n = 0; n < LENGTH(sizes); n++)
            for (size_t b = 0; b < LENGTH(bits); b++)
                assert_estimates(&histograms[i], sizes[n], bits[b]);
}

Test(histogram, an_estimate_is_better_than_the_bounds_where_values_are_spread_evenly)
{
    const struct vmt_descriptor d = LOG_HISTOGRAM(32);
    uint64_t buckets[32] = { 0 };
    struct histogram h = { 0 };

    for (uint64_t v = 0; v < 1U << 20; v++)
        buckets[bucket_of(&d, v)]++;
    histogram_start(&h, &d);
    cr_assert_eq(histogram_add(&h, buckets, NULL), 0);
    for (int q = 0; q < HISTOGRAM_QUANTILES; q++)
        cr_expect_float_eq(h.sides[0].quantiles[q].value, quantiles[q] * 0x1p20, 2, "%s is %g",
                           histogram_quantile_names[q], h.sides[0].quantiles[q].value);
    histogram_free(&h);
}

/* ---- single cases ---- */

Test(histogram, bounds_and_value_of_each_kind_of_bucket)
{
    static const struct {
        struct vmt_descriptor d;
        double counts[4];
        double q;
        struct estimate expected;
    } cases[] = {
        { LOG_HISTOGRAM(4), { 7, 0, 0, 0 }, 0.5, { 0, 0, 1, 0 } },        /* {0} */
        { LOG_HISTOGRAM(4), { 0, 7, 0, 0 }, 0.5, { 1, 1, 2, 0 } },        /* {1} */
        { LOG_HISTOGRAM(4), { 0, 0, 8, 0 }, 0.5, { 2.5, 2, 4, 0 } },      /* {2, 3} */
        { LOG_HISTOGRAM(4), { 0, 0, 8, 0 }, 1, { 3, 2, 4, 0 } },          /* the largest of it */
        { LOG_HISTOGRAM(4), { 0, 0, 0, 8 }, 0.5, { 4, 4, INFINITY, 1 } }, /* open */
        { LOG_HISTOGRAM(1), { 8 }, 0.5, { 0, 0, INFINITY, 1 } },          /* nothing but the open one */
        { LINEAR_HISTOGRAM(4, 10), { 0, 4, 0, 0 }, 0.25, { 12.25, 10, 20, 0 } },
        { LINEAR_HISTOGRAM(4, 10), { 0, 4, 4, 4 }, 0.99, { 30, 30, INFINITY, 1 } },
        { LINEAR_HISTOGRAM(4, 1), { 0, 0, 4, 0 }, 0.99, { 2, 2, 3, 0 } },
        { LINEAR_HISTOGRAM(4, 10), { 50, 50, 0, 0 }, 0.5, { 9, 0, 10, 0 } }, /* the 50th of 100 is in the first */
        { LINEAR_HISTOGRAM(4, 10), { 7, 93, 0, 0 }, 0.07, { 9, 0, 10, 0 } }, /* 0.07 * 100 is more than 7 */
        { LINEAR_HISTOGRAM(4, 10), { 0, 4, 0, 4 }, 0, { 10, 10, 20, 0 } },
        { LINEAR_HISTOGRAM(4, 10), { 0, 4, 0, 4 }, -3, { 10, 10, 20, 0 } },
        { LINEAR_HISTOGRAM(4, 10), { 0, 4, 4, 0 }, 9, { 29, 20, 30, 0 } },
        { LINEAR_HISTOGRAM(4, 0), { 0, 4, 4, 0 }, 0.5, { 0, 0, 0, 0 } }, /* no schema that was checked has such */
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct estimate e = histogram_estimate(&cases[i].d, cases[i].counts, cases[i].q);

        cr_expect_float_eq(e.value, cases[i].expected.value, 1e-9, "case %zu: value %g", i, e.value);
        cr_expect_eq(e.low, cases[i].expected.low, "case %zu: low %g", i, e.low);
        cr_expect_eq(e.high, cases[i].expected.high, "case %zu: high %g", i, e.high);
        cr_expect_eq(e.open, cases[i].expected.open, "case %zu", i);
    }
}

Test(histogram, of_nothing_there_is_no_quantile)
{
    const struct vmt_descriptor d = LOG_HISTOGRAM(8);
    const uint64_t buckets[8] = { 0 };
    struct histogram h = { 0 };

    histogram_start(&h, &d);
    cr_assert_eq(histogram_add(&h, buckets, NULL), 0);
    cr_expect_eq(h.sides[0].total, 0);
    cr_expect_eq(h.first, 8);
    for (int q = 0; q < HISTOGRAM_QUANTILES; q++)
        cr_expect(isnan(h.sides[0].quantiles[q].value));
    histogram_free(&h);
}

Test(histogram, what_fell_counts_nothing)
{
    const struct vmt_descriptor d = LOG_HISTOGRAM(4);
    const uint64_t before[] = { 5, 5, 5, UINT64_MAX };
    const uint64_t now[] = { 5, 9, 4, 0 };
    struct histogram h = { 0 };

    histogram_start(&h, &d);
    cr_assert_eq(histogram_add(&h, now, before), 0);
    cr_expect_eq(h.sides[0].total, 4);
    cr_expect_eq(h.sides[0].counts[0], 0);
    cr_expect_eq(h.sides[0].counts[1], 4);
    cr_expect_eq(h.sides[0].counts[2], 0);
    cr_expect_eq(h.sides[0].counts[3], 0);
    cr_expect_eq(h.first, 1);
    cr_expect_eq(h.last, 1);
    cr_expect_eq(h.sides[0].share, 1);
    histogram_free(&h);
}

Test(histogram, huge_counts_stay_numbers)
{
    const struct vmt_descriptor d = LOG_HISTOGRAM(4096);
    uint64_t *buckets = calloc(d.size, sizeof(*buckets));
    struct histogram h = { 0 };

    for (uint32_t i = 0; i < d.size; i++)
        buckets[i] = UINT64_MAX;
    histogram_start(&h, &d);
    cr_assert_eq(histogram_add(&h, buckets, NULL), 0);
    cr_expect_float_eq(h.sides[0].total / (0x1p64 * 4096), 1, 1e-9);
    cr_expect_float_eq(h.sides[0].share * 4096, 1, 1e-9);
    for (int q = 0; q < HISTOGRAM_QUANTILES; q++) {
        const struct estimate *e = &h.sides[0].quantiles[q];

        cr_expect(isfinite(e->value) && e->value >= e->low && e->value <= e->high);
    }
    histogram_free(&h);
    free(buckets);
}

Test(histogram, sides_share_the_range_and_memory_is_used_again)
{
    const struct vmt_descriptor small = LINEAR_HISTOGRAM(4, 10), large = LINEAR_HISTOGRAM(300, 10);
    const uint64_t one[] = { 0, 1, 1, 0 }, other[] = { 0, 0, 0, 2 };
    uint64_t many[300] = { [299] = 7 };
    struct histogram h = { 0 };

    for (int i = 0; i < 2; i++) {
        histogram_start(&h, &small);
        cr_assert_eq(histogram_add(&h, one, NULL), 0);
        cr_assert_eq(histogram_add(&h, other, NULL), 0);
        cr_expect_eq(h.side_count, 2);
        cr_expect_eq(h.first, 1);
        cr_expect_eq(h.last, 3);
        cr_expect_eq(h.sides[0].share, 0.5);
        cr_expect_eq(h.sides[1].share, 1);
        histogram_start(&h, &large);
        cr_assert_eq(histogram_add(&h, many, NULL), 0);
        cr_expect_eq(h.first, 299);
        cr_expect_eq(h.last, 299);
    }
    histogram_free(&h);
    cr_expect_null(h.sides[0].counts);
}

Test(histogram, is_one_of_two_types)
{
    static const uint32_t no[] = { VMT_TYPE_CUMULATIVE, VMT_TYPE_INSTANT, VMT_TYPE_PEAK };
    const struct vmt_descriptor linear = LINEAR_HISTOGRAM(4, 1), logarithmic = LOG_HISTOGRAM(4);

    cr_expect(histogram_is(&linear));
    cr_expect(histogram_is(&logarithmic));
    for (size_t i = 0; i < LENGTH(no); i++)
        cr_expect_not(histogram_is(&(struct vmt_descriptor){ .flags = no[i] }));
}
