/* SPDX-License-Identifier: MIT */
/* channel.h: messages between the two processes of a command: the reader, which sees segments and is in the sandbox, and
 * the one outside, which speaks to the network or writes files. Neither trusts the other in more than what is here: a segment
 * may have taken the reader over.
 *
 * A message is a kind and up to CHANNEL_MAX bytes, on a SOCK_STREAM pair; what kinds there are each command says.
 */
#ifndef CLI_CHANNEL_H
#define CLI_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <vmtally/export.h>

#include "options.h"

#define CHANNEL_MAX ((size_t)256 << 20)

/* Start the reader: a child that calls run(arg, fd) and ends with what that gives. It is entered before the sandbox is:
 * run calls host_start() and sandbox_enter(), which needs no flag for the channel. It has nothing that is open here but fd and
 * standard error; signals that are blocked here are blocked there, so those that the parent reads from service_signals() do
 * not end it. It ends when the channel is closed, or its parent dies. SIGPIPE is ignored from here on, in both. Call it while
 * there is one thread. Returns the child, and in *fd the parent's end, close-on-exec and non-blocking, as the child's is; or a
 * negative errno. */
pid_t channel_start(int (*run)(void *arg, int fd), void *arg, int *fd);

/* The whole message within timeout_ms (-1: however long it takes). 0; -EPIPE (the other one has gone); -ETIMEDOUT: where
 * nothing was sent yet the message may be tried again, or left out; *part (may be NULL) is set to 1 if a part of it was
 * sent, and then the channel is of no more use; -EMSGSIZE. */
int channel_send(int fd, uint32_t kind, const void *data, size_t size, int timeout_ms, int *part);

/* A message that is sent as the other one takes it, by who must not wait for that. */
struct channel_out {
    uint32_t head[4]; /* what goes before data, made by channel_out_begin() */
    const char *data; /* stays valid until all is sent */
    size_t size;
    size_t sent; /* of head and data */
};
void channel_out_begin(struct channel_out *out, uint32_t kind, const void *data, size_t size);

/* Send what goes without waiting. 1: all of it has been sent; 0: call again when fd can be written (POLLOUT), and send
 * nothing else before; -EPIPE. */
int channel_out_go(int fd, struct channel_out *out);

/* The next message into *data, which is cleared before, of at most most bytes. 0; -EPIPE; -ETIMEDOUT (also in the middle of
 * a message, which is then lost, and with it the channel); -EBADMSG (it is larger); -ENOMEM. */
int channel_receive(int fd, uint32_t *kind, struct vmt_buffer *data, size_t most, int timeout_ms);

/* Wait for the child of channel_start() to end (killed after timeout_ms); its exit status, or -1 after a message that says
 * which signal ended it. */
int channel_end(pid_t child, int timeout_ms);

#endif
