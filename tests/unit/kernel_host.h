/* SPDX-License-Identifier: MIT */
/* kernel_host.h: a host on which the test says which processes have VMs, and what the kernel counts of them. */
#ifndef TESTS_UNIT_KERNEL_HOST_H
#define TESTS_UNIT_KERNEL_HOST_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_view.h"
#include "lib/kvm/host_struct.h"
#include "lib/schema_block.h"
#include "lib/writer.h"
#include "shm/clock.h"

#define MADE_VCPUS 4

/* A process with one VM. */
struct made {
    uint32_t pid;
    uint64_t start; /* with the pid: this process and no other */
    const char *name;
    uint32_t uid;
    unsigned vcpus;
    int debugfs;                     /* not by fds: then what is counted of all vCPUs is exits[0] */
    uint64_t exits[MADE_VCPUS];      /* of each vCPU; a tenth of them for I/O */
    uint64_t halt_waits[MADE_VCPUS]; /* of half a millisecond */
    uint64_t pages;                  /* of the VM */
};

static inline struct vmt_host *made_host(void)
{
    struct vmt_host *host = calloc(1, sizeof(*host));

    cr_assert_not_null(host);
    host->remote.socket = host->boards[0].fd = host->boards[1].fd = -1;
    host->hertz = 100;
    return host;
}

static inline void made_schemas(struct board *board)
{
    const struct vmt_schema *schemas[] = { &kernel_vm, &kernel_vcpu };
    uint64_t array = board_add(board, sizeof(uint64_t) * 2);

    for (size_t i = 0; i < 2; i++) {
        uint64_t at = board_add(board, schema_block_bytes(schemas[i]));

        schema_block_fill(board->data + at, schemas[i]);
        ((uint64_t *)bulletin_at((void *)board->data, array))[i] = at;
    }
    ((struct bulletin *)(void *)board->data)->schemas = array;
    ((struct bulletin *)(void *)board->data)->schema_count = 2;
}

/* Item number at; vcpu may be BULLETIN_VM. Its values, to be filled in. */
static inline uint64_t *made_item(struct board *board, uint64_t items, uint32_t at, const struct made *m, int vcpu,
                                  unsigned flags)
{
    const struct vmt_schema *schema = vcpu == BULLETIN_VM && !(flags & BULLETIN_TOTAL) ? &kernel_vm : &kernel_vcpu;
    uint64_t values = board_add(board, schema->slots * sizeof(uint64_t));
    struct bulletin_item *item = (struct bulletin_item *)bulletin_at((void *)board->data, items) + at;

    cr_assert(!board->failed);
    *item = (struct bulletin_item){ .generation = 2 * (m->start * 64 + at + 1),
                                    .values = values,
                                    .index = at,
                                    .schema = schema == &kernel_vcpu,
                                    .vm = 12,
                                    .vcpu = vcpu,
                                    .fd = m->debugfs ? -1 : 20 + (int)at,
                                    .flags = flags | (m->debugfs ? BULLETIN_FROM_DEBUGFS : 0U) };
    return bulletin_at((void *)board->data, values);
}

static inline void made_vcpu(uint64_t *values, const struct made *m, unsigned k)
{
    values[KVM_EXITS] = m->exits[k];
    values[KVM_IO_EXITS] = m->exits[k] / 10;
    values[KVM_HALT_HIST + 19] = m->debugfs ? 0 : m->halt_waits[k];
    values[KVM_HALT_WAIT] = m->halt_waits[k] * 500000;
}

static inline void made_process(struct board *board, uint64_t place, const struct made *m)
{
    uint32_t count = (m->debugfs ? 2 : 1) + m->vcpus;
    uint64_t items = board_add(board, count * sizeof(struct bulletin_item));
    struct bulletin_process *p;
    uint32_t at = 0;

    made_item(board, items, at++, m, BULLETIN_VM, 0)[KVM_VM_PAGES] = m->pages;
    if (m->debugfs)
        made_vcpu(made_item(board, items, at++, m, BULLETIN_VM, BULLETIN_TOTAL), m, 0);
    for (unsigned k = 0; k < m->vcpus; k++) {
        uint64_t *values = made_item(board, items, at++, m, (int)k, m->debugfs ? BULLETIN_NO_VALUES : 0);

        if (!m->debugfs)
            made_vcpu(values, m, k);
    }
    p = bulletin_at((void *)board->data, place);
    *p = (struct bulletin_process){ .start = m->start,
                                    .begin_ns = shm_clock_ns(CLOCK_MONOTONIC),
                                    .end_ns = shm_clock_ns(CLOCK_MONOTONIC),
                                    .items = items,
                                    .item_count = at,
                                    .pid = m->pid,
                                    .inner_pid = m->pid,
                                    .uid = m->uid };
    snprintf(p->name, sizeof(p->name), "%s", m->name);
}

/* What the next look finds: count processes, by pid. */
static inline void made_look(struct vmt_host *host, const struct made *processes, unsigned count)
{
    unsigned next = host->looked ? 1 - host->shown : 0;
    struct board *board = &host->boards[next];
    struct bulletin *b;
    uint64_t place;
    static uint64_t serial;

    board_clear(board);
    made_schemas(board);
    place = board_add(board, (count + 1) * sizeof(struct bulletin_process));
    for (unsigned i = 0; i < count; i++)
        made_process(board, place + i * sizeof(struct bulletin_process), &processes[i]);
    b = (void *)board->data;
    b->serial = b->epoch = ++serial;
    header_boot_id((uint64_t *)(void *)b->boot_id);
    b->processes = place;
    b->process_count = count;
    host->shown = next;
    host->looked = true;
}

#endif
