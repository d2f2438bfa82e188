/* SPDX-License-Identifier: MIT */
/* The inside of struct vmt_host, for what reads it: join.c and the readers. */
#ifndef LIB_KVM_HOST_H
#define LIB_KVM_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include <vmtally/host.h>

#include "lib/kvm/bulletin.h"
#include "lib/parsed.h"
#include "shm/layout.h"

/* The newest bulletin, NULL before the first look. Valid until the next. */
const struct bulletin *host_bulletin(const struct vmt_host *host);

/* Schema number n of the bulletin, parsed; held as long as the host is. NULL: no memory. */
struct parsed *host_schema(struct vmt_host *host, uint32_t n);

/* The process that writes the segment with this header, or NULL: the same pid (in the writer's namespace) and start time
 * and this boot; where the writer did not know its start time, the process must be older than the segment. And the file is
 * that process's user's, or not foreign (root's): a segment can't claim somebody else's process. */
const struct bulletin_process *host_process_of(const struct vmt_host *host, const struct shm_header *header,
                                               uint32_t uid, bool foreign);

/* The one with this pid, as seen here, and start (0: any); NULL: it has gone. */
const struct bulletin_process *host_process(const struct vmt_host *host, uint32_t pid, uint64_t start);

/* Of the handles in the segment at path, with this header, nobody led to what the kernel counts, and its process is not
 * known; the first of them is there since since_ns (CLOCK_REALTIME), 0: there are none. For vmt_host_trouble(), which says
 * so until the next look if there is a reason. 0 or -ENOMEM. */
int host_unread(struct vmt_host *host, const char *path, const struct shm_header *header, uint64_t since_ns);

/* The number behind "/proc/", nothing else following; 0: it is no such path. */
uint32_t host_pid_of_path(const char *path);

#endif
