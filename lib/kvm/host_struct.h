/* SPDX-License-Identifier: MIT */
/* struct vmt_host: host.c has what is found, segments.c knows which processes have segments, trouble.c says what could not
 * be read. */
#ifndef LIB_KVM_HOST_STRUCT_H
#define LIB_KVM_HOST_STRUCT_H

#include "lib/kvm/find.h"
#include "lib/kvm/host.h"
#include "lib/kvm/remote.h"
#include "lib/pool.h"

struct vmt_host {
    struct finder *finder; /* NULL: in a process of its own, or it has looked for the last time */
    struct remote remote;  /* socket -1: there is no such process */
    struct board boards[2];
    unsigned shown; /* the board with the newest bulletin */
    bool looked;
    bool once;
    bool is_root;
    uint64_t hertz;        /* of process start times */
    struct pool schemas;   /* struct parsed *, by number */
    struct pool paths;     /* struct path, sorted: of the segments of the last vmt_host_discover() */
    struct pool old_paths; /* its memory, used anew */
    uint64_t paths_epoch;  /* of the bulletin then */
    size_t turn;
};

/* segments.c: the process of the VM at path, a segment's or "/proc/PID"; NULL: none that is known. */
const struct bulletin_process *segments_process(const struct vmt_host *host, const char *path);
void segments_forget(struct vmt_host *host);

/* What people know it as, its segment's name or its own: *name, and how many bytes of it. */
int segments_name(const struct vmt_host *host, const struct bulletin_process *p, const char **name);

#endif
