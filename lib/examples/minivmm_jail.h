/* SPDX-License-Identifier: MIT */
/* The jail of minivmm. The segment is made before, while there still are files; what it needs afterwards stands in
 * vmtally(3), what the VMM itself needs in minivmm_jail.c. Errors are negative errno
 * and have been said on stderr.
 */
#ifndef MINIVMM_JAIL_H
#define MINIVMM_JAIL_H

#include <stdbool.h>

/* Enter an empty root directory that no longer has a name, and become nobody. Before any thread is started. */
int jail_enter(void);

/* From now on any other system call kills the process, in all of its threads. disk_fd: the disk's file. kernel: with those
 * that a vCPU whose kernel counters are published needs when it is plugged again. */
int jail_close(int disk_fd, bool kernel);

#endif
