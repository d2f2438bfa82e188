/* SPDX-License-Identifier: MIT */
#include "cli/serve/negotiate.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define ELEMENT_SIZE 256 /* who needs more for one does not mean ours */

enum { EXACT, FAMILY, ANY };

/* One element of a list: "application/openmetrics-text;version=1.0.0;q=0.5", in parts. */
struct element {
    char text[ELEMENT_SIZE]; /* cut into strings */
    const char *name;
    const char *version; /* "": any */
    int quality;         /* in thousandths */
};

/* Copy up to the next comma, in small letters, without spaces and quotation marks. What follows, NULL: that was all. */
static const char *copy(const char *from, char *to)
{
    size_t n = 0;
    int quoted = 0;

    for (; *from && (*from != ',' || quoted); from++) {
        if (*from == '"')
            quoted = !quoted;
        else if (!isspace((unsigned char)*from) && n < ELEMENT_SIZE - 1)
            to[n++] = (char)tolower((unsigned char)*from);
    }
    if (n == ELEMENT_SIZE - 1)
        n = 0;
    to[n] = '\0';
    return *from ? from + 1 : NULL;
}

/* "0.25" is 250; what is no quality is 0: not wanted. */
static int quality_of(const char *text)
{
    char *end;
    double q = strtod(text, &end);

    return end != text && !*end && q >= 0 && q <= 1 ? (int)(q * 1000 + 0.5) : 0;
}

static const char *next_element(const char *list, struct element *e)
{
    char *rest = e->text, *part;

    list = copy(list, e->text);
    e->version = "";
    e->quality = 1000;
    e->name = strsep(&rest, ";");
    while ((part = strsep(&rest, ";")) != NULL) {
        if (!strncmp(part, "q=", 2))
            e->quality = quality_of(part + 2);
        else if (!strncmp(part, "version=", 8))
            e->version = part + 8;
    }
    return list;
}

static void raise_to(int *quality, int to)
{
    if (to > *quality)
        *quality = to;
}

void negotiate_begin(struct negotiation *n)
{
    for (size_t i = 0; i < NEGOTIATE_LEVELS; i++)
        n->formats[VMT_OPENMETRICS][i] = n->formats[VMT_PROMETHEUS][i] = -1;
    n->gzip = n->identity = n->any_encoding = -1;
}

void negotiate_accept(struct negotiation *n, const char *value)
{
    static const struct {
        const char *type, *family, *version;
    } formats[] = {
        [VMT_OPENMETRICS] = { "application/openmetrics-text", "application/*", "1.0.0" },
        [VMT_PROMETHEUS] = { "text/plain", "text/*", "0.0.4" },
    };
    struct element e;

    while (value) {
        value = next_element(value, &e);
        for (size_t i = 0; i < 2; i++) {
            int *q = n->formats[i];

            if (!strcmp(e.name, formats[i].type) && (!e.version[0] || !strcmp(e.version, formats[i].version)))
                raise_to(&q[EXACT], e.quality);
            else if (!strcmp(e.name, formats[i].family))
                raise_to(&q[FAMILY], e.quality);
            else if (!strcmp(e.name, "*/*"))
                raise_to(&q[ANY], e.quality);
        }
    }
}

void negotiate_accept_encoding(struct negotiation *n, const char *value)
{
    struct element e;

    while (value) {
        value = next_element(value, &e);
        if (!strcmp(e.name, "gzip") || !strcmp(e.name, "x-gzip"))
            raise_to(&n->gzip, e.quality);
        else if (!strcmp(e.name, "identity"))
            raise_to(&n->identity, e.quality);
        else if (!strcmp(e.name, "*"))
            raise_to(&n->any_encoding, e.quality);
    }
}

/* What is said most closely is what is meant. */
static int quality(const int *levels)
{
    for (size_t i = 0; i < NEGOTIATE_LEVELS; i++) {
        if (levels[i] >= 0)
            return levels[i];
    }
    return 0;
}

enum vmt_metrics_format negotiate_format(const struct negotiation *n)
{
    int openmetrics = quality(n->formats[VMT_OPENMETRICS]);
    int text = quality(n->formats[VMT_PROMETHEUS]);
    int named = n->formats[VMT_OPENMETRICS][EXACT] > 0;

    return openmetrics > text || (named && openmetrics == text) ? VMT_OPENMETRICS : VMT_PROMETHEUS;
}

int negotiate_gzip(const struct negotiation *n)
{
    int gzip = n->gzip >= 0 ? n->gzip : n->any_encoding;

    return gzip > 0 && gzip >= n->identity;
}
