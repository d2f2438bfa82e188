/* SPDX-License-Identifier: MIT */
/* One scrape: VMs and their sources as rows, kept as they are until they are written. */
#include "metrics.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define CHUNK 64U
#define KEEP_BYTES ((size_t)1 << 20)

int vmt_metrics_new(struct vmt_metrics **ret)
{
    struct vmt_metrics *m = calloc(1, sizeof(*m));

    if (!m)
        return -ENOMEM;
    m->scrape = 1;
    m->text_bytes = METRICS_HEAD_BYTES;
    *ret = m;
    return 0;
}

static void forget_own(struct vmt_metrics *m)
{
    for (size_t i = 0; i < metrics_own_count(m); i++)
        free(metrics_own(m, i)->text);
    vmt_buffer_clear(&m->own);
}

void vmt_metrics_free(struct vmt_metrics *m)
{
    if (!m)
        return;
    forget_own(m);
    vmt_buffer_free(&m->own);
    for (size_t i = 0; i < m->plan_count; i++)
        metrics_plan_free(m->plans[i]);
    free(m->plans);
    metrics_index_free(&m->plan_index);
    metrics_index_free(&m->name_index);
    metrics_index_free(&m->row_index);
    vmt_buffer_free(&m->values);
    vmt_buffer_free(&m->text);
    vmt_buffer_free(&m->masks);
    vmt_buffer_free(&m->rows);
    vmt_buffer_free(&m->vms);
    vmt_buffer_free(&m->names);
    free(m);
}

/* Schemas that no VM has had for some scrapes: those of VMs that come and go would pile up. */
static void forget_plans(struct vmt_metrics *m)
{
    size_t kept = 0;

    for (size_t i = 0; i < m->plan_count; i++) {
        if (m->plans[i]->scrape + METRICS_KEPT_SCRAPES < m->scrape)
            metrics_plan_free(m->plans[i]);
        else
            m->plans[kept++] = m->plans[i];
    }
    if (kept == m->plan_count)
        return;
    m->plan_count = kept;
    metrics_index_clear(&m->plan_index);
    for (size_t i = 0; i < kept; i++)
        (void)metrics_index_add(&m->plan_index, m->plans[i]->hash, (uint32_t)i); /* there was room for more */
}

/* Empty, and without the memory that one large scrape has taken, if this one took much less. */
static void empty(struct vmt_buffer *buffer)
{
    if (buffer->capacity > KEEP_BYTES && buffer->size < buffer->capacity / 8)
        vmt_buffer_free(buffer);
    vmt_buffer_clear(buffer);
}

void vmt_metrics_clear(struct vmt_metrics *m)
{
    m->scrape++;
    m->columns = 0;
    m->slots = 0;
    m->text_bytes = METRICS_HEAD_BYTES;
    m->expected = m->added = 0;
    m->left_out = 0;
    forget_own(m);
    forget_plans(m);
    metrics_index_clear(&m->name_index);
    metrics_index_clear(&m->row_index);
    empty(&m->values);
    empty(&m->text);
    empty(&m->masks);
    empty(&m->rows);
    empty(&m->vms);
    empty(&m->names);
}

/* ---- schemas ---- */

static int make_plan(struct vmt_metrics *m, const struct vmt_schema *schema, uint64_t hash, struct metrics_plan **ret)
{
    int r;

    if (m->plan_count == m->plan_room) {
        struct metrics_plan **plans = realloc(m->plans, (m->plan_room + CHUNK) * sizeof(struct metrics_plan *));

        if (!plans)
            return -ENOMEM;
        m->plans = plans;
        m->plan_room += CHUNK;
    }
    r = metrics_plan_new(schema, hash, ret);
    if (r < 0)
        return r;
    r = metrics_index_add(&m->plan_index, hash, (uint32_t)m->plan_count);
    if (r < 0)
        metrics_plan_free(*ret);
    else
        m->plans[m->plan_count++] = *ret;
    return r;
}

static struct metrics_plan *find_plan(const struct vmt_metrics *m, const struct vmt_schema *schema, uint64_t hash)
{
    size_t place = 0;

