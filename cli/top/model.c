/* SPDX-License-Identifier: MIT */
#include "cli/top/model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY UINT32_MAX

/* ---- names ---- */

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

/* ---- sets of keys ---- */

static size_t keys_at(const struct keys *k, uint64_t key)
{
    size_t low = 0;
    size_t high = k->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (k->keys[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int keys_has(const struct keys *k, uint64_t key)
{
    size_t at = keys_at(k, key);

    return at < k->count && k->keys[at] == key;
}

int keys_set(struct keys *k, uint64_t key, int in)
{
    size_t at = keys_at(k, key);

    if (keys_has(k, key) == (in != 0))
        return 0;
    if (!in) {
        k->count--;
        memmove(&k->keys[at], &k->keys[at + 1], (k->count - at) * sizeof(*k->keys));
        return 0;
    }
    if (k->count == k->capacity) {
        size_t capacity = k->capacity ? k->capacity * 2 : 16;
        uint64_t *more = reallocarray(k->keys, capacity, sizeof(*more));

        if (!more)
            return -ENOMEM;
        k->keys = more;
        k->capacity = capacity;
    }
    memmove(&k->keys[at + 1], &k->keys[at], (k->count - at) * sizeof(*k->keys));
    k->keys[at] = key;
    k->count++;
    return 0;
}

void keys_free(struct keys *k)
{
    free(k->keys);
    memset(k, 0, sizeof(*k));
}

/* ---- the tree ---- */

/* One track that is there at the beat. */
struct node {
    uint64_t key;
    const char *name;
    double value; /* to sort by; NAN: none */
    uint32_t track;
    uint32_t parent; /* node, NOBODY of a VM */
    uint32_t child;  /* the first one, in order; NOBODY: none */
    uint32_t next;   /* sibling */
    uint8_t kind;
    uint8_t matched; /* itself */
    uint8_t wanted;  /* it or something below it matches */
};

/* Memory of a build that the next one uses again. */
struct model_scratch {
    struct node *nodes;
    size_t capacity;
    uint32_t *order;
    uint32_t *places; /* node + 1 by track number */
};

struct build {
    struct model *model;
    const struct history *history;
    const struct model_options *options;
    struct node *nodes;
    uint32_t count;
};

static int reserve(struct model *m, const struct history *history)
{
    struct model_scratch *s = m->scratch ? m->scratch : calloc(1, sizeof(*s));
    size_t tracks = history_tracks(history);

    if (!s)
        return -ENOMEM;
    m->scratch = s;
    if (tracks > s->capacity) {
        size_t capacity = tracks + tracks / 8 + 16;
        struct node *nodes = reallocarray(s->nodes, capacity, sizeof(*nodes));
        uint32_t *order = nodes ? reallocarray(s->order, capacity, sizeof(*order)) : NULL;
        uint32_t *places = order ? reallocarray(s->places, capacity, sizeof(*places)) : NULL;

        s->nodes = nodes ? nodes : s->nodes;
        s->order = order ? order : s->order;
        s->places = places ? places : s->places;
        if (!places)
            return -ENOMEM;
        s->capacity = capacity;
    }
    return 0;
}

static void add_to(double *sum, double value)
{
    if (isfinite(value))
        *sum = isnan(*sum) ? value : *sum + value;
}

static void count_vm(struct model *m, const struct track_facts *f)
{
    m->vms++;
    if (f->unreadable)
        m->unreadable++;
    else if ((unsigned)f->verdict < VMT_STATE_COUNT)
        m->states[f->verdict]++;
    m->restarted += (uint32_t)f->restarted;
    m->dropping += (uint32_t)f->dropping;
    if (f->foreign) { /* anybody could make the host look busy */
        m->foreign++;
        return;
    }
    add_to(&m->total.exits, f->measures.exits);
    add_to(&m->total.run, f->measures.run);
    add_to(&m->total.bytes, f->measures.bytes);
    add_to(&m->total.ops, f->measures.ops);
    m->total.vcpus += f->measures.vcpus;
}

/* All that is there, whatever is shown of it. */
static void find_nodes(struct build *b)
{
    const struct column *sort = &kvmtop_columns[b->options->sort];
    struct model_scratch *s = b->model->scratch;
    struct track_facts f;

    for (uint32_t t = 0; t < history_tracks(b->history); t++) {
        struct node *n = &b->nodes[b->count];

        s->places[t] = 0;
        if (!history_facts(b->history, t, b->options->beat, &f))
            continue;
        if (f.kind == TRACK_VM)
            count_vm(b->model, &f);
        if (f.kind == TRACK_SHARD && !(b->options->opened && keys_has(b->options->opened, f.parent)))
            continue;
        s->places[t] = ++b->count;
        *n = (struct node){ .key = f.key,
                            .name = f.name,
                            .value = sort->value ? sort->value(&f) : NAN,
                            .track = t,
                            .parent = NOBODY,
                            .child = NOBODY,
                            .next = NOBODY,
                            .kind = (uint8_t)f.kind };
        n->matched = (uint8_t)(filter_matches(b->options->filter, f.name) ||
                               (f.kind == TRACK_SOURCE && filter_matches(b->options->filter, f.id)));
        n->wanted = n->matched;
    }
}

/* Those of siblings that come from tracks whose parent is not there (a damaged segment) hang below their VM. */
static void find_parents(struct build *b)
{
    const struct model_scratch *s = b->model->scratch;
    struct track_facts f;

    for (uint32_t i = 0; i < b->count; i++) {
        struct node *n = &b->nodes[i];
        long at;

        if (n->kind == TRACK_VM)
            continue;
        history_facts(b->history, n->track, b->options->beat, &f);
        at = history_find(b->history, f.parent);
        if (at < 0 || !s->places[at])
            at = history_find(b->history, track_key(f.vm_id, NULL));
        if (at >= 0 && s->places[at] && s->places[at] - 1 != i)
            n->parent = s->places[at] - 1;
    }
}

/* qsort_r's context is not portable between libcs; one sort at a time is all that there is. */
static _Thread_local const struct build *sorted;

static int compare_text(const struct node *x, const struct node *y)
{
    const struct column *column = &kvmtop_columns[sorted->options->sort];
    char a[CELL_TEXT], b[CELL_TEXT];
    struct track_facts f;

    if (column->value || !column->write || sorted->options->sort == COLUMN_NAME)
        return 0;
    history_facts(sorted->history, x->track, sorted->options->beat, &f);
    column->write(a, &f);
    history_facts(sorted->history, y->track, sorted->options->beat, &f);
    column->write(b, &f);
    if (!a[0] != !b[0])
        return a[0] ? -1 : 1; /* what has none is last, whichever way */
    return sorted->options->inverted ? model_compare_names(b, a) : model_compare_names(a, b);
}

static int compare_values(const struct node *x, const struct node *y)
{
    if (isnan(x->value) || isnan(y->value))
        return isnan(x->value) - isnan(y->value);
    if (x->value > y->value || x->value < y->value)
        return (x->value > y->value) == !sorted->options->inverted ? -1 : 1;
    return 0;
}

static int compare_nodes(const void *a, const void *b)
{
    const struct node *x = &sorted->nodes[*(const uint32_t *)a];
    const struct node *y = &sorted->nodes[*(const uint32_t *)b];
    int c;

    if (x->parent != y->parent)
        return x->parent < y->parent ? -1 : 1;
    c = compare_values(x, y);
    if (!c)
        c = compare_text(x, y);
    if (!c && (x->kind == TRACK_SHARD) != (y->kind == TRACK_SHARD))
        c = x->kind == TRACK_SHARD ? -1 : 1; /* its own shards, then what is below it */
    if (!c) {
        c = model_compare_names(x->name, y->name);
        c = sorted->options->sort == COLUMN_NAME && sorted->options->inverted ? -c : c;
    }
    return c ? c : (x->track > y->track) - (x->track < y->track);
}

/* Returns the first VM. */
static uint32_t link_nodes(struct build *b)
{
    uint32_t *order = b->model->scratch->order;
    uint32_t first = NOBODY;

    for (uint32_t i = 0; i < b->count; i++)
        order[i] = i;
    sorted = b;
    if (b->count > 1)
        qsort(order, b->count, sizeof(*order), compare_nodes);
    for (uint32_t i = b->count; i-- > 0;) {
        struct node *n = &b->nodes[order[i]];
        uint32_t *list = n->parent == NOBODY ? &first : &b->nodes[n->parent].child;

        if (n->parent == NOBODY && n->kind != TRACK_VM)
            continue;
        n->next = *list;
        *list = order[i];
    }
    return first;
}

/* What is above something wanted is wanted. Depth is bounded, as the snapshot's is. */
static void want_parents(struct build *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t at = b->nodes[i].matched ? b->nodes[i].parent : NOBODY;

        for (uint32_t depth = 0; at != NOBODY && !b->nodes[at].wanted && depth <= VMT_DEPTH_MAX + 2; depth++) {
            b->nodes[at].wanted = 1;
            at = b->nodes[at].parent;
        }
    }
}

/* ---- rows ---- */

static struct model_row *row_new(struct model *m)
{
    if (m->count == m->capacity) {
        size_t capacity = m->capacity + m->capacity / 4 + 64;
        struct model_row *more = reallocarray(m->rows, capacity, sizeof(*more));

        if (!more)
            return NULL;
        m->rows = more;
        m->capacity = capacity;
    }
    return &m->rows[m->count++];
}

static int folded(const struct build *b, const struct node *n)
{
    return n->child != NOBODY && b->options->folded && keys_has(b->options->folded, n->key);
}

/* How many rows there would be without the filter. */
static size_t count_rows(const struct build *b, uint32_t at, uint32_t depth)
{
    size_t count = 0;

    for (; at != NOBODY; at = b->nodes[at].next) {
        count++;
        if (!folded(b, &b->nodes[at]) && depth <= VMT_DEPTH_MAX)
            count += count_rows(b, b->nodes[at].child, depth + 1);
    }
    return count;
}

/* The next one from at on that is shown. */
static uint32_t next_shown(const struct build *b, uint32_t at, int all)
{
    while (at != NOBODY && !all && !b->nodes[at].wanted)
        at = b->nodes[at].next;
    return at;
}

/* The rows of siblings and of what is below them. all: something above matches. */
static int add_rows(struct build *b, uint32_t at, uint32_t depth, uint32_t below, int all)
{
    for (at = next_shown(b, at, all); at != NOBODY;) {
        const struct node *n = &b->nodes[at];
        uint32_t next = next_shown(b, n->next, all);
        uint32_t mine = depth && next != NOBODY ? below | 1U << depth : below;
        struct model_row *row = row_new(b->model);

        if (!row)
            return -ENOMEM;
        row->track = n->track;
        row->depth = depth;
        row->below = mine;
        row->children = 0;
        for (uint32_t c = n->child; c != NOBODY; c = b->nodes[c].next)
            row->children++;
        row->folded = folded(b, n);
        row->matched = n->matched;
        history_facts(b->history, n->track, b->options->beat, &row->facts);
        if (!row->folded && depth <= VMT_DEPTH_MAX) {
            int r = add_rows(b, n->child, depth + 1, mine, all || n->matched);

            if (r < 0)
                return r;
        }
        at = next;
    }
    return 0;
}

int model_build(struct model *m, const struct history *history, const struct model_options *options)
{
    struct build b = { .model = m, .history = history, .options = options };
    uint32_t first;
    int r;

    m->history = history;
    m->beat = options->beat;
    m->count = m->hidden = 0;
    m->vms = m->unreadable = m->foreign = m->restarted = m->dropping = 0;
    memset(m->states, 0, sizeof(m->states));
    measures_none(&m->total);
    if (!history || options->beat >= history_count(history))
        return 0;
    r = reserve(m, history);
    if (r < 0)
        return r;
    b.nodes = m->scratch->nodes;
    find_nodes(&b);
    find_parents(&b);
    first = link_nodes(&b);
    if (options->filter)
        want_parents(&b);
    r = add_rows(&b, first, 0, 0, 0);
    if (r == 0 && options->filter)
        m->hidden = count_rows(&b, first, 0) - m->count;
    return r;
}

void model_free(struct model *m)
{
    if (m->scratch) {
        free(m->scratch->nodes);
        free(m->scratch->order);
        free(m->scratch->places);
    }
    free(m->scratch);
    free(m->rows);
    memset(m, 0, sizeof(*m));
}

long model_find(const struct model *m, uint64_t key)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->rows[i].facts.key == key)
            return (long)i;
    }
    return -1;
}
