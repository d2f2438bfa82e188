/* SPDX-License-Identifier: MIT */
/* Which keys actions have. Where two actions of one view have the same key, the first in actions.h is done: so it is with
 * q by default. Such a pair may stay; others are errors, or lose their default. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/top/keynames.h"
#include "cli/top/settings_parts.h"

#define BLANKS " \t"
#define NONE "none"

const char *action_name(size_t i) { return i < ACTION_COUNT ? actions[i].name : NULL; }

long action_find(const char *name)
{
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (!strcmp(actions[i].name, name))
            return (long)i;
    }
    return -1;
}

static int has(const int keys[ACTION_KEYS], int key)
{
    for (size_t i = 0; i < ACTION_KEYS; i++) {
        if (keys[i] == key)
            return 1;
    }
    return 0;
}

static void take_away(int keys[ACTION_KEYS], int key)
{
    size_t kept = 0;

    for (size_t i = 0; i < ACTION_KEYS; i++) {
        if (keys[i] != key)
            keys[kept++] = keys[i];
    }
    while (kept < ACTION_KEYS)
        keys[kept++] = KEY_NONE_;
}

/* ---- words ---- */

/* Ctrl-C, Ctrl-Z and Ctrl-\ end and stop a program: they never get here. */
static int is_the_terminals(int key) { return key == ('C' & 31) || key == ('Z' & 31) || key == ('\\' & 31); }

static int is_key(int key) { return key != KEY_NONE_ && key != KEY_RESIZED_ && key != KEY_MOUSE_ && key != KEY_OTHER_; }

static int add_key(const char *name, int keys[ACTION_KEYS], char *why, size_t why_size)
{
    int key = key_parse(name);
    char quoted[WORD_TEXT];
    size_t count = 0;

    if (!is_key(key))
        snprintf(why, why_size,
                 "no key %s; keys are characters, and words such as Space, Enter, Esc, Up, PageDown, F1, Ctrl-A",
                 word_text(name, quoted));
    else if (is_the_terminals(key))
        snprintf(why, why_size, "%s is the terminal's own key", word_text(name, quoted));
    else if (has(keys, key))
        return 0;
    else {
        while (count < ACTION_KEYS && keys[count] != KEY_NONE_)
            count++;
        if (count < ACTION_KEYS) {
            keys[count] = key;
            return 0;
        }
        snprintf(why, why_size, "more than %d keys", ACTION_KEYS);
    }
    return -EINVAL;
}

int keys_parse(const char *value, int keys[ACTION_KEYS], char *why, size_t why_size)
{
    int read[ACTION_KEYS] = { KEY_NONE_ };
    char name[WORD_TEXT];
    size_t n;
    int r = 0;

    if (strcmp(value, NONE) != 0) {
        for (; value += strspn(value, BLANKS), r == 0 && *value; value += n) {
            n = strcspn(value, BLANKS);
            snprintf(name, sizeof(name), "%.*s", (int)(n < sizeof(name) ? n : sizeof(name)), value);
            r = add_key(name, read, why, why_size);
        }
    }
    if (r == 0)
        memcpy(keys, read, sizeof(read));
    return r;
}

const char *keys_text(const int keys[ACTION_KEYS], char *buf, size_t size)
{
    char name[KEY_TEXT];
    size_t n = 0;

    snprintf(buf, size, "%s", keys[0] == KEY_NONE_ ? NONE : "");
    for (size_t i = 0; i < ACTION_KEYS && keys[i] != KEY_NONE_ && n < size; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? " " : "", key_text(keys[i], name, sizeof(name)));
    return buf;
}

void keys_default(size_t action, int keys[ACTION_KEYS])
{
    char why[WHY_TEXT];

    memset(keys, 0, sizeof(int) * ACTION_KEYS);
    keys_parse(actions[action].keys, keys, why, sizeof(why));
}

/* ---- who has which ---- */

/* Whether a key of one can't be a key of the other: both work in some view, and do not share it by default. */
static int exclude(size_t one, size_t other, int key)
{
    int keys[ACTION_KEYS];

    if (one == other || !(actions[one].modes & actions[other].modes))
        return 0;
    keys_default(one, keys);
    if (!has(keys, key))
        return 1;
    keys_default(other, keys);
    return !has(keys, key);
}

