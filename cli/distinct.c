/* SPDX-License-Identifier: MIT */
#include "distinct.h"

#include <errno.h>
#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/export/schema_index.h"
#include "select.h"
#include "lib/kvm/handle.h"

/* Two schemas that say the same are at one address while either is held (vmtally/reader.h). */
static int compare(const void *a, const void *b)
{
    uintptr_t one = (uintptr_t)((const struct distinct_entry *)a)->whole;
    uintptr_t other = (uintptr_t)((const struct distinct_entry *)b)->whole;

    return (one > other) - (one < other);
}

/* Copy the descriptors whose names match. They stay what they are, but the number of a minuend is another. */
static int choose_descriptors(struct distinct_entry *e, const char *glob)
{
    const struct vmt_schema *whole = e->whole;
    uint16_t *place = calloc(whole->count, sizeof(*place)); /* 1 + where it is now */
    uint32_t n = 0;

    e->descriptors = calloc(whole->count, sizeof(*e->descriptors));
    for (uint32_t i = 0; i < whole->count && place && e->descriptors; i++) {
        if (!select_matches(glob, whole->descriptors[i].name))
            continue;
        e->descriptors[n] = whole->descriptors[i];
        place[i] = (uint16_t)++n;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint16_t minuend = e->descriptors[i].minuend;

        e->descriptors[i].minuend = minuend && minuend <= whole->count ? place[minuend - 1] : 0;
    }
    e->schema = *whole;
    e->schema.descriptors = e->descriptors;
    e->schema.count = n;
    free(place);
    return place && e->descriptors ? 0 : -ENOMEM;
}

static void free_entry(void *entry)
{
    struct distinct_entry *e = entry;

    free(e->descriptors);
    free(e->vms);
    free(e);
}

/* The entry of that schema, a new one if there is none. NULL: no memory. */
static struct distinct_entry *entry_of(struct distinct *c, const struct vmt_schema *schema)
{
    struct distinct_entry *e = calloc(1, sizeof(*e));
    struct distinct_entry **found;

    if (!e)
        return NULL;
    e->whole = schema;
    found = tsearch(e, &c->index, compare);
    if (!found || *found != e) {
        free(e);
        return found ? *found : NULL;
    }
    if (choose_descriptors(e, c->stat.asked) < 0)
        return NULL;
    for (uint32_t i = 0; c->stat.asked && i < schema->count; i++)
        nearest_try(&c->stat, schema->descriptors[i].name);
    if (!c->last)
        c->last = &c->first;
    *c->last = e;
    c->last = &e->next;
    c->count++;
    c->stats += e->schema.count;
    return e;
}

static int add_vm(struct distinct_entry *e, const char *title)
{
    const char **grown = reallocarray(e->vms, e->vm_count + 2, sizeof(*grown));

    if (!grown)
        return -ENOMEM;
    e->vms = grown;
    e->vms[e->vm_count++] = title;
    e->vms[e->vm_count] = NULL;
    return 0;
}

/* Whether name is what is asked for; *is_there remembers. */
static int is_asked(struct nearest *nearest, const char *name, int *is_there)
{
    if (!nearest->asked)
        return 1;
    nearest_try(nearest, name);
    if (strcmp(nearest->asked, name) != 0)
        return 0;
    *is_there = 1;
    return 1;
}

static int is_wanted(struct distinct *c, const struct vmt_schema *schema)
{
    return schema->count > 0 && !kvm_is_handle(schema) &&
           is_asked(&c->provider, schema->provider, &c->has_provider) &
               is_asked(&c->target, schema->target, &c->has_target);
}

static int add_schema(void *arg, const struct vmt_schema *schema)
{
    struct distinct *c = arg;
    struct distinct_entry *e;

    if (!is_wanted(c, schema))
        return 0;
    e = entry_of(c, schema);
    return e ? add_vm(e, c->vms->title) : -ENOMEM;
}

int distinct_add(struct distinct *c, struct vmt_snapshot **snapshot)
{
    struct vmt_schema_index index = { 0 };
    struct distinct_vm *vm = calloc(1, sizeof(*vm));
    size_t before = c->count;
    int r;

    if (!vm)
        return -ENOMEM;
    segment_title(vm->title, sizeof(vm->title), vmt_snapshot_segment(*snapshot));
    vm->next = c->vms;
    c->vms = vm;
    r = vmt_schema_index_fill(&index, *snapshot, add_schema, c);
    free(index.schemas);
    if (r < 0 || c->count > before) {
        vm->snapshot = *snapshot;
        *snapshot = NULL;
    }
    return r;
}

void distinct_free(struct distinct *c)
{
    struct distinct_vm *next;

    tdestroy(c->index, free_entry);
    for (struct distinct_vm *vm = c->vms; vm; vm = next) {
        next = vm->next;
        vmt_snapshot_free(vm->snapshot);
        free(vm);
    }
    *c = (struct distinct){ .first = NULL };
}
