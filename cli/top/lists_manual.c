/* SPDX-License-Identifier: MIT */
#include "cli/top/lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/top/actions.h"
#include "cli/top/batch.h"
#include "cli/top/columns.h"
#include "cli/top/history.h"
#include "cli/sampler.h"
#include "cli/top/settings.h"

static void write_plain(const char *text) { lists_escaped(text, "\\*_#[]|<>`~"); }

static void write_bold(const char *text)
{
    putchar('*');
    write_plain(text);
    putchar('*');
}

static void write_underlined(const char *text)
{
    putchar('_');
    write_plain(text);
    putchar('_');
}

/* A sentence has a full stop. */
static void write_text(const char *text)
{
    size_t size = strlen(text);

    write_plain(text);
    if (size && text[size - 1] != '.')
        putchar('.');
}

static void manual_option(const struct argp_option *o)
{
    char name[64];

    if (lists_has_letter(o)) {
        snprintf(name, sizeof(name), "-%c", o->key);
        write_bold(name);
        fputs(", ", stdout);
    }
    snprintf(name, sizeof(name), "--%s", o->name);
    write_bold(name);
    if (o->arg) {
        putchar(' ');
        write_underlined(o->arg);
    }
    fputs("\n\t", stdout);
    write_text(o->doc);
    fputs("\n\n", stdout);
}

static void manual_options(void) { lists_each_option(manual_option); }

static void manual_columns(void)
{
    for (size_t i = 0; i < kvmtop_column_count; i++) {
        const struct column *column = &kvmtop_columns[i];

        if (!column->title)
            continue;
        write_bold(column->title);
        fputs(" (", stdout);
        write_underlined(column->name);
        fputs(")\n\t", stdout);
        write_text(column->help);
        fputs("\n\n", stdout);
    }
}

static const struct {
    enum view_mode mode;
    const char *name;
} modes[] = {
    { VIEW_OVERVIEW, "overview" }, { VIEW_DETAIL, "detail" },     { VIEW_HISTOGRAM, "histogram" },
    { VIEW_HELP, "help" },         { VIEW_SORT, "sort chooser" }, { VIEW_COLUMNS, "columns chooser" },
};
#define MODES (sizeof(modes) / sizeof(modes[0]))

/* In which views it works, where that is not all of them. */
static void manual_modes(unsigned in)
{
    int n = 0;
    unsigned all = 0;

    for (size_t i = 0; i < MODES; i++)
        all |= modes[i].mode;
    if ((in & all) == all)
        return;
    for (size_t i = 0; i < MODES; i++) {
        if (in & modes[i].mode)
            printf("%s%s", n++ ? ", " : " (In: ", modes[i].name);
    }
    fputs(n ? ".)" : "", stdout);
}

static void manual_keys(void)
{
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        const struct action_info *action = &actions[i];
        char keys[128];
        char *rest = keys;
        char *one;
        int n = 0;

        snprintf(keys, sizeof(keys), "%s", action->keys);
        while ((one = strsep(&rest, " ")) != NULL) {
            if (!*one)
                continue;
            fputs(n++ ? ", " : "", stdout);
            write_bold(one);
        }
        fputs(n ? " (" : "(", stdout);
        write_underlined(action->name);
        fputs(")\n\t", stdout);
        write_text(action->help);
        manual_modes(action->modes);
        fputs("\n\n", stdout);
    }
}

static void manual_settings(void)
{
    for (size_t i = 0; i < settings_table_count; i++) {
        write_bold(settings_table[i].name);
        fputs(" = ", stdout);
        write_plain(settings_table[i].values);
        fputs("\n\t", stdout);
        write_text(settings_table[i].help);
        fputs("\n\n", stdout);
    }
}

/* The names of columns, in their order: the two that each line begins with are of batch_csv_titles(). */
static void manual_csv(void)
{
    char *titles = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&titles, &size);
    char *rest, *one;
    int n = 0;

    if (!f) {
        perror("lists");
        exit(1);
    }
    batch_csv_titles(f);
    fclose(f);
    titles[strcspn(titles, "\n")] = '\0';
    for (rest = titles; (one = strsep(&rest, ",")) != NULL;) {
        fputs(n == 0 ? "" : n % 6 ? ", " : ",\n", stdout);
        n++;
        write_underlined(one);
    }
    fputs(".\n", stdout);
    free(titles);
}

static const struct {
    const char *line;
    void (*write)(void);
} sections[] = {
    { "@OPTIONS@", manual_options },   { "@COLUMNS@", manual_columns }, { "@KEYS@", manual_keys },
    { "@SETTINGS@", manual_settings }, { "@CSV@", manual_csv },
};
#define SECTIONS (sizeof(sections) / sizeof(sections[0]))

/* Numbers in the text. */
static const struct {
    const char *word;
    unsigned long long number;
} numbers[] = {
    { "@HISTORY_MIB@", HISTORY_BYTES >> 20 },
    { "@HISTORY_BEATS@", HISTORY_BEATS },
    { "@GONE_SECONDS@", SAMPLER_KEEP_GONE_NS / 1000000000U },
};
#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static void write_line(const char *line)
{
    while (*line) {
        size_t i = 0;

        while (i < NUMBERS && strncmp(line, numbers[i].word, strlen(numbers[i].word)) != 0)
            i++;
        if (i < NUMBERS) {
            printf("%llu", numbers[i].number);
            line += strlen(numbers[i].word);
        } else {
            putchar(*line++);
        }
    }
}

/* Each of them has to be there. */
int lists_manual(void)
{
    unsigned written = 0;
    char line[1024];

    while (fgets(line, sizeof(line), stdin)) {
        size_t i = 0;
        size_t size = strcspn(line, "\n");

        while (i < SECTIONS && (strlen(sections[i].line) != size || strncmp(line, sections[i].line, size) != 0))
            i++;
        if (i == SECTIONS) {
            write_line(line);
            continue;
        }
        sections[i].write();
        written |= 1U << i;
    }
    for (size_t i = 0; i < SECTIONS; i++) {
        if (!(written & 1U << i)) {
            fprintf(stderr, "lists: the template has no line '%s'\n", sections[i].line);
            return 1;
        }
    }
    return 0;
}
