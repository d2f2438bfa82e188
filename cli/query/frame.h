/* SPDX-License-Identifier: MIT */
/* frame.h: where in a stream of bytes one JSON text ends and the next begins. QMP has nothing between them but what the
 * brackets say. */
#ifndef CLI_QUERY_FRAME_H
#define CLI_QUERY_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#define FRAME_BYTES 65536 /* of one text at most */
#define FRAME_DEPTH 64    /* of brackets in brackets */

/* Starts as { 0 }. */
struct frame {
    char *text; /* memory of its own, ended by a NUL */
    size_t size;
    unsigned depth;
    char quote; /* in a string: what it began with */
    bool escaped;
    bool whole;   /* text is one; the next call starts the next */
    bool passing; /* over what is left of one that was refused */
};

enum frame_found {
    FRAME_MORE,      /* no end so far: all bytes are taken */
    FRAME_TEXT,      /* text is whole, as far as its brackets go */
    FRAME_BROKEN,    /* a string does not end in its line, or the byte 0xff, with which clients make a new start */
    FRAME_TOO_LARGE, /* said once; what is left of it is passed over, to its last bracket or the end of its line */
    FRAME_TOO_DEEP,
    FRAME_NO_MEMORY,
};

/* Take bytes until something is found; *used is how many were taken. */
enum frame_found frame_take(struct frame *frame, const char *data, size_t size, size_t *used);

/* What ends a word or a number. */
bool frame_is_space(char c);
bool frame_is_mark(char c);

/* The stream has ended: whether it broke off within a text, which then is in text. */
bool frame_end(struct frame *frame);
void frame_free(struct frame *frame);

#endif
