/* SPDX-License-Identifier: MIT */
/* In each round: read what clients have sent, take one snapshot, if any request needs one, answer at most one request of each
 * client, and write what they take. So a snapshot is never older than the requests that are answered from it, and many
 * clients don't cost more snapshots than one. A client is read from only when it has taken its last response. */
#include "cli/query/serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/query/session.h"
#include "shm/clock.h"

#define KEPT ((size_t)1 << 20) /* of memory for responses, between them */

struct client {
    struct session session;
    struct vmt_buffer out;
    size_t sent;       /* of it */
    uint64_t taken_ns; /* when it last took something of it */
    size_t size, used; /* of data: sent by the client, and answered */
    int fd;
    bool ended; /* no more comes from it */
    char data[4096];
};

struct server {
    struct asked *asked;
    struct client *clients[SERVE_CLIENTS];
    uint64_t patience_ns;
    int count;
    int listener;
};

static volatile sig_atomic_t asked_to_end;

static void on_end(int signal)
{
    (void)signal;
    asked_to_end = 1;
}

static void end_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

void serve_prepare(void)
{
    struct sigaction action = { .sa_handler = on_end };
    sigset_t set;

    end_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- clients ---- */

static void client_end(struct client *c)
{
    close(c->fd);
    session_end(&c->session);
    vmt_buffer_free(&c->out);
    free(c);
}

static bool has_response(const struct client *c) { return c->sent < c->out.size; }
static bool has_request(const struct client *c) { return c->used < c->size && !c->session.qmp.quit; }
static bool is_done(const struct client *c)
{
    return !has_response(c) && !has_request(c) && (c->ended || c->session.qmp.quit);
}

static struct client *client_new(int fd, struct asked *asked)
{
    struct client *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->fd = fd;
    c->taken_ns = shm_clock_ns(CLOCK_MONOTONIC);
    if (session_start(&c->session, asked, SERVE_MOST, &c->out) == 0)
        return c;
    vmt_buffer_free(&c->out);
    free(c);
    return NULL;
}

static void read_more(struct client *c)
{
    ssize_t n = recv(c->fd, c->data, sizeof(c->data), MSG_DONTWAIT);

    if (n > 0) {
        c->used = 0;
        c->size = (size_t)n;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        c->ended = true;
    }
}

/* One response at most. What has no memory for one ends. */
static void answer(struct client *c)
{
    long n = session_take(&c->session, c->data + c->used, c->size - c->used, &c->out);

    c->taken_ns = shm_clock_ns(CLOCK_MONOTONIC);
    if (n < 0)
        c->ended = true;
    c->used = n < 0 ? c->size : c->used + (size_t)n;
}

/* All of it has gone, or the client that it was for. */
static void forget_response(struct client *c)
{
    c->sent = 0;
    if (c->out.capacity > KEPT)
        vmt_buffer_free(&c->out);
    vmt_buffer_clear(&c->out);
}

static void write_more(struct client *c, uint64_t patience_ns)
{
    ssize_t n = send(c->fd, c->out.data + c->sent, c->out.size - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    uint64_t now = shm_clock_ns(CLOCK_MONOTONIC);

    if (n > 0) {
        c->sent += (size_t)n;
        c->taken_ns = now;
    } else if ((n < 0 && errno != EAGAIN && errno != EINTR) || now - c->taken_ns > patience_ns) {
        c->ended = true;
        c->used = c->size;
        c->sent = c->out.size;
    }
    if (!has_response(c))
        forget_response(c);
}

/* ---- rounds ---- */

static void accept_one(struct server *s)
{
    const struct timespec nap = { .tv_nsec = 20000000 };
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct client *c;

    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            nanosleep(&nap, NULL); /* no descriptors, or no memory, just now */
        return;
    }
    c = client_new(fd, s->asked);
    if (c)
        s->clients[s->count++] = c;
    else
        close(fd);
}

static void drop_done(struct server *s)
{
    int kept = 0;

    for (int i = 0; i < s->count; i++) {
        if (is_done(s->clients[i]))
            client_end(s->clients[i]);
        else
            s->clients[kept++] = s->clients[i];
    }
    s->count = kept;
}

/* Whether something can be answered at once: no need to wait. */
static bool has_work(const struct server *s)
{
    for (int i = 0; i < s->count; i++) {
        if (has_request(s->clients[i]) && !has_response(s->clients[i]))
            return true;
    }
    return false;
}

/* For as long as there is nothing to do; a second at most where a client may lose our patience. -1: nothing came. */
static int wait_for_work(const struct server *s, struct pollfd *fds)
{
    const struct timespec none = { 0 }, second = { .tv_sec = 1 };
    const struct timespec *timeout = has_work(s) ? &none : NULL;
    sigset_t open;

    for (int i = 0; i < s->count; i++) {
        const struct client *c = s->clients[i];
        bool reads = !has_response(c) && !has_request(c) && !c->ended;

        fds[i] = (struct pollfd){ .fd = c->fd, .events = has_response(c) ? POLLOUT : reads ? POLLIN : 0 };
        if (has_response(c) && !timeout)
            timeout = &second;
    }
    fds[s->count] = (struct pollfd){ .fd = s->count < SERVE_CLIENTS ? s->listener : -1, .events = POLLIN };
    sigprocmask(SIG_SETMASK, NULL, &open);
    sigdelset(&open, SIGHUP);
    sigdelset(&open, SIGINT);
    sigdelset(&open, SIGTERM);
    return ppoll(fds, (nfds_t)s->count + 1, timeout, &open);
}

static void do_round(struct server *s, const struct pollfd *fds)
{
    int count = s->count;

    for (int i = 0; i < count; i++) {
        if (fds[i].events == POLLIN && fds[i].revents)
            read_more(s->clients[i]);
    }
    s->asked->fresh = false;
    for (int i = 0; i < count; i++) {
        if (has_request(s->clients[i]) && !has_response(s->clients[i]))
            answer(s->clients[i]);
    }
    for (int i = 0; i < count; i++) {
        if (has_response(s->clients[i]))
            write_more(s->clients[i], s->patience_ns);
    }
    if (fds[count].revents)
        accept_one(s);
    drop_done(s);
}

int serve_clients(int listener, struct asked *asked, uint64_t patience_ns)
{
    struct server server = { .asked = asked, .patience_ns = patience_ns, .listener = listener };
    struct pollfd fds[SERVE_CLIENTS + 1];
    char reason[256];
    int r = 0;

    while (!asked_to_end && r >= 0) {
        r = wait_for_work(&server, fds);
        if (r >= 0)
            do_round(&server, fds);
        else if (errno == EINTR)
            r = 0;
    }
    if (r < 0)
        message_error("poll: %s", message_reason(-errno, reason, sizeof(reason)));
    for (int i = 0; i < server.count; i++)
        client_end(server.clients[i]);
    return r < 0;
}
