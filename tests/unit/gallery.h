/* SPDX-License-Identifier: MIT */
/* gallery.h: whole screens of kvmtop, as they are in tests/unit/screens: VMs that do the same at each run, seen by a clock
 * that stands still between beats. With VMT_SCREENS_WRITE=1 the files are written anew: look at them before keeping them. */
#ifndef TESTS_UNIT_GALLERY_H
#define TESTS_UNIT_GALLERY_H

#include "kernel_view.h"
#include "still.h"
#include "top.h"

#include <errno.h>
#include <locale.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/top/draw.h"

#define BEATS 40

/* ---- the VMs ---- */

#define THING_STATISTICS(X)                                                                                            \
    X(CUMULATIVE, THING_TICKS, "ticks", NONE, 1, 0, "Ticks")                                                           \
    X(CUMULATIVE, THING_TOCKS, "tocks", NONE, 1, 0, "Tocks")                                                           \
    X(CUMULATIVE, THING_WEIGHT, "weight", BYTES, 1, 0, "What went through it")
VMT_SCHEMA_ENUM(THING, THING_STATISTICS)
VMT_SCHEMA_DEFINE(thing_schema, "thing", "test", "thing", THING, THING_STATISTICS)

enum { WEB, DB, CACHE, OLD, VMS };
#define VMS_MAX 16 /* those of a test beside them too */
#define VCPUS 4

struct world {
    struct host host;
    struct view view;
    struct detail detail;
    struct detail compared;
    struct grid grid;
    struct vmt_segment *vms[VMS];
    struct vmt_source *sources[VMS][VCPUS];
    struct vmt_shard *vcpus[VMS][VCPUS];
    struct vmt_shard *kernel[VCPUS]; /* of WEB, after add_kernel() */
    struct vmt_shard *disk;
    struct vmt_shard *net;
    struct vmt_shard *thing;
    unsigned beats;
};

static inline struct vmt_shard *hold(struct vmt_source *source, pid_t thread)
{
    struct vmt_shard *shard;

    fake_pid = thread;
    shard = vmt_shard_acquire(source);
    fake_pid = 0;
    return shard;
}

static inline void world_start(struct world *w)
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
            w->sources[i][k] = add(w->vms[i], &vmt_schema_vcpu, NULL, id);
            w->vcpus[i][k] = hold(w->sources[i][k], 4720 + i * 100 + k);
        }
    }
    w->net = hold(add(w->vms[WEB], &vmt_schema_net, NULL, "net0"), 4730);
    w->disk = hold(add(w->vms[DB], &vmt_schema_block, NULL, "disk0"), 4830);
    w->thing = hold(add(w->vms[CACHE], &thing_schema, NULL, "thing"), 4930);
    fake_ns = NOON_NS;
    host_init(&w->host);
    settings_default(&w->view.settings);
    w->view.mode = VIEW_OVERVIEW;
    w->view.sandbox = "as the test says";
}

/* From now on web-1 has beside each vCPU what the kernel counts of it. */
static inline void add_kernel(struct world *w)
{
    for (int k = 0; k < 2; k++)
        w->kernel[k] = hold(add(w->vms[WEB], &kernel_vcpu, w->sources[WEB][k], "kvm"), 4740);
}

/* As the kernel counts what vcpu_work() does: it sees exits that never reach the VMM. */
static inline void kernel_work(struct vmt_shard *shard, unsigned n, unsigned k)
{
    unsigned exits = 40 * (20 + (n * (k + 3) * 7) % 60);

    vmt_add(shard, KVM_EXITS, exits * 2 + 500);
    vmt_add(shard, KVM_IO_EXITS, exits * 6 / 10);
    vmt_add(shard, KVM_HALT_EXITS, exits / 2);
    vmt_add(shard, KVM_HALT_WAIT, 1000000U * (300 + n % 7));
    for (unsigned i = 0; i < 20; i++)
        vmt_record(shard, KVM_HALT_HIST, 2000 + (i * i * i * (k + 2) * 53) % 9000000);
    vmt_set(shard, KVM_BLOCKING, k);
}

/* What vCPU k does in a second: each has a rhythm of its own. */
static inline void vcpu_work(struct vmt_shard *shard, unsigned n, unsigned k, unsigned much)
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

static inline void work(struct world *w)
{
    unsigned n = w->beats;

    for (unsigned k = 0; k < VCPUS; k++) {
        if (k < 2)
            vcpu_work(w->vcpus[WEB][k], n, k, 40);
        vcpu_work(w->vcpus[DB][k], n / 3, k, 5);
        if (w->kernel[k])
            kernel_work(w->kernel[k], n, k);
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

static inline void focus(struct world *w)
{
    uint64_t keys[] = { w->view.detail_key, w->view.compared_key };
    uint64_t vms[VMS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < sampler_set(w->host.sampler)->count && count < VMS_MAX; i++)
        vms[count++] = sampler_set(w->host.sampler)->vms[i].id;
    cr_assert_eq(sampler_focus(w->host.sampler, vms, count), 0);
    history_focus(w->host.history, keys, w->view.compared_key ? 2 : w->view.detail_key ? 1 : 0);
}

/* The host's load and CPUs are those of the test. */
static inline void beat(struct world *w)
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

static inline void beats(struct world *w, unsigned count)
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

static inline void world_end(struct world *w)
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

static inline void build(struct world *w, struct detail *detail, uint64_t key)
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

static inline void look(struct world *w, int rows, int columns)
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

static inline void press(struct world *w, int key)
{
    cr_assert_eq(view_key(&w->view, &w->host.model, key), 0);
    look(w, 24, 80);
}

static inline void press_all(struct world *w, const char *keys)
{
    for (; *keys; keys++)
        press(w, (unsigned char)*keys);
}

/* Select the row of that name, of that VM. */
static inline void go_to(struct world *w, const char *vm, const char *name)
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

static inline void go_to_line(struct world *w, const char *name)
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

static inline FILE *open_golden(const char *name, const char *how)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/tests/unit/screens/%s.txt", getenv("VMT_SOURCE_ROOT"), name);
    return fopen(path, how);
}

static inline void write_golden(const struct world *w, const char *name)
{
    FILE *f = open_golden(name, "w");
    char text[4096];

    cr_assert_not_null(f, "%s: %m", name);
    for (int y = 0; y < w->grid.rows; y++)
        fprintf(f, "%s\n", grid_row_text(&w->grid, y, text, sizeof(text)));
    fclose(f);
}

static inline void compare_golden(const struct world *w, const char *name)
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

static inline void check_size(struct world *w, const char *name, int rows, int columns, int ascii)
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
static inline void check(struct world *w, const char *name)
{
    static const int sizes[][2] = { { 24, 80 }, { 40, 120 }, { 60, 200 } };

    for (int i = 0; i < 3; i++) {
        check_size(w, name, sizes[i][0], sizes[i][1], 1);
        check_size(w, name, sizes[i][0], sizes[i][1], 0);
    }
    w->view.settings.ascii = 0;
}

static inline void by(struct world *w, const char *name)
{
    long column = column_find(name);

    cr_assert_geq(column, 0);
    w->view.settings.sort = (size_t)column;
}

#endif
