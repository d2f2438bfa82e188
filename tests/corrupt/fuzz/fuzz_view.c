/* SPDX-License-Identifier: MIT */
/* What kvmtop shows of a hostile file: the overview, details, histograms, batch text, JSON and CSV. Nothing that a
 * segment holds may get through to the terminal. */
#include <errno.h>
#include <locale.h>
#include <string.h>

#include <vmtally/delta.h>

#include "cli/top/batch.h"
#include "cli/top/draw.h"
#include "input.h"
#include "judge.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROWS 30
#define COLUMNS 120

static struct input input;
static struct vmt_snapshot *snapshots[2];
static struct vmt_delta *delta;
static struct history *history;
static struct model model;
static struct detail detail;
static struct grid grid;

/* Two looks at it. */
static bool look(struct sample_vm *vm)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options),
                                          .mode = input.head.how & 1 ? VMT_READ_GUARDED : VMT_READ_COPY };
    struct vmt_reader *reader = NULL;
    const struct vmt_segment_info *info;
    int r = vmt_reader_open(FUZZ_PATH, &options, &reader);

    ENSURE(r != -ENOENT, "it is not this one that was opened");
    if (r < 0)
        return false;
    for (int i = 0; i < 2; i++) {
        if (i)
            input_between(&input);
        vmt_snapshot_want_shards(snapshots[i], 1);
        r = vmt_snapshot_take(snapshots[i], reader);
    }
    ENSURE(vmt_delta_compute(delta, snapshots[0], snapshots[1]) == 0, "no memory");
    vmt_reader_close(reader);
    info = vmt_snapshot_segment(snapshots[1]);
    *vm = (struct sample_vm){ .id = 1,
                              .name = info->name[0] ? info->name : "image",
                              .title = info->name[0] ? info->name : "image",
                              .owner = "",
                              .path = info->path,
                              .snapshot = snapshots[1],
                              .before = snapshots[0],
                              .mark = snapshots[0],
                              .delta = delta,
                              .error = r < 0 ? r : 0,
                              .state = info->state };
    return true;
}

static void judge_grid(void)
{
    char line[4 * COLUMNS + 1];

    for (int i = 0; i < ROWS; i++)
        judge_text(grid_row_text(&grid, i, line, sizeof(line)), false);
}

static void draw(const struct sample_set *set, struct view *view)
{
    struct scene scene = { .set = set,
                           .history = history,
                           .model = &model,
                           .detail = &detail,
                           .compared = &detail,
                           .view = view,
                           .where = "/fuzz" };

    ENSURE(grid_reset(&grid, ROWS, COLUMNS) == 0, "no memory");
    draw_settle(view, &scene, ROWS, COLUMNS);
    draw_view(&grid, &scene);
    judge_grid();
}

static void judge_lines(char *text, size_t size)
{
    ENSURE(strlen(text) == size, "a NUL among %zu bytes", size);
    for (char *line = text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        ENSURE(end, "no end of a line");
        *end = '\0';
        judge_text(line, false);
    }
}

static void judge_batch(const struct sample_set *set, int format)
{
    struct batch_json *json = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int r = 0;

    ENSURE(out, "no memory");
    if (format == BATCH_TEXT) {
        r = batch_text(out, &model, 0, 0);
    } else if (format == BATCH_CSV) {
        batch_csv_titles(out);
        batch_csv(out, &model);
    } else {
        ENSURE(batch_json_new(input.head.how & 8, &json) == 0, "no memory");
        r = batch_json_vm(json, &set->vms[0]);
        if (r == 0)
            r = batch_json_end(json, out, set, &model);
        batch_json_free(json);
    }
    ENSURE(r == 0 || r == -EFBIG, "format %d: %s", format, strerror(-r));
    fclose(out);
    judge_lines(text, size);
    free(text);
}

/* A source, and each of its statistics that is a histogram: as bars, and over time. */
static void show_detail(const struct sample_set *set, struct view *view, uint64_t key)
{
    const struct detail_options options = { .level = VMT_LEVEL_DEBUG };
    int r = detail_build(&detail, set, history, history_count(history) - 1, key, &options);

    ENSURE(r == 0 || r == -ENOENT, "%s", strerror(-r));
    view->detail_key = view->compared_key = key;
    view->mode = VIEW_DETAIL;
    draw(set, view);
    for (size_t i = 0; i < detail.count; i += detail.count / 8 + 1) {
        view->line = i;
        view->line_key = detail.lines[i].key;
        view->panel = (enum panel)(i % PANEL_COUNT);
        view->mode = VIEW_DETAIL;
        draw(set, view);
        if (!view->line_histogram)
            continue;
        view->mode = VIEW_HISTOGRAM;
        view->span = (enum span)(i % SPAN_COUNT);
        view->heat = i & 1;
        draw(set, view);
    }
}

static void show(const struct sample_set *set)
{
    struct view view = { .mode = VIEW_OVERVIEW, .sandbox = "none" };
    struct model_options options = { 0 };

    settings_default(&view.settings);
    view.settings.ascii = input.head.how & 1;
    ENSURE(history_new(1, &history) == 0, "no memory");
    for (int i = 0; i < 3; i++) {
        ENSURE(history_begin(history, 1) == 0, "no memory");
        ENSURE(history_observe(history, set, &set->vms[0]) == 0, "no memory");
        ENSURE(history_end(history, set) == 0, "no memory");
    }
    options.beat = history_count(history) - 1;
    ENSURE(model_build(&model, history, &options) == 0, "no memory");
    draw(set, &view);
    for (size_t i = 0; i < model.count; i += model.count / 3 + 1)
        show_detail(set, &view, model.rows[i].facts.key);
    judge_batch(set, input.head.how / 2 % 3);
    view_free(&view);
    history_free(history);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sample_vm vm;
    struct sample_set set = { .vms = &vm, .count = 1, .realtime_ns = 1, .interval_ns = 1000000000, .cpus = 2 };

    input_parse(&input, data, size);
    input_begin(&input);
    if (look(&vm))
        show(&set);
    input_undo(&input);
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    setlocale(LC_ALL, "C.UTF-8");
    fuzz_bases_make();
    ENSURE(vmt_snapshot_new(&snapshots[0]) == 0 && vmt_snapshot_new(&snapshots[1]) == 0 && vmt_delta_new(&delta) == 0,
           "no memory");
    return 0;
}
