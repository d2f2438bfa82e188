/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally/recorded.h>

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

/* ---- the last snapshots ---- */

static size_t bytes_of_schema(const struct vmt_schema *schema)
{
    size_t bytes = sizeof(*schema);

    for (uint32_t i = 0; i < schema->count; i++)
        bytes += sizeof(schema->descriptors[i]) + strlen(schema->descriptors[i].name) +
                 strlen(schema->descriptors[i].help) + 2;
    return bytes;
}

/* Memory for a copy of it, about. The root has a total for each schema that anybody else has. */
static size_t bytes_of(const struct vmt_snapshot *snapshot)
{
    const struct vmt_sample *root = vmt_snapshot_source(snapshot, 0);
    size_t bytes = sizeof(struct cat_vm);

    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *s = vmt_snapshot_source(snapshot, i);

        bytes += sizeof(*s) + strlen(s->id) + 1 + (s->values ? s->schema->slots * sizeof(uint64_t) : 0);
        for (uint32_t j = 0; j < s->total_count; j++)
            bytes += sizeof(s->totals[j]) + 2 * s->totals[j].schema->slots * sizeof(uint64_t);
    }
    for (uint32_t j = 0; root && j < root->total_count; j++)
        bytes += bytes_of_schema(root->totals[j].schema);
    return bytes;
}

static void forget_last(struct cat_vms *vms, struct cat_vm *vm)
{
    vmt_snapshot_free(vm->last);
    vm->last = NULL;
    vms->bytes -= vm->bytes;
    vm->bytes = 0;
}

int cat_vms_keep(struct cat_vms *vms, struct cat_vm *vm, const struct vmt_snapshot *snapshot)
{
    size_t bytes = bytes_of(snapshot);
    int r = 0;

    /* Memory of a snapshot never becomes less. */
    if (bytes < vm->bytes / 2 || bytes > CAT_VMS_BYTES - (vms->bytes - vm->bytes))
        forget_last(vms, vm);
    if (bytes > CAT_VMS_BYTES - vms->bytes + vm->bytes)
        return -ENOSPC;
    if (bytes > vm->bytes) {
        vms->bytes += bytes - vm->bytes;
        vm->bytes = bytes;
    }
    if (!vm->last)
        r = vmt_snapshot_new(&vm->last);
    return r == 0 ? vmt_snapshot_copy(vm->last, snapshot) : r;
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
