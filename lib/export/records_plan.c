/* SPDX-License-Identifier: MIT */
#include "records_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "names.h"
#include "pack.h"
#include "lib/kvm/handle.h"

#define HIST "_hist"
#define HIST_SIZE (sizeof(HIST) - 1)
#define UNIT_TEXT 32

struct planner {
    struct record_plan *plan;
    const struct vmt_schema *schema;
    const struct vmt_choice *choice;
    struct vmt_pack pack;
    bool strings;
    bool *folded; /* by descriptor: it is part of a histogram's map */
};

/* ---- to find it again ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15U;
    return hash ^ hash >> 32;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    size_t size = strlen(text);
    uint64_t word;

    hash = mix(hash, size);
    for (; size >= sizeof(word); text += sizeof(word), size -= sizeof(word)) {
        memcpy(&word, text, sizeof(word));
        hash = mix(hash, word);
    }
    word = 0;
    memcpy(&word, text, size);
    return mix(hash, word);
}

uint64_t record_plan_hash(const struct vmt_schema *schema)
{
    uint64_t hash = mix(schema->slots, schema->count);

    hash = mix_text(mix_text(mix_text(hash, schema->name), schema->provider), schema->target);
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        hash = mix(hash, (uint64_t)d->flags << 32 | d->bucket_size);
        hash = mix(hash, (uint64_t)(uint16_t)d->exponent << 32 | (uint32_t)d->size << 16 | d->group);
        hash = mix_text(hash, d->name);
    }
    return hash;
}

/* In all that a record shows. */
static bool same_statistic(const struct vmt_descriptor *a, const struct vmt_descriptor *b)
{
    return a->flags == b->flags && a->slot == b->slot && a->bucket_size == b->bucket_size &&
           a->exponent == b->exponent && a->size == b->size && a->group == b->group && strcmp(a->name, b->name) == 0;
}

bool record_plan_is_of(const struct record_plan *plan, const struct vmt_schema *schema, uint64_t hash)
{
    const struct vmt_schema *own = &plan->schema;

    if (plan->hash != hash || own->slots != schema->slots || own->count != schema->count ||
        strcmp(own->name, schema->name) != 0 || strcmp(own->provider, schema->provider) != 0 ||
        strcmp(own->target, schema->target) != 0)
        return false;
    for (uint32_t i = 0; i < own->count; i++) {
        if (!same_statistic(&own->descriptors[i], &schema->descriptors[i]))
            return false;
    }
    return true;
}

static void free_copy(struct vmt_schema *copy)
{
    for (uint32_t i = 0; copy->descriptors && i < copy->count; i++)
        free((char *)copy->descriptors[i].name);
    free((struct vmt_descriptor *)copy->descriptors);
    free((char *)copy->name);
    free((char *)copy->provider);
    free((char *)copy->target);
}

static int copy_schema(const struct vmt_schema *schema, struct vmt_schema *ret)
{
    struct vmt_descriptor *descriptors = calloc((size_t)schema->count + 1, sizeof(*descriptors));

    ret->name = strdup(schema->name);
    ret->provider = strdup(schema->provider);
    ret->target = strdup(schema->target);
    ret->descriptors = descriptors;
    ret->slots = schema->slots;
    if (!descriptors || !ret->name || !ret->provider || !ret->target)
        return -ENOMEM;
    for (uint32_t i = 0; i < schema->count; i++) {
        descriptors[i] = schema->descriptors[i];
        descriptors[i].help = "";
        descriptors[i].name = strdup(schema->descriptors[i].name);
        if (!descriptors[i].name)
            return -ENOMEM;
        ret->count++;
    }
    return 0;
}

/* ---- its bytes ---- */

static msgpack_packer *packer(struct planner *p) { return &p->pack.packer; }

static uint32_t here(const struct planner *p) { return (uint32_t)p->plan->bytes.size; }

static struct plan_bytes since(const struct planner *p, uint32_t at) { return (struct plan_bytes){ at, here(p) - at }; }

static struct plan_bytes put_key(struct planner *p, const char *text, size_t size)
{
    uint32_t at = here(p);

    msgpack_pack_str_with_body(packer(p), text, size);
    return since(p, at);
}

static void put_text(struct planner *p, const char *key, const char *text)
{
    vmt_pack_string(packer(p), key);
    vmt_pack_string(packer(p), text);
}

