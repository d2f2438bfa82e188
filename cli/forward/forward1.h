/* SPDX-License-Identifier: MIT */
/* forward1.h: Fluent Forward v1 (Fluentd's specification of that name) as bytes that we send, and the digests of its
 * handshake. What the collector sends is in answer.h.
 */
#ifndef CLI_FORWARD_FORWARD1_H
#define CLI_FORWARD_FORWARD1_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/export.h>

#include "answer.h"

#define CHUNK_ID_SIZE 25 /* base64 of 16 random bytes, with NUL */
#define DIGEST_SIZE 129  /* SHA-512 in hexadecimal, with NUL */
#define SALT_SIZE 33     /* 16 random bytes in hexadecimal, with NUL */

/* A new id. 0, or -EIO: no random bytes. */
int chunk_id_make(char id[CHUNK_ID_SIZE]);

struct gzip; /* cli/gzip.h */

struct entries {
    const char *tag; /* tag_size bytes */
    size_t tag_size;
    const char *data; /* entries, one after the other */
    size_t size;
    uint32_t count;
};

/* Append a PackedForward message; a CompressedPackedForward one where gzip is not NULL. id "": without the option
 * "chunk", no ack is asked for. 0, -ENOMEM, -EFBIG. */
int forward1_message(const struct entries *entries, const char *id, struct gzip *gzip, struct vmt_buffer *out);

struct credentials {
    const char *self_host;
    const char *shared_key;
    const char *user; /* or NULL */
    const char *password;
};

/* Append PING, the answer to HELO; salt is what it has. 0, -ENOMEM, -EFBIG, -EIO (no digest). */
int forward1_ping(const struct credentials *credentials, const struct helo *helo, const char salt[SALT_SIZE],
                  struct vmt_buffer *out);
int forward1_salt(char salt[SALT_SIZE]); /* 0 or -EIO */

/* Whether PONG comes from one who has the shared key: 0, -EKEYREJECTED, or -EIO (no digest). Takes the same time
 * wherever a wrong digest differs. */
int forward1_check(const struct credentials *credentials, const struct helo *helo, const char salt[SALT_SIZE],
                   const struct pong *pong);

#endif
