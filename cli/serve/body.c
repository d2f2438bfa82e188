/* SPDX-License-Identifier: MIT */
#include "cli/serve/body.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#define GZIP_LEVEL 1
#define GZIP_WINDOW (15 + 16) /* zlib's way to ask for gzip */
#define GZIP_MEMORY 8         /* its default */

struct body *body_new(struct bodies *all, char *data, size_t size)
{
    struct body *b = malloc(sizeof(*b));
    char *smaller;

    if (!b) {
        free(data);
        return NULL;
    }
    smaller = realloc(data, size ? size : 1);
    *b = (struct body){
        .data = smaller ? smaller : data, .size = size, .number = ++all->made, .references = 1, .all = all
    };
    __atomic_add_fetch(&all->held, size, __ATOMIC_RELAXED);
    return b;
}

struct body *body_ref(struct body *b)
{
    __atomic_add_fetch(&b->references, 1, __ATOMIC_RELAXED);
    return b;
}

/* Acquire and release: pairs with that of the others who had it; the last one frees it. */
void body_unref(struct body *b)
{
    if (!b || __atomic_sub_fetch(&b->references, 1, __ATOMIC_ACQ_REL))
        return;
    __atomic_sub_fetch(&b->all->held, b->size, __ATOMIC_RELAXED);
    free(b->data);
    free(b);
}

size_t bodies_held(const struct bodies *all) { return __atomic_load_n(&all->held, __ATOMIC_RELAXED); }

int body_gzip(struct bodies *all, const struct body *from, struct body **ret)
{
    z_stream z = { 0 };
    struct body *body;
    char *data;
    uLong bound;
    int r;

    if (from->size > UINT_MAX / 2 ||
        deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    bound = deflateBound(&z, (uLong)from->size);
    data = malloc(bound);
    z.next_in = (Bytef *)from->data;
    z.avail_in = (uInt)from->size;
    z.next_out = (Bytef *)data;
    z.avail_out = (uInt)bound;
    r = data ? deflate(&z, Z_FINISH) : Z_MEM_ERROR;
    deflateEnd(&z);
    if (r != Z_STREAM_END) {
        free(data);
        return -ENOMEM;
    }
    body = body_new(all, data, z.total_out);
    if (!body)
        return -ENOMEM;
    *ret = body;
    return 0;
}
