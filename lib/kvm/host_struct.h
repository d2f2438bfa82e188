/* SPDX-License-Identifier: MIT */
/* struct vmt_host: host.c has what is found, segments.c knows which processes have segments, trouble.c says what could not
 * be read. */
#ifndef LIB_KVM_HOST_STRUCT_H
#define LIB_KVM_HOST_STRUCT_H

#include "lib/kvm/find.h"
#include "lib/kvm/host.h"
#include "lib/kvm/remote.h"
#include "lib/pool.h"

/* A segment. */
struct path {
    char *path;
    uint64_t start;      /* of the process that writes it */
    uint64_t unread_at;  /* number of the look whose counters it was not joined with, though its VMM has them open; */
    uint32_t unread;     /* VMT_HOST_TROUBLE_: why not, */
    uint32_t closed_pid; /* and of the process, if it is among those that are counted as denied; else 0 */
    uint32_t pid;        /* 0: none that is known */
    bool peek;           /* look into it anew */
};

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

/* host.c: a process of that start (field 22 of /proc/PID/stat) was there at that time (CLOCK_REALTIME). */
bool host_started(const struct vmt_host *host, uint64_t start, uint64_t time_ns);

/* The segment may be of this boot. */
bool host_same_boot(const struct bulletin *b, const struct shm_header *header);

/* segments.c: the process of the VM at path, a segment's or "/proc/PID"; NULL: none that is known. */
const struct bulletin_process *segments_process(const struct vmt_host *host, const char *path);
void segments_forget(struct vmt_host *host);

/* What is known of the segment at path, NULL: nothing; and the same, added where nothing is, NULL: no memory. */
struct path *segments_path(const struct vmt_host *host, const char *path);
struct path *segments_add(struct vmt_host *host, const char *path);

/* What people know it as, its segment's name or its own: *name, and how many bytes of it. */
int path_name(const struct path *path, const char **name);
int segments_name(const struct vmt_host *host, const struct bulletin_process *p, const char **name);

#endif
