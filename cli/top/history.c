/* SPDX-License-Identifier: MIT */
#include "cli/top/history.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "cli/top/packed.h"
#include "cli/top/history_parts.h"
#include "cli/units.h"

/* All slots of everything are kept while that takes no more than this; 600 beats of it are about HISTORY_BYTES. */
#define DEEP_SLOTS 32768U
#define PARTS_MAX 64

/* ---- keys ---- */

/* A secret of this process: who writes a segment must not find ids that have the key of another VM's row. */
static uint64_t secret(void)
{
    static uint64_t value;

    while (!value) {
        if (getrandom(&value, sizeof(value), 0) != sizeof(value))
            value = (uint64_t)time(NULL) << 32 ^ (uint64_t)getpid() ^ (uintptr_t)&value;
    }
    return value;
}

static uint64_t mix(uint64_t x) /* the finalizer of MurmurHash3 */
{
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdU;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53U;
    return x ^ x >> 33;
}

static uint64_t hash(uint64_t seed, const void *data, size_t size)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
        uint64_t word = 0;

        memcpy(&word, p + i, size - i < sizeof(word) ? size - i : sizeof(word));
        seed = mix(seed ^ word) + secret();
    }
    return mix(seed ^ size);
}

uint64_t track_key(uint64_t vm_id, const struct vmt_sample *sample)
{
    uint64_t key = hash(secret(), &vm_id, sizeof(vm_id));

    if (!sample || sample->depth == 0)
        return key;
    key = hash(key, sample->id, strlen(sample->id));
    if (sample->flags & VMT_SAMPLE_LEAVING)
        key = hash(key, &sample->generation, sizeof(sample->generation));
    return key;
}

/* A view of a view is one, too; parents come before their children, so this ends. */
size_t track_subject(const struct vmt_snapshot *snapshot, size_t i)
{
    size_t subject;

    while ((subject = vmt_snapshot_subject(snapshot, i)) < i)
        i = subject;
    return i;
}

uint64_t track_key_of_shard(uint64_t source_key, const struct vmt_shard_sample *shard)
{
    return hash(source_key ^ 1, &shard->id, sizeof(shard->id));
}

/* ---- tracks by key ---- */

static size_t place_in(const struct history *h, uint64_t key)
{
    size_t at = (size_t)(key ^ key >> 32) & (h->table_size - 1);

    while (h->table[at] && h->tracks[h->table[at] - 1].key != key)
        at = (at + 1) & (h->table_size - 1);
    return at;
}

int history_make_table(struct history *h, size_t size)
{
    uint32_t *table = calloc(size, sizeof(*table));

    if (!table)
        return -ENOMEM;
    free(h->table);
    h->table = table;
    h->table_size = size;
    for (size_t i = 0; i < h->track_count; i++)
        h->table[place_in(h, h->tracks[i].key)] = (uint32_t)i + 1;
    return 0;
}

long history_find(const struct history *h, uint64_t key)
{
    return h->table_size ? (long)h->table[place_in(h, key)] - 1 : -1;
}

/* The track with this key, made where there is none; NULL without memory. */
static struct track *track_of(struct history *h, uint64_t key)
{
    long at = history_find(h, key);

    if (at >= 0)
        return &h->tracks[at];
    if (h->track_count == h->track_capacity) {
        size_t capacity = h->track_capacity + h->track_capacity / 4 + 64;
        struct track *more = reallocarray(h->tracks, capacity, sizeof(*more));

        if (!more)
            return NULL;
        h->tracks = more;
        h->track_capacity = capacity;
    }
    if (2 * (h->track_count + 1) > h->table_size && history_make_table(h, h->table_size ? 2 * h->table_size : 256) < 0)
        return NULL;
    memset(&h->tracks[h->track_count], 0, sizeof(h->tracks[0]));
    h->tracks[h->track_count].key = key;
    h->table[place_in(h, key)] = (uint32_t)h->track_count + 1;
    return &h->tracks[h->track_count++];
}

/* Whether the track, found by its key, is that of another thing: keys may collide, if hardly ever. */
static int is_another(const struct track *t, enum track_kind kind, uint64_t vm_id, const char *id)
{
    return t->text && (t->kind != kind || t->vm_id != vm_id || strcmp(t->id, id) != 0);
}

/* What it is; strings are copied where they are not those that it has. */
static int track_describe(struct track *t, const char *vm, const char *id, const char *name, const char *owner,
                          const char *schema)
{
    const char *from[] = { vm, id, name, owner, schema };
    const char **to[] = { &t->vm, &t->id, &t->name, &t->owner, &t->schema };
    size_t size = 0;
    int same = t->text != NULL;
    char *text;

    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
        size += strlen(from[i]) + 1;
        same = same && !strcmp(*to[i], from[i]);
    }
    if (same)
        return 0;
    text = malloc(size);
    if (!text)
        return -ENOMEM;
    free(t->text);
    t->text = text;
    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
        *to[i] = text;
        text = stpcpy(text, from[i]) + 1;
    }
    return 0;
}

