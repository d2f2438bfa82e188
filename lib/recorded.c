/* SPDX-License-Identifier: MIT */
/* Snapshots made of what was recorded, and copies of snapshots. A schema goes the way of one in a segment: it becomes a
 * block, which is checked and parsed, so that to everybody else (delta.c) there is one kind of schema. */
#include <vmtally/recorded.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/schema_block.h"
#include "lib/snapshot.h"
#include "lib/title.h"

struct vmt_recorded {
    struct schema_set *set;
    const struct vmt_schema **sorted; /* those in the set, by address */
    uint32_t count;
    uint32_t room;
    size_t bytes; /* of them */
};

int vmt_recorded_new(struct vmt_recorded **ret)
{
    struct vmt_recorded *recorded = calloc(1, sizeof(*recorded));

    if (!recorded)
        return -ENOMEM;
    recorded->set = schema_set_new();
    if (!recorded->set) {
        free(recorded);
        return -ENOMEM;
    }
    *ret = recorded;
    return 0;
}

void vmt_recorded_free(struct vmt_recorded *recorded)
{
    if (!recorded)
        return;
    schema_set_release(recorded->set);
    free(recorded->sorted);
    free(recorded);
}

/* ---- schemas ---- */

/* Where it stands among the sorted ones, or would. */
static uint32_t place_of(const struct vmt_recorded *recorded, const struct vmt_schema *schema)
{
    uint32_t low = 0, high = recorded->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if ((uintptr_t)recorded->sorted[middle] < (uintptr_t)schema)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has(const struct vmt_recorded *recorded, const struct vmt_schema *schema)
{
    uint32_t at = place_of(recorded, schema);

    return at < recorded->count && recorded->sorted[at] == schema;
}

static bool shorter(const char *text, size_t bytes) { return !text || strnlen(text, bytes) < bytes; }

/* It can be written as a block; whether the block is good is found out afterwards. */
static bool fits_into_block(const struct vmt_schema *schema)
{
    const size_t word = sizeof(((struct shm_schema *)0)->name);

    if (schema->count > VMT_DESCRIPTORS_MAX || schema->slots > VMT_SLOTS_MAX || !shorter(schema->name, word) ||
        !shorter(schema->provider, word) || !shorter(schema->target, word))
        return false;
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        if (!d->name || !shorter(d->name, VMT_NAME_SIZE) || !shorter(d->help, VMT_HELP_MAX) || d->slot > VMT_SLOTS_MAX)
            return false;
    }
    return true;
}

/* One whose descriptors were all of kinds that its reader did not know: the same is had by one that nobody knows. */
static const struct vmt_descriptor unknown[] = { { .name = "?", .flags = VMT_TYPE_MASK, .size = 1 } };

/* NULL: no memory. */
static struct shm_schema *block_of(const struct vmt_schema *schema, uint64_t *bytes)
{
    struct vmt_schema named = *schema;
    struct shm_schema *block;

    named.name = schema->name ? schema->name : "";
    named.provider = schema->provider ? schema->provider : "";
    named.target = schema->target ? schema->target : "";
    if (!schema->count) {
        named.descriptors = unknown;
        named.count = 1;
        named.slots = schema->slots ? schema->slots : 1;
    }
    *bytes = shm_round(schema_block_bytes(&named), 8);
    block = calloc(1, *bytes);
    if (block)
        schema_block_fill(block, &named);
    return block;
}

static int check(const struct vmt_schema *schema, struct shm_schema **ret)
{
    struct shm_view view;
    struct shm_schema *block;
    const char *why;
    uint64_t bytes;
    int r;

    if (!fits_into_block(schema))
        return -EBADMSG;
    block = block_of(schema, &bytes);
    if (!block)
        return -ENOMEM;
    shm_view_own(&view, block);
    view.bytes = view.cap = bytes;
    r = shm_check_schema(&view, 0, ret, &why);
    free(block);
    return r;
}

