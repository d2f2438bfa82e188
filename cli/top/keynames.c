/* SPDX-License-Identifier: MIT */
#include "cli/top/keynames.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/top/grid.h"

#define F_KEYS 12
#define CONTROL "Ctrl-"
#define CONTROL_SIZE (sizeof(CONTROL) - 1)
#define CODE "U+"

/* The first name of a key is the one that it is called by, others are understood. */
static const struct {
    const char *name;
    int key;
} names[] = {
    { "Space", KEY_SPACE_ },
    { "Tab", KEY_TAB_ },
    { "Enter", KEY_ENTER_ },
    { "Return", KEY_ENTER_ },
    { "Esc", KEY_ESCAPE_ },
    { "Escape", KEY_ESCAPE_ },
    { "Up", KEY_UP_ },
    { "Down", KEY_DOWN_ },
    { "Left", KEY_LEFT_ },
    { "Right", KEY_RIGHT_ },
    { "Shift-Left", KEY_SHIFT_LEFT_ },
    { "Shift-Right", KEY_SHIFT_RIGHT_ },
    { "PageUp", KEY_PAGE_UP_ },
    { "PgUp", KEY_PAGE_UP_ },
    { "PageDown", KEY_PAGE_DOWN_ },
    { "PgDn", KEY_PAGE_DOWN_ },
    { "Home", KEY_HOME_ },
    { "End", KEY_END_ },
    { "Insert", KEY_INSERT_ },
    { "Ins", KEY_INSERT_ },
    { "Delete", KEY_DELETE_ },
    { "Del", KEY_DELETE_ },
    { "Backspace", KEY_BACKSPACE_ },
    { "Backtab", KEY_BACKTAB_ },
    { "Shift-Tab", KEY_BACKTAB_ },
    { "Resize", KEY_RESIZED_ },
    { "Mouse", KEY_MOUSE_ },
    { "Other", KEY_OTHER_ },
};
#define NAMES (sizeof(names) / sizeof(names[0]))

/* Several codes of one key are one. */
static int same(int key) { return key == '\r' ? KEY_ENTER_ : key == 8 || key == 127 ? KEY_BACKSPACE_ : key; }

/* What can be read as itself where names stand between spaces: no space, no control, nothing invisible. */
static int visible(uint32_t c)
{
    static const uint32_t invisible[][2] = { { 0, 0x20 },        { 0x7f, 0xa0 },     { 0xad, 0xad },
                                             { 0x1680, 0x1680 }, { 0x2000, 0x200f }, { 0x2028, 0x202f },
                                             { 0x205f, 0x206f }, { 0x3000, 0x3000 }, { 0xd800, 0xf8ff },
                                             { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0x10ffff } };

    for (size_t i = 0; i < sizeof(invisible) / sizeof(invisible[0]); i++) {
        if (c >= invisible[i][0] && c <= invisible[i][1])
            return 0;
    }
    return 1;
}

char *key_text(int key, char *buf, size_t size)
{
    key = same(key);
    for (size_t i = 0; i < NAMES; i++) {
        if (names[i].key == key) {
            snprintf(buf, size, "%s", names[i].name);
            return buf;
        }
    }
    if (key > KEY_F0_ && key <= KEY_F0_ + F_KEYS) {
        snprintf(buf, size, "F%d", key - KEY_F0_);
    } else if (key <= KEY_NONE_ || key >= KEY_OTHER_) {
        snprintf(buf, size, "None");
    } else if (key < ' ') {
        snprintf(buf, size, CONTROL "%c", key + '@');
    } else if (!visible((uint32_t)key)) {
        snprintf(buf, size, CODE "%04X", (unsigned)key);
    } else {
        char utf8[5];

        grid_encode((uint32_t)key, utf8);
        snprintf(buf, size, "%s", utf8);
    }
    return buf;
}

/* All of text as a number up to most, or -1. */
static long number(const char *text, int base, long most)
{
    char *end;
    long n;

    if (!strchr("0123456789abcdefABCDEF", text[0]) || !text[0])
        return -1;
    n = strtol(text, &end, base);
    return *end || n > most ? -1 : n;
}

/* Ctrl-A and so on, in either case, to Ctrl-_. */
static int control(const char *name)
{
    int c = name[0] >= 'a' && name[0] <= 'z' ? name[0] - 0x20 : name[0];

    return !name[0] || name[1] || c <= '@' || c > '_' ? KEY_NONE_ : same(c - '@');
}

int key_parse(const char *name)
{
    const char *end = name;
    uint32_t c;
    long n;

    if (!name[0])
        return KEY_NONE_;
    c = grid_decode(&end);
    if (!*end)
        return c == '?' && name[0] != '?' ? KEY_NONE_ : (int)c;
    for (size_t i = 0; i < NAMES; i++) {
        if (!strcasecmp(names[i].name, name))
            return names[i].key;
    }
    if (!strncasecmp(name, CONTROL, CONTROL_SIZE))
        return control(name + CONTROL_SIZE);
    if (!strncasecmp(name, CODE, 2))
        return (n = number(name + 2, 16, KEY_OTHER_ - 1)) > 0 ? same((int)n) : KEY_NONE_;
    if ((name[0] == 'F' || name[0] == 'f') && (n = number(name + 1, 10, F_KEYS)) > 0)
        return KEY_F0_ + (int)n;
    return KEY_NONE_;
}
