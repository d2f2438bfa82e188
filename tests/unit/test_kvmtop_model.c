/* SPDX-License-Identifier: MIT */
/* What kvmtop shows, without a terminal: samples of real segments, the rows made of them, keys, and what is drawn. */
#include <criterion/criterion.h>
#include <errno.h>
#include <json-c/json.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <vmtally.h>
#include <vmtally/export.h>

#include "cli/top/batch.h"
#include "cli/top/draw.h"
#include "cli/top/keys.h"
#include "cli/top/model.h"
#include "cli/top/sampler.h"
#include "helper.h"

TestSuite(sampler, .init = test_dir_init, .fini = test_dir_fini);
TestSuite(model, .init = test_dir_init, .fini = test_dir_fini);
TestSuite(keys, .init = test_dir_init, .fini = test_dir_fini);
TestSuite(draw, .init = test_dir_init, .fini = test_dir_fini);

/* ---- a host with VMs ---- */

struct host {
    struct sampler *sampler;
    struct model model;
    struct view view;
    struct detail detail;
    struct grid grid;
};

static struct vmt_segment *start(const char *name)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = name };
    struct vmt_segment *segment = NULL;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0, "%s", name);
    return segment;
}

static struct vmt_source *add(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                              const char *id)
{
    struct vmt_source *source = NULL;

    cr_assert_eq(vmt_source_add(segment, schema, parent, id, &source), 0, "%s", id);
    return source;
}

static void host_init(struct host *h)
{
    memset(h, 0, sizeof(*h));
    h->view.mode = VIEW_OVERVIEW;
    h->view.interval_s = 1;
    h->view.ascii = 1;
    h->view.sandbox = "none";
    cr_assert_eq(sampler_new(NULL, NULL, 0, &h->sampler), 0);
}

/* A sample, and the rows made of it. */
static void host_take(struct host *h)
{
    cr_assert_eq(sampler_take(h->sampler), 0);
    cr_assert_eq(model_build(&h->model, sampler_set(h->sampler), &h->view.folds), 0);
    view_settle(&h->view, &h->model, 20);
}

static void host_free(struct host *h)
{
    model_free(&h->model);
    detail_free(&h->detail);
    folds_free(&h->view.folds);
    grid_free(&h->grid);
    sampler_free(h->sampler);
}

/* Row i, which must be of this name. */
static const struct model_row *row(const struct host *h, size_t i, const char *name)
{
    cr_assert_lt(i, h->model.count);
    cr_assert_str_eq(h->model.rows[i].facts.name, name);
    return &h->model.rows[i];
}

/* What a rate says was counted since the sample before. */
static double counted(const struct host *h, const struct model_row *r, double rate)
{
    return rate * vmt_delta_seconds(sampler_set(h->sampler)->vms[r->vm].delta);
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(test_path(name), "w");

    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

/* ---- samples ---- */

Test(sampler, one_bad_file_is_a_row_and_stops_nothing)
{
    struct vmt_segment *segment = start("good");
    struct host h;

    write_file("bad.vmt", "this is no segment, and longer than nothing at all");
    write_file("empty.vmt", "");
    cr_assert_eq(symlink("/etc/passwd", test_path("link.vmt")), 0);
    host_init(&h);
    host_take(&h);
    host_take(&h);
    cr_assert_eq(h.model.count, 4);
    cr_expect_str_eq(row(&h, 0, "bad")->facts.state, "not a segment");
    cr_expect_str_eq(row(&h, 1, "empty")->facts.state, "empty");
    cr_expect_str_eq(row(&h, 2, "good")->facts.state, "live");
    cr_expect_str_eq(row(&h, 3, "link")->facts.state, "unreadable");
    cr_expect_eq(h.model.states[VMT_STATE_LIVE], 1);
    cr_expect_eq(h.model.unreadable, 3);
    cr_assert_eq(unlink(test_path("bad.vmt")), 0);
    host_take(&h);
    cr_expect_eq(h.model.count, 3, "what never was a VM goes with its file");
    host_free(&h);
    vmt_segment_close(segment);
}

Test(sampler, a_vm_that_starts_is_there_and_one_that_ended_is_still_shown)
{
    struct vmt_segment *segment;
    struct host h;

    host_init(&h);
    host_take(&h);
    cr_expect_eq(h.model.count, 0);
    segment = start("late");
    host_take(&h);
    cr_expect_str_eq(row(&h, 0, "late")->facts.state, "live");
    vmt_segment_close(segment);
    cr_expect_neq(access(test_path("late.vmt"), F_OK), 0);
    host_take(&h);
    cr_expect_str_eq(row(&h, 0, "late")->facts.state, "closed");
    host_free(&h);
}

Test(sampler, a_segment_replaced_under_its_name_is_followed)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct host h;
    uint64_t key;

    vmt_count(vcpu, VMT_VCPU_EXITS, 1000000);
    host_init(&h);
    host_take(&h);
    host_take(&h);
    key = row(&h, 0, "web")->key;
    cr_expect_not(isnan(row(&h, 0, "web")->facts.measures.exits));
    vmt_segment_close(segment);
    segment = start("web");
    vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    vmt_count(vcpu, VMT_VCPU_EXITS, 7);
    host_take(&h);
    cr_expect_eq(h.model.count, 2);
    cr_expect_eq(row(&h, 0, "web")->key, key);
    cr_expect_str_eq(row(&h, 0, "web")->facts.state, "live");
    cr_expect(isnan(row(&h, 0, "web")->facts.measures.exits), "another segment has nothing to compare with");
    vmt_count(vcpu, VMT_VCPU_EXITS, 5);
    host_take(&h);
    cr_expect_float_eq(counted(&h, row(&h, 0, "web"), row(&h, 0, "web")->facts.measures.exits), 5, 0.01);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(sampler, names_choose_whole_names_and_paths)
{
    struct vmt_segment *a = start("web-1");
    struct vmt_segment *b = start("web-10");
    char one[] = "web-1";
    char none[] = "web";
    char path[4096];
    char *names[] = { one, none };
    char *paths[] = { path };
    struct sampler *s = NULL;

    cr_assert_eq(sampler_new(NULL, names, 2, &s), 0);
    cr_assert_eq(sampler_take(s), 0);
    cr_expect_eq(sampler_set(s)->count, 1);
    cr_expect_str_eq(sampler_set(s)->vms[0].name, "web-1");
    cr_expect_str_eq(sampler_missing(s), "web");
    sampler_free(s);
    snprintf(path, sizeof(path), "%s", test_path("web-10.vmt"));
    cr_assert_eq(sampler_new(NULL, paths, 1, &s), 0);
    cr_assert_eq(sampler_take(s), 0);
    cr_expect_eq(sampler_set(s)->count, 1);
    cr_expect_str_eq(sampler_set(s)->vms[0].name, "web-10");
    cr_expect_null(sampler_missing(s));
    sampler_free(s);
    vmt_segment_close(a);
    vmt_segment_close(b);
}

/* ---- rows ---- */

Test(model, names_are_in_the_order_of_people)
{
    static const char *const names[] = { "", "a", "a0", "a00", "a1", "a01", "a2", "a10", "a10b", "a11", "b" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            int c = model_compare_names(names[i], names[k]);

            if (i == k)
                cr_expect_eq(c, 0);
            else if (strcmp(names[i], "a1") && strcmp(names[i], "a01") && strcmp(names[i], "a0") &&
                     strcmp(names[i], "a00")) /* equal as numbers: any order, but one */
                cr_expect_eq(c < 0, i < k, "%s %s", names[i], names[k]);
            cr_expect_eq(c<0, model_compare_names(names[k], names[i])> 0, "%s %s", names[i], names[k]);
        }
    }
}

