/* SPDX-License-Identifier: MIT */
/* beats.h: kvmtop's sampler in tests: its beats, and what was observed at them. */
#ifndef TESTS_UNIT_BEATS_H
#define TESTS_UNIT_BEATS_H

#include "parts.h"

#include <vmtally/schemas.h>

#include "cli/sampler.h"

#define SEEN_MAX 128

struct seen {
    char title[320];
    uint64_t id;
    int error;
    int compared; /* before was there, and it was not the same as the newest */
    int reset;    /* the delta had nothing to compare with */
    uint64_t events;
    uint64_t changed; /* events, by the delta; those of all sources below source 0 */
    uint32_t shards;  /* of the source "vcpu-0" */
};

struct beat {
    struct seen seen[SEEN_MAX];
    size_t count;
    size_t set_count; /* of the set that observers got */
    int stop_at;      /* 1 + index: there the observer gives -EINTR */
};

static inline struct sampler *new_sampler(char *const *names, size_t count)
{
    struct sampler *s = NULL;

    cr_assert_eq(sampler_new(NULL, NULL, names, count, &s), 0);
    return s;
}

static inline uint64_t events_below(const struct sample_vm *vm)
{
    uint64_t events = 0;

    for (size_t i = 1; i < vmt_snapshot_count(vm->snapshot); i++)
        events += vmt_snapshot_source(vm->snapshot, i)->values[0];
    return events;
}

static inline int observe(void *arg, const struct sample_set *set, const struct sample_vm *vm)
{
    struct beat *beat = arg;
    struct seen *seen = &beat->seen[beat->count];

    if (beat->count == SEEN_MAX)
        return -ENOSPC;
    if (set->realtime_ns == 0)
        return -EDOM;
    *seen = (struct seen){ .id = vm->id, .error = vm->error };
    snprintf(seen->title, sizeof(seen->title), "%s", vm->title);
    beat->count++;
    beat->set_count += set->count;
    if (vm->snapshot && !vm->error) {
        const struct vmt_sample *vcpu = vmt_snapshot_find(vm->snapshot, "vcpu-0");

        seen->compared = vm->before && vm->before != vm->snapshot;
        seen->reset = (vmt_delta_source(vm->delta, 0)->flags & VMT_CHANGE_RESET) != 0;
        seen->events = events_below(vm);
        for (size_t i = 1; i < vmt_snapshot_count(vm->snapshot); i++)
            seen->changed += vmt_delta_source(vm->delta, i)->values[0];
        seen->shards = vcpu ? vcpu->shard_count : 0;
    }
    return beat->stop_at == (int)beat->count ? -EINTR : 0;
}

static inline void take_beat(struct sampler *s, struct beat *beat)
{
    memset(beat, 0, sizeof(*beat));
    cr_assert_eq(sampler_take(s, observe, beat), 0);
    cr_assert_eq(sampler_set(s)->count, beat->count);
}

/* What was observed of the VM with that title. */
static inline const struct seen *seen_of(const struct beat *beat, const char *title)
{
    for (size_t i = 0; i < beat->count; i++) {
        if (!strcmp(beat->seen[i].title, title))
            return &beat->seen[i];
    }
    cr_assert_fail("no VM '%s'", title);
    return NULL;
}

/* That of the set. */
static inline const struct sample_vm *vm_of(const struct sampler *s, const char *title)
{
    const struct sample_set *set = sampler_set(s);

    for (size_t i = 0; i < set->count; i++) {
        if (!strcmp(set->vms[i].title, title))
            return &set->vms[i];
    }
    cr_assert_fail("no VM '%s'", title);
    return NULL;
}

static inline const char *state_of(const struct sampler *s, const char *title) { return sample_state(vm_of(s, title)); }

static inline void write_file(const char *name, const char *text)
{
    FILE *f = fopen(test_path(name), "w");

    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

/* Put bytes into a file, over what is there. */
static inline void scribble(const char *path, long offset, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "r+");

    cr_assert_not_null(f);
    cr_assert_eq(fseek(f, offset, SEEK_SET), 0);
    cr_assert_eq(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

#endif
