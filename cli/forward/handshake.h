/* SPDX-License-Identifier: MIT */
/* handshake.h: HELO, PING, PONG: both ends show each other that they have the shared key. */
#ifndef CLI_FORWARD_HANDSHAKE_H
#define CLI_FORWARD_HANDSHAKE_H

#include "forward1.h"
#include "inbox.h"

/* All of it within timeout_ms. 0: *keepalive says whether more than one chunk may be sent; or a negative errno, and
 * why as in link.h. */
int handshake(struct link *link, struct inbox *inbox, const struct credentials *credentials, uint32_t timeout_ms,
              bool *keepalive, char why[LINK_WHY]);

#endif