/* ---- slots and averages ---- */

/* One part of a source at one beat. */
struct part {
    const struct vmt_schema *schema;
    const uint64_t *values; /* NULL: absent */
    const struct vmt_change *change;
};

static int cumulates(const struct vmt_descriptor *d)
{
    uint32_t type = d->flags & VMT_TYPE_MASK;

    return type != VMT_TYPE_INSTANT && type != VMT_TYPE_PEAK;
}

/* What history_slot() has: NAN where nothing is known. seconds > 0 of what can be compared. */
static double slot_value(const struct part *p, const struct vmt_descriptor *d, uint32_t slot, double seconds)
{
    if (cumulates(d)) {
        if (p->change->flags & VMT_CHANGE_RESET || !(seconds > 0))
            return NAN;
        return (d->flags & VMT_SIGNED ? (double)(int64_t)p->change->values[slot] : (double)p->change->values[slot]) /
               seconds;
    }
    if (!p->values || unit_absent(d, p->values[slot]))
        return NAN;
    return d->flags & VMT_SIGNED ? (double)(int64_t)p->values[slot] : (double)p->values[slot];
}

/* Without memory it stays as it was. */
static void average_add(const struct history *h, struct track *t, size_t scalar, double x, double seconds)
{
    static const double spans[] = AVERAGE_SPANS;
    double age_s = t->age_s;
    struct average *a;

    if (isnan(x))
        return;
    if (x == 0 && t->places[scalar] < TRACK_OWN) { /* it never was anything else */
        t->places[scalar] = TRACK_ZERO;
        return;
    }
    a = track_own_average(t, scalar);
    if (!a)
        return;
    for (int i = 0; i < HISTORY_SPANS; i++) {
        double weight = age_s <= spans[i] ? seconds / age_s : h->weights[i];

        a->over[i] = isnan(a->over[i]) ? (float)x : a->over[i] + (float)((x - a->over[i]) * weight);
    }
    a->low = isnan(a->low) || x < a->low ? (float)x : a->low;
    a->high = isnan(a->high) || x > a->high ? (float)x : a->high;
}

static void add_averages(struct history *h, struct track *t, const struct part *parts, double seconds)
{
    if (!(seconds > 0))
        return;
    t->age_s += (float)seconds;
    for (uint32_t p = 0; p < t->part_count; p++) {
        const struct vmt_schema *schema = parts[p].schema;
        uint32_t next = 0;

        for (uint32_t i = 0; i < schema->count; i++) {
            const struct vmt_descriptor *d = &schema->descriptors[i];
            const struct track_part *part = &t->parts[p];
            long at = next < part->scalars && part->scalar[next] == d->slot ? (long)(part->scalar_at + next)
                    : d->size == 1                                          ? track_scalar(t, p, d->slot)
                                                                            : -1;

            if (at < 0)
                continue;
            next = (uint32_t)at - part->scalar_at + 1;
            average_add(h, t, (size_t)at, slot_value(&parts[p], d, d->slot, seconds), seconds);
        }
    }
}

/* All slots of a deep track, packed, into the scratch. */
static int pack_slots(struct history *h, const struct track *t, const struct part *parts, double seconds)
{
    if (t->slot_count > h->slot_capacity) {
        uint16_t *more = reallocarray(h->slots, t->slot_count, sizeof(*more));

        if (!more)
            return -ENOMEM;
        h->slots = more;
        h->slot_capacity = t->slot_count;
    }
    for (uint32_t i = 0; i < t->slot_count; i++)
        h->slots[i] = PACKED_NAN;
    for (uint32_t p = 0; p < t->part_count; p++) {
        for (uint32_t i = 0; i < parts[p].schema->count; i++) {
            const struct vmt_descriptor *d = &parts[p].schema->descriptors[i];

            for (uint32_t s = d->slot; s < d->slot + d->size && s < t->parts[p].slots; s++)
                h->slots[t->parts[p].slot_at + s] = packed_make(slot_value(&parts[p], d, s, seconds));
        }
    }
    return 0;
}

static int in_focus(const struct history *h, uint64_t key)
{
    for (size_t i = 0; i < h->focus_count; i++) {
        if (h->focus[i] == key)
            return 1;
    }
    return 0;
}

/* ---- a beat ---- */

int history_new(int keep, struct history **ret)
{
    struct history *h = calloc(1, sizeof(*h));

    if (!h)
        return -ENOMEM;
    h->keep = keep;
    *ret = h;
    return 0;
}

