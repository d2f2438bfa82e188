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

/* Is the writer's life as in header still? The structure of a living one may change at any time. */
static bool unchanged(struct shm_view *view, const struct shm_header *header, bool structure_too)
{
    struct {
        uint64_t structure, file_bytes;
        uint32_t source_used, lifecycle;
        uint64_t schemas, incarnation;
    } now;

    static_assert(offsetof(struct shm_header, incarnation) + 8 - offsetof(struct shm_header, structure) == sizeof(now),
                  "the same fields");
    return shm_view_copy(view, offsetof(struct shm_header, structure), &now, sizeof(now)) == 0 &&
           now.lifecycle == header->lifecycle && now.incarnation == header->incarnation &&
           (!structure_too || now.structure == header->structure);
}

int shm_state(struct shm_view *view, struct shm_look *look, struct shm_header *header)
{
    for (int i = 0; i < TRIES; i++) {
        int error = 0;
        int locked;

        if (shm_view_copy(view, 0, header, offsetof(struct shm_header, labels)) < 0)
            return VMT_STATE_DAMAGED;
        if (shm_check_header_of(view, header, &error))
            return error == -EPROTONOSUPPORT ? VMT_STATE_OTHER_VERSION : VMT_STATE_DAMAGED;
        /* The lock between the two looks, not before or after. Both fences pair with the releases of lifecycle and
         * incarnation in mend() and vmt_segment_close(), this one with that of source_used in publish(), too. */
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        locked = view->own ? 1 : shm_locked(view->fd);
        if (locked < 0)
            return VMT_STATE_DAMAGED;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        /* As it was before the lock was asked about and after it, so it was then. */
        if (!unchanged(view, header, !locked))
            continue;
        if (header->lifecycle == SHM_CLOSED)
            return VMT_STATE_CLOSED;
        if (locked)
            return stalled(header, look) ? VMT_STATE_STALLED : VMT_STATE_LIVE;
        return header->structure & 1 || header->lifecycle != SHM_OPEN ? VMT_STATE_DIED_MID_CHANGE : VMT_STATE_DIED;
    }
    return VMT_STATE_LIVE; /* writers come and go under our eyes: one of them is there */
}
