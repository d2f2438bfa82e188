/* SPDX-License-Identifier: MIT */
/* What the detail says over time: at an earlier beat, since the mark, on average, and in each interval. */
#include "desk.h"

TestSuite(detail_time, .init = test_dir_init, .fini = test_dir_fini);

Test(detail_time, of_an_earlier_beat_has_what_was_counted_until_then)
{
    struct desk k;
    size_t beat;
    const struct detail_line *line;
    uint64_t drift = (uint64_t)-3;

    desk_init(&k);
    vmt_count(k.gpu, ODD_FRAMES, 1000);
    vmt_count(k.gpu, ODD_TIMES + 8, 100);
    vmt_count(k.gpu, ODD_DRIFT, drift);
    vmt_count(k.gpu, ODD_DEPTH, 4);
    take(&k);
    beat = history_count(k.host.history) - 1;
    build(&k);
    cr_expect(k.detail.newest);
    for (int i = 0; i < 3; i++) {
        vmt_count(k.gpu, ODD_FRAMES, 500);
        vmt_count(k.gpu, ODD_TIMES + 12, 1000);
        vmt_count(k.gpu, ODD_DRIFT, 10);
        vmt_count(k.gpu, ODD_DEPTH, 1);
        take(&k);
    }
    cr_assert_eq(build_at(&k, k.key, beat), 0);
    cr_expect_not(k.detail.newest);
    line = find(&k, "frames");
    cr_expect_float_eq(line->total, 1000, 75, "%g", line->total);
    cr_expect_float_eq(line->rate * history_beat(k.host.history, beat)->seconds, 1000, 50);
    cr_expect(isnan(line->average.over[0]), "averages are the newest beat's");
    cr_expect_float_eq(find(&k, "drift")->total, -3, 0, "whole, as all values are");
    cr_expect_float_eq(find(&k, "depth")->total, 4, 0);
    cr_expect_float_eq(find(&k, "quiet")->total, 0, 0);
    line = find(&k, "times");
    cr_expect_float_eq(line->total, 100, 160, "%g", line->total);
    cr_expect_float_eq(line->rate * history_beat(k.host.history, beat)->seconds, 100, 5);
    cr_expect_float_eq(line[1].of_interval.low, 128, 0);
    cr_expect_float_eq(line[1].of_interval.high, 256, 0);
    build(&k);
    cr_expect_float_eq(find(&k, "frames")->total, 2500, 0);
    cr_expect_float_eq(find(&k, "times")[1].of_interval.low, 2048, 0);
    cr_assert_eq(build_at(&k, k.key, 0), 0);
    cr_expect_float_eq(find(&k, "frames")->total, 0, 100, "%g", find(&k, "frames")->total);
    desk_free(&k);
}

Test(detail_time, what_came_later_was_not_there_and_what_left_says_so)
{
    struct desk k;
    struct vmt_source *late;
    uint64_t key;
    size_t beat;

    desk_init(&k);
    late = add(k.segment, &odd_schema, NULL, "late");
    vmt_count(late, ODD_FRAMES, 9);
    take(&k);
    key = row(&k.host, 2, "late")->facts.key;
    cr_assert_eq(build_at(&k, key, 0), 0);
    cr_expect_str_eq(find(&k, "state")->value, "it was not there at that time");
    cr_expect(isnan(find(&k, "frames")->total));
    cr_expect_null(find(&k, "frames")->values);
    k.options.hide_zero = 1;
    cr_assert_eq(build_at(&k, key, 0), 0);
    cr_expect_eq(k.detail.statistics, 1, "the same lines as now");
    k.options.hide_zero = 0;
    beat = history_count(k.host.history) - 1;
    vmt_source_remove(late);
    take(&k);
    cr_expect_eq(build_at(&k, key, SIZE_MAX), -ENOENT);
    cr_expect_eq(k.detail.count, 0);
    cr_assert_eq(build_at(&k, key, beat), 0, "it was there then");
    cr_expect_null(k.detail.vm);
    cr_expect_str_eq(find(&k, "source")->value, "late");
    cr_expect_eq(k.detail.statistics, 0);
    desk_free(&k);
}

