/* SPDX-License-Identifier: MIT */
#include "cli/top/detail.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "cli/segment.h"
#include "cli/top/columns.h"
#include "cli/top/detail_numbers.h"
#include "cli/top/hash.h"

#define LOOKUPS 2000000 /* in the history, for one detail: what is long ago costs one for each beat since */

/* What all steps of one build share. */
struct build {
    struct detail *detail;
    const struct sample_set *set;
    const struct history *history;
    const struct detail_options *options;
    struct track_facts facts;             /* at the beat */
    int there;                            /* it was, at the beat */
    size_t newest;                        /* beat */
    const struct vmt_sample *sample;      /* of the source, NULL: there is none */
    const struct vmt_sample *before;      /* the same at the beat before; NULL: not known */
    const struct vmt_sample *marked;      /* at the mark */
    const struct vmt_shard_sample *shard; /* NULL: the detail is of the source itself */
    size_t lookups;
};

/* ---- lines ---- */

static uint64_t key_of(enum detail_kind kind, const char *name, uint64_t seed)
{
    seed = hash_add(seed ^ HASH_START, name, strlen(name) + 1);
    return hash_add(seed, &kind, sizeof(kind));
}

/* Room for count more lines, all 0; NULL without memory, which the detail then remembers. They are not counted yet. */
static struct detail_line *lines_new(struct detail *d, size_t count)
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
    struct detail_line *line = lines_new(d, 1);
    va_list ap;

    if (!line)
        return;
    va_start(ap, format);
    vsnprintf(line->name, sizeof(line->name), format, ap);
    va_end(ap);
    line->kind = DETAIL_HEADING;
    line->key = key_of(DETAIL_HEADING, "", seed); /* not by its words: they have numbers in them */
    d->count++;
}

static void add_fact(const struct build *b, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void add_fact(const struct build *b, const char *name, const char *format, ...)
{
    struct detail *d = b->detail;
    struct detail_line *line;
    uint64_t seed = 0;
    va_list ap;

    if (b->options->filter && !filter_matches(b->options->filter, name))
        return;
    line = lines_new(d, 1);
    if (!line)
        return;
    if (d->count && !strcmp(line[-1].name, name)) /* labels */
        seed = line[-1].key;
    line->kind = DETAIL_FACT;
    line->key = key_of(DETAIL_FACT, name, seed);
    snprintf(line->name, sizeof(line->name), "%s", name);
    va_start(ap, format);
    vsnprintf(line->value, sizeof(line->value), format, ap);
    va_end(ap);
    d->count++;
}

/* ---- facts ---- */

static void add_age(const struct build *b)
{
    char text[UNIT_TEXT];

    if (b->there && b->facts.age_ns != UINT64_MAX)
        add_fact(b, "age", "%s", unit_format_age(text, sizeof(text), b->facts.age_ns));
}

static void add_segment(const struct build *b, const struct sample_vm *vm)
{
    const struct vmt_segment_info *info = vm->snapshot ? vmt_snapshot_segment(vm->snapshot) : NULL;
    const struct segment_losses lost = info ? segment_losses(vm->snapshot) : (struct segment_losses){ 0, 0, 0 };
    char losses[SEGMENT_LOSSES];
    char reason[256];

    add_fact(b, "file", "%s", vm->path);
    if (vm->error)
        add_fact(b, "reason", "%s", message_reason(vm->error, reason, sizeof(reason)));
    if (vm->owner[0] && info)
        add_fact(b, "owner", "uid %" PRIu32 ", nobody to trust: this may pose as any VM", info->uid);
    if (!info || !info->created_ns) /* what is not known need not be true */
        return;
    add_fact(b, "pid", "%" PRIu32, info->pid);
    add_age(b);
    add_fact(b, "format", "%u.%u", (unsigned)info->major, (unsigned)info->minor);
    add_fact(b, "writers so far", "%" PRIu64, info->incarnation);
    if (segment_losses_text(losses, sizeof(losses), &lost)[0])
        add_fact(b, "dropped", "%s: see dropped_sources, dropped_shards and shards_torn below", losses);
    for (const char *const *label = info->labels; label && *label; label++)
        add_fact(b, "label", "%s", *label);
    if (info->flags & VMT_SNAPSHOT_PARTIAL)
        add_fact(b, "partial", "something in the file could not be read; what is shown is right");
}

static void add_shard(const struct build *b)
{
    const struct vmt_shard_sample *shard = b->shard;

    if (shard->held == 2)
        add_fact(b, "thread", "all that count into the shared shard");
    else if (shard->held && shard->owner)
        add_fact(b, "thread", "%" PRIu32 ", in the VMM's PID namespace", shard->owner);
    else
        add_fact(b, "thread", shard->held ? "not known" : "none at the moment: the next one goes on with it");
}

/* What the overview has of it: where there is nothing better. */
static void add_measures(const struct build *b)
{
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        char text[CELL_TEXT];

        if (!kvmtop_columns[c].measure || !kvmtop_columns[c].show)
            continue;
        kvmtop_columns[c].show(text, &b->facts);
        if (text[0])
            add_fact(b, kvmtop_columns[c].title, "%s", text);
    }
}

