/* SPDX-License-Identifier: MIT */
#include "kvmtop_model.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

/* ---- keys ---- */

static uint64_t hash(uint64_t seed, const void *data, size_t size) /* FNV-1a */
{
    const unsigned char *p = data;

    for (size_t i = 0; i < size; i++)
        seed = (seed ^ p[i]) * 0x100000001b3U;
    return seed;
}

/* By full id, so that a source that was removed and added again is the same row; one that still leaves is not. */
static uint64_t key_of(const struct sample_vm *vm, const struct vmt_sample *sample)
{
    uint64_t key = hash(0xcbf29ce484222325U, &vm->id, sizeof(vm->id));

    if (!sample || sample->depth == 0)
        return key;
    key = hash(key, sample->id, strlen(sample->id));
    if (sample->flags & VMT_SAMPLE_LEAVING)
        key = hash(key, &sample->generation, sizeof(sample->generation));
    return key;
}

static int is_digit(char c) { return c >= '0' && c <= '9'; }

int model_compare_names(const char *a, const char *b)
{
    const char *a0 = a;
    const char *b0 = b;

    while (*a && *b) {
        if (is_digit(*a) && is_digit(*b)) {
            size_t na, nb;

            a += strspn(a, "0");
            b += strspn(b, "0");
            na = strspn(a, "0123456789");
            nb = strspn(b, "0123456789");
            if (na != nb)
                return na < nb ? -1 : 1;
            for (; na; na--, a++, b++) {
                if (*a != *b)
                    return *a < *b ? -1 : 1;
            }
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    if (*a || *b)
        return *a ? 1 : -1;
    return strcmp(a0, b0); /* "1" and "01" are two names */
}

/* ---- folds ---- */

static size_t folds_at(const struct folds *f, uint64_t key)
{
    size_t low = 0;
    size_t high = f->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (f->keys[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int folds_has(const struct folds *f, uint64_t key)
{
    size_t at = folds_at(f, key);

    return at < f->count && f->keys[at] == key;
}

int folds_set(struct folds *f, uint64_t key, int folded)
{
    size_t at = folds_at(f, key);

    if (folds_has(f, key) == (folded != 0))
        return 0;
    if (!folded) {
        f->count--;
        memmove(&f->keys[at], &f->keys[at + 1], (f->count - at) * sizeof(*f->keys));
        return 0;
    }
    if (f->count == f->capacity) {
        size_t capacity = f->capacity ? f->capacity * 2 : 16;
        uint64_t *more = reallocarray(f->keys, capacity, sizeof(*more));

        if (!more)
            return -ENOMEM;
        f->keys = more;
        f->capacity = capacity;
    }
    memmove(&f->keys[at + 1], &f->keys[at], (f->count - at) * sizeof(*f->keys));
    f->keys[at] = key;
    f->count++;
    return 0;
}

void folds_free(struct folds *f)
{
    free(f->keys);
    memset(f, 0, sizeof(*f));
}

/* ---- overview ---- */

/* What all steps of one build share. */
struct build {
    struct model *model;
    const struct sample_set *set;
    const struct folds *folds;
    size_t vm;
    size_t sources; /* of this VM, without number 0 */
};

static struct model_row *row_new(struct model *m)
{
    if (m->count == m->capacity) {
        size_t capacity = m->capacity ? m->capacity * 2 : 64;
        struct model_row *more = reallocarray(m->rows, capacity, sizeof(*more));

        if (!more)
            return NULL;
        m->rows = more;
        m->capacity = capacity;
    }
    memset(&m->rows[m->count], 0, sizeof(m->rows[0]));
    return &m->rows[m->count++];
}

static const char *source_state(const struct vmt_sample *sample)
{
    if (sample->flags & VMT_SAMPLE_ABSENT)
        return "absent";
    if (sample->flags & VMT_SAMPLE_LEAVING)
        return "leaving";
    if (sample->flags & VMT_SAMPLE_TORN)
        return "torn";
    return sample->flags & VMT_SAMPLE_UNCONFIRMED ? "unsure" : "";
}

static uint64_t age(uint64_t from_ns, uint64_t to_ns)
{
    if (!from_ns)
        return UINT64_MAX;
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

static void facts_fill(struct facts *f, const struct sample_set *set, const struct sample_vm *vm, size_t source)
{
    const struct vmt_segment_info *info = vm->snapshot ? vmt_snapshot_segment(vm->snapshot) : NULL;
    const struct vmt_sample *sample =
        vm->snapshot && source < vmt_snapshot_count(vm->snapshot) ? vmt_snapshot_source(vm->snapshot, source) : NULL;
    uint64_t now_ns = info && info->closed_ns ? info->closed_ns : set->realtime_ns;

    f->vm = vm->name;
    f->source = sample ? sample->id : "";
    f->schema = sample ? sample->schema->name : "";
    if (source == 0) {
        f->name = vm->name;
        f->state = sample_state(vm);
        f->pid = info ? info->pid : 0;
        f->age_ns = info ? age(info->created_ns, now_ns) : UINT64_MAX;
    } else {
        f->name = sample->name;
        f->state = source_state(sample);
        f->age_ns = age(sample->created_ns, now_ns);
    }
    if (sample)
        measures_take(&f->measures, vm, source);
    else
        measures_none(&f->measures);
}

/* qsort_r's context is not portable between libcs; one sort at a time is all that there is. */
static _Thread_local const struct vmt_snapshot *sorted;

static int compare_sources(const void *a, const void *b)
{
    const struct vmt_sample *x = vmt_snapshot_source(sorted, *(const uint32_t *)a);
    const struct vmt_sample *y = vmt_snapshot_source(sorted, *(const uint32_t *)b);
    int c;

    if (x->parent != y->parent)
        return x->parent < y->parent ? -1 : 1;
    c = model_compare_names(x->name, y->name);
    if (c == 0 && x->generation != y->generation)
        c = x->generation < y->generation ? -1 : 1;
    return c;
}

/* The first of the children of a source in the order; *count is how many. */
static size_t children_of(const struct build *b, size_t source, size_t *count)
{
    const struct vmt_snapshot *snapshot = b->set->vms[b->vm].snapshot;
    size_t low = 0;
    size_t high = b->sources;
    size_t end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (vmt_snapshot_source(snapshot, b->model->order[middle])->parent < source)
            low = middle + 1;
        else
            high = middle;
    }
    end = low;
    while (end < b->sources && vmt_snapshot_source(snapshot, b->model->order[end])->parent == source)
        end++;
    *count = end - low;
    return low;
}

/* The row of a source and, if it is not folded, those of its children. Depth is bounded by VMT_DEPTH_MAX. */
static int add_rows(const struct build *b, size_t source, uint32_t depth, uint32_t below)
{
    const struct sample_vm *vm = &b->set->vms[b->vm];
    const struct vmt_sample *sample =
        vm->snapshot && vmt_snapshot_count(vm->snapshot) ? vmt_snapshot_source(vm->snapshot, source) : NULL;
    struct model_row *row = row_new(b->model);
    size_t count = 0;
    size_t first = sample ? children_of(b, source, &count) : 0;

    if (!row)
        return -ENOMEM;
    row->key = key_of(vm, sample);
    row->vm = b->vm;
    row->source = source;
    row->depth = depth;
    row->below = below;
    row->children = (uint32_t)count;
    row->folded = count && b->folds && folds_has(b->folds, row->key);
    facts_fill(&row->facts, b->set, vm, source);
    if (row->folded || depth > VMT_DEPTH_MAX)
        return 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t more = i + 1 < count ? 1U << (depth + 1) : 0;
        int r = add_rows(b, b->model->order[first + i], depth + 1, below | more);

        if (r < 0)
            return r;
    }
    return 0;
}

static int sort_sources(struct build *b)
{
    struct model *m = b->model;
    const struct vmt_snapshot *snapshot = b->set->vms[b->vm].snapshot;
    size_t count = snapshot ? vmt_snapshot_count(snapshot) : 0;

    b->sources = count ? count - 1 : 0;
    if (b->sources > m->order_capacity) {
        uint32_t *more = reallocarray(m->order, b->sources, sizeof(*more));

        if (!more)
            return -ENOMEM;
        m->order = more;
        m->order_capacity = b->sources;
    }
    for (size_t i = 0; i < b->sources; i++)
        m->order[i] = (uint32_t)i + 1;
    sorted = snapshot;
    if (b->sources > 1)
        qsort(m->order, b->sources, sizeof(*m->order), compare_sources);
    return 0;
}

static void add_to(double *sum, double value)
{
    if (isfinite(value))
        *sum = isnan(*sum) ? value : *sum + value;
}

static void count_vm(struct model *m, const struct sample_vm *vm, const struct measures *of)
{
    m->vms++;
    if (vm->error && vm->error != -EBADMSG && vm->error != -EPROTONOSUPPORT)
        m->unreadable++;
    else
        m->states[vm->state]++;
    add_to(&m->total.exits, of->exits);
    add_to(&m->total.run, of->run);
    add_to(&m->total.bytes, of->bytes);
    add_to(&m->total.ops, of->ops);
    m->total.vcpus += of->vcpus;
}

int model_build(struct model *m, const struct sample_set *set, const struct folds *folds)
{
    struct build b = { .model = m, .set = set, .folds = folds };

    m->count = 0;
    m->vms = 0;
    m->unreadable = 0;
    memset(m->states, 0, sizeof(m->states));
    measures_none(&m->total);
    for (b.vm = 0; b.vm < set->count; b.vm++) {
        size_t at = m->count;
        int r = sort_sources(&b);

        if (r == 0)
            r = add_rows(&b, 0, 0, 0);
        if (r < 0)
            return r;
        count_vm(m, &set->vms[b.vm], &m->rows[at].facts.measures);
    }
    return 0;
}

void model_free(struct model *m)
{
    free(m->rows);
    free(m->order);
    memset(m, 0, sizeof(*m));
}

long model_find(const struct model *m, uint64_t key)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->rows[i].key == key)
            return (long)i;
    }
    return -1;
}

/* ---- detail ---- */

/* A new line of this kind, its texts empty; NULL without memory, which the detail then remembers. */
static struct detail_line *line_new(struct detail *d, enum detail_kind kind, const char *name)
{
    struct detail_line *line;

    if (d->failed)
        return NULL;
    if (d->count == d->capacity) {
        size_t capacity = d->capacity ? d->capacity * 2 : 64;
        struct detail_line *more = reallocarray(d->lines, capacity, sizeof(*more));

        if (!more) {
            d->failed = 1;
            return NULL;
        }
        d->lines = more;
        d->capacity = capacity;
    }
    line = &d->lines[d->count++];
    memset(line, 0, sizeof(*line));
    line->kind = kind;
    line->unit = line->help = "";
    snprintf(line->name, sizeof(line->name), "%s", name);
    return line;
}

static void add_fact(struct detail *d, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add_fact(struct detail *d, const char *name, const char *format, ...)
{
    struct detail_line *line = line_new(d, DETAIL_FACT, name);
    va_list ap;

    if (!line)
        return;
    va_start(ap, format);
    vsnprintf(line->value, sizeof(line->value), format, ap);
    va_end(ap);
}

static void format_quantile(char *buf, size_t size, const struct vmt_descriptor *d, const uint64_t *buckets, double q)
{
    char text[UNIT_TEXT];
    struct quantile bounds;

    if (vmt_quantile(d, buckets, q, &bounds.low, &bounds.high) < 0)
        snprintf(buf, size, "-");
    else
        snprintf(buf, size, "%s", quantile_format(text, sizeof(text), d, &bounds));
}

static void add_histogram(struct detail *detail, const struct vmt_descriptor *d, const uint64_t *values,
                          const uint64_t *change, double seconds)
{
    static const struct vmt_descriptor events = { .flags = VMT_UNIT_NONE };
    static const struct {
        double q;
        const char *name;
    } quantiles[] = { { 0.5, "  p50" }, { 0.99, "  p99" }, { 0.999, "  p99.9" } };
    struct detail_line *line = line_new(detail, DETAIL_STATISTIC, d->name);
    uint64_t count = 0;
    uint64_t changed = 0;

    for (uint32_t i = 0; i < d->size; i++) {
        count += values[d->slot + i];
        changed += change ? change[d->slot + i] : 0;
    }
    if (line) {
        unit_format(line->value, sizeof(line->value), &events, count);
        if (change)
            unit_format_rate(line->rate, sizeof(line->rate), &events, (double)changed / seconds);
        line->help = d->help;
    }
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]) && count; i++) {
        line = line_new(detail, DETAIL_STATISTIC, quantiles[i].name);
        if (!line)
            return;
        format_quantile(line->value, sizeof(line->value), d, values + d->slot, quantiles[i].q);
        if (change)
            format_quantile(line->rate, sizeof(line->rate), d, change + d->slot, quantiles[i].q);
        line->unit = unit_name(d);
        line->help = "over all; under RATE: of the last interval alone";
    }
}

