/* SPDX-License-Identifier: MIT */
/* batch_json_stats.h: the statistics of one source, or of a total, in a sample as JSON: values, and how they changed. */
#ifndef CLI_TOP_BATCH_JSON_STATS_H
#define CLI_TOP_BATCH_JSON_STATS_H

#include <vmtally/delta.h>

#include "lib/export/json_writer.h"

struct batch_stats {
    const struct vmt_schema *schema;
    const uint64_t *values;
    const struct vmt_delta *delta;   /* that change is of */
    const struct vmt_change *change; /* since the last beat; NULL: they are compared with nothing */
    int total;                       /* over several sources */
    int described;                   /* each with what its descriptor says */
};

/* Write "stats": { ... } into the map that is open. Errors stay in the writer. */
void batch_json_stats(struct vmt_json_writer *json, struct batch_stats stats);

#endif
