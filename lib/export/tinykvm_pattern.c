/* SPDX-License-Identifier: MIT */
/* Names of programs by regular expression, at a bounded cost. libc's regcomp() writes repetitions out, so what is repeated
 * in a repetition multiplies; where nothing is matched it tries all ways to do so; a back-reference takes a time that
 * doubles with each byte; and what it learns of names it keeps. So the first three are refused, and the last is forgotten
 * now and then. */
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "tinykvm.h"

#define LENGTH_MAX 256U
#define COPIES_MAX 512U /* of what has numbers behind it */
#define NAME_MAX_BYTES 256U
#define LEARNT_MAX 4096U /* bytes of names, until it is compiled anew */

struct vmt_tinykvm_pattern {
    regex_t regex;
    size_t learnt;
    char text[LENGTH_MAX + 1];
};

/* Behind "[", the next byte behind the "]" that ends it. */
static const char *behind_bracket(const char *at)
{
    at += *at == '^';
    at += *at == ']';
    while (*at && *at != ']') {
        char kind = at[0] == '[' ? at[1] : '\0';

        if (kind == ':' || kind == '.' || kind == '=') {
            for (at += 2; *at && !(at[0] == kind && at[1] == ']');)
                at++;
            at += *at ? 2 : 0;
            continue;
        }
        at++;
    }
    return *at ? at + 1 : at;
}

/* "{3,5}" only behind what is one character, and nothing repeats that again; no back-references; "^" first and "$" last,
 * and no other places without a width. */
static bool is_cheap(const char *text)
{
    const char *at = text + (*text == '^');
    bool single = false;  /* before it stands what is one character, */
    bool counted = false; /* or that, a number of times */
    unsigned long copies = 0;
    char *behind;

    while (*at) {
        char c = *at++;

        if (c == '{') {
            if (!single)
                return false;
            for (; *at && *at != '}'; at = *at == ',' ? at + 1 : behind) {
                unsigned long n = strtoul(at, &behind, 10);

                copies += n <= COPIES_MAX ? n : COPIES_MAX + 1;
                if (behind == at && *at != ',')
                    return false;
            }
            if (copies > COPIES_MAX)
                return false;
            at += *at == '}';
            single = false;
            counted = true;
            continue;
        }
        if ((counted && strchr("*+?", c)) || c == '^' || (c == '$' && *at))
            return false;
        if (c == '\\') {
            if (*at && strchr("123456789bB<>`'", *at))
                return false;
            at += *at != '\0';
        } else if (c == '[') {
            at = behind_bracket(at);
        }
        single = !strchr("()|*+?$", c);
        counted = false;
    }
    return true;
}

static int compile(regex_t *regex, const char *text)
{
    int r = regcomp(regex, text, REG_EXTENDED);

    return r == 0 ? 0 : r == REG_ESPACE ? -ENOMEM : -EINVAL;
}

int vmt_tinykvm_pattern_new(const char *text, struct vmt_tinykvm_pattern **ret)
{
    size_t size = strlen(text);
    struct vmt_tinykvm_pattern *pattern;
    int r;

    if (size > LENGTH_MAX || !is_cheap(text))
        return -EINVAL;
    pattern = calloc(1, sizeof(*pattern));
    if (!pattern)
        return -ENOMEM;
    memcpy(pattern->text, text, size);
    r = compile(&pattern->regex, text);
    if (r < 0) {
        free(pattern);
        return r;
    }
    *ret = pattern;
    return 0;
}

void vmt_tinykvm_pattern_free(struct vmt_tinykvm_pattern *pattern)
{
    if (!pattern)
        return;
    regfree(&pattern->regex);
    free(pattern);
}

int vmt_tinykvm_pattern_matches(struct vmt_tinykvm_pattern *pattern, const char *name)
{
    size_t size = strlen(name);
    regmatch_t match;
    int r;

    if (size > NAME_MAX_BYTES) /* none in a segment is */
        return 0;
    pattern->learnt += size + 1;
    if (pattern->learnt > LEARNT_MAX) {
        regex_t fresh;

        r = compile(&fresh, pattern->text);
        if (r < 0)
            return r;
        regfree(&pattern->regex);
        pattern->regex = fresh;
        pattern->learnt = size + 1;
    }
    /* Of all matches it finds the leftmost and of these the longest. */
    r = regexec(&pattern->regex, name, 1, &match, 0);
    if (r == REG_ESPACE)
        return -ENOMEM;
    return r == 0 && match.rm_so == 0 && (size_t)match.rm_eo == size;
}
