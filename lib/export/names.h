/* SPDX-License-Identifier: MIT */
/* What all formats say alike: QEMU's words for a descriptor's flags, and what a slot's u64 means. */
#ifndef LIB_EXPORT_NAMES_H
#define LIB_EXPORT_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include <vmtally/reader.h>

#include "shm/layout.h"

#include "writer.h"

/* "unknown" where the flags hold what this version doesn't know. */
const char *vmt_export_type(const struct vmt_descriptor *d);
const char *vmt_export_unit(const struct vmt_descriptor *d);        /* NULL: none */
const char *vmt_export_aggregation(const struct vmt_descriptor *d); /* NULL: the type's own */
const char *vmt_export_level(const struct vmt_descriptor *d);       /* NULL: info */

/* The base of the exponent: 10 or 2. */
uint64_t vmt_export_base(const struct vmt_descriptor *d);

/* Its value is a list: a histogram, or more than one slot. */
static inline bool vmt_export_is_list(const struct vmt_descriptor *d)
{
    uint32_t type = d->flags & VMT_TYPE_MASK;

    return type == VMT_TYPE_LINEAR_HIST || type == VMT_TYPE_LOG_HIST || d->size != 1;
}

/* What QEMU says of a statistic, with its keys: name, type, unit (where it has one), base (where there is an exponent) and
 * exponent. */
void vmt_export_put_kind(struct vmt_writer *w, const struct vmt_descriptor *d);

/* Its value is true or false. A total that is a sum says how many are true, an average or a count of zeros is a number
 * too: over several sources only a minimum or a maximum of booleans is one. */
bool vmt_export_is_boolean(const struct vmt_descriptor *d, bool total);

/* What a slot holds that nothing was counted into, where that is no value: a minimum, or a signed maximum.
 * 0 where all is a value. */
static inline uint64_t vmt_export_absent(const struct vmt_descriptor *d) { return shm_identity(d->flags); }

/* A "key=value" label, cut in two. Without a '=' the value is "". */
struct vmt_export_label {
    const char *key;
    size_t key_size;
    const char *value;
};

/* Label i, false where an earlier one has the same key: keys are unique in what is written. */
bool vmt_export_label(const char *const *labels, size_t i, struct vmt_export_label *ret);

/* How many labels vmt_export_label() gives. *count is how many there are. */
size_t vmt_export_labels(const char *const *labels, size_t *count);

#endif
