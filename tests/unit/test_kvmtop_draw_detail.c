/* SPDX-License-Identifier: MIT */
/* The detail as it is drawn: lines and columns at any size, and the panel below them. */
#include <locale.h>

#include "cli/top/draw.h"
#include "desk.h"

#define SOMEBODY 65534

static void init(void)
{
    test_dir_init();
    setlocale(LC_ALL, "C.UTF-8");
}

TestSuite(draw_detail, .init = init, .fini = test_dir_fini);

/* Draw all of it on a grid of that size; 'line' of them is selected. */
static void draw(struct desk *k, int rows, int columns)
{
    struct scene scene = { .set = sampler_set(k->host.sampler),
                           .history = k->host.history,
                           .model = &k->host.model,
                           .detail = &k->detail,
                           .view = &k->view };

    cr_assert_eq(grid_reset(&k->grid, rows, columns), 0);
    k->view.page = draw_detail_page(&k->view, rows, columns);
    draw_detail(&k->grid, &scene);
}

static const char *text_of(const struct desk *k, int y)
{
    static char texts[4][4096];
    static unsigned next;
    char *text = texts[next++ % 4];

    return grid_row_text(&k->grid, y, text, sizeof(texts[0]));
}

/* The first row with this text, or -1. */
static int row_with(const struct desk *k, const char *text)
{
    for (int y = 0; y < k->grid.rows; y++) {
        if (strstr(text_of(k, y), text))
            return y;
    }
    return -1;
}

#define EXPECT_TEXT(k, text)                                                                                           \
    do {                                                                                                               \
        cr_expect_geq(row_with(k, text), 0, "no '%s'", text);                                                          \
        for (int y_ = 0; row_with(k, text) < 0 && y_ < (k)->grid.rows; y_++)                                           \
            fprintf(stderr, "# %s\n", text_of(k, y_));                                                                 \
    } while (0)

/* Select the line of this name, and scroll so that it is the first. */
static void select_line(struct desk *k, const char *name)
{
    k->view.line = (size_t)(find(k, name) - k->detail.lines);
    k->view.line_key = k->detail.lines[k->view.line].key;
    k->view.scrolled = k->view.line;
}

/* Numbers that the clock has no part in. */
static void freeze(struct desk *k)
{
    for (size_t i = 0; i < k->detail.count; i++) {
        struct detail_line *line = &k->detail.lines[i];

        if (!line->d || line->kind == DETAIL_QUANTILE)
            continue;
        line->rate = isnan(line->rate) ? NAN : line->total;
        line->average = (struct average){ { 1234, 0.5, NAN }, 0, 98765 };
    }
}

Test(draw_detail, fits_80x24)
{
    struct desk k;

    desk_init(&k);
    vmt_count(k.gpu, ODD_FRAMES, 1234567);
    vmt_count(k.gpu, ODD_PIXELS, 3 << 20);
    vmt_count(k.gpu, ODD_DEPTH, 4);
    vmt_count(k.gpu, ODD_ON, 1);
    vmt_count(k.gpu, ODD_TIMES + 11, 10);
    take(&k);
    build(&k);
    freeze(&k);
    select_line(&k, "frames");
    k.view.scrolled = 0;
    k.detail.hidden = 3;
    k.detail.hidden_level = 1;
    k.view.settings.level = VMT_LEVEL_INFO;
    draw(&k, 24, 80);
    cr_expect_str_eq(text_of(&k, 2),
                     " NAME                          VALUE       RATE      AVG10     AVG100    AVG1000");
    cr_expect_str_eq(text_of(&k, 3), "  VM                      web");
    cr_expect_str_eq(text_of(&k, 4), "  source                  gpu");
    cr_expect_str_eq(text_of(&k, 7), " its own");
    cr_expect_str_eq(text_of(&k, 8),
                     "  quiet                            0        0/s   1.23 k/s     0.50/s          -");
    cr_expect_str_eq(text_of(&k, 9),
                     "> frames                     1234567   1.23 M/s   1.23 k/s     0.50/s          -");
    cr_expect_str_eq(text_of(&k, 10),
                     "  pixel_bytes               3.00 GiB 3.00 GiB/s 1.21 MiB/s    512 B/s          -");
    cr_expect_str_eq(text_of(&k, 12),
                     "  depth                            4                  1234       0.50          -");
    cr_expect_str_eq(text_of(&k, 13),
                     "web  gpu                                              3 hidden: zero, level info");
    cr_expect_str_eq(text_of(&k, 14),
                     " frames: cumulative, a number                                     [graph] shards");
    cr_expect_str_eq(text_of(&k, 15), " Frames drawn");
    cr_expect_str_eq(text_of(&k, 16), " total 1234567   rate 1.23 M/s   min 0/s   max 98.8 k/s   avg 10 s 1.23 k/s");
    cr_expect_eq(draw_detail_page(&k.view, 24, 80), 10);
    desk_free(&k);
}