    for (uint32_t i; (i = metrics_index_find(&m->plan_index, hash, &place)) != METRICS_NONE;)
        if (metrics_plan_is(m->plans[i], schema))
            return m->plans[i];
    return NULL;
}

/* ---- one VM ---- */

/* A schema of the VM that is being added, by its address, which is good for as long as its snapshot is there. */
struct known {
    const struct vmt_schema *schema;
    struct metrics_plan *plan; /* NULL: there is no room for it */
};

struct adding {
    struct vmt_metrics *m;
    const struct vmt_snapshot *snapshot;
    const struct vmt_choice *choice;
    struct metrics_vm vm;
    struct known known[VMT_SCHEMAS_MAX];
    size_t known_count;
    size_t slots;    /* of all of its schemas */
    size_t slots_to; /* how far it may bring those of all VMs */
    size_t text_to;  /* the same of bytes of lines */
};

static uint8_t wanted(const struct vmt_choice *choice, const struct vmt_schema *schema,
                      const struct metrics_column *column)
{
    const uint32_t parts[] = { column->descriptor, column->count, column->sum };
    uint8_t mask = 0;

    for (int i = 0; i < 3; i++)
        if (parts[i] != METRICS_NONE && choice->statistic(choice->arg, schema, &schema->descriptors[parts[i]]))
            mask |= (uint8_t)(1U << i);
    return mask;
}

/* Which of its statistics are chosen: asked once a scrape, as long as it is the same who chooses. */
static int choose(struct adding *a, struct metrics_plan *plan, const struct vmt_schema *schema)
{
    struct vmt_buffer *masks = &a->m->masks;
    bool all = !a->choice || !a->choice->statistic;

    if (plan->choice_known && plan->chooses == (all ? NULL : a->choice->statistic) &&
        (all || plan->choice_arg == a->choice->arg))
        return 0;
    plan->choice_known = true;
    plan->chooses = all ? NULL : a->choice->statistic;
    plan->choice_arg = all ? NULL : a->choice->arg;
    plan->mask = METRICS_NONE;
    plan->wanted = all && plan->column_count > 0;
    if (!all) {
        if (masks->size > METRICS_NONE - VMT_DESCRIPTORS_MAX || vmt_buffer_reserve(masks, plan->column_count) < 0)
            return -ENOMEM;
        plan->mask = (uint32_t)masks->size;
        masks->size += plan->column_count;
    }
    for (uint32_t i = 0; i < plan->column_count; i++) {
        uint8_t mask = all ? METRICS_WANT_VALUE | METRICS_WANT_COUNT | METRICS_WANT_SUM
                           : wanted(a->choice, schema, &plan->columns[i]);

        plan->columns[i].seen |= mask;
        plan->wanted |= mask != 0;
        if (!all)
            masks->data[plan->mask + i] = (char)mask;
    }
    return 0;
}

static void begin_scrape(struct vmt_metrics *m, struct metrics_plan *plan)
{
    plan->scrape = m->scrape;
    plan->first_row = plan->last_row = METRICS_NONE;
    plan->choice_known = false;
    for (uint32_t i = 0; i < plan->column_count; i++)
        plan->columns[i].seen = 0;
    m->columns += plan->column_count;
    m->slots += plan->schema.slots;
    m->text_bytes += plan->head_bytes;
}

/* What a VM may have of them, and all VMs. plan NULL: it is not made yet. */
static bool has_room(const struct adding *a, const struct vmt_schema *schema, const struct metrics_plan *plan)
{
    const struct vmt_metrics *m = a->m;

    if (schema->slots > METRICS_VM_SLOTS - a->slots)
        return false;
    if (plan && plan->scrape == m->scrape)
        return true;
    if (schema->slots > a->slots_to - m->slots)
        return false;
    return !plan || plan->head_bytes <= a->text_to - m->text_bytes;
}

