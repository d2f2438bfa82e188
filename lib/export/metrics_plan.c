/* SPDX-License-Identifier: MIT */
/* What all lines about sources of one schema have in common. Made once: a thousand VMs have the same few schemas, at each
 * scrape. */
#include "metrics.h"

#include <errno.h>
#include <stdlib.h>

#include "decimal.h"
#include "lib/kvm/handle.h"

#define LE_MAX (sizeof(",le=\"\"} ") + VMT_SCALED_MAX)

/* A declared schema, not one that was read, may have NULL. */
static const char *text_of(const char *text) { return text ? text : ""; }

static uint64_t hash_text(uint64_t hash, const char *text)
{
    return metrics_hash(hash, text_of(text), strlen(text_of(text)));
}

/* What of a descriptor is a number. */
struct numbers {
    uint32_t flags;
    uint32_t slot;
    uint32_t bucket_size;
    int16_t exponent;
    uint16_t size;
    uint16_t group;
    uint16_t level;
};

static struct numbers numbers_of(const struct vmt_descriptor *d)
{
    return (struct numbers){ d->flags, d->slot, d->bucket_size, d->exponent, d->size, d->group, d->level };
}

uint64_t metrics_schema_hash(const struct vmt_schema *schema)
{
    uint64_t hash = hash_text(hash_text(hash_text(schema->count, schema->name), schema->provider), schema->target);

    for (uint32_t i = 0; i < schema->count; i++) {
        struct numbers numbers = numbers_of(&schema->descriptors[i]);

        hash = hash_text(hash_text(hash, schema->descriptors[i].name), schema->descriptors[i].help);
        hash = metrics_hash(hash, &numbers, sizeof(numbers));
    }
    return hash;
}

static bool same_text(const char *a, const char *b) { return strcmp(text_of(a), text_of(b)) == 0; }

bool metrics_plan_is(const struct metrics_plan *plan, const struct vmt_schema *schema)
{
    const struct vmt_schema *ours = &plan->schema;

    if (ours->count != schema->count || ours->slots != schema->slots || !same_text(ours->name, schema->name) ||
        !same_text(ours->provider, schema->provider) || !same_text(ours->target, schema->target))
        return false;
    for (uint32_t i = 0; i < schema->count; i++) {
        struct numbers a = numbers_of(&ours->descriptors[i]), b = numbers_of(&schema->descriptors[i]);

        if (memcmp(&a, &b, sizeof(a)) != 0 || !same_text(ours->descriptors[i].name, schema->descriptors[i].name) ||
            !same_text(ours->descriptors[i].help, schema->descriptors[i].help))
            return false;
    }
    return true;
}

/* ---- the copy ---- */

static const char *keep_text(char **at, const char *text)
{
    const char *kept = *at;
    size_t size = strlen(text_of(text)) + 1;

    memcpy(*at, text_of(text), size);
    *at += size;
    return kept;
}

static int copy_schema(struct metrics_plan *plan, const struct vmt_schema *schema)
{
    size_t size =
        strlen(text_of(schema->name)) + strlen(text_of(schema->provider)) + strlen(text_of(schema->target)) + 3;
    struct vmt_descriptor *descriptors;
    char *at;

    for (uint32_t i = 0; i < schema->count; i++)
        size += strlen(text_of(schema->descriptors[i].name)) + strlen(text_of(schema->descriptors[i].help)) + 2;
    at = plan->text = malloc(size);
    descriptors = calloc(schema->count + 1, sizeof(*descriptors));
    plan->schema.descriptors = descriptors;
    if (!at || !descriptors)
        return -ENOMEM;
    plan->schema.name = keep_text(&at, schema->name);
    plan->schema.provider = keep_text(&at, schema->provider);
    plan->schema.target = keep_text(&at, schema->target);
    plan->schema.count = schema->count;
    plan->schema.slots = schema->slots;
    for (uint32_t i = 0; i < schema->count; i++) {
        descriptors[i] = schema->descriptors[i];
        descriptors[i].name = keep_text(&at, schema->descriptors[i].name);
        descriptors[i].help = keep_text(&at, schema->descriptors[i].help);
    }
    return 0;
}

/* ---- columns ---- */

static bool is_plain_counter(const struct vmt_descriptor *d)
{
    return metrics_class(d) == METRICS_COUNTER && d->size == 1;
}

