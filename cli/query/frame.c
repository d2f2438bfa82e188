/* SPDX-License-Identifier: MIT */
#include "cli/query/frame.h"

#include <stdlib.h>
#include <string.h>

#define RESET '\xff' /* in no text of UTF-8 */

bool frame_is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool frame_is_mark(char c) { return c != '\0' && strchr("{}[]\"',:", c) != NULL; }

static void start_anew(struct frame *f)
{
    f->size = 0;
    f->depth = 0;
    f->quote = '\0';
    f->escaped = false;
    f->whole = false;
    f->passing = false;
}

/* From here on nothing is kept until the text that is refused is over; unless it just ends. */
static enum frame_found refuse(struct frame *f, bool ends, enum frame_found why)
{
    if (ends)
        start_anew(f);
    f->passing = !ends;
    f->size = 0;
    return why;
}

static void in_string(struct frame *f, char c)
{
    if (f->escaped)
        f->escaped = false;
    else if (c == '\\')
        f->escaped = true;
    else if (c == f->quote)
        f->quote = '\0';
}

/* Where brackets and strings stand after c. Whether the text may end there. */
static bool step(struct frame *f, char c)
{
    if (f->quote) {
        in_string(f, c);
        return f->depth == 0 && !f->quote;
    }
    switch (c) {
    case '"':
    case '\'':
        f->quote = c;
        return false;
    case '{':
    case '[':
        f->depth++;
        return false;
    case '}':
    case ']':
        f->depth -= f->depth > 0;
        return f->depth == 0;
    default:
        return f->depth == 0 && (c == ',' || c == ':');
    }
}

static enum frame_found keep(struct frame *f, char c)
{
    bool ends = step(f, c);

    if (!f->text)
        f->text = malloc(FRAME_BYTES + 1);
    if (!f->text)
        return refuse(f, ends, FRAME_NO_MEMORY);
    if (f->depth > FRAME_DEPTH)
        return refuse(f, ends, FRAME_TOO_DEEP);
    if (f->size == FRAME_BYTES)
        return refuse(f, ends, FRAME_TOO_LARGE);
    f->text[f->size++] = c;
    f->whole = ends;
    return ends ? FRAME_TEXT : FRAME_MORE;
}

/* A byte of what was refused. */
static void pass(struct frame *f, char c)
{
    if (c == '\n' || step(f, c))
        start_anew(f);
}

static enum frame_found take_one(struct frame *f, char c, bool *taken)
{
    bool scalar = f->size > 0 && f->depth == 0 && !f->quote;

    *taken = true;
    if (c == RESET || (f->quote && c == '\n' && !f->passing)) {
        start_anew(f);
        return FRAME_BROKEN;
    }
    if (f->passing) {
        pass(f, c);
        return FRAME_MORE;
    }
    if (f->size == 0 && frame_is_space(c))
        return FRAME_MORE;
    if (scalar && (frame_is_space(c) || frame_is_mark(c))) {
        *taken = false;
        f->whole = true;
        return FRAME_TEXT;
    }
    return keep(f, c);
}

enum frame_found frame_take(struct frame *f, const char *data, size_t size, size_t *used)
{
    enum frame_found found = FRAME_MORE;
    size_t n = 0;

    if (f->whole)
        start_anew(f);
    while (found == FRAME_MORE && n < size) {
        bool taken;

        found = take_one(f, data[n], &taken);
        n += taken;
    }
    *used = n;
    if (found == FRAME_TEXT)
        f->text[f->size] = '\0';
    return found;
}

bool frame_end(struct frame *f)
{
    bool broke_off = f->size > 0 && !f->whole;

    if (broke_off)
        f->text[f->size] = '\0';
    return broke_off;
}

void frame_free(struct frame *f)
{
    free(f->text);
    *f = (struct frame){ 0 };
}
