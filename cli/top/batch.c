/* SPDX-License-Identifier: MIT */
#include "cli/top/batch.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/top/draw.h"
#include "lib/export/names.h"
#include "cli/message.h"
#include "cli/segment.h"

/* ---- JSON ---- */

/* json-c gives NULL for want of memory and for null alike: every object made goes through put(), which tells. */
struct json {
    int failed;
};

static struct json_object *made(struct json *j, struct json_object *o)
{
    if (!o)
        j->failed = 1;
    return o;
}

/* Take value over as a member of object. */
static void put(struct json *j, struct json_object *object, const char *name, struct json_object *value)
{
    if (!value || !object || json_object_object_add(object, name, value) < 0) {
        json_object_put(value);
        j->failed = 1;
    }
}

static void append(struct json *j, struct json_object *array, struct json_object *value)
{
    if (!value || !array || json_object_array_add(array, value) < 0) {
        json_object_put(value);
        j->failed = 1;
    }
}

static struct json_object *number(double value)
{
    char text[64];

    snprintf(text, sizeof(text), "%.3f", value);
    return json_object_new_double_s(value, text);
}

static void put_null(struct json *j, struct json_object *object, const char *name)
{
    if (!object || json_object_object_add(object, name, NULL) < 0)
        j->failed = 1;
}

/* One slot, exact whatever its sign; NULL for null. */
static struct json_object *slot(struct json *j, const struct vmt_descriptor *d, uint64_t value, int boolean)
{
    if (unit_absent(d, value))
        return NULL;
    if (boolean)
        return made(j, json_object_new_boolean(value != 0));
    return made(j, d->flags & VMT_SIGNED ? json_object_new_int64((int64_t)value) : json_object_new_uint64(value));
}

/* All slots of a list. */
static struct json_object *slots(struct json *j, const struct vmt_descriptor *d, const uint64_t *values)
{
    struct json_object *array = made(j, json_object_new_array());

    for (uint32_t i = 0; i < d->size; i++) {
        struct json_object *one = slot(j, d, values[d->slot + i], 0);

        if (!array || json_object_array_add(array, one) < 0) {
            json_object_put(one);
            j->failed = 1;
        }
    }
    return array;
}

/* What a list's slots grew by: modulo 2^64, so of a signed one the sign is that of the change. */
static struct json_object *changes(struct json *j, const struct vmt_descriptor *d, const uint64_t *values)
{
    struct json_object *array = made(j, json_object_new_array());

    for (uint32_t i = 0; i < d->size; i++)
        append(j, array,
               d->flags & VMT_SIGNED ? json_object_new_int64((int64_t)values[d->slot + i])
                                     : json_object_new_uint64(values[d->slot + i]));
    return array;
}

/* {"p50":[low,high],...} of the interval, in the statistic's unit; high null: open. */
static void put_quantiles(struct json *j, struct json_object *o, const struct vmt_descriptor *d,
                          const uint64_t *buckets)
{
    static const struct {
        const char *name;
        double q;
    } quantiles[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p999", 0.999 } };

    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        struct json_object *bounds;
        uint64_t low, high;

        if (vmt_quantile(d, buckets, quantiles[i].q, &low, &high) < 0)
            return;
        bounds = made(j, json_object_new_array());
        append(j, bounds, json_object_new_uint64(low));
        if (high != UINT64_MAX)
            append(j, bounds, json_object_new_uint64(high));
        else if (bounds && json_object_array_add(bounds, NULL) < 0) /* null */
            j->failed = 1;
        put(j, o, quantiles[i].name, bounds);
    }
}

/* What `vmtally show --json` says of a descriptor, as far as a value needs it to be understood. */
static void put_descriptor(struct json *j, struct json_object *o, const struct vmt_descriptor *d)
{
    const char *unit = vmt_export_unit(d);

    put(j, o, "type", json_object_new_string(vmt_export_type(d)));
    if (unit)
        put(j, o, "unit", json_object_new_string(unit));
    if (d->exponent)
        put(j, o, "base", json_object_new_uint64(vmt_export_base(d)));
    put(j, o, "exponent", json_object_new_int(d->exponent));
    if (d->size != 1)
        put(j, o, "size", json_object_new_uint64(d->size));
    if (d->bucket_size)
        put(j, o, "bucket-size", json_object_new_uint64(d->bucket_size));
}