/* Put it into the set, too. */
static int keep(struct vmt_recorded *recorded, struct parsed *parsed)
{
    uint32_t at = place_of(recorded, &parsed->schema);

    if (recorded->count == VMT_SCHEMAS_MAX)
        return -ENOSPC;
    if (recorded->count == recorded->room) {
        uint32_t room = recorded->room ? 2 * recorded->room : 8;
        const struct vmt_schema **grown = realloc(recorded->sorted, room * sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        recorded->sorted = grown;
        recorded->room = room;
    }
    if (schema_set_keep(recorded->set, parsed) < 0)
        return -ENOMEM;
    memmove(&recorded->sorted[at + 1], &recorded->sorted[at],
            (recorded->count - at) * sizeof(const struct vmt_schema *));
    recorded->sorted[at] = &parsed->schema;
    recorded->count++;
    recorded->bytes += 2 * sizeof(parsed) + sizeof(*parsed) + parsed->block->block_bytes +
                       parsed->block->descriptors * (sizeof(*parsed->descriptors) + sizeof(*parsed->specials));
    return 0;
}

int vmt_recorded_schema(struct vmt_recorded *recorded, const struct vmt_schema *schema, const struct vmt_schema **ret)
{
    struct shm_schema *block;
    struct parsed *parsed;
    int r = check(schema, &block);

    if (r < 0)
        return r;
    parsed = parsed_get(block, NULL, 0);
    if (!parsed)
        return -ENOMEM;
    if (!has(recorded, &parsed->schema))
        r = keep(recorded, parsed);
    if (r == 0)
        *ret = &parsed->schema;
    parsed_release(parsed); /* the set holds it */
    return r;
}

size_t vmt_recorded_bytes(const struct vmt_recorded *recorded)
{
    return sizeof(*recorded) + sizeof(*recorded->set) + recorded->bytes;
}

/* ---- snapshots: what both have in common ---- */

static const char *const no_labels[1];

static void empty(struct vmt_snapshot *s)
{
    for (struct pool *p = &s->values; p <= &s->label_text; p++)
        p->used = 0;
    s->info = (struct vmt_segment_info){ .path = "", .name = "", .labels = no_labels, .state = VMT_STATE_DAMAGED };
    s->walk_ns = s->looked_ns = 0;
    s->pid = 0;
}

static void hold_schemas(struct vmt_snapshot *s, struct schema_set *set)
{
    struct schema_set *old = s->schemas;

    s->schemas = set ? schema_set_hold(set) : NULL;
    schema_set_release(old);
}

static bool put_labels(struct vmt_snapshot *s, const char *const *labels)
{
    size_t count = 0, bytes = 1;
    const char **list;
    char *text;

    for (; labels && labels[count]; count++)
        bytes += strlen(labels[count]) + 1;
    if (!pool_reserve(&s->label_text, bytes, 1) || !pool_reserve(&s->labels, count + 1, sizeof(*list)))
        return false;
    list = s->labels.data;
    text = s->label_text.data;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(labels[i]) + 1;

        memcpy(text, labels[i], size);
        shm_clean_text(text, size, false);
        list[i] = text;
        text += size;
    }
    list[count] = NULL;
    s->info.labels = list;
    return true;
}

static bool put_path(struct vmt_snapshot *s, const char *path)
{
    if (!s->path || strcmp(s->path, path) != 0) {
        free(s->path);
        s->path = strdup(path);
        if (!s->path)
            return false;
        shm_clean_text(s->path, strlen(s->path) + 1, false);
    }
    s->info.path = s->path;
    s->info.flags = (s->info.flags & ~VMT_SNAPSHOT_SET_ASIDE) | title_set_aside(s->path);
    return true;
}

/* All of info, as text of the snapshot's own. */
static bool put_info(struct vmt_snapshot *s, const struct vmt_segment_info *info)
{
    const char *name = info->name ? info->name : "";
    size_t size = strnlen(name, sizeof(s->name) - 1);

    s->info = *info;
    s->info.path = "";
    s->info.labels = no_labels;
    memcpy(s->name, name, size);
    s->name[size] = '\0';
    shm_clean_text(s->name, sizeof(s->name), false); /* of a process it is anything */
    s->info.name = s->name;
    return put_path(s, info->path ? info->path : "") && put_labels(s, info->labels);
}

