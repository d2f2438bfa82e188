/* SPDX-License-Identifier: MIT */
/* Buckets against the kernel's rule, their bounds, and quantiles. The reference here is written without looking at
 * count.h: fls64 by shifting, division bit by bit (virt/kvm: kvm_stats_log_hist_update, kvm_stats_linear_hist_update). */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally/count.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define HEADER 16 /* words before a shard's values */

/* ---- the kernel's rule ---- */

static uint32_t fls64(uint64_t value)
{
    uint32_t n = 0;

    for (; value; value >>= 1)
        n++;
    return n;
}

static uint64_t div64(uint64_t value, uint64_t by)
{
    uint64_t quotient = 0, rest = 0;

    for (int bit = 63; bit >= 0; bit--) {
        rest = rest << 1 | (value >> bit & 1); /* by < 2^32, so nothing is shifted out */
        quotient <<= 1;
        if (rest >= by) {
            rest -= by;
            quotient |= 1;
        }
    }
    return quotient;
}

static uint32_t kernel_log(uint64_t value, uint32_t size) { return fls64(value) < size ? fls64(value) : size - 1; }

static uint32_t kernel_linear(uint64_t value, uint32_t size, uint32_t bucket_size)
{
    uint64_t index = div64(value, bucket_size);

    return index < size ? (uint32_t)index : size - 1;
}

/* ---- what is tried ---- */

/* 0, UINT64_MAX, and 2^k - 1, 2^k, 2^k + 1 for every k. */
#define EDGES (2 + 3 * 64)
static void edges(uint64_t values[EDGES])
{
    size_t n = 0;

    values[n++] = 0;
    values[n++] = UINT64_MAX;
    for (uint32_t k = 0; k < 64; k++) {
        values[n++] = (UINT64_C(1) << k) - 1;
        values[n++] = UINT64_C(1) << k;
        values[n++] = (UINT64_C(1) << k) + 1;
    }
}

static const uint16_t sizes[] = { 1, 2, 3, 8, 20, 40, 63, 64, 65, 66, 100, 1000, UINT16_MAX };
static const uint32_t bucket_sizes[] = { 1, 2, 3, 7, 1000, 4096, 0x7fffffff, 0x80000000, UINT32_MAX };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static struct vmt_descriptor log_histogram(uint16_t size)
{
    return (struct vmt_descriptor){ .name = "log", .help = "", .flags = VMT_TYPE_LOG_HIST, .size = size };
}

static struct vmt_descriptor linear_histogram(uint16_t size, uint32_t bucket_size)
{
    return (struct vmt_descriptor){
        .name = "linear", .help = "", .flags = VMT_TYPE_LINEAR_HIST, .size = size, .bucket_size = bucket_size
    };
}

static uint32_t kernel_bucket(const struct vmt_descriptor *d, uint64_t value)
{
    return d->bucket_size ? kernel_linear(value, d->size, d->bucket_size) : kernel_log(value, d->size);
}

/* Call with each shape of histogram. */
static void each_shape(void (*call)(const struct vmt_descriptor *d))
{
    for (size_t s = 0; s < LENGTH(sizes); s++) {
        struct vmt_descriptor d = log_histogram(sizes[s]);

        call(&d);
        for (size_t b = 0; b < LENGTH(bucket_sizes); b++) {
            d = linear_histogram(sizes[s], bucket_sizes[b]);
            call(&d);
        }
    }
}

/* ---- buckets ---- */

Test(bucket, log_is_the_kernels_at_every_power_of_two_and_its_neighbours)
{
    uint64_t values[EDGES];

    edges(values);
    for (size_t s = 0; s < LENGTH(sizes); s++)
        for (size_t v = 0; v < EDGES; v++)
            cr_assert_eq(vmt_bucket_log(values[v], sizes[s]), kernel_log(values[v], sizes[s]), "%lu in %u buckets",
                         (unsigned long)values[v], sizes[s]);
}

Test(bucket, linear_is_the_kernels_at_every_power_of_two_and_its_neighbours)
{
    uint64_t values[EDGES];

    edges(values);
    for (size_t s = 0; s < LENGTH(sizes); s++)
        for (size_t b = 0; b < LENGTH(bucket_sizes); b++)
            for (size_t v = 0; v < EDGES; v++)
                cr_assert_eq(vmt_bucket_linear(values[v], sizes[s], bucket_sizes[b]),
                             kernel_linear(values[v], sizes[s], bucket_sizes[b]), "%lu in %u buckets of %u",
                             (unsigned long)values[v], sizes[s], bucket_sizes[b]);
}

Test(bucket, linear_is_the_kernels_at_every_boundary)
{
    for (uint32_t i = 0; i <= 20; i++)
        for (uint64_t value = i ? i * 1000 - 1 : 0; value <= i * 1000 + 1; value++)
            cr_assert_eq(vmt_bucket_linear(value, 16, 1000), kernel_linear(value, 16, 1000));
}