/* "ns", "MiB", "10^-4 s"; false: it has none. */
static bool unit_of(const struct vmt_descriptor *d, char text[UNIT_TEXT])
{
    static const struct {
        uint32_t unit;
        uint32_t base;
        int exponent;
        const char *text;
    } usual[] = {
        { VMT_UNIT_SECONDS, VMT_BASE_POW10, -3, "ms" }, { VMT_UNIT_SECONDS, VMT_BASE_POW10, -6, "us" },
        { VMT_UNIT_SECONDS, VMT_BASE_POW10, -9, "ns" }, { VMT_UNIT_BYTES, VMT_BASE_POW2, 10, "KiB" },
        { VMT_UNIT_BYTES, VMT_BASE_POW2, 20, "MiB" },   { VMT_UNIT_BYTES, VMT_BASE_POW2, 30, "GiB" },
    };
    const char *unit = vmt_export_unit(d);

    if (d->exponent == 0) {
        snprintf(text, UNIT_TEXT, "%s", unit ? unit : "");
        return unit != NULL;
    }
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        if (usual[i].unit == (d->flags & VMT_UNIT_MASK) && usual[i].base == (d->flags & VMT_BASE_MASK) &&
            usual[i].exponent == d->exponent) {
            snprintf(text, UNIT_TEXT, "%s", usual[i].text);
            return true;
        }
    }
    snprintf(text, UNIT_TEXT, "%" PRIu64 "^%d%s%s", vmt_export_base(d), d->exponent, unit ? " " : "", unit ? unit : "");
    return true;
}

static void put_bound(struct planner *p, uint64_t bound)
{
    char text[24];

    if (!p->strings) {
        msgpack_pack_uint64(packer(p), bound);
        return;
    }
    snprintf(text, sizeof(text), "%" PRIu64, bound);
    vmt_pack_string(packer(p), text);
}

/* ---- histograms ---- */

static bool is_histogram(const struct vmt_descriptor *d)
{
    uint32_t type = d->flags & VMT_TYPE_MASK;

    return type == VMT_TYPE_LINEAR_HIST || type == VMT_TYPE_LOG_HIST;
}

static bool is_chosen(const struct planner *p, const struct vmt_descriptor *d)
{
    const struct vmt_choice *choice = p->choice;

    return !choice || !choice->statistic || choice->statistic(choice->arg, p->schema, d);
}

/* The slot of the number named as the histogram is but with another end, if it changes together with it. It is then shown in
 * the histogram's map only. */
static uint32_t fold(struct planner *p, const struct vmt_descriptor *hist, const char *end)
{
    size_t stem = strlen(hist->name) - HIST_SIZE;

    for (uint32_t i = 0; i < p->schema->count; i++) {
        const struct vmt_descriptor *d = &p->schema->descriptors[i];

        if (d->group == hist->group && d->size == 1 && !(d->flags & VMT_SIGNED) && !is_histogram(d) &&
            strncmp(d->name, hist->name, stem) == 0 && strcmp(d->name + stem, end) == 0 && is_chosen(p, d)) {
            p->folded[i] = true;
            return d->slot;
        }
    }
    return PLAN_NO_SLOT;
}

/* What VMT_LATENCY declares: a histogram with count, sum, minimum and maximum. */
static bool is_latency(const struct vmt_descriptor *d)
{
    size_t size = strlen(d->name);

    return d->group != 0 && size > HIST_SIZE && strcmp(d->name + size - HIST_SIZE, HIST) == 0;
}

static bool has_histogram(const struct vmt_schema *schema, const char *name)
{
    const struct vmt_descriptor *d = vmt_schema_find(schema, name);

    return d && is_histogram(d);
}

static void plan_bounds(struct planner *p, const struct vmt_descriptor *d, uint32_t at)
{
    uint64_t low, high;

    for (uint32_t i = 0; i + 1 < d->size; i++) {
        vmt_bucket_bounds(d, i, &low, &high);
        put_bound(p, high - 1);
        p->plan->ends[d->slot + i] = here(p) - at;
    }
}

static void plan_histogram(struct planner *p, const struct vmt_descriptor *d)
{
    struct plan_histogram *h = &p->plan->histograms[p->plan->histogram_count++];
    size_t size = strlen(d->name);
    char text[UNIT_TEXT], name[VMT_NAME_SIZE];
    uint32_t at;

    *h = (struct plan_histogram){ .slot = d->slot,
                                  .size = d->size,
                                  .count = PLAN_NO_SLOT,
                                  .sum = PLAN_NO_SLOT,
                                  .min = PLAN_NO_SLOT,
                                  .max = PLAN_NO_SLOT };
    if (is_latency(d)) {
        snprintf(name, sizeof(name), "%.*s", (int)(size - HIST_SIZE), d->name);
        if (!has_histogram(p->schema, name)) /* else there would be two of that name */
            size -= HIST_SIZE;
        h->count = fold(p, d, "_count");
        h->sum = fold(p, d, "_sum");
        h->min = fold(p, d, "_min");
        h->max = fold(p, d, "_max");
    }
    h->key = put_key(p, d->name, size);
    at = here(p);
    if (unit_of(d, text))
        put_text(p, "unit", text);
    h->unit = since(p, at);
    h->bounds = here(p);
    plan_bounds(p, d, h->bounds);
}