Test(detail_time, change_since_the_mark_is_exact)
{
    struct desk k;
    struct vmt_source *late;
    const struct detail_line *line;

    desk_init(&k);
    vmt_count(k.gpu, ODD_FRAMES, (UINT64_C(1) << 60) + 1);
    vmt_count(k.gpu, ODD_DEPTH, 9);
    vmt_count(k.gpu, ODD_TIMES + 3, 5);
    take(&k);
    build(&k);
    cr_expect(isnan(find(&k, "frames")->since_mark), "there is no mark");
    cr_assert_eq(sampler_mark(k.host.sampler, 1), 0);
    build(&k);
    cr_expect_float_eq(find(&k, "frames")->since_mark, 0, 0);
    vmt_count(k.gpu, ODD_FRAMES, 3);
    vmt_count(k.gpu, ODD_DEPTH, (uint64_t)-2);
    vmt_count(k.gpu, ODD_TIMES + 10, 7);
    late = add(k.segment, &odd_schema, NULL, "late");
    vmt_count(late, ODD_FRAMES, 11);
    take(&k);
    build(&k);
    line = find(&k, "frames");
    cr_expect_float_eq(line->since_mark, 3, 0);
    cr_assert_not_null(line->marked);
    cr_expect_eq(line->marked[ODD_FRAMES], (UINT64_C(1) << 60) + 1);
    cr_expect_float_eq(find(&k, "depth")->since_mark, -2, 0);
    line = find(&k, "times");
    cr_expect_float_eq(line->since_mark, 7, 0);
    cr_expect_float_eq(line[1].of_mark.low, 512, 0);
    cr_expect_float_eq(line[1].of_all.low, 512, 0);
    cr_expect(isnan(find(&k, "least")->since_mark));
    cr_assert_eq(build_at(&k, row(&k.host, 0, "web")->facts.key, SIZE_MAX), 0);
    cr_expect_float_eq(find_below(&k, "all odd", "times")->since_mark, 7, 0);
    cr_expect_float_eq(find_below(&k, "its own", "sources_added")->since_mark, 1, 0);
    cr_assert_eq(build_at(&k, row(&k.host, 2, "late")->facts.key, SIZE_MAX), 0);
    cr_expect(isnan(find(&k, "frames")->since_mark), "it was not there");
    cr_expect_null(find(&k, "frames")->marked);
    cr_assert_eq(build_at(&k, k.key, 1), 0);
    cr_expect(isnan(find(&k, "frames")->since_mark), "that was before the mark");
    cr_assert_eq(sampler_mark(k.host.sampler, 0), 0);
    take(&k);
    build(&k);
    cr_expect(isnan(find(&k, "frames")->since_mark));
    desk_free(&k);
}

Test(detail_time, another_segment_under_the_name_is_not_compared)
{
    struct desk k;

    desk_init(&k);
    vmt_count(k.gpu, ODD_FRAMES, 5);
    take(&k);
    cr_assert_eq(sampler_mark(k.host.sampler, 1), 0);
    vmt_segment_close(k.segment);
    k.segment = start("web");
    k.gpu = add(k.segment, &odd_schema, NULL, "gpu");
    vmt_count(k.gpu, ODD_FRAMES, 1000);
    take(&k);
    build(&k);
    cr_expect_float_eq(find(&k, "frames")->total, 1000, 0);
    cr_expect(isnan(find(&k, "frames")->rate));
    cr_expect(isnan(find(&k, "frames")->since_mark));
    cr_assert_eq(build_at(&k, k.key, 1), 0);
    cr_expect(isnan(find(&k, "frames")->total), "what it had is not known from what this one has");
    desk_free(&k);
}

