/* SPDX-License-Identifier: MIT */
/* What a row was at one beat: packed into a record, and back. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/segment.h"
#include "cli/top/history_parts.h"
#include "cli/top/packed.h"

/* ---- states ---- */

static const char *const words[] = {
    "",           "no values", "leaving", "torn", "unsure",          "no access", "empty",   "not a segment",
    "unreadable", "live",      "closed",  "died", "died mid-change", "stalled",   "damaged", "other version"
};
#define WORDS (sizeof(words) / sizeof(words[0]))
#define WORD_BITS 0x1fU
#define STATE_RUNNING 0x20U
#define STATE_FOREIGN 0x40U
#define STATE_RESTARTED 0x80U
#define STATE_DROPPING 0x100U
#define STATE_UNREADABLE 0x200U
#define SHARE_BITS 6
#define SHARES 63U       /* steps of a reason's share */
#define REASONS_OF_VM 64 /* names that one VM may add */
#define STATE_VERDICT 10 /* bits from here on */

uint16_t history_state_of(const char *word)
{
    for (uint16_t i = 0; i < WORDS; i++) {
        if (!strcmp(words[i], word))
            return i;
    }
    return 0;
}

const char *track_source_state(const struct vmt_sample *sample)
{
    if (sample->flags & VMT_SAMPLE_ABSENT)
        return "no values";
    if (sample->flags & VMT_SAMPLE_LEAVING)
        return "leaving";
    if (sample->flags & VMT_SAMPLE_TORN)
        return "torn";
    return sample->flags & VMT_SAMPLE_UNCONFIRMED ? "unsure" : "";
}

uint16_t history_state_of_vm(const struct sample_vm *vm)
{
    unsigned state = history_state_of(sample_state(vm)) | (unsigned)vm->state << STATE_VERDICT;

    if (sample_running(vm))
        state |= STATE_RUNNING;
    if (vm->owner[0] && !vm->process) /* whose name proves nothing, but nobody can feign what the kernel counts */
        state |= STATE_FOREIGN;
    if (vm->error && vm->error != -EBADMSG && vm->error != -EPROTONOSUPPORT)
        state |= STATE_UNREADABLE;
    if (!vm->error) {
        struct segment_losses losses = segment_losses(vm->snapshot);

        if (losses.sources || losses.shards)
            state |= STATE_DROPPING;
        if (segment_restarts(vmt_snapshot_segment(vm->snapshot)))
            state |= STATE_RESTARTED;
    }
    return (uint16_t)state;
}

static void facts_set_state(struct track_facts *f, uint16_t state)
{
    f->state = words[state & WORD_BITS];
    f->verdict = (enum vmt_state)(state >> STATE_VERDICT);
    f->unreadable = (state & STATE_UNREADABLE) != 0;
    f->running = f->kind != TRACK_VM || (state & STATE_RUNNING) != 0;
    f->foreign = (state & STATE_FOREIGN) != 0;
    f->restarted = (state & STATE_RESTARTED) != 0;
    f->dropping = (state & STATE_DROPPING) != 0;
    f->note = f->dropping ? "dropped" : f->restarted ? "restarted" : "";
}

/* ---- measures ---- */

/* The number of a reason's name; was: of what the row had before, which it mostly has again. Names of one VM's own are
 * bounded, so that none uses them up. */
static uint16_t reason_number(struct history *h, uint64_t vm_id, const char *name, uint16_t was)
{
    struct reason *reason = &h->reasons[h->reason_count];
    unsigned of_vm = 0;

    if (!name[0])
        return 0;
    if (was && !strcmp(h->reasons[was - 1].name, name))
        return was;
    for (uint32_t i = 0; i < h->reason_count; i++) {
        if (!strcmp(h->reasons[i].name, name))
            return (uint16_t)(i + 1);
        of_vm += h->reasons[i].vm_id == vm_id;
    }
    if (of_vm >= REASONS_OF_VM || h->reason_count == HISTORY_REASONS)
        return HISTORY_REASONS + 1; /* one that is not told from others */
    reason->name = strdup(name);
    reason->vm_id = vm_id;
    return reason->name ? (uint16_t)++h->reason_count : 0;
}

static const char *reason_name(const struct history *h, unsigned number)
{
    if (number > h->reason_count)
        return "...";
    return number ? h->reasons[number - 1].name : "";
}

/* One bound of a quantile, for a record. */
static uint16_t pack_quantile(int known, const struct quantile *q)
{
    if (!known)
        return PACKED_NAN;
    return packed_make(isinf(q->high) ? -q->low : q->high);
}

static struct quantile unpack_quantile(uint16_t packed)
{
    double v = packed_value(packed);

    return v < 0 ? (struct quantile){ -v, INFINITY } : (struct quantile){ NAN, v };
}

