/* SPDX-License-Identifier: MIT */
/* Whole screens, as they are in tests/unit/screens: VMs that do the same at each run, seen by a clock that stands still
 * between beats. With VMT_SCREENS_WRITE=1 the files are written anew: look at them before keeping them. */
#include "still.h"
#include "top.h"

#include <errno.h>
#include <locale.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/top/draw.h"

#define BEATS 40

TestSuite(screens, .init = test_dir_init, .fini = test_dir_fini);

/* ---- the VMs ---- */

#define THING_STATISTICS(X)                                                                                            \
    X(CUMULATIVE, THING_TICKS, "ticks", NONE, 1, 0, "Ticks")                                                           \
    X(CUMULATIVE, THING_TOCKS, "tocks", NONE, 1, 0, "Tocks")                                                           \
    X(CUMULATIVE, THING_WEIGHT, "weight", BYTES, 1, 0, "What went through it")
VMT_SCHEMA_ENUM(THING, THING_STATISTICS)
VMT_SCHEMA_DEFINE(thing_schema, "thing", "test", "thing", THING, THING_STATISTICS)

enum { WEB, DB, CACHE, OLD, VMS };
#define VCPUS 4

struct world {
    struct host host;
    struct view view;
    struct detail detail;
    struct detail compared;
    struct grid grid;
    struct vmt_segment *vms[VMS];
    struct vmt_shard *vcpus[VMS][VCPUS];
    struct vmt_shard *disk;
    struct vmt_shard *net;
    struct vmt_shard *thing;
    unsigned beats;
};

static struct vmt_shard *add_shard(struct vmt_segment *segment, const struct vmt_schema *schema, const char *id,
                                   pid_t thread)
{
    struct vmt_source *source = add(segment, schema, NULL, id);
    struct vmt_shard *shard;

    fake_pid = thread;
    shard = vmt_shard_acquire(source);
    fake_pid = 0;
    return shard;
}

static void world_start(struct world *w)
{
    static const char *const names[VMS] = { "web-1", "db-1", "cache", "old" };

    memset(w, 0, sizeof(*w));
    setlocale(LC_CTYPE, "C.UTF-8");
    setenv("TZ", "UTC", 1);
    tzset();
    cr_assert_eq(chdir(getenv("VMTALLY_DIR")), 0);
    cr_assert_eq(setenv("VMTALLY_DIR", ".", 1), 0);
    fake_ns = NOON_NS - 7384 * (uint64_t)SECOND_NS;
    for (int i = 0; i < VMS; i++) {
        fake_pid = 4711 + i * 100;
        w->vms[i] = start(names[i]);
        fake_pid = 0;
        for (int k = 0; i < CACHE && k < (i == DB ? VCPUS : 2); k++) {
            char id[16];

            snprintf(id, sizeof(id), "vcpu-%d", k);
            w->vcpus[i][k] = add_shard(w->vms[i], &vmt_schema_vcpu, id, 4720 + i * 100 + k);
        }
    }
    w->net = add_shard(w->vms[WEB], &vmt_schema_net, "net0", 4730);
    w->disk = add_shard(w->vms[DB], &vmt_schema_block, "disk0", 4830);
    w->thing = add_shard(w->vms[CACHE], &thing_schema, "thing", 4930);
    fake_ns = NOON_NS;
    host_init(&w->host);
    settings_default(&w->view.settings);
    w->view.mode = VIEW_OVERVIEW;
    w->view.sandbox = "as the test says";
}

/* What vCPU k does in a second: each has a rhythm of its own. */
static void vcpu_work(struct vmt_shard *shard, unsigned n, unsigned k, unsigned much)
{
    unsigned exits = much * (20 + (n * (k + 3) * 7) % 60);

    vmt_add(shard, VMT_VCPU_EXITS, exits);
    vmt_add(shard, VMT_VCPU_EXIT_IO_OUT, exits * 6 / 10);
    vmt_add(shard, VMT_VCPU_EXIT_MMIO_WRITE, exits * 3 / 10);
    vmt_add(shard, VMT_VCPU_EXIT_HLT, exits / 10);
    vmt_add(shard, VMT_VCPU_RUN_TIME, 1000000U * (100 + 200 * k + exits % 400));
    for (unsigned i = 0; i < 50; i++)
        vmt_latency(shard, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 1500 + (i * i * i * (k + 1) * 37) % 90000);
}

