/* SPDX-License-Identifier: MIT */
/* The exits of the guest's code (minivmm_guest.c), without a guest. */
#include <string.h>

#include "minivmm_guest.h"

/* About what a fast machine spends in the guest between two exits. */
#define RUN_NS 3000

static void make_request(struct simulated *simulated, struct guest *guest)
{
    uint64_t address = (uint64_t)GUEST_REQUEST_PARAGRAPH(simulated->n) << 4;
    struct guest_request *request = guest_memory(guest, address, sizeof(*request));
    uint32_t round = simulated->round;

    *request = (struct guest_request){
        .sector = (round & 0xff) * 8,
        .sectors = (uint16_t)((round & 7) + 1),
        .operation = (round & 15) == 15 ? GUEST_FLUSH : (round & 1),
        .status = GUEST_STATUS_PENDING,
    };
}

static int request_is_pending(const struct simulated *simulated, struct guest *guest)
{
    uint64_t address = (uint64_t)GUEST_REQUEST_PARAGRAPH(simulated->n) << 4;
    const struct guest_request *request = guest_memory(guest, address, sizeof(*request));

    /* Acquire: pairs with the release in block_complete(). */
    return __atomic_load_n(&request->status, __ATOMIC_ACQUIRE) == GUEST_STATUS_PENDING;
}

void simulated_run(struct simulated *simulated, struct guest *guest, struct guest_exit *exit)
{
    static const struct guest_exit steps[] = {
        { GUEST_OUT, 1, GUEST_PORT_CONSOLE, NULL, 0 },
        { GUEST_OUT, 1, GUEST_PORT_CONSOLE, NULL, 0 },
        { GUEST_OUT, 1, GUEST_PORT_CONSOLE, NULL, 0 },
        { GUEST_OUT, 1, GUEST_PORT_CONSOLE, NULL, 0 },
        { GUEST_IN, 1, GUEST_PORT_STATUS, NULL, 0 },
        { GUEST_MMIO_READ, 4, GUEST_MMIO_TIMER + 4, NULL, 0 },
        { GUEST_MMIO_WRITE, 4, GUEST_MMIO_TIMER, NULL, 0 },
        { GUEST_OUT, 2, GUEST_PORT_DISK, NULL, 0 },
        { GUEST_HLT, 0, 0, NULL, 0 },
        { GUEST_HLT, 0, 0, NULL, 0 },
    };
    const unsigned wait = sizeof(steps) / sizeof(steps[0]) - 2; /* the halt in which the disk is waited for */
    uint64_t start_ns = guest_clock_ns();
    uint16_t paragraph = (uint16_t)GUEST_REQUEST_PARAGRAPH(simulated->n);

    while (guest_clock_ns() - start_ns < RUN_NS) {
    }
    *exit = steps[simulated->step];
    exit->data = simulated->data;
    if (exit->address == GUEST_PORT_CONSOLE)
        simulated->data[0] = '.';
    if (exit->address == GUEST_PORT_DISK) {
        make_request(simulated, guest);
        memcpy(simulated->data, &paragraph, sizeof(paragraph));
    }
    if (simulated->step != wait + 1 || !request_is_pending(simulated, guest))
        simulated->step++;
    if (simulated->step == sizeof(steps) / sizeof(steps[0])) {
        simulated->step = 0;
        simulated->round++;
    }
}