/* The descriptor of the group of d called stem and end, or METRICS_NONE. */
static uint32_t member(const struct vmt_schema *schema, const struct vmt_descriptor *d, size_t stem, const char *end)
{
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *other = &schema->descriptors[i];

        if (other->group == d->group && strncmp(other->name, d->name, stem) == 0 &&
            strcmp(other->name + stem, end) == 0 && is_plain_counter(other))
            return i;
    }
    return METRICS_NONE;
}

/* The count and the sum of a LATENCY, whose histogram the column is; how much of its name is that of all three. */
static size_t find_latency(const struct vmt_schema *schema, struct metrics_column *column)
{
    const struct vmt_descriptor *d = &column->d, *sum;
    size_t size = strlen(d->name), stem = size - strlen("_hist");
    uint32_t count_at, sum_at;

    column->count = column->sum = METRICS_NONE;
    if (column->class != METRICS_HISTOGRAM || d->group == 0 || !metrics_ends_with(d->name, size, "_hist"))
        return size;
    count_at = member(schema, d, stem, "_count");
    sum_at = member(schema, d, stem, "_sum");
    if (count_at == METRICS_NONE || sum_at == METRICS_NONE)
        return size;
    sum = &schema->descriptors[sum_at];
    if (metrics_unit(&schema->descriptors[count_at]) || schema->descriptors[count_at].exponent != 0 ||
        metrics_unit(sum) != column->unit)
        return size;
    column->count = count_at;
    column->count_slot = schema->descriptors[count_at].slot;
    column->sum = sum_at;
    column->sum_d = *sum;
    return stem;
}

/* How many buckets have a bound: KVM's rules put nothing past the 64th of a logarithmic histogram. */
static uint32_t bounded(const struct vmt_descriptor *d)
{
    uint32_t most = (d->flags & VMT_TYPE_MASK) == VMT_TYPE_LOG_HIST ? 65 : UINT16_MAX;

    return d->size - 1U < most ? d->size - 1U : most;
}

/* A LATENCY says three times what it is, each time with what part of it that is. */
static int make_help(struct metrics_column *column)
{
    size_t size = strlen(column->d.help);

    if (column->count == METRICS_NONE || !metrics_ends_with(column->d.help, size, " (histogram)"))
        return 0;
    column->latency_help = strndup(column->d.help, size - strlen(" (histogram)"));
    column->d.help = column->latency_help;
    return column->latency_help ? 0 : -ENOMEM;
}

static int make_bounds(struct metrics_column *column)
{
    const struct vmt_descriptor *d = &column->d;
    uint32_t count = bounded(d);
    char *at;

    column->le_count = count + 1;
    column->le_ends = calloc(column->le_count, sizeof(*column->le_ends));
    column->le_text = at = malloc(column->le_count * LE_MAX);
    if (!column->le_ends || !at)
        return -ENOMEM;
    for (uint32_t i = 0; i < column->le_count; i++) {
        uint64_t low, high;

        at = stpcpy(at, ",le=\"");
        vmt_bucket_bounds(d, i, &low, &high);
        if (i == count)
            at = stpcpy(at, "+Inf");
        else /* the largest value in it; of bucket 64 that is what a u64 holds */
            at += vmt_scaled(at, d, high == UINT64_MAX ? high : high - 1, false, true);
        at = stpcpy(at, "\"} ");
        column->le_ends[i] = (size_t)(at - column->le_text);
    }
    at = realloc(column->le_text, column->le_ends[count]);
    column->le_text = at ? at : column->le_text;
    return 0;
}

static void make_column(const struct metrics_plan *plan, uint32_t i, struct metrics_column *column)
{
    column->d = plan->schema.descriptors[i];
    column->descriptor = i;
    column->class = metrics_class(&column->d);
    column->unit = metrics_unit(&column->d);
    column->boolean = vmt_export_is_boolean(&column->d, false);
    column->exact = column->d.exponent == 0 && !(column->d.flags & VMT_SIGNED) && !column->boolean;
}

/* Descriptors that are part of another's column. */
static void mark_parts(const struct metrics_plan *plan, uint8_t *part)
{
    for (uint32_t i = 0; i < plan->schema.count; i++) {
        struct metrics_column column = { 0 };

        make_column(plan, i, &column);
        (void)find_latency(&plan->schema, &column);
        if (column.count != METRICS_NONE)
            part[column.count] = part[column.sum] = 1;
    }
}

/* ---- names ---- */

static bool is_taken(const struct metrics_plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->column_count; i++)
        if (plan->columns[i].family && strcmp(plan->columns[i].family, name) == 0)
            return true;
    return metrics_name_is_reserved(name);
}

