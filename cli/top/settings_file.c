/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/top/saver.h"
#include "cli/top/settings_parts.h"

#define FILE_BYTES SAVER_BYTES
#define FILE_NAME "vmtally/kvmtop.conf"
#define BLANKS " \t"
#define SETTINGS_MAX 32

/* ---- one file ---- */

enum section { SECTION_NONE, SECTION_SETTINGS, SECTION_KEYS };

struct reading {
    struct settings settings;
    enum section section;
    unsigned line;
    unsigned setting_lines[SETTINGS_MAX]; /* in which each was set, 0: it was not */
    unsigned action_lines[ACTION_COUNT];
    char why[WHY_TEXT];
};

static int wrong(struct reading *r, const char *text)
{
    snprintf(r->why, sizeof(r->why), "%s", text);
    return -EINVAL;
}

static int read_section(struct reading *r, const char *text)
{
    char quoted[WORD_TEXT];

    if (!strcmp(text, "[settings]"))
        r->section = SECTION_SETTINGS;
    else if (!strcmp(text, "[keys]"))
        r->section = SECTION_KEYS;
    else {
        snprintf(r->why, sizeof(r->why), "no section %s; there are [settings] and [keys]", word_text(text, quoted));
        return -EINVAL;
    }
    return 0;
}

/* Each may be there once. */
static int take_line(struct reading *r, unsigned *line, const char *name)
{
    if (*line) {
        snprintf(r->why, sizeof(r->why), "line %u sets '%s' already", *line, name);
        return -EINVAL;
    }
    *line = r->line;
    return 0;
}

static int read_setting(struct reading *r, const char *name, const char *value)
{
    size_t i = 0;

    if (settings_set(&r->settings, name, value, r->why, sizeof(r->why)) < 0)
        return -EINVAL;
    while (strcmp(settings_table[i].name, name) != 0)
        i++;
    return take_line(r, &r->setting_lines[i], name);
}

static int read_keys(struct reading *r, const char *name, const char *value)
{
    long action = action_find(name);
    const char *nearest = word_nearest(name, action_name);
    char quoted[WORD_TEXT];

    if (action >= 0) {
        int error = keys_parse(value, r->settings.keys[action], r->why, sizeof(r->why));

        return error < 0 ? error : take_line(r, &r->action_lines[action], name);
    }
    if (nearest)
        snprintf(r->why, sizeof(r->why), "no action %s; did you mean '%s'?", word_text(name, quoted), nearest);
    else
        snprintf(r->why, sizeof(r->why), "no action %s; kvmtop(1) lists those that there are", word_text(name, quoted));
    return -EINVAL;
}

/* Without the blanks around it. */
static char *trim(char *text)
{
    size_t n;

    text += strspn(text, BLANKS);
    n = strlen(text);
    while (n > 0 && strchr(BLANKS, text[n - 1]))
        text[--n] = '\0';
    return text;
}

static int read_line(struct reading *r, char *text)
{
    char clean[FILE_BYTES + 1];
    char *equals;
    char *name;
    char *value;
    int error;

    for (char *at = text; (at = strchr(at, '\t')) != NULL;)
        *at = ' ';
    if (strcmp(message_printable(text, clean, strlen(text) + 1), text) != 0)
        return wrong(r, "characters that can't be shown, or are not UTF-8");
    name = trim(text);
    if (!name[0] || name[0] == '#')
        return 0;
    if (name[0] == '[')
        return read_section(r, name);
    equals = strchr(name, '=');
    if (!equals || equals == name)
        return wrong(r, "no 'name = value', no [section] and no # comment");
    *equals = '\0';
    name = trim(name);
    value = trim(equals + 1);
    if (r->section == SECTION_NONE)
        return wrong(r, "stands before [settings] or [keys]");
    if (!value[0])
        return wrong(r, r->section == SECTION_KEYS ? "no key behind the '='; 'none' is for none"
                                                   : "no value behind the '='");
    error = r->section == SECTION_KEYS ? read_keys(r, name, value) : read_setting(r, name, value);
    if (error < 0 && strstr(value, " #")) {
        size_t n = strlen(r->why);

        snprintf(r->why + n, sizeof(r->why) - n, " (a comment needs a line of its own)");
    }
    return error;
}

static int read_text(struct reading *r, char *text, size_t size)
{
    char *rest = text;
    char *line;

    if (!strncmp(text, "\xef\xbb\xbf", 3)) /* some editors put it there */
        rest += 3;
    for (r->line = 1; (line = strsep(&rest, "\n")) != NULL; r->line++) {
        size_t n = strlen(line);
        int error;

        if (!rest && line + n < text + size)
            return wrong(r, "a NUL byte");
        if (n > 0 && line[n - 1] == '\r')
            line[n - 1] = '\0';
        error = read_line(r, line);
        if (error < 0)
            return error;
    }
    return keys_settle(&r->settings, r->action_lines, &r->line, r->why, sizeof(r->why));
}

