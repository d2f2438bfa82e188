/* SPDX-License-Identifier: MIT */
/* What sources that are added are called: as none of their siblings is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/kvm/handle.h"
#include "lib/kvm/place.h"

#define ATTEMPTS 9U

static struct place **sorted(const struct places *p) { return p->s->work->sorted.data; }

static void put_name(const struct places *p, struct place *place)
{
    const struct bulletin_item *item = place->item;
    bool only_vm = place_is_vm(place) && !place->beside && p->vms == 1 && item->vm != BULLETIN_UNKNOWN_VM;
    uint32_t plain = only_vm ? 2 : 1; /* names without a suffix */
    char *name = place->name;
    int n;

    if (place->beside)
        n = snprintf(name, sizeof(place->name), "%s", KVM_COPY_NAME);
    else if (!place_is_vm(place) && place->vm == NOWHERE)
        n = snprintf(name, sizeof(place->name), "vcpu-%d#%u", item->vcpu, item->index);
    else if (!place_is_vm(place))
        n = snprintf(name, sizeof(place->name), "vcpu-%d", item->vcpu);
    else if (only_vm && place->attempt == 0)
        n = snprintf(name, sizeof(place->name), "vm");
    else if (item->vm >= 0)
        n = snprintf(name, sizeof(place->name), "vm-%d", item->vm);
    else
        n = snprintf(name, sizeof(place->name), "vm#%u", item->index);
    if (place->attempt >= plain)
        snprintf(name + n, sizeof(place->name) - (size_t)n, "~%u", place->attempt - plain + 2);
    place->named = true;
}

static int by_name(const void *a, const void *b)
{
    const struct place *const *x = a, *const *y = b;

    if ((*x)->parent != (*y)->parent)
        return (*x)->parent < (*y)->parent ? -1 : 1;
    return strcmp((*x)->name, (*y)->name);
}

/* Those that are to be below a source of the segment, in the order of names. */
static uint32_t sort_by_name(struct places *p)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->count; i++) {
        if (!p->all[i].shown || p->all[i].parent >= p->used)
            continue;
        if (!p->all[i].named)
            put_name(p, &p->all[i]);
        sorted(p)[n++] = &p->all[i];
    }
    if (n)
        qsort(sorted(p), n, sizeof(struct place *), by_name);
    return n;
}

/* Whose name one of the segment's sources has needs another one. True if there are such. */
static bool names_clash(struct places *p)
{
    uint32_t n = sort_by_name(p);
    bool clash = false;

    for (uint32_t i = 1; i < p->used && n; i++) {
        const struct node *source = NODE(p->s, i);
        struct place asked = { .parent = source->entry.parent };
        struct place *key = &asked;
        struct place **found;

        if ((source->entry.parent != 0 && !NODE(p->s, source->entry.parent)->joined) || !places_linked(p, i))
            continue;
        memcpy(asked.name, source->entry.name, sizeof(asked.name));
        found = bsearch(&key, sorted(p), n, sizeof(key), by_name);
        if (found && (*found)->named) {
            (*found)->named = false;
            (*found)->attempt++;
            clash = true;
        }
    }
    return clash;
}

void places_name(struct places *p)
{
    bool clash = true;

    for (uint32_t i = 0; i < ATTEMPTS && clash; i++)
        clash = names_clash(p);
    for (uint32_t i = 0; i < p->count; i++) {
        struct place *place = &p->all[i];

        if (!place->shown)
            continue;
        if (place->parent >= p->used) { /* below one that is itself added */
            place->shown = p->all[place->vm].shown;
            put_name(p, place);
        } else if (!place->named) {
            place->shown = false; /* somebody has taken them all */
            p->incomplete = true;
        }
    }
}
