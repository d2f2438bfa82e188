/* SPDX-License-Identifier: MIT */
/* What a family is called: METRICS.md, section 2. A function of one descriptor and nothing else, so that no VM can have the
 * series of another renamed; only within one schema do names make way for each other. */
#include "metrics.h"

#include <ctype.h>
#include <stdio.h>

#define PREFIX "kvmtop_"
#define OWN_TARGET "exporter"

struct unit {
    const char *word;
    const char *const *also; /* what a statistic's name may say in its place */
};

static const char *const bytes_also[] = { "bytes", "kib", "mib", "gib", "kb", "mb", "gb", NULL };
static const char *const seconds_also[] = { "seconds",     "s",    "sec",  "secs", "ms",           "us",
                                            "ns",          "msec", "usec", "nsec", "milliseconds", "microseconds",
                                            "nanoseconds", NULL };
static const char *const cycles_also[] = { "cycles", NULL };

static const struct unit units[] = {
    { NULL, NULL }, { "bytes", bytes_also }, { "seconds", seconds_also }, { "cycles", cycles_also }, { NULL, NULL },
};

static const struct unit *unit_of(uint32_t flags)
{
    uint32_t i = (flags & VMT_UNIT_MASK) >> 4;

    return &units[i < sizeof(units) / sizeof(units[0]) ? i : 0];
}

const char *metrics_unit(const struct vmt_descriptor *d) { return unit_of(d->flags)->word; }

enum metrics_class metrics_class(const struct vmt_descriptor *d)
{
    uint32_t how = d->flags & VMT_AGGREGATION_MASK;

    switch (d->flags & VMT_TYPE_MASK) {
    case VMT_TYPE_LINEAR_HIST:
    case VMT_TYPE_LOG_HIST:
        return METRICS_HISTOGRAM;
    case VMT_TYPE_CUMULATIVE:
        /* What is not added up may fall. */
        if ((how == VMT_AGGREGATION_TYPE || how == VMT_AGGREGATION_SUM) && !(d->flags & VMT_SIGNED) &&
            (d->flags & VMT_UNIT_MASK) != VMT_UNIT_BOOLEAN)
            return METRICS_COUNTER;
        return METRICS_GAUGE;
    default:
        return METRICS_GAUGE;
    }
}

bool metrics_sanitize(char *to, const char *text, size_t size)
{
    bool same = true;

    for (size_t i = 0; i < size; i++) {
        bool fits = isascii((unsigned char)text[i]) && (isalnum((unsigned char)text[i]) || text[i] == '_');

        to[i] = fits ? text[i] : '_';
        same &= fits;
    }
    to[size] = '\0';
    return same;
}

bool metrics_ends_with(const char *text, size_t size, const char *end)
{
    size_t n = strlen(end);

    return size > n && memcmp(text + size - n, end, n) == 0;
}

/* The size of text without "_" word at its end; size where it does not end so. */
static size_t without(const char *text, size_t size, const char *word)
{
    size_t n = strlen(word);

    return metrics_ends_with(text, size, word) && size > n + 1 && text[size - n - 1] == '_' ? size - n - 1 : size;
}

/* What "_total" and the unit behind it say anyway. */
static size_t stripped(const struct metrics_named *named)
{
    const struct unit *unit = NULL;
    size_t size = named->size, before;

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (named->unit && units[i].word == named->unit)
            unit = &units[i];
    do {
        before = size;
        if (named->class == METRICS_COUNTER)
            size = without(named->statistic, without(named->statistic, size, "count"), "total");
    } while (size != before);
    for (const char *const *also = unit ? unit->also : NULL; also && *also; also++) {
        before = size;
        size = without(named->statistic, size, *also);
        if (size != before)
            break;
    }
    return size;
}

static bool is_word(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && memcmp(text, word, size) == 0;
}

/* What was taken away stands there again as the unit, or nothing was. */
static bool is_kept(const struct metrics_named *named, size_t size)
{
    size_t unit = named->unit ? strlen(named->unit) : 0;

    return size == named->size ||
           (unit && size + 1 + unit == named->size && is_word(named->statistic + size + 1, unit, named->unit));
}

/* Ends as the samples of other classes do. */
static bool ends_as_sample(const char *name, size_t size, enum metrics_class class)
{
    if (class == METRICS_COUNTER)
        return metrics_ends_with(name, size, "_total");
    return metrics_ends_with(name, size, "_total") || metrics_ends_with(name, size, "_count") ||
           metrics_ends_with(name, size, "_sum") || metrics_ends_with(name, size, "_bucket");
}

bool metrics_target(char name[METRICS_TARGET_SIZE], const char *target)
{
    char text[VMT_NAME_SIZE];
    size_t size = strlen(target);
    bool same = metrics_sanitize(text, target, size < VMT_NAME_SIZE ? size : VMT_NAME_SIZE - 1);

    snprintf(name, METRICS_TARGET_SIZE, "%s%s", strncmp(text, OWN_TARGET, strlen(OWN_TARGET)) == 0 ? "other_" : "",
             text);
    return same;
}

bool metrics_name(char name[METRICS_NAME_SIZE], const struct metrics_named *named, unsigned choice)
{
    size_t size = choice == 0 ? stripped(named) : named->size, at;
    bool same = is_kept(named, size), doubled;
    char target[METRICS_TARGET_SIZE], statistic[VMT_NAME_SIZE];

    if (size >= sizeof(statistic))
        size = sizeof(statistic) - 1;
    same &= metrics_target(target, named->target);
    same &= metrics_sanitize(statistic, named->statistic, size);
    /* "bytes" in bytes: once is enough. */
    doubled = named->unit && is_word(statistic, size, named->unit);
    at = (size_t)snprintf(name, METRICS_NAME_SIZE, "%s%s_%s", PREFIX, target, statistic);
    for (unsigned i = 1; i < choice && at + 8 < METRICS_NAME_SIZE; i++)
        at += (size_t)snprintf(name + at, METRICS_NAME_SIZE - at, "_%u", named->number + 1);
    if (named->unit && (!doubled || choice > 0))
        at += (size_t)snprintf(name + at, METRICS_NAME_SIZE - at, "_%s", named->unit);
    if (ends_as_sample(name, at, named->class))
        snprintf(name + at, METRICS_NAME_SIZE - at, "_value");
    return same;
}

bool metrics_name_is_reserved(const char *name)
{
    static const char *const reserved[] = { "kvmtop_vm_info", "kvmtop_vm_state", "kvmtop_vm_up", "kvmtop_vm_partial",
                                            "kvmtop_vm_start_time_seconds" };

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcmp(name, reserved[i]) == 0)
            return true;
    return false;
}