Test(model, rows_are_a_tree_with_siblings_in_order)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *vm = add(segment, &vmt_schema_vm, NULL, "vm");
    struct host h;

    add(segment, &vmt_schema_vcpu, vm, "vcpu-10");
    add(segment, &vmt_schema_block, NULL, "disk");
    add(segment, &vmt_schema_vcpu, vm, "vcpu-2");
    host_init(&h);
    host_take(&h);
    cr_assert_eq(h.model.count, 5);
    cr_expect_eq(row(&h, 0, "web")->depth, 0);
    cr_expect_eq(row(&h, 0, "web")->children, 2);
    cr_expect_eq(row(&h, 0, "web")->facts.pid, (uint32_t)getpid());
    cr_expect_eq(row(&h, 0, "web")->facts.measures.vcpus, 2);
    cr_expect_eq(row(&h, 1, "disk")->depth, 1);
    cr_expect_eq(row(&h, 1, "disk")->below, 2, "a sibling follows");
    cr_expect_eq(row(&h, 2, "vm")->below, 0);
    cr_expect_eq(row(&h, 3, "vcpu-2")->depth, 2);
    cr_expect_eq(row(&h, 3, "vcpu-2")->below, 4);
    cr_expect_eq(row(&h, 4, "vcpu-10")->below, 0);
    cr_expect_str_eq(row(&h, 4, "vcpu-10")->facts.source, "vm/vcpu-10");
    host_free(&h);
    vmt_segment_close(segment);
}

Test(model, rates_say_what_was_counted_since_the_sample_before)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct vmt_source *disk = add(segment, &vmt_schema_block, NULL, "disk");
    struct vmt_shard *shard = vmt_shard_acquire(vcpu);
    struct host h;
    const struct measures *m;
    const struct model_row *vm;

    vmt_add(shard, VMT_VCPU_EXITS, 123456);
    host_init(&h);
    host_take(&h);
    cr_expect(isnan(row(&h, 0, "web")->facts.measures.exits), "one sample has no rates");
    vmt_add(shard, VMT_VCPU_EXITS, 1000);
    vmt_add(shard, VMT_VCPU_EXIT_HLT, 200);
    vmt_add(shard, VMT_VCPU_EXIT_IO_OUT, 700);
    vmt_add(shard, VMT_VCPU_RUN_TIME, 50000000);
    for (int i = 0; i < 98; i++)
        vmt_latency(shard, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 1000);
    vmt_latency(shard, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 5000);
    vmt_latency(shard, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 100000);
    vmt_count(disk, VMT_BLOCK_READ_BYTES, 4096);
    vmt_count(disk, VMT_BLOCK_WRITE_BYTES, 8192);
    vmt_count(disk, VMT_BLOCK_READ_COUNT, 1);
    vmt_count(disk, VMT_BLOCK_WRITE_COUNT, 2);
    host_take(&h);
    vm = row(&h, 0, "web");
    m = &vm->facts.measures;
    cr_expect_float_eq(counted(&h, vm, m->exits), 1000, 0.01);
    cr_expect_str_eq(m->top_exit, "io_out");
    cr_expect_float_eq(m->top_share, 0.7, 0.001);
    cr_expect_float_eq(counted(&h, vm, m->run), 0.05, 0.00001);
    cr_expect_float_eq(counted(&h, vm, m->bytes), 12288, 0.1);
    cr_expect_float_eq(counted(&h, vm, m->ops), 3, 0.001);
    cr_assert_not_null(m->latency);
    cr_expect_eq(m->p50.low, 512);
    cr_expect_eq(m->p50.high, 1024);
    cr_expect_eq(m->p99.low, 4096);
    cr_expect_eq(m->p99.high, 8192);
    cr_expect_float_eq(counted(&h, vm, h.model.total.exits), 1000, 0.01);
    cr_expect(isnan(row(&h, 1, "disk")->facts.measures.exits));
    cr_expect_float_eq(counted(&h, vm, row(&h, 1, "disk")->facts.measures.bytes), 12288, 0.1);
    cr_expect(isnan(row(&h, 2, "vcpu-0")->facts.measures.bytes));
    host_take(&h);
    m = &row(&h, 0, "web")->facts.measures;
    cr_expect_float_eq(m->exits, 0, 0, "nothing happened, and that is known");
    cr_expect_null(m->latency, "nothing was measured");
    host_free(&h);
    vmt_segment_close(segment);
}