/* ---- numbers ---- */

static void plan_number(struct planner *p, const struct vmt_descriptor *d)
{
    struct record_plan *plan = p->plan;
    bool counter = (d->flags & VMT_TYPE_MASK) == VMT_TYPE_CUMULATIVE;
    struct plan_number *n = counter ? &plan->counters[plan->counter_count++] : &plan->gauges[plan->gauge_count++];

    *n = (struct plan_number){ .slot = d->slot,
                               .size = d->size,
                               .is_signed = (d->flags & VMT_SIGNED) != 0,
                               .is_list = vmt_export_is_list(d),
                               .none = vmt_export_absent(d) };
    n->key = put_key(p, d->name, strlen(d->name));
}

static bool is_number(const struct planner *p, uint32_t i)
{
    const struct vmt_descriptor *d = &p->schema->descriptors[i];

    return !is_histogram(d) && !p->folded[i] && is_chosen(p, d);
}

static void plan_units(struct planner *p)
{
    char text[UNIT_TEXT];
    uint32_t count = 0, at = here(p);

    for (uint32_t i = 0; i < p->schema->count; i++)
        count += is_number(p, i) && unit_of(&p->schema->descriptors[i], text);
    if (!count)
        return;
    vmt_pack_string(packer(p), "u");
    msgpack_pack_map(packer(p), count);
    for (uint32_t i = 0; i < p->schema->count; i++) {
        if (is_number(p, i) && unit_of(&p->schema->descriptors[i], text))
            put_text(p, p->schema->descriptors[i].name, text);
    }
    p->plan->units = since(p, at);
}

/* ---- */

static int plan_all(struct planner *p)
{
    struct record_plan *plan = p->plan;
    const struct vmt_schema *schema = p->schema;

    vmt_pack_init(&p->pack, &plan->bytes);
    put_text(p, "kind", schema->target);
    put_text(p, "provider", schema->provider);
    plan->kind = since(p, 0);
    if (kvm_is_handle(schema)) /* the number of a descriptor is no measurement */
        return p->pack.base.error;
    for (uint32_t i = 0; i < schema->count; i++) {
        if (is_histogram(&schema->descriptors[i]) && is_chosen(p, &schema->descriptors[i]))
            plan_histogram(p, &schema->descriptors[i]);
    }
    for (uint32_t i = 0; i < schema->count; i++) {
        if (is_number(p, i))
            plan_number(p, &schema->descriptors[i]);
    }
    plan_units(p);
    return p->pack.base.error;
}

static int make(struct planner *p, const struct vmt_schema *schema)
{
    struct record_plan *plan = p->plan;
    size_t count = (size_t)schema->count + 1;
    int r = copy_schema(schema, &plan->schema);

    plan->counters = calloc(count, sizeof(*plan->counters));
    plan->gauges = calloc(count, sizeof(*plan->gauges));
    plan->histograms = calloc(count, sizeof(*plan->histograms));
    plan->ends = calloc((size_t)schema->slots + 1, sizeof(*plan->ends));
    p->folded = calloc(count, sizeof(*p->folded));
    if (r < 0 || !p->folded || !plan->counters || !plan->gauges || !plan->histograms || !plan->ends)
        return -ENOMEM;
    plan->hash = record_plan_hash(schema);
    r = plan_all(p);
    plan->memory = sizeof(*plan) + plan->bytes.capacity + schema->slots * sizeof(*plan->ends) +
                   count * (sizeof(*plan->counters) + sizeof(*plan->gauges) + sizeof(*plan->histograms) +
                            sizeof(struct vmt_descriptor) + VMT_NAME_SIZE);
    return r;
}

int record_plan_new(const struct vmt_schema *schema, const struct vmt_choice *choice, bool strings,
                    struct record_plan **ret)
{
    struct planner *p = calloc(1, sizeof(*p));
    struct record_plan *plan = calloc(1, sizeof(*plan));
    int r = -ENOMEM;

    if (p && plan) {
        p->plan = plan;
        p->schema = schema;
        p->choice = choice;
        p->strings = strings;
        r = make(p, schema);
        free(p->folded);
    }
    free(p);
    if (r < 0)
        record_plan_free(plan);
    else
        *ret = plan;
    return r;
}

void record_plan_free(struct record_plan *plan)
{
    if (!plan)
        return;
    free_copy(&plan->schema);
    vmt_buffer_free(&plan->bytes);
    free(plan->counters);
    free(plan->gauges);
    free(plan->histograms);
    free(plan->ends);
    free(plan);
}
