/* SPDX-License-Identifier: MIT */
/* The history's room, whatever segments do to make it more: and what they counted comes out all the same. */
#include "still.h"
#include "top.h"
#include "parts.h"

#include "cli/top/history_parts.h"

#define MANY_BEATS (SANITIZED ? 600 : 3500)
#define MANY_SOURCES (SANITIZED ? 300 : 2000)

TestSuite(room, .init = test_dir_init, .fini = test_dir_fini, .timeout = 300);

static struct vmt_descriptor histograms[8][64];
static struct vmt_schema wide[8]; /* of 4,096 slots each */

static void make_wide(void)
{
    static char names[64][8], schemas[8][8];

    for (unsigned k = 0; k < 8; k++) {
        snprintf(schemas[k], sizeof(schemas[k]), "w%u", k);
        for (unsigned i = 0; i < 64; i++) {
            snprintf(names[i], sizeof(names[i]), "h%u", i);
            histograms[k][i] =
                (struct vmt_descriptor){ .name = names[i], .flags = VMT_TYPE_LOG_HIST, .slot = i * 64, .size = 64 };
        }
        wide[k] = (struct vmt_schema){
            .name = schemas[k], .provider = "t", .target = "t", .descriptors = histograms[k], .count = 64, .slots = 4096
        };
    }
}

static void beat(struct host *h)
{
    fake_ns += SECOND_NS;
    host_beat(h, history_observe, h->history);
}

static void beats(struct host *h, int count)
{
    while (count--)
        beat(h);
}

/* What it holds is what it says, and that is bounded but for the beats that are always kept. */
static void assert_room(const struct host *h)
{
    size_t held = 0;

    for (size_t i = 0; i < h->history->track_count; i++)
        held += track_bytes(&h->history->tracks[i]);
    cr_assert_eq(held, history_bytes(h->history));
    cr_assert_leq(held, HISTORY_BYTES, "%zu MiB in %zu beats", held >> 20, history_count(h->history));
}

static struct vmt_segment *start_large(const char *name)
{
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = name, .max_sources = 65536, .max_bytes = 64U << 20
    };
    struct vmt_segment *segment = NULL;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    return segment;
}

static void begin(struct host *h)
{
    fake_ns = NOON_NS;
    host_init(h);
}

static uint64_t key_of(const struct host *h, const char *name)
{
    struct track_facts f;

    for (size_t i = 0; i < history_tracks(h->history); i++) {
        if (history_facts(h->history, i, history_count(h->history) - 1, &f) && !strcmp(f.name, name))
            return f.key;
    }
    return 0;
}

