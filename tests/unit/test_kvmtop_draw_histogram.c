/* SPDX-License-Identifier: MIT */
/* The view of one histogram, of sources that a real history has seen: bars, quantiles, comparison, map of heat. */
#include "top.h"

#include <errno.h>
#include <locale.h>
#include <time.h>

#include "cli/top/draw.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define ROWS 24
#define COLUMNS 80
#define TITLES (DRAW_HEAD + 5) /* title, help, count, two rows of quantiles */

#define DISK_STATISTICS(X)                                                                                             \
    X(CUMULATIVE, D_COUNT, "requests", NONE, 1, 0, "Requests")                                                         \
    X(LOG, D_TIMES, "times", NANOSECONDS, 32, 0, "Time a request takes")                                               \
    X(LINEAR, D_SIZES, "sizes", NONE, 300, 10, "Sizes of requests")
VMT_SCHEMA_ENUM(D, DISK_STATISTICS)
VMT_SCHEMA_DEFINE(disk_schema, "disk", "test", "disk", D, DISK_STATISTICS)

/* The same names, other buckets. */
#define TAPE_STATISTICS(X) X(LOG, T_TIMES, "times", NANOSECONDS, 16, 0, "Time a request takes")
VMT_SCHEMA_ENUM(T, TAPE_STATISTICS)
VMT_SCHEMA_DEFINE(tape_schema, "disk", "test", "disk", T, TAPE_STATISTICS)

static void init(void)
{
    setlocale(LC_ALL, "C.UTF-8");
    test_dir_init();
}

TestSuite(draw_histogram, .init = init, .fini = test_dir_fini);

/* ---- a VM with a few disks, and who looks at them ---- */

struct look {
    struct host host;
    struct vmt_segment *segment;
    struct vmt_source *disk;
    struct vmt_source *other;
    struct view view;
    struct detail detail;
    struct detail compared;
    struct grid grid;
};

static uint64_t key_of(const struct look *l, const char *name)
{
    for (size_t i = 0; i < l->host.model.count; i++)
        if (strcmp(l->host.model.rows[i].facts.name, name) == 0)
            return l->host.model.rows[i].facts.key;
    cr_assert_fail("no row '%s'", name);
    return 0;
}

static void look_init(struct look *l, const struct vmt_schema *other)
{
    memset(l, 0, sizeof(*l));
    l->segment = start("web");
    l->disk = add(l->segment, &disk_schema, NULL, "disk-0");
    l->other = add(l->segment, other, NULL, "disk-1");
    host_init(&l->host);
    l->view.mode = VIEW_HISTOGRAM;
    l->view.span = SPAN_ALL;
    l->view.settings.ascii = 1;
}

static void look_free(struct look *l)
{
    detail_free(&l->detail);
    detail_free(&l->compared);
    grid_free(&l->grid);
    host_free(&l->host);
    vmt_segment_close(l->segment);
}

/* Long enough that what a beat counted does not hang on the microseconds between its clocks. */
static void look_take(struct look *l)
{
    nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL);
    host_take(&l->host);
}

static struct scene scene_of(struct look *l)
{
    return (struct scene){ .set = sampler_set(l->host.sampler),
                           .history = l->host.history,
                           .model = &l->host.model,
                           .detail = &l->detail,
                           .compared = l->view.compared_key ? &l->compared : NULL,
                           .view = &l->view,
                           .where = "" };
}

static void build(struct look *l, struct detail *detail, uint64_t key, size_t beat)
{
    static const struct detail_options all = { .level = VMT_LEVEL_DEBUG };
    int r = detail_build(detail, sampler_set(l->host.sampler), l->host.history, beat, key, &all);

    cr_assert(r == 0 || r == -ENOENT);
}

/* Look at a statistic of disk-0 at that beat, and at that of compared too, if there is one. */
static void look_at(struct look *l, const char *statistic, size_t beat, const char *compared)
{
    l->view.detail_key = key_of(l, "disk-0");
    l->view.compared_key = compared ? key_of(l, compared) : 0;
    build(l, &l->detail, l->view.detail_key, beat);
    if (compared)
        build(l, &l->compared, l->view.compared_key, beat);
    for (l->view.line = 0; l->view.line < l->detail.count; l->view.line++)
        if (strcmp(l->detail.lines[l->view.line].name, statistic) == 0)
            return;
    cr_assert_fail("no line '%s'", statistic);
}

static size_t newest(const struct look *l) { return history_count(l->host.history) - 1; }

