/* SPDX-License-Identifier: MIT */
/* gzip.h: what is sent to others as gzip members, fast rather than small. */
#ifndef CLI_GZIP_H
#define CLI_GZIP_H

#include <stddef.h>

#include <zlib.h>

struct gzip {
    z_stream stream;
    char *data; /* what was made last, of malloc(): who takes it sets it to NULL */
    size_t size;
    size_t room;
};

/* *ret is the caller's. 0 or -ENOMEM. */
int gzip_new(struct gzip **ret);
void gzip_free(struct gzip *gzip); /* NULL is allowed */

/* data as one member, in gzip->data until the next one. 0, -ENOMEM, or -EFBIG: above 4 GiB. */
int gzip_make(struct gzip *gzip, const void *data, size_t size);

#endif