/* ---- finding and reading it ---- */

/* NULL where there is no home, *error is 0 then, or no memory. */
static char *settings_path(int *error)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    char *path = NULL;
    int n = 0;

    if (config && config[0] == '/') /* another one is to be ignored, the specification says */
        n = asprintf(&path, "%s/" FILE_NAME, config);
    else if (home && home[0] == '/')
        n = asprintf(&path, "%s/.config/" FILE_NAME, home);
    *error = n < 0 ? -ENOMEM : 0;
    return n < 0 ? NULL : path;
}

/* All of the file, with a NUL, into text (FILE_BYTES + 1). Its size, or negative errno. */
static ssize_t read_file(const char *path, char *text)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* a FIFO keeps nobody */
    size_t size = 0;
    struct stat st;
    ssize_t n = 1;

    if (fd < 0 && errno == EACCES && stat(path, &st) < 0)
        return -ENOENT; /* another's home, which su or sudo left us: for us it is as if there was none */
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    while (n != 0 && size <= FILE_BYTES) {
        n = read(fd, text + size, FILE_BYTES + 1 - size);
        if (n < 0 && errno != EINTR) {
            n = -errno;
            close(fd);
            return n;
        }
        size += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    if (size > FILE_BYTES)
        return -EFBIG;
    text[size] = '\0';
    return (ssize_t)size;
}

static const char *file_reason(int error, char *buf, size_t size)
{
    switch (error) {
    case -EACCES:
        return "permission denied";
    case -EFBIG:
        return "larger than 64 KiB";
    case -ELOOP:
        return "a symbolic link that leads to itself";
    default:
        return message_reason(error, buf, size);
    }
}

int settings_load(struct settings *settings, char **path, char *why, size_t why_size)
{
    struct reading r = { .settings = *settings };
    char *text = malloc(FILE_BYTES + 1);
    char name[PATH_MAX];
    char reason[128];
    ssize_t size;
    int error;

    *path = settings_path(&error);
    size = text ? error : -ENOMEM;
    if (*path && text)
        size = read_file(*path, text);
    if (size > 0)
        error = read_text(&r, text, (size_t)size);
    free(text);
    if (size == -ENOENT || size == -ENOTDIR || (size == 0 && !error))
        return 0;
    if (size > 0 && error == 0) {
        *settings = r.settings;
        return 0;
    }
    settings->unread = 1;
    message_printable(*path ? *path : "settings", name, sizeof(name));
    if (size < 0)
        snprintf(why, why_size, "%s: %s", name, file_reason((int)size, reason, sizeof(reason)));
    else
        snprintf(why, why_size, "%s:%u: %s", name, r.line, r.why);
    return size < 0 ? (int)size : error;
}

/* ---- writing ---- */

static void write_settings(FILE *f, const struct settings *s, const struct settings *loaded,
                           const struct settings *of_flags)
{
    struct settings usual;
    int sections = 0;

    settings_default(&usual);
    for (size_t i = 0; i < settings_table_count; i++) {
        char text[4][SETTING_TEXT];
        const char *now = setting_text(s, i, text[0], SETTING_TEXT);
        const char *before = setting_text(loaded, i, text[1], SETTING_TEXT);
        const char *flag = setting_text(of_flags, i, text[2], SETTING_TEXT);

        if (!strcmp(now, flag)) /* else it was changed since */
            now = before;
        if (strcmp(now, setting_text(&usual, i, text[3], SETTING_TEXT)) != 0)
            fprintf(f, "%s%s = %s\n", sections++ ? "" : "\n[settings]\n", settings_table[i].name, now);
    }
}

static void write_keys(FILE *f, const struct settings *s)
{
    unsigned listed[ACTION_COUNT];
    char text[SETTING_TEXT];
    int sections = 0;

    keys_listed(s, listed);
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (listed[i])
            fprintf(f, "%s%s = %s\n", sections++ ? "" : "\n[keys]\n", actions[i].name,
                    keys_text(s->keys[i], text, sizeof(text)));
    }
}

int settings_save(const struct settings *settings, const struct settings *loaded, const struct settings *of_flags,
                  struct saver *saver, char *why, size_t why_size)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f;
    int r;

    if (loaded->unread) {
        snprintf(why, why_size,
                 "not saved: what kvmtop said about the settings when it started has to be mended first");
        return -EBADMSG;
    }
    f = open_memstream(&text, &size);
    if (f) {
        fputs("# Written by kvmtop, anew each time that settings are saved: what else is put here gets lost then.\n"
              "# What is not here is as it is without this file; kvmtop(1) lists all that can be set.\n",
              f);
        write_settings(f, settings, loaded, of_flags);
        write_keys(f, settings);
    }
    if (!f || fclose(f) == EOF) {
        snprintf(why, why_size, "not saved: out of memory");
        r = -ENOMEM;
    } else {
        r = saver_save(saver, text, why, why_size);
    }
    free(text);
    return r;
}
