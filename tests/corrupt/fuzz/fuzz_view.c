/* SPDX-License-Identifier: MIT */
/* What the commands show of a hostile file: the view, its details, batch text, JSON and CSV. Nothing that a segment
 * holds may get through to the terminal. */
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
    ENSURE(grid_reset(&grid, ROWS, COLUMNS) == 0, "no memory");
    draw_view(&grid, set, &model, &detail, view, "/fuzz");
    judge_grid();
}

static void judge_batch(const struct sample_set *set, enum batch_format format)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    ENSURE(out && batch_write(out, format, set, &model, 1, 0) == 0, "format %d", (int)format);
    fclose(out);
    ENSURE(strlen(text) == size, "a NUL among %zu bytes", size);
    for (char *line = text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        ENSURE(end, "no end of a line");
        *end = '\0';
        judge_text(line, false);
    }
    free(text);
}

static void show(const struct sample_set *set)
{
    struct view view = { .mode = VIEW_OVERVIEW, .interval_s = 1, .sandbox = "none" };

    ENSURE(model_build(&model, set, &view.folds) == 0, "no memory");
    view_settle(&view, &model, draw_page(ROWS));
    draw(set, &view);
    for (size_t i = 0; i < model.count; i += model.count / 3 + 1) {
        int r = detail_build(&detail, set, model.rows[i].key);

        ENSURE(r == 0 || r == -ENOENT, "%s", strerror(-r));
        view.detail_key = model.rows[i].key;
        view.mode = VIEW_DETAIL;
        view.lines = detail.count;
        draw(set, &view);
    }
    judge_batch(set, (enum batch_format)(input.head.how / 2 % 3));
    folds_free(&view.folds);
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
