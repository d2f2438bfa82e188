/* SPDX-License-Identifier: MIT */
#include "cli/top/columns.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- measures ---- */

enum measure { MEASURE_EXITS, MEASURE_RUN, MEASURE_BYTES, MEASURE_OPS, MEASURES };

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
#define ACTIVE_MAX 3

/* One counter among the most active. */
struct active {
    const struct vmt_descriptor *d;
    double rate;
};

/* What is gathered over the schemas of one row. */
struct gathered {
    const struct vmt_delta *delta;
    struct measures *ret;
    double sum[MEASURES];
    double top;
    int first_choice; /* the histogram is LATENCY_FIRST */
    uint64_t buckets[VMT_SLOTS_MAX];
    struct active active[ACTIVE_MAX];
};

static uint32_t type_of(const struct vmt_descriptor *d) { return d->flags & VMT_TYPE_MASK; }
static uint32_t unit_of(const struct vmt_descriptor *d) { return d->flags & VMT_UNIT_MASK; }

static int measure_of(const char *name)
{
    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
        if (name[0] == counted[i].name[0] && !strcmp(name, counted[i].name))
            return (int)counted[i].measure;
    }
    return -1;
}

/* If d counts exits for one reason, that reason into buf, and 1. */
static int exit_reason(const struct vmt_descriptor *d, char *buf, size_t size)
{
    size_t length = strlen(d->name);
    size_t suffix = strlen(EXIT_SUFFIX);

    if (d->group || unit_of(d) != VMT_UNIT_NONE)
        return 0;
    if (!strncmp(d->name, EXIT_PREFIX, strlen(EXIT_PREFIX)))
        snprintf(buf, size, "%s", d->name + strlen(EXIT_PREFIX));
    else if (length > suffix && !strcmp(d->name + length - suffix, EXIT_SUFFIX))
        snprintf(buf, size, "%.*s", (int)(length - suffix), d->name);
    else
        return 0;
    return 1;
}

/* Keep the most active ones: events before bytes, cycles and time, whose numbers are greater by nature. */
static void note_active(struct gathered *g, const struct vmt_descriptor *d, double rate)
{
    struct active one = { d, rate };

    if (!(rate > 0))
        return;
    for (size_t i = 0; i < ACTIVE_MAX; i++) {
        struct active *at = &g->active[i];
        int event = unit_of(one.d) == VMT_UNIT_NONE;
        int before = at->d && unit_of(at->d) == VMT_UNIT_NONE;

        if (!at->d || event > before || (event == before && one.rate > at->rate)) {
            struct active other = *at;

            *at = one;
            one = other;
            if (!one.d)
                return;
        }
    }
}

static void note_counter(struct gathered *g, const struct vmt_change *change, const struct vmt_descriptor *d)
{
    double rate = vmt_change_rate(g->delta, change, d->slot);
    int measure = measure_of(d->name);
    char reason[VMT_NAME_SIZE];

    if (measure >= 0) {
        double scaled = rate * unit_factor(d);

        g->sum[measure] = isnan(g->sum[measure]) ? scaled : g->sum[measure] + scaled;
    }
    if (rate > g->top && exit_reason(d, reason, sizeof(reason))) {
        g->top = rate;
        snprintf(g->ret->top_exit, sizeof(g->ret->top_exit), "%s", reason);
    }
    note_active(g, d, rate);
}

static int same_buckets(const struct vmt_descriptor *a, const struct vmt_descriptor *b)
{
    uint32_t mask = VMT_TYPE_MASK | VMT_UNIT_MASK | VMT_BASE_MASK;

    return (a->flags & mask) == (b->flags & mask) && a->exponent == b->exponent && a->size == b->size &&
           a->bucket_size == b->bucket_size;
}

/* Latencies: LATENCY_FIRST alone where it is counted, for parts of it have histograms of their own; else all that
 * can be added up. */
static void note_histogram(struct gathered *g, const struct vmt_change *change, const struct vmt_descriptor *d)
{
    struct measures *m = g->ret;
    int first = !strcmp(d->name, LATENCY_FIRST);

    if (unit_of(d) != VMT_UNIT_SECONDS || first < g->first_choice)
        return;
    if (!m->latency || first > g->first_choice) {
        m->latency = d;
        g->first_choice = first;
        memcpy(g->buckets, change->values + d->slot, d->size * sizeof(g->buckets[0]));
    } else if (same_buckets(m->latency, d)) {
        for (uint32_t i = 0; i < d->size; i++)
            g->buckets[i] += change->values[d->slot + i];
    }
}

static void gather(struct gathered *g, const struct vmt_change *change)
{
    if (change->flags & VMT_CHANGE_RESET)
        return;
    for (uint32_t i = 0; i < change->schema->count; i++) {
        const struct vmt_descriptor *d = &change->schema->descriptors[i];

        if (type_of(d) == VMT_TYPE_CUMULATIVE)
            note_counter(g, change, d);
        else if (type_of(d) == VMT_TYPE_LINEAR_HIST || type_of(d) == VMT_TYPE_LOG_HIST)
            note_histogram(g, change, d);
    }
}

