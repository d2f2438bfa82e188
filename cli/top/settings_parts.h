/* SPDX-License-Identifier: MIT */
/* settings_parts.h: what the files that settings are made of (values, keys, the file) know of each other. */
#ifndef CLI_TOP_SETTINGS_PARTS_H
#define CLI_TOP_SETTINGS_PARTS_H

#include "cli/top/settings.h"

#define SETTING_TEXT 2048 /* bytes that hold any value */
#define WHY_TEXT 512      /* and what is wrong with one */

/* The value of settings_table[i], as settings_set() takes it. Returns buf. */
const char *setting_text(const struct settings *settings, size_t i, char *buf, size_t size);

/* "'wrod'": word, cut, and fit to print; behind it, if a name is nearly that, "; did you mean 'word'?". name(i) is the
 * i-th name, NULL behind the last one. */
#define WORD_TEXT 48
const char *word_text(const char *word, char *buf);
const char *word_nearest(const char *word, const char *(*name)(size_t));

/* ---- keys ---- */

long action_find(const char *name); /* or -1 */
const char *action_name(size_t i);  /* NULL behind the last one */

/* As actions.h has them, of one action. */
void keys_default(size_t action, int keys[ACTION_KEYS]);

/* Read "key key", or "none". 0, or -EINVAL and *why. */
int keys_parse(const char *value, int keys[ACTION_KEYS], char *why, size_t why_size);
const char *keys_text(const int keys[ACTION_KEYS], char *buf, size_t size);

/* lines: the line in which an action was given the keys that it has in settings; 0: it was not. Take these from others,
 * and see that they are enough. 0, or -EINVAL, *line and *why. */
int keys_settle(struct settings *settings, const unsigned lines[ACTION_COUNT], unsigned *line, char *why,
                size_t why_size);

/* The other way round: what has to be given. listed[action]: 1 or 0. */
void keys_listed(const struct settings *settings, unsigned listed[ACTION_COUNT]);

#endif
