/* SPDX-License-Identifier: MIT */
#include "cli/top/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <vmtally/schema.h>

#include "cli/message.h"
#include "cli/numbers.h"
#include "cli/top/columns.h"
#include "cli/top/settings_parts.h"

#define SEPARATORS ", \t"
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum setting {
    SETTING_INTERVAL,
    SETTING_SORT,
    SETTING_COLUMNS,
    SETTING_ASCII,
    SETTING_COLOR,
    SETTING_MOUSE,
    SETTING_FOLLOW,
    SETTING_HIDE_ZERO,
    SETTING_LEVEL,
    SETTINGS,
};

#define YES_NO "yes, no"

const struct setting_info settings_table[] = {
    [SETTING_INTERVAL] = { "interval", "seconds, from 0.1 to 3600", "Time between samples; default 1." },
    [SETTING_SORT] = { "sort", "the name of a column, with - before it to turn the order around",
                       "Column that rows are sorted by: numbers the largest first, text the first first; default "
                       "name." },
    [SETTING_COLUMNS] = { "columns", "names of columns, with commas or spaces between",
                          "Columns that are shown where there is room for them; default all. That of names always "
                          "is." },
    [SETTING_ASCII] = { "ascii", YES_NO, "Draw with ASCII characters only; default no." },
    [SETTING_COLOR] = { "color", "never, auto, always", "Use colours; default auto, unless NO_COLOR is set." },
    [SETTING_MOUSE] = { "mouse", YES_NO,
                        "Use the mouse; default yes. Without, the terminal selects text with it as usual." },
    [SETTING_FOLLOW] = { "follow", YES_NO,
                         "Scroll with the selected row wherever sorting puts it; default no: it may get out of "
                         "sight." },
    [SETTING_HIDE_ZERO] = { "hide-zero", YES_NO, "Hide statistics that never counted anything; default no." },
    [SETTING_LEVEL] = { "level", "info, diagnostic, debug",
                        "The highest level of statistics that is shown; default info." },
};
const size_t settings_table_count = SETTINGS;

void settings_default(struct settings *settings)
{
    *settings = (struct settings){
        .interval_s = 1, .sort = COLUMN_NAME, .color = COLOR_WHEN_AUTO, .mouse = 1, .level = VMT_LEVEL_INFO
    };
    for (size_t i = 0; i < ACTION_COUNT; i++)
        keys_default(i, settings->keys[i]);
}

/* ---- words ---- */

const char *word_text(const char *word, char *buf)
{
    char clean[WORD_TEXT - 5]; /* quotes and dots beside it */
    int longer = strlen(word) >= sizeof(clean);

    snprintf(buf, WORD_TEXT, "'%s%s'", message_printable(word, clean, sizeof(clean)), longer ? "..." : "");
    return buf;
}

#define NEAR_LENGTH 24 /* longer words are like no name */

/* How many letters have to be left out, put in, changed, or swapped with the next; case does not matter. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[NEAR_LENGTH + 1][NEAR_LENGTH + 1];
    size_t n = strlen(a);
    size_t m = strlen(b);

    if (n > NEAR_LENGTH || m > NEAR_LENGTH)
        return SIZE_MAX;
    for (size_t i = 0; i <= n; i++) {
        for (size_t k = 0; k <= m; k++) {
            size_t least = i + k;

            if (i && k) {
                least = rows[i - 1][k - 1] + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[k - 1]));
                least = rows[i - 1][k] < least ? rows[i - 1][k] + 1 : least;
                least = rows[i][k - 1] < least ? rows[i][k - 1] + 1 : least;
            }
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] && rows[i - 2][k - 2] < least)
                least = rows[i - 2][k - 2] + 1;
            rows[i][k] = least;
        }
    }
    return rows[n][m];
}

const char *word_nearest(const char *word, const char *(*name)(size_t))
{
    const char *nearest = NULL;
    size_t least = strlen(word) / 3 + 1;

    for (size_t i = 0; name(i); i++) {
        size_t d = distance(word, name(i));

        if (name(i)[0] && d < least) {
            least = d;
            nearest = name(i);
        }
    }
    return nearest;
}

static void add_name(char *buf, size_t size, const char *name, const char *between)
{
    size_t n = strlen(buf);

    snprintf(buf + n, size - n, "%s%s", n ? between : "", name);
}

static const char *all_names(const char *(*name)(size_t), char *buf, size_t size)
{
    buf[0] = '\0';
    for (size_t i = 0; name(i); i++) {
        if (name(i)[0])
            add_name(buf, size, name(i), ", ");
    }
    return buf;
}

/* A name that is none of those. Returns error. */
static int no_such(const char *kind, const char *word, const char *(*name)(size_t), int error, char *why, size_t size)
{
    const char *nearest = word_nearest(word, name);
    char quoted[WORD_TEXT];
    char all[WHY_TEXT];

    if (nearest)
        snprintf(why, size, "no %s %s; did you mean '%s'?", kind, word_text(word, quoted), nearest);
    else
        snprintf(why, size, "no %s %s; there are %s", kind, word_text(word, quoted), all_names(name, all, sizeof(all)));
    return error;
}

