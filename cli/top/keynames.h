/* SPDX-License-Identifier: MIT */
/* keynames.h: keys as numbers and as words. */
#ifndef CLI_TOP_KEYNAMES_H
#define CLI_TOP_KEYNAMES_H

#include <stddef.h>

#define KEY_TEXT 16 /* bytes that hold the name of a key */

/* Keys as the screen hands them over: a character is itself (Ctrl-A is 1, and so on), others are these. */
enum key {
    KEY_NONE_ = 0,
    KEY_TAB_ = '\t',
    KEY_ENTER_ = '\n', /* also '\r' */
    KEY_ESCAPE_ = 27,
    KEY_SPACE_ = ' ',
    KEY_OTHER_ = 0x110000, /* beyond all characters */
    KEY_UP_,
    KEY_DOWN_,
    KEY_LEFT_,
    KEY_RIGHT_,
    KEY_SHIFT_LEFT_,
    KEY_SHIFT_RIGHT_,
    KEY_PAGE_UP_,
    KEY_PAGE_DOWN_,
    KEY_HOME_,
    KEY_END_,
    KEY_INSERT_,
    KEY_DELETE_,
    KEY_BACKSPACE_, /* also 127 and 8 */
    KEY_BACKTAB_,
    KEY_RESIZED_,
    KEY_MOUSE_,         /* screen_mouse() says what */
    KEY_F0_ = 0x110100, /* F1 is KEY_F0_ + 1, to F12 */
};

/* "a", "Space", "Up", "F5", "Ctrl-R", "Esc": into buf, of KEY_TEXT bytes; returns buf. */
char *key_text(int key, char *buf, size_t size);

/* The other way round; names in any case, characters as they are. KEY_NONE_ for what is none. */
int key_parse(const char *name);

/* What the mouse did. */
enum mouse_act { MOUSE_CLICK, MOUSE_DOUBLE_CLICK, MOUSE_WHEEL_UP, MOUSE_WHEEL_DOWN };
struct mouse {
    enum mouse_act act;
    int row;
    int column;
};

#endif
