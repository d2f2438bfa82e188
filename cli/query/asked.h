/* SPDX-License-Identifier: MIT */
/* asked.h: the VM that is asked, which was chosen at the start and may come and go. */
#ifndef CLI_QUERY_ASKED_H
#define CLI_QUERY_ASKED_H

#include <stdbool.h>

#include <vmtally/reader.h>

#include "cli/options.h"

struct asked {
    const struct options *common;
    char *path;
    char *name; /* of the VM; NULL where it is that process or file and no other */
    struct vmt_snapshot *snapshot;
    bool fresh; /* the snapshot is as new as the request; cleared by who takes requests */
    bool again; /* the host is to be looked at before each snapshot */
};

/* The VM that vm names, or (NULL) the only one that there is. *ret is the caller's. 0, or -1 after a message. */
int asked_find(const struct options *common, const char *vm, bool again, struct asked *ret);
void asked_free(struct asked *asked);

/* For struct qmp: arg is a struct asked. */
const struct vmt_snapshot *asked_look(void *arg, char *why, size_t size);

#endif
