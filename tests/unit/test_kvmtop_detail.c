/* SPDX-License-Identifier: MIT */
/* The detail of one VM, source or shard: its lines, what is left out of them, and the share of each shard. */
#include "desk.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

TestSuite(detail, .init = test_dir_init, .fini = test_dir_fini);

static const struct vmt_descriptor deep_statistics[] = {
    { .name = "plain", .help = "", .slot = 0, .size = 1, .level = VMT_LEVEL_INFO },
    { .name = "inner", .help = "", .slot = 1, .size = 1, .level = VMT_LEVEL_DIAGNOSTIC },
    { .name = "innermost", .help = "", .slot = 2, .size = 1, .level = VMT_LEVEL_DEBUG },
};
static const struct vmt_schema deep_schema = { "deep", "test", "part", deep_statistics, LENGTH(deep_statistics), 3 };

static double seconds_of(const struct desk *k) { return vmt_delta_seconds(k->detail.vm->delta); }

/* ---- lines ---- */

Test(detail, has_every_statistic_and_the_totals)
{
    struct desk k;
    const struct detail_line *line;

    desk_init(&k);
    vmt_count(k.gpu, ODD_FRAMES, 60);
    take(&k);
    build(&k);
    line = find(&k, "frames");
    cr_expect_eq(line->kind, DETAIL_STATISTIC);
    cr_expect_float_eq(line->total, 60, 0);
    cr_expect_float_eq(line->rate * seconds_of(&k), 60, 1e-6);
    cr_expect_str_eq(line->d->help, "Frames drawn");
    cr_expect_eq(line->part, 0);
    cr_expect_eq(line->values[ODD_FRAMES], 60);
    line = find(&k, "least");
    cr_expect(line->absent);
    cr_expect(isnan(line->total));
    cr_expect(isnan(line->rate));
    cr_expect_str_eq(find(&k, "source")->value, "gpu");
    cr_expect_str_eq(find(&k, "schema")->value, "odd: a gpu, counted by test");
    cr_assert_eq(build_at(&k, row(&k.host, 0, "web")->facts.key, SIZE_MAX), 0);
    line = find_below(&k, "all odd below: 1 live", "frames");
    cr_assert_not_null(line, "the VM has it as a total");
    cr_expect_float_eq(line->total, 60, 0);
    cr_expect_float_eq(line->rate * seconds_of(&k), 60, 1e-6);
    cr_expect_eq(line->part, 1);
    cr_expect_not_null(find_below(&k, "its own", "sources_added"));
    cr_expect_str_eq(find(&k, "state")->value, "live");
    cr_expect_eq(build_at(&k, 1, SIZE_MAX), -ENOENT);
    cr_expect_eq(k.detail.count, 0);
    desk_free(&k);
}

Test(detail, nothing_before_the_first_beat_and_no_rates_at_it)
{
    struct desk k = { .options = { .level = VMT_LEVEL_DEBUG } };

    k.segment = start("web");
    k.gpu = add(k.segment, &odd_schema, NULL, "gpu");
    vmt_count(k.gpu, ODD_FRAMES, 60);
    host_init(&k.host);
    cr_expect_eq(build_at(&k, 1, 0), -ENOENT);
    host_take(&k.host);
    k.key = row(&k.host, 1, "gpu")->facts.key;
    build(&k);
    cr_expect_float_eq(find(&k, "frames")->total, 60, 0);
    cr_expect(isnan(find(&k, "frames")->rate));
    cr_expect(isnan(find(&k, "frames")->since_mark));
    cr_expect(isnan(find(&k, "frames")->average.over[0]));
    desk_free(&k);
}

