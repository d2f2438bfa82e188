/* SPDX-License-Identifier: MIT */
/* numbers.h: numbers that people write in options, the same rules everywhere: nothing before and nothing behind, no
 * hexadecimal. */
#ifndef CLI_NUMBERS_H
#define CLI_NUMBERS_H

#include <argp.h>
#include <stdint.h>

/* A number of seconds. 0 or -EINVAL: no such, or not from least to most. */
int number_seconds(const char *text, double least, double most, double *ret);

/* The argument of option ("--interval") as that, or usage is said. */
double option_seconds(struct argp_state *state, const char *option, const char *text, double least, double most);

/* How many there shall be, from 1 to INT64_MAX. */
uint64_t option_count(struct argp_state *state, const char *option, const char *text);

#endif
