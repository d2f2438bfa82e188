/* SPDX-License-Identifier: MIT */
/* Is the writer alive? The kernel drops its lock when it dies, in whichever PID namespace; a PID says less. */
#include <errno.h>
#include <fcntl.h>

#include "shm/clock.h"
#include "shm/view.h"

#define TRIES 3
#define STUCK_NS 500000000U /* two looks at least this far apart see the same unfinished change */
#define MISSED 3U           /* heartbeats */

int shm_locked(int fd)
{
    struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET }; /* conflicts with a writer's lock only */

    if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
        return -errno;
    return lock.l_type != F_UNLCK;
}

static bool stalled(const struct shm_header *h, struct shm_look *look)
{
    uint64_t now = shm_clock_ns(CLOCK_MONOTONIC);
    uint64_t age = h->heartbeat_ns && h->heartbeat_ns < now ? now - h->heartbeat_ns : 0;

    if (h->heartbeat_interval_ns && age / MISSED > h->heartbeat_interval_ns)
        return true;
    if (!(h->structure & 1)) {
        look->structure = 0;
        return false;
    }
    if (look->structure != h->structure) {
        look->structure = h->structure;
        look->since_ns = now;
    }
    return now - look->since_ns >= STUCK_NS;
}

int shm_state(struct shm_view *view, struct shm_look *look, struct shm_header *header)
{
    for (int i = 0; i < TRIES; i++) {
        int error = 0;
        int locked = view->own ? 1 : shm_locked(view->fd);

        if (locked < 0 || shm_view_copy(view, 0, header, offsetof(struct shm_header, labels)) < 0)
            return VMT_STATE_DAMAGED;
        if (shm_check_header_of(view, header, &error))
            return error == -EPROTONOSUPPORT ? VMT_STATE_OTHER_VERSION : VMT_STATE_DAMAGED;
        /* A writer that took the lock or left between the two is looked at once more. */
        if (!view->own && shm_locked(view->fd) != locked)
            continue;
        if (header->lifecycle == SHM_CLOSED)
            return VMT_STATE_CLOSED;
        if (locked)
            return stalled(header, look) ? VMT_STATE_STALLED : VMT_STATE_LIVE;
        return header->structure & 1 || header->lifecycle != SHM_OPEN ? VMT_STATE_DIED_MID_CHANGE : VMT_STATE_DIED;
    }
    return VMT_STATE_LIVE; /* writers come and go under our eyes: one of them is there */
}
