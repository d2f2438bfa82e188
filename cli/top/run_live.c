/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "cli/sandbox.h"
#include "cli/top/draw.h"
#include "cli/top/run.h"
#include "cli/top/saver.h"
#include "cli/top/screen_curses.h"

#define FIRST_INTERVAL_S 0.5 /* rates as soon as they mean something */

#define ROWS_MANY 300

/* All that the live view keeps. */
struct live {
    struct run *run;
    struct history *history;
    struct model model;
    struct detail detail;
    struct detail compared;
    struct view view;
    struct grid grid;
    struct saver saver;
    int trouble; /* that was said already, as run_trouble() has it */
    char kernel[RUN_TROUBLE_TEXT];
};

/* ---- what is looked at ---- */

/* The VMs whose shards and changes are needed after the take, and the rows whose every slot is to be kept. */
static int focus(struct live *l)
{
    struct view *v = &l->view;
    uint64_t keys[] = { v->detail_key, v->compared_key };
    size_t key_count = 0;
    size_t capacity = v->opened.count + 2;
    uint64_t *vms = malloc(capacity * sizeof(*vms));
    size_t count = 0;
    int r;

    if (!vms)
        return -ENOMEM;
    for (size_t i = v->opened.count; i-- > 0;) { /* what has gone for good */
        if (history_find(l->history, v->opened.keys[i]) < 0)
            keys_set(&v->opened, v->opened.keys[i], 0);
    }
    for (size_t i = 0; i < v->opened.count + 2; i++) {
        uint64_t key = i < 2 ? keys[i] : v->opened.keys[i - 2];
        long track = key ? history_find(l->history, key) : -1;

        if (track < 0)
            continue;
        if (i < 2)
            keys[key_count++] = key;
        vms[count++] = history_vm_id(l->history, (size_t)track);
    }
    history_focus(l->history, keys, key_count);
    r = sampler_focus(l->run->sampler, vms, count);
    free(vms);
    return r;
}

/* Said once in the line at the bottom, as long as it has nothing else to say; it stays in the help. */
static void say_trouble(struct live *l)
{
    struct view *v = &l->view;
    int trouble = run_trouble(l->run, l->kernel, sizeof(l->kernel));

    v->kernel = trouble ? l->kernel : NULL;
    if (!(trouble & ~l->trouble) || v->notice[0])
        return;
    l->trouble |= trouble;
    snprintf(v->notice, sizeof(v->notice), "%.*s", NOTICE_TEXT - 1, l->kernel); /* all of it is in the help */
}

static int take(struct live *l)
{
    struct sampler *sampler = l->run->sampler;
    int r = focus(l);

    if (r == 0)
        r = history_begin(l->history, sampler_epoch(sampler));
    if (r == 0)
        r = sampler_take(sampler, history_observe, l->history);
    say_trouble(l);
    return r == 0 ? history_end(l->history, sampler_set(sampler)) : r;
}

/* ---- drawing ---- */

static int build_detail(struct live *l, struct detail *detail, uint64_t key, size_t beat, int all)
{
    const struct view *v = &l->view;
    struct detail_options options = { .filter = v->statistics.filter,
                                      .level = all ? VMT_LEVEL_DEBUG : v->settings.level,
                                      .hide_zero = all ? 0 : v->settings.hide_zero };
    int r = detail_build(detail, sampler_set(l->run->sampler), l->history, beat, key, &options);

    return r == -ENOENT ? 0 : r;
}

static int build(struct live *l)
{
    const struct view *v = &l->view;
    struct model_options options = { .beat = view_beat(v, l->history),
                                     .folded = &v->folded,
                                     .opened = &v->opened,
                                     .filter = v->rows.filter,
                                     .sort = v->settings.sort,
                                     .inverted = v->settings.inverted };
    int r = model_build(&l->model, l->history, &options);

    if (r == 0 && v->detail_key)
        r = build_detail(l, &l->detail, v->detail_key, options.beat, 0);
    if (r == 0 && v->compared_key)
        r = build_detail(l, &l->compared, v->compared_key, options.beat, 1);
    return r;
}

static int draw(struct live *l)
{
    struct scene scene = { .set = sampler_set(l->run->sampler),
                           .history = l->history,
                           .model = &l->model,
                           .detail = &l->detail,
                           .compared = l->view.compared_key ? &l->compared : NULL,
                           .view = &l->view,
                           .where = l->run->where };
    int rows, columns;
    int r = build(l);

    if (r < 0)
        return r;
    screen_size(&rows, &columns);
    draw_settle(&l->view, &scene, rows, columns);
    r = grid_reset(&l->grid, rows, columns);
    if (r < 0)
        return r;
    draw_view(&l->grid, &scene);
    screen_show(&l->grid);
    return 0;
}

