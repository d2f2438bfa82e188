/* SPDX-License-Identifier: MIT */
/* RCU inside one process: liburcu's urcu-mb, which uses neither membarrier nor a helper thread (both may be denied in
 * a jail, and then abort). Readers are walks of the writer's private index and snapshots of one's own segment.
 *
 * What may run beside what: grace_read_lock .. grace_read_unlock beside everything; grace_wait beside everything but a
 * read section of its own thread (grace_inside): it would wait for itself.
 */
#ifndef LIB_GRACE_H
#define LIB_GRACE_H

#include <stdbool.h>

struct grace {
    bool registered_here;
};

/* Enter a read section; the thread is registered for the length of it unless its host has done so. */
struct grace grace_read_lock(void);
void grace_read_unlock(struct grace g);

/* Is this thread in a read section, ours or its host's? */
bool grace_inside(void);

/* Wait for the read sections that are now open to end. */
void grace_wait(void);

#endif
