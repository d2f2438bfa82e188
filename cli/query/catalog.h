/* SPDX-License-Identifier: MIT */
/* catalog.h: which statistics a snapshot has, by target, provider and name: the schemas of its sources and totals, those
 * of one target and provider united. */
#ifndef CLI_QUERY_CATALOG_H
#define CLI_QUERY_CATALOG_H

#include <stdbool.h>

#include <vmtally/reader.h>

struct catalog_entry {
    const char *target;
    const char *provider;
    const struct vmt_descriptor *descriptor; /* the first of this name, should schemas differ */
    size_t order;                            /* of appearance */
};

struct catalog {
    struct catalog_entry *entries; /* by target, provider and name; each name once */
    size_t count;
};

/* *ret is the caller's, valid as long as the snapshot is as it is. 0 or -ENOMEM. */
int catalog_make(const struct vmt_snapshot *snapshot, struct catalog *ret);
void catalog_free(struct catalog *catalog);

/* Those of target, provider and name; the last, or the last two, may be NULL: any. How many; *first is the first of them. */
size_t catalog_find(const struct catalog *catalog, const char *target, const char *provider, const char *name,
                    const struct catalog_entry **first);

/* From now on by target, provider and order of appearance: nothing is found in it any more. */
void catalog_in_order(struct catalog *catalog);

#endif