/* The statistics of one schema; values NULL: they are absent. */
static void add_statistics(struct detail *detail, const struct vmt_schema *schema, const uint64_t *values,
                           const struct vmt_delta *delta, const struct vmt_change *change)
{
    double seconds = vmt_delta_seconds(delta);
    int comparable = seconds > 0 && !(change->flags & VMT_CHANGE_RESET);

    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];
        uint32_t type = d->flags & VMT_TYPE_MASK;
        struct detail_line *line;

        if (values && (type == VMT_TYPE_LINEAR_HIST || type == VMT_TYPE_LOG_HIST)) {
            add_histogram(detail, d, values, comparable ? change->values : NULL, seconds);
            continue;
        }
        line = line_new(detail, DETAIL_STATISTIC, d->name);
        if (!line)
            return;
        line->unit = (d->flags & VMT_UNIT_MASK) == VMT_UNIT_NONE ? "" : unit_name(d);
        line->help = d->help;
        if (!values) {
            snprintf(line->value, sizeof(line->value), "-");
            continue;
        }
        unit_format(line->value, sizeof(line->value), d, values[d->slot]);
        if (type == VMT_TYPE_CUMULATIVE && comparable)
            unit_format_rate(line->rate, sizeof(line->rate), d, vmt_change_rate(delta, change, d->slot));
    }
}

