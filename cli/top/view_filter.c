/* SPDX-License-Identifier: MIT */
/* The line of input: what is typed is the filter at once. */
#include <errno.h>
#include <string.h>

#include "cli/top/grid.h"
#include "cli/top/view_internal.h"

#define CTRL(c) ((c)-0x40)

struct view_filter *view_filter_here(struct view *v) { return v->mode == VIEW_OVERVIEW ? &v->rows : &v->statistics; }

void view_filter_clear(struct view_filter *f)
{
    filter_free(f->filter);
    memset(f, 0, sizeof(*f));
}

/* Make the filter anew from its text; where that is wrong, the last good one stays. */
static int renew(struct view_filter *f)
{
    struct filter *filter = NULL;
    int r = filter_new(f->text, &filter, f->why, sizeof(f->why));

    if (r < 0)
        return r;
    filter_free(f->filter);
    f->filter = filter;
    f->why[0] = '\0';
    return 0;
}

static void set_text(struct view_filter *f, const char *text)
{
    size_t n = strnlen(text, sizeof(f->text) - 1);

    while (text[n] && n && ((unsigned char)text[n] & 0xc0) == 0x80) /* not half a character */
        n--;
    memmove(f->text, text, n);
    f->text[n] = '\0';
}

int view_filter_rows(struct view *v, const char *text)
{
    set_text(&v->rows, text);
    return renew(&v->rows);
}

/* What is wrong while one types is shown, and no error. */
static int change(struct view *v, struct view_filter *f)
{
    int r = renew(f);

    v->reveal = 1;
    return r == -ENOMEM ? r : 1;
}

void view_type(struct view *v)
{
    v->typing = 1;
    memcpy(v->typed_over, view_filter_here(v)->text, sizeof(v->typed_over));
}

static void erase_character(char *text)
{
    size_t n = strlen(text);

    while (n && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
        n--;
    text[n ? n - 1 : 0] = '\0';
}

static void erase_word(char *text)
{
    size_t n = strlen(text);

    while (n && text[n - 1] == ' ')
        n--;
    while (n && text[n - 1] != ' ')
        n--;
    text[n] = '\0';
}

static int add_character(struct view_filter *f, int key)
{
    char utf8[5];
    size_t n = grid_encode((uint32_t)key, utf8);
    size_t at = strlen(f->text);

    if (at + n >= sizeof(f->text))
        return 0;
    memcpy(f->text + at, utf8, n + 1);
    return 1;
}

static int is_character(int key)
{
    return key >= ' ' && key < KEY_OTHER_ && !(key >= 0x7f && key < 0xa0) && !(key >= 0xd800 && key < 0xe000);
}

int view_typed(struct view *v, int key)
{
    struct view_filter *f = view_filter_here(v);

    switch (key) {
    case KEY_ENTER_:
        v->typing = f->why[0] != '\0'; /* what is wrong can't be kept */
        return 1;
    case KEY_ESCAPE_:
        v->typing = 0;
        memcpy(f->text, v->typed_over, sizeof(f->text));
        return change(v, f);
    case KEY_BACKSPACE_:
        erase_character(f->text);
        return change(v, f);
    case CTRL('U'):
        f->text[0] = '\0';
        return change(v, f);
    case CTRL('W'):
        erase_word(f->text);
        return change(v, f);
    default:
        if (!is_character(key))
            return key < ' '; /* to move the selection is allowed meanwhile */
        return add_character(f, key) ? change(v, f) : 1;
    }
}
