/* SPDX-License-Identifier: MIT */
#include "units.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* One step of a scale: from this many of the basic unit on (before rounding), shown as name. */
struct step {
    double unit;
    const char *name;
};

static const struct step times[] = {
    { 1e-9, " ns" }, { 1e-6, " us" }, { 1e-3, " ms" }, { 1, " s" }, { 60, " min" }, { 3600, " h" }, { 86400, " d" },
};
static const struct step sizes[] = {
    { 1, " B" },        { 0x1p10, " KiB" }, { 0x1p20, " MiB" }, { 0x1p30, " GiB" },
    { 0x1p40, " TiB" }, { 0x1p50, " PiB" }, { 0x1p60, " EiB" },
};
static const struct step counts[] = {
    { 1, "" }, { 1e3, " k" }, { 1e6, " M" }, { 1e9, " G" }, { 1e12, " T" }, { 1e15, " P" }, { 1e18, " E" },
};
#define STEPS 7

#define EXACT_MAX 9999999.0 /* whole numbers without a unit are not scaled up to here */
#define EXPONENT_MAX 60     /* beyond it no unit has a name, and powers soon have no value either */

#define MICRO (&times[1])
static const char *micro = " us";

void unit_ascii(int ascii) { micro = ascii ? " us" : " \u00b5s"; }

static uint32_t unit_of(const struct vmt_descriptor *d) { return d->flags & VMT_UNIT_MASK; }

/* A value in the basic unit of the steps, three significant digits. whole: so are all values of this statistic. */
static void scale(char *buf, size_t size, const struct step *steps, double value, int whole)
{
    double magnitude = fabs(value);
    const char *name;
    int i = 0;

    /* The next step from where rounding would print its 1: 999.5 ns is 1.00 us, 1023.5 B are 1.00 KiB. Minutes and up
     * begin at two of their kind: "90.0 s" says more than "1.50 min". */
    while (i + 1 < STEPS) {
        double ratio = steps[i + 1].unit / steps[i].unit;
        double from = ratio < 100 ? 2 * ratio : ratio - 0.5;

        if (magnitude / steps[i].unit < from)
            break;
        i++;
    }
    value /= steps[i].unit;
    magnitude /= steps[i].unit;
    name = &steps[i] == MICRO ? micro : steps[i].name;
    if ((whole && i == 0) || magnitude == 0)
        snprintf(buf, size, "%.0f%s", value + 0.0, name);
    else if (magnitude < 9.995)
        snprintf(buf, size, "%.2f%s", value, name);
    else if (magnitude < 99.95)
        snprintf(buf, size, "%.1f%s", value, name);
    else if (magnitude < EXACT_MAX)
        snprintf(buf, size, "%.0f%s", value, name);
    else
        snprintf(buf, size, "%.3g%s", value, name);
}

double unit_factor(const struct vmt_descriptor *d)
{
    double base = (d->flags & VMT_BASE_MASK) == VMT_BASE_POW2 ? 2 : 10;
    int n = d->exponent < 0 ? -d->exponent : d->exponent;
    double power = 1;

    for (int i = 0; i < n && i < 400; i++) /* by then it is infinite, or as good as */
        power *= base;
    return d->exponent < 0 ? 1 / power : power;
}

/* value in d's unit proper, or no finite number that could be shown. */
static void scale_as(char *buf, size_t size, const struct vmt_descriptor *d, double value, int whole)
{
    if (!isfinite(value) || d->exponent > EXPONENT_MAX || d->exponent < -EXPONENT_MAX) {
        snprintf(buf, size, "-");
        return;
    }
    switch (unit_of(d)) {
    case VMT_UNIT_BYTES:
        scale(buf, size, sizes, value * unit_factor(d), whole && d->exponent >= 0);
        break;
    case VMT_UNIT_SECONDS:
        if (value == 0)
            snprintf(buf, size, "0 s");
        else /* the shortest step, nanoseconds, is whole where the values are */
            scale(buf, size, times, value * unit_factor(d), whole && d->exponent >= -9);
        break;
    default:
        scale(buf, size, counts, value * unit_factor(d), whole && d->exponent >= 0);
        break;
    }
}

