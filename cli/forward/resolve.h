/* SPDX-License-Identifier: MIT */
/* resolve.h: the addresses of a host, with a deadline, which getaddrinfo() has not. */
#ifndef CLI_FORWARD_RESOLVE_H
#define CLI_FORWARD_RESOLVE_H

#include <netdb.h>
#include <stdint.h>

#include "waiter.h"

/* What one endpoint's look-up is at: one that took too long goes on, and is what the next one waits for. Starts as
 * zeros. */
struct resolver {
    struct lookup *running;
};

/* *ret is freed with freeaddrinfo(). 0; -ETIMEDOUT; -ECANCELED (the deadline of waiter has come); -ENOMEM; or 1 where
 * there is no such host: then why has the reason. */
int resolve(struct resolver *resolver, const char *host, const char *port, uint64_t deadline_ns, struct waiter *waiter,
            struct addrinfo **ret, const char **why);

/* One that is still running is left to itself. */
void resolver_free(struct resolver *resolver);

#endif
