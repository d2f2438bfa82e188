/* SPDX-License-Identifier: MIT */
/* followed.h: one path that the sampler follows, a segment's or "/proc/PID": the reader of what is there, and its newest
 * snapshot. Only sampler.c and followed.c know of it. */
#ifndef CLI_FOLLOWED_H
#define CLI_FOLLOWED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <vmtally/delta.h>
#include <vmtally/host.h>

#include "segment.h"

/* A snapshot's memory, and for how large files it has been used: log2, or of an unknown size. */
struct memory {
    struct vmt_snapshot *snapshot; /* NULL: none */
    unsigned class;
};

#define MEMORY_CLASSES 65

/* What is read of one segment at most; what lies behind is not seen (partial). 30,000 vCPUs fit in, and a segment that is
 * as large as can be costs a beat some 30 ms. */
#define FOLLOWED_BYTES (64U << 20)

/* What all take turns in using: memory that the next snapshot goes into, for files of each size, so that what one large
 * file needed does not come round to all; and the change of the one that is looked at. Starts as { 0 }. */
struct spare {
    struct memory memory[MEMORY_CLASSES];
    struct vmt_delta *delta;
};

struct followed {
    struct vmt_host *host; /* NULL: there are only segments */
    int process;           /* the path is "/proc/PID" */
    char *path;
    char *file_name;
    char *clean_path;
    char name[SEGMENT_NAME];  /* what is shown: of the segment, else of the file */
    char title[SEGMENT_NAME]; /* with the owner of what is somebody else's */
    char owner[SEGMENT_OWNER];
    uint64_t id;
    dev_t device; /* of the file that was opened */
    ino_t inode;
    uint64_t pid_start;  /* of the process that was read: with the pid this one and no other */
    uint64_t created_ns; /* CLOCK_REALTIME, 0: not known */
    struct vmt_reader *reader;
    struct vmt_reader *retired; /* of the file that was there before, until all have been looked at */
    struct memory newest;
    struct memory before;   /* only with keeps_before */
    struct memory mark;     /* may be one of the two above */
    struct memory unmarked; /* was the mark, until the next take */
    struct memory *used;    /* what the last snapshot was taken into, and has the one before now; NULL: none */
    const struct vmt_snapshot *compared; /* what newest is compared with while it is looked at; NULL: nothing */
    struct vmt_delta *delta;             /* only with keeps_before */
    uint64_t gone_ns;                    /* CLOCK_MONOTONIC since when the writer has been seen gone, 0: it has not */
    int focused;                         /* shards are wanted */
    int keeps_before;
    int taken;     /* newest is of this beat */
    int exposed;   /* somebody may have seen schemas of the reader */
    int described; /* name, title and owner are those of what the reader reads */
    int read;      /* newest says something of this file */
    int owned;     /* uid is the owner of what was last read */
    uint32_t uid;
    int foreign;
    char told_name[64]; /* what the segment says, as it was described */
    int hidden;         /* another one is meant by the name that was asked for */
    int found;          /* at this beat */
    int dropped;
    int told; /* sampler_failed() gave it */
    int error;
    enum vmt_state state;
};

/* host may be NULL. *ret is the caller's. 0 or -ENOMEM. */
int followed_new(struct vmt_host *host, const char *path, const char *name, uint64_t id, struct followed **ret);
void followed_free(struct followed *f, struct spare *spare);
void spare_free(struct spare *spare);

/* 1 where there is something under that name, or where that process has a VM; never waits for whoever is behind it. */
int followed_exists(struct vmt_host *host, const char *path);

/* The newest, unless it is taken already: opens what is not open, and what was replaced. All that goes wrong is f's own
 * error, but -ENOMEM. */
int followed_take(struct followed *f, struct spare *spare, uint64_t now_ns);

/* What it is called, and whose it is: another owner, or another process, makes it another row. */
void followed_describe(struct followed *f, uint64_t *last_id);

/* What changed, into *ret; -ENOMEM. */
int followed_compare(struct followed *f, struct spare *spare, const struct vmt_delta **ret);

/* It was looked at: what it was compared with is free again, unless it is to be kept. */
void followed_done(struct followed *f, struct spare *spare);

/* All were looked at: whether schemas may have gone. */
int followed_end(struct followed *f);

/* Keep newest as the mark, or keep none. */
void followed_mark(struct followed *f, int mark);

/* 1 where no writer is there. */
int followed_is_gone(enum vmt_state state);

#endif
