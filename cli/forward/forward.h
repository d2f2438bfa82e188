/* SPDX-License-Identifier: MIT */
/* forward.h: the parts of vmtally forward, in the way of the data:
 *
 *   cmd_forward.c, arguments.c   what is asked for (endpoint.c: to whom); starts both processes
 *   -- the reader, in the sandbox --
 *   reader.c    samples at each beat, and encodes records; tag.c: what each is called
 *   handover.c  chunks: entries of one tag, near CHUNK_BYTES, handed over without ever waiting for long
 *   -- the sender, outside; sees no segment --
 *   sender.c    its main thread: takes chunks from the channel into the queue, signals, watchdog
 *   status.c, spoken.c   what it says of itself: status, a record of its own; messages, of which many are few
 *   queue.c     chunks that wait: bounded in bytes, the oldest are dropped and counted
 *   delivery.c  the thread that delivers: endpoints in turn, back-off with jitter
 *   conversation.c   what happens on one connection: acks, and sends again what had none
 *   handshake.c, forward1.c, answer.c, inbox.c   Fluent Forward v1: what is said, as bytes; what is answered
 *   link.c      one connection: TCP, Unix socket, TLS (GnuTLS); resolve.c, waiter.c: each call with a deadline
 *   keys.c      secrets and certificates, read here only
 */
#ifndef CLI_FORWARD_FORWARD_H
#define CLI_FORWARD_FORWARD_H

#include <stddef.h>
#include <stdint.h>

#include "../filter.h"
#include "../options.h"

#define CHUNK_BYTES (512U << 10)       /* of entries, before compression; one entry more ends it */
#define CHUNK_MOST (1U << 20)          /* what no chunk is larger than: an entry that is, is dropped and counted */
#define FORWARD_OWN_MEMORY (128 << 10) /* for mallopt(): what is as large goes back to the system when it is freed */
#define TAG_SIZE 256                   /* with its NUL */
#define ENDPOINTS_MAX 16

struct endpoint {
    const char *text; /* as given: "HOST:PORT", "[::1]:24224", "unix:PATH" */
    char *host;       /* or NULL */
    char *port;
    const char *path; /* of a Unix socket, or NULL */
};

struct forward_arguments {
    struct options *common;
    struct filter filter;
    char **vms; /* names, paths or pids; none: all */
    size_t vm_count;
    double interval; /* seconds */
    uint64_t count;  /* of samples, 0: until told to stop */
    int deltas;
    int strings;
    const char *tag; /* with {vm}, {target}, {provider}, {source}, {label:KEY} */
    /* the sender's */
    struct endpoint endpoints[ENDPOINTS_MAX];
    size_t endpoint_count;
    int gzip;
    int ack;
    uint64_t queue_bytes;
    uint32_t timeout_ms; /* of connecting, of writing a chunk, of an ack */
    char *shared_key;    /* from a file, NULL: none is asked for or given */
    char *user;
    char *password;
    const char *shared_key_file; /* where they came from, for SIGHUP; NULL: nowhere */
    const char *password_file;
    const char *self_host; /* our host name in the handshake and in records */
    int tls;
    const char *tls_ca; /* file; NULL: the system's */
    const char *tls_cert;
    const char *tls_key;
    const char *tls_name; /* that the certificate must be for; NULL: the endpoint's host */
    int tls_insecure;
};

/* ---- messages on the channel (channel.h) ---- */

/* reader -> sender: one chunk. A struct chunk_head and the tag (tag_size, without NUL), then entries to the end. */
#define FORWARD_CHUNK 1U
/* reader -> sender: a sample is complete: a struct forward_sample. */
#define FORWARD_SAMPLE 2U
/* reader -> sender: --count samples are done; there will be no more. */
#define FORWARD_END 3U

struct chunk_head {
    uint32_t entries;
    uint32_t tag_size;
};

/* Of the reader, since it began. */
struct forward_sample {
    uint64_t samples;
    uint64_t records;
    uint64_t records_not_handed; /* the sender did not take them within a beat */
    uint64_t records_left_out;   /* of VMs that have more of them than their share */
    uint64_t bytes;
    uint64_t sample_ns; /* CPU time of the reader, this sample */
    uint64_t vms;
    uint64_t unreadable; /* of them, could not be read */
};

/* arguments.c: a secret, the first line of the file at path. *ret is the caller's, to be overwritten and freed. 0, or
 * -1 after a message that names path; *ret untouched then. */
int forward_secret(const char *path, char **ret);

/* reader.c: run of channel_start(). */
int forward_reader(void *arguments, int fd);

/* sender.c: until told to stop, or all is delivered after FORWARD_END. The exit status. */
int forward_sender(const struct forward_arguments *a, int channel, int signals);

#endif
