/* SPDX-License-Identifier: MIT */
/* What the sender of vmtally forward takes from the reader, which a segment may have taken over: what was agreed, or
 * nothing. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/channel.h"
#include "cli/forward/forward.h"
#include "cli/service.h"

static const struct endpoint nowhere = { .text = "unix:/nowhere/at/all", .path = "/nowhere/at/all" };

static char message[4 << 20];
static char said[8192];

/* A chunk whose head says that, with size bytes behind it. Returns its size. */
static size_t chunk(uint32_t entries, uint32_t tag_size, const char *bytes, size_t size)
{
    struct chunk_head head = { .entries = entries, .tag_size = tag_size };

    memcpy(message, &head, sizeof(head));
    memset(message + sizeof(head), 'x', size);
    memcpy(message + sizeof(head), bytes, strlen(bytes));
    return sizeof(head) + size;
}

struct reader {
    int fd;
    uint32_t kind;
    size_t size;
};

/* What comes first, and then a reader's end. */
static void *read_segments(void *argument)
{
    struct reader *r = argument;
    int part;

    channel_send(r->fd, r->kind, message, r->size, 30000, &part);
    channel_send(r->fd, FORWARD_END, NULL, 0, 30000, &part);
    return NULL;
}

/* The exit status; what was said on stderr is in said. */
static int send_to_sender(uint32_t kind, size_t size)
{
    struct forward_arguments a = { .endpoint_count = 1,
                                   .endpoints = { nowhere },
                                   .ack = 1,
                                   .timeout_ms = 100,
                                   .queue_bytes = 16 << 20,
                                   .self_host = "test" };
    struct reader reader = { .kind = kind, .size = size };
    int ends[2], saying[2], before = dup(STDERR_FILENO), signals = service_signals(), status;
    pthread_t thread;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    cr_assert_eq(pipe2(saying, O_NONBLOCK), 0);
    dup2(saying[1], STDERR_FILENO);
    reader.fd = ends[1];
    cr_assert_eq(pthread_create(&thread, NULL, read_segments, &reader), 0);
    status = forward_sender(&a, ends[0], signals);
    close(ends[0]);
    pthread_join(thread, NULL);
    dup2(before, STDERR_FILENO);
    memset(said, 0, sizeof(said));
    cr_assert_geq(read(saying[0], said, sizeof(said) - 1), 0);
    close(saying[0]), close(saying[1]), close(ends[1]), close(before), close(signals);
    return status;
}

static void refuses(const char *what, uint32_t kind, size_t size)
{
    cr_assert_eq(send_to_sender(kind, size), 1, "%s", what);
    cr_assert(strstr(said, "the process that reads segments"), "%s: %s", what, said);
    cr_assert_null(strstr(said, "lost what"), "%s was not taken: %s", what, said);
}

Test(forward_sender, chunk_that_was_agreed_on_is_taken)
{
    cr_assert_eq(send_to_sender(FORWARD_CHUNK, chunk(3, 3, "tag", 3 + 10)), 1);
    cr_assert_null(strstr(said, "the process that reads segments"), "%s", said);
    cr_assert(strstr(said, "lost what could not be delivered any more: 1 chunk with 3 records"), "%s", said);
    cr_assert_eq(send_to_sender(FORWARD_CHUNK, chunk(1, TAG_SIZE - 1, "tag", TAG_SIZE - 1 + CHUNK_MOST)), 1);
    cr_assert(strstr(said, "1 chunk with 1 record"), "%s", said);
}

Test(forward_sender, what_was_not_agreed_on_is_refused)
{
    refuses("a kind that there is not", 99, chunk(3, 3, "tag", 13));
    refuses("a chunk without a head", FORWARD_CHUNK, 4);
    refuses("a chunk without a tag", FORWARD_CHUNK, chunk(3, 0, "tag", 13));
    refuses("a tag without its end", FORWARD_CHUNK, chunk(3, 13, "tag", 13));
    refuses("a tag that ends behind the chunk", FORWARD_CHUNK, chunk(3, 255, "tag", 13));
    refuses("a tag whose size wraps", FORWARD_CHUNK, chunk(3, UINT32_MAX, "tag", 13));
    refuses("a tag that is too long", FORWARD_CHUNK, chunk(3, TAG_SIZE, "tag", TAG_SIZE + 10));
    refuses("a tag that is not printable", FORWARD_CHUNK, chunk(3, 3, "t\ng", 13));
    refuses("a tag that is not ASCII", FORWARD_CHUNK, chunk(3, 3, "t\xffg", 13));
    refuses("no entries", FORWARD_CHUNK, chunk(0, 3, "tag", 13));
    refuses("more entries than bytes", FORWARD_CHUNK, chunk(11, 3, "tag", 13));
    refuses("a chunk that is too large", FORWARD_CHUNK, chunk(3, 3, "tag", 3 + CHUNK_MOST + 1));
    refuses("a message that is too large", FORWARD_CHUNK, chunk(3, 3, "tag", 3 << 20));
    refuses("a sample cut short", FORWARD_SAMPLE, sizeof(struct forward_sample) - 1);
}
