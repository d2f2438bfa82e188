/* SPDX-License-Identifier: MIT */
/* Somebody who presses any key, in a terminal of any size, while VMs come and go, and files that are damaged. What is
 * drawn is always whole; with sanitizers, memory is too. VMT_STORM_STEPS makes it longer, VMT_STORM_SEED another one. */
#include "still.h"
#include "top.h"

#include <errno.h>
#include <locale.h>

#include "cli/top/draw.h"
#include "weather.h"

struct storm {
    struct weather weather;
    struct host host;
    struct view view;
    struct detail detail;
    struct detail compared;
    struct grid grid;
    int rows, columns;
};

TestSuite(storm, .init = test_dir_init, .fini = test_dir_fini, .timeout = 3600);

static uint32_t roll(struct storm *s, uint32_t n) { return below(&s->weather, n); }

/* ---- what run_live.c does ---- */

static void take_beat(struct storm *s)
{
    static const uint64_t steps_ns[] = { 0, 1, 1000000, SECOND_NS, SECOND_NS, 100 * (uint64_t)SECOND_NS };
    const struct view *v = &s->view;
    uint64_t keys[] = { v->detail_key, v->compared_key };
    uint64_t vms[2 + 64];
    size_t count = 0;

    fake_ns += steps_ns[roll(s, LENGTH(steps_ns))];
    for (size_t i = 0; i < 2 + v->opened.count && count < LENGTH(vms); i++) {
        long track = history_find(s->host.history, i < 2 ? keys[i] : v->opened.keys[i - 2]);

        if (track >= 0)
            vms[count++] = history_vm_id(s->host.history, (size_t)track);
    }
    history_focus(s->host.history, keys, 2);
    cr_assert_eq(sampler_focus(s->host.sampler, vms, count), 0);
    host_beat(&s->host, history_observe, s->host.history);
}

static void build_detail(struct storm *s, struct detail *d, uint64_t key, int all)
{
    const struct view *v = &s->view;
    struct detail_options options = { .filter = v->statistics.filter,
                                      .level = all ? VMT_LEVEL_DEBUG : v->settings.level,
                                      .hide_zero = all ? 0 : v->settings.hide_zero };
    int r =
        key ? detail_build(d, sampler_set(s->host.sampler), s->host.history, s->host.options.beat, key, &options) : 0;

    cr_assert(r == 0 || r == -ENOENT, "%d", r);
}

/* Of no row more than there is room for, nor half of a wide character. */
static void check_grid(const struct storm *s)
{
    char text[4096];

    for (int y = 0; y < s->grid.rows; y++) {
        const struct cell *cells = &s->grid.cells[y * s->grid.columns];

        cr_assert_leq(grid_width(grid_row_text(&s->grid, y, text, sizeof(text))), s->grid.columns);
        for (int x = 0; x < s->grid.columns; x++) {
            cr_assert_lt(cells[x].style, STYLE_COUNT);
            cr_assert(cells[x].glyph == GRID_CONTINUED || (cells[x].glyph >= ' ' && cells[x].glyph < 0x110000));
            cr_assert(cells[x].glyph != GRID_CONTINUED || (x > 0 && cells[x - 1].glyph > 0x7f));
        }
    }
}

static void look(struct storm *s)
{
    struct view *v = &s->view;
    struct scene scene = { .set = sampler_set(s->host.sampler),
                           .history = s->host.history,
                           .model = &s->host.model,
                           .detail = &s->detail,
                           .compared = v->compared_key ? &s->compared : NULL,
                           .view = v,
                           .where = "here" };

    s->host.options = (struct model_options){ .beat = view_beat(v, s->host.history),
                                              .folded = &v->folded,
                                              .opened = &v->opened,
                                              .filter = v->rows.filter,
                                              .sort = v->settings.sort,
                                              .inverted = v->settings.inverted };
    cr_assert_eq(model_build(&s->host.model, s->host.history, &s->host.options), 0);
    build_detail(s, &s->detail, v->detail_key, 0);
    build_detail(s, &s->compared, v->compared_key, 1);
    draw_settle(v, &scene, s->rows, s->columns);
    cr_assert_eq(grid_reset(&s->grid, s->rows, s->columns), 0);
    draw_view(&s->grid, &scene);
    check_grid(s);
    if (v->mark) {
        cr_assert_eq(sampler_mark(s->host.sampler, v->mark > 0), 0);
        v->marked_ns = v->mark > 0 ? sampler_set(s->host.sampler)->realtime_ns : 0;
    }
    v->mark = v->save = v->quit = 0;
}

static int any_key(struct storm *s)
{
    static const char *const typed = "|/.*[](\\wv0 -";
    int action = (int)roll(s, ACTION_COUNT);

    if (!roll(s, 8))
        return KEY_ENTER_;
    if (roll(s, 4))
        return s->view.settings.keys[action][roll(s, 2)];
    return roll(s, 3) ? typed[roll(s, (uint32_t)strlen(typed))] : (int)roll(s, roll(s, 2) ? 256 : KEY_F0_ + 20);
}

static void step(struct storm *s)
{
    switch (roll(s, 10)) {
    case 0:
        weather_change(&s->weather);
        break;
    case 1:
        take_beat(s);
        break;
    case 2:
        s->rows = 1 + (int)roll(s, roll(s, 2) ? 12 : 70);
        s->columns = 1 + (int)roll(s, roll(s, 2) ? 50 : 250);
        break;
    case 3: {
        struct mouse m = { (enum mouse_act)roll(s, 4), (int)roll(s, 72) - 1, (int)roll(s, 252) - 1 };

        cr_assert_eq(view_mouse(&s->view, &s->host.model, &m, s->rows, s->columns), 0);
        break;
    }
    case 4:
        s->view.settings.ascii = (int)roll(s, 2);
        break;
    default:
        cr_assert_eq(view_key(&s->view, &s->host.model, any_key(s)), 0);
        break;
    }
    look(s);
}

Test(storm, any_keys_in_any_terminal_while_vms_come_and_go_draw_what_is_whole)
{
    const char *steps = getenv("VMT_STORM_STEPS");
    const char *seed = getenv("VMT_STORM_SEED");
    static struct storm s;

    s.weather.random = 0x9e3779b97f4a7c15U + (seed ? strtoull(seed, NULL, 0) : 0);
    s.rows = 24;
    s.columns = 80;
    fake_ns = NOON_NS;
    setlocale(LC_CTYPE, "C.UTF-8");
    host_init(&s.host);
    settings_default(&s.view.settings);
    s.view.mode = VIEW_OVERVIEW;
    for (long n = steps ? atol(steps) : 20000; n > 0; n--)
        step(&s);
    for (uint32_t i = 0; i < VMS; i++)
        close_vm(&s.weather, i);
    view_free(&s.view);
    detail_free(&s.detail);
    detail_free(&s.compared);
    grid_free(&s.grid);
    host_free(&s.host);
    fake_ns = 0;
}