static void add_facts(const struct build *b)
{
    const struct detail *d = b->detail;
    const struct track_facts *f = &b->facts;

    add_fact(b, "VM", "%s", f->vm);
    if (f->kind != TRACK_VM)
        add_fact(b, "source", "%s", f->id);
    if (!b->there)
        add_fact(b, "state", "it was not there at that time");
    else if (f->state[0])
        add_fact(b, "state", "%s%s%s", f->state, f->note[0] ? ", " : "", f->note);
    if (!d->vm) {
        add_age(b);
        add_fact(b, "now", "it is not there any more; of what it counted only this is kept");
        add_measures(b);
        return;
    }
    if (f->kind == TRACK_VM)
        add_segment(b, d->vm);
    else if (b->shard)
        add_shard(b);
    else
        add_age(b);
    if (b->sample)
        add_fact(b, "schema", "%s: a %s, counted by %s", b->sample->schema->name, b->sample->schema->target,
                 b->sample->schema->provider);
    if (b->shard && !d->newest && b->there)
        add_measures(b);
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
    struct detail_line *lines = lines_new(d, 1 + below);

    if (!lines)
        return;
    for (size_t i = 0; i <= below; i++) {
        lines[i].kind = i ? DETAIL_QUANTILE : DETAIL_STATISTIC;
        lines[i].schema = part->now.schema;
        lines[i].d = descriptor;
        lines[i].part = part->part;
        snprintf(lines[i].name, sizeof(lines[i].name), "%s", i ? histogram_quantile_names[i - 1] : descriptor->name);
        lines[i].quantile = i ? (int)i - 1 : 0;
        /* With the slot: what others write may have a name twice. */
        lines[i].key = key_of(lines[i].kind, descriptor->name, seed + ((uint64_t)i << 32) + descriptor->slot);
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
static struct detail_part part_of(struct build *b, uint32_t part)
{
    const struct detail *d = b->detail;

    return (struct detail_part){ .history = b->history,
                                 .track = d->track,
                                 .beat = d->beat,
                                 .newest = b->newest,
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
    struct detail_part part = part_of(b, 0);
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
    add_statistics(b, &part, key_of(DETAIL_STATISTIC, sample->schema->name, 0));
}

static int same_schema(const struct vmt_schema *a, const struct vmt_schema *b)
{
    return a == b || (!strcmp(a->name, b->name) && a->slots == b->slots && a->count == b->count);
}

static void add_total(struct build *b, uint32_t t)
{
    const struct vmt_sample *sample = b->sample;
    const struct vmt_total *total = &sample->totals[t];
    const struct vmt_delta *delta = b->detail->vm->delta;
    struct detail_part part = part_of(b, 1 + t);
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
    seed = key_of(DETAIL_STATISTIC, total->schema->name, seed);
    add_heading(b->detail, seed, "all %s below: %" PRIu32 " live, and those that departed", total->schema->name,
                total->sources);
    add_statistics(b, &part, seed);
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
    add_facts(&b);
    if (d->vm && b.sample) {
        add_own(&b);
        for (uint32_t t = 0; t < b.sample->total_count && !b.shard; t++)
            add_total(&b, t);
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