static void work(struct world *w)
{
    unsigned n = w->beats;

    for (unsigned k = 0; k < VCPUS; k++) {
        if (k < 2)
            vcpu_work(w->vcpus[WEB][k], n, k, 40);
        vcpu_work(w->vcpus[DB][k], n / 3, k, 5);
    }
    vmt_add(w->net, VMT_NET_RX_BYTES_COUNT, 1500U * (100 + n % 50));
    vmt_add(w->net, VMT_NET_RX_PACKETS_COUNT, 100 + n % 50);
    vmt_add(w->disk, VMT_BLOCK_READ_BYTES, 4096U * (n % 10 == 0 ? 5000 : 20));
    vmt_add(w->disk, VMT_BLOCK_READ_COUNT, n % 10 == 0 ? 5000 : 20);
    for (unsigned i = 0; i < 200; i++)
        vmt_latency(w->disk, VMT_BLOCK_READ_AGG, VMT_BLOCK_READ_AGG_BUCKETS, 60000 + (i * i * (n + 1) * 977) % 3000000);
    vmt_add(w->thing, THING_TICKS, 17);
    vmt_add(w->thing, THING_TOCKS, 5);
    vmt_add(w->thing, THING_WEIGHT, 100000);
}

static void focus(struct world *w)
{
    uint64_t keys[] = { w->view.detail_key, w->view.compared_key };
    uint64_t vms[VMS];
    size_t count = 0;

    for (size_t i = 0; i < sampler_set(w->host.sampler)->count; i++)
        vms[count++] = sampler_set(w->host.sampler)->vms[i].id;
    cr_assert_eq(sampler_focus(w->host.sampler, vms, count), 0);
    history_focus(w->host.history, keys, w->view.compared_key ? 2 : w->view.detail_key ? 1 : 0);
}

/* The host's load and CPUs are those of the test. */
static void beat(struct world *w)
{
    struct sample_set set;

    focus(w);
    cr_assert_eq(history_begin(w->host.history, sampler_epoch(w->host.sampler)), 0);
    cr_assert_eq(sampler_take(w->host.sampler, history_observe, w->host.history), 0);
    set = *sampler_set(w->host.sampler);
    set.load[0] = 1.25;
    set.load[1] = 0.75;
    set.load[2] = 0.5;
    set.cpus = 8;
    cr_assert_eq(history_end(w->host.history, &set), 0);
    w->beats++;
    fake_ns += SECOND_NS;
}

static void beats(struct world *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        work(w);
        if (w->beats == 35) {
            vmt_segment_close(w->vms[OLD]);
            w->vms[OLD] = NULL;
        }
        beat(w);
    }
}

static void world_end(struct world *w)
{
    for (int i = 0; i < VMS; i++)
        vmt_segment_close(w->vms[i]);
    view_free(&w->view);
    detail_free(&w->detail);
    detail_free(&w->compared);
    grid_free(&w->grid);
    host_free(&w->host);
    fake_ns = 0;
}

/* ---- looking ---- */

static void build(struct world *w, struct detail *detail, uint64_t key)
{
    struct view *v = &w->view;
    struct detail_options options = { .filter = v->statistics.filter,
                                      .level = v->settings.level,
                                      .hide_zero = v->settings.hide_zero };

    if (key)
        cr_assert_eq(
            detail_build(detail, sampler_set(w->host.sampler), w->host.history, w->host.options.beat, key, &options),
            0);
}

static void look(struct world *w, int rows, int columns)
{
    struct view *v = &w->view;
    struct scene scene = { .set = sampler_set(w->host.sampler),
                           .history = w->host.history,
                           .model = &w->host.model,
                           .detail = &w->detail,
                           .compared = v->compared_key ? &w->compared : NULL,
                           .view = v,
                           .where = "/run/vmtally" };

    w->host.options = (struct model_options){ .beat = view_beat(v, w->host.history),
                                              .folded = &v->folded,
                                              .opened = &v->opened,
                                              .filter = v->rows.filter,
                                              .sort = v->settings.sort,
                                              .inverted = v->settings.inverted };
    cr_assert_eq(model_build(&w->host.model, w->host.history, &w->host.options), 0);
    build(w, &w->detail, v->detail_key);
    build(w, &w->compared, v->compared_key);
    draw_settle(v, &scene, rows, columns);
    cr_assert_eq(grid_reset(&w->grid, rows, columns), 0);
    draw_view(&w->grid, &scene);
}