Test(model, an_unplugged_vcpu_leaves_its_counts_to_the_vm)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *a = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct vmt_source *b = add(segment, &vmt_schema_vcpu, NULL, "vcpu-1");
    struct host h;

    vmt_count(a, VMT_VCPU_EXITS, 1000);
    vmt_count(b, VMT_VCPU_EXITS, 5000);
    host_init(&h);
    host_take(&h);
    vmt_count(a, VMT_VCPU_EXITS, 10);
    vmt_count(b, VMT_VCPU_EXITS, 20);
    vmt_source_remove(b);
    host_take(&h);
    cr_assert_eq(h.model.count, 2);
    cr_expect_float_eq(counted(&h, row(&h, 0, "web"), row(&h, 0, "web")->facts.measures.exits), 30, 0.01);
    cr_expect_float_eq(counted(&h, row(&h, 0, "web"), row(&h, 1, "vcpu-0")->facts.measures.exits), 10, 0.01);
    cr_expect_eq(row(&h, 0, "web")->facts.measures.vcpus, 1);
    host_free(&h);
    vmt_segment_close(segment);
}

#define ODD_STATISTICS(X)                                                                                              \
    X(CUMULATIVE, ODD_QUIET, "quiet", NONE, 1, 0, "Never counted")                                                     \
    X(CUMULATIVE, ODD_FRAMES, "frames", NONE, 1, 0, "Frames drawn")                                                    \
    X(CUMULATIVE, ODD_PIXELS, "pixel_bytes", BYTES, 1, 0, "Bytes of pixels")                                           \
    X(MINIMUM, ODD_LEAST, "least", NANOSECONDS, 1, 0, "Least time")
VMT_SCHEMA_ENUM(ODD, ODD_STATISTICS)
VMT_SCHEMA_DEFINE(odd_schema, "odd", "test", "gpu", ODD, ODD_STATISTICS)

Test(model, an_unknown_schema_shows_its_most_active_counters)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *gpu = add(segment, &odd_schema, NULL, "gpu");
    struct host h;
    const char *active;

    host_init(&h);
    host_take(&h);
    vmt_count(gpu, ODD_FRAMES, 60);
    vmt_count(gpu, ODD_PIXELS, 1 << 20);
    host_take(&h);
    active = row(&h, 1, "gpu")->facts.measures.active;
    cr_expect_eq(strncmp(active, "frames ", 7), 0, "%s", active);
    cr_expect_not_null(strstr(active, "pixel_bytes "), "%s", active);
    cr_expect_null(strstr(active, "quiet"), "%s", active);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(model, detail_has_every_statistic_and_the_totals)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *gpu = add(segment, &odd_schema, NULL, "gpu");
    struct host h;
    size_t found = 0;

    vmt_count(gpu, ODD_FRAMES, 60);
    host_init(&h);
    host_take(&h);
    host_take(&h);
    cr_assert_eq(detail_build(&h.detail, sampler_set(h.sampler), row(&h, 1, "gpu")->key), 0);
    for (size_t i = 0; i < h.detail.count; i++) {
        const struct detail_line *line = &h.detail.lines[i];

        if (!strcmp(line->name, "frames")) {
            cr_expect_str_eq(line->value, "60");
            cr_expect_str_eq(line->rate, "0/s");
            cr_expect_str_eq(line->help, "Frames drawn");
            found++;
        }
        if (!strcmp(line->name, "least")) {
            cr_expect_str_eq(line->value, "-");
            cr_expect_str_eq(line->unit, "seconds");
            found++;
        }
    }
    cr_expect_eq(found, 2);
    cr_assert_eq(detail_build(&h.detail, sampler_set(h.sampler), row(&h, 0, "web")->key), 0);
    found = 0;
    for (size_t i = 0; i < h.detail.count; i++)
        found += !strcmp(h.detail.lines[i].name, "frames") && !strcmp(h.detail.lines[i].value, "60");
    cr_expect_eq(found, 1, "the VM has it as a total");
    cr_expect_eq(detail_build(&h.detail, sampler_set(h.sampler), 1), -ENOENT);
    cr_expect_eq(h.detail.count, 0);
    host_free(&h);
    vmt_segment_close(segment);
}

/* ---- keys ---- */

Test(keys, selection_follows_the_item)
{
    struct vmt_segment *segment = start("m");
    struct vmt_segment *other;
    struct host h;

    add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    add(segment, &vmt_schema_vcpu, NULL, "vcpu-1");
    host_init(&h);
    host_take(&h);
    cr_assert_eq(view_key(&h.view, &h.model, KEY_END_), 0);
    cr_expect_eq(h.view.selected, 2);
    other = start("a");
    host_take(&h);
    cr_expect_eq(h.view.selected, 3);
    cr_expect_str_eq(h.model.rows[h.view.selected].facts.name, "vcpu-1");
    view_key(&h.view, &h.model, KEY_UP_);
    cr_expect_str_eq(h.model.rows[h.view.selected].facts.name, "vcpu-0");
    view_key(&h.view, &h.model, KEY_HOME_);
    view_key(&h.view, &h.model, KEY_UP_);
    cr_expect_eq(h.view.selected, 0);
    host_free(&h);
    vmt_segment_close(segment);
    vmt_segment_close(other);
}