/* ---- recording ---- */

#define RECORDED(X)                                                                                                    \
    X(LOG, T_LOG_1, "log_1", NONE, 1, 0, "One bucket")                                                                 \
    X(LOG, T_LOG_2, "log_2", NONE, 2, 0, "Zero and the rest")                                                          \
    X(LOG, T_LOG_40, "log_40", NANOSECONDS, 40, 0, "As in a latency")                                                  \
    X(LOG, T_LOG_64, "log_64", NONE, 64, 0, "The last bucket is two powers")                                           \
    X(LOG, T_LOG_65, "log_65", NONE, 65, 0, "A bucket for each power")                                                 \
    X(LINEAR, T_LINEAR_1, "linear_1", NONE, 1, 5, "One bucket")                                                        \
    X(LINEAR, T_LINEAR_16, "linear_16", BYTES, 16, 4096, "Pages")                                                      \
    X(LINEAR, T_LINEAR_BOOL, "linear_bool", BOOL, 2, 1, "No and yes")                                                  \
    X(LINEAR, T_LINEAR_WIDE, "linear_wide", NONE, 50, 0x40000000, "Wide buckets")
VMT_SCHEMA_ENUM(T, RECORDED)

struct values {
    uint64_t word[HEADER + T_SLOTS + 1]; /* and one beyond, which stays 0 */
};

static struct vmt_shard *shard_of(uint64_t *words) { return (struct vmt_shard *)(void *)words; }

/* Through the macro, through the twin, and what the kernel would do. */
#define RECORD_EACH(kind, id, name, unit, size, bucket, help)                                                          \
    vmt_record(shard_of(macro.word), id, value);                                                                       \
    if (bucket) {                                                                                                      \
        vmt_record_linear_ext(shard_of(twin.word), id, size, (bucket) ? (bucket) : 1, value);                          \
        kernel.word[HEADER + id + kernel_linear(value, size, (bucket) ? (bucket) : 1)]++;                              \
    } else {                                                                                                           \
        vmt_record_log_ext(shard_of(twin.word), id, size, value);                                                      \
        kernel.word[HEADER + id + kernel_log(value, size)]++;                                                          \
    }

Test(record, list_macro_and_twin_hit_the_kernels_bucket_and_no_other_slot)
{
    struct values macro = { { 0 } }, twin = { { 0 } }, kernel = { { 0 } };
    uint64_t values[EDGES];

    edges(values);
    for (size_t v = 0; v < EDGES; v++) {
        uint64_t value = values[v];

        RECORDED(RECORD_EACH)
        cr_assert_arr_eq(macro.word, kernel.word, sizeof(kernel.word), "macro, after %lu", (unsigned long)value);
        cr_assert_arr_eq(twin.word, kernel.word, sizeof(kernel.word), "twin, after %lu", (unsigned long)value);
    }
}

Test(record, latency_and_its_twin_keep_count_sum_minimum_maximum_and_the_kernels_bucket)
{
    enum { BUCKETS = 40, WORDS = HEADER + 4 + BUCKETS };
    uint64_t inlined[WORDS] = { 0 }, twin[WORDS] = { 0 }, expected[WORDS] = { 0 }, values[EDGES];

    inlined[HEADER + 2] = twin[HEADER + 2] = expected[HEADER + 2] = UINT64_MAX;
    edges(values);
    for (size_t v = 0; v < EDGES; v++) {
        vmt_latency(shard_of(inlined), 0, BUCKETS, values[v]);
        vmt_latency_ext(shard_of(twin), 0, BUCKETS, values[v]);
        expected[HEADER]++;
        expected[HEADER + 1] += values[v];
        if (values[v] < expected[HEADER + 2])
            expected[HEADER + 2] = values[v];
        if (values[v] > expected[HEADER + 3])
            expected[HEADER + 3] = values[v];
        expected[HEADER + 4 + kernel_log(values[v], BUCKETS)]++;
        cr_assert_arr_eq(inlined + HEADER, expected + HEADER, sizeof(expected) - HEADER * sizeof(uint64_t));
        cr_assert_arr_eq(twin + HEADER, expected + HEADER, sizeof(expected) - HEADER * sizeof(uint64_t));
    }
    cr_assert_eq(inlined[VMT_BEGUN_], EDGES);
    cr_assert_eq(inlined[VMT_ENDED_], EDGES);
}

/* ---- bounds ---- */

