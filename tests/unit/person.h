/* SPDX-License-Identifier: MIT */
/* person.h: somebody in front of a screen that shows three VMs, who presses keys and looks at what is drawn then. */
#ifndef TESTS_UNIT_PERSON_H
#define TESTS_UNIT_PERSON_H

#include "still.h"
#include "top.h"

#include <errno.h>
#include <locale.h>

#include "cli/top/draw.h"
#include "cli/top/layout.h"

#define ROWS 24
#define COLUMNS 100

struct person {
    struct host host;
    struct view view;
    struct detail detail;
    struct grid grid;
    struct scene scene;
    int rows;
    struct vmt_segment *segments[3];
    struct vmt_source *vcpus[3];
    struct vmt_source *disk;
};

static const char *const names[] = { "db", "mail", "web" };

/* Make rows and lines anew, as whoever runs the view does after each key, and draw. */
static inline void look(struct person *p)
{
    struct view *v = &p->view;
    struct detail_options lines = { .filter = v->statistics.filter,
                                    .level = v->settings.level,
                                    .hide_zero = v->settings.hide_zero };
    int r;

    p->host.options = (struct model_options){ .beat = view_beat(v, p->host.history),
                                              .folded = &v->folded,
                                              .opened = &v->opened,
                                              .filter = v->rows.filter,
                                              .sort = v->settings.sort,
                                              .inverted = v->settings.inverted };
    cr_assert_eq(model_build(&p->host.model, p->host.history, &p->host.options), 0);
    r = v->detail_key ? detail_build(&p->detail, sampler_set(p->host.sampler), p->host.history, p->host.options.beat,
                                     v->detail_key, &lines)
                      : 0;
    cr_assert(r == 0 || r == -ENOENT);
    p->scene = (struct scene){ .set = sampler_set(p->host.sampler),
                               .history = p->host.history,
                               .model = &p->host.model,
                               .detail = &p->detail,
                               .view = v,
                               .where = "here" };
    draw_settle(v, &p->scene, p->rows, COLUMNS);
    cr_assert_eq(grid_reset(&p->grid, p->rows, COLUMNS), 0);
    draw_view(&p->grid, &p->scene);
}

/* A second later. */
static inline void take(struct person *p)
{
    fake_ns += SECOND_NS;
    host_beat(&p->host, history_observe, p->host.history);
}

static inline void beat(struct person *p)
{
    take(p);
    look(p);
}

static inline void arrive(struct person *p)
{
    memset(p, 0, sizeof(*p));
    p->rows = ROWS;
    fake_ns = NOON_NS;
    setlocale(LC_CTYPE, "C.UTF-8");
    for (size_t i = 0; i < 3; i++) {
        p->segments[i] = start(names[i]);
        p->vcpus[i] = add(p->segments[i], &vmt_schema_vcpu, NULL, "vcpu-0");
    }
    p->disk = add(p->segments[0], &vmt_schema_block, NULL, "disk");
    host_init(&p->host);
    settings_default(&p->view.settings);
    p->view.settings.ascii = 1;
    p->view.settings.sort = COLUMN_NAME;
    p->view.mode = VIEW_OVERVIEW;
    beat(p);
}

static inline void leave(struct person *p)
{
    for (size_t i = 0; i < 3; i++)
        vmt_segment_close(p->segments[i]);
    view_free(&p->view);
    detail_free(&p->detail);
    grid_free(&p->grid);
    host_free(&p->host);
    fake_ns = 0;
}

static inline void press(struct person *p, int key)
{
    cr_assert_eq(view_key(&p->view, &p->host.model, key), 0);
    look(p);
}

static inline void press_all(struct person *p, const char *text)
{
    for (; *text; text++)
        press(p, (unsigned char)*text);
}

static inline void mouse(struct person *p, enum mouse_act act, int row, int column)
{
    struct mouse m = { act, row, column };

    cr_assert_eq(view_mouse(&p->view, &p->host.model, &m, p->rows, COLUMNS), 0);
    look(p);
}

/* Exits of the VMs between this beat and the one before. */
static inline void count(struct person *p, uint64_t db, uint64_t mail, uint64_t web)
{
    uint64_t exits[] = { db, mail, web };

    for (size_t i = 0; i < 3; i++)
        vmt_count(p->vcpus[i], VMT_VCPU_EXITS, exits[i]);
    beat(p);
}

static inline const char *line(const struct person *p, int row)
{
    static char text[COLUMNS * 4 + 1];

    return grid_row_text(&p->grid, row, text, sizeof(text));
}

#define FOOT (ROWS - 1)
#define FIRST_ROW (DRAW_HEAD + 1)

static inline int shows(const struct person *p, const char *text)
{
    for (int y = 0; y < ROWS; y++) {
        if (strstr(line(p, y), text))
            return 1;
    }
    return 0;
}

static inline const char *selected(const struct person *p) { return p->host.model.rows[p->view.selected].facts.name; }

static inline size_t column(const char *name)
{
    long i = column_find(name);

    cr_assert_geq(i, 0, "%s", name);
    return (size_t)i;
}

/* Where the title of a column is. */
static inline int title_at(const struct person *p, const char *title)
{
    const char *at = strstr(line(p, DRAW_HEAD), title);

    cr_assert_not_null(at, "%s: %s", title, line(p, DRAW_HEAD));
    return (int)(at - line(p, DRAW_HEAD));
}

static inline enum style style_at(const struct person *p, int row, int column)
{
    return (enum style)p->grid.cells[row * COLUMNS + column].style;
}

#endif