/* ---- values ---- */

static const char *setting_name(size_t i) { return i < SETTINGS ? settings_table[i].name : NULL; }

static const char *column_name(size_t i)
{
    if (i >= kvmtop_column_count)
        return NULL;
    return kvmtop_columns[i].title ? kvmtop_columns[i].name : "";
}

static int sortable(size_t i)
{
    return kvmtop_columns[i].title && (kvmtop_columns[i].value || kvmtop_columns[i].write);
}

static const char *sortable_name(size_t i) { return i < kvmtop_column_count && !sortable(i) ? "" : column_name(i); }

struct word {
    const char *word;
    int value;
};

/* The first of each value is how it is written. */
static const struct word yes_no[] = { { "yes", 1 }, { "no", 0 },  { "true", 1 }, { "false", 0 },
                                      { "on", 1 },  { "off", 0 }, { "1", 1 },    { "0", 0 } };
static const struct word colors[] = { { "never", COLOR_WHEN_NEVER },
                                      { "auto", COLOR_WHEN_AUTO },
                                      { "always", COLOR_WHEN_ALWAYS } };
static const struct word levels[] = { { "info", VMT_LEVEL_INFO },
                                      { "diagnostic", VMT_LEVEL_DIAGNOSTIC },
                                      { "debug", VMT_LEVEL_DEBUG },
                                      { "diag", VMT_LEVEL_DIAGNOSTIC } };

/* Settings that are one of a few words. */
static const struct word *words_of(size_t setting, size_t *count)
{
    *count = setting == SETTING_COLOR ? LENGTH(colors) : setting == SETTING_LEVEL ? LENGTH(levels) : LENGTH(yes_no);
    return setting == SETTING_COLOR ? colors : setting == SETTING_LEVEL ? levels : yes_no;
}

static int *word_place(struct settings *s, size_t setting)
{
    switch (setting) {
    case SETTING_ASCII:
        return &s->ascii;
    case SETTING_COLOR:
        return (int *)&s->color;
    case SETTING_MOUSE:
        return &s->mouse;
    case SETTING_FOLLOW:
        return &s->follow;
    case SETTING_HIDE_ZERO:
        return &s->hide_zero;
    default:
        return &s->level;
    }
}

static int not_allowed(size_t setting, const char *value, char *why, size_t size)
{
    char quoted[WORD_TEXT];

    snprintf(why, size, "%s can't be %s; it is %s%s", settings_table[setting].name, word_text(value, quoted),
             setting == SETTING_INTERVAL ? "" : "one of ", settings_table[setting].values);
    return -EINVAL;
}

static int set_interval(struct settings *s, const char *value, char *why, size_t size)
{
    if (number_seconds(value, INTERVAL_MIN_S, INTERVAL_MAX_S, &s->interval_s) < 0)
        return not_allowed(SETTING_INTERVAL, value, why, size);
    return 0;
}

