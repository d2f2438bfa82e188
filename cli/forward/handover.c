/* SPDX-License-Identifier: MIT */
#include "handover.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/export/buffer.h"
#include "shm/clock.h"

#define OPEN_BYTES ((size_t)4 << 20) /* of all chunks that are being filled */
#define SPARE 8                      /* messages kept with their memory */

void handover_init(struct handover *h, int fd, struct forward_sample *counts)
{
    *h = (struct handover){ .fd = fd, .counts = counts, .moved = 1 };
    h->ready_end = &h->ready;
}

static void message_free(struct handover_message *m)
{
    vmt_buffer_free(&m->data);
    free(m);
}

static void free_list(struct handover_message *m)
{
    while (m) {
        struct handover_message *next = m->next;

        message_free(m);
        m = next;
    }
}

void handover_free(struct handover *h)
{
    for (size_t i = 0; i < h->open_count; i++)
        message_free(h->open[i]);
    free_list(h->ready);
    free_list(h->spare);
}

static struct handover_message *message_new(struct handover *h)
{
    struct handover_message *m = h->spare;

    if (!m)
        return calloc(1, sizeof(*m));
    h->spare = m->next;
    h->spare_count--;
    m->next = NULL;
    vmt_buffer_clear(&m->data);
    return m;
}

/* Memory that was touched once is worth keeping, but not that of as many as there may be at once. */
static void message_done(struct handover *h, struct handover_message *m)
{
    if (h->spare_count == SPARE) {
        message_free(m);
        return;
    }
    m->next = h->spare;
    h->spare = m;
    h->spare_count++;
}

/* ---- to the sender ---- */

/* As much as goes now. 1: all of it; 0: not all; -EPIPE. */
static int send_ready(struct handover *h)
{
    struct handover_message *m;

    while ((m = h->ready) != NULL) {
        size_t before;
        int r;

        if (!h->on_its_way)
            channel_out_begin(&h->out, m->kind, m->data.data, m->data.size);
        h->on_its_way = true;
        before = h->out.sent;
        r = channel_out_go(h->fd, &h->out);
        h->moved += h->out.sent - before;
        if (r <= 0)
            return r;
        h->on_its_way = false;
        h->ready = m->next;
        if (!h->ready)
            h->ready_end = &h->ready;
        h->ready_bytes -= m->data.size;
        message_done(h, m);
    }
    return 1;
}

/* For the sender, or for its end. */
static int wait_until(const struct handover *h, uint64_t end_ns)
{
    struct pollfd p = { .fd = h->fd, .events = h->ready ? POLLOUT : 0 };
    uint64_t now = shm_now_ns();
    int ms = -1;

    if (end_ns)
        ms = end_ns > now ? (int)((end_ns - now - 1) / 1000000U + 1) : 0;
    if (poll(&p, 1, ms) < 0 && errno != EINTR)
        return -errno;
    return p.revents & (POLLERR | POLLHUP | POLLNVAL) ? -EPIPE : 0;
}

int handover_until(struct handover *h, uint64_t end_ns)
{
    int r;

    for (;;) {
        r = send_ready(h);
        if (r < 0 || (r == 1 && end_ns == 0) || (end_ns != 0 && shm_now_ns() >= end_ns))
            return r < 0 ? r : 0;
        r = wait_until(h, end_ns);
        if (r < 0)
            return r;
    }
}

/* Room for one more message, if there is some in the time that is left for that. 1, 0 or -EPIPE. */
static int make_room(struct handover *h)
{
    uint64_t start = shm_now_ns();
    int r = send_ready(h);

    while (r >= 0 && h->ready_bytes > HANDOVER_READY_BYTES && shm_now_ns() - start < h->may_wait_ns) {
        r = wait_until(h, start + h->may_wait_ns);
        if (r >= 0)
            r = send_ready(h);
    }
    if (r < 0)
        return r;
    if (h->ready_bytes <= HANDOVER_READY_BYTES)
        return 1;
    h->may_wait_ns = 0;
    return 0;
}