/* ---- wishes ---- */

static int mark(struct live *l)
{
    const struct sample_set *set = sampler_set(l->run->sampler);
    int r = sampler_mark(l->run->sampler, l->view.mark > 0);

    l->view.marked_ns = l->view.mark > 0 ? set->realtime_ns : 0;
    l->view.mark = 0;
    return r;
}

static int fulfill(struct live *l)
{
    struct view *v = &l->view;

    if (v->save) {
        char why[NOTICE_TEXT];
        int r = settings_save(&v->settings, &l->run->loaded, &l->run->settings, &l->saver, why, sizeof(why));

        if (r == 0)
            snprintf(v->notice, sizeof(v->notice), "Settings saved in %s", l->run->settings_path);
        else
            snprintf(v->notice, sizeof(v->notice), "%s", why);
        v->save = 0;
    }
    return v->mark ? mark(l) : 0;
}

/* ---- the loop ---- */

static int press(struct live *l, int key)
{
    int rows, columns;
    struct mouse mouse;
    int r = 0;

    if (key != KEY_MOUSE_) {
        r = view_key(&l->view, &l->model, key);
    } else if (screen_mouse(&mouse)) {
        screen_size(&rows, &columns);
        r = view_mouse(&l->view, &l->model, &mouse, rows, columns);
    }
    if (r == 0)
        r = fulfill(l);
    return r == 0 && !l->view.quit ? draw(l) : r; /* the next key is about what is seen now */
}

/* Until the time has come, or somebody asks to end. */
static int wait_for_beat(struct live *l, double last, double *next)
{
    double left;

    while ((left = *next - run_now_s()) > 0 && !l->view.quit && !screen_ended()) {
        double interval = l->view.settings.interval_s;
        int key;
        int r = 0;

        screen_wait(left);
        while (r == 0 && !l->view.quit && (key = screen_key()) != KEY_NONE_)
            r = press(l, key);
        if (r < 0)
            return r;
        if (l->view.settings.interval_s < interval || l->view.settings.interval_s > interval)
            *next = last + l->view.settings.interval_s;
    }
    return 0;
}

/* Where there are many rows, begin with VMs alone. */
static int fold_many(struct live *l)
{
    int r = build(l);

    for (size_t i = 0; r == 0 && l->model.count > ROWS_MANY && i < l->model.count; i++) {
        if (l->model.rows[i].depth == 0 && l->model.rows[i].children)
            r = keys_set(&l->view.folded, l->model.rows[i].facts.key, 1);
    }
    return r;
}

static int loop(struct live *l)
{
    double last = run_now_s();
    double interval_s = l->view.settings.interval_s;
    double next = last + (interval_s < FIRST_INTERVAL_S ? interval_s : FIRST_INTERVAL_S);
    int r = take(l);

    if (r == 0)
        r = fold_many(l);
    for (long taken = 0; r == 0; taken++) {
        r = draw(l);
        if (r == 0)
            r = wait_for_beat(l, last, &next);
        if (r < 0 || l->view.quit || screen_ended())
            return r;
        if (l->run->arguments->samples && taken == l->run->arguments->samples)
            return 0;
        r = take(l);
        last = next;
        next = run_next_beat(last, l->view.settings.interval_s);
    }
    return r;
}

static void live_free(struct live *l)
{
    model_free(&l->model);
    detail_free(&l->detail);
    detail_free(&l->compared);
    view_free(&l->view);
    grid_free(&l->grid);
    history_free(l->history);
}

int run_live(struct run *run)
{
    const struct arguments *a = run->arguments;
    struct live l = { .run = run, .view = { .mode = VIEW_OVERVIEW, .settings = run->settings } };
    int r = history_new(1, &l.history);

    if (r == 0)
        r = view_filter_rows(&l.view, a->filter);
    if (run_failed(run, r == -EINVAL ? 0 : r)) {
        live_free(&l);
        return 1;
    }
    saver_start(&l.saver, run->settings_path);
    if (screen_open(run->settings.color, run->settings.mouse) < 0) {
        saver_end(&l.saver);
        live_free(&l);
        return 1;
    }
    sandbox_enter(&a->common, a->names, a->name_count, 0); /* the description of the terminal has been read */
    l.view.sandbox = sandbox_text();
    r = loop(&l);
    screen_close();
    saver_end(&l.saver);
    live_free(&l);
    return run_failed(run, r) || (a->samples && run_say_failed(run->sampler));
}
