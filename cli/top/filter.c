/* SPDX-License-Identifier: MIT */
#include "cli/top/filter.h"

#include <errno.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The C library keeps each state that a regular expression was ever in, which hostile names could make millions of; so
 * it starts anew once as many were possible. */
#define STATES_MAX (1U << 18)

struct matcher {
    char *expression;
    regex_t regex;
    size_t states; /* that there may be by now */
};

struct filter {
    struct matcher *matcher; /* NULL: parts */
    char *parts;             /* in small letters, each with its NUL, behind the last an empty one */
};

/* ---- substrings ---- */

static char small(char c) { return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); }

static int contains(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t i = 0;

        while (part[i] && small(text[i]) == part[i]) /* ends at text's NUL too */
            i++;
        if (!part[i])
            return 1;
    }
    return 0;
}

/* Into zeros. */
static void split(char *parts, const char *text)
{
    size_t n = 0;

    for (; *text; text++) {
        if (*text != '|')
            parts[n++] = small(*text);
        else if (n && parts[n - 1])
            n++;
    }
}

/* ---- how much an expression asks of the C library ---- */

/* Its compiler writes repetitions out, nested ones to gigabytes; and it walks each way that leads through what can be
 * empty, of which (a?|b?) has 2, twenty of them a million. Both are known beforehand, from what they are made of. */
struct weight {
    size_t size;    /* written out */
    size_t through; /* ways from its beginning to its end without a character; 0: it can't be empty */
    size_t in;      /* ways from its beginning to a character in it */
    size_t out;     /* from a character in it to its end, the most */
    size_t most;    /* from a character in it to others */
    size_t anchors; /* places, not characters; in a loop they take it without end, and are too many here */
};

#define WEIGHT_MAX 1024 /* of each */
#define ANCHORS_MAX 64
#define WEIGHT_EMPTY ((struct weight){ .through = 1 })
#define WEIGHT_ONE ((struct weight){ .size = 1, .in = 1, .out = 1 }) /* a character */
#define WEIGHT_ANCHOR ((struct weight){ .size = 1, .through = 1, .in = 1, .out = 1, .anchors = 1 })

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t greatest(size_t a, size_t b) { return a > b ? a : b; }

/* Once too large, it stays so. */
static struct weight bounded(struct weight w)
{
    const size_t limit = WEIGHT_MAX + 1;

    return (struct weight){ least(w.size, limit), least(w.through, limit), least(w.in, limit),
                            least(w.out, limit),  least(w.most, limit),    least(w.anchors, limit) };
}

static struct weight sequence(struct weight a, struct weight b)
{
    return bounded((struct weight){ .size = a.size + b.size,
                                    .through = a.through * b.through,
                                    .in = a.in + a.through * b.in,
                                    .out = greatest(a.out * b.through, b.out),
                                    .most = greatest(a.most + a.out * b.in, b.most),
                                    .anchors = a.anchors + b.anchors });
}

static struct weight choice(struct weight a, struct weight b)
{
    return bounded((struct weight){ .size = a.size + b.size + 1,
                                    .through = a.through + b.through,
                                    .in = a.in + b.in,
                                    .out = greatest(a.out, b.out),
                                    .most = greatest(a.most, b.most),
                                    .anchors = a.anchors + b.anchors });
}

static struct weight maybe(struct weight a)
{
    a.size++;
    a.through++;
    return bounded(a);
}

static struct weight loop(struct weight a)
{
    return bounded((struct weight){ .size = a.size + 1,
                                    .through = a.through + 1,
                                    .in = a.in * (a.through + 1),
                                    .out = a.out * (a.through + 1),
                                    .most = a.most + a.out * (a.in + a.through),
                                    .anchors = a.anchors * WEIGHT_MAX });
}

/* From low to high times; high SIZE_MAX: without an end. */
static struct weight repeated(struct weight a, size_t low, size_t high)
{
    struct weight w = WEIGHT_EMPTY;
    struct weight rest = WEIGHT_EMPTY;

