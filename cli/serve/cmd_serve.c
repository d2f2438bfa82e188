/* SPDX-License-Identifier: MIT */
/* vmtally serve: the main thread, which starts what the others do, and looks after them. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/channel.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/sandbox.h"
#include "cli/serve/address.h"
#include "cli/serve/auth.h"
#include "cli/serve/http.h"
#include "cli/serve/scrape.h"
#include "cli/serve/serve.h"
#include "cli/serve/tls.h"
#include "cli/service.h"
#include "shm/clock.h"

#define TICK_MS 500   /* while there are connections */
#define GRACE_MS 5000 /* for requests that are being answered when the server is stopped, or made anew */
#define ARRIVE_MS 200 /* for a connection that was just accepted to be counted */
#define END_MS 2000   /* for the reader to end */
#define STOP_LOOK_NS 10000000

struct server {
    struct serve_arguments *a;
    int signals;
    pid_t reader;
    int channel;
    int wake_fd;
    struct address addresses[SERVE_LISTENERS];
    size_t address_count;
    struct scrape *scrape;
    struct http *http;
    struct http *before; /* made before a reload, until its requests are answered */
    uint64_t before_ns;  /* when that was */
    int reload;          /* asked for, and not yet done */
    int late;            /* the reader has not answered for too long, which was said */
    uint64_t alive_ns;   /* when systemd is to be told next */
    int watchdog_ms;
    char status[ADDRESS_TEXT + 64];
};

/* ---- start ---- */

/* Those that were asked for, else systemd's, else the default. 0, or -1 after a message. */
static int open_addresses(struct server *s, int first, int passed)
{
    size_t asked = s->a->listen_count;
    size_t count = asked ? asked : passed > 0 ? (size_t)passed : 1;

    if (!asked && passed > SERVE_LISTENERS) {
        message_error("systemd passes %d sockets, at most %d are served", passed, SERVE_LISTENERS);
        return -1;
    }
    for (; s->address_count < count; s->address_count++) {
        struct address *a = &s->addresses[s->address_count];
        int r;

        if (!asked && passed > 0)
            r = address_adopt(first + (int)s->address_count, a);
        else
            r = address_open(asked ? s->a->listen[s->address_count] : SERVE_LISTEN, a);
        if (r)
            return -1;
    }
    return 0;
}

static void warn(const struct server *s)
{
    for (size_t i = 0; i < s->address_count; i++) {
        const struct address *a = &s->addresses[i];

        if (a->loopback)
            continue;
        if (!s->a->auth_file && !s->a->tls_client_ca)
            message_error("%s: whoever reaches this address can read what all VMs count; --auth-file or "
                          "--tls-client-ca choose who may, 127.0.0.1 is for this host alone",
                          a->text);
        else if (!s->a->tls_cert)
            message_error("%s: passwords go over the network as they are; --tls-cert and --tls-key protect them",
                          a->text);
    }
}

static void say_listening(struct server *s)
{
    for (size_t i = 0; i < s->address_count; i++) {
        const struct address *a = &s->addresses[i];
        const char *scheme = s->a->tls_cert ? "https" : "http";

        if (!strncmp(a->text, "unix:", 5))
            snprintf(s->status, sizeof(s->status), "listening on %s", a->text);
        else
            snprintf(s->status, sizeof(s->status), "listening on %s://%s/metrics", scheme, a->text);
        message_error("%s", s->status);
    }
}

/* A server with what the files have now. 0, or -1 after a message. */
static int start_http(struct server *s, struct http **ret)
{
    const struct http_options options = {
        .addresses = s->addresses,
        .address_count = s->address_count,
        .scrape = s->scrape,
        .wake_fd = s->wake_fd,
        .common = s->a->common,
    };
    struct auth *auth = NULL;
    struct tls tls = { 0 };
    char reason[256];
    int r = -1;

    if (tls_load(s->a, &tls) == 0 && (!s->a->auth_file || auth_load(s->a->auth_file, &auth) == 0)) {
        if (auth && s->http)
            auth_keep(auth, http_auth(s->http));
        r = http_start(&options, auth, &tls, ret);
        if (r == 0)
            return 0;
        message_error("the server could not be started: %s", message_reason(r, reason, sizeof(reason)));
    }
    auth_free(auth);
    tls_free(&tls);
    return -1;
}

/* The reader first: what is opened and read later is not in its memory. */
static int start_reader(struct server *s)
{
    char reason[256];

    s->signals = service_signals();
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->reader = s->signals < 0 ? s->signals : s->wake_fd < 0 ? -errno : channel_start(serve_reader, s->a, &s->channel);
    if (s->reader < 0)
        message_error("not started: %s", message_reason(s->reader, reason, sizeof(reason)));
    return s->reader < 0 ? -1 : 0;
}

static int start(struct server *s, int first, int passed)
{
    char reason[256];
    int r;

    if (open_addresses(s, first, passed))
        return -1;
    sandbox_enter_speaker(s->a->common);
    r = scrape_start(s->channel, &s->scrape);
    if (r < 0) {
        message_error("not started: %s", message_reason(r, reason, sizeof(reason)));
        return -1;
    }
    if (start_http(s, &s->http))
        return -1;
    warn(s);
    say_listening(s);
    service_ready(s->status);
    return 0;
}

/* ---- while it runs ---- */

/* Certificates, keys and users anew. What is wrong with them is said, and all stays as it was. */
static void reload(struct server *s)
{
    struct http *http;

    s->reload = 0;
    service_reloading();
    if (start_http(s, &http) == 0) {
        http_quiesce(s->http);
        s->before = s->http;
        s->before_ns = shm_now_ns();
        s->http = http;
        message_error("reloaded");
    } else {
        message_error("not reloaded: what was there before is used");
    }
    service_ready(s->status);
}

