/* SPDX-License-Identifier: MIT */
/* link.h: one connection to a collector: TCP or a Unix socket, TLS on it or not. No call takes longer than its
 * deadline, or than its waiter's, whatever the other end does. One thread.
 */
#ifndef CLI_FORWARD_LINK_H
#define CLI_FORWARD_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "forward.h"
#include "waiter.h"

struct keys;
struct link;
struct resolver;

#define LINK_WHY 320 /* bytes that hold what went wrong, for people */

/* Connect. Each step (name, address, TLS) has timeout_ms. *ret is the caller's. 0 or a negative errno: then why says
 * what went wrong, and what to do about it, without the endpoint's name; -ECANCELED says nothing. */
int link_open(const struct forward_arguments *a, const struct endpoint *endpoint, const struct keys *keys,
              struct resolver *resolver, struct waiter *waiter, struct link **ret, char why[LINK_WHY]);

/* Write all of it by deadline_ns. 0 or a negative errno (why as above). */
int link_write(struct link *link, const void *data, size_t size, uint64_t deadline_ns, char why[LINK_WHY]);

/* What has come, up to size, without waiting. > 0: bytes; 0: the other end has closed; -EAGAIN: nothing; or what went
 * wrong (why as above). */
long link_read(struct link *link, void *data, size_t size, char why[LINK_WHY]);

/* Wait until there is something to read: as waiter_wait_or_wake(). */
int link_wait(struct link *link, uint64_t deadline_ns);

/* No more will be written: wait until the other end has all of it, or deadline_ns has come. Whether
 * all that was written has reached the other machine: 0, or -ETIMEDOUT, -EPIPE, -ECANCELED. */
int link_finish(struct link *link, uint64_t deadline_ns);

void link_close(struct link *link); /* NULL is allowed */

#endif
