/* SPDX-License-Identifier: MIT */
/* stats.h: query-stats and query-stats-schemas, answered from one snapshot in the shapes of QEMU's qapi/stats.json. */
#ifndef CLI_QUERY_STATS_H
#define CLI_QUERY_STATS_H

#include "cli/query/catalog.h"
#include "cli/query/request.h"
#include "lib/export/writer.h"

/* What is asked for, one after the other. Each call returns 0, or what shall end it. */
struct stats_visitor {
    int (*open)(struct stats_visitor *v, const char *provider, const char *path); /* path NULL: it has none */
    int (*value)(struct stats_visitor *v, const struct vmt_descriptor *d, const uint64_t *values);
    int (*close)(struct stats_visitor *v);
};

/* Sources that are leaving or could not be read are left out, and values that are none (yet). 0, or what a call returned. */
int stats_visit(const struct stats_request *request, const struct vmt_snapshot *snapshot,
                struct stats_visitor *visitor);

/* The answer to a request that was checked: StatsResult[]. The writer ends with -EFBIG where its buffer has more than most bytes. */
void stats_write(const struct stats_request *request, const struct vmt_snapshot *snapshot, size_t most,
                 struct vmt_writer *w);

/* StatsSchema[], of provider or (NULL) all. Sorts the catalog anew. 0, or -1 with *e. */
int schemas_write(const char *provider, struct catalog *catalog, size_t most, struct vmt_writer *w,
                  struct qmp_error *e);

#endif
