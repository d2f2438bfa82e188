/* SPDX-License-Identifier: MIT */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "../segment.h"
#include "cat.h"

/* A writer that goes on with a segment is the same VM; a copy of its file is another. */
static int compare(const void *a, const void *b)
{
    const struct cat_vm *x = a;
    const struct cat_vm *y = b;
    int c = memcmp(x->identity, y->identity, sizeof(x->identity));

    if (c == 0 && x->pid != y->pid)
        c = x->pid < y->pid ? -1 : 1;
    if (c == 0 && x->pid_start != y->pid_start)
        c = x->pid_start < y->pid_start ? -1 : 1;
    return c ? c : strcmp(x->path, y->path);
}

static void vm_free(struct cat_vm *vm)
{
    if (!vm)
        return;
    format_vm_free(&vm->format);
    vmt_snapshot_free(vm->last);
    free(vm);
}

static bool reserve(struct cat_vms *vms)
{
    size_t capacity = vms->capacity ? vms->capacity * 2 : 16;
    struct cat_vm **more;

    if (vms->count < vms->capacity)
        return true;
    if (vms->count >= CAT_VMS_MAX)
        return false;
    more = reallocarray(vms->vms, capacity, sizeof(struct cat_vm *));
    if (!more)
        return false;
    vms->vms = more;
    vms->capacity = capacity;
    return true;
}

struct cat_vm *cat_vms_find(struct cat_vms *vms, const struct vmt_snapshot *snapshot, const char *title)
{
    const struct vmt_segment_info *info = vmt_snapshot_segment(snapshot);
    struct cat_vm *vm = calloc(1, sizeof(*vm) + strlen(info->path) + 1);
    struct cat_vm **found;

    if (!vm)
        return NULL;
    memcpy(vm->identity, info->identity, sizeof(vm->identity));
    if (segment_process(info->path)) {
        vm->pid = info->pid;
        vm->pid_start = info->pid_start;
    }
    strcpy(vm->path, info->path);
    found = tfind(vm, &vms->tree, compare);
    if (!found && reserve(vms) && names_add(&vms->names, title, vm->name) == 0) {
        found = tsearch(vm, &vms->tree, compare);
        if (found)
            vms->vms[vms->count++] = vm;
    }
    if (!found || *found != vm)
        free(vm);
    return found ? *found : NULL;
}

static void nothing(void *node) { (void)node; }

void cat_vms_free(struct cat_vms *vms)
{
    tdestroy(vms->tree, nothing);
    for (size_t i = 0; i < vms->count; i++)
        vm_free(vms->vms[i]);
    free(vms->vms);
    names_free(&vms->names);
    *vms = (struct cat_vms){ 0 };
}