Test(keys, folding_hides_what_is_below_and_changes_no_number)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct host h;

    host_init(&h);
    host_take(&h);
    view_key(&h.view, &h.model, KEY_DOWN_);
    view_key(&h.view, &h.model, ' '); /* of a leaf: its parent */
    vmt_count(vcpu, VMT_VCPU_EXITS, 9);
    host_take(&h);
    cr_assert_eq(h.model.count, 1);
    cr_expect(row(&h, 0, "web")->folded);
    cr_expect_float_eq(counted(&h, row(&h, 0, "web"), row(&h, 0, "web")->facts.measures.exits), 9, 0.01);
    view_key(&h.view, &h.model, ' ');
    host_take(&h);
    cr_expect_eq(h.model.count, 2);
    view_key(&h.view, &h.model, '*');
    host_take(&h);
    cr_expect_eq(h.model.count, 1);
    view_key(&h.view, &h.model, '*');
    host_take(&h);
    cr_expect_eq(h.model.count, 2);
    view_key(&h.view, &h.model, '-');
    host_take(&h);
    cr_expect_eq(h.model.count, 1);
    view_key(&h.view, &h.model, '+');
    host_take(&h);
    cr_expect_eq(h.model.count, 2);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(keys, modes_and_settings)
{
    struct vmt_segment *segment = start("web");
    struct host h;

    host_init(&h);
    host_take(&h);
    view_key(&h.view, &h.model, KEY_ENTER_);
    cr_expect_eq(h.view.mode, VIEW_DETAIL);
    view_key(&h.view, &h.model, '?');
    cr_expect_eq(h.view.mode, VIEW_HELP);
    view_key(&h.view, &h.model, KEY_ESCAPE_);
    cr_expect_eq(h.view.mode, VIEW_DETAIL);
    view_key(&h.view, &h.model, 'q');
    cr_expect_eq(h.view.mode, VIEW_OVERVIEW);
    cr_expect_not(h.view.quit);
    view_key(&h.view, &h.model, 'p');
    cr_expect(h.view.paused);
    view_key(&h.view, &h.model, 'p');
    cr_expect_not(h.view.paused);
    view_key(&h.view, &h.model, '[');
    cr_expect_float_eq(h.view.interval_s, 0.5, 1e-9);
    for (int i = 0; i < 100; i++)
        view_key(&h.view, &h.model, '[');
    cr_expect_float_eq(h.view.interval_s, INTERVAL_MIN_S, 1e-9);
    for (int i = 0; i < 100; i++)
        view_key(&h.view, &h.model, ']');
    cr_expect_float_eq(h.view.interval_s, INTERVAL_MAX_S, 1e-9);
    view_key(&h.view, &h.model, KEY_OTHER_);
    view_key(&h.view, &h.model, 'X');
    view_key(&h.view, &h.model, KEY_ESCAPE_);
    cr_expect_not(h.view.quit, "none of these");
    view_key(&h.view, &h.model, 'q');
    cr_expect(h.view.quit);
    host_free(&h);
    vmt_segment_close(segment);
}

/* ---- drawing ---- */

static void host_draw(struct host *h, int rows, int columns)
{
    const struct sample_set *set = sampler_set(h->sampler);

    if (h->view.mode == VIEW_DETAIL)
        detail_build(&h->detail, set, h->view.detail_key);
    h->view.lines = h->view.mode == VIEW_HELP ? draw_help_lines() : h->detail.count;
    view_settle(&h->view, &h->model, draw_page(rows));
    cr_assert_eq(grid_reset(&h->grid, rows, columns), 0);
    draw_view(&h->grid, set, &h->model, &h->detail, &h->view, "DIR");
}

static const char *line(const struct host *h, int y)
{
    static char text[4096];

    return grid_row_text(&h->grid, y, text, sizeof(text));
}

/* The first line with this text, or -1. */
static int line_with(const struct host *h, const char *text)
{
    for (int y = 0; y < h->grid.rows; y++) {
        if (strstr(line(h, y), text))
            return y;
    }
    return -1;
}

Test(draw, grid_cuts_at_its_edges_and_keeps_wide_characters_whole)
{
    struct grid g = { 0 };
    char text[64];

    cr_assert_not_null(setlocale(LC_CTYPE, "C.UTF-8"));
    cr_assert_eq(grid_reset(&g, 2, 8), 0);
    cr_expect_eq(grid_text(&g, 0, 6, 100, STYLE_NORMAL, "abc"), 2);
    cr_expect_str_eq(grid_row_text(&g, 0, text, sizeof(text)), "      ab");
    cr_expect_eq(grid_text(&g, 1, 0, 4, STYLE_NORMAL, "a\u6f22\u5b57"), 3, "the second one does not fit");
    cr_expect_str_eq(grid_row_text(&g, 1, text, sizeof(text)), "a\u6f22");
    cr_expect_eq(grid_text(&g, 2, 0, 4, STYLE_NORMAL, "x"), 0);
    cr_expect_eq(grid_text(&g, 0, -1, 4, STYLE_NORMAL, "x"), 0);
    cr_expect_eq(grid_text(&g, 0, 8, 4, STYLE_NORMAL, "x"), 0);
    cr_assert_eq(grid_reset(&g, 1, 8), 0);
    grid_text(&g, 0, 0, 8, STYLE_NORMAL, "a\033\xff\xc3z\xe2\x82");
    cr_expect_str_eq(grid_row_text(&g, 0, text, sizeof(text)), "a???z?");
    cr_assert_eq(grid_reset(&g, 1, 8), 0);
    grid_number(&g, 0, 0, 5, STYLE_NORMAL, "123");
    cr_expect_str_eq(grid_row_text(&g, 0, text, sizeof(text)), "  123");
    grid_number(&g, 0, 0, 5, STYLE_NORMAL, "123456");
    cr_expect_str_eq(grid_row_text(&g, 0, text, sizeof(text)), "#####");
    cr_assert_eq(grid_reset(&g, 0, 0), 0);
    cr_expect_eq(grid_text(&g, 0, 0, 4, STYLE_NORMAL, "x"), 0);
    grid_free(&g);
}