static void draw_sized(struct look *l, int rows, int columns)
{
    struct scene scene = scene_of(l);

    cr_assert_eq(grid_reset(&l->grid, rows, columns), 0);
    draw_histogram(&l->grid, &scene);
}

static void draw(struct look *l) { draw_sized(l, ROWS, COLUMNS); }

static const char *text_of(const struct look *l, int row)
{
    static char text[4096];

    return grid_row_text(&l->grid, row, text, sizeof(text));
}

static void assert_rows(const struct look *l, int row, const char *const *expected)
{
    for (; *expected; row++, expected++)
        cr_expect_str_eq(text_of(l, row), *expected, "row %d is\n'%s', not\n'%s'", row, text_of(l, row), *expected);
}

static int has_text(const struct look *l, const char *part)
{
    for (int row = 0; row < l->grid.rows; row++)
        if (strstr(text_of(l, row), part))
            return 1;
    return 0;
}

#define assert_text(l, part) cr_expect(has_text((l), (part)), "'%s' is not to be seen", (part))

/* ---- bars ---- */

Test(draw_histogram, bars_and_quantiles_of_all_time)
{
    static const char *const expected[] = {
        "Time a request takes",
        "p50 1.02 us (512 ns to 1.02 us)         p90 2.05 us (1.02 to 2.05)",
        "p99 15.6 us (8.19 to 16.4)              p99.9 16.3 us (8.19 to 16.4)",
        "    FROM      BELOW   COUNT  SHARE",
        "  512 ns -  1.02 us      50  50.0% #############################################",
        " 1.02 us -  2.05 us      40  40.0% ####################################",
        " 2.05 us -  4.10 us       0     0%",
        " 4.10 us -  8.19 us       0     0%",
        " 8.19 us -  16.4 us      10  10.0% #########",
        "",
        NULL,
    };
    struct look l;

    look_init(&l, &disk_schema);
    vmt_count(l.disk, D_TIMES + 10, 50);
    vmt_count(l.disk, D_TIMES + 11, 40);
    vmt_count(l.disk, D_TIMES + 14, 10);
    look_take(&l);
    look_at(&l, "times", newest(&l), NULL);
    draw(&l);
    cr_expect_not_null(strstr(text_of(&l, DRAW_HEAD), "disk-0: times"));
    cr_expect_not_null(strstr(text_of(&l, DRAW_HEAD), "of all time"));
    assert_rows(&l, DRAW_HEAD + 1, (const char *const[]){ expected[0], NULL });
    cr_expect_eq(strncmp(text_of(&l, DRAW_HEAD + 2), "100 recorded", 12), 0);
    assert_rows(&l, DRAW_HEAD + 3, expected + 1);
    look_free(&l);
}

Test(draw_histogram, the_open_bucket_has_no_upper_bound)
{
    struct look l;

    look_init(&l, &disk_schema);
    vmt_count(l.disk, D_TIMES, 1);
    vmt_count(l.disk, D_TIMES + 31, 99);
    look_take(&l);
    look_at(&l, "times", newest(&l), NULL);
    draw_sized(&l, 50, COLUMNS);
    assert_text(&l, "p99.9 1.07 s or more");
    assert_text(&l, "  1.07 s or more         99  99.0% ####");
    assert_text(&l, "     0 s -     1 ns       1   1.0% .");
    look_free(&l);
}

Test(draw_histogram, spans_are_the_interval_since_the_mark_and_all)
{
    struct look l;

    look_init(&l, &disk_schema);
    vmt_count(l.disk, D_TIMES + 10, 7);
    look_take(&l);
    cr_assert_eq(sampler_mark(l.host.sampler, 1), 0);
    l.view.marked_ns = sampler_set(l.host.sampler)->realtime_ns;
    vmt_count(l.disk, D_TIMES + 11, 3);
    look_take(&l);
    vmt_count(l.disk, D_TIMES + 12, 2);
    look_take(&l);
    look_at(&l, "times", newest(&l), NULL);

    l.view.span = SPAN_INTERVAL;
    draw(&l);
    assert_text(&l, "of the interval");
    cr_expect_eq(strncmp(text_of(&l, DRAW_HEAD + 2), "2 recorded", 10), 0, "%s", text_of(&l, DRAW_HEAD + 2));
    assert_text(&l, " 2.05 us -  4.10 us       2   100% ####");
    l.view.span = SPAN_MARK;
    draw(&l);
    assert_text(&l, "since the mark");
    cr_expect_eq(strncmp(text_of(&l, DRAW_HEAD + 2), "5 recorded", 10), 0, "%s", text_of(&l, DRAW_HEAD + 2));
    assert_text(&l, " 1.02 us -  2.05 us       3  60.0% ####");
    l.view.span = SPAN_ALL;
    draw(&l);
    cr_expect_eq(strncmp(text_of(&l, DRAW_HEAD + 2), "12 recorded", 11), 0, "%s", text_of(&l, DRAW_HEAD + 2));

    l.view.span = SPAN_INTERVAL;
    look_at(&l, "times", newest(&l) - 1, NULL); /* one beat back */
    draw(&l);
    cr_expect_eq(strncmp(text_of(&l, DRAW_HEAD + 2), "3 recorded", 10), 0, "%s", text_of(&l, DRAW_HEAD + 2));
    look_free(&l);
}

