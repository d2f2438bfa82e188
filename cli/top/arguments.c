/* SPDX-License-Identifier: MIT */
#include "cli/top/arguments.h"

#include <stdlib.h>
#include <string.h>

#include "cli/numbers.h"
#include "cli/top/filter.h"
#include "cli/top/view.h"

enum {
    OPTION_JSON = 0x200,
    OPTION_CSV,
    OPTION_SCHEMA,
    OPTION_COLUMNS,
    OPTION_ASCII,
    OPTION_COLOR,
    OPTION_NO_MOUSE,
    OPTION_LEVEL,
};

#define WHY 512 /* bytes that hold what is wrong */

const struct argp_option arguments_options[] = {
    { "delay", 'd', "SECONDS", 0, "Time between samples, 0.1 to 3600 (default 1)", 1 },
    { "iterations", 'n', "COUNT", 0, "End after COUNT samples", 1 },
    { "filter", 'f', "EXPR", 0, "Show only what matches: TEXT, A|B (one of them), or /REGEX/; case does not matter",
      2 },
    { "sort", 's', "COLUMN", 0,
      "Sort by that column: numbers the largest first, text as usual; a '-' before it turns that around", 2 },
    { "invert", 'I', NULL, 0, "Turn the order around, as a '-' before the column does", 2 },
    { "columns", OPTION_COLUMNS, "LIST", 0, "Show these columns only, their names separated by commas", 2 },
    { "level", OPTION_LEVEL, "LEVEL", 0, "Show statistics up to that level in the detail of a VM or source", 2 },
    { "batch", 'b', NULL, 0, "Print a table for each sample (the default where standard output is no terminal)", 3 },
    { "json", OPTION_JSON, NULL, 0, "Print one JSON object on a line for each sample", 3 },
    { "schema", OPTION_SCHEMA, NULL, 0,
      "With --json: say what statistics mean once, on lines of their own, instead of beside each value", 3 },
    { "csv", OPTION_CSV, NULL, 0, "Print one line of comma-separated values for each VM and source, each sample", 3 },
    { "ascii", OPTION_ASCII, NULL, 0, "Draw with ASCII characters only (the default where the locale is not UTF-8)",
      4 },
    { "color", OPTION_COLOR, "WHEN", 0, "Use colours: never, auto (the default: unless NO_COLOR is set) or always", 4 },
    { "no-mouse", OPTION_NO_MOUSE, NULL, 0, "Leave the mouse to the terminal, which then can select text", 4 },
    { 0 },
};

/* Options that set what the file of settings can set, too: to their argument, or to a value. */
static const struct {
    int key;
    const char *setting;
    const char *value; /* NULL: the argument */
} option_settings[] = {
    { 'd', "interval", NULL },           { 's', "sort", NULL },
    { OPTION_COLUMNS, "columns", NULL }, { OPTION_LEVEL, "level", NULL },
    { OPTION_ASCII, "ascii", "yes" },    { OPTION_COLOR, "color", NULL },
    { OPTION_NO_MOUSE, "mouse", "no" },
};
#define OPTION_SETTINGS (sizeof(option_settings) / sizeof(option_settings[0]))
_Static_assert(OPTION_SETTINGS <= ARGUMENT_SETTINGS, "each may be given");

const char *arguments_setting(int key)
{
    for (size_t i = 0; i < OPTION_SETTINGS; i++) {
        if (option_settings[i].key == key)
            return option_settings[i].setting;
    }
    return NULL;
}

static const char *option_name(int key)
{
    for (const struct argp_option *o = arguments_options; o->name; o++) {
        if (o->key == key)
            return o->name;
    }
    return "";
}

/* The last one given counts. */
static void set(struct arguments *a, const char *name, const char *value)
{
    size_t i = 0;

    while (i < a->setting_count && strcmp(a->settings[i].name, name) != 0)
        i++;
    a->settings[i] = (struct argument_setting){ name, value };
    if (i == a->setting_count)
        a->setting_count++;
}