Test(detail, no_two_lines_have_one_key_and_it_stays)
{
    struct desk k;
    uint64_t keys[256];
    size_t count;

    desk_init(&k);
    add(k.segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    add(k.segment, &odd_schema, k.gpu, "part");
    vmt_count(k.gpu, ODD_TIMES + 3, 7);
    take(&k);
    for (int vm = 0; vm < 2; vm++) {
        uint64_t key = vm ? row(&k.host, 0, "web")->facts.key : k.key;

        cr_assert_eq(build_at(&k, key, SIZE_MAX), 0);
        cr_assert_leq(k.detail.count, LENGTH(keys));
        count = k.detail.count;
        for (size_t i = 0; i < count; i++) {
            keys[i] = k.detail.lines[i].key;
            for (size_t j = 0; j < i; j++)
                cr_expect_neq(keys[i], keys[j], "%s and %s", k.detail.lines[i].name, k.detail.lines[j].name);
        }
        vmt_count(k.gpu, ODD_FRAMES, 5);
        take(&k);
        cr_assert_eq(build_at(&k, key, SIZE_MAX), 0);
        cr_assert_eq(k.detail.count, count);
        for (size_t i = 0; i < count; i++)
            cr_expect_eq(k.detail.lines[i].key, keys[i], "%s", k.detail.lines[i].name);
    }
    desk_free(&k);
}

/* ---- what is left out ---- */

Test(detail, levels_and_zeros_are_hidden_and_counted)
{
    struct desk k;
    struct vmt_source *deep;
    uint64_t key;

    desk_init(&k);
    deep = add(k.segment, &deep_schema, NULL, "deep");
    vmt_count(deep, 1, 1);
    take(&k);
    key = row(&k.host, 1, "deep")->facts.key;
    cr_assert_eq(build_at(&k, key, SIZE_MAX), 0);
    cr_expect_eq(k.detail.statistics, 3);
    cr_expect_eq(k.detail.hidden, 0);
    k.options.level = VMT_LEVEL_DIAGNOSTIC;
    cr_assert_eq(build_at(&k, key, SIZE_MAX), 0);
    cr_expect_null(find_below(&k, NULL, "innermost"));
    cr_expect_eq(k.detail.statistics, 2);
    cr_expect_eq(k.detail.hidden, 1);
    cr_expect_eq(k.detail.hidden_level, 1);
    k.options.level = VMT_LEVEL_INFO;
    k.options.hide_zero = 1;
    cr_assert_eq(build_at(&k, key, SIZE_MAX), 0);
    cr_expect_null(find_below(&k, NULL, "plain"), "it is zero");
    cr_expect_eq(k.detail.statistics, 0);
    cr_expect_eq(k.detail.hidden, 3);
    cr_expect_eq(k.detail.hidden_level, 1, "the other one is zero, too");
    cr_expect_null(find_below(&k, "its own", "plain"));
    cr_expect_not_null(find_below(&k, NULL, "schema"), "facts stay");
    desk_free(&k);
}

Test(detail, hiding_zero_keeps_what_was_not_always_zero)
{
    struct desk k;

    desk_init(&k);
    k.options.hide_zero = 1;
    vmt_count(k.gpu, ODD_DEPTH, 5);
    take(&k);
    vmt_count(k.gpu, ODD_DEPTH, (uint64_t)-5);
    vmt_count(k.gpu, ODD_TIMES + 31, 1);
    take(&k);
    build(&k);
    cr_expect_float_eq(find(&k, "depth")->total, 0, 0);
    cr_expect_not_null(find_below(&k, NULL, "times"));
    cr_expect_null(find_below(&k, NULL, "least"), "a minimum of nothing is nothing");
    cr_expect_null(find_below(&k, NULL, "frames"));
    cr_expect_eq(k.detail.statistics + k.detail.hidden, odd_schema.count);
    desk_free(&k);
}

Test(detail, a_filter_beats_level_and_zero)
{
    struct desk k;
    uint64_t key;

    desk_init(&k);
    add(k.segment, &deep_schema, NULL, "deep");
    take(&k);
    key = row(&k.host, 1, "deep")->facts.key;
    k.options.level = VMT_LEVEL_INFO;
    k.options.hide_zero = 1;
    set_filter(&k, "innermost");
    cr_assert_eq(build_at(&k, key, SIZE_MAX), 0);
    cr_expect_eq(find(&k, "innermost")->kind, DETAIL_STATISTIC);
    cr_expect_eq(k.detail.count, 2, "it and its heading: no facts either");
    cr_expect_eq(k.detail.hidden, 2);
    cr_expect_eq(k.detail.hidden_level, 0);
    cr_assert_eq(build_at(&k, row(&k.host, 0, "web")->facts.key, SIZE_MAX), 0);
    cr_expect_null(find_below(&k, "its own", "sources_added"));
    cr_expect_eq(k.detail.count, 2, "headings without statistics are left out");
    set_filter(&k, "state|frames");
    build(&k);
    cr_expect_not_null(find_below(&k, NULL, "frames"));
    desk_free(&k);
}

Test(detail, more_than_anybody_reads_is_cut_and_counted)
{
    static struct vmt_descriptor many[1000];
    static char names[LENGTH(many)][8];
    static struct vmt_schema schemas[17];
    static char titles[LENGTH(schemas)][8];
    struct desk k;
    uint64_t key;

    for (uint32_t i = 0; i < LENGTH(many); i++) {
        snprintf(names[i], sizeof(names[i]), "s%u", i);
        many[i] = (struct vmt_descriptor){ .name = names[i], .help = "", .slot = i, .size = 1 };
    }
    desk_init(&k);
    for (size_t i = 0; i < LENGTH(schemas); i++) {
        snprintf(titles[i], sizeof(titles[i]), "many-%zu", i);
        schemas[i] = (struct vmt_schema){ titles[i], "test", "part", many, LENGTH(many), LENGTH(many) };
        add(k.segment, &schemas[i], NULL, titles[i]);
    }
    take(&k);
    key = row(&k.host, 0, "web")->facts.key;
    cr_assert_eq(build_at(&k, key, SIZE_MAX), 0);
    cr_expect_leq(k.detail.count, DETAIL_LINES_MAX);
    cr_expect_gt(k.detail.count, DETAIL_LINES_MAX - 10);
    cr_expect_eq(k.detail.statistics + k.detail.cut,
                 LENGTH(schemas) * LENGTH(many) + odd_schema.count + vmt_schema_segment.count);
    set_filter(&k, "s999");
    cr_assert_eq(build_at(&k, key, SIZE_MAX), 0);
    cr_expect_eq(k.detail.statistics, LENGTH(schemas), "a filter finds those too");
    cr_expect_eq(k.detail.cut, 0);
    desk_free(&k);
}

/* ---- histograms ---- */

Test(detail, quantiles_below_a_histogram_are_of_all_the_interval_and_the_mark)
{
    struct desk k;
    const struct detail_line *line;

    desk_init(&k);
    build(&k);
    line = find(&k, "times") + 1;
    cr_expect(line == k.detail.lines + k.detail.count || line->kind != DETAIL_QUANTILE, "nothing was recorded");
    for (int i = 0; i < 98; i++)
        vmt_count(k.gpu, ODD_TIMES + 10, 1);
    vmt_count(k.gpu, ODD_TIMES + 13, 1);
    vmt_count(k.gpu, ODD_TIMES + 31, 1);
    take(&k);
    cr_assert_eq(sampler_mark(k.host.sampler, 1), 0);
    vmt_count(k.gpu, ODD_TIMES + 5, 1);
    take(&k);
    build(&k);
    line = find(&k, "times");
    cr_expect_float_eq(line->total, 101, 0);
    cr_expect_float_eq(line->rate * seconds_of(&k), 1, 1e-6);
    for (int i = 1; i <= HISTOGRAM_QUANTILES; i++) {
        cr_expect_eq(line[i].kind, DETAIL_QUANTILE);
        cr_expect_str_eq(line[i].name, histogram_quantile_names[i - 1]);
        cr_expect_eq(line[i].d, line->d);
        cr_expect_eq(line[i].values, line->values);
        cr_expect_float_eq(line[i].of_interval.low, 16, 0);
        cr_expect_float_eq(line[i].of_interval.high, 32, 0);
        cr_expect_float_eq(line[i].of_mark.low, 16, 0);
    }
    cr_expect(line[1].of_all.value >= 512 && line[1].of_all.value < 1024);
    cr_expect_float_eq(line[2].of_all.low, 512, 0);
    cr_expect_float_eq(line[3].of_all.low, 4096, 0);
    cr_expect(line[4].of_all.open);
    desk_free(&k);
}

/* ---- shards ---- */

Test(detail, shares_say_which_shard_is_hot)
{
    struct desk k;
    struct vmt_shard *cold, *hot;
    struct detail_share shares[4];

    desk_init(&k);
    build(&k);
    cr_expect_eq(detail_shares(&k.detail, find(&k, "frames"), shares, 4), 0, "nobody has any yet");
    cold = vmt_shard_acquire(k.gpu);
    hot = vmt_shard_acquire(k.gpu);
    vmt_add(cold, ODD_FRAMES, 100000);
    take(&k);
    vmt_add(cold, ODD_FRAMES, 100);
    vmt_add(hot, ODD_FRAMES, 300);
    vmt_add(cold, ODD_TIMES + 4, 10);
    vmt_peak(hot, ODD_MOST, 5);
    vmt_add(cold, ODD_DEPTH, 5);
    vmt_add(hot, ODD_DEPTH, (uint64_t)-2);
    take(&k);
    build(&k);
    cr_assert_eq(detail_shares(&k.detail, find(&k, "frames"), shares, 4), 2);
    cr_expect_float_eq(shares[0].total, 300, 0);
    cr_expect_float_eq(shares[0].rate * seconds_of(&k), 300, 1e-6);
    cr_expect_float_eq(shares[0].share, 0.75, 1e-9);
    cr_expect_eq(shares[0].owner, (uint32_t)gettid());
    cr_expect_eq(shares[0].held, 1);
    cr_expect_float_eq(shares[1].total, 100100, 0);
    cr_expect_float_eq(shares[1].share, 0.25, 1e-9);
    cr_assert_eq(detail_shares(&k.detail, find(&k, "frames"), shares, 1), 2, "as many as there are");
    cr_expect_float_eq(shares[0].total, 300, 0, "the hottest");
    cr_assert_eq(detail_shares(&k.detail, find(&k, "times"), shares, 4), 2);
    cr_expect_float_eq(shares[0].total, 10, 0);
    cr_expect_float_eq(shares[0].share, 1, 0);
    cr_assert_eq(detail_shares(&k.detail, find(&k, "depth"), shares, 4), 2);
    cr_expect_float_eq(shares[0].total, 5, 0);
    cr_expect_float_eq(shares[1].total, -2, 0, "who takes away what another added is below 0");
    cr_expect(isnan(shares[0].rate));
    cr_assert_eq(detail_shares(&k.detail, find(&k, "most"), shares, 4), 2);
    cr_expect_float_eq(shares[0].total, 5, 0);
    cr_expect(isnan(shares[0].share), "a maximum has no parts");
    cr_assert_eq(build_at(&k, row(&k.host, 0, "web")->facts.key, SIZE_MAX), 0);
    cr_expect_eq(detail_shares(&k.detail, find_below(&k, "all odd", "frames"), shares, 4), 0, "of a total none");
    vmt_shard_release(cold);
    vmt_shard_release(hot);
    desk_free(&k);
}

Test(detail, of_a_shard_has_its_own_values_alone)
{
    struct desk k;
    struct vmt_shard *shards[2];
    double seen = 0;
    int found = 0;

    desk_init(&k);
    vmt_shards_acquire(k.gpu, 2, shards);
    vmt_add(shards[0], ODD_FRAMES, 1000);
    vmt_add(shards[1], ODD_FRAMES, 10);
    take(&k);
    cr_assert_eq(sampler_mark(k.host.sampler, 1), 0);
    vmt_add(shards[0], ODD_FRAMES, 70);
    vmt_add(shards[1], ODD_FRAMES, 7);
    take(&k);
    for (size_t i = 0; i < history_tracks(k.host.history); i++) {
        struct track_facts facts;
        const struct detail_line *line;
        int first;

        if (!history_facts(k.host.history, i, history_count(k.host.history) - 1, &facts) || facts.kind != TRACK_SHARD)
            continue;
        found++;
        cr_assert_eq(build_at(&k, facts.key, SIZE_MAX), 0);
        cr_expect_geq(k.detail.shard, 0);
        line = find(&k, "frames");
        first = line->total > 100;
        seen += line->total;
        cr_expect_float_eq(line->total, first ? 1070 : 17, 0);
        cr_expect_float_eq(line->rate * seconds_of(&k), first ? 70 : 7, 1e-6);
        cr_expect_float_eq(line->since_mark, first ? 70 : 7, 0);
        cr_expect_str_eq(find(&k, "source")->value, "gpu");
        cr_expect_eq(strtol(find(&k, "thread")->value, NULL, 10), gettid());
    }
    cr_expect_eq(found, 2);
    cr_expect_float_eq(seen, 1087, 0);
    vmt_shards_release(2, shards);
    desk_free(&k);
}

/* ---- facts ---- */

Test(detail, tells_what_was_dropped_and_that_the_writer_began_again)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "web", .max_sources = 2 };
    struct vmt_source *none = NULL;
    struct desk k = { .options = { .level = VMT_LEVEL_DEBUG } };

    cr_assert_eq(vmt_segment_create(&options, &k.segment), 0);
    add(k.segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    host_init(&k.host);
    host_take(&k.host);
    k.key = row(&k.host, 0, "web")->facts.key;
    build(&k);
    cr_expect_null(find_below(&k, NULL, "dropped"));
    cr_expect_str_eq(find(&k, "writers so far")->value, "1");
    cr_expect_eq(strtol(find(&k, "pid")->value, NULL, 10), getpid());
    cr_expect_eq(vmt_source_add(k.segment, &vmt_schema_vcpu, NULL, "vcpu-1", &none), -ENFILE);
    host_take(&k.host);
    build(&k);
    cr_expect_eq(strncmp(find(&k, "dropped")->value, "1 source: see dropped_sources", 29), 0);
    cr_expect_str_eq(find(&k, "state")->value, "live, dropped");
    close(vmt_segment_hand_over(k.segment)); /* as a VMM that ended without saying goodbye leaves it */
    options.resume = 1;
    cr_assert_eq(vmt_segment_create(&options, &k.segment), 0);
    host_take(&k.host);
    build(&k);
    cr_expect_str_eq(find(&k, "writers so far")->value, "2");
    desk_free(&k);
}

Test(detail, of_a_file_that_can_not_be_read_says_why)
{
    struct desk k = { .options = { .level = VMT_LEVEL_DEBUG } };
    FILE *f = fopen(test_path("bad.vmt"), "w");

    cr_assert_not_null(f);
    fputs("this is no segment, and longer than nothing at all", f);
    fclose(f);
    k.segment = start("web");
    host_init(&k.host);
    host_take(&k.host);
    k.key = row(&k.host, 0, "bad")->facts.key;
    build(&k);
    cr_expect_str_eq(find(&k, "state")->value, "not a segment");
    cr_expect_not_null(strstr(find(&k, "reason")->value, "not a vmtally segment"));
    cr_expect_not_null(strstr(find(&k, "file")->value, "bad.vmt"));
    cr_expect_eq(k.detail.statistics, 0);
    desk_free(&k);
}
