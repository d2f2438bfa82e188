/* SPDX-License-Identifier: MIT */
/* input.h: what the fuzzer's bytes mean. A head, then patches to one of the bases, one after the other. An input that
 * begins with a segment's magic is the file itself. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include "bases.h"

/* head.flags */
#define INPUT_LOCKED 1U        /* a writer holds the lock */
#define INPUT_GUARDED_FIRST 2U /* else copied first */
#define INPUT_CHECK 4U         /* vmt_check() too */
#define INPUT_ENCODE 8U        /* msgpack and JSON too */
#define INPUT_TAKEN 16U        /* the lock is taken, or let go, between any two looks at it */
#define INPUT_SPARSE 32U       /* its blocks are holes, the kernel says */
#define INPUT_REAL_CUT 64U     /* the file is really cut off, under readers' mappings too; else it only says so */
#define INPUT_ODD 128U         /* somebody else's, and it has no name any more */

struct head {
    uint8_t base;
    uint8_t flags;
    uint8_t how; /* a target's own */
    uint8_t spare;
    uint16_t no_memory; /* not 0: this allocation fails */
    uint16_t spare2;
};

enum patch_kind {
    PATCH_STORE, /* width bytes of value, 1 to 8 */
    PATCH_FILL,  /* width times 8 bytes, value again and again */
    PATCH_COPY,  /* width times 8 bytes from the sound file's offset value */
    PATCH_SIZE,  /* the file's size becomes value */
    PATCH_BYTES, /* the value bytes that stand behind the patch, padded to 16 */
    PATCH_KINDS
};

#define WHEN_BETWEEN 0xffffU /* between two snapshots of one reader */

struct patch {
    uint32_t offset;
    uint8_t kind;
    uint8_t width;
    uint16_t when; /* 0: before it is opened; else at this event */
    uint64_t value;
};

#define PATCHES_MAX 64

struct input {
    struct head head;
    struct base *base;
    const uint8_t *whole; /* of a file that stands here itself */
    size_t whole_size;
    struct patch patches[PATCHES_MAX]; /* those of one when stand together, the early ones first */
    const uint8_t *bytes[PATCHES_MAX];
    uint32_t count;
    uint32_t next;    /* the first one that was not made yet */
    bool timed;       /* not all of them are due at 0 */
    uint64_t largest; /* of the sizes that it had */
    uint64_t real_size;
    bool cut;      /* under readers, maybe: a guard may have put zeros into their mapping */
    uint64_t kept; /* the front of the sound file, that was never cut off */
    struct {
        uint32_t offset, bytes;
    } dirty[PATCHES_MAX];
    uint32_t dirty_count;
};

/* Of any bytes: what is too short for a head has none. data must stay. */
void input_parse(struct input *input, const uint8_t *data, size_t size);

/* Make the patches due at 0, and show the file to readers. Later ones come with events; between: those that are due
 * between two snapshots. */
void input_begin(struct input *input);
void input_between(struct input *input);

/* The base as it was. */
void input_undo(struct input *input);

/* One step in the bytes of an input: a patch, and what belongs to it. 0: no more. */
size_t input_step(const uint8_t *data, size_t left, struct patch *patch);

#endif
