/* SPDX-License-Identifier: MIT */
#include "lib/kvm/bulletin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOM_LEAST (64U << 10)
#define ROOM_MOST (1ULL << 40)

static uint64_t room_for(uint64_t bytes)
{
    uint64_t room = ROOM_LEAST;

    while (room < bytes)
        room *= 2;
    return room;
}

/* 0, -ENOMEM, -EFBIG. */
static int grow_private(struct board *board, uint64_t room)
{
    void *data = realloc(board->data, room);

    if (!data)
        return -ENOMEM;
    board->data = data;
    return 0;
}

static int grow_shared(struct board *board, uint64_t room)
{
    void *data;

    if (ftruncate(board->fd, (off_t)room) < 0)
        return errno == EFBIG ? -EFBIG : -ENOMEM;
    data = board->data ? mremap(board->data, board->room, room, MREMAP_MAYMOVE)
                       : mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, board->fd, 0);
    if (data == MAP_FAILED)
        return -ENOMEM;
    board->data = data;
    return 0;
}

static bool make_room(struct board *board, uint64_t bytes)
{
    uint64_t room;
    int r;

    if (board->data && bytes <= board->room)
        return true;
    room = bytes > ROOM_MOST ? 0 : room_for(bytes);
    r = !room ? -ENOMEM : board->fd < 0 ? grow_private(board, room) : grow_shared(board, room);
    if (r < 0) {
        board->failed = r;
        return false;
    }
    board->room = room;
    return true;
}

void board_clear(struct board *board)
{
    struct bulletin *b;

    board->failed = 0;
    if (!make_room(board, sizeof(*b)))
        return;
    b = (void *)board->data;
    memset(b, 0, sizeof(*b));
    b->bytes = sizeof(*b);
}

uint64_t board_add(struct board *board, uint64_t bytes)
{
    uint64_t place;

    if (board->failed)
        return 0;
    place = ((struct bulletin *)(void *)board->data)->bytes;
    bytes = (bytes + 7) / 8 * 8;
    if (!make_room(board, place + bytes))
        return 0;
    memset(board->data + place, 0, bytes);
    ((struct bulletin *)(void *)board->data)->bytes = place + bytes;
    return place;
}

void board_free(struct board *board)
{
    if (board->fd < 0) {
        free(board->data);
    } else {
        if (board->data)
            munmap(board->data, board->room);
        close(board->fd);
    }
    *board = (struct board){ .fd = -1 };
}

int board_map(struct board *board, uint64_t bytes)
{
    uint64_t room = room_for(bytes);
    void *data;

    if (board->data && bytes <= board->room)
        return 0;
    data = mmap(NULL, room, PROT_READ, MAP_SHARED, board->fd, 0);
    if (data == MAP_FAILED)
        return -ENOMEM;
    if (board->data)
        munmap(board->data, board->room);
    board->data = data;
    board->room = room;
    return 0;
}

/* The first with this pid or a larger one. */
static uint32_t place_of(const struct bulletin_process *p, uint32_t n, uint32_t pid)
{
    uint32_t low = 0;

    while (low < n) {
        uint32_t middle = low + (n - low) / 2;

        if (p[middle].pid < pid)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

const struct bulletin_process *bulletin_find(const struct bulletin *b, uint32_t pid, uint64_t start)
{
    const struct bulletin_process *p = bulletin_at(b, b->processes);
    uint32_t i = place_of(p, b->process_count, pid);

    if (i == b->process_count || p[i].pid != pid || (start && p[i].start != start) || !bulletin_lives(&p[i]))
        return NULL;
    return &p[i];
}

void bulletin_ended(struct bulletin *b, uint32_t pid, uint64_t start)
{
    const struct bulletin_process *p = bulletin_find(b, pid, start);

    if (p)
        __atomic_store_n(&((struct bulletin_process *)(uintptr_t)p)->ended, 1, __ATOMIC_RELAXED);
}
