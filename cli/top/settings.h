/* SPDX-License-Identifier: MIT */
/* settings.h: how one likes kvmtop, and the file that keeps it: $XDG_CONFIG_HOME/vmtally/kvmtop.conf, else
 * ~/.config/vmtally/kvmtop.conf. Lines "name = value" below "[settings]", and "action = key key" below "[keys]"; a line
 * that begins with # is a comment. It is written only when it is asked for (the action "save"), and then says of what a
 * command-line flag has set what it said before.
 */
#ifndef CLI_TOP_SETTINGS_H
#define CLI_TOP_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "cli/top/actions.h"

#define INTERVAL_MIN_S 0.1
#define INTERVAL_MAX_S 3600.0
#define ACTION_KEYS 4 /* that one action may have */

struct saver; /* saver.h */

enum color_when { COLOR_WHEN_AUTO, COLOR_WHEN_NEVER, COLOR_WHEN_ALWAYS };

struct settings {
    double interval_s;
    size_t sort; /* of kvmtop_columns */
    int inverted;
    uint64_t hidden_columns; /* bit n: kvmtop_columns[n] */
    int ascii;
    enum color_when color;
    int mouse;
    int follow;                          /* scroll with the selected item when it moves */
    int hide_zero;                       /* in the detail: statistics that never counted anything */
    int level;                           /* in the detail: enum vmt_level, the highest shown */
    int keys[ACTION_COUNT][ACTION_KEYS]; /* KEY_NONE_: none more */
    int unread;                          /* there is a file, and it could not be read: it is not written either */
};

/* The one table of settings that have a name. */
struct setting_info {
    const char *name;
    const char *values; /* that it can have, for people: "never, auto, always" */
    const char *help;   /* one sentence */
};
extern const struct setting_info settings_table[];
extern const size_t settings_table_count;

/* As it is without a file. */
void settings_default(struct settings *settings);

/* Set one, as a line of the file does. 0, -ENOENT (no such setting), -EINVAL (no such value); then *why (of why_size
 * bytes) is one line that names what is wrong and says what is allowed, and settings are as they were. */
int settings_set(struct settings *settings, const char *name, const char *value, char *why, size_t why_size);

/* Read the file over what settings holds. An action below [keys] then has these keys only ("none": none), and what has a
 * default for one of them in the same view loses it. *path (the caller's, NULL without a home) is its name. 0 (also where
 * there is none), or a negative errno and *why, one line that names file and line and says what is wrong; settings then
 * are as they were, but for unread. */
int settings_load(struct settings *settings, char **path, char *why, size_t why_size);

/* Have the saver write what differs from the defaults. of_flags: as it was loaded plus what flags changed; loaded: as it
 * was loaded. A setting that differs between those two and not between of_flags and settings is written as loaded. 0, or
 * a negative errno and *why, one line. */
int settings_save(const struct settings *settings, const struct settings *loaded, const struct settings *of_flags,
                  struct saver *saver, char *why, size_t why_size);

#endif
