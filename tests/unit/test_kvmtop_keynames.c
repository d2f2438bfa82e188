/* SPDX-License-Identifier: MIT */
#include "parts.h"

#include <ctype.h>

#include "cli/top/keynames.h"

static const char *name_of(int key)
{
    static char text[KEY_TEXT];

    return key_text(key, text, sizeof(text));
}

/* Codes that terminals send for the same key. */
static int the_same(int key) { return key == '\r' ? KEY_ENTER_ : key == 8 || key == 127 ? KEY_BACKSPACE_ : key; }

static void expect_both_ways(int key)
{
    const char *name = name_of(key);

    cr_assert_eq(key_parse(name), the_same(key), "%#x is '%s', which is %#x", (unsigned)key, name,
                 (unsigned)key_parse(name));
    for (const char *c = name; *c; c++)
        cr_assert(!isspace((unsigned char)*c) && !iscntrl((unsigned char)*c), "%#x: '%s'", (unsigned)key, name);
}

Test(keynames, every_character_has_a_name_without_spaces_that_is_that_character)
{
    for (int key = 1; key < KEY_OTHER_; key++)
        expect_both_ways(key);
}

Test(keynames, every_other_key_has_a_name_that_is_that_key)
{
    for (int key = KEY_OTHER_; key <= KEY_MOUSE_; key++)
        expect_both_ways(key);
    for (int n = 1; n <= 12; n++)
        expect_both_ways(KEY_F0_ + n);
}

Test(keynames, names_are_those_that_people_know)
{
    static const struct {
        int key;
        const char *name;
    } known[] = {
        { 'a', "a" },
        { '#', "#" },
        { KEY_SPACE_, "Space" },
        { KEY_ENTER_, "Enter" },
        { KEY_ESCAPE_, "Esc" },
        { 1, "Ctrl-A" },
        { 26, "Ctrl-Z" },
        { 28, "Ctrl-\\" },
        { 31, "Ctrl-_" },
        { KEY_PAGE_DOWN_, "PageDown" },
        { KEY_SHIFT_LEFT_, "Shift-Left" },
        { KEY_F0_ + 12, "F12" },
        { 0xe4, "\u00e4" },
        { 0x6f22, "\u6f22" },
        { 0xa0, "U+00A0" },
        { 0x10ffff, "U+10FFFF" },
        { KEY_NONE_, "None" },
        { -1, "None" },
        { KEY_F0_ + 13, "None" },
    };

    for (size_t i = 0; i < LENGTH(known); i++)
        cr_expect_str_eq(name_of(known[i].key), known[i].name);
}

Test(keynames, names_are_understood_in_any_case_and_by_their_other_words)
{
    static const struct {
        const char *name;
        int key;
    } understood[] = {
        { "space", KEY_SPACE_ },
        { "ESCAPE", KEY_ESCAPE_ },
        { "pgdn", KEY_PAGE_DOWN_ },
        { "Del", KEY_DELETE_ },
        { "Return", KEY_ENTER_ },
        { "f1", KEY_F0_ + 1 },
        { "ctrl-r", 18 },
        { "CTRL-R", 18 },
        { "Ctrl-M", KEY_ENTER_ },
        { "Ctrl-I", KEY_TAB_ },
        { "Ctrl-H", KEY_BACKSPACE_ },
        { "Ctrl-[", KEY_ESCAPE_ },
        { "shift-tab", KEY_BACKTAB_ },
        { "u+e4", 0xe4 },
        { "f", 'f' },
        { "F", 'F' },
        { "?", '?' },
        { "+", '+' },
    };

    for (size_t i = 0; i < LENGTH(understood); i++)
        cr_expect_eq(key_parse(understood[i].name), understood[i].key, "'%s'", understood[i].name);
}

Test(keynames, what_is_no_key_is_none)
{
    static const char *const none[] = { "",
                                        "ab",
                                        "F0",
                                        "F13",
                                        "F1x",
                                        "F-1",
                                        "Ctrl-",
                                        "Ctrl-ab",
                                        "Ctrl-1",
                                        "Ctrl-@",
                                        "U+",
                                        "U+0",
                                        "U+110000",
                                        "U+xyz",
                                        "U+-1",
                                        "U+ 41",
                                        "\xff",
                                        "\t",
                                        "\xc3",
                                        "Up ",
                                        " Up",
                                        "\xe2\x82",
                                        "Esc Up",
                                        "F 1",
                                        "U+99999999999999999999",
                                        "F99999999999999999999" };

    for (size_t i = 0; i < LENGTH(none); i++)
        cr_expect_eq(key_parse(none[i]), KEY_NONE_, "'%s' is %#x", none[i], (unsigned)key_parse(none[i]));
}

Test(keynames, a_name_is_cut_where_there_is_no_room)
{
    char small[4] = "xyz";

    cr_expect_str_eq(key_text(KEY_PAGE_UP_, small, sizeof(small)), "Pag");
    cr_expect_str_eq(key_text(KEY_F0_ + 12, small, 3), "F1");
}
