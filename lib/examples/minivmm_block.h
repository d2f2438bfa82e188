/* SPDX-License-Identifier: MIT */
/* The disk of minivmm: requests in guest memory, handed from the vCPU threads to one device thread, and a temporary
 * file behind them. One request at a time for each CPU. Nothing here knows of vmtally.
 */
#ifndef MINIVMM_BLOCK_H
#define MINIVMM_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "minivmm_guest.h"

#define BLOCK_SECTOR_BYTES 512U
#define BLOCK_SECTORS 8192U

struct block;

struct block_request {
    struct guest_request *guest; /* in guest memory: only its status is touched again */
    uint8_t *data;               /* in guest memory */
    uint64_t offset;
    uint64_t bytes;
    unsigned cpu;
    uint8_t operation; /* GUEST_READ, GUEST_WRITE, GUEST_FLUSH */
};

/* A disk for a machine of cpus CPUs. 0 or -errno, said on stderr. */
int block_create(struct guest *guest, unsigned cpus, struct block **ret);
void block_destroy(struct block *block); /* after block_close() and the device thread's end */

/* The file's descriptor, for a seccomp filter. */
int block_fd(const struct block *block);

/* CPU threads: take over the request at address. False where the guest asks for nonsense: where it can be told, its
 * request says GUEST_STATUS_ERROR. */
bool block_submit(struct block *block, unsigned cpu, uint64_t address);

/* CPU threads: wait for the disk's interrupt, which may have come already, or (if nothing is under way) for the next
 * tick, tick_ns from now. */
void block_wait(struct block *block, unsigned cpu, uint64_t tick_ns);

/* Wait until nothing of this CPU is under way, and forget its interrupt. */
void block_drain(struct block *block, unsigned cpu);

/* The device thread: the next request, or NULL after block_close(). Do it: bytes or -errno. Tell the guest. */
struct block_request *block_next(struct block *block);
long block_transfer(struct block *block, const struct block_request *request);
void block_complete(struct block *block, struct block_request *request, long result);

/* No more requests. */
void block_close(struct block *block);

#endif
