/* SPDX-License-Identifier: MIT */
/* The inside of TinyKVM's document. tinykvm_programs.c finds its programs, tinykvm_pattern.c matches their names, tinykvm.c
 * writes it. */
#ifndef LIB_EXPORT_TINYKVM_H
#define LIB_EXPORT_TINYKVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmtally/reader.h>

#include "lib/pool.h"

#define VMT_TINYKVM_GLOBALS "VMOD_KVM" /* the key of what is counted over all programs */

struct program {
    char *key; /* of its own, no other's */
    const struct vmt_sample *sample;
    size_t number;  /* of the source */
    uint32_t parts; /* 1 + index of the first part */
};

/* A child of a program: those of one are linked, in order. */
struct part {
    const struct vmt_sample *sample;
    uint32_t next; /* 1 + index */
};

/* All programs that match (pattern NULL: all), sorted by key, each with its children. 0, -EINVAL (pattern), -ENOMEM; to be
 * freed in any case. */
int vmt_tinykvm_programs(const struct vmt_snapshot *snapshot, const char *pattern, struct pool *programs,
                         struct pool *parts);
void vmt_tinykvm_programs_free(struct pool *programs, struct pool *parts);

struct vmt_tinykvm_pattern; /* compiled */

/* *ret is the caller's. 0, -EINVAL, -ENOMEM. */
int vmt_tinykvm_pattern_new(const char *pattern, struct vmt_tinykvm_pattern **ret);
void vmt_tinykvm_pattern_free(struct vmt_tinykvm_pattern *pattern); /* NULL is allowed */

/* As a whole? 1, 0, or -ENOMEM. */
int vmt_tinykvm_pattern_matches(struct vmt_tinykvm_pattern *pattern, const char *name);

#endif
