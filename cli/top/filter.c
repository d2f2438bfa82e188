/* SPDX-License-Identifier: MIT */
#include "cli/top/filter.h"

#include <errno.h>
#include <regex.h>
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

/* ---- regular expressions ---- */

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

/* How many copies the "{m,n}" at s makes of what stands before it. */
static size_t copies(const char *s)
{
    char *end;
    unsigned long low = strtoul(s + 1, &end, 10);
    unsigned long high = low;

    if (*end == ',')
        high = end[1] == '}' ? low + 1 : strtoul(end + 1, NULL, 10);
    high = high > low ? high : low;
    return high > FILTER_LENGTH ? FILTER_LENGTH + 1 : high ? high : 1;
}

static int continues(char c) { return ((unsigned char)c & 0xc0) == 0x80; } /* a character in UTF-8 */

/* Why the C library should not be given this: it writes repetitions out, nested ones to gigabytes, and tries
 * back-references one by one. NULL: it may; then it finds what else is wrong. */
static const char *refuse(const char *s)
{
    size_t before[FILTER_LENGTH + 1] = { 0 }; /* written out, what is in each group that is open */
    size_t last = 0;                          /* and what a repetition here would repeat */
    size_t depth = 0;

    while (s && *s) {
        const char *at = s++;

        if (*at == '*' || *at == '?')
            last++;
        else if (*at == '+')
            last += last + 1;
        else if (*at == '{') {
            last *= copies(at);
            s += strcspn(s, "}");
            s += *s == '}';
        } else if (*at == ')' && depth > 0)
            last += before[depth--];
        else if (continues(*at))
            last++;
        else {
            before[depth] += last;
            last = 1;
        }
        if (*at == '\\' && *s >= '1' && *s <= '9')
            return "back-references such as \\1 are not supported";
        if (*at == '\\' && *s)
            s++;
        if (*at == '[')
            s = skip_brackets(at);
        if (*at == '(') {
            before[++depth] = last;
            last = 0;
        }
        if (before[depth] + last > FILTER_LENGTH)
            return "too long with all its repetitions written out; use * or smaller numbers";
    }
    return NULL;
}

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