/* Where values come from, and what they are compared with. */
struct compared {
    const uint64_t *values;
    const struct vmt_delta *delta;
    const struct vmt_change *change;
    int total; /* over several sources */
};

static struct json_object *statistic(struct json *j, const struct vmt_descriptor *d, const struct compared *c)
{
    struct json_object *o = made(j, json_object_new_object());
    struct json_object *value;
    uint32_t type = d->flags & VMT_TYPE_MASK;
    int comparable = vmt_delta_seconds(c->delta) > 0 && !(c->change->flags & VMT_CHANGE_RESET);
    int cumulates = type != VMT_TYPE_INSTANT && type != VMT_TYPE_PEAK;
    double rate;

    put_descriptor(j, o, d);
    if (vmt_export_is_list(d)) {
        put(j, o, "value", slots(j, d, c->values));
        if (comparable && cumulates) {
            put(j, o, "change", changes(j, d, c->change->values));
            if (type != VMT_TYPE_CUMULATIVE)
                put_quantiles(j, o, d, c->change->values + d->slot);
        }
        return o;
    }
    value = slot(j, d, c->values[d->slot], vmt_export_is_boolean(d, c->total));
    if (!value) {
        put_null(j, o, "value");
        return o;
    }
    put(j, o, "value", value);
    rate = vmt_change_rate(c->delta, c->change, d->slot);
    if (type == VMT_TYPE_CUMULATIVE && comparable && isfinite(rate))
        put(j, o, "rate", number(rate));
    return o;
}

static void put_stats(struct json *j, struct json_object *o, const struct vmt_schema *schema, const struct compared *c)
{
    struct json_object *stats = made(j, json_object_new_object());

    for (uint32_t i = 0; i < schema->count; i++)
        put(j, stats, schema->descriptors[i].name, statistic(j, &schema->descriptors[i], c));
    put(j, o, "stats", stats);
}

static void put_schema(struct json *j, struct json_object *o, const struct vmt_schema *schema)
{
    put(j, o, "schema", json_object_new_string(schema->name));
    put(j, o, "provider", json_object_new_string(schema->provider));
    put(j, o, "target", json_object_new_string(schema->target));
}

static struct json_object *source(struct json *j, const struct sample_vm *vm, size_t i)
{
    const struct vmt_sample *sample = vmt_snapshot_source(vm->snapshot, i);
    struct json_object *o = made(j, json_object_new_object());
    struct json_object *totals;

    put(j, o, "id", json_object_new_string(sample->id));
    put_schema(j, o, sample->schema);
    put(j, o, "generation", json_object_new_uint64(sample->generation));
    put(j, o, "created_ns", json_object_new_uint64(sample->created_ns));
    put(j, o, "leaving", json_object_new_boolean((sample->flags & VMT_SAMPLE_LEAVING) != 0));
    put(j, o, "unconfirmed", json_object_new_boolean((sample->flags & VMT_SAMPLE_UNCONFIRMED) != 0));
    put(j, o, "torn", json_object_new_boolean((sample->flags & VMT_SAMPLE_TORN) != 0));
    if (!(sample->flags & VMT_SAMPLE_ABSENT))
        put_stats(j, o, sample->schema,
                  &(struct compared){ sample->values, vm->delta, vmt_delta_source(vm->delta, i), 0 });
    if (!sample->total_count)
        return o;
    totals = made(j, json_object_new_array());
    for (uint32_t t = 0; t < sample->total_count; t++) {
        const struct vmt_total *total = &sample->totals[t];
        struct json_object *one = made(j, json_object_new_object());

        put_schema(j, one, total->schema);
        put(j, one, "sources", json_object_new_uint64(total->sources));
        if (!(total->flags & VMT_SAMPLE_ABSENT))
            put_stats(j, one, total->schema,
                      &(struct compared){ total->values, vm->delta, vmt_delta_total(vm->delta, i, t), 1 });
        append(j, totals, one);
    }
    put(j, o, "totals", totals);
    return o;
}

/* As `vmtally list --json` has it: where the segment can't be read, why. */
static struct json_object *state(const struct sample_vm *vm)
{
    char reason[256];

    if (!vm->error)
        return json_object_new_string(vmt_state_name(vm->state));
    message_reason(vm->error, reason, sizeof(reason));
    return json_object_new_string_len(reason, (int)strcspn(reason, ";"));
}