static void bounds_contain_recorded(const struct vmt_descriptor *d)
{
    uint64_t values[EDGES];

    edges(values);
    for (size_t v = 0; v < EDGES; v++) {
        uint64_t low = 1, high = 0;
        uint32_t i = kernel_bucket(d, values[v]);

        vmt_bucket_bounds(d, i, &low, &high);
        cr_assert(low <= values[v] && (values[v] < high || (values[v] == UINT64_MAX && high == UINT64_MAX)),
                  "%lu is in bucket %u of %u (%s, %u), bounds %lu to %lu", (unsigned long)values[v], i, d->size,
                  d->name, d->bucket_size, (unsigned long)low, (unsigned long)high);
    }
}

Test(bounds, contain_every_value_recorded_in_the_bucket) { each_shape(bounds_contain_recorded); }

static void bounds_join(const struct vmt_descriptor *d)
{
    uint64_t low, high, end = 0;

    for (uint32_t i = 0; i < d->size; i++) {
        vmt_bucket_bounds(d, i, &low, &high);
        cr_assert_eq(low, end, "bucket %u of %u (%s, %u)", i, d->size, d->name, d->bucket_size);
        cr_assert_leq(low, high);
        end = high;
    }
    cr_assert_eq(end, UINT64_MAX);
}

Test(bounds, leave_no_gap_from_zero_to_the_open_end) { each_shape(bounds_join); }

Test(bounds, are_as_documented)
{
    static const struct {
        uint32_t i;
        uint64_t low, high;
    } log[] = { { 0, 0, 1 },
                { 1, 1, 2 },
                { 2, 2, 4 },
                { 3, 4, 8 },
                { 38, UINT64_C(1) << 37, UINT64_C(1) << 38 },
                { 39, UINT64_C(1) << 38, UINT64_MAX } },
      linear[] = { { 0, 0, 4096 }, { 1, 4096, 8192 }, { 38, 155648, 159744 }, { 39, 159744, UINT64_MAX } };
    struct vmt_descriptor d = log_histogram(40);
    uint64_t low, high;

    for (size_t k = 0; k < LENGTH(log); k++) {
        vmt_bucket_bounds(&d, log[k].i, &low, &high);
        cr_assert_eq(low, log[k].low, "log bucket %u", log[k].i);
        cr_assert_eq(high, log[k].high, "log bucket %u", log[k].i);
    }
    d = linear_histogram(40, 4096);
    for (size_t k = 0; k < LENGTH(linear); k++) {
        vmt_bucket_bounds(&d, linear[k].i, &low, &high);
        cr_assert_eq(low, linear[k].low, "linear bucket %u", linear[k].i);
        cr_assert_eq(high, linear[k].high, "linear bucket %u", linear[k].i);
    }
}

Test(bounds, of_what_is_no_histogram_are_everything)
{
    static const uint32_t types[] = { VMT_TYPE_CUMULATIVE, VMT_TYPE_INSTANT, VMT_TYPE_PEAK };

    for (size_t t = 0; t < LENGTH(types); t++) {
        struct vmt_descriptor d = { .name = "scalar", .help = "", .flags = types[t] | VMT_UNIT_BYTES, .size = 1 };
        uint64_t low = 5, high = 5;

        vmt_bucket_bounds(&d, 0, &low, &high);
        cr_assert_eq(low, 0);
        cr_assert_eq(high, UINT64_MAX);
    }
}

/* ---- quantiles ---- */

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Every thousandth of random samples: the nearest rank in whole numbers gives the true quantile, whose bucket the
 * answer must be. */
static void quantiles_bracket(const struct vmt_descriptor *d, size_t samples, uint64_t *state)
{
    uint64_t *sorted = calloc(samples, sizeof(*sorted)), *buckets = calloc(d->size, sizeof(*buckets));

    cr_assert(sorted && buckets);
    for (size_t k = 0; k < samples; k++) {
        sorted[k] = next_random(state);
        sorted[k] >>= next_random(state) % 64; /* all magnitudes */
        buckets[kernel_bucket(d, sorted[k])]++;
    }
    qsort(sorted, samples, sizeof(*sorted), ascending);

    for (size_t thousandths = 0; thousandths <= 1000; thousandths++) {
        size_t rank = (thousandths * samples + 999) / 1000;
        uint64_t quantile = sorted[rank ? rank - 1 : 0], low = 1, high = 0, bucket_low, bucket_high;

        cr_assert_eq(vmt_quantile(d, buckets, (double)thousandths / 1000, &low, &high), 0);
        cr_assert(low <= quantile && quantile <= high, "%zu/1000 of %zu samples is %lu, not %lu to %lu", thousandths,
                  samples, (unsigned long)quantile, (unsigned long)low, (unsigned long)high);
        vmt_bucket_bounds(d, kernel_bucket(d, quantile), &bucket_low, &bucket_high);
        cr_assert(low == bucket_low && high == bucket_high, "%zu/1000 of %zu samples (%s, %u)", thousandths, samples,
                  d->name, d->size);
    }
    free(sorted);
    free(buckets);
}

