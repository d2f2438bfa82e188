/* SPDX-License-Identifier: MIT */
/* Snapshots of a process that has no segment. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/kvm/join.h"
#include "shm/clock.h"

static const struct vmt_descriptor no_descriptors[1];
static const uint64_t no_values[1];

/* The process itself. */
static const struct parsed process_schema = {
    .schema = { .name = "process", .provider = "vmtally", .target = "process", .descriptors = no_descriptors },
    .nothing = no_values,
};

int lone_open(struct vmt_reader *r, uint32_t pid)
{
    const struct bulletin_process *found = host_process(r->host, pid, 0);

    if (!found)
        return -ESRCH;
    r->lone = calloc(1, sizeof(*r->lone));
    if (!r->lone)
        return -ENOMEM;
    r->lone->pid = pid;
    r->lone->start = found->start;
    r->lone->reader_uid = geteuid();
    return 0;
}

enum vmt_state lone_state(const struct vmt_reader *r)
{
    return host_process(r->host, r->lone->pid, r->lone->start) ? VMT_STATE_LIVE : VMT_STATE_CLOSED;
}

/* What is known of it stays so when it has gone. */
static void remember(struct lone *p, const struct bulletin_process *found)
{
    if (!found) {
        if (!p->closed_ns)
            p->closed_ns = shm_clock_ns(CLOCK_REALTIME);
        return;
    }
    p->uid = found->uid;
    memcpy(p->name, found->name, sizeof(p->name));
    shm_clean_text(p->name, sizeof(p->name), false);
}

static void set_info(struct vmt_snapshot *s, const struct vmt_reader *r, const struct bulletin_process *found)
{
    const struct bulletin *b = host_bulletin(r->host);
    const struct lone *p = r->lone;
    struct vmt_segment_info *info = &s->info;
    uint64_t facts[2] = { p->start, p->pid };

    memcpy(s->name, p->name, sizeof(s->name));
    info->name = s->name;
    if (b)
        memcpy(info->boot_id, b->boot_id, sizeof(info->boot_id));
    memcpy(info->identity, facts, sizeof(info->identity));
    for (size_t i = 0; i < sizeof(info->identity); i++)
        info->identity[i] ^= info->boot_id[i];
    info->incarnation = 1;
    info->pid = p->pid;
    info->pid_start = p->start;
    info->uid = p->uid;
    info->closed_ns = p->closed_ns;
    info->flags = p->uid != 0 && p->uid != p->reader_uid ? VMT_SNAPSHOT_FOREIGN : 0;
    info->state = found ? VMT_STATE_LIVE : VMT_STATE_CLOSED;
    info->realtime_ns = shm_clock_ns(CLOCK_REALTIME);
    info->begin_ns = info->end_ns = shm_clock_ns(CLOCK_MONOTONIC);
    if (found) {
        join_times(s, found);
        info->end_ns = found->end_ns;
    }
    s->walk_ns = info->begin_ns;
    s->pid = p->pid;
}

int lone_read(struct vmt_snapshot *s, struct vmt_reader *r)
{
    const struct bulletin_process *found = host_process(r->host, r->lone->pid, r->lone->start);
    struct workspace *work = s->work;

    remember(r->lone, found);
    set_info(s, r, found);
    work->blocks.used = 0;
    work->nodes.used = 1;
    if (!pool_reserve(&work->nodes, 1, sizeof(struct node)) || !pool_reserve(&s->values, 1, sizeof(uint64_t)))
        return -ENOMEM;
    *NODE(s, 0) =
        (struct node){ .schema = &process_schema, .generation = 2, .seen = true, .done = true, .listed = true };
    return join_nodes(s, r, found);
}