/* ---- made of what was recorded ---- */

struct rebuild {
    struct vmt_snapshot *s;
    struct vmt_recorded *recorded;
    size_t nothing[VMT_SCHEMAS_MAX]; /* of each schema: 1 + where in the pool of values what counted nothing stands */
};

/* What the pools must have room for: they must not move while pointers into them are made. */
struct needs {
    size_t values;
    size_t totals;
    size_t shards;
    size_t text;
};

/* There is nothing at values that could be copied: not known, or of a schema without statistics. */
static bool is_nothing(const struct vmt_schema *schema, const uint64_t *values, uint32_t flags)
{
    return !values || flags & VMT_SAMPLE_ABSENT || !schema->count;
}

static size_t slots_of(const struct vmt_schema *schema, const uint64_t *values, uint32_t flags)
{
    return is_nothing(schema, values, flags) ? 0 : schema->slots;
}

static bool parent_good(const struct vmt_sample *made, const struct vmt_sample *sample, size_t i)
{
    if (i == 0)
        return sample->parent == UINT32_MAX;
    return sample->parent < i && made[sample->parent].depth < VMT_DEPTH_MAX;
}

/* Check one, add up what it needs, and make its depth. 0 or -EINVAL. */
static int look_at(struct rebuild *b, const struct vmt_sample *sample, size_t i, struct needs *needs)
{
    struct vmt_sample *made = b->s->samples.data;

    if (!parent_good(made, sample, i) || !has(b->recorded, sample->schema))
        return -EINVAL;
    made[i].parent = sample->parent;
    made[i].depth = i ? made[sample->parent].depth + 1 : 0;
    needs->text += (sample->id ? strlen(sample->id) : 0) + 1;
    needs->values += slots_of(sample->schema, sample->values, sample->flags);
    for (uint32_t t = 0; t < sample->total_count; t++) {
        const struct vmt_total *total = &sample->totals[t];

        if (!has(b->recorded, total->schema))
            return -EINVAL;
        needs->values += slots_of(total->schema, total->values, total->flags);
        needs->values += slots_of(total->schema, total->departed, total->flags);
    }
    needs->totals += sample->total_count;
    for (uint32_t k = 0; k < sample->shard_count; k++)
        needs->values += slots_of(sample->schema, sample->shards[k].values, 0);
    needs->shards += sample->shard_count;
    return 0;
}

/* A run of values for each schema: what a source has that counted nothing, and what stands where nothing is known. */
static size_t nothing_slots(const struct vmt_recorded *recorded)
{
    size_t slots = 0;

    for (uint32_t i = 0; i < recorded->count; i++)
        slots += recorded->sorted[i]->slots;
    return slots;
}

static const uint64_t *put_values(struct rebuild *b, const struct vmt_schema *schema, const uint64_t *values,
                                  uint32_t flags)
{
    struct pool *pool = &b->s->values;
    size_t at = pool->used, *nothing;

    if (!is_nothing(schema, values, flags)) {
        memcpy(VALUES(b->s, at), values, schema->slots * sizeof(*values));
        pool->used += schema->slots;
        return VALUES(b->s, at);
    }
    nothing = &b->nothing[place_of(b->recorded, schema)];
    if (!*nothing) {
        parsed_put_nothing((const struct parsed *)(const void *)schema, VALUES(b->s, at));
        pool->used += schema->slots;
        *nothing = at + 1;
    }
    return VALUES(b->s, *nothing - 1);
}