    if (a.in == 0) /* nothing, again and again */
        a.through = WEIGHT_MAX + 1;
    for (size_t i = 0; i < low && i <= WEIGHT_MAX; i++)
        w = sequence(w, a);
    if (high == SIZE_MAX)
        return sequence(w, loop(a));
    for (size_t i = low; i < high && i - low <= WEIGHT_MAX; i++)
        rest = maybe(sequence(rest, a));
    return sequence(w, rest);
}

/* Behind the bracket expression that starts at s; NULL: it has no end. */
static const char *skip_brackets(const char *s)
{
    s += s[1] == '^' ? 2 : 1;
    if (*s == ']')
        s++;
    for (; *s && *s != ']'; s++) {
        if (*s == '[' && s[1] && strchr(":.=", s[1])) {
            const char end[] = { s[1], ']', '\0' };

            s = strstr(s + 2, end);
            if (!s)
                return NULL;
            s++;
        }
    }
    return *s ? s + 1 : NULL;
}

/* A repetition "{low,high}" that ends at or before its '}'; returns what is behind. */
static const char *read_bounds(const char *s, size_t *low, size_t *high)
{
    char *end;

    *low = strtoul(s + 1, &end, 10);
    *high = *low;
    if (*end == ',')
        *high = end[1] == '}' ? SIZE_MAX : strtoul(end + 1, NULL, 10);
    s += strcspn(s, "}");
    return *s ? s + 1 : s;
}

static int continues(char c) { return ((unsigned char)c & 0xc0) == 0x80; } /* a character in UTF-8 */

struct group {
    struct weight choices; /* before the last | */
    int has_choices;
    struct weight before; /* since then, without last */
    struct weight last;   /* what a repetition would repeat */
};

static struct weight group_weight(const struct group *g)
{
    struct weight w = sequence(g->before, g->last);

    return g->has_choices ? choice(g->choices, w) : w;
}

static void add(struct group *g, struct weight w)
{
    g->before = sequence(g->before, g->last);
    g->last = w;
}

static void add_choice(struct group *g)
{
    g->choices = group_weight(g);
    g->has_choices = 1;
    g->before = g->last = WEIGHT_EMPTY;
}

/* The backslash at s and what is behind it; returns what follows. */
static const char *add_escape(struct group *g, const char *s)
{
    add(g, s[1] && strchr("bB<>`'", s[1]) ? WEIGHT_ANCHOR : WEIGHT_ONE);
    return s[1] ? s + 2 : s + 1;
}

/* One element of the expression at s, which is no parenthesis; returns what follows, NULL where that is wrong. */
static const char *weigh_element(struct group *g, const char *s)
{
    size_t low, high;

    switch (*s) {
    case '*':
        g->last = loop(g->last);
        return s + 1;
    case '?':
        g->last = maybe(g->last);
        return s + 1;
    case '+':
        g->last = repeated(g->last, 1, SIZE_MAX);
        return s + 1;
    case '{':
        s = read_bounds(s, &low, &high);
        g->last = repeated(g->last, low, high);
        return s;
    case '|':
        add_choice(g);
        return s + 1;
    case '^':
    case '$':
        add(g, WEIGHT_ANCHOR);
        return s + 1;
    case '\\':
        return add_escape(g, s);
    case '[':
        add(g, WEIGHT_ONE);
        return skip_brackets(s);
    default:
        if (continues(*s))
            g->last.size++;
        else
            add(g, WEIGHT_ONE);
        return s + 1;
    }
}

/* Why the C library should not be given this. NULL: it may; then it finds what else is wrong. */
static const char *refuse(const char *s)
{
    const struct group fresh = { .before = WEIGHT_EMPTY, .last = WEIGHT_EMPTY };
    struct group groups[FILTER_LENGTH + 1] = { fresh };
    size_t depth = 0;
    int all = 0;

    while (!all) {
        struct weight w;

        all = !s || !*s;
        if (!all && *s == '\\' && s[1] >= '1' && s[1] <= '9')
            return "back-references such as \\1 are not supported";
        if (!all && *s == '(') {
            groups[++depth] = fresh;
            s++;
        } else if (depth > 0 && (all || *s == ')')) {
            w = group_weight(&groups[depth--]);
            w.size++;
            add(&groups[depth], w);
            s = all ? s : s + 1;
            all = 0;
        } else if (!all) {
            s = weigh_element(&groups[depth], s);
        }
        w = group_weight(&groups[depth]);
        if (w.size > FILTER_LENGTH)
            return "too long with all its repetitions written out; use * or smaller numbers";
        if (w.anchors > ANCHORS_MAX)
            return "^, $, \\b and the like may stand in nothing that is repeated, and 64 times at most";
        if (greatest(greatest(w.through, w.in), greatest(w.out, w.most)) > WEIGHT_MAX)
            return "too many ways to match nothing; use * and ? inside of repetitions less";
    }
    return NULL;
}

