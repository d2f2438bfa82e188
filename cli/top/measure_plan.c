/* SPDX-License-Identifier: MIT */
#include "cli/top/measure_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/units.h"
#include "lib/hash.h"

/* Which counters a measure is the sum of, by name: those of the ready-made schemas and KVM's own. */
static const struct {
    const char *name;
    enum measure measure;
} counted[] = {
    { "exits", MEASURE_EXITS },          { "run_time", MEASURE_RUN },         { "request_cpu_time", MEASURE_RUN },
    { "read_bytes", MEASURE_BYTES },     { "write_bytes", MEASURE_BYTES },    { "rx_bytes_count", MEASURE_BYTES },
    { "tx_bytes_count", MEASURE_BYTES }, { "rx_bytes", MEASURE_BYTES },       { "tx_bytes", MEASURE_BYTES },
    { "input_bytes", MEASURE_BYTES },    { "output_bytes", MEASURE_BYTES },   { "read_count", MEASURE_OPS },
    { "write_count", MEASURE_OPS },      { "rx_packets_count", MEASURE_OPS }, { "tx_packets_count", MEASURE_OPS },
    { "invocations", MEASURE_OPS },
};

#define EXIT_PREFIX "exit_"  /* ours */
#define EXIT_SUFFIX "_exits" /* KVM's */
#define LATENCY_FIRST "io_latency_hist"
#define TARGET_VCPU "vcpu"
#define PROVIDER_KERNEL "kvm"

static uint32_t type_of(const struct vmt_descriptor *d) { return d->flags & VMT_TYPE_MASK; }
static uint32_t unit_of(const struct vmt_descriptor *d) { return d->flags & VMT_UNIT_MASK; }

static int is_counter(struct planned *p)
{
    const char *name = p->d->name;

    for (size_t i = 0; type_of(p->d) == VMT_TYPE_CUMULATIVE && i < sizeof(counted) / sizeof(counted[0]); i++) {
        if (name[0] == counted[i].name[0] && !strcmp(name, counted[i].name)) {
            p->measure = (uint8_t)counted[i].measure;
            return 1;
        }
    }
    return 0;
}

/* It counts exits for one reason. */
static int is_reason(struct planned *p)
{
    const size_t prefix = sizeof(EXIT_PREFIX) - 1;
    const size_t suffix = sizeof(EXIT_SUFFIX) - 1;
    const char *name = p->d->name;
    size_t length;

    if (type_of(p->d) != VMT_TYPE_CUMULATIVE || p->d->group || unit_of(p->d) != VMT_UNIT_NONE)
        return 0;
    length = strnlen(name, VMT_NAME_SIZE - 1);
    if (length > prefix && !memcmp(name, EXIT_PREFIX, prefix)) {
        p->from = (uint8_t)prefix;
        p->length = (uint8_t)(length - prefix);
        return 1;
    }
    if (length > suffix && !memcmp(name + length - suffix, EXIT_SUFFIX, suffix)) {
        p->length = (uint8_t)(length - suffix);
        return 1;
    }
    return 0;
}

static int is_latency(struct planned *p)
{
    uint32_t type = type_of(p->d);

    p->first = !strcmp(p->d->name, LATENCY_FIRST);
    return (type == VMT_TYPE_LINEAR_HIST || type == VMT_TYPE_LOG_HIST) && unit_of(p->d) == VMT_UNIT_SECONDS;
}

typedef int is_fn(struct planned *p);

static uint32_t plan_all(struct planned *planned, const struct vmt_schema *schema, is_fn *is)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];
        struct planned p = { .d = d, .slot = d->slot, .factor = 1 };

        if (!is(&p))
            continue;
        if (d->exponent)
            p.factor = unit_factor(d);
        if (isfinite(p.factor))
            planned[n++] = p;
    }
    return n;
}

/* Who counts, as a number, never 0. */
static uint64_t number_of(const char *provider)
{
    uint64_t hash = hash_add(HASH_START, provider, strlen(provider));

    return hash ? hash : 1;
}

/* No statistic is planned as two things. */
static int plan_make(struct measure_plan *plan, const struct vmt_schema *schema)
{
    struct planned *planned = calloc(schema->count ? schema->count : 1, sizeof(*planned));
    struct planned *fitting;
    uint32_t n;

    if (!planned)
        return -1;
    plan->schema = schema;
    plan->counters = plan_all(planned, schema, is_counter);
    plan->reasons = plan_all(planned + plan->counters, schema, is_reason);
    n = plan->counters + plan->reasons;
    plan->kernel = !strcmp(schema->provider, PROVIDER_KERNEL);
    if (!plan->kernel) /* whose times are those that a vCPU waits, not latencies */
        plan->histograms = plan_all(planned + n, schema, is_latency);
    n += plan->histograms;
    plan->vcpu = !strcmp(schema->target, TARGET_VCPU);
    plan->counts = plan->vcpu ? number_of(schema->provider) : 0;
    fitting = reallocarray(planned, n ? n : 1, sizeof(*planned));
    plan->planned = fitting ? fitting : planned;
    return 0;
}

/* ---- all of them, by the schema's address ---- */

static struct measure_plan *place_of(const struct measure_plans *plans, const struct vmt_schema *schema)
{
    size_t at = (size_t)(((uint64_t)(uintptr_t)schema * 0x9e3779b97f4a7c15U) >> 32) & (plans->capacity - 1);

    while (plans->plans[at].schema && plans->plans[at].schema != schema)
        at = (at + 1) & (plans->capacity - 1);
    return &plans->plans[at];
}

static int grow(struct measure_plans *plans)
{
    struct measure_plans larger = { .capacity = plans->capacity ? plans->capacity * 2 : 64 };

    larger.plans = calloc(larger.capacity, sizeof(*larger.plans));
    if (!larger.plans)
        return -1;
    for (size_t i = 0; i < plans->capacity; i++) {
        if (plans->plans[i].schema)
            *place_of(&larger, plans->plans[i].schema) = plans->plans[i];
    }
    free(plans->plans);
    plans->plans = larger.plans;
    plans->capacity = larger.capacity;
    return 0;
}

static void forget(struct measure_plans *plans)
{
    for (size_t i = 0; i < plans->capacity; i++) {
        free(plans->plans[i].planned);
        plans->plans[i] = (struct measure_plan){ 0 };
    }
    plans->count = 0;
}

const struct measure_plan *measure_plan_of(struct measure_plans *plans, uint64_t epoch, const struct vmt_schema *schema)
{
    struct measure_plan *plan;

    if (plans->epoch != epoch)
        forget(plans);
    plans->epoch = epoch;
    if (plans->count * 2 >= plans->capacity && grow(plans) < 0)
        return NULL;
    plan = place_of(plans, schema);
    if (plan->schema)
        return plan;
    if (plan_make(plan, schema) < 0)
        return NULL;
    plans->count++;
    return plan;
}

void measure_plans_free(struct measure_plans *plans)
{
    forget(plans);
    free(plans->plans);
    free(plans->entries);
    *plans = (struct measure_plans){ 0 };
}
