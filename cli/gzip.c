/* SPDX-License-Identifier: MIT */
#include "gzip.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#define LEVEL 1   /* half of what the best level saves, at a tenth of its time */
#define WINDOW 15 /* largest */
#define HEADER 16 /* zlib's flag: a gzip member, not zlib's own format */
#define MEMORY 8  /* its default */

int gzip_new(struct gzip **ret)
{
    struct gzip *gzip = calloc(1, sizeof(*gzip));

    if (!gzip)
        return -ENOMEM;
    if (deflateInit2(&gzip->stream, LEVEL, Z_DEFLATED, WINDOW + HEADER, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(gzip);
        return -ENOMEM;
    }
    *ret = gzip;
    return 0;
}

void gzip_free(struct gzip *gzip)
{
    if (!gzip)
        return;
    deflateEnd(&gzip->stream);
    free(gzip->data);
    free(gzip);
}

static int make_room(struct gzip *gzip, size_t most)
{
    if (gzip->data && gzip->room >= most)
        return 0;
    free(gzip->data); /* nobody needs what is in it */
    gzip->data = malloc(most);
    gzip->room = gzip->data ? most : 0;
    return gzip->data ? 0 : -ENOMEM;
}

int gzip_make(struct gzip *gzip, const void *data, size_t size)
{
    z_stream *z = &gzip->stream;
    size_t most;
    int r;

    deflateReset(z);
    most = deflateBound(z, size);
    if (size > UINT32_MAX || most > UINT32_MAX)
        return -EFBIG;
    r = make_room(gzip, most);
    if (r < 0)
        return r;
    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)size;
    z->next_out = (Bytef *)gzip->data;
    z->avail_out = (uInt)most;
    if (deflate(z, Z_FINISH) != Z_STREAM_END)
        return -ENOMEM;
    gzip->size = most - z->avail_out;
    return 0;
}