static void put_totals(struct rebuild *b, struct vmt_sample *made, const struct vmt_sample *sample)
{
    struct vmt_total *totals;

    if (!sample->total_count)
        return;
    totals = (struct vmt_total *)b->s->totals.data + b->s->totals.used;
    for (uint32_t t = 0; t < sample->total_count; t++) {
        const struct vmt_total *from = &sample->totals[t];

        totals[t] = *from;
        totals[t].flags = from->values ? from->flags & VMT_SAMPLE_ABSENT : VMT_SAMPLE_ABSENT;
        totals[t].values = put_values(b, from->schema, from->values, from->flags);
        totals[t].departed = put_values(b, from->schema, from->departed, from->flags);
    }
    b->s->totals.used += sample->total_count;
    made->totals = totals;
    made->total_count = sample->total_count;
}

static void put_shards(struct rebuild *b, struct vmt_sample *made, const struct vmt_sample *sample)
{
    struct vmt_shard_sample *shards;

    if (!sample->shard_count)
        return;
    shards = (struct vmt_shard_sample *)b->s->shards.data + b->s->shards.used;
    for (uint32_t k = 0; k < sample->shard_count; k++) {
        shards[k] = sample->shards[k];
        shards[k].flags &= VMT_SAMPLE_UNCONFIRMED | VMT_SAMPLE_TORN;
        shards[k].values = put_values(b, sample->schema, sample->shards[k].values, 0);
    }
    b->s->shards.used += sample->shard_count;
    made->shards = shards;
    made->shard_count = sample->shard_count;
}

static void put_id(struct vmt_snapshot *s, struct vmt_sample *made, const char *id)
{
    char *text = (char *)s->text.data + s->text.used;
    size_t size = (id ? strlen(id) : 0) + 1;
    const char *slash;

    memcpy(text, id ? id : "", size);
    shm_clean_text(text, size, true);
    s->text.used += size;
    slash = strrchr(text, '/');
    made->id = text;
    made->name = made->depth == 0 ? s->info.name : slash ? slash + 1 : text;
}

#define SAMPLE_FLAGS (VMT_SAMPLE_LEAVING | VMT_SAMPLE_UNCONFIRMED | VMT_SAMPLE_TORN | VMT_SAMPLE_ABSENT)
#define SNAPSHOT_FLAGS                                                                                                 \
    (VMT_SNAPSHOT_PARTIAL | VMT_SNAPSHOT_UNLINKED | VMT_SNAPSHOT_MAPPED | VMT_SNAPSHOT_FOREIGN | VMT_SNAPSHOT_SET_ASIDE)
#define FROM_FLAGS (VMT_FROM_SEGMENT | VMT_FROM_FDS | VMT_FROM_DEBUGFS | VMT_FROM_COPIES)

static void put_sample(struct rebuild *b, struct vmt_sample *made, const struct vmt_sample *sample)
{
    *made = (struct vmt_sample){ .schema = sample->schema,
                                 .generation = sample->generation,
                                 .created_ns = sample->created_ns,
                                 .entry = sample->entry,
                                 .parent = made->parent,
                                 .depth = made->depth };
    made->flags = (sample->flags & SAMPLE_FLAGS) | (sample->values ? 0 : VMT_SAMPLE_ABSENT);
    put_id(b->s, made, sample->id);
    made->values = put_values(b, sample->schema, sample->values, sample->flags);
    put_totals(b, made, sample);
    put_shards(b, made, sample);
}

static int rebuild(struct rebuild *b, const struct vmt_segment_info *info, const struct vmt_sample *samples,
                   size_t count)
{
    struct vmt_snapshot *s = b->s;
    struct needs needs = { .values = nothing_slots(b->recorded) };

    if (count == 0 || count > UINT32_MAX)
        return -EINVAL;
    if (!put_info(s, info) || !pool_reserve(&s->samples, count, sizeof(*samples)))
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        int r = look_at(b, &samples[i], i, &needs);

        if (r < 0)
            return r;
    }
    if (!pool_reserve(&s->values, needs.values, sizeof(uint64_t)) || !pool_reserve(&s->text, needs.text, 1) ||
        !pool_reserve(&s->totals, needs.totals, sizeof(struct vmt_total)) ||
        !pool_reserve(&s->shards, needs.shards, sizeof(struct vmt_shard_sample)))
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        put_sample(b, (struct vmt_sample *)s->samples.data + i, &samples[i]);
    s->samples.used = count;
    s->info.flags &= SNAPSHOT_FLAGS; /* others come from later versions */
    s->info.from &= FROM_FLAGS;
    s->walk_ns = info->begin_ns;
    return 0;
}

