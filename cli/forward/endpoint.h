/* SPDX-License-Identifier: MIT */
/* endpoint.h: --to, and secrets in files. */
#ifndef CLI_FORWARD_ENDPOINT_H
#define CLI_FORWARD_ENDPOINT_H

#include "forward.h"

/* "HOST[:PORT]", "[V6][:PORT]", with "tls://" or "tcp://" before it, or "unix:PATH". text must stay. *tls becomes 1
 * where it says so. 0; -1: why says what is wrong with it. Free with endpoint_free(). */
int endpoint_parse(const char *text, struct endpoint *ret, int *tls, char *why, size_t why_size);
void endpoint_free(struct endpoint *endpoint);

#endif