void history_free(struct history *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->track_count; i++)
        track_free(&h->tracks[i]);
    for (uint32_t i = 0; i < h->reason_count; i++)
        free(h->reasons[i].name);
    measure_plans_free(&h->plans);
    free(h->tracks);
    free(h->table);
    free(h->beats);
    free(h->slots);
    free(h);
}

void history_focus(struct history *h, const uint64_t *keys, size_t count)
{
    h->focus_count = count < HISTORY_FOCUS_MAX ? count : HISTORY_FOCUS_MAX;
    memcpy(h->focus, keys, h->focus_count * sizeof(*keys));
}

int history_begin(struct history *h, uint64_t epoch)
{
    if (h->count == h->capacity) {
        size_t capacity = h->capacity ? 2 * h->capacity : 64;
        struct beat *more = reallocarray(h->beats, capacity, sizeof(*more));

        if (!more)
            return -ENOMEM;
        h->beats = more;
        h->capacity = capacity;
    }
    h->epoch = epoch;
    h->deep_slots = 0;
    for (size_t i = 0; i < h->track_count; i++) {
        h->tracks[i].seen = 0;
        h->deep_slots += h->tracks[i].slots.width;
    }
    return 0;
}

/* Averages and slots of a track, and its newest record. */
static int add_record(struct history *h, struct track *t, const struct sample_vm *vm, size_t i,
                      const struct measures *m, uint16_t state)
{
    const struct vmt_sample *sample = vmt_snapshot_source(vm->snapshot, i);
    const struct vmt_schema *schemas[PARTS_MAX];
    struct part parts[PARTS_MAX];
    uint32_t count = 1;
    /* The beat's, which differs a little from the VM's own: so what was counted comes out as rate times seconds. */
    double seconds = vmt_delta_seconds(vm->delta) > 0 ? h->seconds : 0;
    int r = 0;

    if (!h->keep)
        return history_keep(h, t, m, state, NULL);
    parts[0] = (struct part){ sample->schema, sample->flags & VMT_SAMPLE_ABSENT ? NULL : sample->values,
                              vmt_delta_source(vm->delta, i) };
    for (; count <= sample->total_count && count < PARTS_MAX; count++) {
        const struct vmt_total *total = &sample->totals[count - 1];

        parts[count] = (struct part){ total->schema, total->flags & VMT_SAMPLE_ABSENT ? NULL : total->values,
                                      vmt_delta_total(vm->delta, i, count - 1) };
    }
    for (uint32_t p = 0; p < count; p++)
        schemas[p] = parts[p].schema;
    if (!track_has_parts(t, schemas, count, h->epoch)) {
        h->deep_slots -= t->slots.width;
        r = track_set_parts(t, schemas, count, h->epoch);
        if (r < 0)
            return r;
    }
    if (!t->deep && t->slot_count <= DEEP_SLOTS &&
        (in_focus(h, t->key) || h->deep_slots + t->slot_count <= DEEP_SLOTS)) {
        h->deep_slots += t->slot_count;
        track_deepen(t, 1);
    }
    add_averages(h, t, parts, seconds);
    if (t->deep)
        r = pack_slots(h, t, parts, seconds);
    return r < 0 ? r : history_keep(h, t, m, state, h->slots);
}

static int observe_shards(struct history *h, const struct sample_vm *vm, size_t i, uint64_t source_key)
{
    const struct vmt_sample *sample = vmt_snapshot_source(vm->snapshot, i);

    for (uint32_t k = 0; k < sample->shard_count; k++) {
        const struct vmt_shard_sample *shard = &sample->shards[k];
        struct track *t = track_of(h, track_key_of_shard(source_key, shard));
        struct measures m;
        char name[32];
        int r;

        if (!t)
            return -ENOMEM;
        if (t->seen || is_another(t, TRACK_SHARD, vm->id, sample->id))
            continue;
        if (shard->held == 2)
            snprintf(name, sizeof(name), "shared");
        else if (shard->held && shard->owner)
            snprintf(name, sizeof(name), "thread %" PRIu32, shard->owner);
        else
            snprintf(name, sizeof(name), shard->held ? "held" : "free");
        t->kind = TRACK_SHARD;
        t->vm_id = vm->id;
        t->parent = source_key;
        t->depth = (uint16_t)(sample->depth + 1);
        t->pid = shard->held == 1 ? shard->owner : 0;
        r = track_describe(t, vm->title, sample->id, name, "", "");
        if (r == 0)
            r = measures_take_shard(&m, &h->plans, h->epoch, vm, i, k);
        if (r == 0)
            r = history_keep(h, t, &m,
                             shard->flags & VMT_SAMPLE_TORN          ? history_state_of("torn")
                             : shard->flags & VMT_SAMPLE_UNCONFIRMED ? history_state_of("unsure")
                                                                     : 0,
                             h->slots);
        if (r < 0)
            return r;
    }
    return 0;
}

