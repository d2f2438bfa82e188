/* SPDX-License-Identifier: MIT */
/* sandbox.h: what the commands give up before they look at the first byte of a segment, which may have been written to
 * harm them: from then on the process can read what is below the directories it was told, and print. It can't write
 * anywhere else, start a program, reach a network, signal or trace anybody: whatever fault a segment may find in us. Who
 * has a file to write all the same (vmtally export -o, kvmtop's settings) leaves that to a process outside, which sees no
 * segment.
 */
#ifndef CLI_SANDBOX_H
#define CLI_SANDBOX_H

#include <stddef.h>

#include "options.h"

#define SANDBOX_ALL_PATHS 1U /* names are paths, with a '/' in them or not */
#define SANDBOX_REMOVE 2U    /* files in these directories may be removed */
#define SANDBOX_SERVE 4U     /* connections to a socket that listens already may be accepted, and spoken on */

/* Enter it, for good; does nothing with --no-sandbox. names (count of them) are what was asked for: of paths (with a
 * '/', but "/proc/PID") the directory may be read; where there are other names, or none at all, so may the directories in which
 * vmt_discover(common->dir) looks. Of a directory that is not there yet, the nearest one above it may be read. What the
 * kernel lacks is left out: there is no error. Call it while the process has one thread. */
void sandbox_enter(const struct options *common, char *const *names, size_t count, unsigned flags);

/* The same for the process that goes on looking at other processes for this one (vmt_host_split()): it may read files that
 * its user may, and duplicate statistics fds, with the one capability for that, and never sees a segment. Landlock would
 * keep it from other processes: it can do without, as it opens files to read only. What else it needs must be open. */
void sandbox_enter_finder(const struct options *common);

/* The same for the process that speaks to a network or writes files for a reader, and never sees a segment: no new privileges,
 * no program started, nobody traced, no memory that was written becomes code, no core file, no capability (root keeps the
 * one to open files and sockets of others, as it was told to by name). Its descriptors are open already, or are opened as
 * its user may. Threads are started after it. */
void sandbox_enter_speaker(const struct options *common);

/* For people: what is in force, "Landlock and seccomp" where all is, "none" before sandbox_enter(). */
const char *sandbox_text(void);

#endif