static int set_sort(struct settings *s, const char *value, char *why, size_t size)
{
    int inverted = value[0] == '-';
    long column = column_find(value + inverted);

    if (column < 0)
        return no_such("column", value + inverted, sortable_name, -EINVAL, why, size);
    if (!sortable((size_t)column)) {
        char all[WHY_TEXT];

        snprintf(why, size, "rows can't be sorted by %s, but by %s", value + inverted,
                 all_names(sortable_name, all, sizeof(all)));
        return -EINVAL;
    }
    s->sort = (size_t)column;
    s->inverted = inverted;
    return 0;
}

static int set_columns(struct settings *s, const char *value, char *why, size_t size)
{
    uint64_t hidden = 0;
    char name[64];
    size_t n;

    if (!value[strspn(value, SEPARATORS)])
        return no_such("column", "", column_name, -EINVAL, why, size);
    for (size_t i = 0; i < kvmtop_column_count; i++)
        hidden |= kvmtop_columns[i].title && i != COLUMN_NAME ? 1ULL << i : 0;
    for (; value += strspn(value, SEPARATORS), *value; value += n) {
        long column;

        n = strcspn(value, SEPARATORS);
        snprintf(name, sizeof(name), "%.*s", (int)(n < sizeof(name) ? n : sizeof(name)), value);
        column = column_find(name);
        if (column < 0)
            return no_such("column", name, column_name, -EINVAL, why, size);
        hidden &= ~(1ULL << column);
    }
    s->hidden_columns = hidden;
    return 0;
}

static int set_one_of(struct settings *s, size_t setting, const char *value, char *why, size_t size)
{
    size_t count;
    const struct word *words = words_of(setting, &count);

    for (size_t i = 0; i < count; i++) {
        if (!strcasecmp(words[i].word, value)) {
            *word_place(s, setting) = words[i].value;
            return 0;
        }
    }
    return not_allowed(setting, value, why, size);
}

int settings_set(struct settings *settings, const char *name, const char *value, char *why, size_t why_size)
{
    size_t i = 0;

    while (i < SETTINGS && strcmp(settings_table[i].name, name) != 0)
        i++;
    switch (i) {
    case SETTINGS:
        return no_such("setting", name, setting_name, -ENOENT, why, why_size);
    case SETTING_INTERVAL:
        return set_interval(settings, value, why, why_size);
    case SETTING_SORT:
        return set_sort(settings, value, why, why_size);
    case SETTING_COLUMNS:
        return set_columns(settings, value, why, why_size);
    default:
        return set_one_of(settings, i, value, why, why_size);
    }
}

/* ---- and back to text ---- */

/* As few digits as give the same number, without an exponent. */
static void number_text(double value, char *buf, size_t size)
{
    for (int digits = 1; digits <= 17; digits++) {
        double read;

        snprintf(buf, size, "%.*g", digits, value);
        read = strtod(buf, NULL);
        if (!(read < value || read > value) && !strchr(buf, 'e'))
            return;
    }
}

static void columns_text(uint64_t hidden, char *buf, size_t size)
{
    buf[0] = '\0';
    for (size_t i = 0; i < kvmtop_column_count; i++) {
        if (kvmtop_columns[i].title && (i == COLUMN_NAME || !(hidden >> i & 1)))
            add_name(buf, size, kvmtop_columns[i].name, " ");
    }
}

const char *setting_text(const struct settings *settings, size_t i, char *buf, size_t size)
{
    const struct word *words;
    size_t count;

    switch (i) {
    case SETTING_INTERVAL:
        number_text(settings->interval_s, buf, size);
        return buf;
    case SETTING_SORT:
        snprintf(buf, size, "%s%s", settings->inverted ? "-" : "", kvmtop_columns[settings->sort].name);
        return buf;
    case SETTING_COLUMNS:
        columns_text(settings->hidden_columns, buf, size);
        return buf;
    default:
        words = words_of(i, &count);
        while (count > 1 && words->value != *word_place((struct settings *)settings, i)) {
            words++;
            count--;
        }
        snprintf(buf, size, "%s", words->word);
        return buf;
    }
}
