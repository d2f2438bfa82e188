/* SPDX-License-Identifier: MIT */
/* Find the processes that have VMs, get at their counters, and read them. Whoever does this needs permissions, and never
 * sees a byte of a segment. */
#ifndef LIB_KVM_FIND_H
#define LIB_KVM_FIND_H

#include "lib/kvm/bulletin.h"

struct finder;

/* proc, debugfs: where those file systems are. pid not 0: look at that process only. *ret is the caller's. 0, -ENOMEM. */
int finder_new(const char *proc, const char *debugfs, uint32_t pid, struct finder **ret);
void finder_free(struct finder *finder);

/* Open now what takes permissions that will be given up (debugfs, /dev/kvm). 0 or -ENOMEM. */
int finder_prepare(struct finder *finder);

/* In a process of its own: as many descriptors as there may be. */
void finder_take_all(struct finder *finder);

/* Lose no descriptor that is needed when others are closed: those of the finder itself, at most FINDER_FDS; how many. */
#define FINDER_FDS 3
size_t finder_fds(const struct finder *finder, int fds[FINDER_FDS]);

/* Look for what is new and what has gone, read all counters, and make the bulletin. 0 or -ENOMEM. The first look goes
 * through all processes; later ones through those that are new, those that have VMs, and some of the others. */
int finder_look(struct finder *finder, struct board *board);

/* Becomes readable (poll) when a process whose fds are held has ended: finder_drop_ended() lets go of them, and the VM. */
int finder_fd(const struct finder *finder);

/* Those that have ended are marked as such on the boards, where they are there. */
void finder_drop_ended(struct finder *finder, struct board boards[2]);

#endif