static struct json_object *machine(struct json *j, const struct sample_vm *vm)
{
    struct json_object *o = made(j, json_object_new_object());
    struct json_object *sources = made(j, json_object_new_array());
    const struct vmt_segment_info *info = vm->snapshot ? vmt_snapshot_segment(vm->snapshot) : NULL;

    put(j, o, "name", json_object_new_string(vm->name));
    put(j, o, "path", json_object_new_string(vm->path));
    put(j, o, "state", state(vm));
    if (info && info->created_ns) {
        char identity[2 * sizeof(info->identity) + 1];

        put(j, o, "uid", json_object_new_uint64(info->uid));
        put(j, o, "foreign", json_object_new_boolean(segment_foreign(info)));
        for (size_t i = 0; i < sizeof(info->identity); i++)
            snprintf(identity + 2 * i, 3, "%02x", info->identity[i]);
        put(j, o, "identity", json_object_new_string(identity));
        put(j, o, "incarnation", json_object_new_uint64(info->incarnation));
        put(j, o, "pid", json_object_new_uint64(info->pid));
        put(j, o, "created_ns", json_object_new_uint64(info->created_ns));
        put(j, o, "time_ns", json_object_new_uint64(info->realtime_ns));
        put(j, o, "partial", json_object_new_boolean((info->flags & VMT_SNAPSHOT_PARTIAL) != 0));
    }
    for (size_t i = 0; vm->snapshot && i < vmt_snapshot_count(vm->snapshot); i++)
        append(j, sources, source(j, vm, i));
    put(j, o, "sources", sources);
    return o;
}

static int write_json(FILE *out, const struct sample_set *set)
{
    struct json j = { 0 };
    struct json_object *line = made(&j, json_object_new_object());
    struct json_object *vms = made(&j, json_object_new_array());
    const char *text = NULL;

    put(&j, line, "time_ns", json_object_new_uint64(set->realtime_ns));
    put(&j, line, "interval_s", number((double)set->interval_ns / 1e9));
    for (size_t i = 0; i < set->count; i++)
        append(&j, vms, machine(&j, &set->vms[i]));
    put(&j, line, "vms", vms);
    if (!j.failed)
        text = json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    if (text)
        fprintf(out, "%s\n", text);
    json_object_put(line);
    return text ? 0 : -ENOMEM;
}

/* ---- CSV ---- */

/* What a spreadsheet takes for a formula, and a name may be: "=cmd", "+1+cmd", "@SUM(...)". A number is none. */
static int is_formula(const char *text)
{
    char *end;

    if (!text[0] || !strchr("=+-@", text[0]))
        return 0;
    strtod(text, &end);
    return *end || end == text;
}

/* RFC 4180, and a ' before what would be a formula. Control characters are gone already. */
static void write_field(FILE *out, const char *text)
{
    char quoted[CELL_TEXT + 1];

    if (is_formula(text)) {
        snprintf(quoted, sizeof(quoted), "'%s", text);
        text = quoted;
    }
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void write_csv(FILE *out, const struct sample_set *set, const struct model *m, int first)
{
    if (first) {
        fputs("time_ns,interval_seconds", out);
        for (size_t c = 0; c < kvmtop_column_count; c++) {
            if (kvmtop_columns[c].csv)
                fprintf(out, ",%s", kvmtop_columns[c].csv);
        }
        fputc('\n', out);
    }
    for (size_t i = 0; i < m->count; i++) {
        fprintf(out, "%" PRIu64 ",%.3f", set->realtime_ns, (double)set->interval_ns / 1e9);
        for (size_t c = 0; c < kvmtop_column_count; c++) {
            char text[CELL_TEXT];

            if (!kvmtop_columns[c].csv)
                continue;
            kvmtop_columns[c].write(text, &m->rows[i].facts);
            fputc(',', out);
            write_field(out, text);
        }
        fputc('\n', out);
    }
}

int batch_write(FILE *out, enum batch_format format, const struct sample_set *set, const struct model *m, int first,
                int ascii)
{
    int r = 0;

    errno = 0;
    if (format == BATCH_TEXT)
        draw_text(out, set, m, ascii);
    else if (format == BATCH_JSON)
        r = write_json(out, set);
    else
        write_csv(out, set, m, first);
    if (r < 0)
        return r;
    if (fflush(out) != 0 || ferror(out))
        return errno ? -errno : -EIO;
    return 0;
}
