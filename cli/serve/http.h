/* SPDX-License-Identifier: MIT */
/* http.h: the server itself: /metrics, /healthz, and a page that says so. */
#ifndef CLI_SERVE_HTTP_H
#define CLI_SERVE_HTTP_H

#include <stddef.h>

#include "cli/serve/address.h"
#include "cli/serve/auth.h"
#include "cli/serve/scrape.h"
#include "cli/serve/tls.h"

struct http;

struct http_options {
    const struct address *addresses; /* stay open as long as the server is */
    size_t address_count;
    struct scrape *scrape;
    const struct options *common; /* where VMs are looked for */
    int wake_fd; /* an eventfd that is written when a connection comes: then http_tick() has something to do */
};

/* Start it, in threads of its own. auth (NULL: everybody may) and what tls has (nothing: no TLS) become the server's, but not on
 * failure. Several may have the same addresses. *ret is the caller's. 0 or a negative errno. */
int http_start(const struct http_options *options, struct auth *auth, struct tls *tls, struct http **ret);

/* auth as another server can take over what it remembers: auth_keep(). It is http's; NULL: everybody may. */
struct auth *http_auth(struct http *http);

/* Accept no more connections. */
void http_quiesce(struct http *http);

/* Nor look at any more passwords: who waits for that is told to come later. */
void http_let_nobody_in(struct http *http);

/* End connections that have taken too long. To be called each second as long as there are any: returns how many. */
size_t http_tick(struct http *http);

/* How many have just come, or asked and have not got all of the answer. */
size_t http_busy(struct http *http);

/* End all connections; waits for threads that wait for an answer of the reader. NULL is allowed. */
void http_stop(struct http *http);

#endif
