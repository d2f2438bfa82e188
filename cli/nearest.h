/* SPDX-License-Identifier: MIT */
/* nearest.h: what somebody meant who wrote something that is not there. */
#ifndef CLI_NEAREST_H
#define CLI_NEAREST_H

#include <stddef.h>

#define NEAREST_NAME 512 /* bytes; longer names are never near */

/* The search; starts as { .asked = "..." }, and stays where it is. */
struct nearest {
    const char *asked;
    const char *found; /* the nearest so far; NULL: nothing is near enough to be a slip of the finger */
    size_t distance;   /* of it */
    char copy[NEAREST_NAME];
};

/* Look at one that there is, but not at asked itself. Letters added, dropped, replaced or exchanged with the next are counted
 * (Damerau's distance), at most one for each three of the asked. Where both begin or end alike that is passed over; the rest takes
 * VMT_NAME_SIZE squared at most. */
void nearest_try(struct nearest *n, const char *name);

#define NEAREST_TEXT (NEAREST_NAME + 32) /* bytes that hold the following */

/* "; did you mean NAME?", or "" where nothing is near. Returns buf. */
char *nearest_text(const struct nearest *n, char *buf, size_t size);

#endif