/* *ret NULL: there is no room for it. */
static int choose_plan(struct adding *a, const struct vmt_schema *schema, struct metrics_plan **ret)
{
    struct vmt_metrics *m = a->m;
    uint64_t hash = metrics_schema_hash(schema);
    struct metrics_plan *plan = find_plan(m, schema, hash);
    int r = 0;

    *ret = NULL;
    if (!has_room(a, schema, plan))
        return 0;
    if (!plan)
        r = make_plan(m, schema, hash, &plan);
    if (r < 0 || !has_room(a, schema, plan))
        return r;
    a->slots += schema->slots;
    if (plan->scrape != m->scrape)
        begin_scrape(m, plan);
    *ret = plan;
    return choose(a, plan, schema);
}

static int plan_of(struct adding *a, const struct vmt_schema *schema, struct metrics_plan **ret)
{
    int r = 0;

    for (size_t i = a->known_count; i-- > 0;) {
        if (a->known[i].schema == schema) {
            *ret = a->known[i].plan;
            return 0;
        }
    }
    *ret = NULL;
    if (a->known_count < VMT_SCHEMAS_MAX)
        r = choose_plan(a, schema, ret);
    if (a->known_count < VMT_SCHEMAS_MAX)
        a->known[a->known_count++] = (struct known){ schema, *ret };
    return r;
}

/* Append the row, whose labels are there. */
static int put_row(struct vmt_metrics *m, struct metrics_plan *plan, struct metrics_row *row, const uint64_t *values)
{
    uint32_t number = (uint32_t)metrics_row_count(m);
    int r = vmt_buffer_reserve(&m->rows, sizeof(*row));

    row->values = m->values.size / sizeof(*values);
    row->next = METRICS_NONE;
    row->mask = plan->mask;
    if (r == 0)
        r = vmt_buffer_append(&m->values, values, plan->schema.slots * sizeof(*values));
    if (r == 0)
        r = metrics_index_add(&m->row_index, metrics_labels_hash(m, row), number);
    if (r < 0)
        return r;
    (void)vmt_buffer_append(&m->rows, row, sizeof(*row));
    if (plan->last_row == METRICS_NONE)
        plan->first_row = number;
    else
        metrics_row(m, plan->last_row)->next = number;
    plan->last_row = number;
    return 0;
}

static int add_source(struct adding *a, size_t i)
{
    const struct vmt_sample *sample = vmt_snapshot_source(a->snapshot, i);
    struct vmt_metrics *m = a->m;
    size_t text_before = m->text.size, bytes;
    struct metrics_plan *plan;
    struct metrics_row row;
    int r = plan_of(a, sample->schema, &plan);

    if (r < 0)
        return r;
    if (!plan) {
        m->left_out++;
        return 0;
    }
    if (!plan->wanted)
        return 0;
    row.plan = plan;
    r = metrics_put_source(m, a->snapshot, i, &a->vm, &row);
    if (r < 0)
        return r;
    bytes = plan->line_bytes + plan->lines * row.labels_size;
    if (r > 0 || bytes > a->text_to - m->text_bytes) {
        m->text.size = text_before;
        m->left_out++;
        return 0;
    }
    m->text_bytes += bytes;
    return put_row(m, plan, &row, sample->values);
}

/* What is leaving comes last: an id that was added again is the new one's. */
static int add_sources(struct adding *a)
{
    size_t count = vmt_snapshot_count(a->snapshot), leaving = 0;
    int r = 0;

    for (int last = 0; last <= (leaving != 0); last++) {
        for (size_t i = 0; i < count && r == 0; i++) {
            uint32_t flags = vmt_snapshot_source(a->snapshot, i)->flags;

            leaving += !last && flags & VMT_SAMPLE_LEAVING;
            if ((flags & VMT_SAMPLE_LEAVING) != (last ? VMT_SAMPLE_LEAVING : 0) || flags & VMT_SAMPLE_ABSENT)
                continue;
            if (!a->choice || !a->choice->source || a->choice->source(a->choice->arg, a->snapshot, i))
                r = add_source(a, i);
        }
    }
    return r;
}

