/* SPDX-License-Identifier: MIT */
/* vmtally list: every segment found. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally/reader.h>

#include "commands.h"
#include "message.h"
#include "select.h"
#include "units.h"

enum { OPTION_JSON = 0x200 };

struct arguments {
    struct options *common;
    int json;
};

static const struct argp_option options[] = {
    { "json", OPTION_JSON, NULL, 0, "Print an array of objects, times in nanoseconds", 0 },
    { 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->common;
        return 0;
    case OPTION_JSON:
        a->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s': list shows all; 'vmtally show %s' shows one", arg, arg);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &options_argp, 0, NULL, 0 }, { 0 } };
static const struct argp parser = {
    options,
    parse,
    NULL,
    "List every segment found: name, pid, state, sources, age and file."
    "\vA file that can't be read is listed with the reason as its state.",
    children,
    NULL,
    NULL,
};

/* One segment. */
struct row {
    const char *path;
    char name[256];
    char state[256]; /* where it could not be read: the reason */
    uint64_t age_ns;
    size_t sources;
    uint32_t pid;
    int readable; /* the numbers mean something */
};

static void fill(struct row *row, const struct selected *file, struct vmt_snapshot *snapshot, int *error)
{
    int r = selection_take(file->path, snapshot);
    const struct vmt_segment_info *info;

    *error = r < 0 ? r : 0;
    *row = (struct row){ .path = file->path };
    if (r < 0) {
        message_printable(file->name, row->name, sizeof(row->name));
        message_reason(r, row->state, sizeof(row->state));
        row->state[strcspn(row->state, ";")] = '\0'; /* what to do about it is no state */
        return;
    }
    info = vmt_snapshot_segment(snapshot);
    snprintf(row->name, sizeof(row->name), "%s", info->name);
    snprintf(row->state, sizeof(row->state), "%s", vmt_state_name(info->state));
    row->age_ns = select_age_ns(info);
    row->sources = vmt_snapshot_count(snapshot);
    row->sources -= row->sources > 0; /* the segment itself is none that anybody added */
    row->pid = info->pid;
    row->readable = 1;
}

static int wider(int width, const char *text)
{
    int n = (int)strlen(text);

    return n > width ? n : width;
}

static void print_table(const struct row *rows, size_t count)
{
    int name = 4, state = 5;
    char path[4096], age[UNIT_TEXT];

    for (size_t i = 0; i < count; i++) {
        name = wider(name, rows[i].name);
        state = wider(state, rows[i].state);
    }
    printf("%-*s  %7s  %-*s  %7s  %6s  %s\n", name, "NAME", "PID", state, "STATE", "SOURCES", "AGE", "FILE");
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];

        message_printable(row->path, path, sizeof(path));
        if (row->readable)
            printf("%-*s  %7" PRIu32 "  %-*s  %7zu  %6s  %s\n", name, row->name, row->pid, state, row->state,
                   row->sources, unit_format_age(age, sizeof(age), row->age_ns), path);
        else
            printf("%-*s  %7s  %-*s  %7s  %6s  %s\n", name, row->name, "-", state, row->state, "-", "-", path);
    }
}

static void print_json(const struct row *rows, size_t count)
{
    struct json_object *array = json_object_new_array();
    char path[4096];

    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        struct json_object *o = json_object_new_object();

        message_printable(row->path, path, sizeof(path));
        json_object_object_add(o, "name", json_object_new_string(row->name));
        json_object_object_add(o, "pid", row->readable ? json_object_new_uint64(row->pid) : NULL);
        json_object_object_add(o, "state", json_object_new_string(row->state));
        json_object_object_add(o, "sources", row->readable ? json_object_new_uint64(row->sources) : NULL);
        json_object_object_add(o, "age_ns", row->readable ? json_object_new_uint64(row->age_ns) : NULL);
        json_object_object_add(o, "path", json_object_new_string(path));
        json_object_array_add(array, o);
    }
    puts(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(array);
}

int cmd_list(int argc, char **argv, struct options *common)
{
    struct arguments arguments = { common, 0 };
    struct selection selection = { 0 };
    struct vmt_snapshot *snapshot = NULL;
    struct row *rows = NULL;
    const char *denied = NULL; /* the first of those without permission: they are mentioned together */
    size_t denied_count = 0;
    int status = 0;
    int error;
    char reason[256];

    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments) || selection_find(common->dir, NULL, &selection))
        return 1;
    rows = calloc(selection.count + 1, sizeof(*rows));
    if (!rows || vmt_snapshot_new(&snapshot)) {
        message_error("out of memory");
        status = 1;
        goto out;
    }
    for (size_t i = 0; i < selection.count; i++) {
        fill(&rows[i], &selection.files[i], snapshot, &error);
        if (error == -EACCES && denied_count++ == 0)
            denied = selection.files[i].path;
    }
    if (arguments.json)
        print_json(rows, selection.count);
    else if (selection.count > 0)
        print_table(rows, selection.count);
    status = message_finish(0); /* before what follows on stderr, where both are the terminal or one log */
    if (selection.count == 0)
        selection_say_none(common->dir);
    if (denied_count == 1)
        message_error("%s: %s", denied, message_reason(-EACCES, reason, sizeof(reason)));
    else if (denied_count > 1)
        message_error("%s and %zu more: %s", denied, denied_count - 1, message_reason(-EACCES, reason, sizeof(reason)));
out:
    vmt_snapshot_free(snapshot);
    free(rows);
    selection_free(&selection);
    return status;
}