/* ---- regular expressions ---- */

/* 0 or a code of regcomp(). */
static int compile(regex_t *regex, const char *expression)
{
    return regcomp(regex, expression, REG_EXTENDED | REG_ICASE | REG_NOSUB);
}

static void matcher_free(struct matcher *m)
{
    if (!m)
        return;
    regfree(&m->regex);
    free(m->expression);
    free(m);
}

static int matcher_new(const char *expression, struct matcher **ret, char *why, size_t why_size)
{
    const char *reason = refuse(expression);
    struct matcher *m;
    int r;

    if (reason) {
        snprintf(why, why_size, "%s", reason);
        return -EINVAL;
    }
    m = calloc(1, sizeof(*m));
    if (!m || !(m->expression = strdup(expression))) {
        free(m);
        return -ENOMEM;
    }
    r = compile(&m->regex, expression);
    if (r == 0) {
        *ret = m;
        return 0;
    }
    if (r != REG_ESPACE)
        regerror(r, &m->regex, why, why_size);
    free(m->expression);
    free(m);
    return r == REG_ESPACE ? -ENOMEM : -EINVAL;
}

static int matcher_matches(struct matcher *m, const char *text)
{
    size_t n = strlen(text);
    size_t states = n < STATES_MAX ? n * n : STATES_MAX; /* it tries from each byte on */
    regex_t fresh;

    m->states += states;
    if (m->states > STATES_MAX && compile(&fresh, m->expression) == 0) {
        regfree(&m->regex);
        m->regex = fresh;
        m->states = states;
    }
    return regexec(&m->regex, text, 0, NULL, 0) == 0;
}

/* ---- both ---- */

/* What stands between the slashes. */
static void between(char *expression, const char *text)
{
    size_t n = strlen(text + 1);
    size_t escapes = 0;

    memcpy(expression, text + 1, n + 1);
    if (!n || expression[n - 1] != '/')
        return;
    while (escapes + 1 < n && expression[n - 2 - escapes] == '\\')
        escapes++;
    if (escapes % 2 == 0)
        expression[n - 1] = '\0';
}

int filter_new(const char *text, struct filter **ret, char *why, size_t why_size)
{
    char plain[FILTER_LENGTH + 2] = { 0 }; /* the expression, or the parts */
    int regular = text[0] == '/';
    struct filter *f;
    int r = 0;

    if (strlen(text) > FILTER_LENGTH) {
        snprintf(why, why_size, "longer than %d bytes", FILTER_LENGTH);
        return -EINVAL;
    }
    if (regular)
        between(plain, text);
    else
        split(plain, text);
    if (!plain[0]) {
        *ret = NULL;
        return 0;
    }
    f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    if (regular)
        r = matcher_new(plain, &f->matcher, why, why_size);
    else if (!(f->parts = malloc(sizeof(plain))))
        r = -ENOMEM;
    else
        memcpy(f->parts, plain, sizeof(plain));
    if (r < 0) {
        free(f);
        return r;
    }
    *ret = f;
    return 0;
}

void filter_free(struct filter *filter)
{
    if (!filter)
        return;
    matcher_free(filter->matcher);
    free(filter->parts);
    free(filter);
}

int filter_matches(const struct filter *filter, const char *text)
{
    if (!filter)
        return 1;
    if (filter->matcher)
        return matcher_matches(filter->matcher, text);
    for (const char *part = filter->parts; *part; part += strlen(part) + 1) {
        if (contains(text, part))
            return 1;
    }
    return 0;
}