Test(detail_time, a_source_that_was_added_again_is_another_one_since_the_mark)
{
    struct desk k;
    uint32_t marked;
    uint32_t entry;

    desk_init(&k);
    vmt_count(k.gpu, ODD_FRAMES, 5);
    take(&k);
    build(&k);
    marked = vmt_snapshot_source(k.detail.vm->snapshot, k.detail.source)->entry;
    cr_assert_eq(sampler_mark(k.host.sampler, 1), 0);
    for (int i = 0; i < 16; i++) { /* until it is where it was */
        vmt_source_remove(k.gpu);
        k.gpu = add(k.segment, &odd_schema, NULL, "gpu");
        vmt_count(k.gpu, ODD_FRAMES, 1000);
        take(&k);
        build(&k);
        entry = vmt_snapshot_source(k.detail.vm->snapshot, k.detail.source)->entry;
        if (entry == marked)
            break;
    }
    cr_expect_eq(entry, marked);
    cr_expect_float_eq(find(&k, "frames")->total, 1000, 0);
    cr_expect(isnan(find(&k, "frames")->since_mark));
    k.options.hide_zero = 1;
    cr_assert_eq(build_at(&k, k.key, 2), 0);
    cr_expect(isnan(find(&k, "frames")->total), "what it had is not known from what this one has");
    cr_expect_float_eq(find(&k, "frames")->rate * history_beat(k.host.history, 2)->seconds, 5, 0.5);
    desk_free(&k);
}

Test(detail_time, averages_and_bounds_are_of_rates_or_of_values)
{
    struct desk k;
    const struct detail_line *line;
    double seconds;

    desk_init(&k);
    vmt_count(k.gpu, ODD_DEPTH, 6);
    take(&k);
    vmt_count(k.gpu, ODD_FRAMES, 1000);
    vmt_count(k.gpu, ODD_DEPTH, 2);
    take(&k);
    build(&k);
    line = find(&k, "depth");
    cr_expect_float_eq((double)line->average.high, 8, 0.001);
    cr_expect(line->average.over[0] > 0 && line->average.over[0] < 8);
    line = find(&k, "frames");
    seconds = history_beat(k.host.history, k.host.options.beat)->seconds; /* the VM's own differ by what took between */
    cr_expect_float_eq((double)line->average.high * seconds, 1000, 0.001);
    cr_expect_float_eq((double)line->average.low, 0, 0);
    cr_expect(isnan(find(&k, "times")->average.high), "a histogram has none");
    desk_free(&k);
}

Test(detail_time, a_statistic_over_time_is_its_rate_or_its_value)
{
    struct desk k;
    const struct detail_line *line;
    size_t newest;

    desk_init(&k);
    vmt_count(k.gpu, ODD_FRAMES, 100);
    vmt_count(k.gpu, ODD_DEPTH, 3);
    vmt_count(k.gpu, ODD_TIMES, 40);
    vmt_count(k.gpu, ODD_TIMES + 9, 60);
    take(&k);
    newest = history_count(k.host.history) - 1;
    take(&k);
    build(&k);
    line = find(&k, "frames");
    cr_expect(isnan(detail_value(&k.detail, k.host.history, line, 0)), "nothing was before");
    cr_expect_float_eq(
        detail_value(&k.detail, k.host.history, line, newest) * history_beat(k.host.history, newest)->seconds, 100, 5);
    cr_expect_float_eq(detail_value(&k.detail, k.host.history, line, newest + 1), 0, 0);
    line = find(&k, "depth");
    cr_expect_float_eq(detail_value(&k.detail, k.host.history, line, newest), 3, 0.01);
    line = find(&k, "times");
    cr_expect_float_eq(detail_value(&k.detail, k.host.history, line, newest) *
                           history_beat(k.host.history, newest)->seconds,
                       100, 5, "all its buckets together");
    desk_free(&k);
}

Test(detail_time, a_quantile_over_time_is_that_of_each_interval)
{
    struct desk k;
    const struct detail_line *line;
    double high;
    size_t first;

    desk_init(&k);
    vmt_count(k.gpu, ODD_TIMES + 4, 95);
    vmt_count(k.gpu, ODD_TIMES + 20, 5);
    take(&k);
    first = history_count(k.host.history) - 1;
    vmt_count(k.gpu, ODD_TIMES + 10, 1000);
    take(&k);
    take(&k);
    build(&k);
    line = find(&k, "p99");
    high = detail_value(&k.detail, k.host.history, line, first);
    cr_expect(high >= 1 << 19 && high < 1 << 20, "%g", high);
    high = detail_value(&k.detail, k.host.history, line, first + 1);
    cr_expect(high >= 1 << 9 && high < 1 << 10, "%g", high);
    cr_expect(isnan(detail_value(&k.detail, k.host.history, line, first + 2)), "nothing was recorded");
    cr_expect(isnan(detail_value(&k.detail, k.host.history, line, 0)), "nothing was before");
    desk_free(&k);
}
