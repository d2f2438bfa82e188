/* SPDX-License-Identifier: MIT */
/* A child of fork() shares the mapping, and with it the writer's lock. Its first act is to give both up: private memory
 * over the whole range, at the same addresses, so that counting goes on and reaches nobody; and to close what it has of
 * KVM's statistics fds, which would keep the VM alive. (MADV_DONTFORK would let a counting child die. A segment of the
 * child's own under the same handles is not made here: it would take allocation and locks, which a child of a threaded
 * process can't rely on before it says so by a call, which is to come.) Only async-signal-safe calls, and none of the
 * segments' locks: another thread may have held them at the fork. */
#include "lib/writer.h"

#include <sys/mman.h>
#include <unistd.h>

#include "lib/kvm/statistics.h"
#include "lib/parsed.h"

/* Where memory is strictly accounted for there may not be that much: then what is in use only. At the worst a child
 * that counts ends, rather than count for its parent. */
void segment_give_up(const struct vmt_segment *s)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;

    if (mmap(s->space.base, s->space.max_bytes, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED)
        return;
    if (mmap(s->space.base, s->space.max_bytes, PROT_NONE, flags, -1, 0) == MAP_FAILED)
        munmap(s->space.base, s->space.max_bytes);
    else
        mmap(s->space.base, s->space.file_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
}

void vmt_child_after_fork(void)
{
    for (struct vmt_segment *s = segment_first(); s; s = s->next) {
        if (!s->open || s->forked)
            continue;
        s->forked = true;
        kvm_after_fork(s);
        segment_give_up(s);
        if (s->fd >= 0)
            close(s->fd);
        s->fd = -1;
    }
}

static void hold(void)
{
    segments_hold();
    parsed_hold();
    kvm_schemas_hold();
}

static void let_go(void)
{
    kvm_schemas_let_go();
    parsed_let_go();
    segments_let_go();
}

static void in_child(void)
{
    let_go();
    vmt_child_after_fork();
}

static void watch(void) { pthread_atfork(hold, let_go, in_child); }

void fork_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch);
}