/* Connections of before a reload end with the request that they are at, or have come for. */
static void let_go(struct server *s)
{
    uint64_t past_ms = (shm_now_ns() - s->before_ns) / 1000000U;

    if (!s->before || past_ms < ARRIVE_MS || (http_busy(s->before) > 0 && past_ms < GRACE_MS))
        return;
    http_stop(s->before);
    s->before = NULL;
}

static void say_late(struct server *s)
{
    int late = scrape_waiting_ns(s->scrape) > SERVE_PATIENCE_MS * 1000000ULL;

    if (late && !s->late) {
        message_error("the process that reads segments has not answered for %d s: scrapes fail until it does",
                      SERVE_PATIENCE_MS / 1000);
        service_status("the process that reads segments does not answer");
    } else if (!late && s->late) {
        message_error("the process that reads segments answers again");
        service_status(s->status);
    }
    s->late = late;
}

/* systemd is told that all is well only as long as the reader is. */
static void keep_alive(struct server *s)
{
    if (s->watchdog_ms < 0 || shm_now_ns() < s->alive_ns)
        return;
    s->alive_ns = shm_now_ns() + (uint64_t)s->watchdog_ms * 1000000U;
    if (scrape_waiting_ns(s->scrape) < SERVE_PATIENCE_MS * 1000000ULL)
        service_alive();
    scrape_poke(s->scrape);
}

/* Whether the reader has ended: it may also have been stopped, or goes on. */
static int has_ended(pid_t child)
{
    siginfo_t info = { 0 };

    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == child;
}

/* -1: go on, else the exit status. */
static int take_signals(struct server *s)
{
    int signal;

    while ((signal = service_signal(s->signals)) != 0) {
        if (signal == SIGTERM || signal == SIGINT)
            return 0;
        if (signal == SIGCHLD && has_ended(s->reader))
            return 1;
        s->reload |= signal == SIGHUP;
    }
    return -1;
}

static int wait_ms(struct server *s, size_t connections)
{
    uint64_t now = shm_now_ns();
    int ms = connections || s->before || s->late || scrape_waiting_ns(s->scrape) ? TICK_MS : -1;
    int alive = s->alive_ns > now ? (int)((s->alive_ns - now) / 1000000U) + 1 : 0;

    return s->watchdog_ms < 0 ? ms : ms < 0 || alive < ms ? alive : ms;
}

static int run(struct server *s)
{
    enum { SIGNALS, GONE, WAKE, COUNT };
    struct pollfd fds[COUNT] = {
        [SIGNALS] = { .fd = s->signals, .events = POLLIN },
        [GONE] = { .fd = scrape_gone_fd(s->scrape), .events = POLLIN },
        [WAKE] = { .fd = s->wake_fd, .events = POLLIN },
    };
    eventfd_t count;
    int status;

    for (;;) {
        size_t connections = http_tick(s->http) + (s->before ? http_tick(s->before) : 0);

        let_go(s);
        if (s->reload && !s->before)
            reload(s);
        say_late(s);
        keep_alive(s);
        if (poll(fds, COUNT, wait_ms(s, connections)) < 0 && errno != EINTR)
            return 1;
        eventfd_read(s->wake_fd, &count);
        status = take_signals(s);
        if (status >= 0)
            return status;
        if (fds[GONE].revents)
            return 1;
    }
}

/* ---- the end ---- */

/* What is being answered is answered, for a while. */
static void finish_requests(struct server *s)
{
    const struct timespec pause = { .tv_nsec = STOP_LOOK_NS };
    uint64_t until = shm_now_ns() + GRACE_MS * 1000000ULL;

    http_quiesce(s->http);
    http_let_nobody_in(s->http);
    if (s->before)
        http_let_nobody_in(s->before);
    do
        nanosleep(&pause, NULL);
    while (http_busy(s->http) + (s->before ? http_busy(s->before) : 0) > 0 && shm_now_ns() < until);
}

static void stop_server(struct server *s, int gracefully)
{
    if (s->http && gracefully)
        finish_requests(s);
    if (s->scrape)
        scrape_stop(s->scrape);
    http_stop(s->before);
    http_stop(s->http);
    scrape_free(s->scrape);
    for (size_t i = 0; i < s->address_count; i++)
        address_close(&s->addresses[i]);
}

/* running: it was not told to end. */
static void stop_reader(struct server *s, int running)
{
    int r;

    close(s->channel);
    r = channel_end(s->reader, END_MS);
    if (running && r >= 0)
        message_error("the process that reads segments has ended, with exit status %d", r);
}

int cmd_serve(int argc, char **argv, struct options *common)
{
    struct serve_arguments a;
    struct server s = { .a = &a, .signals = -1, .wake_fd = -1 };
    int first = -1, passed, status = 1;

    serve_arguments_parse(argc, argv, common, &a);
    passed = service_listen_fds(&first);
    s.watchdog_ms = service_watchdog_ms();
    if (start_reader(&s) == 0) {
        int started = start(&s, first, passed) == 0;

        if (started)
            status = run(&s);
        service_stopping(status ? "the process that reads segments has ended" : "stopped");
        stop_server(&s, status == 0);
        stop_reader(&s, started && status != 0);
    }
    if (s.wake_fd >= 0)
        close(s.wake_fd);
    if (s.signals >= 0)
        close(s.signals);
    filter_free(&a.filter);
    free(a.vms);
    return status;
}