/* m becomes ready, or is left out. */
static int hand_over(struct handover *h, struct handover_message *m)
{
    int r = make_room(h);

    if (r <= 0) {
        h->counts->records_not_handed += m->entries;
        message_done(h, m);
        return r;
    }
    h->ready_bytes += m->data.size;
    *h->ready_end = m;
    h->ready_end = &m->next;
    m->next = NULL;
    return send_ready(h) < 0 ? -EPIPE : 0;
}

void handover_begin(struct handover *h, uint64_t may_wait_ns)
{
    h->may_wait_ns = h->moved || !h->ready ? may_wait_ns : 0;
    h->moved = 0;
}

int handover_say(struct handover *h, uint32_t kind, const void *data, size_t size)
{
    struct handover_message *m = message_new(h);
    int r = m ? vmt_buffer_append(&m->data, data, size) : -ENOMEM;

    if (r < 0) {
        if (m)
            message_done(h, m);
        return r;
    }
    m->kind = kind;
    m->entries = 0;
    return hand_over(h, m);
}

/* ---- chunks ---- */

static int close_chunk(struct handover *h, size_t i)
{
    struct handover_message *m = h->open[i];
    struct chunk_head head = { m->entries, (uint32_t)m->tag_size };

    h->open[i] = h->open[--h->open_count];
    h->open_bytes -= m->data.size;
    memcpy(m->data.data, &head, sizeof(head));
    return hand_over(h, m);
}

int handover_flush(struct handover *h)
{
    int r = 0;

    while (h->open_count && r == 0)
        r = close_chunk(h, 0);
    return r;
}

static bool is_of(const struct handover_message *m, const char *tag, size_t tag_size)
{
    return m->tag_size == tag_size && memcmp(m->data.data + sizeof(struct chunk_head), tag, tag_size) == 0;
}

static int open_chunk(struct handover *h, const char *tag, size_t tag_size, size_t *ret)
{
    const struct chunk_head head = { 0, 0 };
    struct handover_message *m = message_new(h);
    int r = m ? vmt_buffer_append(&m->data, &head, sizeof(head)) : -ENOMEM;

    if (r == 0)
        r = vmt_buffer_append(&m->data, tag, tag_size);
    if (r < 0) {
        if (m)
            message_done(h, m);
        return r;
    }
    m->kind = FORWARD_CHUNK;
    m->entries = 0;
    m->tag_size = tag_size;
    h->open_bytes += m->data.size;
    *ret = h->open_count;
    h->open[h->open_count++] = m;
    return 0;
}

/* What nobody has added to for longest: most tags are those of a VM that is done. */
static size_t oldest(const struct handover *h)
{
    size_t found = 0;

    for (size_t i = 1; i < h->open_count; i++) {
        if (h->open[i]->used < h->open[found]->used)
            found = i;
    }
    return found;
}

static int find_chunk(struct handover *h, const char *tag, size_t tag_size, size_t *ret)
{
    int r = 0;

    for (size_t i = 0; i < h->open_count; i++) {
        if (is_of(h->open[i], tag, tag_size)) {
            *ret = i;
            return 0;
        }
    }
    if (h->open_count == HANDOVER_OPEN)
        r = close_chunk(h, oldest(h));
    return r < 0 ? r : open_chunk(h, tag, tag_size, ret);
}

int handover_add(struct handover *h, const char *tag, size_t tag_size, const void *entry, size_t size)
{
    const size_t head = sizeof(struct chunk_head) + tag_size;
    struct handover_message *m;
    size_t i;
    int r;

    h->counts->records++;
    h->counts->bytes += size;
    if (size > CHUNK_MOST - head) {
        h->counts->records_not_handed++;
        return 0;
    }
    r = find_chunk(h, tag, tag_size, &i);
    if (r == 0 && h->open[i]->entries && h->open[i]->data.size - head + size > CHUNK_BYTES) {
        r = close_chunk(h, i);
        if (r == 0)
            r = open_chunk(h, tag, tag_size, &i);
    }
    if (r < 0)
        return r;
    m = h->open[i];
    r = vmt_buffer_append(&m->data, entry, size);
    if (r < 0)
        return r;
    m->entries++;
    m->used = ++h->uses;
    h->open_bytes += size;
    while (r == 0 && h->open_bytes > OPEN_BYTES)
        r = close_chunk(h, oldest(h));
    return r;
}
