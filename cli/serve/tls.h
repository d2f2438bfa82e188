/* SPDX-License-Identifier: MIT */
/* tls.h: what TLS takes, from files, found to be right before the server starts with it. */
#ifndef CLI_SERVE_TLS_H
#define CLI_SERVE_TLS_H

#include "cli/serve/serve.h"

/* PEM, with a NUL behind it; all NULL: no TLS. Starts as zeros. */
struct tls {
    char *cert;
    char *key;
    char *client_ca; /* NULL: clients need no certificate */
};

/* 0, or -1 after a message that says which file is wrong. */
int tls_load(const struct serve_arguments *a, struct tls *ret);
void tls_free(struct tls *tls);

/* Whether the client of a session (gnutls_session_t) has a certificate by those that its credentials trust. */
int tls_client_trusted(void *session);

#endif
