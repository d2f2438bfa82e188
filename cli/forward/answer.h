/* SPDX-License-Identifier: MIT */
/* answer.h: what a collector sends, which is not trusted: where a message ends, and what is in it. Nothing is
 * allocated. */
#ifndef CLI_FORWARD_ANSWER_H
#define CLI_FORWARD_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_MAX (64U << 10) /* bytes of a message */
#define ANSWER_DEPTH 16

/* Where the first object in a growing buffer ends. Starts as zeros; goes on where it was when more bytes have come. */
struct extent {
    size_t at;
    unsigned depth;
    uint32_t left[ANSWER_DEPTH]; /* objects that each open array or map still has */
    bool begun;
};

/* 1: it is in bytes[0 .. extent->at). 0: more bytes are needed. -EBADMSG: no msgpack, or deeper than ANSWER_DEPTH. */
int extent_find(struct extent *extent, const unsigned char *bytes, size_t size);

/* str or bin */
struct text {
    const char *data;
    size_t size;
};
bool text_is(struct text text, const char *other);

#define NONCE_MAX 1024U
struct helo {
    char nonce[NONCE_MAX]; /* copies: it is asked for again when PONG comes */
    char auth[NONCE_MAX];
    size_t nonce_size;
    size_t auth_size; /* 0: no user is asked for */
    bool keepalive;
};

struct pong {
    bool ok;
    struct text reason;
    struct text host;
    struct text digest;
};

/* Of one whole message. 0, or -EBADMSG: it is not that, or has not what it needs; *ret is untouched then. Keys that
 * are not known are passed over. Texts point into bytes. */
int helo_read(const unsigned char *bytes, size_t size, struct helo *ret);
int pong_read(const unsigned char *bytes, size_t size, struct pong *ret);
int ack_read(const unsigned char *bytes, size_t size, struct text *ret);

#endif
