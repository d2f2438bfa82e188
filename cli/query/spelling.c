/* SPDX-License-Identifier: MIT */
#include "cli/query/spelling.h"

#include <stdlib.h>
#include <string.h>

#include "cli/query/frame.h"

#define DIGITS "0123456789"
#define WORD_SHOWN 32

struct speller {
    const char *at, *end;
    char *to;
    bool as_letters;
    unsigned depth;
    size_t outermost; /* members so far */
    size_t wanted;
    char *from, *until; /* the value that is wanted, where it was written to */
    struct spelling *ret;
};

static bool is_control(char c) { return (unsigned char)c < ' '; }

static void put(struct speller *s, const char *text, size_t size)
{
    memcpy(s->to, text, size);
    s->to += size;
}

/* ---- strings ---- */

/* What stands behind a backslash at s->at. */
static void spell_escape(struct speller *s, char quote)
{
    bool is_nul = s->end - s->at >= 6 && memcmp(s->at, "\\u0000", 6) == 0;

    if (quote == '\'' && s->at[1] == '\'') {
        put(s, "'", 1);
        s->at += 2;
    } else if (is_nul && s->as_letters) {
        put(s, "\\\\u0000", 7);
        s->at += 6;
    } else {
        put(s, s->at, 2);
        s->at += 2;
    }
}

static int spell_string(struct speller *s, struct qmp_error *e)
{
    char quote = *s->at++;

    put(s, "\"", 1);
    while (s->at < s->end && *s->at != quote) {
        bool escapes = *s->at == '\\' && s->at + 1 < s->end;

        if (is_control(*s->at) || (escapes && is_control(s->at[1])))
            return qmp_error(e, QMP_GENERIC, "JSON parse error, a control character in a string");
        if (escapes) {
            spell_escape(s, quote);
            continue;
        }
        if (*s->at == '"')
            put(s, "\\", 1);
        put(s, s->at++, 1);
    }
    if (s->at == s->end)
        return qmp_error(e, QMP_GENERIC, "JSON parse error, a string without its end");
    s->at++;
    put(s, "\"", 1);
    return 0;
}

/* ---- words and numbers ---- */

/* *text moves behind the digits that are there. */
static bool skip_digits(const char **text)
{
    size_t n = strspn(*text, DIGITS);

    *text += n;
    return n > 0;
}

static bool is_number(const char *text, const char *end)
{
    text += *text == '-';
    if (*text == '0')
        text++;
    else if (!skip_digits(&text))
        return false;
    if (*text == '.') {
        text++;
        if (!skip_digits(&text))
            return false;
    }
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '+' || *text == '-';
        if (!skip_digits(&text))
            return false;
    }
    return text == end;
}

static bool is_word(const char *text, size_t size)
{
    static const char *const words[] = { "null", "true", "false" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (size == strlen(words[i]) && memcmp(text, words[i], size) == 0)
            return true;
    }
    return false;
}

static int spell_word(struct speller *s, struct qmp_error *e)
{
    const char *word = s->at;
    size_t size;

    while (s->at < s->end && !frame_is_space(*s->at) && !frame_is_mark(*s->at))
        s->at++;
    size = (size_t)(s->at - word);
    if (!is_word(word, size) && !is_number(word, s->at))
        return qmp_error(e, QMP_GENERIC, "JSON parse error, %s '%.*s'",
                         *word >= 'a' && *word <= 'z' ? "invalid keyword" : "stray",
                         size < WORD_SHOWN ? (int)size : WORD_SHOWN, word);
    put(s, word, size);
    return 0;
}

/* ---- all of it ---- */

static void begin_value(struct speller *s)
{
    s->ret->members++;
    if (s->depth == 1 && s->outermost++ == s->wanted)
        s->from = s->to;
}

static void end_value(struct speller *s)
{
    if (s->depth == 1 && s->from && !s->until)
        s->until = s->to;
}

static void spell_mark(struct speller *s)
{
    char c = *s->at++;

    if (c == ',' || c == '}')
        end_value(s);
    s->depth += c == '{' || c == '[';
    s->depth -= s->depth > 0 && (c == '}' || c == ']');
    put(s, &c, 1);
    if (c == ':')
        begin_value(s);
}

static int spell(struct speller *s, struct qmp_error *e)
{
    int r = 0;

    while (s->at < s->end && r == 0) {
        if (*s->at == '"' || *s->at == '\'') {
            r = spell_string(s, e);
        } else if (frame_is_mark(*s->at)) {
            spell_mark(s);
        } else if (frame_is_space(*s->at)) {
            put(s, " ", 1);
            s->at++;
        } else {
            r = spell_word(s, e);
        }
    }
    return r;
}

static void take_value(struct spelling *ret, const char *from, const char *until)
{
    while (from < until && *from == ' ')
        from++;
    while (from < until && until[-1] == ' ')
        until--;
    ret->value = from;
    ret->value_size = (size_t)(until - from);
}

int spelling_take(const char *json, size_t size, bool as_letters, size_t wanted, struct spelling *ret,
                  struct qmp_error *e)
{
    /* The longest: a quote in single quotes takes two bytes. */
    struct spelling r = { .text = malloc(2 * size + 1) };
    struct speller s = {
        .at = json, .end = json + size, .to = r.text, .as_letters = as_letters, .wanted = wanted, .ret = &r
    };

    if (!r.text)
        return qmp_error(e, QMP_GENERIC, "out of memory");
    if (spell(&s, e)) {
        free(r.text);
        return -1;
    }
    *s.to = '\0';
    r.size = (size_t)(s.to - r.text);
    if (s.until)
        take_value(&r, s.from, s.until);
    *ret = r;
    return 0;
}
