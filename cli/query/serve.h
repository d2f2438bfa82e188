/* SPDX-License-Identifier: MIT */
/* serve.h: QMP sessions with the clients of a socket, side by side. */
#ifndef CLI_QUERY_SERVE_H
#define CLI_QUERY_SERVE_H

#include "cli/query/asked.h"

#define SERVE_CLIENTS 32              /* at a time; more wait */
#define SERVE_MOST ((size_t)16 << 20) /* bytes of a response */
#define SERVE_PATIENCE_NS UINT64_C(60000000000)

/* Block SIGHUP, SIGINT and SIGTERM, and take them from here on only in serve_clients(): before processes are started. */
void serve_prepare(void);

/* Until one of these signals comes. listener does not block. A client that takes nothing of its response for so long is
 * given up. The exit status. */
int serve_clients(int listener, struct asked *asked, uint64_t patience_ns);

#endif
