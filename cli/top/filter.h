/* SPDX-License-Identifier: MIT */
/* filter.h: which rows are shown: "a|b" (contains a or b), or "/regex/" (POSIX extended). Case does not matter (in
 * substrings: of ASCII letters). */
#ifndef CLI_TOP_FILTER_H
#define CLI_TOP_FILTER_H

#include <stddef.h>

#define FILTER_LENGTH 512 /* bytes that a filter may have */

struct filter; /* one thread */

/* *ret is the caller's, NULL for one that all matches: "", "|", "/" or "//"; free with filter_free(). 0, -ENOMEM, or
 * -EINVAL: *why (of why_size bytes) says in one line what is wrong: longer than FILTER_LENGTH, no valid regular
 * expression, or one that could take too long. *ret untouched on failure. A '/' at the end may be missing, as it is
 * while one types; parts of "a||b" that are empty count for nothing. */
int filter_new(const char *text, struct filter **ret, char *why, size_t why_size);
void filter_free(struct filter *filter);                           /* NULL is allowed */
int filter_matches(const struct filter *filter, const char *text); /* 1 or 0; NULL matches all */

#endif
