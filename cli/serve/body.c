/* SPDX-License-Identifier: MIT */
#include "cli/serve/body.h"

#include <errno.h>
#include <stdlib.h>

#include "cli/gzip.h"

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
    struct body *body = NULL;
    struct gzip *gzip;
    int r = gzip_new(&gzip);

    if (r < 0)
        return r;
    r = gzip_make(gzip, from->data, from->size);
    if (r == 0) {
        body = body_new(all, gzip->data, gzip->size);
        gzip->data = NULL; /* the body's */
        r = body ? 0 : -ENOMEM;
    }
    gzip_free(gzip);
    if (r == 0)
        *ret = body;
    return r;
}
