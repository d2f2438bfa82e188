/* SPDX-License-Identifier: MIT */
#include "minivmm_block.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum slot_state { IDLE, QUEUED, COMPLETED };

struct slot {
    struct block_request request;
    pthread_cond_t completed;
    enum slot_state state;
};

struct block {
    struct guest *guest;
    pthread_mutex_t lock;
    pthread_cond_t queued;
    int fd;
    bool closed;
    unsigned cpus;
    unsigned turn; /* where the device thread looks first */
    struct slot slot[];
};

/* A file without a name: on a real file system where that can be, in memory else. */
static int open_file(void)
{
    const char *dir = getenv("TMPDIR");
    int fd = open(dir && *dir ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        fd = memfd_create("minivmm-disk", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, (off_t)BLOCK_SECTORS * BLOCK_SECTOR_BYTES) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int block_create(struct guest *guest, unsigned cpus, struct block **ret)
{
    struct block *block = calloc(1, sizeof(*block) + cpus * sizeof(block->slot[0]));
    pthread_condattr_t monotonic;
    int fd = open_file();

    if (!block || fd < 0) {
        int r = block ? -errno : -ENOMEM;

        warn("the disk's file");
        free(block);
        if (fd >= 0)
            close(fd);
        return r;
    }
    block->guest = guest;
    block->fd = fd;
    block->cpus = cpus;
    pthread_mutex_init(&block->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&block->queued, &monotonic);
    for (unsigned n = 0; n < cpus; n++)
        pthread_cond_init(&block->slot[n].completed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *ret = block;
    return 0;
}

void block_destroy(struct block *block)
{
    if (!block)
        return;
    for (unsigned n = 0; n < block->cpus; n++)
        pthread_cond_destroy(&block->slot[n].completed);
    pthread_cond_destroy(&block->queued);
    pthread_mutex_destroy(&block->lock);
    close(block->fd);
    free(block);
}

int block_fd(const struct block *block) { return block->fd; }

static void set_status(struct guest_request *guest, uint8_t status)
{
    /* Release: pairs with the guest's load of the status; the data is complete before. */
    __atomic_store_n(&guest->status, status, __ATOMIC_RELEASE);
}

/* The guest may change its request at any time: look once, check the copy, use the copy. */
static bool parse(struct block *block, unsigned cpu, uint64_t address, struct block_request *request)
{
    struct guest_request *guest = guest_memory(block->guest, address, GUEST_REQUEST_BYTES);
    uint32_t sector, sectors;
    uint8_t operation;

    if (!guest)
        return false;
    sector = __atomic_load_n(&guest->sector, __ATOMIC_RELAXED);
    sectors = __atomic_load_n(&guest->sectors, __ATOMIC_RELAXED);
    operation = __atomic_load_n(&guest->operation, __ATOMIC_RELAXED);
    if (operation > GUEST_FLUSH || sectors < 1 || sectors > GUEST_REQUEST_SECTORS || sector > BLOCK_SECTORS - sectors) {
        set_status(guest, GUEST_STATUS_ERROR);
        return false;
    }
    *request = (struct block_request){
        .guest = guest,
        .data = (uint8_t *)guest + GUEST_REQUEST_DATA,
        .offset = (uint64_t)sector * BLOCK_SECTOR_BYTES,
        .bytes = (uint64_t)sectors * BLOCK_SECTOR_BYTES,
        .cpu = cpu,
        .operation = operation,
    };
    return true;
}

bool block_submit(struct block *block, unsigned cpu, uint64_t address)
{
    struct slot *slot = &block->slot[cpu];
    struct block_request request;
    bool taken = parse(block, cpu, address, &request);

    if (!taken)
        return false;
    pthread_mutex_lock(&block->lock);
    taken = slot->state != QUEUED;
    if (taken) {
        slot->request = request;
        slot->state = QUEUED;
        pthread_cond_signal(&block->queued);
    }
    pthread_mutex_unlock(&block->lock);
    return taken;
}

void block_wait(struct block *block, unsigned cpu, uint64_t tick_ns)
{
    struct slot *slot = &block->slot[cpu];
    uint64_t until_ns = guest_clock_ns() + tick_ns;
    struct timespec until = { .tv_sec = (time_t)(until_ns / 1000000000U), .tv_nsec = (long)(until_ns % 1000000000U) };
    int r = 0;

    pthread_mutex_lock(&block->lock);
    while (r == 0 && slot->state != COMPLETED)
        r = pthread_cond_timedwait(&slot->completed, &block->lock, &until);
    if (slot->state == COMPLETED)
        slot->state = IDLE;
    pthread_mutex_unlock(&block->lock);
}

void block_drain(struct block *block, unsigned cpu)
{
    struct slot *slot = &block->slot[cpu];

    pthread_mutex_lock(&block->lock);
    while (slot->state == QUEUED)
        pthread_cond_wait(&slot->completed, &block->lock);
    slot->state = IDLE;
    pthread_mutex_unlock(&block->lock);
}

static struct block_request *find_queued(struct block *block)
{
    for (unsigned i = 0; i < block->cpus; i++) {
        unsigned n = (block->turn + i) % block->cpus;

        if (block->slot[n].state == QUEUED) {
            block->turn = n + 1;
            return &block->slot[n].request;
        }
    }
    return NULL;
}

struct block_request *block_next(struct block *block)
{
    struct block_request *request;

    pthread_mutex_lock(&block->lock);
    while (!(request = find_queued(block)) && !block->closed)
        pthread_cond_wait(&block->queued, &block->lock);
    pthread_mutex_unlock(&block->lock);
    return request;
}

long block_transfer(struct block *block, const struct block_request *request)
{
    long r;

    do {
        switch (request->operation) {
        case GUEST_READ:
            r = pread(block->fd, request->data, request->bytes, (off_t)request->offset);
            break;
        case GUEST_WRITE:
            r = pwrite(block->fd, request->data, request->bytes, (off_t)request->offset);
            break;
        default:
            r = fdatasync(block->fd);
            break;
        }
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

void block_complete(struct block *block, struct block_request *request, long result)
{
    struct slot *slot = &block->slot[request->cpu];
    bool whole = request->operation == GUEST_FLUSH ? result == 0 : result == (long)request->bytes;

    pthread_mutex_lock(&block->lock); /* before the guest can see it, and ask for more */
    set_status(request->guest, whole ? GUEST_STATUS_DONE : GUEST_STATUS_ERROR);
    slot->state = COMPLETED;
    pthread_cond_signal(&slot->completed);
    pthread_mutex_unlock(&block->lock);
}

void block_close(struct block *block)
{
    pthread_mutex_lock(&block->lock);
    block->closed = true;
    pthread_cond_signal(&block->queued);
    pthread_mutex_unlock(&block->lock);
}
