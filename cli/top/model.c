/* SPDX-License-Identifier: MIT */
#include "cli/top/model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/segment.h"

/* ---- keys ---- */

static uint64_t hash(uint64_t seed, const void *data, size_t size) /* FNV-1a */
{
    const unsigned char *p = data;

    for (size_t i = 0; i < size; i++)
        seed = (seed ^ p[i]) * 0x100000001b3U;
    return seed;
}

uint64_t model_key(const struct sample_vm *vm, const struct vmt_sample *sample)
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

const char *model_source_state(const struct vmt_sample *sample)
{
    if (sample->flags & VMT_SAMPLE_ABSENT)
        return "absent";
    if (sample->flags & VMT_SAMPLE_LEAVING)
        return "leaving";
    if (sample->flags & VMT_SAMPLE_TORN)
        return "torn";
    return sample->flags & VMT_SAMPLE_UNCONFIRMED ? "unsure" : "";
}

uint64_t model_age_ns(uint64_t from_ns, uint64_t to_ns)
{
    if (!from_ns)
        return UINT64_MAX;
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

/* Whether something it counts is nowhere to be seen. */
static int lost(const struct sample_vm *vm)
{
    struct segment_losses losses = segment_losses(vm->snapshot);

    return losses.sources || losses.shards;
}

/* What a VM's row says behind its state: the more important of two things. */
static const char *note(const struct sample_vm *vm)
{
    if (vm->error)
        return "";
    if (lost(vm))
        return "dropped";
    return segment_restarts(vmt_snapshot_segment(vm->snapshot)) ? "restarted" : "";
}

static void facts_fill(struct facts *f, const struct sample_set *set, const struct sample_vm *vm, size_t source)
{
    const struct vmt_segment_info *info = vm->snapshot ? vmt_snapshot_segment(vm->snapshot) : NULL;
    const struct vmt_sample *sample =
        vm->snapshot && source < vmt_snapshot_count(vm->snapshot) ? vmt_snapshot_source(vm->snapshot, source) : NULL;
    uint64_t now_ns = info && info->closed_ns ? info->closed_ns : set->realtime_ns;

    f->vm = vm->title;
    f->owner = f->note = "";
    f->source = sample ? sample->id : "";
    f->schema = sample ? sample->schema->name : "";
    if (source == 0) {
        f->name = vm->title;
        f->owner = vm->owner;
        f->state = sample_state(vm);
        f->note = note(vm);
        f->pid = info ? info->pid : 0;
        f->age_ns = info ? model_age_ns(info->created_ns, now_ns) : UINT64_MAX;
    } else {
        f->name = sample->name;
        f->state = model_source_state(sample);
        f->age_ns = model_age_ns(sample->created_ns, now_ns);
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
    row->key = model_key(vm, sample);
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
    if (!vm->error) {
        m->restarted += segment_restarts(vmt_snapshot_segment(vm->snapshot)) > 0;
        m->dropping += (uint32_t)lost(vm);
    }
    if (vm->owner[0]) { /* anybody could make the host look busy */
        m->foreign++;
        return;
    }
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
    m->unreadable = m->foreign = m->restarted = m->dropping = 0;
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