Test(room, a_schema_that_grows_after_an_hour_takes_nothing_for_the_past)
{
    struct vmt_segment *segment = start("evil");
    struct vmt_source *a = add(segment, &vmt_schema_program, NULL, "a");
    struct host h;
    uint64_t key;

    make_wide();
    begin(&h);
    beats(&h, MANY_BEATS);
    vmt_source_remove(a);
    a = add(segment, &wide[0], NULL, "a");
    beat(&h);
    assert_room(&h);
    for (int i = 1; i < 8; i++) {
        char id[8];

        snprintf(id, sizeof(id), "c%d", i);
        add(segment, &wide[i], a, id);
    }
    beat(&h);
    assert_room(&h);
    key = key_of(&h, "a");
    history_focus(h.history, &key, 1);
    beats(&h, 100);
    assert_room(&h);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(room, schemas_that_turn_each_beat_take_no_more)
{
    struct vmt_segment *segment = start("evil");
    struct vmt_source *a[8];
    struct host h;

    make_wide();
    begin(&h);
    for (int i = 0; i < MANY_BEATS / 5; i++) {
        for (int k = 0; k < 8; k++) {
            char id[16];

            snprintf(id, sizeof(id), "p%d", k);
            if (i)
                vmt_source_remove(a[k]);
            a[k] = add(segment, i & 1 ? &vmt_schema_program : &wide[k & 1], NULL, id);
        }
        beat(&h);
        assert_room(&h);
    }
    host_free(&h);
    vmt_segment_close(segment);
}

Test(room, what_comes_back_after_an_hour_takes_nothing_for_the_time_between)
{
    static struct vmt_source *come[2000];
    struct vmt_segment *segment = start_large("evil");
    struct host h;

    begin(&h);
    for (int i = 0; i < MANY_SOURCES; i++) {
        char id[16];

        snprintf(id, sizeof(id), "c%d", i);
        come[i] = add(segment, &vmt_schema_vcpu, NULL, id);
        if (i % 7 == 0) {
            snprintf(id, sizeof(id), "s%d", i);
            add(segment, &vmt_schema_program, NULL, id);
        }
    }
    beats(&h, 4);
    for (int i = 0; i < MANY_SOURCES; i++)
        vmt_source_remove(come[i]);
    beats(&h, MANY_BEATS);
    for (int i = 0; i < MANY_SOURCES; i++) {
        char id[16];

        snprintf(id, sizeof(id), "c%d", i);
        add(segment, &vmt_schema_vcpu, NULL, id);
    }
    beat(&h);
    assert_room(&h);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(room, is_given_back_when_others_come_each_time)
{
    static struct vmt_source *s[2000];
    struct vmt_segment *segment = start_large("evil");
    struct host h;

    begin(&h);
    for (int phase = 0; phase < 8; phase++) {
        for (int i = 0; i < MANY_SOURCES; i++) {
            char id[16];

            snprintf(id, sizeof(id), "p%d-%d", phase, i);
            s[i] = add(segment, &vmt_schema_program, NULL, id);
            vmt_count(s[i], 0, 1);
        }
        beats(&h, 50);
        assert_room(&h);
        for (int i = 0; i < MANY_SOURCES; i++)
            vmt_source_remove(s[i]);
    }
    host_free(&h);
    vmt_segment_close(segment);
}

/* Each VM may have names of its own, and not use up those of others. */
Test(room, names_of_reasons_do_not_run_out)
{
    static char names[300][16];
    static struct vmt_descriptor d[300];
    struct vmt_schema many = {
        .name = "many", .provider = "x", .target = "vcpu", .descriptors = d, .count = 300, .slots = 300
    };
    struct vmt_segment *evil = start("evil"), *web;
    struct vmt_source *e[140], *vcpu;
    struct host h;
    struct track_facts f;
    long track;

    for (uint32_t i = 0; i < 300; i++) {
        snprintf(names[i], sizeof(names[i]), i ? "exit_x%u" : "exits", i);
        d[i] = (struct vmt_descriptor){ .name = names[i], .flags = VMT_TYPE_CUMULATIVE, .slot = i, .size = 1 };
    }
    begin(&h);
    for (unsigned i = 0; i < 140; i++) {
        char id[16];

        snprintf(id, sizeof(id), "v%u", i);
        e[i] = add(evil, &many, NULL, id);
    }
    beat(&h);
    for (uint32_t i = 0; i < 140; i++) {
        vmt_count(e[i], 0, 3);
        vmt_count(e[i], 1 + 2 * i, 2);
        vmt_count(e[i], 2 + 2 * i, 1);
    }
    beat(&h);
    web = start("web");
    vcpu = add(web, &vmt_schema_vcpu, NULL, "vcpu-0");
    beat(&h);
    vmt_count(vcpu, VMT_VCPU_EXITS, 10);
    vmt_count(vcpu, VMT_VCPU_EXIT_HLT, 10);
    beat(&h);
    track = history_find(h.history, key_of(&h, "vcpu-0"));
    cr_assert_geq(track, 0);
    cr_assert(history_facts(h.history, (size_t)track, history_count(h.history) - 1, &f));
    cr_expect_str_eq(f.measures.top[0].name, "hlt");
    host_free(&h);
    vmt_segment_close(evil);
    vmt_segment_close(web);
}

/* Three beats there, four beats away, over and over. */
Test(room, counts_survive_thinning_also_of_what_comes_and_goes)
{
    struct vmt_segment *web = start("web");
    double counted = 0;
    struct host h;
    size_t track;

    begin(&h);
    for (int life = 0; life < 300; life++) {
        struct vmt_source *vcpu = add(web, &vmt_schema_vcpu, NULL, "vcpu-1");

        for (int i = 0; i < 2; i++) {
            beat(&h);
            vmt_count(vcpu, VMT_VCPU_EXITS, 100);
            counted += 100;
        }
        beat(&h);
        track = (size_t)history_find(h.history, key_of(&h, "vcpu-1"));
        vmt_source_remove(vcpu);
        beats(&h, 4);
    }
    for (int round = 0; round < 4; round++) {
        double by_row = 0, by_slot = 0;

        for (size_t b = 0; b < history_count(h.history); b++) {
            double seconds = history_beat(h.history, b)->seconds;
            double slot = history_slot(h.history, track, b, 0, VMT_VCPU_EXITS);
            struct track_facts f;

            if (history_facts(h.history, track, b, &f) && !isnan(f.measures.exits))
                by_row += f.measures.exits * seconds;
            by_slot += isnan(slot) ? 0 : slot * seconds;
        }
        cr_expect_float_eq(by_row, counted, counted / 200, "round %d: %g, not %g", round, by_row, counted);
        cr_expect_float_eq(by_slot, counted, counted / 200, "round %d: %g, not %g", round, by_slot, counted);
        for (size_t b = 0; b < h.history->count; b++) /* as if little time were covered: pairs become one */
            h.history->beats[b].seconds /= 100;
        cr_assert_eq(history_thin(h.history), 0);
        for (size_t b = 0; b < h.history->count; b++)
            h.history->beats[b].seconds *= 100;
    }
    host_free(&h);
    vmt_segment_close(web);
}

/* The same name and as many slots, but other statistics. */
Test(room, another_schema_of_the_same_name_has_averages_of_its_own)
{
    static struct vmt_descriptor frames[] = { { .name = "frames", .flags = VMT_TYPE_CUMULATIVE, .size = 1 } };
    static struct vmt_descriptor depth[] = { { .name = "depth", .flags = VMT_TYPE_INSTANT, .size = 1 } };
    struct vmt_schema schema = {
        .name = "s", .provider = "x", .target = "t", .descriptors = frames, .count = 1, .slots = 1
    };
    struct vmt_segment *segment = start("web");
    struct vmt_source *s = add(segment, &schema, NULL, "s");
    const struct average *average;
    struct host h;

    begin(&h);
    for (int i = 0; i < 5; i++) {
        vmt_count(s, 0, 1000000);
        beat(&h);
    }
    vmt_segment_close(segment);
    segment = start("web");
    schema.descriptors = depth;
    add(segment, &schema, NULL, "s");
    beats(&h, 3);
    average = history_average(h.history, (size_t)history_find(h.history, key_of(&h, "s")), 0, 0);
    cr_assert_not_null(average);
    cr_expect_leq(average->high, 0, "%g", (double)average->high);
    host_free(&h);
    vmt_segment_close(segment);
}
