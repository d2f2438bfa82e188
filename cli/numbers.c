/* SPDX-License-Identifier: MIT */
#include "numbers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int number_seconds(const char *text, double least, double most, double *ret)
{
    double value;
    char *end;

    if (text[0] == '\0' || !strchr(".0123456789", text[0]) || text[strspn(text, "0123456789.eE+-")])
        return -EINVAL;
    value = strtod(text, &end);
    if (end == text || *end || !(value >= least && value <= most))
        return -EINVAL;
    *ret = value;
    return 0;
}

double option_seconds(struct argp_state *state, const char *option, const char *text, double least, double most)
{
    double value = least;

    if (number_seconds(text, least, most, &value) < 0)
        argp_error(state, "%s needs a number of seconds, %g to %g, not '%s'", option, least, most, text);
    return value;
}

uint64_t option_count(struct argp_state *state, const char *option, const char *text)
{
    unsigned long long value;
    char *end;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || value == 0 || value > INT64_MAX)
        argp_error(state, "%s needs a whole number from 1 on, not '%s'", option, text);
    return value;
}