static void press(struct world *w, int key)
{
    cr_assert_eq(view_key(&w->view, &w->host.model, key), 0);
    look(w, 24, 80);
}

static void press_all(struct world *w, const char *keys)
{
    for (; *keys; keys++)
        press(w, (unsigned char)*keys);
}

/* Select the row of that name, of that VM. */
static void go_to(struct world *w, const char *vm, const char *name)
{
    press(w, KEY_HOME_);
    for (size_t i = 0; i < w->host.model.count; i++) {
        const struct track_facts *f = &w->host.model.rows[w->view.selected].facts;

        if (!strcmp(f->vm, vm) && !strcmp(f->name, name))
            return;
        press(w, KEY_DOWN_);
    }
    cr_assert_fail("no %s of %s", name, vm);
}

static void go_to_line(struct world *w, const char *name)
{
    press(w, KEY_HOME_);
    for (size_t i = 0; i < w->detail.count; i++) {
        if (!strcmp(w->detail.lines[w->view.line].name, name))
            return;
        press(w, KEY_DOWN_);
    }
    cr_assert_fail("no %s", name);
}

/* ---- comparing ---- */

static FILE *open_golden(const char *name, const char *how)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/tests/unit/screens/%s.txt", getenv("VMT_SOURCE_ROOT"), name);
    return fopen(path, how);
}

static void write_golden(const struct world *w, const char *name)
{
    FILE *f = open_golden(name, "w");
    char text[4096];

    cr_assert_not_null(f, "%s: %m", name);
    for (int y = 0; y < w->grid.rows; y++)
        fprintf(f, "%s\n", grid_row_text(&w->grid, y, text, sizeof(text)));
    fclose(f);
}

static void compare_golden(const struct world *w, const char *name)
{
    FILE *f = open_golden(name, "r");
    char *expected = NULL;
    size_t size = 0;
    char text[4096];

    cr_assert_not_null(f, "%s: %m; VMT_SCREENS_WRITE=1 writes it", name);
    for (int y = 0; y < w->grid.rows; y++) {
        ssize_t n = getline(&expected, &size, f);

        cr_assert_gt(n, 0, "%s ends before row %d", name, y);
        expected[n - 1] = '\0';
        grid_row_text(&w->grid, y, text, sizeof(text));
        cr_expect_str_eq(text, expected, "%s, row %d:\n  is       %s\n  expected %s", name, y, text, expected);
    }
    cr_expect_lt(getline(&expected, &size, f), 0, "%s goes on", name);
    free(expected);
    fclose(f);
}

static void check_size(struct world *w, const char *name, int rows, int columns, int ascii)
{
    char file[128];

    snprintf(file, sizeof(file), "%s-%dx%d-%s", name, columns, rows, ascii ? "ascii" : "utf8");
    w->view.settings.ascii = ascii;
    unit_ascii(ascii);
    look(w, rows, columns);
    if (getenv("VMT_SCREENS_WRITE"))
        write_golden(w, file);
    else
        compare_golden(w, file);
}

/* In all sizes. */
static void check(struct world *w, const char *name)
{
    static const int sizes[][2] = { { 24, 80 }, { 40, 120 }, { 60, 200 } };

    for (int i = 0; i < 3; i++) {
        check_size(w, name, sizes[i][0], sizes[i][1], 1);
        check_size(w, name, sizes[i][0], sizes[i][1], 0);
    }
    w->view.settings.ascii = 0;
}

static void by(struct world *w, const char *name)
{
    long column = column_find(name);

    cr_assert_geq(column, 0);
    w->view.settings.sort = (size_t)column;
}

/* ---- screens ---- */

Test(screens, the_overview_is_as_it_was)
{
    struct world w;

    world_start(&w);
    beats(&w, BEATS);
    by(&w, "exits");
    check(&w, "overview");
    world_end(&w);
}

Test(screens, a_filter_is_shown_while_it_is_typed_and_after)
{
    struct world w;

    world_start(&w);
    beats(&w, BEATS);
    look(&w, 24, 80);
    press_all(&w, "/disk|net");
    check_size(&w, "prompt", 24, 80, 1);
    press_all(&w, "|/(");
    press_all(&w, "\025/(");
    check_size(&w, "prompt-wrong", 24, 80, 1);
    press_all(&w, "\025disk|net\n");
    check_size(&w, "filtered", 24, 80, 0);
    world_end(&w);
}

