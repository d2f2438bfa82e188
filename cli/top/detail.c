/* SPDX-License-Identifier: MIT */
#include "cli/top/detail.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/top/detail_build.h"
#include "cli/top/detail_numbers.h"
#include "cli/units.h"
#include "lib/hash.h"
#include "lib/kvm/handle.h"

#define VIEW_SEED (UINT64_C(1) << 40) /* of keys: totals have small ones */
#define LOOKUPS 2000000 /* in the history, for one detail: what is long ago costs one for each beat since */

/* ---- lines ---- */

uint64_t detail_key_of(enum detail_kind kind, const char *name, uint64_t seed)
{
    seed = hash_add(seed ^ HASH_START, name, strlen(name) + 1);
    return hash_add(seed, &kind, sizeof(kind));
}

struct detail_line *detail_lines_new(struct detail *d, size_t count)
{
    if (d->failed)
        return NULL;
    if (d->count + count > d->capacity) {
        size_t capacity = d->capacity ? d->capacity * 2 : 64;
        struct detail_line *more = reallocarray(d->lines, capacity, sizeof(*more));

        if (!more) {
            d->failed = 1;
            return NULL;
        }
        d->lines = more;
        d->capacity = capacity;
    }
    memset(&d->lines[d->count], 0, count * sizeof(d->lines[0]));
    return &d->lines[d->count];
}

