/* SPDX-License-Identifier: MIT */
/* serve.h: the parts of vmtally serve, in the way of a scrape:
 *
 *   cmd_serve.c, arguments.c   what is asked for; starts both processes, and reloads and stops the server
 *   -- the server, outside; sees no segment --
 *   address.c    what it listens on: TCP, Unix sockets, sockets of systemd
 *   tls.c        certificate, key, and who signs the clients' certificates
 *   auth.c       --auth-file: users and crypt(3) hashes
 *   http.c       libmicrohttpd: who is let in, paths, answers
 *   clients.c    connections: how many, of whom, and for how long
 *   negotiate.c  which format and which encoding a client prefers
 *   body.c       what is sent, compressed or not
 *   scrape.c     asks the reader; those who ask at the same time get the same answer
 *   -- the reader, in the sandbox --
 *   reader.c     a snapshot of all VMs as metric families, written in the format that is asked for
 */
#ifndef CLI_SERVE_SERVE_H
#define CLI_SERVE_SERVE_H

#include <stddef.h>
#include <stdint.h>

#include "cli/filter.h"
#include "cli/options.h"

#define SERVE_LISTEN "127.0.0.1:9959"
#define SERVE_LISTENERS 8         /* --listen, or sockets of systemd */
#define SERVE_SHARE_NS 250000000U /* how long ago a snapshot may have been taken that a scrape gets */
#define SERVE_PATIENCE_MS 10000   /* for an answer of the reader; what Prometheus waits, unless told otherwise */
/* Bytes that clients may take their time for when another body is made: what there may be of one sample in the other format,
 * and a bit. With that body, and the reader's copy of it, it has to be well within MemoryMax of the unit. */
#define SERVE_HELD_MOST ((size_t)288 << 20)
#define SERVE_TOO_LARGE "more than one answer may have; name fewer VMs, or choose with --stat GLOB"

struct serve_arguments {
    struct options *common;
    struct filter filter;
    char **vms; /* names, paths or pids; none: all */
    size_t vm_count;
    const char *listen[SERVE_LISTENERS]; /* ADDR:PORT, unix:PATH; none: socket activation, else SERVE_LISTEN */
    size_t listen_count;
    const char *tls_cert;
    const char *tls_key;
    const char *tls_client_ca; /* clients need a certificate by it */
    const char *auth_file;
};

/* Does not return where they are wrong. The caller frees vms, and filter with filter_free(). */
void serve_arguments_parse(int argc, char **argv, struct options *common, struct serve_arguments *ret);

/* ---- messages on the channel (channel.h) ---- */

/* server -> reader: a scrape: a struct serve_request. */
#define SERVE_SCRAPE 1U
/* reader -> server: the text. */
#define SERVE_TEXT 2U
/* reader -> server: there is none, or would be: an int, the negative errno. */
#define SERVE_FAILED 3U
/* server -> reader: are you there, and could VMs be read? reader -> server: yes. */
#define SERVE_ALIVE 4U

struct serve_request {
    uint32_t format; /* enum vmt_metrics_format */
    uint32_t again;  /* not 0: of the snapshot that the last one was of */
    /* the server's own counts since it began, for the exporter's own metrics */
    uint64_t scrapes;
    uint64_t bytes;
    uint64_t refused; /* not authorised, or beyond a limit */
};

/* reader.c: run of channel_start(); arguments is a struct serve_arguments. */
int serve_reader(void *arguments, int fd);

#endif