int unit_absent(const struct vmt_descriptor *d, uint64_t value)
{
    uint32_t how = d->flags & VMT_AGGREGATION_MASK;

    if (how == VMT_AGGREGATION_MIN)
        return value == (d->flags & VMT_SIGNED ? (uint64_t)INT64_MAX : UINT64_MAX);
    if (how == VMT_AGGREGATION_MAX || (how == VMT_AGGREGATION_TYPE && (d->flags & VMT_TYPE_MASK) == VMT_TYPE_PEAK))
        return d->flags & VMT_SIGNED && value == (uint64_t)INT64_MIN;
    return 0;
}

char *unit_format(char *buf, size_t size, const struct vmt_descriptor *d, uint64_t value)
{
    int is_signed = (d->flags & VMT_SIGNED) != 0;
    double real = is_signed ? (double)(int64_t)value : (double)value;

    if (unit_absent(d, value))
        snprintf(buf, size, "-");
    else if (unit_of(d) == VMT_UNIT_BOOLEAN && value <= 1) /* a sum over several is a number */
        snprintf(buf, size, "%s", value ? "yes" : "no");
    else if (d->exponent == 0 && unit_of(d) != VMT_UNIT_BYTES && unit_of(d) != VMT_UNIT_SECONDS &&
             fabs(real) <= EXACT_MAX)
        snprintf(buf, size, "%" PRId64, (int64_t)value);
    else if (d->exponent > EXPONENT_MAX || d->exponent < -EXPONENT_MAX) /* nobody says it: leave it as it is */
        snprintf(buf, size, "%.4g*%u^%d", real, (d->flags & VMT_BASE_MASK) == VMT_BASE_POW2 ? 2U : 10U, d->exponent);
    else
        scale_as(buf, size, d, real, 1);
    return buf;
}

char *unit_format_real(char *buf, size_t size, const struct vmt_descriptor *d, double value)
{
    scale_as(buf, size, d, value, 0);
    return buf;
}

char *unit_format_share(char *buf, size_t size, double share)
{
    double percent = share * 100;

    if (!isfinite(percent))
        snprintf(buf, size, "-");
    else if (fabs(percent) > EXACT_MAX)
        snprintf(buf, size, "%.3g%%", percent);
    else if (percent == 0 || fabs(percent) >= 99.95)
        snprintf(buf, size, "%.0f%%", percent + 0.0);
    else
        snprintf(buf, size, "%.*f%%", fabs(percent) < 0.095 ? 2 : 1, percent);
    return buf;
}

char *unit_format_rate(char *buf, size_t size, const struct vmt_descriptor *d, double per_second)
{
    char number[UNIT_TEXT];

    if (!isfinite(per_second) || d->exponent > EXPONENT_MAX || d->exponent < -EXPONENT_MAX)
        snprintf(buf, size, "-");
    else if (unit_of(d) == VMT_UNIT_SECONDS)
        unit_format_share(buf, size, per_second * unit_factor(d));
    else
        snprintf(buf, size, "%s/s", unit_format_real(number, sizeof(number), d, per_second));
    return buf;
}

char *unit_format_age(char *buf, size_t size, uint64_t ns)
{
    uint64_t s = ns / 1000000000U;

    if (s < 60)
        snprintf(buf, size, "%" PRIu64 "s", s);
    else if (s < 3600)
        snprintf(buf, size, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(buf, size, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(buf, size, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
    return buf;
}

const char *unit_name(const struct vmt_descriptor *d)
{
    switch (unit_of(d)) {
    case VMT_UNIT_NONE:
        return "none";
    case VMT_UNIT_BYTES:
        return "bytes";
    case VMT_UNIT_SECONDS:
        return "seconds";
    case VMT_UNIT_CYCLES:
        return "cycles";
    case VMT_UNIT_BOOLEAN:
        return "boolean";
    default:
        return "unknown";
    }
}
