/* SPDX-License-Identifier: MIT */
/* What was seen: packed numbers, averages, tracks, what is kept and what is thinned out. */
#include "top.h"

#include <unistd.h>

#include "cli/top/packed.h"

TestSuite(history, .init = test_dir_init, .fini = test_dir_fini);

static const uint32_t exits = VMT_VCPU_EXITS;

static double seconds_of(const struct host *h, size_t beat) { return history_beat(h->history, beat)->seconds; }

static size_t newest(const struct host *h) { return history_count(h->history) - 1; }

static size_t track_of(const struct host *h, const char *name)
{
    struct track_facts f;

    for (size_t t = 0; t < history_tracks(h->history); t++) {
        if (history_facts(h->history, t, newest(h), &f) && !strcmp(f.name, name))
            return t;
    }
    cr_assert(0, "no %s", name);
    return 0;
}

Test(packed, numbers_are_off_by_less_than_three_digits_show)
{
    for (double x = 0x1p-31; x < 0x1p63; x *= 1.0137) {
        cr_expect_float_eq(packed_value(packed_make(x)) / x, 1, 0.0011, "%g", x);
        cr_expect_float_eq(packed_value(packed_make(-x)) / x, -1, 0.0011, "%g", -x);
    }
}

Test(packed, what_is_no_number_stays_what_it_is)
{
    cr_expect_eq(packed_make(0), 0);
    cr_expect_eq(packed_value(packed_make(0)), 0);
    cr_expect(isnan(packed_value(packed_make(NAN))));
    cr_expect_eq(packed_value(packed_make(INFINITY)), INFINITY);
    cr_expect_eq(packed_value(packed_make(-INFINITY)), -INFINITY);
    cr_expect_eq(packed_value(packed_make(1e-30)), 0);
    cr_expect_float_eq(packed_value(packed_make(1e300)) / 0x1p64, 1, 0.5, "the largest there is");
}

Test(history, each_beat_is_found_again)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct host h;
    double was[10];
    struct track_facts f;
    size_t track;

    host_init(&h);
    for (unsigned i = 0; i < 10; i++) {
        vmt_count(vcpu, exits, 1000U << i);
        host_take(&h);
        was[i] = row(&h, 1, "vcpu-0")->facts.measures.exits;
    }
    track = track_of(&h, "vcpu-0");
    cr_assert_eq(history_count(h.history), 10);
    for (size_t i = 1; i < 10; i++) {
        cr_expect_eq(history_beat(h.history, i)->number, i + 1);
        cr_assert(history_facts(h.history, track, i, &f));
        cr_expect_float_eq(f.measures.exits / was[i], 1, 0.0011, "beat %zu: %g, was %g", i, f.measures.exits, was[i]);
        cr_expect_float_eq(history_slot(h.history, track, i, 0, exits) * seconds_of(&h, i) / (1000U << i), 1, 0.0011);
    }
    cr_assert(history_facts(h.history, track, 0, &f));
    cr_expect(isnan(f.measures.exits), "nothing to compare the first one with");
    host_free(&h);
    vmt_segment_close(segment);
}

Test(history, what_came_later_was_not_there_before_and_what_went_is_remembered)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *vcpu;
    struct host h;
    struct track_facts f;
    size_t track;

    host_init(&h);
    host_take(&h);
    vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-7");
    host_take(&h);
    track = track_of(&h, "vcpu-7");
    vmt_source_remove(vcpu);
    host_take(&h);
    cr_expect_not(history_facts(h.history, track, 0, &f));
    cr_expect(history_facts(h.history, track, 1, &f));
    cr_expect_not(history_facts(h.history, track, 2, &f));
    cr_expect_str_eq(rows(&h), "web");
    h.options.beat = 1;
    cr_assert_eq(model_build(&h.model, h.history, &h.options), 0);
    cr_expect_str_eq(rows(&h), "web vcpu-7");
    host_free(&h);
    vmt_segment_close(segment);
}

/* A vCPU that is unplugged and plugged in again is one row, which was not there in between. */
Test(history, what_comes_back_has_its_past)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-7");
    struct host h;
    struct track_facts f;
    size_t track;

    host_init(&h);
    host_take(&h);
    vmt_count(vcpu, exits, 5000);
    host_take(&h);
    vmt_source_remove(vcpu);
    host_take(&h);
    host_take(&h);
    add(segment, &vmt_schema_vcpu, NULL, "vcpu-7");
    host_take(&h);
    host_take(&h);
    track = track_of(&h, "vcpu-7");
    for (size_t i = 0; i < 6; i++) {
        int there = i < 2 || i >= 4;

        cr_expect_eq(history_facts(h.history, track, i, &f), there, "beat %zu", i);
        cr_expect(there || isnan(history_slot(h.history, track, i, 0, exits)));
        h.options.beat = i;
        cr_assert_eq(model_build(&h.model, h.history, &h.options), 0);
        cr_expect_str_eq(rows(&h), there ? "web vcpu-7" : "web");
    }
    cr_expect_float_eq(history_slot(h.history, track, 1, 0, exits) * seconds_of(&h, 1) / 5000, 1, 0.0011);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(history, averages_and_bounds_are_of_all_that_was_seen)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct host h;
    const struct average *a;
    double low = INFINITY, high = 0, counted = 0, seconds = 0;

    host_init(&h);
    host_take(&h);
    for (unsigned i = 0; i < 50; i++) {
        double rate;

        vmt_count(vcpu, exits, i % 7 * 100);
        usleep(1000);
        host_take(&h);
        rate = i % 7 * 100 / seconds_of(&h, newest(&h));
        low = fmin(low, rate);
        high = fmax(high, rate);
        counted += i % 7 * 100;
        seconds += seconds_of(&h, newest(&h));
    }
    a = history_average(h.history, track_of(&h, "vcpu-0"), 0, exits);
    cr_assert_not_null(a);
    for (int i = 0; i < 3; i++) /* less than 10 s: all averages are the mean */
        cr_expect_float_eq(a->over[i] / (counted / seconds), 1, 0.05, "%g, mean %g", a->over[i], counted / seconds);
    cr_expect_float_eq(a->low, low, 0.01 * high);
    cr_expect_float_eq(a->high, high, 0.01 * high);
    cr_expect_null(history_average(h.history, track_of(&h, "vcpu-0"), 0, VMT_VCPU_IO_LATENCY + 4),
                   "a histogram has none");
    host_free(&h);
    vmt_segment_close(segment);
}

