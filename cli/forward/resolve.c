/* SPDX-License-Identifier: MIT */
#include "cli/forward/resolve.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of the one who asks and the thread that looks it up; the last of both frees it. */
struct lookup {
    int owners; /* atomic */
    int done;   /* an eventfd, readable when error and found are there */
    int error;
    struct addrinfo *found;
    char *host;
    char *port;
};

static void lookup_leave(struct lookup *lookup)
{
    /* Acquire and release: what the other one did with it is over. */
    if (__atomic_sub_fetch(&lookup->owners, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (lookup->found)
        freeaddrinfo(lookup->found);
    if (lookup->done >= 0)
        close(lookup->done);
    free(lookup->host);
    free(lookup->port);
    free(lookup);
}

static void *lookup_run(void *argument)
{
    static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    static const struct addrinfo any = { .ai_socktype = SOCK_STREAM };
    struct lookup *lookup = argument;

    lookup->error = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->found);
    if (lookup->error) /* AI_ADDRCONFIG does not count loopback: "::1" where there is nothing else */
        lookup->error = getaddrinfo(lookup->host, lookup->port, &any, &lookup->found);
    if (lookup->error)
        lookup->found = NULL;
    eventfd_write(lookup->done, 1);
    lookup_leave(lookup);
    return NULL;
}

/* NULL: no memory, descriptor or thread. */
static struct lookup *lookup_start(const char *host, const char *port)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    pthread_t thread;

    if (!lookup)
        return NULL;
    lookup->owners = 2;
    lookup->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    lookup->host = strdup(host);
    lookup->port = strdup(port);
    if (lookup->done >= 0 && lookup->host && lookup->port && pthread_create(&thread, NULL, lookup_run, lookup) == 0) {
        pthread_detach(thread);
        return lookup;
    }
    lookup->owners = 1;
    lookup_leave(lookup);
    return NULL;
}

int resolve(struct resolver *resolver, const char *host, const char *port, uint64_t deadline_ns, struct waiter *waiter,
            struct addrinfo **ret, const char **why)
{
    struct lookup *lookup = resolver->running ? resolver->running : lookup_start(host, port);
    eventfd_t count;
    int r;

    resolver->running = lookup;
    if (!lookup)
        return -ENOMEM;
    r = waiter_wait(waiter, lookup->done, POLLIN, deadline_ns);
    if (r < 0)
        return r;
    eventfd_read(lookup->done, &count); /* acquires what the thread wrote before */
    r = lookup->error;
    *why = r == 0 ? NULL : r == EAI_SYSTEM ? "its name could not be looked up" : gai_strerror(r);
    if (r == 0) {
        *ret = lookup->found;
        lookup->found = NULL;
    }
    resolver->running = NULL;
    lookup_leave(lookup);
    return r != 0;
}

void resolver_free(struct resolver *resolver)
{
    if (resolver->running)
        lookup_leave(resolver->running);
    resolver->running = NULL;
}