int vmt_snapshot_rebuild(struct vmt_snapshot *snapshot, struct vmt_recorded *recorded,
                         const struct vmt_segment_info *info, const struct vmt_sample *samples, size_t count)
{
    struct rebuild b = { .s = snapshot, .recorded = recorded };
    int r;

    empty(snapshot);
    hold_schemas(snapshot, recorded->set);
    r = rebuild(&b, info, samples, count);
    if (r < 0)
        empty(snapshot);
    return r;
}

/* ---- copied ---- */

static bool copy_pool(struct pool *to, const struct pool *from, size_t size)
{
    if (!pool_reserve(to, from->used, size))
        return false;
    if (from->used)
        memcpy(to->data, from->data, from->used * size);
    to->used = from->used;
    return true;
}

/* What pointed into a pool points to the same place of its copy; what did not (values of a source that counted
 * nothing stand beside its schema), where it did. */
static void *moved(const void *pointer, const struct pool *from, const struct pool *to, size_t size)
{
    uintptr_t at = (uintptr_t)pointer, start = (uintptr_t)from->data;

    if (!pointer || at < start || at - start >= from->used * size)
        return (void *)at;
    return (char *)to->data + (at - start);
}

static const uint64_t *moved_values(const uint64_t *values, const struct vmt_snapshot *from, struct vmt_snapshot *to)
{
    return moved(values, &from->values, &to->values, sizeof(uint64_t));
}

static void move_pointers(struct vmt_snapshot *to, const struct vmt_snapshot *from)
{
    for (size_t i = 0; i < to->samples.used; i++) {
        struct vmt_sample *sample = (struct vmt_sample *)to->samples.data + i;

        sample->id = moved(sample->id, &from->text, &to->text, 1);
        sample->name = sample->parent == UINT32_MAX ? to->info.name : moved(sample->name, &from->text, &to->text, 1);
        sample->values = moved_values(sample->values, from, to);
        sample->totals = moved(sample->totals, &from->totals, &to->totals, sizeof(struct vmt_total));
        sample->shards = moved(sample->shards, &from->shards, &to->shards, sizeof(struct vmt_shard_sample));
    }
    for (size_t i = 0; i < to->totals.used; i++) {
        struct vmt_total *total = (struct vmt_total *)to->totals.data + i;

        total->values = moved_values(total->values, from, to);
        total->departed = moved_values(total->departed, from, to);
    }
    for (size_t i = 0; i < to->shards.used; i++) {
        struct vmt_shard_sample *shard = (struct vmt_shard_sample *)to->shards.data + i;

        shard->values = moved_values(shard->values, from, to);
    }
}

int vmt_snapshot_copy(struct vmt_snapshot *to, const struct vmt_snapshot *from)
{
    if (to == from)
        return 0;
    empty(to);
    hold_schemas(to, from->schemas);
    if (!put_info(to, &from->info) || !copy_pool(&to->values, &from->values, sizeof(uint64_t)) ||
        !copy_pool(&to->shards, &from->shards, sizeof(struct vmt_shard_sample)) ||
        !copy_pool(&to->totals, &from->totals, sizeof(struct vmt_total)) || !copy_pool(&to->text, &from->text, 1) ||
        !copy_pool(&to->samples, &from->samples, sizeof(struct vmt_sample))) {
        empty(to);
        return -ENOMEM;
    }
    to->walk_ns = from->walk_ns;
    to->looked_ns = from->looked_ns;
    to->pid = from->pid;
    move_pointers(to, from);
    return 0;
}
