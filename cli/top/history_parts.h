/* SPDX-License-Identifier: MIT */
/* history_parts.h: what the files of the history share. history.c adds beats; history_record.c packs what a row was into
 * records, and back; history_room.c sees to it that all stays within its room. */
#ifndef CLI_TOP_HISTORY_PARTS_H
#define CLI_TOP_HISTORY_PARTS_H

#include "cli/top/history.h"
#include "cli/top/track.h"

#define HISTORY_SPANS 3
#define HISTORY_REASONS 1022 /* that are told apart; reason 0: none, the one after the last: another one */

/* A name of a reason for exits, and the VM that had it first. */
struct reason {
    char *name;
    uint64_t vm_id;
};

struct history {
    struct track *tracks;
    size_t track_count;
    size_t track_capacity;
    uint32_t *table; /* track number + 1 by key, 0: free; a power of two */
    size_t table_size;
    struct beat *beats;
    size_t count;
    size_t capacity;
    uint64_t numbers; /* of the newest beat */
    size_t bytes;
    struct reason reasons[HISTORY_REASONS + 1];
    uint32_t reason_count;
    int keep;
    uint64_t focus[HISTORY_FOCUS_MAX];
    size_t focus_count;
    struct measure_plans plans;
    uint64_t epoch;
    uint16_t *slots; /* scratch: of one record */
    size_t slot_capacity;
    size_t deep_slots; /* of tracks that are there */
    /* of the beat that is being added */
    double seconds;
    double weights[HISTORY_SPANS];
};

/* The state of a VM, and that of a source or shard in a word of history_record.c's list, packed. */
uint16_t history_state_of_vm(const struct sample_vm *vm);
uint16_t history_state_of(const char *word);

/* Append the newest record of a track. slots: of a deep one. 0 or -ENOMEM. */
int history_keep(struct history *history, struct track *track, const struct measures *measures, uint16_t state,
                 const uint16_t *slots);

/* Look the tracks' places up anew. 0 or -ENOMEM. */
int history_make_table(struct history *history, size_t size);

/* Make fewer beats of those that there are: the oldest eighth goes, where what is left is long enough; else the shortest
 * pairs become one each, so that all but the newest are about as long. 0 or -ENOMEM. */
int history_thin(struct history *history);

/* After a beat was added: drop what there is no room for. 0 or -ENOMEM. */
int history_make_room(struct history *history);

#endif