/* What was given to an action, taken from those to whom nothing was given. */
static void take_from_others(struct settings *s, const unsigned given[ACTION_COUNT])
{
    for (size_t one = 0; one < ACTION_COUNT; one++) {
        for (size_t i = 0; given[one] && i < ACTION_KEYS && s->keys[one][i] != KEY_NONE_; i++) {
            for (size_t other = 0; other < ACTION_COUNT; other++) {
                if (!given[other] && exclude(one, other, s->keys[one][i]))
                    take_away(s->keys[other], s->keys[one][i]);
            }
        }
    }
}

/* A key that was given to two. */
static int find_conflict(const struct settings *s, const unsigned lines[ACTION_COUNT], unsigned *line, char *why,
                         size_t why_size)
{
    char name[KEY_TEXT];

    for (size_t one = 0; one < ACTION_COUNT; one++) {
        for (size_t other = 0; lines[one] && other < ACTION_COUNT; other++) {
            for (size_t i = 0; lines[other] && i < ACTION_KEYS && s->keys[one][i] != KEY_NONE_; i++) {
                int key = s->keys[one][i];

                if (lines[other] > lines[one] || !has(s->keys[other], key) || !exclude(one, other, key))
                    continue;
                *line = lines[one];
                snprintf(why, why_size, "line %u gives the key '%s' to '%s' already", lines[other],
                         key_text(key, name, sizeof(name)), actions[other].name);
                return -EINVAL;
            }
        }
    }
    return 0;
}

static int have_common(const int one[ACTION_KEYS], const int other[ACTION_KEYS])
{
    int common = 0;

    for (size_t i = 0; i < ACTION_KEYS && one[i] != KEY_NONE_; i++)
        common |= has(other, one[i]);
    return common;
}

/* An action without which people would be caught. */
static int find_loss(const struct settings *s, size_t action, const unsigned lines[ACTION_COUNT], unsigned *line,
                     char *why, size_t why_size)
{
    int keys[ACTION_KEYS];

    if (s->keys[action][0] != KEY_NONE_)
        return 0;
    snprintf(why, why_size, "no key would be left for '%s'; give it one", actions[action].name);
    *line = lines[action];
    keys_default(action, keys);
    for (size_t i = 0; i < ACTION_COUNT; i++) { /* who took the last one */
        if (!lines[action] && lines[i] > *line && have_common(s->keys[i], keys))
            *line = lines[i];
    }
    return -EINVAL;
}

int keys_settle(struct settings *settings, const unsigned lines[ACTION_COUNT], unsigned *line, char *why,
                size_t why_size)
{
    int r = find_conflict(settings, lines, line, why, why_size);

    if (r < 0)
        return r;
    take_from_others(settings, lines);
    r = find_loss(settings, ACTION_QUIT, lines, line, why, why_size);
    return r < 0 ? r : find_loss(settings, ACTION_BACK, lines, line, why, why_size);
}

void keys_listed(const struct settings *settings, unsigned listed[ACTION_COUNT])
{
    struct settings as_read = { 0 };
    size_t i = 0;

    for (; i < ACTION_COUNT; i++) { /* first those that have what nobody takes from them */
        keys_default(i, as_read.keys[i]);
        listed[i] = 0;
        for (size_t k = 0; k < ACTION_KEYS; k++)
            listed[i] |= settings->keys[i][k] != KEY_NONE_ && !has(as_read.keys[i], settings->keys[i][k]);
    }
    do { /* then those that lost others than are taken from them so */
        for (i = 0; i < ACTION_COUNT; i++) {
            if (listed[i])
                memcpy(as_read.keys[i], settings->keys[i], sizeof(as_read.keys[i]));
            else
                keys_default(i, as_read.keys[i]);
        }
        take_from_others(&as_read, listed);
        for (i = 0; i < ACTION_COUNT; i++) {
            if (memcmp(as_read.keys[i], settings->keys[i], sizeof(as_read.keys[i])) != 0) {
                listed[i] = 1;
                break;
            }
        }
    } while (i < ACTION_COUNT);
}