Test(draw, overview_fits_80x24_and_gains_columns_at_120x40)
{
    struct vmt_segment *segment = start("web-1");
    struct vmt_source *vm = add(segment, &vmt_schema_vm, NULL, "vm");
    struct vmt_source *vcpu = add(segment, &vmt_schema_vcpu, vm, "vcpu-0");
    struct host h;

    add(segment, &vmt_schema_block, vm, "block-0");
    host_init(&h);
    host_take(&h);
    vmt_count(vcpu, VMT_VCPU_EXITS, 5);
    vmt_count(vcpu, VMT_VCPU_EXIT_MMIO_WRITE, 5);
    host_take(&h);
    host_draw(&h, 24, 80);
    cr_expect_eq(strncmp(line(&h, 1), "1 VM: 1 live  1 vCPU  ", 22), 0, "%s", line(&h, 1));
    cr_expect_str_eq(line(&h, 2), "NAME             STATE  EXITS/s TOP EXIT          RUN%   IO B/s    IO/s      P99");
    cr_expect_eq(strncmp(line(&h, 3), "- web-1          live ", 22), 0, "%s", line(&h, 3));
    cr_expect_not_null(strstr(line(&h, 3), "mmio_write 100%"), "%s", line(&h, 3));
    cr_expect_eq(strncmp(line(&h, 4), "`-- vm ", 7), 0, "%s", line(&h, 4));
    cr_expect_eq(strncmp(line(&h, 5), "  |- block-0 ", 13), 0, "%s", line(&h, 5));
    cr_expect_eq(strncmp(line(&h, 6), "  `- vcpu-0 ", 12), 0, "%s", line(&h, 6));
    cr_expect_eq(strncmp(line(&h, 23), "q quit  h, ? help  Enter detail", 31), 0, "%s", line(&h, 23));
    host_draw(&h, 40, 120);
    cr_expect_not_null(strstr(line(&h, 2), "PID STATE"), "%s", line(&h, 2));
    cr_expect_not_null(strstr(line(&h, 2), " AGE VCPUS "), "%s", line(&h, 2));
    cr_expect_not_null(strstr(line(&h, 2), " P50      P99"), "%s", line(&h, 2));
    host_draw(&h, DRAW_ROWS_MIN, DRAW_COLUMNS_MIN);
    cr_expect_not_null(strstr(line(&h, 2), "EXITS/s"), "%s", line(&h, 2));
    h.view.ascii = 0;
    host_draw(&h, 24, 80);
    cr_expect_eq(strncmp(line(&h, 5), "  \u251c\u2500 block-0 ", 17), 0, "%s", line(&h, 5));
    host_free(&h);
    vmt_segment_close(segment);
}

Test(draw, too_small_a_terminal_is_said_at_any_size)
{
    struct vmt_segment *segment = start("web-1");
    struct host h;

    host_init(&h);
    host_take(&h);
    host_draw(&h, 5, 80);
    cr_expect_str_eq(line(&h, 0), "Too small: 80x5;");
    cr_expect_str_eq(line(&h, 1), "needs 40x6.");
    host_draw(&h, 24, 39);
    cr_expect_str_eq(line(&h, 0), "Too small: 39x24;");
    for (int rows = 0; rows < 8; rows++) {
        for (int columns = 0; columns < 50; columns++) {
            for (int mode = VIEW_OVERVIEW; mode <= VIEW_HELP; mode *= 2) {
                h.view.mode = (enum view_mode)mode;
                host_draw(&h, rows, columns);
            }
        }
    }
    host_free(&h);
    vmt_segment_close(segment);
}

Test(draw, no_vms_are_said_with_the_place)
{
    struct host h;

    host_init(&h);
    host_take(&h);
    host_draw(&h, 24, 80);
    cr_expect_eq(strncmp(line(&h, 1), "0 VMs", 5), 0);
    cr_expect_geq(line_with(&h, "No VMs in DIR."), 0);
    host_free(&h);
}

Test(draw, help_is_made_from_the_table_of_keys)
{
    struct host h;

    host_init(&h);
    host_take(&h);
    view_key(&h.view, &h.model, 'h');
    host_draw(&h, 40, 80);
    for (size_t i = 0; i < key_binding_count; i++) {
        char text[256];

        snprintf(text, sizeof(text), " %-10s %s", key_bindings[i].name, key_bindings[i].help);
        cr_expect_geq(line_with(&h, text), 0, "%s", text);
    }
    host_draw(&h, 10, 80);
    view_key(&h.view, &h.model, KEY_END_);
    host_draw(&h, 10, 80);
    cr_expect_geq(line_with(&h, key_bindings[key_binding_count - 1].help), 0, "the end can be reached");
    cr_expect_geq(line_with(&h, " Sandbox    none"), 0, "and says what is in force");
    host_free(&h);
}

