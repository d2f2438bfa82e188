/* SPDX-License-Identifier: MIT */
/* history.h: what was seen. Each thing that has a row (a VM, a source, a shard; what another provider counts of a source
 * is part of that one: vmt_snapshot_subject()) has a track: what it is, its newest measures, averages of its statistics since kvmtop saw it first, and a record for each beat: the measures, and where
 * there is room for them (always of what is in focus) the changes of all its slots, packed (packed.h).
 *
 * Room: HISTORY_BYTES for records, and HISTORY_BEATS. Once that is full the oldest beats go, if what is left covers
 * HISTORY_SECONDS; else of the older three quarters the shortest pairs of beats become one each: what is longer ago is
 * then seen at a longer interval. No terminal, no files, no clock.
 */
#ifndef CLI_TOP_HISTORY_H
#define CLI_TOP_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "cli/top/measures.h"
#include "cli/sampler.h"

#define HISTORY_BYTES (40U << 20)
#define HISTORY_BEATS 3600
#define HISTORY_SECONDS 600

struct history; /* one thread */

/* One beat. */
struct beat {
    uint64_t number; /* counted from 1, also of those that were dropped */
    uint64_t realtime_ns;
    double seconds; /* since the beat before; 0: there was none */
    double load[3]; /* as sample_set */
    uint32_t cpus;
};

enum track_kind { TRACK_VM, TRACK_SOURCE, TRACK_SHARD };

/* Running averages and bounds of one scalar statistic: of its change per second if it is cumulative, else of its value. */
struct average {
    float over[3]; /* 10, 100, 1000 s; of less where it has not been seen for that long. NAN: of nothing */
    float low;     /* since it was seen first; NAN: nothing was seen */
    float high;
};
#define AVERAGE_SPANS                                                                                                  \
    {                                                                                                                  \
        10, 100, 1000                                                                                                  \
    }

/* One thing, at one beat. Strings belong to the history and are valid until the next beat is added. */
struct track_facts {
    uint64_t key;
    uint64_t vm_id;  /* sample_vm.id */
    uint64_t parent; /* key; 0 of a VM */
    enum track_kind kind;
    uint32_t depth;         /* 0: a VM */
    const char *vm;         /* the VM's title */
    const char *id;         /* full id of the source; "" of a VM; a shard has that of its source */
    const char *name;       /* what the tree shows */
    const char *owner;      /* the end of name that must not be cut, or "" */
    const char *schema;     /* "" where there is none */
    const char *state;      /* in words; of a source, "" where there is nothing to say */
    const char *note;       /* for people, behind the state; "" where there is nothing to say */
    enum vmt_state verdict; /* of a VM that could be judged */
    int unreadable;         /* a VM that could not */
    int running;            /* its writer is there; what is not a VM: always 1 */
    int foreign;
    int restarted;
    int dropping;             /* it had no room for all that it counts */
    uint32_t from;            /* of a VM: VMT_FROM_, at the newest beat */
    uint32_t pid;             /* of a VM; of a shard the thread that holds it; 0: not known */
    uint64_t age_ns;          /* UINT64_MAX: not known */
    struct measures measures; /* of the newest beat exact, else as packed; active only of the newest */
};

/* keep 0: for whoever never looks back, a few beats without slots and averages. 0 or -ENOMEM. */
int history_new(int keep, struct history **ret);
void history_free(struct history *history);

/* A beat: begin, then each VM as sampler_take() has it (a sample_observer; arg is the history), then end. What is not
 * added between is gone. 0 or -ENOMEM. */
int history_begin(struct history *history, uint64_t epoch);
int history_observe(void *history, const struct sample_set *set, const struct sample_vm *vm);
int history_end(struct history *history, const struct sample_set *set);

/* Keep all slots of these rows (count keys; replaces those of before) from the next beat on, and their totals', room or
 * not. */
#define HISTORY_FOCUS_MAX 4
void history_focus(struct history *history, const uint64_t *keys, size_t count);

/* Beats that are kept, oldest first: index 0 to count - 1. */
size_t history_count(const struct history *history);
const struct beat *history_beat(const struct history *history, size_t beat);
size_t history_bytes(const struct history *history); /* what records take now */

/* Tracks: a number each, 0 to count - 1, for as long as no beat is added. */
size_t history_tracks(const struct history *history);
long history_find(const struct history *history, uint64_t key); /* the number, or -1 */

uint64_t history_vm_id(const struct history *history, size_t track); /* sample_vm.id of the VM that it is of */

/* What track was at that beat. 1, or 0: it was not there, facts are untouched. */
int history_facts(const struct history *history, size_t track, size_t beat, struct track_facts *facts);

/* Change of a slot at that beat, of part 0 (the source's own) or 1 + t (its total t): per second if it is cumulative or
 * a histogram, else its value. NAN where it is not known: not there, not kept, nothing to compare with. */
double history_slot(const struct history *history, size_t track, size_t beat, uint32_t part, uint32_t slot);

/* Averages of the statistic of that slot; NULL where it is none, or a histogram's. Of the newest beat. */
const struct average *history_average(const struct history *history, size_t track, uint32_t part, uint32_t slot);

/* The key of a VM (sample NULL) or one of its sources: by full id, so that a source that was removed and added again is
 * the same row; one that still leaves is not. And of a shard of a source. */
uint64_t track_key(uint64_t vm_id, const struct vmt_sample *sample);
uint64_t track_key_of_shard(uint64_t source_key, const struct vmt_shard_sample *shard);

/* The source whose row source i of snapshot is part of: itself, but for another provider's view of it. */
size_t track_subject(const struct vmt_snapshot *snapshot, size_t i);

/* "" where there is nothing to say. */
const char *track_source_state(const struct vmt_sample *sample);

#endif
