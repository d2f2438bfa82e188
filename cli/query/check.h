/* SPDX-License-Identifier: MIT */
/* check.h: whether what a request names is there at all. QEMU answers a slip of the finger with an empty list; here it is
 * said, with what was perhaps meant. */
#ifndef CLI_QUERY_CHECK_H
#define CLI_QUERY_CHECK_H

#include "cli/query/catalog.h"
#include "cli/query/request.h"

/* 0, or -1 with *e. The targets "vm" and "vcpu" and the provider "kvm" are known always, whether or not anything is
 * counted of them. */
int request_check(const struct stats_request *request, const struct vmt_snapshot *snapshot,
                  const struct catalog *catalog, struct qmp_error *e);
int request_check_provider(const char *provider, const struct catalog *catalog, bool words, struct qmp_error *e);

#endif