static void quantiles(struct gathered *g)
{
    struct measures *m = g->ret;

    if (m->latency && (vmt_quantile(m->latency, g->buckets, 0.5, &m->p50.low, &m->p50.high) < 0 ||
                       vmt_quantile(m->latency, g->buckets, 0.99, &m->p99.low, &m->p99.high) < 0))
        m->latency = NULL; /* nothing was recorded meanwhile */
}

static void write_active(const struct gathered *g)
{
    struct measures *m = g->ret;
    size_t at = 0;

    for (size_t i = 0; i < ACTIVE_MAX && g->active[i].d && at < sizeof(m->active); i++) {
        char rate[UNIT_TEXT];
        int n = snprintf(m->active + at, sizeof(m->active) - at, "%s%s %s", i ? "  " : "", g->active[i].d->name,
                         unit_format_rate(rate, sizeof(rate), g->active[i].d, g->active[i].rate));

        at += n > 0 ? (size_t)n : 0;
    }
}

void measures_none(struct measures *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->exits = ret->run = ret->bytes = ret->ops = NAN;
}

void measures_take(struct measures *ret, const struct sample_vm *vm, size_t i)
{
    const struct vmt_sample *sample = vmt_snapshot_source(vm->snapshot, i);
    struct gathered g;

    measures_none(ret);
    g.delta = vm->delta;
    g.ret = ret;
    g.top = 0;
    g.first_choice = 0;
    memset(g.active, 0, sizeof(g.active)); /* buckets are set where they are used */
    for (size_t k = 0; k < MEASURES; k++)
        g.sum[k] = NAN;
    gather(&g, vmt_delta_source(vm->delta, i));
    for (uint32_t t = 0; t < sample->total_count; t++) {
        const struct vmt_total *total = &sample->totals[t];

        gather(&g, vmt_delta_total(vm->delta, i, t));
        /* Two providers may count the same vCPUs: that does not make them more. */
        if (!strcmp(total->schema->target, "vcpu") && total->sources > ret->vcpus)
            ret->vcpus = total->sources;
    }
    ret->exits = g.sum[MEASURE_EXITS];
    ret->run = g.sum[MEASURE_RUN];
    ret->bytes = g.sum[MEASURE_BYTES];
    ret->ops = g.sum[MEASURE_OPS];
    if (ret->exits > 0)
        ret->top_share = g.top / ret->exits;
    quantiles(&g);
    if (isnan(ret->exits) && isnan(ret->run) && isnan(ret->bytes) && isnan(ret->ops) && !ret->latency)
        write_active(&g);
}

/* ---- cells ---- */

static const struct vmt_descriptor events = { .flags = VMT_UNIT_NONE };
static const struct vmt_descriptor bytes = { .flags = VMT_UNIT_BYTES | VMT_BASE_POW2 };

static void write_text(char *buf, const char *text) { snprintf(buf, CELL_TEXT, "%s", text); }

static void write_number(char *buf, double value)
{
    if (!isfinite(value))
        buf[0] = '\0';
    else
        snprintf(buf, CELL_TEXT, "%.3f", value);
}

/* A number per second under a title that says so. */
static void show_number(char *buf, const struct vmt_descriptor *d, double value)
{
    if (isnan(value))
        buf[0] = '\0';
    else
        unit_format_real(buf, CELL_TEXT, d, value);
}

char *quantile_format(char *buf, size_t size, const struct vmt_descriptor *d, const struct quantile *q)
{
    char bound[UNIT_TEXT];
    int open = q->high == UINT64_MAX;

    snprintf(buf, size, "%c%s", open ? '>' : '<', unit_format(bound, sizeof(bound), d, open ? q->low : q->high));
    return buf;
}

static void show_quantile(char *buf, const struct measures *m, const struct quantile *q)
{
    if (m->latency)
        quantile_format(buf, CELL_TEXT, m->latency, q);
    else
        buf[0] = '\0';
}

/* A bound in seconds. */
static void write_bound(char *buf, const struct measures *m, uint64_t bound)
{
    if (!m->latency || bound == UINT64_MAX)
        buf[0] = '\0';
    else
        snprintf(buf, CELL_TEXT, "%.9g", (double)bound * unit_factor(m->latency));
}

static void write_vm(char *buf, const struct facts *f) { write_text(buf, f->vm); }
static void write_source(char *buf, const struct facts *f) { write_text(buf, f->source); }
static void write_schema(char *buf, const struct facts *f) { write_text(buf, f->schema); }
static void write_state(char *buf, const struct facts *f) { write_text(buf, f->state); }

static void show_state(char *buf, const struct facts *f)
{
    snprintf(buf, CELL_TEXT, "%s%s%s", f->state, f->note[0] ? ", " : "", f->note);
}