static int observe_source(struct history *h, const struct sample_vm *vm, size_t i)
{
    const struct vmt_sample *sample = vmt_snapshot_source(vm->snapshot, i);
    uint64_t key = track_key(vm->id, sample);
    struct track *t = track_of(h, key);
    struct measures m;
    int r;

    if (!t)
        return -ENOMEM;
    if (t->seen || is_another(t, TRACK_SOURCE, vm->id, sample->id)) /* a damaged segment may have an id twice */
        return 0;
    t->kind = TRACK_SOURCE;
    t->vm_id = vm->id;
    t->parent = track_key(vm->id, vmt_snapshot_source(vm->snapshot, track_subject(vm->snapshot, sample->parent)));
    t->depth = (uint16_t)sample->depth;
    t->created_ns = sample->created_ns;
    t->closed_ns = vmt_snapshot_segment(vm->snapshot)->closed_ns;
    r = track_describe(t, vm->title, sample->id, sample->name, "", sample->schema->name);
    if (r == 0)
        r = measures_take(&m, &h->plans, h->epoch, vm, i);
    if (r == 0)
        r = add_record(h, t, vm, i, &m, history_state_of(track_source_state(sample)));
    if (r == 0 && sample->shard_count && vm->before)
        r = observe_shards(h, vm, i, key);
    return r;
}

int history_observe(void *history, const struct sample_set *set, const struct sample_vm *vm)
{
    struct history *h = history;
    const struct vmt_segment_info *info = vm->snapshot ? vmt_snapshot_segment(vm->snapshot) : NULL;
    size_t count = vm->snapshot ? vmt_snapshot_count(vm->snapshot) : 0;
    struct track *t = track_of(h, track_key(vm->id, NULL));
    struct measures m;
    int r;

    static const double spans[] = AVERAGE_SPANS;

    h->seconds = (double)set->interval_ns / 1e9;
    for (int i = 0; i < HISTORY_SPANS; i++)
        h->weights[i] = 1 - exp(-h->seconds / spans[i]);
    if (!t)
        return -ENOMEM;
    if (t->seen || is_another(t, TRACK_VM, vm->id, ""))
        return 0;
    measures_none(&m);
    t->kind = TRACK_VM;
    t->vm_id = vm->id;
    t->created_ns = vm->created_ns;
    t->from = info ? (uint8_t)info->from : 0;
    t->closed_ns = info ? info->closed_ns : 0;
    t->pid = info ? info->pid : 0;
    r = track_describe(t, vm->title, "", vm->title, vm->owner,
                       count ? vmt_snapshot_source(vm->snapshot, 0)->schema->name : "");
    if (r == 0 && count)
        r = measures_take(&m, &h->plans, h->epoch, vm, 0);
    if (r == 0)
        r = count ? add_record(h, t, vm, 0, &m, history_state_of_vm(vm))
                  : history_keep(h, t, &m, history_state_of_vm(vm), NULL);
    for (size_t i = 1; r == 0 && i < count; i++) {
        if (track_subject(vm->snapshot, i) == i)
            r = observe_source(h, vm, i);
    }
    return r;
}

int history_end(struct history *h, const struct sample_set *set)
{
    h->beats[h->count++] = (struct beat){ .number = ++h->numbers,
                                          .realtime_ns = set->realtime_ns,
                                          .seconds = (double)set->interval_ns / 1e9,
                                          .load = { set->load[0], set->load[1], set->load[2] },
                                          .cpus = set->cpus };
    return history_make_room(h);
}

/* ---- questions ---- */

size_t history_count(const struct history *h) { return h->count; }
const struct beat *history_beat(const struct history *h, size_t beat) { return &h->beats[beat]; }
size_t history_bytes(const struct history *h) { return h->bytes; }
size_t history_tracks(const struct history *h) { return h->track_count; }

uint64_t history_vm_id(const struct history *h, size_t track) { return h->tracks[track].vm_id; }

double history_slot(const struct history *h, size_t track, size_t beat, uint32_t part, uint32_t slot)
{
    return packed_value(track_slot(&h->tracks[track], beat, part, slot));
}

const struct average *history_average(const struct history *h, size_t track, uint32_t part, uint32_t slot)
{
    const struct track *t = &h->tracks[track];
    long scalar = part < t->part_count ? track_scalar(t, part, slot) : -1;

    return scalar < 0 ? NULL : track_average(t, (size_t)scalar);
}