Test(draw_detail, gains_columns_with_room_and_loses_them_without)
{
    struct desk k;

    desk_init(&k);
    build(&k);
    draw(&k, 24, 40);
    cr_expect_str_eq(text_of(&k, 2), " NAME                   VALUE       RATE");
    draw(&k, 24, 120);
    EXPECT_TEXT(&k, "AVG1000 SINCE MARK        MIN        MAX");
    cr_expect_lt(row_with(&k, "MEANING"), 0);
    draw(&k, 24, 200);
    EXPECT_TEXT(&k, "SINCE MARK        MIN        MAX MEANING");
    EXPECT_TEXT(&k, " - Least time");
    desk_free(&k);
}

Test(draw_detail, units_are_scaled_and_quantiles_below_their_histogram)
{
    struct desk k;

    desk_init(&k);
    vmt_count(k.gpu, ODD_TIMES + 11, 10);
    vmt_count(k.gpu, ODD_TIMES + 31, 1);
    cr_assert_eq(sampler_mark(k.host.sampler, 1), 0);
    take(&k);
    build(&k);
    freeze(&k);
    select_line(&k, "p50");
    k.view.scrolled -= 1;
    k.view.marked_ns = 1;
    draw(&k, 40, 120);
    cr_expect_eq(strncmp(text_of(&k, 3), "  times                                  11     11.0/s", 54), 0, "%s",
                 text_of(&k, 3));
    cr_expect_eq(strncmp(text_of(&k, 4), ">   p50                             1.59 us    1.59 us", 54), 0, "%s",
                 text_of(&k, 4));
    EXPECT_TEXT(&k, "    p99.9                           >1.07 s    >1.07 s");
    EXPECT_TEXT(&k, " p50 of times: log2-histogram, seconds x 10^-9");
    EXPECT_TEXT(&k, "   2.00 us"); /* the graph is of it, too */
    EXPECT_TEXT(&k, " p50 1.02 us to 2.05 us   of the interval 1.59 us   since the mark 1.59 us");
    desk_free(&k);
}

Test(draw_detail, graph_has_its_scale_and_ages_and_shows_the_beat)
{
    struct desk k;
    int y;

    desk_init(&k);
    for (int i = 0; i < 20; i++) {
        vmt_count(k.gpu, ODD_DEPTH, i < 10 ? 100 : (uint64_t)-100);
        take(&k);
    }
    build(&k);
    select_line(&k, "depth");
    draw(&k, 40, 80);
    EXPECT_TEXT(&k, "      1000 ");
    y = row_with(&k, "now");
    cr_assert_geq(y, 0);
    cr_expect_null(strchr(text_of(&k, y), '^'), "the newest needs no mark");
    cr_expect_not_null(strstr(text_of(&k, y), "-0s"));
    cr_expect_eq(strncmp(text_of(&k, y - 1), "         0 ", 11), 0, "%s", text_of(&k, y - 1));
    cr_assert_eq(build_at(&k, k.key, history_count(k.host.history) - 6), 0);
    select_line(&k, "depth");
    draw(&k, 40, 80);
    cr_expect_eq(strcspn(text_of(&k, y), "^"), 80 - 6, "%s", text_of(&k, y));
    k.view.settings.ascii = 0;
    draw(&k, 40, 80);
    cr_expect_geq(row_with(&k, "\u2588"), 0);
    desk_free(&k);
}

Test(draw_detail, panel_of_shards_has_a_bar_for_each_as_far_as_there_is_room)
{
    struct desk k;
    struct vmt_shard *shards[20];
    char name[32];

    desk_init(&k);
    vmt_shards_acquire(k.gpu, 20, shards);
    take(&k);
    for (size_t i = 0; i < 20; i++)
        vmt_add(shards[i], ODD_FRAMES, i == 7 ? 1000 : i);
    take(&k);
    build(&k);
    select_line(&k, "frames");
    k.view.panel = PANEL_SHARDS;
    draw(&k, 24, 80);
    EXPECT_TEXT(&k, "graph [shards]");
    EXPECT_TEXT(&k, " SHARD                   VALUE       RATE   SHARE");
    snprintf(name, sizeof(name), " thread %d", gettid());
    EXPECT_TEXT(&k, name);
    cr_expect_not_null(strstr(text_of(&k, row_with(&k, name)), " 84.5% ####"), "%s", text_of(&k, row_with(&k, name)));
    EXPECT_TEXT(&k, "and 17 more");
    draw(&k, 60, 80);
    EXPECT_TEXT(&k, " more");
    vmt_shards_release(20, shards);
    cr_assert_eq(build_at(&k, row(&k.host, 0, "web")->facts.key, SIZE_MAX), 0);
    k.view.line = (size_t)(find_below(&k, "all odd", "frames") - k.detail.lines);
    draw(&k, 40, 80);
    EXPECT_TEXT(&k, "is known in the detail of each source below");
    desk_free(&k);
}

