/* SPDX-License-Identifier: MIT */
#include "cli/top/lists.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/top/arguments.h"
#include "cli/top/columns.h"

/* Those that argp has by itself. */
static const struct argp_option builtin_options[] = {
    { "help", 'h', NULL, 0, "Say how to use it, and end", 0 },
    { "usage", 0x300, NULL, 0, "Say so in few words, and end", 0 },
    { "version", 'V', NULL, 0, "Say the version, and end", 0 },
    { 0 },
};

/* Numbers that may well be meant. */
#define SECONDS "0.1 0.5 1 2 5 10 60"

/* ---- walks over the tables ---- */

static void each_of(const struct argp_option *options, lists_option_fn *fn)
{
    for (const struct argp_option *o = options; o->name || o->key || o->doc; o++) {
        if (o->name && !(o->flags & OPTION_HIDDEN))
            fn(o);
    }
}

void lists_each_option(lists_option_fn *fn)
{
    each_of(arguments_options, fn);
    each_of(options_argp.options, fn);
    each_of(builtin_options, fn);
}

int lists_has_letter(const struct argp_option *o) { return o->key > ' ' && o->key < 0x7f; }

/* The names of the columns that can be chosen, or (sort) sorted by, with spaces between and before each the prefix. */
static void write_columns(const char *prefix, int sort)
{
    int n = 0;

    for (size_t i = 0; i < kvmtop_column_count; i++) {
        const struct column *column = &kvmtop_columns[i];

        if (column->title && (!sort || column->value || column->write))
            printf("%s%s%s", n++ ? " " : "", prefix, column->name);
    }
}

static const struct setting_info *setting_of(const struct argp_option *o)
{
    const char *name = arguments_setting(o->key);

    for (size_t i = 0; name && i < settings_table_count; i++) {
        if (!strcmp(settings_table[i].name, name))
            return &settings_table[i];
    }
    return NULL;
}

/* "never, auto, always": words only. */
static int are_words(const char *values)
{
    for (; *values; values++) {
        if (*values == ' ' || (*values == ',' && *++values != ' '))
            return 0;
    }
    return 1;
}

enum values lists_values(const struct argp_option *o)
{
    const struct setting_info *setting = setting_of(o);

    if (!o->arg)
        return VALUES_NONE;
    if (!strcmp(o->arg, "DIR"))
        return VALUES_DIRECTORY;
    if (!strcmp(o->arg, "SECONDS"))
        return VALUES_SECONDS;
    if (!setting)
        return VALUES_FREE;
    if (!strcmp(setting->name, "sort"))
        return VALUES_SORT;
    if (!strcmp(setting->name, "columns"))
        return VALUES_COLUMNS;
    return are_words(setting->values) ? VALUES_WORDS : VALUES_FREE;
}

void lists_words(const struct argp_option *o)
{
    switch (lists_values(o)) {
    case VALUES_SECONDS:
        fputs(SECONDS, stdout);
        break;
    case VALUES_SORT:
        write_columns("", 1);
        putchar(' ');
        write_columns("-", 1);
        break;
    case VALUES_COLUMNS:
        write_columns("", 0);
        break;
    case VALUES_WORDS:
        for (const char *c = setting_of(o)->values; *c; c++) {
            if (*c != ',')
                putchar(*c);
        }
        break;
    default:
        break;
    }
}

void lists_escaped(const char *text, const char *characters)
{
    for (; *text; text++) {
        if (strchr(characters, *text))
            putchar('\\');
        putchar(*text);
    }
}

/* ---- */

static const struct {
    const char *name;
    int (*write)(void);
} commands[] = { { "manual", lists_manual }, { "bash", lists_bash }, { "zsh", lists_zsh }, { "fish", lists_fish } };

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        int status;

        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        status = commands[i].write();
        if (fflush(stdout) != 0 || ferror(stdout)) {
            fprintf(stderr, "lists: %s\n", strerror(errno));
            return 1;
        }
        return status;
    }
    fputs("Usage: lists manual|bash|zsh|fish\n", stderr);
    return 2;
}