static error_t parse_setting(struct arguments *a, int key, const char *arg, struct argp_state *state)
{
    for (size_t i = 0; i < OPTION_SETTINGS; i++) {
        const char *value = option_settings[i].value ? option_settings[i].value : arg;
        struct settings tried;
        char why[WHY];

        if (option_settings[i].key != key)
            continue;
        settings_default(&tried);
        if (settings_set(&tried, option_settings[i].setting, value, why, sizeof(why)) < 0)
            argp_error(state, "--%s: %s", option_name(key), why);
        set(a, option_settings[i].setting, value);
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static void parse_filter(struct arguments *a, const char *arg, struct argp_state *state)
{
    struct filter *filter = NULL;
    char why[WHY];
    int r = filter_new(arg, &filter, why, sizeof(why));

    filter_free(filter);
    if (r < 0)
        argp_error(state, "--filter: %s", r == -ENOMEM ? "out of memory" : why);
    a->filter = arg;
}

static void set_format(struct arguments *a, enum batch_format format, struct argp_state *state)
{
    if (a->format != BATCH_TEXT && a->format != format)
        argp_error(state, "--json and --csv exclude each other");
    a->format = format;
    a->batch = 1;
}

static int has(const struct arguments *a, const char *setting)
{
    for (size_t i = 0; i < a->setting_count; i++) {
        if (!strcmp(a->settings[i].name, setting))
            return 1;
    }
    return 0;
}

/* What only makes sense together, or not at all. */
static void check(const struct arguments *a, struct argp_state *state)
{
    if (a->schema_once && a->format != BATCH_JSON)
        argp_error(state, "--schema needs --json");
    if (a->format != BATCH_TEXT && has(a, "columns"))
        argp_error(state, "--columns is for the live view and -b: --json and --csv always have all");
    if (!a->batch && strlen(a->filter) >= FILTER_TEXT)
        argp_error(state, "--filter: the live view has room for %d bytes; -b, --json and --csv take more",
                   FILTER_TEXT - 1);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->common;
        return 0;
    case 'n':
        a->samples = (long)option_count(state, "-n", arg);
        return 0;
    case 'f':
        parse_filter(a, arg, state);
        return 0;
    case 'I':
        a->inverted = 1;
        return 0;
    case 'b':
        a->batch = 1;
        return 0;
    case OPTION_JSON:
        set_format(a, BATCH_JSON, state);
        return 0;
    case OPTION_CSV:
        set_format(a, BATCH_CSV, state);
        return 0;
    case OPTION_SCHEMA:
        a->schema_once = 1;
        return 0;
    case ARGP_KEY_ARGS:
        a->names = state->argv + state->next;
        a->name_count = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END:
        check(a, state);
        return 0;
    default:
        return parse_setting(a, key, arg, state);
    }
}

static const struct argp_child children[] = { { &options_argp, 0, NULL, 0 }, { 0 } };
static const struct argp parser = {
    arguments_options,
    parse,
    "[VM...]",
    "Show virtual machines, their vCPUs and devices, and what they do, live.\v"
    "VM is the whole name of a virtual machine, or the path of a segment file; without any, all are shown. In the live "
    "view, ? lists the keys. kvmtop(1) says more.",
    children,
    NULL,
    NULL,
};

int arguments_parse(int argc, char **argv, struct arguments *ret)
{
    *ret = (struct arguments){ .filter = "" };
    return argp_parse(&parser, argc, argv, 0, NULL, ret);
}

void arguments_apply(const struct arguments *arguments, struct settings *settings)
{
    char why[WHY];

    for (size_t i = 0; i < arguments->setting_count; i++) /* they were tried */
        settings_set(settings, arguments->settings[i].name, arguments->settings[i].value, why, sizeof(why));
    if (arguments->inverted)
        settings->inverted = 1;
}