Test(draw_histogram, says_why_there_is_nothing)
{
    struct look l;

    look_init(&l, &disk_schema);
    look_take(&l);
    look_at(&l, "times", newest(&l), NULL);
    l.view.span = SPAN_INTERVAL;
    draw(&l);
    assert_text(&l, "There is nothing before this beat to compare it with.");
    l.view.span = SPAN_MARK;
    draw(&l);
    assert_text(&l, "There is no mark.");
    vmt_count(l.disk, D_COUNT, 1);
    look_take(&l);
    look_at(&l, "times", newest(&l), NULL);
    l.view.span = SPAN_ALL;
    draw(&l);
    assert_text(&l, "nothing recorded");
    look_at(&l, "requests", newest(&l), NULL);
    draw(&l);
    assert_text(&l, "This statistic is no histogram.");
    l.detail.count = 0;
    draw(&l);
    assert_text(&l, "This source is not there any more.");
    look_free(&l);
}

Test(draw_histogram, what_does_not_fit_is_scrolled)
{
    struct scene scene;
    struct look l;
    size_t page;

    look_init(&l, &disk_schema);
    for (unsigned i = 0; i < 300; i++)
        vmt_count(l.disk, D_SIZES + i, 1 + i % 3);
    look_take(&l);
    look_at(&l, "sizes", newest(&l), NULL);
    scene = scene_of(&l);
    page = draw_histogram_page(&l.view, ROWS, COLUMNS);
    cr_expect_eq(page, 15);
    cr_expect_eq(draw_histogram_lines(&scene), 300);
    l.view.scrolled = 100;
    draw(&l);
    assert_text(&l, "101 to 115 of 300 buckets");
    cr_expect_eq(strncmp(text_of(&l, TITLES + 1), "    1000 -     1010", 19), 0, "%s", text_of(&l, TITLES + 1));
    cr_expect_eq(strncmp(text_of(&l, TITLES + 15), "    1140 -     1150", 19), 0, "%s", text_of(&l, TITLES + 15));
    l.view.scrolled = 100000; /* the end, not beyond */
    draw(&l);
    cr_expect_eq(strncmp(text_of(&l, TITLES + 15), "    2990 or more", 16), 0, "%s", text_of(&l, TITLES + 15));
    l.view.heat = 1;
    cr_expect_eq(draw_histogram_lines(&scene), 0, "a map is not scrolled");
    look_free(&l);
}

Test(draw_histogram, a_beat_that_is_not_known_is_not_one_of_zeros)
{
    struct histogram h = { 0 };
    const struct detail_line *line;
    struct look l;

    look_init(&l, &disk_schema);
    look_take(&l);
    look_take(&l);
    vmt_count(add(l.segment, &disk_schema, NULL, "late"), D_TIMES + 3, 5);
    look_take(&l);
    look_take(&l);
    look_at(&l, "times", newest(&l), NULL);
    build(&l, &l.detail, key_of(&l, "late"), newest(&l));
    line = &l.detail.lines[l.view.line];
    cr_assert_str_eq(line->d->name, "times");
    histogram_start(&h, line->d);
    cr_expect_eq(histogram_add_beat(&h, l.host.history, l.detail.track, 0, 0), -ENODATA, "nothing before it");
    cr_expect_eq(histogram_add_beat(&h, l.host.history, l.detail.track, 1, 0), -ENODATA, "it was not there yet");
    cr_expect_eq(histogram_add_beat(&h, l.host.history, l.detail.track, 99, 0), -ENODATA, "there is no such beat");
    cr_expect_eq(h.side_count, 0);
    cr_expect_eq(histogram_add_beat(&h, l.host.history, l.detail.track, 2, 0), 0);
    cr_expect_eq(h.sides[0].total, 5);
    cr_expect_eq(histogram_add_beat(&h, l.host.history, l.detail.track, 3, 0), 0);
    cr_expect_eq(h.sides[1].total, 0);
    histogram_free(&h);
    look_free(&l);
}

