/* SPDX-License-Identifier: MIT */
/* keys.h: what is read from files to speak with a collector, and read anew on SIGHUP: secrets, certificates. Not by
 * the process that starts the reader: it would have them, too. */
#ifndef CLI_FORWARD_KEYS_H
#define CLI_FORWARD_KEYS_H

#include <gnutls/gnutls.h>

#include "forward.h"
#include "forward1.h"

struct keys {
    struct credentials credentials;
    char *shared_key; /* its own copies, overwritten when freed */
    char *password;
    gnutls_certificate_credentials_t tls; /* NULL: without TLS */
};

/* As it is in the files now; a secret that has none as it is in a. *ret is the caller's. 0, or -1 after a message
 * that names the file. */
int keys_load(const struct forward_arguments *a, struct keys **ret);
void keys_free(struct keys *keys); /* NULL is allowed */

#endif
