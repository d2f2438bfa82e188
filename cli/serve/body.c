/* SPDX-License-Identifier: MIT */
#include "cli/serve/body.h"

#include <errno.h>
#include <stdlib.h>

#include "cli/gzip.h"

void bodies_begin(struct bodies *all)
{
    *all = (struct bodies){ 0 };
    pthread_mutex_init(&all->lock, NULL);
}

void bodies_end(struct bodies *all) { pthread_mutex_destroy(&all->lock); }

static void put_in(struct bodies *all, struct body *b)
{
    pthread_mutex_lock(&all->lock);
    b->older = all->newest;
    if (b->older)
        b->older->newer = b;
    all->newest = b;
    all->held += b->size;
    pthread_mutex_unlock(&all->lock);
}

static void take_out(struct bodies *all, struct body *b)
{
    pthread_mutex_lock(&all->lock);
    if (b->older)
        b->older->newer = b->newer;
    if (b->newer)
        b->newer->older = b->older;
    else
        all->newest = b->older;
    all->held -= b->size;
    pthread_mutex_unlock(&all->lock);
}

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
    put_in(all, b);
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
    take_out(b->all, b);
    free(b->data);
    free(b);
}

size_t bodies_held(struct bodies *all)
{
    size_t held;

    pthread_mutex_lock(&all->lock);
    held = all->held;
    pthread_mutex_unlock(&all->lock);
    return held;
}

/* ---- too much ---- */

void bodies_join(struct bodies *all, struct body_sender *sender)
{
    pthread_mutex_lock(&all->lock);
    sender->next = all->senders;
    all->senders = sender;
    pthread_mutex_unlock(&all->lock);
}

void bodies_leave(struct bodies *all, struct body_sender *sender)
{
    struct body_sender **at = &all->senders;

    pthread_mutex_lock(&all->lock);
    while (*at && *at != sender)
        at = &(*at)->next;
    if (*at)
        *at = sender->next;
    pthread_mutex_unlock(&all->lock);
}

/* The newest one that does not fit with those after it, or NULL. */
static const struct body *beyond(const struct bodies *all, size_t most)
{
    const struct body *b = all->newest;
    size_t sum = 0;

    for (; b; b = b->older) {
        sum += b->size;
        if (sum > most)
            return b;
    }
    return NULL;
}

size_t bodies_shed(struct bodies *all, size_t most)
{
    const struct body *first;
    size_t count = 0;

    pthread_mutex_lock(&all->lock);
    first = beyond(all, most);
    for (const struct body_sender *s = all->senders; s && first; s = s->next)
        count += s->shed(s->arg, first->number + 1);
    pthread_mutex_unlock(&all->lock);
    return count;
}

/* ---- gzip ---- */

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