int history_keep(struct history *h, struct track *t, const struct measures *m, uint16_t state, const uint16_t *slots)
{
    uint16_t columns[TRACK_COLUMNS];
    struct track_now *now = &t->now;
    size_t active = strlen(m->active);
    uint16_t was[MEASURES_TOP];

    memcpy(was, now->reason, sizeof(was));

    *now = (struct track_now){ .exits = m->exits,
                               .run = m->run,
                               .bytes = m->bytes,
                               .ops = m->ops,
                               .p50 = { m->p50.low, m->p50.high },
                               .p99 = { m->p99.low, m->p99.high },
                               .vcpus = m->vcpus,
                               .latency = m->latency != 0,
                               .active = now->active };
    columns[TRACK_EXITS] = packed_make(m->exits);
    columns[TRACK_RUN] = packed_make(m->run);
    columns[TRACK_BYTES] = packed_make(m->bytes);
    columns[TRACK_OPS] = packed_make(m->ops);
    columns[TRACK_P50] = pack_quantile(m->latency, &m->p50);
    columns[TRACK_P99] = pack_quantile(m->latency, &m->p99);
    columns[TRACK_VCPUS] = packed_make(m->vcpus);
    columns[TRACK_STATE] = state;
    for (int i = 0; i < MEASURES_TOP; i++) {
        unsigned share;

        now->reason[i] = reason_number(h, t->vm_id, m->top[i].name, was[i] <= h->reason_count ? was[i] : 0);
        now->share[i] = m->top[i].share;
        share = (unsigned)(fmin(fmax(m->top[i].share, 0), 1) * SHARES + 0.5);
        columns[TRACK_TOP + i] = now->reason[i] ? (uint16_t)((unsigned)now->reason[i] << SHARE_BITS | share) : 0;
    }
    if (active || now->active) {
        char *text = active ? realloc(now->active, active + 1) : NULL;

        if (active && !text)
            return -ENOMEM;
        if (active)
            memcpy(text, m->active, active + 1);
        else
            free(now->active);
        now->active = text;
    }
    t->seen = 1;
    return track_append(t, h->count, columns, slots);
}

static void facts_set_measures(const struct history *h, struct track_facts *f, const struct track *t, size_t beat)
{
    struct measures *m = &f->measures;

    measures_none(m);
    m->exits = packed_value(track_column(t, beat, TRACK_EXITS));
    m->run = packed_value(track_column(t, beat, TRACK_RUN));
    m->bytes = packed_value(track_column(t, beat, TRACK_BYTES));
    m->ops = packed_value(track_column(t, beat, TRACK_OPS));
    m->vcpus = (uint32_t)(packed_value(track_column(t, beat, TRACK_VCPUS)) + 0.5);
    m->latency = track_column(t, beat, TRACK_P50) != PACKED_NAN;
    m->p50 = unpack_quantile(track_column(t, beat, TRACK_P50));
    m->p99 = unpack_quantile(track_column(t, beat, TRACK_P99));
    for (unsigned i = 0; i < MEASURES_TOP; i++) {
        uint16_t top = track_column(t, beat, (enum track_column)(TRACK_TOP + i));

        snprintf(m->top[i].name, sizeof(m->top[i].name), "%s", reason_name(h, top >> SHARE_BITS));
        m->top[i].share = (top & SHARES) / (double)SHARES;
    }
}

static void facts_set_now(const struct history *h, struct track_facts *f, const struct track *t)
{
    const struct track_now *now = &t->now;
    struct measures *m = &f->measures;

    measures_none(m);
    m->exits = now->exits;
    m->run = now->run;
    m->bytes = now->bytes;
    m->ops = now->ops;
    m->vcpus = now->vcpus;
    m->latency = now->latency;
    m->p50 = (struct quantile){ now->p50[0], now->p50[1] };
    m->p99 = (struct quantile){ now->p99[0], now->p99[1] };
    for (int i = 0; i < MEASURES_TOP; i++) {
        snprintf(m->top[i].name, sizeof(m->top[i].name), "%s", reason_name(h, now->reason[i]));
        m->top[i].share = now->share[i];
    }
    if (now->active)
        snprintf(m->active, sizeof(m->active), "%s", now->active);
}

/* ---- back ---- */

int history_facts(const struct history *h, size_t track, size_t beat, struct track_facts *f)
{
    const struct track *t = &h->tracks[track];
    uint64_t now_ns = h->beats[beat].realtime_ns;

    if (t->closed_ns && t->closed_ns < now_ns)
        now_ns = t->closed_ns;
    if (!track_there(t, beat))
        return 0;
    f->key = t->key;
    f->vm_id = t->vm_id;
    f->parent = t->parent;
    f->kind = (enum track_kind)t->kind;
    f->depth = t->depth;
    f->vm = t->vm;
    f->id = t->id;
    f->name = t->name;
    f->owner = t->owner;
    f->schema = t->schema;
    f->pid = t->pid;
    f->from = t->from;
    f->age_ns = !t->created_ns ? UINT64_MAX : now_ns > t->created_ns ? now_ns - t->created_ns : 0;
    facts_set_state(f, track_column(t, beat, TRACK_STATE));
    if (beat + 1 == h->count)
        facts_set_now(h, f, t);
    else
        facts_set_measures(h, f, t, beat);
    return 1;
}
