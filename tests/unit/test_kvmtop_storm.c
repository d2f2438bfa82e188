/* SPDX-License-Identifier: MIT */
/* Somebody who presses any key, in a terminal of any size, while VMs come and go, and files that are damaged. What is
 * drawn is always whole; with sanitizers, memory is too. VMT_STORM_STEPS makes it longer, VMT_STORM_SEED another one. */
#include "still.h"
#include "top.h"

#include <errno.h>
#include <locale.h>

#include "cli/top/draw.h"
#include "shm/layout.h"
#include "parts.h"

#define VMS 5
#define SOURCES 6
#define HOSTILE "hostile.vmt"

struct storm {
    uint64_t random;
    struct host host;
    struct view view;
    struct detail detail;
    struct detail compared;
    struct grid grid;
    struct vmt_segment *vms[VMS];
    struct vmt_source *sources[VMS][SOURCES];
    struct vmt_shard *shards[VMS][SOURCES];
    uint32_t slots[VMS][SOURCES];
    int rows, columns;
};

TestSuite(storm, .init = test_dir_init, .fini = test_dir_fini, .timeout = 3600);

static uint32_t below(struct storm *s, uint32_t n) /* xorshift64* */
{
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    return (uint32_t)(s->random * 0x2545f4914f6cdd1dU >> 32) % n;
}

/* Mostly little, now and then as much as there can be. */
static uint64_t amount(struct storm *s)
{
    uint64_t any = (uint64_t)below(s, UINT32_MAX) << 32 | below(s, UINT32_MAX);

    return below(s, 4) ? below(s, 5000) : any >> below(s, 64);
}

/* What VMs say they are called. */
static const char *const names[VMS] = { "web", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e \xe6\xbc\xa2\xe5\xad\x97 wide",
                                        "e\xcc\x81\xcc\x81\xcc\x81 combines",
                                        "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d right to left",
                                        "a-name-of-sixty-three-characters-which-is-as-long-as-it-can-be.." };

/* As a VMM that has another schema under the name of one that there was. */
static const struct vmt_schema *schema(struct storm *s)
{
    static struct vmt_schema odd;
    static const struct vmt_schema *const all[] = { &vmt_schema_vcpu, &vmt_schema_block, &vmt_schema_program,
                                                    &part_schema,     &small_schema,     &odd };

    odd = small_schema;
    odd.name = "part";
    return all[below(s, LENGTH(all))];
}