Test(history, what_was_never_but_0_has_averages_of_0_until_it_counts)
{
    const uint32_t slots[] = { VMT_VCPU_EXIT_HLT, VMT_VCPU_FAILURES, VMT_VCPU_RUN_TIME, VMT_VCPU_EXIT_INTR,
                               VMT_VCPU_EXIT_OTHER };
    struct vmt_segment *segment = start("web");
    struct vmt_source *vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    const struct average *a;
    struct host h;

    host_init(&h);
    host_take(&h);
    a = history_average(h.history, track_of(&h, "vcpu-0"), 0, slots[0]);
    cr_expect(isnan(a->over[0]) && isnan(a->low) && isnan(a->high), "nothing was seen yet");
    usleep(1000);
    host_take(&h);
    for (size_t i = 0; i < 5; i++) {
        a = history_average(h.history, track_of(&h, "vcpu-0"), 0, slots[i]);
        cr_expect(a->over[0] == 0 && a->over[2] == 0 && a->low == 0 && a->high == 0);
    }
    for (size_t i = 0; i < 5; i++) { /* one after the other, each more than those before */
        vmt_count(vcpu, slots[i], 1000 * (i + 1));
        usleep(1000);
        host_take(&h);
    }
    for (size_t i = 0; i < 5; i++) {
        a = history_average(h.history, track_of(&h, "vcpu-0"), 0, slots[i]);
        cr_expect_float_eq(a->high * seconds_of(&h, newest(&h) - 4 + i) / (1000 * (double)(i + 1)), 1, 0.01, "%zu", i);
        cr_expect_eq(a->low, 0);
        cr_expect(a->over[0] > 0 && a->over[0] < a->high);
    }
    host_free(&h);
    vmt_segment_close(segment);
}

Test(history, is_thinned_out_and_loses_no_event, .timeout = 120)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct host h;
    double sum = 0, counted = 0;
    size_t track;

    host_init(&h);
    for (unsigned i = 0; i < HISTORY_BEATS + 100; i++) {
        if (i)
            vmt_count(vcpu, exits, 100 + i % 50);
        counted += i ? 100 + i % 50 : 0;
        host_take(&h);
        cr_assert_lt(history_count(h.history), HISTORY_BEATS);
    }
    track = track_of(&h, "vcpu-0");
    cr_expect_leq(history_count(h.history), HISTORY_BEATS - 100);
    cr_expect_gt(history_count(h.history), HISTORY_BEATS / 2);
    for (size_t i = 1; i < history_count(h.history); i++) {
        double rate = history_slot(h.history, track, i, 0, exits);

        cr_assert_lt(history_beat(h.history, i - 1)->number, history_beat(h.history, i)->number);
        if (!isnan(rate))
            sum += rate * seconds_of(&h, i);
    }
    cr_expect_float_eq(sum / counted, 1, 0.02, "%g of %g", sum, counted);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(history, stays_within_its_room, .timeout = 120)
{
    struct vmt_segment *segment = start("web");
    struct host h;
    size_t most = 0;

    for (int i = 0; i < 100; i++) {
        char id[16];

        snprintf(id, sizeof(id), "vcpu-%d", i);
        vmt_count(add(segment, &vmt_schema_vcpu, NULL, id), exits, 1);
    }
    host_init(&h);
    for (unsigned i = 0; i < 1000; i++) {
        host_take(&h);
        most = history_bytes(h.history) > most ? history_bytes(h.history) : most;
    }
    cr_expect_gt(most, HISTORY_BYTES / 2, "%zu: this does not try", most);
    cr_expect_leq(history_bytes(h.history), HISTORY_BYTES);
    cr_expect_lt(history_count(h.history), 1000);
    host_free(&h);
    vmt_segment_close(segment);
}

/* A VMM that forks a program a request has a source a request. */
Test(history, what_comes_and_goes_is_forgotten, .timeout = 120)
{
    struct vmt_segment *segment = start("web");
    struct host h;

    host_init(&h);
    for (unsigned i = 0; i < 400; i++) {
        struct vmt_source *s[10];

        for (unsigned k = 0; k < 10; k++) {
            char id[32];

            snprintf(id, sizeof(id), "request-%u-%u", i, k);
            s[k] = add(segment, &vmt_schema_program, NULL, id);
        }
        host_take(&h);
        for (unsigned k = 0; k < 10; k++)
            vmt_source_remove(s[k]);
    }
    cr_expect_leq(history_tracks(h.history), 1200, "%zu tracks", history_tracks(h.history));
    host_free(&h);
    vmt_segment_close(segment);
}
