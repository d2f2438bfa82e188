/* SPDX-License-Identifier: MIT */
#include "cli/query/hmp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/query/stats.h"
#include "lib/export/names.h"

struct printer {
    struct stats_visitor base; /* first */
    struct vmt_buffer *out;
    const char *path; /* of the last result */
    bool several;     /* results are of more than one path: each is named */
    bool provider;    /* each is headed by its provider: none was asked for */
};

static struct printer *printer_of(struct stats_visitor *v) { return (struct printer *)v; }

static int print(struct vmt_buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int print(struct vmt_buffer *out, const char *format, ...)
{
    char text[1024]; /* more than an id, or a name with its unit, takes */
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    return vmt_buffer_append(out, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* ---- units, as QEMU writes them ---- */

static const char *short_unit(const struct vmt_descriptor *d)
{
    switch (d->flags & VMT_UNIT_MASK) {
    case VMT_UNIT_SECONDS:
        return "s";
    case VMT_UNIT_BYTES:
        return "B";
    default:
        return NULL;
    }
}

/* "n" for 10^-9, "Ki" for 2^10; NULL where there is none. */
static const char *prefix_of(const struct vmt_descriptor *d)
{
    static const char *const si[] = { "a", "f", "p", "n", "u", "m", "", "K", "M", "G", "T", "P", "E" };
    static const char *const iec[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
    int n = d->exponent;

    if (vmt_export_base(d) == 10 && n >= -18 && n <= 18 && n % 3 == 0)
        return si[(n + 18) / 3];
    if (vmt_export_base(d) == 2 && n >= 0 && n <= 60 && n % 10 == 0)
        return iec[n / 10];
    return NULL;
}

static int print_unit(struct vmt_buffer *out, const struct vmt_descriptor *d)
{
    const char *name = vmt_export_unit(d);
    const char *unit = short_unit(d);
    const char *prefix = prefix_of(d);

    if (d->exponent == 0)
        return name ? print(out, ", %s", unit ? unit : name) : 0;
    if (unit && prefix)
        return print(out, ", %s%s", prefix, unit);
    return print(out, ", * %" PRIu64 "^%d%s%s", vmt_export_base(d), d->exponent, name ? " " : "", name ? name : "");
}

static int print_name(struct vmt_buffer *out, const struct vmt_descriptor *d)
{
    int r = print(out, "    %s (%s", d->name, vmt_export_type(d));

    if (r == 0)
        r = print_unit(out, d);
    if (r == 0 && (d->flags & VMT_TYPE_MASK) == VMT_TYPE_LINEAR_HIST)
        r = print(out, ", bucket size=%" PRIu32, d->bucket_size);
    return r == 0 ? print(out, "): ") : r;
}

/* ---- results ---- */

static int print_number(struct vmt_buffer *out, const struct vmt_descriptor *d, uint64_t value)
{
    return d->flags & VMT_SIGNED ? print(out, "%" PRId64, (int64_t)value) : print(out, "%" PRIu64, value);
}

static int print_list(struct vmt_buffer *out, const struct vmt_descriptor *d, const uint64_t *values)
{
    int r = 0;

    for (uint32_t i = 0; i < d->size && r == 0; i++) {
        r = print(out, "[%" PRIu32 "]=", i + 1);
        if (r == 0)
            r = print_number(out, d, values[i]);
        if (r == 0)
            r = print(out, " ");
    }
    return r;
}

static int print_value(struct stats_visitor *v, const struct vmt_descriptor *d, const uint64_t *values)
{
    struct vmt_buffer *out = printer_of(v)->out;
    int r = print_name(out, d);

    if (r < 0)
        return r;
    if (vmt_export_is_list(d))
        r = print_list(out, d, values);
    else if (vmt_export_is_boolean(d, false))
        r = print(out, "%s", values[0] ? "yes" : "no");
    else
        r = print_number(out, d, values[0]);
    return r == 0 ? print(out, "\n") : r;
}

static int print_heading(struct stats_visitor *v, const char *provider, const char *path)
{
    struct printer *p = printer_of(v);
    int r = 0;

    if (p->several && path && (!p->path || strcmp(p->path, path) != 0))
        r = print(p->out, "qom-path: %s\n", path);
    p->path = path;
    return r == 0 && p->provider ? print(p->out, "provider: %s\n", provider) : r;
}

static int print_end(struct stats_visitor *v)
{
    (void)v;
    return 0;
}

/* ---- how many ---- */

static int count_path(struct stats_visitor *v, const char *provider, const char *path)
{
    struct printer *p = printer_of(v);

    (void)provider;
    p->several |= p->path && path && strcmp(p->path, path) != 0;
    p->path = path;
    return p->several; /* enough is known */
}

static int count_value(struct stats_visitor *v, const struct vmt_descriptor *d, const uint64_t *values)
{
    (void)v;
    (void)d;
    (void)values;
    return 0;
}

int hmp_print(const struct stats_request *request, const struct vmt_snapshot *snapshot, struct vmt_buffer *out)
{
    struct printer counter = { .base = { count_path, count_value, print_end } };
    struct printer p = { .base = { print_heading, print_value, print_end }, .out = out };
    size_t before = out->size;
    int r;

    stats_visit(request, snapshot, &counter.base);
    p.several = counter.several;
    p.provider = request->filter_count != 1 || !request->filters[0].provider;
    r = stats_visit(request, snapshot, &p.base);
    if (r < 0)
        out->size = before;
    return r;
}
