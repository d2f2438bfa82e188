/* SPDX-License-Identifier: MIT */
/* Where the file of a segment comes from: made by name, found by name, or given; and what it is called then. */
#ifndef LIB_ORIGIN_H
#define LIB_ORIGIN_H

#include "lib/writer.h"
#include "shm/file.h"

/* Also what is to be undone where the segment can't be made after all. */
struct origin {
    int fd;
    int dirfd;
    bool ours;      /* the descriptor */
    bool empty;     /* it was, and we have its lock */
    bool restarted; /* it is an earlier writer's, and the segment goes on in it */
    char temporary[SHM_TEMPORARY_MAX];
    char dir[PATH_MAX];
};

/* A locked file: empty, or one that the segment goes on in. 0 or negative errno; from is to be undone in any case. */
int origin_open(struct vmt_segment *segment, const struct vmt_segment_options *o, struct origin *from);

/* Publish what was made, under its name; the segment knows its path then. */
int origin_name(struct vmt_segment *segment, const struct vmt_segment_options *o, struct origin *from);

#endif