Test(draw, detail_shows_statistics_and_says_when_the_source_has_gone)
{
    struct vmt_segment *segment = start("web-1");
    struct vmt_source *vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct host h;

    vmt_count(vcpu, VMT_VCPU_EXITS, 4711);
    host_init(&h);
    host_take(&h);
    view_key(&h.view, &h.model, KEY_END_);
    view_key(&h.view, &h.model, KEY_ENTER_);
    host_draw(&h, 24, 80);
    cr_expect_geq(line_with(&h, " exits "), 0);
    cr_expect_not_null(strstr(line(&h, line_with(&h, " exits ")), "4711"));
    cr_expect_geq(line_with(&h, "Returns of KVM_RUN"), 0);
    vmt_source_remove(vcpu);
    host_take(&h);
    host_draw(&h, 24, 80);
    cr_expect_geq(line_with(&h, "not there any more"), 0);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(draw, json_is_one_line_a_sample_and_exact)
{
    struct vmt_segment *segment = start("web-1");
    struct vmt_source *gpu = add(segment, &odd_schema, NULL, "gpu");
    struct host h;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    vmt_count(gpu, ODD_FRAMES, UINT64_MAX - 1);
    vmt_count(gpu, ODD_PIXELS, (UINT64_C(1) << 53) + 1);
    host_init(&h);
    host_take(&h);
    host_take(&h);
    cr_assert_eq(batch_write(f, BATCH_JSON, sampler_set(h.sampler), &h.model, 1, 1), 0);
    fclose(f);
    cr_expect_eq(strchr(text, '\n'), text + size - 1);
    cr_expect_not_null(strstr(text, "\"frames\":{\"type\":\"cumulative\",\"exponent\":0,\"value\":18446744073709551614,"
                                    "\"rate\":0"),
                       "%s", text);
    cr_expect_not_null(strstr(text, "\"value\":9007199254740993,"), "%s", text);
    cr_expect_not_null(strstr(text, "\"least\":{\"type\":\"instant\",\"unit\":\"seconds\",\"base\":10,"
                                    "\"exponent\":-9,\"value\":null}"),
                       "%s", text);
    free(text);
    host_free(&h);
    vmt_segment_close(segment);
}

/* Members of a row of the export that kvmtop has too: the same there, or in neither. */
static void expect_same_words(struct json_object *ours, struct json_object *row)
{
    static const char *const keys[] = { "type", "unit", "base", "exponent", "size", "bucket-size", "value" };

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct json_object *a = NULL;
        struct json_object *b = NULL;

        cr_expect_eq(json_object_object_get_ex(ours, keys[i], &a), json_object_object_get_ex(row, keys[i], &b));
        cr_expect(json_object_equal(a, b), "%s: %s, %s", keys[i], json_object_to_json_string(ours),
                  json_object_to_json_string(row));
    }
}

#define WORDS_STATISTICS(X)                                                                                            \
    X(CUMULATIVE, WORDS_MANY, "many", NONE, 1, 0, "Many")                                                              \
    X(BOOLEAN, WORDS_ON, "on", BOOL, 1, 0, "On or off")                                                                \
    X(PEAK, WORDS_MOST, "most", BYTES, 1, 0, "")                                                                       \
    X(LINEAR, WORDS_SIZES, "sizes", BYTES, 4, 10, "")                                                                  \
    X(LOG, WORDS_TIMES, "times", NANOSECONDS, 8, 0, "")
VMT_SCHEMA_ENUM(WORDS, WORDS_STATISTICS)
VMT_SCHEMA_DEFINE(words_schema, "words", "test", "words", WORDS, WORDS_STATISTICS)

Test(draw, json_has_the_words_of_the_export)
{
    struct vmt_segment *segment = start("web-1");
    struct vmt_source *words = add(segment, &words_schema, NULL, "words");
    struct vmt_buffer encoded = { 0 };
    struct json_object *line, *document, *vm, *sources, *rows;
    struct host h;
    char *text = NULL;
    char *other;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    add(segment, &odd_schema, NULL, "gpu");
    vmt_count(words, WORDS_MANY, 3);
    vmt_count(words, WORDS_ON, 1);
    host_init(&h);
    host_take(&h);
    host_take(&h);
    cr_assert_eq(batch_write(f, BATCH_JSON, sampler_set(h.sampler), &h.model, 1, 1), 0);
    fclose(f);
    cr_assert_eq(vmt_json_encode(sampler_set(h.sampler)->vms[0].snapshot, 0, &encoded), 0);
    line = json_tokener_parse(text);
    other = calloc(1, encoded.size + 1); /* the buffer has no NUL */
    cr_assert_not_null(other);
    memcpy(other, encoded.data, encoded.size);
    document = json_tokener_parse(other);
    free(other);
    vm = json_object_array_get_idx(json_object_object_get(line, "vms"), 0);
    cr_expect(json_object_equal(json_object_object_get(vm, "state"), json_object_object_get(document, "state")));
    cr_expect(json_object_equal(json_object_object_get(vm, "identity"), json_object_object_get(document, "identity")));
    sources = json_object_object_get(document, "sources");
    cr_assert_eq(json_object_array_length(sources), 3);
    for (size_t i = 0; i < 3; i++) {
        struct json_object *source = json_object_array_get_idx(json_object_object_get(vm, "sources"), i);

        rows = json_object_object_get(json_object_array_get_idx(sources, i), "stats");
        cr_assert_gt(json_object_array_length(rows), 0);
        cr_expect_not_null(json_object_object_get(source, "torn"));
        for (size_t k = 0; k < json_object_array_length(rows); k++) {
            struct json_object *row = json_object_array_get_idx(rows, k);
            const char *name = json_object_get_string(json_object_object_get(row, "name"));

            expect_same_words(json_object_object_get(json_object_object_get(source, "stats"), name), row);
        }
    }
    json_object_put(line);
    json_object_put(document);
    vmt_buffer_free(&encoded);
    free(text);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(draw, csv_has_one_line_for_each_source_and_as_many_fields_as_names)
{
    struct vmt_segment *segment = start("web-1");
    struct host h;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    size_t fields = 0;
    size_t lines = 0;
    char *rest;
    char *one;

    add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    host_init(&h);
    host_take(&h);
    host_take(&h);
    cr_assert_eq(batch_write(f, BATCH_CSV, sampler_set(h.sampler), &h.model, 1, 1), 0);
    fclose(f);
    for (rest = text; (one = strsep(&rest, "\n")) != NULL && rest; lines++) {
        size_t commas = 0;

        for (const char *p = one; *p; p++)
            commas += *p == ',';
        if (lines == 0)
            fields = commas;
        cr_expect_eq(commas, fields, "%s", one);
    }
    cr_expect_eq(lines, 3);
    free(text);
    host_free(&h);
    vmt_segment_close(segment);
}

/* ---- whose it is, and what it went through ---- */

#define SOMEBODY 65534

/* Make the file somebody else's: neither ours, nor root's, nor the directory owner's. Only root can. */
static void give_away(const char *name)
{
    if (geteuid() != 0)
        cr_skip_test("needs root");
    cr_assert_eq(chown(test_path(name), SOMEBODY, SOMEBODY), 0);
}

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 24];
    FILE *in = fopen(test_path(from), "r");
    FILE *out = fopen(test_path(to), "w");
    size_t n;

    cr_assert(in && out);
    n = fread(bytes, 1, sizeof(bytes), in);
    cr_assert_eq(fwrite(bytes, 1, n, out), n);
    fclose(in);
    fclose(out);
}