static void add_heading(struct detail *d, uint64_t seed, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add_heading(struct detail *d, uint64_t seed, const char *format, ...)
{
    struct detail_line *line = detail_lines_new(d, 1);
    va_list ap;

    if (!line)
        return;
    va_start(ap, format);
    vsnprintf(line->name, sizeof(line->name), format, ap);
    va_end(ap);
    line->kind = DETAIL_HEADING;
    line->key = detail_key_of(DETAIL_HEADING, "", seed); /* not by its words: they have numbers in them */
    d->count++;
}

/* ---- statistics ---- */

/* What is hidden is counted. */
static int is_shown(const struct build *b, const struct detail_part *part, const struct vmt_descriptor *d)
{
    const struct detail_options *o = b->options;

    if (o->filter ? filter_matches(o->filter, d->name)
                  : d->level <= o->level && !(o->hide_zero && part_is_zero(part, d)))
        return 1;
    b->detail->hidden++;
    b->detail->hidden_level += !o->filter && !(o->hide_zero && part_is_zero(part, d));
    return 0;
}

static void add_statistic(const struct build *b, const struct detail_part *part,
                          const struct vmt_descriptor *descriptor, uint64_t seed)
{
    struct detail *d = b->detail;
    size_t below = histogram_is(descriptor) && !part_is_zero(part, descriptor) ? HISTOGRAM_QUANTILES : 0;
    struct detail_line *lines = detail_lines_new(d, 1 + below);

    if (!lines)
        return;
    for (size_t i = 0; i <= below; i++) {
        lines[i].kind = i ? DETAIL_QUANTILE : DETAIL_STATISTIC;
        lines[i].schema = part->now.schema;
        lines[i].d = descriptor;
        lines[i].whose = part->whose;
        lines[i].part = part->part;
        snprintf(lines[i].name, sizeof(lines[i].name), "%s", i ? histogram_quantile_names[i - 1] : descriptor->name);
        lines[i].quantile = i ? (int)i - 1 : 0;
        /* With the slot: what others write may have a name twice. */
        lines[i].key = detail_key_of(lines[i].kind, descriptor->name, seed + ((uint64_t)i << 32) + descriptor->slot);
    }
    if (histogram_is(descriptor))
        part_histogram(part, lines, histogram_quantiles, below, d->counts);
    else
        part_statistic(part, lines);
    d->statistics++;
    d->count += 1 + below;
}

/* What could be said of it is behind its heading; nothing to say takes the heading away again. seed: of its keys. */
static void add_statistics(const struct build *b, const struct detail_part *part, uint64_t seed)
{
    struct detail *d = b->detail;
    size_t heading = d->count - 1;

    for (uint32_t i = 0; i < part->now.schema->count && !d->failed; i++) {
        const struct vmt_descriptor *descriptor = &part->now.schema->descriptors[i];

        if (!is_shown(b, part, descriptor))
            continue;
        if (d->count + 1 + HISTOGRAM_QUANTILES > DETAIL_LINES_MAX)
            d->cut++;
        else
            add_statistic(b, part, descriptor, seed);
    }
    if (d->count == heading + 1)
        d->count = heading;
}

static const uint64_t *unless_absent(const uint64_t *values, uint32_t flags)
{
    return flags & VMT_SAMPLE_ABSENT ? NULL : values;
}

/* Numbers of this part; what it has in snapshots is left to be filled in. */
static struct detail_part part_of(struct build *b, enum detail_whose whose, uint32_t part)
{
    const struct detail *d = b->detail;

    return (struct detail_part){ .history = b->history,
                                 .track = d->track,
                                 .beat = d->beat,
                                 .newest = b->newest,
                                 .whose = whose,
                                 .part = part,
                                 .there = b->there,
                                 .other = b->sample->created_ns > history_beat(b->history, d->beat)->realtime_ns,
                                 .seconds = d->vm->delta ? vmt_delta_seconds(d->vm->delta) : 0,
                                 .lookups = &b->lookups };
}

static void set_change(struct detail_part *part, const struct vmt_change *change)
{
    if (change && !(change->flags & VMT_CHANGE_RESET))
        part->change = change->values;
}

/* Its own, or the shard's. */
static void add_own(struct build *b)
{
    const struct vmt_sample *sample = b->sample;
    const struct vmt_sample *marked = b->marked;
    const struct vmt_delta *delta = b->detail->vm->delta;
    struct detail_part part = part_of(b, DETAIL_OWN, 0);
    size_t k = b->shard ? (size_t)(b->shard - sample->shards) : 0;

    part.now = (struct part_values){ sample->schema, unless_absent(sample->values, sample->flags) };
    if (marked)
        part.marked = (struct part_values){ marked->schema, unless_absent(marked->values, marked->flags) };
    if (b->shard) {
        const struct vmt_shard_sample *was = b->before ? part_same_shard(sample, (uint32_t)k, b->before) : NULL;
        const struct vmt_shard_sample *then = marked ? part_same_shard(sample, (uint32_t)k, marked) : NULL;

        part.now.values = b->shard->values;
        part.marked.values = then ? then->values : NULL;
        if (was && b->before->schema->slots == sample->schema->slots)
            part.before = (struct part_values){ b->before->schema, was->values };
    } else if (delta) {
        set_change(&part, vmt_delta_source(delta, b->detail->source));
    }
    add_heading(b->detail, 0, b->shard ? "this shard's part" : "its own");
    add_statistics(b, &part, detail_key_of(DETAIL_STATISTIC, sample->schema->name, 0));
}

/* ---- what other providers count of it ---- */

/* A handle stands there where nobody could follow it to what the kernel counts (vmt_kvm_add()). */
static const char *view_text(const struct vmt_schema *schema)
{
    if (kvm_is_handle(schema))
        return KVM_HANDLE_UNREAD;
    return kvm_is_kernels(schema) ? "what the kernel counts of it" : "what another provider counts of it";
}

/* What is below a source stands right behind it. */
static void find_views(struct build *b)
{
    const struct vmt_snapshot *snapshot = b->detail->vm->snapshot;
    const struct vmt_sample *sample;

    for (size_t i = b->detail->source + 1;
         b->view_count < DETAIL_VIEWS && (sample = vmt_snapshot_source(snapshot, i)) != NULL; i++) {
        if (sample->depth <= b->sample->depth)
            return;
        if (track_subject(snapshot, i) == b->detail->source)
            b->views[b->view_count++] = i;
    }
}

/* Total t is the same as the one view that has this schema, which is at *view: then that is its part of the history. */
static int is_view(const struct build *b, uint32_t t, size_t *view)
{
    const struct vmt_total *total = &b->sample->totals[t];

    for (size_t i = 0; i < b->view_count && total->sources == 1; i++) {
        if (vmt_snapshot_source(b->detail->vm->snapshot, b->views[i])->schema == total->schema) {
            *view = b->views[i];
            return 1;
        }
    }
    return 0;
}

static uint32_t part_of_view(const struct build *b, size_t view)
{
    size_t found;

    for (uint32_t t = 0; t < b->sample->total_count; t++) {
        if (is_view(b, t, &found) && found == view)
            return 1 + t;
    }
    return DETAIL_NO_PART;
}

/* View k of the source. */
static void add_view(struct build *b, size_t k)
{
    const struct sample_vm *vm = b->detail->vm;
    const struct vmt_sample *view = vmt_snapshot_source(vm->snapshot, b->views[k]);
    const struct vmt_sample *marked = b->marked ? part_same_source(vm->snapshot, view, vm->mark) : NULL;
    struct detail_part part = part_of(b, DETAIL_VIEW, part_of_view(b, b->views[k]));
    const char *state = track_source_state(view);
    uint64_t seed = detail_key_of(DETAIL_STATISTIC, view->name, VIEW_SEED + k);

    part.now = (struct part_values){ view->schema, unless_absent(view->values, view->flags) };
    if (marked)
        part.marked = (struct part_values){ marked->schema, unless_absent(marked->values, marked->flags) };
    if (vm->delta)
        set_change(&part, vmt_delta_source(vm->delta, b->views[k]));
    add_heading(b->detail, seed, "%s: %s%s%s", view->schema->provider, view_text(view->schema), state[0] ? ", " : "",
                state);
    add_statistics(b, &part, seed);
}

/* ---- of all below ---- */

static int same_schema(const struct vmt_schema *a, const struct vmt_schema *b)
{
    return a == b || (!strcmp(a->name, b->name) && a->slots == b->slots && a->count == b->count);
}

static void add_total(struct build *b, uint32_t t)
{
    const struct vmt_sample *sample = b->sample;
    const struct vmt_total *total = &sample->totals[t];
    const struct vmt_delta *delta = b->detail->vm->delta;
    struct detail_part part = part_of(b, DETAIL_BELOW, 1 + t);
    uint64_t seed = 1;

    part.now = (struct part_values){ total->schema, unless_absent(total->values, total->flags) };
    for (uint32_t i = 0; b->marked && i < b->marked->total_count && !part.marked.schema; i++) {
        const struct vmt_total *was = &b->marked->totals[i];

        if (same_schema(was->schema, total->schema))
            part.marked = (struct part_values){ was->schema, unless_absent(was->values, was->flags) };
    }
    if (delta)
        set_change(&part, vmt_delta_total(delta, b->detail->source, t));
    for (uint32_t i = t + 1; i < sample->total_count; i++) /* two may have one name; new ones come in front */
        seed += !strcmp(sample->totals[i].schema->name, total->schema->name);
    seed = detail_key_of(DETAIL_STATISTIC, total->schema->name, seed);
    if (kvm_is_kernels(total->schema)) /* it forgets those that departed */
        add_heading(b->detail, seed, "kvm: what the kernel counts of all %s below: %" PRIu32 " live",
                    total->schema->name, total->sources);
    else
        add_heading(b->detail, seed, "all %s below: %" PRIu32 " live, and those that departed", total->schema->name,
                    total->sources);
    add_statistics(b, &part, seed);
}

/* Whether anything that departed is in it. */
static int has_departed(const struct vmt_total *total)
{
    for (uint32_t i = 0; i < total->schema->count; i++) {
        const struct vmt_descriptor *d = &total->schema->descriptors[i];

        for (uint32_t k = d->slot; k < d->slot + d->size; k++) {
            if (total->departed[k] && !unit_absent(d, total->departed[k]))
                return 1;
        }
    }
    return 0;
}

/* Those of the VMM, then those of the kernel. What was shown as a view already is left out. */
static void add_totals(struct build *b)
{
    for (int kernel = 0; kernel <= 1; kernel++) {
        for (uint32_t t = 0; t < b->sample->total_count; t++) {
            const struct vmt_total *total = &b->sample->totals[t];
            size_t view;

            if (kvm_is_kernels(total->schema) == kernel && !kvm_is_handle(total->schema) &&
                !(is_view(b, t, &view) && !has_departed(total)))
                add_total(b, t);
        }
    }
}

/* ---- which one ---- */

static const struct sample_vm *find_vm(const struct sample_set *set, uint64_t id)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->vms[i].id == id)
            return &set->vms[i];
    }
    return NULL;
}

