/* SPDX-License-Identifier: MIT */
/* hmp.h: statistics as the "info stats" of QEMU's monitor for people prints them. */
#ifndef CLI_QUERY_HMP_H
#define CLI_QUERY_HMP_H

#include "cli/query/request.h"
#include "lib/export/buffer.h"

/* The answer to a request that was checked, appended to out. As QEMU's, whose monitor is of one vCPU at a time; where
 * several things are answered for, each is named by a line "qom-path: ID" before it. 0, -ENOMEM, -EFBIG. */
int hmp_print(const struct stats_request *request, const struct vmt_snapshot *snapshot, struct vmt_buffer *out);

#endif
