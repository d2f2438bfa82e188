/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <string.h>

void vmt_export_put_kind(struct vmt_writer *w, const struct vmt_descriptor *d)
{
    const char *unit = vmt_export_unit(d);

    vmt_put_string(w, "name", d->name);
    vmt_put_string(w, "type", vmt_export_type(d));
    if (unit)
        vmt_put_string(w, "unit", unit);
    if (d->exponent != 0)
        vmt_put_number(w, "base", vmt_export_base(d));
    vmt_put_key(w, "exponent");
    w->ops->signed_integer(w, d->exponent);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const types[] = { "cumulative", "instant", "peak", "linear-histogram", "log2-histogram" };
static const char *const units[] = { NULL, "bytes", "seconds", "cycles", "boolean" };
static const char *const aggregations[] = { NULL, "sum", "min", "max", "average", "count-zero" };
static const char *const levels[] = { NULL, "diagnostic", "debug" };

static const char *look_up(const char *const *names, size_t count, uint32_t i)
{
    return i < count ? names[i] : "unknown";
}

const char *vmt_export_type(const struct vmt_descriptor *d)
{
    return look_up(types, COUNT(types), d->flags & VMT_TYPE_MASK);
}

const char *vmt_export_unit(const struct vmt_descriptor *d)
{
    return look_up(units, COUNT(units), (d->flags & VMT_UNIT_MASK) >> 4);
}

const char *vmt_export_aggregation(const struct vmt_descriptor *d)
{
    return look_up(aggregations, COUNT(aggregations), (d->flags & VMT_AGGREGATION_MASK) >> 24);
}

const char *vmt_export_level(const struct vmt_descriptor *d) { return look_up(levels, COUNT(levels), d->level); }

uint64_t vmt_export_base(const struct vmt_descriptor *d)
{
    return (d->flags & VMT_BASE_MASK) == VMT_BASE_POW2 ? 2 : 10;
}

bool vmt_export_is_boolean(const struct vmt_descriptor *d, bool total)
{
    uint32_t how = d->flags & VMT_AGGREGATION_MASK;

    if ((d->flags & VMT_UNIT_MASK) != VMT_UNIT_BOOLEAN || vmt_export_is_list(d))
        return false;
    return !total || how == VMT_AGGREGATION_MIN || how == VMT_AGGREGATION_MAX ||
           (how == VMT_AGGREGATION_TYPE && (d->flags & VMT_TYPE_MASK) == VMT_TYPE_PEAK);
}

static size_t key_size(const char *label) { return strcspn(label, "="); }

bool vmt_export_label(const char *const *labels, size_t i, struct vmt_export_label *ret)
{
    const char *label = labels[i];
    size_t size = key_size(label);

    for (size_t k = 0; k < i; k++)
        if (key_size(labels[k]) == size && memcmp(labels[k], label, size) == 0)
            return false;
    *ret = (struct vmt_export_label){ label, size, label[size] ? label + size + 1 : "" };
    return true;
}

size_t vmt_export_labels(const char *const *labels, size_t *count)
{
    struct vmt_export_label label;
    size_t unique = 0;

    for (*count = 0; labels && labels[*count]; ++*count)
        unique += vmt_export_label(labels, *count, &label);
    return unique;
}