/* As a VMM that ended without saying goodbye leaves its segment. */
static void abandon(struct vmt_segment *segment)
{
    int fd = vmt_segment_hand_over(segment);

    cr_assert_geq(fd, 0);
    close(fd);
}

static struct vmt_segment *start_again(const char *name)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = name, .resume = 1 };
    struct vmt_segment *segment = NULL;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0, "%s", name);
    return segment;
}

Test(sampler, a_copy_with_anothers_name_and_identity_is_somebody_elses)
{
    struct vmt_segment *segment = start("web-1");
    struct vmt_segment *busy = start("busy");
    struct vmt_source *vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct vmt_source *other = add(busy, &vmt_schema_vcpu, NULL, "vcpu-0");
    const struct model_row *trusted;
    const struct model_row *copy;
    struct host h;

    vmt_count(vcpu, VMT_VCPU_EXITS, 1000);
    copy_file("web-1.vmt", "web-2.vmt");
    give_away("web-2.vmt");
    give_away("busy.vmt");
    host_init(&h);
    host_take(&h);
    vmt_count(vcpu, VMT_VCPU_EXITS, 10);
    vmt_count(other, VMT_VCPU_EXITS, 500000);
    host_take(&h);
    cr_assert_eq(h.model.count, 6);
    row(&h, 0, "busy (uid 65534)");
    trusted = row(&h, 2, "web-1");
    copy = row(&h, 4, "web-1 (uid 65534)");
    cr_expect_str_eq(trusted->facts.owner, "");
    cr_expect_str_eq(copy->facts.owner, " (uid 65534)");
    cr_expect_neq(trusted->key, copy->key);
    cr_expect_neq(h.model.rows[3].key, h.model.rows[5].key, "nor are its sources mistaken for the other's");
    cr_expect_float_eq(counted(&h, trusted, trusted->facts.measures.exits), 10, 0.01);
    cr_expect_float_eq(counted(&h, copy, copy->facts.measures.exits), 0, 0.01);
    cr_expect_eq(h.model.foreign, 2);
    cr_expect_float_eq(counted(&h, trusted, h.model.total.exits), 10, 0.01, "nobody makes the host look busy");
    host_free(&h);
    vmt_segment_close(segment);
    vmt_segment_close(busy);
}

Test(sampler, a_name_that_somebody_else_took_over_is_another_row)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct host h;
    uint64_t key;

    vmt_count(vcpu, VMT_VCPU_EXITS, 1000);
    host_init(&h);
    host_take(&h);
    host_take(&h);
    key = row(&h, 0, "web")->key;
    copy_file("web.vmt", "kept");
    vmt_segment_close(segment);
    cr_assert_eq(rename(test_path("kept"), test_path("web.vmt")), 0);
    give_away("web.vmt");
    host_take(&h);
    cr_assert_eq(h.model.count, 2);
    cr_expect_neq(row(&h, 0, "web (uid 65534)")->key, key);
    cr_expect(isnan(row(&h, 0, "web (uid 65534)")->facts.measures.exits), "equal identity, and yet not compared");
    host_free(&h);
}

Test(sampler, a_title_asks_for_that_owner_only)
{
    struct vmt_segment *segment = start("web-1");
    char title[] = "web-1 (uid 65534)";
    char other[] = "web-1 (uid 4)";
    char *names[] = { title };
    char *others[] = { other };
    struct sampler *s = NULL;

    give_away("web-1.vmt");
    cr_assert_eq(sampler_new(NULL, names, 1, &s), 0);
    cr_assert_eq(sampler_take(s), 0);
    cr_assert_eq(sampler_set(s)->count, 1);
    cr_expect_str_eq(sampler_set(s)->vms[0].title, title);
    cr_expect_str_eq(sampler_set(s)->vms[0].name, "web-1");
    sampler_free(s);
    cr_assert_eq(sampler_new(NULL, others, 1, &s), 0);
    cr_assert_eq(sampler_take(s), 0);
    cr_expect_eq(sampler_set(s)->count, 0);
    sampler_free(s);
    vmt_segment_close(segment);
}