/* The source that the facts are of, and the shard, in the newest snapshot. 1, or 0: it is not there. */
static int find_source(struct build *b)
{
    struct detail *d = b->detail;
    const struct vmt_snapshot *snapshot = d->vm->snapshot;
    size_t count = snapshot ? vmt_snapshot_count(snapshot) : 0;
    uint64_t key = b->facts.kind == TRACK_SHARD ? b->facts.parent : b->facts.key;

    if (b->facts.kind == TRACK_VM) {
        b->sample = count ? vmt_snapshot_source(snapshot, 0) : NULL;
        return 1;
    }
    for (d->source = 0; d->source < count && !b->sample; d->source++) {
        if (track_key(d->vm->id, vmt_snapshot_source(snapshot, d->source)) == key)
            b->sample = vmt_snapshot_source(snapshot, d->source);
    }
    if (!b->sample)
        return 0;
    d->source--;
    if (b->facts.kind != TRACK_SHARD)
        return 1;
    for (uint32_t k = 0; k < b->sample->shard_count && !b->shard; k++) {
        if (track_key_of_shard(key, &b->sample->shards[k]) == b->facts.key)
            b->shard = &b->sample->shards[k];
    }
    d->shard = b->shard ? b->shard - b->sample->shards : -1;
    return b->shard != NULL;
}