static void write_pid(char *buf, const struct facts *f)
{
    if (f->pid)
        snprintf(buf, CELL_TEXT, "%" PRIu32, f->pid);
    else
        buf[0] = '\0';
}

static void show_age(char *buf, const struct facts *f)
{
    if (f->age_ns == UINT64_MAX)
        buf[0] = '\0';
    else
        unit_format_age(buf, CELL_TEXT, f->age_ns);
}

static void write_age(char *buf, const struct facts *f)
{
    write_number(buf, f->age_ns == UINT64_MAX ? NAN : (double)f->age_ns / 1e9);
}

static void write_vcpus(char *buf, const struct facts *f)
{
    if (f->measures.vcpus)
        snprintf(buf, CELL_TEXT, "%" PRIu32, f->measures.vcpus);
    else
        buf[0] = '\0';
}

static void show_exits(char *buf, const struct facts *f) { show_number(buf, &events, f->measures.exits); }
static void write_exits(char *buf, const struct facts *f) { write_number(buf, f->measures.exits); }

static void show_top(char *buf, const struct facts *f)
{
    if (f->measures.top_exit[0])
        snprintf(buf, CELL_TEXT, "%.20s %.0f%%", f->measures.top_exit, f->measures.top_share * 100);
    else
        buf[0] = '\0';
}

static void write_top(char *buf, const struct facts *f) { write_text(buf, f->measures.top_exit); }

static void write_top_share(char *buf, const struct facts *f)
{
    write_number(buf, f->measures.top_exit[0] ? f->measures.top_share : NAN);
}

static void show_run(char *buf, const struct facts *f)
{
    if (isnan(f->measures.run))
        buf[0] = '\0';
    else
        unit_format_share(buf, CELL_TEXT, f->measures.run);
}

static void write_run(char *buf, const struct facts *f) { write_number(buf, f->measures.run); }
static void show_bytes(char *buf, const struct facts *f) { show_number(buf, &bytes, f->measures.bytes); }
static void write_bytes(char *buf, const struct facts *f) { write_number(buf, f->measures.bytes); }
static void show_ops(char *buf, const struct facts *f) { show_number(buf, &events, f->measures.ops); }
static void write_ops(char *buf, const struct facts *f) { write_number(buf, f->measures.ops); }
static void show_p50(char *buf, const struct facts *f) { show_quantile(buf, &f->measures, &f->measures.p50); }
static void show_p99(char *buf, const struct facts *f) { show_quantile(buf, &f->measures, &f->measures.p99); }
static void write_p50_low(char *buf, const struct facts *f) { write_bound(buf, &f->measures, f->measures.p50.low); }
static void write_p50_high(char *buf, const struct facts *f) { write_bound(buf, &f->measures, f->measures.p50.high); }
static void write_p99_low(char *buf, const struct facts *f) { write_bound(buf, &f->measures, f->measures.p99.low); }
static void write_p99_high(char *buf, const struct facts *f) { write_bound(buf, &f->measures, f->measures.p99.high); }

/* In the order of the screen. Those without a title are for machines only. */
const struct column kvmtop_columns[] = {
    { "NAME", NULL, 0, 0, 1, 0, NULL, NULL },
    { NULL, "vm", 0, 0, 0, 0, NULL, write_vm },
    { NULL, "source", 0, 0, 0, 0, NULL, write_source },
    { NULL, "schema", 0, 0, 0, 0, NULL, write_schema },
    { "PID", "pid", 7, 10, 0, 0, write_pid, write_pid },
    { "STATE", "state", 0, 1, 1, 0, show_state, write_state },
    { "AGE", "age_seconds", 6, 9, 0, 0, show_age, write_age },
    { "VCPUS", "vcpus", 5, 8, 0, 0, write_vcpus, write_vcpus },
    { "EXITS/s", "exits_per_second", 8, 2, 0, 1, show_exits, write_exits },
    { "TOP EXIT", "top_exit", 15, 7, 1, 1, show_top, write_top },
    { NULL, "top_exit_share", 0, 0, 0, 0, NULL, write_top_share },
    { "RUN%", "run_share", 6, 3, 0, 1, show_run, write_run },
    { "IO B/s", "io_bytes_per_second", 8, 4, 0, 1, show_bytes, write_bytes },
    { "IO/s", "io_operations_per_second", 7, 6, 0, 1, show_ops, write_ops },
    { "P50", NULL, 8, 11, 0, 1, show_p50, NULL },
    { "P99", NULL, 8, 5, 0, 1, show_p99, NULL },
    { NULL, "latency_p50_low_seconds", 0, 0, 0, 0, NULL, write_p50_low },
    { NULL, "latency_p50_high_seconds", 0, 0, 0, 0, NULL, write_p50_high },
    { NULL, "latency_p99_low_seconds", 0, 0, 0, 0, NULL, write_p99_low },
    { NULL, "latency_p99_high_seconds", 0, 0, 0, 0, NULL, write_p99_high },
};
const size_t kvmtop_column_count = sizeof(kvmtop_columns) / sizeof(kvmtop_columns[0]);
