/* SPDX-License-Identifier: MIT */
/* Where in a segment's tree that which the kernel counts belongs. The segment is not trusted: whatever stands in it,
 * each thing has one place, and finding it costs little more than a look at each source. */
#ifndef LIB_KVM_PLACE_H
#define LIB_KVM_PLACE_H

#include "lib/kvm/bulletin.h"
#include "lib/snapshot.h"

#define NOWHERE UINT32_MAX

/* Of one VM or vCPU. */
struct place {
    const struct bulletin_item *item;
    const struct bulletin_item *total; /* of a VM: the sum over all its vCPUs, or NULL */
    uint32_t vm;                       /* place of its VM, of a VM its own; NOWHERE: that is not known */
    uint32_t end;                      /* of a VM: behind its last vCPU */
    uint32_t parent;                   /* node; NOWHERE: it has none */
    uint32_t node;                     /* that it becomes */
    uint32_t like;    /* the VMM's source whose name says that it is the same vCPU; 0: none, NOWHERE: several */
    uint32_t attempt; /* at its name */
    bool beside;      /* parent is what the VMM counts the same thing in */
    bool shown;
    bool named;    /* none of its siblings is called so */
    bool spare;    /* only for whom its fd says what it is */
    bool replaced; /* spare ones are shown instead */
    bool copied;   /* of a VM: the VMM copies what the kernel counts of its vCPUs */
    char name[VMT_NAME_SIZE];
};

/* That it is known by, in its process. */
struct place_fd {
    int32_t fd;
    uint32_t place;
};

struct places {
    struct vmt_snapshot *s;
    const struct bulletin *bulletin;
    struct place *all; /* in the bulletin's order */
    uint32_t count;
    uint32_t vms;    /* but spare ones */
    uint32_t used;   /* nodes that the segment has; the others follow */
    bool handles;    /* the VMM says by handles what there is */
    bool incomplete; /* there was no name left for one of them */
};

/* All of process (NULL: nothing) in the tree of the nodes that s has; and hide those of the segment in whose place
 * they are: handles, and copies. The rest of *ret is set by the caller. 0 or -ENOMEM. */
int places_find(struct places *ret, const struct bulletin_process *process);

/* ---- its parts ---- */

static inline bool place_is_vm(const struct place *place) { return place->item->vcpu == BULLETIN_VM; }

/* place_list.c: what there is to be placed. 0 or -ENOMEM. */
int places_list(struct places *p, const struct bulletin_process *process);

/* That of which fd is a statistics file, or NULL; and the vCPU of a VM. */
struct place *places_with_fd(const struct places *p, uint64_t fd);
struct place *places_vcpu(const struct places *p, const struct place *vm, int32_t number);

/* place.c: is node i there, below a parent that is? */
bool places_linked(const struct places *p, uint32_t i);

/* place_names.c: give each one that is shown a name. One for which there is none is not shown. */
void places_name(struct places *p);

#endif