static void scribble(const char *path, size_t offset, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "r+");

    cr_assert_not_null(f);
    cr_assert_eq(fseek(f, (long)offset, SEEK_SET), 0);
    cr_assert_eq(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

static void start_vm(struct storm *s, uint32_t i)
{
    char file_name[] = { (char)('a' + (int)i), '\0' };

    s->vms[i] = start(file_name);
    scribble(vmt_segment_path(s->vms[i]), offsetof(struct shm_header, name), names[i], strlen(names[i]));
}

static void close_vm(struct storm *s, uint32_t i)
{
    vmt_segment_close(s->vms[i]);
    s->vms[i] = NULL;
    memset(s->sources[i], 0, sizeof(s->sources[i]));
    memset(s->shards[i], 0, sizeof(s->shards[i]));
}

/* A copy of a VM's file, with some bytes that nobody meant. */
static void damage(struct storm *s, uint32_t i)
{
    static char bytes[1 << 16];
    FILE *from = fopen(vmt_segment_path(s->vms[i]), "r");
    size_t size = from ? fread(bytes, 1, sizeof(bytes), from) : 0;
    FILE *to = size ? fopen(test_path(HOSTILE), "w") : NULL;

    for (uint32_t n = below(s, 8); n > 0 && to; n--)
        bytes[below(s, 2) ? below(s, (uint32_t)size) : below(s, 2048)] = (char)below(s, 256);
    if (to) {
        fwrite(bytes, 1, below(s, 9) ? size : below(s, (uint32_t)size + 1), to);
        fclose(to);
    }
    if (from)
        fclose(from);
}

static void change_source(struct storm *s, uint32_t i, uint32_t k)
{
    static const char *const ids[SOURCES] = {
        "vcpu-0", "vcpu-1", "disk", "\xe6\x97\xa5", "a/b", "long-long-long-long"
    };
    struct vmt_source **source = &s->sources[i][k];

    if (!*source) {
        const struct vmt_schema *of = schema(s);

        s->slots[i][k] = of->slots;
        if (vmt_source_add(s->vms[i], of, k ? s->sources[i][below(s, k)] : NULL, ids[k], source) < 0)
            *source = NULL;
    } else if (!s->shards[i][k] && below(s, 2)) {
        s->shards[i][k] = vmt_shard_acquire(*source);
    } else if (s->shards[i][k] && below(s, 3)) {
        vmt_add(s->shards[i][k], below(s, s->slots[i][k]), amount(s));
    } else if (s->shards[i][k]) {
        vmt_shard_release(s->shards[i][k]);
        s->shards[i][k] = NULL;
    } else if (below(s, 3)) {
        vmt_count(*source, below(s, s->slots[i][k]), amount(s));
    } else {
        for (uint32_t c = k; c < SOURCES; c++) { /* and what may be below it */
            vmt_shard_release(s->shards[i][c]);
            if (s->sources[i][c])
                vmt_source_remove(s->sources[i][c]);
            s->shards[i][c] = NULL;
            s->sources[i][c] = NULL;
        }
    }
}

static void change_world(struct storm *s)
{
    uint32_t i = below(s, VMS);

    if (!s->vms[i])
        start_vm(s, i);
    else if (!below(s, 12))
        close_vm(s, i);
    else if (!below(s, 12))
        damage(s, i);
    else if (!below(s, 12))
        unlink(below(s, 2) ? test_path(HOSTILE) : vmt_segment_path(s->vms[i]));
    for (int n = 0; n < 12 && s->vms[i]; n++)
        change_source(s, i, below(s, SOURCES));
}

/* ---- what run_live.c does ---- */

static void take_beat(struct storm *s)
{
    static const uint64_t steps_ns[] = { 0, 1, 1000000, SECOND_NS, SECOND_NS, 100 * (uint64_t)SECOND_NS };
    const struct view *v = &s->view;
    uint64_t keys[] = { v->detail_key, v->compared_key };
    uint64_t vms[2 + 64];
    size_t count = 0;

    fake_ns += steps_ns[below(s, LENGTH(steps_ns))];
    for (size_t i = 0; i < 2 + v->opened.count && count < LENGTH(vms); i++) {
        long track = history_find(s->host.history, i < 2 ? keys[i] : v->opened.keys[i - 2]);

        if (track >= 0)
            vms[count++] = history_vm_id(s->host.history, (size_t)track);
    }
    history_focus(s->host.history, keys, 2);
    cr_assert_eq(sampler_focus(s->host.sampler, vms, count), 0);
    cr_assert_eq(history_begin(s->host.history, sampler_epoch(s->host.sampler)), 0);
    cr_assert_eq(sampler_take(s->host.sampler, history_observe, s->host.history), 0);
    cr_assert_eq(history_end(s->host.history, sampler_set(s->host.sampler)), 0);
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
    int action = (int)below(s, ACTION_COUNT);

    if (!below(s, 8))
        return KEY_ENTER_;
    if (below(s, 4))
        return s->view.settings.keys[action][below(s, 2)];
    return below(s, 3) ? typed[below(s, (uint32_t)strlen(typed))] : (int)below(s, below(s, 2) ? 256 : KEY_F0_ + 20);
}

static void step(struct storm *s)
{
    switch (below(s, 10)) {
    case 0:
        change_world(s);
        break;
    case 1:
        take_beat(s);
        break;
    case 2:
        s->rows = 1 + (int)below(s, below(s, 2) ? 12 : 70);
        s->columns = 1 + (int)below(s, below(s, 2) ? 50 : 250);
        break;
    case 3: {
        struct mouse m = { (enum mouse_act)below(s, 4), (int)below(s, 72) - 1, (int)below(s, 252) - 1 };

        cr_assert_eq(view_mouse(&s->view, &s->host.model, &m, s->rows, s->columns), 0);
        break;
    }
    case 4:
        s->view.settings.ascii = (int)below(s, 2);
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

    s.random = 0x9e3779b97f4a7c15U + (seed ? strtoull(seed, NULL, 0) : 0);
    s.rows = 24;
    s.columns = 80;
    fake_ns = NOON_NS;
    setlocale(LC_CTYPE, "C.UTF-8");
    host_init(&s.host);
    settings_default(&s.view.settings);
    s.view.mode = VIEW_OVERVIEW;
    for (long n = steps ? atol(steps) : 4000; n > 0; n--)
        step(&s);
    for (uint32_t i = 0; i < VMS; i++)
        close_vm(&s, i);
    view_free(&s.view);
    detail_free(&s.detail);
    detail_free(&s.compared);
    grid_free(&s.grid);
    host_free(&s.host);
    fake_ns = 0;
}