/* ---- two sources ---- */

Test(draw_histogram, two_sources_side_by_side)
{
    static const char *const expected[] = {
        "    FROM      BELOW  SHARE                         SHARE",
        "  512 ns -  1.02 us   100% ######################     0%",
        " 1.02 us -  2.05 us     0%                         75.0% =================",
        " 2.05 us -  4.10 us     0%                         25.0% ======",
        "",
        NULL,
    };
    struct look l;

    look_init(&l, &disk_schema);
    vmt_count(l.disk, D_TIMES + 10, 7);
    vmt_count(l.other, D_TIMES + 11, 30);
    vmt_count(l.other, D_TIMES + 12, 10);
    look_take(&l);
    look_at(&l, "times", newest(&l), "disk-1");
    draw(&l);
    cr_expect_eq(strncmp(text_of(&l, DRAW_HEAD + 2), "# ", 2), 0);
    cr_expect_not_null(strstr(text_of(&l, DRAW_HEAD + 2), "7 recorded"));
    cr_expect_not_null(strstr(text_of(&l, DRAW_HEAD + 3), "p50 767 ns (512 ns to 1.02 us)"));
    cr_expect_eq(strncmp(text_of(&l, DRAW_HEAD + 5), "= ", 2), 0);
    cr_expect_not_null(strstr(text_of(&l, DRAW_HEAD + 5), "disk-1"));
    cr_expect_not_null(strstr(text_of(&l, DRAW_HEAD + 5), "40 recorded"));
    cr_expect_not_null(strstr(text_of(&l, DRAW_HEAD + 6), "p50 1.71 us (1.02 to 2.05)"));
    assert_rows(&l, DRAW_HEAD + 8, expected);
    look_at(&l, "times", newest(&l), "disk-0"); /* with itself: with none */
    draw(&l);
    cr_expect_eq(strncmp(text_of(&l, DRAW_HEAD + 2), "7 recorded", 10), 0);
    look_free(&l);
}

Test(draw_histogram, what_cannot_be_compared_is_said)
{
    struct look l;

    look_init(&l, &tape_schema);
    vmt_count(l.disk, D_TIMES + 10, 7);
    vmt_count(l.other, T_TIMES + 10, 7);
    look_take(&l);
    look_at(&l, "times", newest(&l), "disk-1");
    draw(&l);
    assert_text(&l, "Its buckets are different ones.");
    assert_text(&l, "7 recorded");
    look_at(&l, "sizes", newest(&l), "disk-1");
    draw(&l);
    assert_text(&l, "It does not have this statistic.");
    l.compared.count = 0;
    draw(&l);
    assert_text(&l, "The other source is not there any more.");
    look_free(&l);
}

/* ---- over time ---- */

/* The row of the map that has the cursor below it, and where; the map ends above it. */
static int axis_row(const struct look *l)
{
    for (int row = TITLES; row < l->grid.rows; row++)
        if (strpbrk(text_of(l, row), "^"))
            return row;
    cr_assert_fail("no axis");
    return 0;
}

Test(draw_histogram, a_map_of_buckets_over_time)
{
    struct look l;
    int axis;

    look_init(&l, &disk_schema);
    look_take(&l); /* a gap: nothing to compare it with */
    vmt_count(l.disk, D_TIMES + 10, 4);
    look_take(&l);
    vmt_count(l.disk, D_TIMES + 11, 3);
    vmt_count(l.disk, D_TIMES + 13, 1);
    look_take(&l);
    look_take(&l); /* known, and nothing was counted */
    vmt_count(l.disk, D_TIMES + 10, 2);
    look_take(&l);
    look_at(&l, "times", newest(&l) - 2, NULL);
    l.view.heat = 1;
    draw(&l);
    axis = axis_row(&l);
    cr_expect_str_eq(text_of(&l, axis) + COLUMNS - 5, " -^--");
    cr_expect_str_eq(text_of(&l, axis + 1) + COLUMNS - 3, "now");
    cr_expect_str_eq(text_of(&l, axis - 1),
                     "  512 ns                                                                    #  #");
    cr_expect_str_eq(text_of(&l, axis - 2),
                     " 1.02 us                                                                     #");
    cr_expect_str_eq(text_of(&l, axis - 3), " 2.05 us");
    cr_expect_str_eq(text_of(&l, axis - 4),
                     " 4.10 us                                                                     *");
    assert_text(&l, "To 0.8% .:-=+*%# to 100% of its beat");
    assert_text(&l, "4 of 5 beats known");
    look_free(&l);
}