Test(draw_detail, says_when_the_source_has_gone)
{
    struct desk k;

    desk_init(&k);
    vmt_source_remove(k.gpu);
    take(&k);
    cr_assert_eq(build_at(&k, k.key, SIZE_MAX), -ENOENT);
    draw(&k, 24, 80);
    EXPECT_TEXT(&k, "This source is not there any more.");
    desk_free(&k);
}

Test(draw_detail, says_that_the_filter_hides_all)
{
    struct desk k;

    desk_init(&k);
    set_filter(&k, "no such thing");
    build(&k);
    draw(&k, 24, 80);
    EXPECT_TEXT(&k, "The filter hides all that there is.");
    EXPECT_TEXT(&k, "9 of 9 hidden: filter");
    desk_free(&k);
}

Test(draw_detail, long_texts_are_wrapped_or_cut_and_an_owner_is_not)
{
    static const char name[] = "a-name-that-is-much-longer-than-columns-are";
    struct desk k;
    struct vmt_segment *segment;
    struct detail_line *line;
    static struct vmt_descriptor d;
    static char help[VMT_HELP_MAX];

    if (geteuid() != 0)
        cr_skip_test("needs root");
    desk_init(&k);
    segment = start(name);
    cr_assert_eq(chown(test_path("a-name-that-is-much-longer-than-columns-are.vmt"), SOMEBODY, SOMEBODY), 0);
    take(&k);
    cr_assert_eq(
        build_at(&k, row(&k.host, 0, "a-name-that-is-much-longer-than-columns-are (uid 65534)")->facts.key, SIZE_MAX),
        0);
    draw(&k, 40, 80);
    EXPECT_TEXT(&k, "uid 65534, nobody to trust");
    for (int columns = DRAW_COLUMNS_MIN; columns < 140; columns += 7) {
        draw(&k, 24, columns);
        cr_expect_not_null(strstr(text_of(&k, 13), " (uid 65534)"), "%d columns: %s", columns, text_of(&k, 13));
    }
    build(&k);
    for (size_t i = 0; i + 1 < sizeof(help); i++)
        help[i] = i % 7 == 6 ? ' ' : (char)('a' + i % 7);
    line = (struct detail_line *)find(&k, "frames");
    d = *line->d;
    d.help = help;
    line->d = &d;
    select_line(&k, "frames");
    draw(&k, 24, 80);
    EXPECT_TEXT(&k, " abcdef abcdef abcdef");
    cr_expect_not_null(strstr(text_of(&k, 16), " abcdef"), "a second row: %s", text_of(&k, 16));
    cr_expect_str_eq(text_of(&k, 16) + strlen(text_of(&k, 16)) - 1, "~", "cut: %s", text_of(&k, 16));
    memset(help, 'x', sizeof(help) - 1);
    draw(&k, 24, 80);
    EXPECT_TEXT(&k, "xxxxx~");
    vmt_segment_close(segment);
    desk_free(&k);
}

Test(draw_detail, of_a_fact_all_is_in_the_panel)
{
    struct desk k;
    char *path;

    desk_init(&k);
    cr_assert_eq(build_at(&k, row(&k.host, 0, "web")->facts.key, SIZE_MAX), 0);
    select_line(&k, "file");
    draw(&k, 24, 40);
    path = (char *)find(&k, "file")->value;
    cr_expect_gt(strlen(path), 22, "too long for the table");
    EXPECT_TEXT(&k, "~");
    EXPECT_TEXT(&k, path);
    desk_free(&k);
}

Test(draw_detail, any_size_selection_and_beat_can_be_drawn)
{
    struct desk k;
    struct vmt_shard *shard;

    desk_init(&k);
    shard = vmt_shard_acquire(k.gpu);
    vmt_add(shard, ODD_TIMES + 3, 5);
    for (int i = 0; i < 5; i++)
        take(&k);
    for (size_t beat = 0; beat < 6; beat += 5) {
        cr_assert_eq(build_at(&k, k.key, beat), 0);
        for (int rows = 0; rows < 45; rows += rows < 26 ? 1 : 6) {
            for (int columns = 0; columns < 140; columns += 9) {
                for (k.view.line = 0; k.view.line <= k.detail.count; k.view.line += 3) {
                    k.view.panel = k.view.line % 2 ? PANEL_SHARDS : PANEL_GRAPH;
                    k.view.scrolled = k.view.line;
                    draw(&k, rows, columns);
                    if (rows >= DRAW_ROWS_MIN)
                        cr_expect_leq(DRAW_HEAD + 1 + (int)k.view.page, rows - 2);
                }
            }
        }
    }
    cr_expect_eq(draw_detail_page(&k.view, DRAW_ROWS_MIN, DRAW_COLUMNS_MIN), 1);
    vmt_shard_release(shard);
    desk_free(&k);
}