Test(quantile, bounds_bracket_the_true_quantile_of_random_samples)
{
    static const size_t counts[] = { 1, 2, 3, 7, 10, 99, 100, 101, 1000, 20000 };
    struct vmt_descriptor shapes[] = { log_histogram(1),
                                       log_histogram(40),
                                       log_histogram(65),
                                       log_histogram(100),
                                       linear_histogram(1, 9),
                                       linear_histogram(500, 3),
                                       linear_histogram(60, UINT32_MAX) };
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

    for (size_t s = 0; s < LENGTH(shapes); s++)
        for (size_t c = 0; c < LENGTH(counts); c++)
            quantiles_bracket(&shapes[s], counts[c], &state);
}

Test(quantile, a_decimal_q_is_not_pushed_to_the_next_rank_by_its_rounding)
{
    struct vmt_descriptor d = linear_histogram(200, 1);
    uint64_t buckets[200] = { 0 }, low, high;

    for (uint32_t n = 1; n <= 199; n++) { /* the values 1 to n, once each: the quantile is the rank */
        buckets[n] = 1;
        for (uint32_t percent = 1; percent <= 100; percent++) {
            cr_assert_eq(vmt_quantile(&d, buckets, percent / 100.0, &low, &high), 0);
            cr_assert_eq(low, (percent * n + 99) / 100, "%u %% of %u", percent, n);
        }
    }
}

Test(quantile, of_nothing_is_ENODATA_and_touches_nothing)
{
    struct vmt_descriptor d = log_histogram(40);
    uint64_t buckets[40] = { 0 }, low = 11, high = 12;

    cr_assert_eq(vmt_quantile(&d, buckets, 0.5, &low, &high), -ENODATA);
    cr_assert_eq(low, 11);
    cr_assert_eq(high, 12);
}

Test(quantile, q_is_clamped_and_NaN_is_0)
{
    static const struct {
        double q;
        uint64_t low;
    } cases[] = { { -1, 4 },   { -INFINITY, 4 }, { 0, 4 },        { -0.0, 4 },       { NAN, 4 },
                  { 1, 1024 }, { 1.5, 1024 },    { 1e300, 1024 }, { INFINITY, 1024 } };
    struct vmt_descriptor d = log_histogram(40);
    uint64_t buckets[40] = { [3] = 5, [7] = 1, [11] = 2 }, low, high;

    for (size_t k = 0; k < LENGTH(cases); k++) {
        cr_assert_eq(vmt_quantile(&d, buckets, cases[k].q, &low, &high), 0);
        cr_assert_eq(low, cases[k].low, "q %g gives %lu", cases[k].q, (unsigned long)low);
    }
}

Test(quantile, survives_counts_whose_sum_is_more_than_64_bits)
{
    struct vmt_descriptor d = linear_histogram(64, 1);
    uint64_t buckets[64] = { [0] = UINT64_MAX, [5] = 1 }, low, high;

    cr_assert_eq(vmt_quantile(&d, buckets, 0.5, &low, &high), 0);
    cr_assert_eq(low, 0);
    cr_assert_eq(vmt_quantile(&d, buckets, 1, &low, &high), 0);
    cr_assert_eq(low, 5);

    memset(buckets, 0xff, sizeof(buckets));
    for (uint32_t i = 0; i <= 64; i++) {
        cr_assert_eq(vmt_quantile(&d, buckets, i / 64.0, &low, &high), 0);
        cr_assert_eq(low, i ? i - 1 : 0, "%u/64", i);
    }
}

Test(quantile, survives_the_largest_histogram_full_of_the_largest_counts)
{
    struct vmt_descriptor d = linear_histogram(UINT16_MAX, UINT32_MAX);
    uint64_t *buckets = malloc(UINT16_MAX * sizeof(*buckets)), low, high;

    cr_assert(buckets);
    memset(buckets, 0xff, UINT16_MAX * sizeof(*buckets));
    cr_assert_eq(vmt_quantile(&d, buckets, 1, &low, &high), 0);
    cr_assert_eq(low, (uint64_t)(UINT16_MAX - 1) * UINT32_MAX);
    cr_assert_eq(high, UINT64_MAX);
    cr_assert_eq(vmt_quantile(&d, buckets, 0.5, &low, &high), 0);
    cr_assert_eq(low, (uint64_t)(UINT16_MAX / 2) * UINT32_MAX);
    free(buckets);
}

Test(quantile, of_what_is_no_histogram_is_everything)
{
    struct vmt_descriptor d = { .name = "scalar", .help = "", .flags = VMT_TYPE_CUMULATIVE, .size = 1 };
    uint64_t value = 7, low = 5, high = 5;

    cr_assert_eq(vmt_quantile(&d, &value, 0.5, &low, &high), 0);
    cr_assert_eq(low, 0);
    cr_assert_eq(high, UINT64_MAX);
}