Test(screens, what_was_is_shown_as_paused)
{
    struct world w;

    world_start(&w);
    beats(&w, BEATS);
    look(&w, 24, 80);
    press(&w, KEY_SHIFT_LEFT_);
    press(&w, KEY_RIGHT_);
    beats(&w, 5);
    check_size(&w, "paused", 24, 80, 0);
    world_end(&w);
}

Test(screens, shards_are_rows_with_their_threads)
{
    struct world w;

    world_start(&w);
    beats(&w, 5);
    look(&w, 24, 80);
    go_to(&w, "db-1", "vcpu-2");
    press(&w, 't');
    beats(&w, 5);
    check_size(&w, "shards", 24, 80, 0);
    world_end(&w);
}

Test(screens, the_choosers_are_as_they_were)
{
    struct world w;

    world_start(&w);
    beats(&w, BEATS);
    look(&w, 24, 80);
    press(&w, 's');
    check(&w, "sort");
    press(&w, KEY_ESCAPE_);
    press(&w, 'c');
    press(&w, KEY_DOWN_);
    press(&w, ' ');
    check_size(&w, "columns", 24, 80, 1);
    check_size(&w, "columns", 40, 120, 0);
    world_end(&w);
}

Test(screens, the_help_is_as_it_was)
{
    struct world w;

    world_start(&w);
    beats(&w, BEATS);
    look(&w, 24, 80);
    press(&w, '?');
    check(&w, "help");
    look(&w, 24, 80);
    press(&w, KEY_END_);
    check_size(&w, "help-end", 24, 80, 1);
    world_end(&w);
}

Test(screens, no_vms_are_said_to_be_looked_for)
{
    struct world w;

    world_start(&w);
    for (int i = 0; i < VMS; i++) {
        vmt_segment_close(w.vms[i]);
        w.vms[i] = NULL;
    }
    sampler_free(w.host.sampler);
    cr_assert_eq(mkdir("empty", 0700), 0);
    cr_assert_eq(sampler_new("empty", NULL, 0, &w.host.sampler), 0);
    beat(&w);
    check_size(&w, "nothing", 24, 80, 1);
    world_end(&w);
}

Test(screens, the_detail_of_a_device_is_as_it_was)
{
    struct world w;

    world_start(&w);
    beats(&w, 5);
    look(&w, 24, 80);
    go_to(&w, "db-1", "disk0");
    press(&w, KEY_ENTER_);
    beats(&w, BEATS);
    look(&w, 24, 80);
    go_to_line(&w, "read_bytes");
    check(&w, "detail");
    world_end(&w);
}

Test(screens, the_shards_of_a_statistic_are_as_they_were)
{
    struct world w;

    world_start(&w);
    beats(&w, 5);
    look(&w, 24, 80);
    go_to(&w, "web-1", "vcpu-1");
    press(&w, KEY_ENTER_);
    beats(&w, BEATS);
    look(&w, 24, 80);
    go_to_line(&w, "exits");
    press(&w, KEY_TAB_);
    check_size(&w, "detail-shards", 24, 80, 1);
    check_size(&w, "detail-shards", 40, 120, 0);
    world_end(&w);
}

Test(screens, a_histogram_is_drawn_as_bars_as_a_heat_map_and_beside_another_one)
{
    struct world w;

    world_start(&w);
    beats(&w, 5);
    look(&w, 24, 80);
    go_to(&w, "db-1", "vcpu-0");
    press(&w, KEY_ENTER_);
    beats(&w, BEATS);
    look(&w, 24, 80);
    while (!w.view.line_histogram)
        press(&w, KEY_DOWN_);
    press(&w, KEY_ENTER_);
    check(&w, "histogram");
    look(&w, 24, 80);
    press(&w, KEY_TAB_);
    check(&w, "heat");
    look(&w, 24, 80);
    press(&w, KEY_TAB_);
    press_all(&w, "\033\033");
    go_to(&w, "db-1", "vcpu-3");
    press(&w, 'C');
    go_to(&w, "db-1", "vcpu-0");
    press(&w, KEY_ENTER_);
    beats(&w, 3);
    look(&w, 24, 80);
    while (!w.view.line_histogram)
        press(&w, KEY_DOWN_);
    press(&w, KEY_ENTER_);
    check(&w, "compared");
    world_end(&w);
}