static void add_segment(struct detail *d, const struct sample_vm *vm)
{
    const struct vmt_segment_info *info = vm->snapshot ? vmt_snapshot_segment(vm->snapshot) : NULL;
    char reason[256];

    add_fact(d, "state", "%s", sample_state(vm));
    add_fact(d, "file", "%s", vm->path);
    if (vm->error)
        add_fact(d, "reason", "%s", message_reason(vm->error, reason, sizeof(reason)));
    if (!info || !info->created_ns) /* what is not known need not be true */
        return;
    add_fact(d, "pid", "%" PRIu32, info->pid);
    add_fact(d, "format", "%u.%u", (unsigned)info->major, (unsigned)info->minor);
    add_fact(d, "writers so far", "%" PRIu64, info->incarnation);
    for (const char *const *label = info->labels; label && *label; label++)
        add_fact(d, "label", "%s", *label);
    if (info->flags & VMT_SNAPSHOT_PARTIAL)
        add_fact(d, "partial", "something in the file could not be read; what is shown is right");
}

static void add_source(struct detail *d, const struct sample_set *set, const struct sample_vm *vm, size_t source)
{
    const struct vmt_sample *sample =
        vm->snapshot && source < vmt_snapshot_count(vm->snapshot) ? vmt_snapshot_source(vm->snapshot, source) : NULL;
    char text[UNIT_TEXT];

    line_new(d, DETAIL_HEADING, vm->name);
    if (sample && source) {
        add_fact(d, "source", "%s", sample->id);
        add_fact(d, "age", "%s", unit_format_age(text, sizeof(text), age(sample->created_ns, set->realtime_ns)));
        if (source_state(sample)[0])
            add_fact(d, "state", "%s", source_state(sample));
    } else {
        add_segment(d, vm);
    }
    if (!sample)
        return;
    add_fact(d, "schema", "%s: a %s, counted by %s", sample->schema->name, sample->schema->target,
             sample->schema->provider);
    line_new(d, DETAIL_HEADING, "its own");
    add_statistics(d, sample->schema, sample->flags & VMT_SAMPLE_ABSENT ? NULL : sample->values, vm->delta,
                   vmt_delta_source(vm->delta, source));
    for (uint32_t t = 0; t < sample->total_count; t++) {
        const struct vmt_total *total = &sample->totals[t];
        char title[128];

        snprintf(title, sizeof(title), "all %s below: %" PRIu32 " live, and those that departed", total->schema->name,
                 total->sources);
        line_new(d, DETAIL_HEADING, title);
        add_statistics(d, total->schema, total->flags & VMT_SAMPLE_ABSENT ? NULL : total->values, vm->delta,
                       vmt_delta_total(vm->delta, source, t));
    }
}

int detail_build(struct detail *d, const struct sample_set *set, uint64_t key)
{
    d->count = 0;
    d->failed = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct sample_vm *vm = &set->vms[i];
        size_t count = vm->snapshot ? vmt_snapshot_count(vm->snapshot) : 0;

        for (size_t s = 0; s < (count ? count : 1); s++) {
            if (key_of(vm, count ? vmt_snapshot_source(vm->snapshot, s) : NULL) != key)
                continue;
            add_source(d, set, vm, s);
            return d->failed ? -ENOMEM : 0;
        }
    }
    return -ENOENT;
}

void detail_free(struct detail *d)
{
    free(d->lines);
    memset(d, 0, sizeof(*d));
}
