/* SPDX-License-Identifier: MIT */
/* host.h: all VMs of this host, for commands that enter the sandbox, in which nobody can look at other processes. */
#ifndef CLI_HOST_H
#define CLI_HOST_H

#include "options.h"

/* Look at the host, before sandbox_enter(), into common->host; where that fails there are segments only. again not 0: it
 * will be looked at again (vmt_host_look()). Then the limit of open files is raised as far as it may be, as each segment
 * takes one, and a process is kept that may still look: it has the permissions that takes and nothing else, and never sees a
 * segment. */
void host_start(struct options *common, int again);
void host_stop(struct options *common);

/* What of the kernel's counters of the VM at path (as for vmt_host_trouble(); NULL: of all) could not be read, and what to
 * do about it: on stderr, after what is on stdout; once a run. */
void host_say_trouble(const struct options *common, const char *path);

#endif