/* What is said of the VM itself: a line for each state, and some more. */
static size_t vm_bytes(const struct metrics_vm *vm)
{
    return (VMT_STATE_COUNT + 4) * (vm->name_size + 96) + vm->info_size + 32;
}

/* 1: there is no room for it. */
static int add_vm(struct adding *a, const char *name)
{
    const struct vmt_segment_info *info = vmt_snapshot_segment(a->snapshot);
    struct vmt_metrics *m = a->m;
    struct metrics_vm *vm = &a->vm;
    int r;

    vm->state = info->state;
    vm->running = info->state == VMT_STATE_LIVE || info->state == VMT_STATE_STALLED;
    vm->partial = info->flags & VMT_SNAPSHOT_PARTIAL;
    vm->created_ns = info->created_ns;
    r = metrics_put_vm(m, name ? name : info->name ? info->name : "", vm);
    if (r == 0)
        r = metrics_put_info(m, info, vm);
    if (r == 0 && vm_bytes(vm) > a->text_to - m->text_bytes)
        return 1;
    if (r == 0)
        r = vmt_buffer_append(&m->vms, vm, sizeof(*vm));
    if (r == 0)
        m->text_bytes += vm_bytes(vm);
    return r;
}

void vmt_metrics_expect(struct vmt_metrics *m, size_t vms) { m->expected = vms; }

/* How far the next VM may bring what all may have, of which used is used. Half of it is shared out among those that are
 * expected; the other half is for whoever needs more, in the order in which they come. */
static size_t may_reach(const struct vmt_metrics *m, size_t all, size_t of_vm, size_t used)
{
    size_t others = m->expected > m->added + 1 ? m->expected - m->added - 1 : 0;
    size_t kept = others ? all / 2 / m->expected * others : 0;
    size_t to = all - kept < used + of_vm ? all - kept : used + of_vm;

    return to > used ? to : used;
}

int vmt_metrics_add(struct vmt_metrics *m, const struct vmt_snapshot *snapshot, const char *name,
                    const struct vmt_choice *choice)
{
    struct adding adding;
    int r;

    adding.m = m;
    adding.snapshot = snapshot;
    adding.choice = choice;
    adding.known_count = adding.slots = 0;
    adding.slots_to = may_reach(m, METRICS_SLOTS, METRICS_VM_SLOTS, m->slots);
    adding.text_to = may_reach(m, METRICS_TEXT, METRICS_VM_TEXT, m->text_bytes);
    m->added++;
    r = add_vm(&adding, name);
    if (r > 0)
        m->left_out += vmt_snapshot_count(snapshot);
    if (r == 0 && adding.vm.running)
        r = add_sources(&adding);
    return r < 0 ? r : 0;
}

/* ---- the exporter's own ---- */

static bool is_same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* A copy of *text, in memory that *at moves on in. */
static void keep(const char **text, char **at)
{
    if (!*text)
        return;
    *text = strcpy(*at, *text);
    *at += strlen(*text) + 1;
}

static size_t size_of(const char *text) { return text ? strlen(text) + 1 : 0; }

int vmt_metrics_add_own(struct vmt_metrics *m, const struct vmt_metric *metric)
{
    struct metrics_own own = { .metric = *metric };
    char *at;
    int r;

    if (!isfinite(metric->value))
        return -EINVAL;
    for (size_t i = 0; i < metrics_own_count(m); i++) {
        struct vmt_metric *other = &metrics_own(m, i)->metric;

        if (is_same(other->name, metric->name) && is_same(other->label_value, metric->label_value)) {
            other->value = metric->value;
            return 0;
        }
    }
    own.text = at = malloc(size_of(metric->name) + size_of(metric->unit) + size_of(metric->help) +
                           size_of(metric->label) + size_of(metric->label_value) + 1);
    if (!at)
        return -ENOMEM;
    keep(&own.metric.name, &at);
    keep(&own.metric.unit, &at);
    keep(&own.metric.help, &at);
    keep(&own.metric.label, &at);
    keep(&own.metric.label_value, &at);
    r = vmt_buffer_append(&m->own, &own, sizeof(own));
    if (r < 0)
        free(own.text);
    return r;
}
