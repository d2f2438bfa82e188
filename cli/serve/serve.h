/* SPDX-License-Identifier: MIT */
/* serve.h: the parts of vmtally serve, in the way of a scrape:
 *
 *   cmd_serve.c, arguments.c   what is asked for; starts both processes
 *   -- the server, outside; sees no segment --
 *   http.c      libmicrohttpd: paths, content negotiation, compression, TLS, limits
 *   auth.c      --auth-file: users and crypt(3) hashes
 *   scrape.c    asks the reader; those who ask at the same time get the same answer
 *   -- the reader, in the sandbox --
 *   reader.c    a snapshot of all VMs as metric families, written in the format that is asked for
 */
#ifndef CLI_SERVE_SERVE_H
#define CLI_SERVE_SERVE_H

#include <stddef.h>
#include <stdint.h>

#include "../filter.h"
#include "../options.h"

#define SERVE_LISTEN "127.0.0.1:9959"
#define SERVE_SHARE_NS 250000000U /* how old a snapshot may be that a scrape gets */

struct serve_arguments {
    struct options *common;
    struct filter filter;
    char **vms;
    size_t vm_count;
    const char *listen; /* ADDR:PORT, unix:PATH; NULL: socket activation, else SERVE_LISTEN */
    const char *tls_cert;
    const char *tls_key;
    const char *tls_client_ca; /* clients need a certificate by it */
    const char *auth_file;
};

/* ---- messages on the channel (channel.h) ---- */

/* server -> reader: a scrape: a struct serve_request. */
#define SERVE_SCRAPE 1U
/* reader -> server: the text. */
#define SERVE_TEXT 2U
/* reader -> server: there is none: an int, the negative errno. */
#define SERVE_FAILED 3U

struct serve_request {
    uint32_t format; /* enum vmt_metrics_format */
    uint32_t reserved;
    /* the server's own counts since it began, for the exporter's own metrics */
    uint64_t scrapes;
    uint64_t bytes;
    uint64_t refused; /* not authorised, or beyond a limit */
};

#endif