/* The same source before, and at the mark, if that is not after the beat. */
static void find_same(struct build *b)
{
    const struct sample_vm *vm = b->detail->vm;
    uint64_t at_ns = history_beat(b->history, b->detail->beat)->realtime_ns;

    if (!b->sample)
        return;
    if (vm->before)
        b->before = part_same_source(vm->snapshot, b->sample, vm->before);
    if (vm->mark && (b->detail->newest || vmt_snapshot_segment(vm->mark)->realtime_ns <= at_ns))
        b->marked = part_same_source(vm->snapshot, b->sample, vm->mark);
}

static void set_title(struct build *b)
{
    struct detail *d = b->detail;
    const struct track_facts *f = &b->facts;

    d->title_end = f->kind == TRACK_VM && d->vm ? d->vm->owner : "";
    snprintf(d->title, sizeof(d->title), "%s%s%s%s%s", f->vm, f->kind == TRACK_VM ? "" : "  ", f->id,
             f->kind == TRACK_SHARD ? "  " : "", f->kind == TRACK_SHARD ? f->name : "");
}

/* ---- build ---- */

static void detail_clear(struct detail *d)
{
    d->count = d->statistics = d->hidden = d->hidden_level = d->cut = 0;
    d->failed = 0;
    d->vm = NULL;
    d->source = 0;
    d->shard = -1;
    d->title[0] = '\0';
    d->title_end = "";
}

int detail_build(struct detail *d, const struct sample_set *set, const struct history *history, size_t beat,
                 uint64_t key, const struct detail_options *options)
{
    size_t beats = history_count(history);
    long track = beats ? history_find(history, key) : -1;
    struct build b = { .detail = d, .set = set, .history = history, .options = options, .lookups = LOOKUPS };
    struct track_facts now;

    detail_clear(d);
    if (track < 0)
        return -ENOENT;
    if (!d->counts)
        d->counts = calloc(VMT_SLOTS_MAX, sizeof(*d->counts));
    if (!d->counts)
        return -ENOMEM;
    b.newest = beats - 1;
    d->track = (size_t)track;
    d->beat = beat < b.newest ? beat : b.newest;
    d->newest = d->beat == b.newest;
    b.there = history_facts(history, d->track, d->beat, &b.facts);
    if (history_facts(history, d->track, b.newest, &now)) {
        if (!b.there)
            b.facts = now;
        d->vm = find_vm(set, now.vm_id);
        if (d->vm && !find_source(&b))
            d->vm = NULL;
    }
    if (!b.there && !d->vm)
        return -ENOENT;
    if (d->vm)
        find_same(&b);
    set_title(&b);
    detail_add_facts(&b);
    if (d->vm && b.sample) {
        add_own(&b);
        if (!b.shard) {
            find_views(&b);
            for (size_t i = 0; i < b.view_count; i++)
                add_view(&b, i);
            add_totals(&b);
        }
    }
    return d->failed ? -ENOMEM : 0;
}

double detail_value(const struct detail *d, const struct history *history, const struct detail_line *line, size_t beat)
{
    double sum = 0;

    if (line->kind == DETAIL_QUANTILE) {
        for (uint32_t i = 0; i < line->d->size; i++)
            d->counts[i] = history_slot(history, d->track, beat, line->part, line->d->slot + i);
        return part_estimate(line->d, d->counts, histogram_quantiles[line->quantile]).value;
    }
    for (uint32_t i = 0; i < line->d->size && !isnan(sum); i++)
        sum += history_slot(history, d->track, beat, line->part, line->d->slot + i);
    return sum;
}

void detail_free(struct detail *d)
{
    free(d->lines);
    free(d->counts);
    memset(d, 0, sizeof(*d));
}
