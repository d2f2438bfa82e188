/* SPDX-License-Identifier: MIT */
/* The programs of a snapshot, each under a key of its own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinykvm.h"

static struct program *program_at(const struct pool *programs, size_t i)
{
    return &((struct program *)programs->data)[i];
}

static bool is_program(const struct vmt_sample *sample) { return strcmp(sample->schema->target, "program") == 0; }

/* ---- which ---- */

static int find_programs(const struct vmt_snapshot *snapshot, struct vmt_tinykvm_pattern *pattern,
                         struct pool *programs)
{
    size_t count = vmt_snapshot_count(snapshot);

    for (size_t i = 1; i < count; i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);
        int r = !is_program(sample) ? 0 : pattern ? vmt_tinykvm_pattern_matches(pattern, sample->name) : 1;
        size_t at;

        if (r < 0)
            return r;
        if (r == 0)
            continue;
        at = pool_add(programs, 1, sizeof(struct program));
        if (at == SIZE_MAX)
            return -ENOMEM;
        *program_at(programs, at) = (struct program){ .sample = sample, .number = i };
    }
    return 0;
}

/* ---- their keys ---- */

static bool is_leaving(const struct program *program) { return program->sample->flags & VMT_SAMPLE_LEAVING; }

/* By name, then id; those that leave last. */
static int compare_names(const void *one, const void *other)
{
    const struct program *a = one, *b = other;
    int r = strcmp(a->sample->name, b->sample->name);

    if (r == 0)
        r = strcmp(a->sample->id, b->sample->id);
    if (r == 0)
        r = is_leaving(a) - is_leaving(b);
    return r ? r : (a->number > b->number) - (a->number < b->number);
}

static int compare_keys(const void *one, const void *other)
{
    return strcmp(((const struct program *)one)->key, ((const struct program *)other)->key);
}

/* Of those with one id only the first: the others are leaving, or their ids were not fit to print. */
static void keep_one_of_each_id(struct pool *programs)
{
    size_t kept = 0;

    for (size_t i = 0; i < programs->used; i++) {
        const struct program *last = kept ? program_at(programs, kept - 1) : NULL;

        if (last && strcmp(last->sample->id, program_at(programs, i)->sample->id) == 0)
            continue;
        *program_at(programs, kept++) = *program_at(programs, i);
    }
    programs->used = kept;
}

static bool same_name(const struct pool *programs, size_t i, size_t k)
{
    return k < programs->used &&
           strcmp(program_at(programs, i)->sample->name, program_at(programs, k)->sample->name) == 0;
}

static int give_keys(struct pool *programs)
{
    for (size_t i = 0; i < programs->used; i++) {
        struct program *program = program_at(programs, i);
        bool other = (i > 0 && same_name(programs, i, i - 1)) || same_name(programs, i, i + 1);
        const char *text = other ? program->sample->id : program->sample->name;
        bool reserved = strcmp(text, VMT_TINYKVM_GLOBALS) == 0;

        program->key = malloc(strlen(text) + 2);
        if (!program->key)
            return -ENOMEM;
        sprintf(program->key, "%s%s", reserved ? "/" : "", text);
    }
    return 0;
}

/* ---- what belongs to them ---- */

static int compare_numbers(const void *one, const void *other)
{
    const struct program *a = one, *b = other;

    return (a->number > b->number) - (a->number < b->number);
}

/* Backwards, so that each chain is in order. Programs are sorted by number. */
static int find_parts(const struct vmt_snapshot *snapshot, struct pool *programs, struct pool *parts)
{
    for (size_t i = vmt_snapshot_count(snapshot); i-- > 1;) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);
        const struct program wanted = { .number = sample->parent };
        const char *target = sample->schema->target;
        struct program *program;
        size_t at;

        if (strcmp(target, "request") != 0 && strcmp(target, "storage") != 0)
            continue;
        program = bsearch(&wanted, programs->data, programs->used, sizeof(wanted), compare_numbers);
        if (!program)
            continue;
        at = pool_add(parts, 1, sizeof(struct part));
        if (at == SIZE_MAX)
            return -ENOMEM;
        ((struct part *)parts->data)[at] = (struct part){ .sample = sample, .next = program->parts };
        program->parts = (uint32_t)at + 1;
    }
    return 0;
}

/* Of those with one key only the first: nobody but a damaged file has a second. */
static void keep_one_of_each_key(struct pool *programs)
{
    size_t kept = 0;

    for (size_t i = 0; i < programs->used; i++) {
        struct program *program = program_at(programs, i);

        if (kept && strcmp(program_at(programs, kept - 1)->key, program->key) == 0)
            free(program->key);
        else
            *program_at(programs, kept++) = *program;
    }
    programs->used = kept;
}

static void sort(struct pool *programs, int (*compare)(const void *, const void *))
{
    if (programs->used)
        qsort(programs->data, programs->used, sizeof(struct program), compare);
}

int vmt_tinykvm_programs(const struct vmt_snapshot *snapshot, const char *text, struct pool *programs,
                         struct pool *parts)
{
    struct vmt_tinykvm_pattern *pattern = NULL;
    int r = text ? vmt_tinykvm_pattern_new(text, &pattern) : 0;

    if (r == 0)
        r = find_programs(snapshot, pattern, programs);
    vmt_tinykvm_pattern_free(pattern);
    if (r < 0 || !programs->used)
        return r;
    sort(programs, compare_names);
    keep_one_of_each_id(programs);
    r = give_keys(programs);
    if (r < 0)
        return r;
    sort(programs, compare_numbers);
    r = find_parts(snapshot, programs, parts);
    sort(programs, compare_keys);
    keep_one_of_each_key(programs);
    return r;
}

void vmt_tinykvm_programs_free(struct pool *programs, struct pool *parts)
{
    for (size_t i = 0; i < programs->used; i++)
        free(program_at(programs, i)->key);
    pool_free(programs);
    pool_free(parts);
}