Test(draw_histogram, a_map_has_room_for_all_buckets_and_for_the_beat_that_is_looked_at)
{
    struct look l;
    int axis, rows = 0;

    look_init(&l, &disk_schema);
    for (unsigned beat = 0; beat < 90; beat++) {
        vmt_count(l.disk, D_SIZES + beat * 3, 1);
        host_take(&l.host);
    }
    look_at(&l, "sizes", 2, NULL);
    l.view.span = SPAN_INTERVAL;
    l.view.heat = 1;
    draw(&l);
    axis = axis_row(&l);
    cr_expect_lt(axis, ROWS - 2);
    for (int row = TITLES + 1; row < axis; row++)
        rows += strchr(text_of(&l, row), '#') != NULL;
    cr_expect_gt(rows, 8, "only %d rows have anything", rows);
    cr_expect_not(has_text(&l, " now"), "the newest beat is not in sight");
    look_at(&l, "sizes", newest(&l), NULL);
    draw(&l);
    axis = axis_row(&l);
    cr_expect_str_eq(text_of(&l, axis) + COLUMNS - 1, "^");
    cr_expect_str_eq(text_of(&l, axis + 1) + COLUMNS - 3, "now");
    look_free(&l);
}

Test(draw_histogram, a_map_says_that_beats_were_not_kept)
{
    struct look l;

    look_init(&l, &disk_schema);
    look_take(&l);
    look_at(&l, "times", newest(&l), NULL);
    l.view.heat = 1;
    draw(&l);
    assert_text(&l, "The buckets of these beats were not kept");
    look_free(&l);
}

/* ---- any size ---- */

/* Nothing outside of what is the part's own, and with ascii nothing else. */
static void assert_inside(const struct look *l)
{
    cr_expect_str_empty(text_of(l, 0));
    cr_expect_str_empty(text_of(l, DRAW_HEAD - 1));
    cr_expect_str_empty(text_of(l, l->grid.rows - 1), "%dx%d: '%s'", l->grid.columns, l->grid.rows,
                        text_of(l, l->grid.rows - 1));
    for (int i = 0; l->view.settings.ascii && i < l->grid.rows * l->grid.columns; i++)
        cr_assert(l->grid.cells[i].glyph >= ' ' && l->grid.cells[i].glyph < 0x7f);
}

Test(draw_histogram, fits_into_any_size)
{
    static const int sizes[][2] = { { 6, 40 },  { 7, 40 },   { 8, 41 },   { 10, 59 },   { 12, 60 },  { 24, 40 },
                                    { 24, 80 }, { 40, 120 }, { 60, 200 }, { 6, 10000 }, { 200, 40 }, { 1, 1 } };
    static const char *const statistics[] = { "times", "sizes" };
    struct look l;

    look_init(&l, &disk_schema);
    l.view.marked_ns = 1;
    for (unsigned beat = 0; beat < 30; beat++) {
        if (beat == 10)
            cr_assert_eq(sampler_mark(l.host.sampler, 1), 0);
        for (unsigned i = 0; i < 300; i++)
            vmt_count(l.disk, D_SIZES + i, UINT64_MAX / 1000);
        vmt_count(l.disk, D_TIMES + beat, UINT64_C(1) << (2 * beat));
        vmt_count(l.other, D_TIMES + 31 - beat, 1);
        host_take(&l.host);
    }
    for (unsigned i = 0; i < LENGTH(sizes) * 2 * 2 * 2 * 2 * SPAN_COUNT; i++) {
        const int *size = sizes[i % LENGTH(sizes)];
        unsigned bits = i / (unsigned)LENGTH(sizes);

        look_at(&l, statistics[bits & 1], newest(&l), bits & 2 ? "disk-1" : NULL);
        l.view.heat = (bits & 4) != 0;
        l.view.settings.ascii = (bits & 8) != 0;
        l.view.span = (enum span)(bits / 16);
        draw_sized(&l, size[0], size[1]);
        cr_expect_leq(draw_histogram_page(&l.view, size[0], size[1]), (size_t)size[0]);
        if (size[0] < DRAW_ROWS_MIN || size[1] < DRAW_COLUMNS_MIN)
            continue; /* whoever draws says that it is too small */
        assert_inside(&l);
        cr_expect_str_not_empty(text_of(&l, DRAW_HEAD));
        cr_expect_str_not_empty(text_of(&l, DRAW_HEAD + 2), "%s, %dx%d, %u", statistics[bits & 1], size[1], size[0],
                                bits);
    }
    look_free(&l);
}
