/* SPDX-License-Identifier: MIT */
#include "nearest.h"

#include <stdio.h>
#include <string.h>

#include <vmtally/descriptor.h>

/* Shorter than VMT_NAME_SIZE. */
struct word {
    const char *text;
    size_t size;
};

static size_t least_of(size_t a, size_t b) { return a < b ? a : b; }

/* What both begin and end with takes no letter: long ids mostly differ in one part. */
static void strip(struct word *a, struct word *b)
{
    while (a->size && b->size && a->text[a->size - 1] == b->text[b->size - 1]) {
        a->size--;
        b->size--;
    }
    while (a->size && b->size && a->text[0] == b->text[0]) {
        a->text++;
        a->size--;
        b->text++;
        b->size--;
    }
}

/* Row i of the table says how many steps make the first j letters of b of the first i of a; it needs the two above. */
static size_t distance(const struct word *a, const struct word *b)
{
    size_t rows[3][VMT_NAME_SIZE];

    for (size_t j = 0; j <= b->size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a->size; i++) {
        const size_t *before = rows[(i + 1) % 3], *above = rows[(i - 1) % 3];
        size_t *row = rows[i % 3];

        row[0] = i;
        for (size_t j = 1; j <= b->size; j++) {
            size_t other = a->text[i - 1] != b->text[j - 1];

            row[j] = least_of(above[j - 1] + other, least_of(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a->text[i - 1] == b->text[j - 2] && a->text[i - 2] == b->text[j - 1])
                row[j] = least_of(row[j], before[j - 2] + 1);
        }
    }
    return rows[a->size % 3][b->size];
}

void nearest_try(struct nearest *n, const char *name)
{
    struct word asked = { n->asked, strlen(n->asked) }, other = { name, strlen(name) };
    size_t most = asked.size / 3; /* further away is no slip of the finger */
    size_t d;

    if (n->found && n->distance <= most)
        most = n->distance - 1;
    strip(&asked, &other);
    /* What is the same to the letter was not meant instead; and each letter more is a step. */
    if (asked.size + other.size == 0 || asked.size > other.size + most || other.size > asked.size + most)
        return;
    if (asked.size >= VMT_NAME_SIZE || other.size >= VMT_NAME_SIZE || strlen(name) >= sizeof(n->copy))
        return;
    d = distance(&asked, &other);
    if (d > most)
        return;
    n->found = strcpy(n->copy, name);
    n->distance = d;
}

char *nearest_text(const struct nearest *n, char *buf, size_t size)
{
    if (n->found)
        snprintf(buf, size, "; did you mean %s?", n->found);
    else if (size > 0)
        buf[0] = '\0';
    return buf;
}