Test(sampler, what_was_set_aside_is_damaged_and_its_name_goes_on)
{
    struct vmt_segment *segment = start("web");
    const uint32_t none = 0;
    struct host h;
    FILE *f;

    host_init(&h);
    host_take(&h);
    abandon(segment);
    host_take(&h);
    cr_expect_str_eq(row(&h, 0, "web")->facts.state, "died");
    f = fopen(test_path("web.vmt"), "r+");
    cr_assert_not_null(f);
    fseek(f, 108, SEEK_SET); /* source_limit */
    fwrite(&none, sizeof(none), 1, f);
    fclose(f);
    segment = start_again("web");
    cr_expect_eq(access(test_path("web~1.vmt"), F_OK), 0);
    host_take(&h);
    cr_assert_eq(h.model.count, 2);
    cr_expect_str_eq(row(&h, 0, "web")->facts.state, "live", "the row follows the name");
    cr_expect_str_eq(row(&h, 1, "web~1")->facts.state, "damaged");
    host_free(&h);
    vmt_segment_close(segment);
}

Test(sampler, what_was_set_aside_while_it_could_be_read_is_followed_by_name_too)
{
    struct vmt_segment *segment = start("web");
    struct host h;

    host_init(&h);
    host_take(&h);
    abandon(segment);
    host_take(&h);
    cr_assert_eq(rename(test_path("web.vmt"), test_path("web~2.vmt")), 0);
    segment = start("web");
    host_take(&h);
    cr_assert_eq(h.model.count, 2);
    cr_expect_str_eq(row(&h, 0, "web")->facts.state, "live");
    cr_expect_str_eq(row(&h, 1, "web~2")->facts.state, "damaged", "its own name is another's by now");
    cr_expect_eq(h.model.states[VMT_STATE_DAMAGED], 1);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(model, rates_go_on_across_a_restart_that_is_marked)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct host h;
    uint64_t key;

    vmt_count(vcpu, VMT_VCPU_EXITS, 1000000);
    host_init(&h);
    host_take(&h);
    host_take(&h);
    key = row(&h, 0, "web")->key;
    cr_expect_str_eq(row(&h, 0, "web")->facts.note, "");
    vmt_count(vcpu, VMT_VCPU_EXITS, 5);
    abandon(segment);
    segment = start_again("web");
    vcpu = add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    vmt_segment_ready(segment);
    vmt_count(vcpu, VMT_VCPU_EXITS, 7);
    host_take(&h);
    cr_assert_eq(h.model.count, 2);
    cr_expect_eq(row(&h, 0, "web")->key, key);
    cr_expect_str_eq(row(&h, 0, "web")->facts.state, "live");
    cr_expect_str_eq(row(&h, 0, "web")->facts.note, "restarted");
    cr_expect_eq(h.model.restarted, 1);
    cr_expect_float_eq(counted(&h, row(&h, 0, "web"), row(&h, 0, "web")->facts.measures.exits), 12, 0.01);
    cr_expect_float_eq(counted(&h, row(&h, 0, "web"), row(&h, 1, "vcpu-0")->facts.measures.exits), 12, 0.01);
    host_draw(&h, 24, 120);
    cr_expect_geq(line_with(&h, "1 VM: 1 live  1 restarted  1 vCPU"), 0);
    cr_expect_geq(line_with(&h, "live, restarted"), 0);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(model, what_was_dropped_is_marked_counted_and_told)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "web", .max_sources = 2 };
    struct vmt_segment *segment = NULL;
    struct vmt_source *none = NULL;
    struct host h;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    host_init(&h);
    host_take(&h);
    cr_expect_str_eq(row(&h, 0, "web")->facts.note, "");
    cr_expect_eq(vmt_source_add(segment, &vmt_schema_vcpu, NULL, "vcpu-1", &none), -ENFILE);
    vmt_shard_release(vmt_shard_acquire(NULL)); /* nobody's: not this segment's loss */
    host_take(&h);
    cr_expect_str_eq(row(&h, 0, "web")->facts.note, "dropped");
    cr_expect_eq(h.model.dropping, 1);
    host_draw(&h, 24, 120);
    cr_expect_geq(line_with(&h, "1 VM: 1 live  1 dropped  1 vCPU"), 0);
    cr_expect_geq(line_with(&h, "live, dropped"), 0);
    view_key(&h.view, &h.model, KEY_ENTER_);
    host_draw(&h, 40, 120);
    cr_expect_geq(line_with(&h, "1 source: see dropped_sources"), 0);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(draw, an_owner_is_seen_however_long_the_name)
{
    struct vmt_segment *segment = start("a-name-that-is-much-longer-than-the-column-of-names-is");
    struct host h;

    give_away("a-name-that-is-much-longer-than-the-column-of-names-is.vmt");
    host_init(&h);
    host_take(&h);
    for (int columns = DRAW_COLUMNS_MIN; columns < 140; columns += 7) {
        host_draw(&h, 24, columns);
        cr_expect_geq(line_with(&h, " (uid 65534) "), 0, "%d columns: %s", columns, line(&h, 3));
    }
    view_key(&h.view, &h.model, KEY_ENTER_);
    host_draw(&h, 40, 120);
    cr_expect_geq(line_with(&h, "owner"), 0);
    host_free(&h);
    vmt_segment_close(segment);
}