/* easy: only if it is its own name, and free. 0 or -ENOMEM. */
static int name_column(const struct metrics_plan *plan, struct metrics_column *column, bool easy)
{
    struct metrics_named named = { .target = plan->schema.target,
                                   .statistic = column->d.name,
                                   .size = column->count == METRICS_NONE ? strlen(column->d.name)
                                                                         : strlen(column->d.name) - strlen("_hist"),
                                   .unit = column->unit,
                                   .class = column->class,
                                   .number = column->descriptor };
    char name[METRICS_NAME_SIZE];

    for (unsigned choice = 0; choice < (easy ? 1 : METRICS_NAME_CHOICES); choice++) {
        bool own = metrics_name(name, &named, choice);

        if ((easy && !own) || is_taken(plan, name))
            continue;
        column->family = strdup(name);
        column->family_size = (uint32_t)strlen(name);
        return column->family ? 0 : -ENOMEM;
    }
    return 0;
}

static int name_columns(struct metrics_plan *plan)
{
    int r = 0;

    for (int easy = 1; easy >= 0; easy--)
        for (uint32_t i = 0; i < plan->column_count && r == 0; i++)
            if (!plan->columns[i].family)
                r = name_column(plan, &plan->columns[i], easy);
    return r;
}

/* ---- all of it ---- */

static void measure(struct metrics_plan *plan)
{
    for (uint32_t i = 0; i < plan->column_count; i++) {
        const struct metrics_column *column = &plan->columns[i];
        bool whole = column->d.exponent == 0 || column->class == METRICS_HISTOGRAM;
        size_t number = whole ? VMT_DECIMAL_MAX + 1 : VMT_SCALED_MAX;
        size_t line = column->family_size + sizeof("_bucket{\n") + number;
        size_t lines = column->class == METRICS_HISTOGRAM ? column->le_count + 2U : 1;

        plan->lines += lines;
        plan->line_bytes += lines * line;
        if (column->le_count)
            plan->line_bytes += column->le_ends[column->le_count - 1] + VMT_SCALED_MAX;
        /* HELP, TYPE and UNIT; up to three times where it contradicts another's */
        plan->head_bytes += 3 * (3 * (column->family_size + 32U) + 2 * strlen(column->d.help));
    }
}

static int make_columns(struct metrics_plan *plan, const struct vmt_schema *schema)
{
    uint8_t part[VMT_DESCRIPTORS_MAX] = { 0 };
    int r = 0;

    if (plan->schema.count > VMT_DESCRIPTORS_MAX)
        return -EINVAL;
    plan->columns = calloc(plan->schema.count + 1, sizeof(*plan->columns));
    if (!plan->columns)
        return -ENOMEM;
    if (kvm_is_handle(schema)) /* the number of a descriptor is no measurement */
        return 0;
    mark_parts(plan, part);
    for (uint32_t i = 0; i < plan->schema.count && r == 0; i++) {
        struct metrics_column *column = &plan->columns[plan->column_count];

        if (part[i] ||
            (plan->schema.descriptors[i].size != 1 && metrics_class(&plan->schema.descriptors[i]) != METRICS_HISTOGRAM))
            continue;
        make_column(plan, i, column);
        (void)find_latency(&plan->schema, column);
        plan->column_count++;
        r = make_help(column);
        if (r == 0 && column->class == METRICS_HISTOGRAM)
            r = make_bounds(column);
    }
    if (r == 0)
        r = name_columns(plan);
    return r;
}

int metrics_plan_new(const struct vmt_schema *schema, uint64_t hash, struct metrics_plan **ret)
{
    struct metrics_plan *plan = calloc(1, sizeof(*plan));
    int r = plan ? copy_schema(plan, schema) : -ENOMEM;

    if (r == 0) {
        (void)metrics_target(plan->target, plan->schema.target);
        r = make_columns(plan, schema);
    }
    if (r < 0) {
        metrics_plan_free(plan);
        return r;
    }
    measure(plan);
    plan->hash = hash;
    *ret = plan;
    return 0;
}

void metrics_plan_free(struct metrics_plan *plan)
{
    if (!plan)
        return;
    for (uint32_t i = 0; i < plan->column_count; i++) {
        free(plan->columns[i].family);
        free(plan->columns[i].latency_help);
        free(plan->columns[i].le_ends);
        free(plan->columns[i].le_text);
    }
    free(plan->columns);
    free((void *)(uintptr_t)plan->schema.descriptors);
    free(plan->text);
    free(plan);
}
