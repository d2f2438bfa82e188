/* SPDX-License-Identifier: MIT */
#include "cli/forward/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/forward/keys.h"
#include "cli/forward/resolve.h"
#include "shm/clock.h"

#define MS UINT64_C(1000000)
#define KEEPALIVE_S 60 /* an idle connection is looked at after this, and each third of it */
#define KEEPALIVE_TRIES 3
#define DRAIN_MS 10 /* how often is looked whether all has gone out: nothing says so */

struct link {
    int fd;
    gnutls_session_t tls; /* NULL: none */
    struct waiter *waiter;
};

/* What went wrong, for people. Returns error. */
__attribute__((format(printf, 3, 4))) static int fail(char why[LINK_WHY], int error, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(why, LINK_WHY, format, ap);
    va_end(ap);
    return error;
}

static int fail_system(char why[LINK_WHY], int error)
{
    char text[128];

    return fail(why, error, "%s", strerror_r(-error, text, sizeof(text)));
}

static int fail_wait(char why[LINK_WHY], int error, const char *what)
{
    if (error == -ETIMEDOUT)
        return fail(why, error, "%s", what);
    return error == -ECANCELED ? error : fail_system(why, error);
}

/* ---- connecting ---- */

static void set_up(int fd, int family, uint32_t timeout_ms)
{
    int on = 1, idle = KEEPALIVE_S, interval = KEEPALIVE_S / KEEPALIVE_TRIES, tries = KEEPALIVE_TRIES;

    if (family == AF_UNIX)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof(tries));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms,
               sizeof(timeout_ms)); /* what was sent, and goes nowhere */
}

/* The socket, connected; or a negative errno. */
static int connect_to(int family, const struct sockaddr *address, socklen_t size, uint32_t timeout_ms,
                      uint64_t deadline_ns, struct waiter *waiter)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;
    socklen_t error_size = sizeof(error);

    if (fd < 0)
        return -errno;
    set_up(fd, family, timeout_ms);
    if (connect(fd, address, size) < 0)
        error = errno;
    if (error == EINPROGRESS || error == EINTR) {
        int r = waiter_wait(waiter, fd, POLLOUT, deadline_ns);

        if (r < 0)
            error = -r;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size) < 0)
            error = errno;
    }
    if (error == 0)
        return fd;
    close(fd);
    return -error;
}

static int fail_connect(char why[LINK_WHY], int error, uint32_t timeout_ms)
{
    switch (-error) {
    case ECANCELED:
        return error;
    case ETIMEDOUT:
        return fail(why, error, "no connection within %.3g s; is it up, and its port open to us?", timeout_ms / 1000.0);
    case ECONNREFUSED:
        return fail(why, error, "connection refused; is a collector running, and listening there?");
    case ENOENT:
        return fail(why, error, "no such socket; is a collector running, and listening there?");
    case EAGAIN: /* of a Unix socket: its backlog is full */
        return fail(why, error, "it does not accept connections; is it overloaded, or stopped?");
    default:
        return fail_system(why, error);
    }
}

static int connect_unix(const struct endpoint *e, uint32_t timeout_ms, struct waiter *waiter, char why[LINK_WHY])
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd;

    if (strlen(e->path) >= sizeof(address.sun_path))
        return fail(why, -ENAMETOOLONG, "the name of a socket has at most %zu bytes", sizeof(address.sun_path) - 1);
    strcpy(address.sun_path, e->path);
    fd = connect_to(AF_UNIX, (const struct sockaddr *)&address, sizeof(address), timeout_ms,
                    shm_now_ns() + timeout_ms * MS, waiter);
    return fd < 0 ? fail_connect(why, fd, timeout_ms) : fd;
}

/* Each address has its share of the time, so that one that swallows all does not keep us from the next. */
static int connect_any(const struct addrinfo *found, uint32_t timeout_ms, struct waiter *waiter)
{
    uint64_t deadline_ns = shm_now_ns() + timeout_ms * MS;
    unsigned left = 0;
    int fd = -EHOSTUNREACH;

    for (const struct addrinfo *i = found; i; i = i->ai_next)
        left++;
    for (const struct addrinfo *i = found; i; i = i->ai_next, left--) {
        uint64_t now = shm_now_ns();
        uint64_t share = now < deadline_ns ? (deadline_ns - now) / left : 0;

        fd = connect_to(i->ai_family, i->ai_addr, i->ai_addrlen, timeout_ms, now + share, waiter);
        if (fd >= 0 || fd == -ECANCELED)
            break;
    }
    return fd;
}

static int connect_tcp(const struct endpoint *e, uint32_t timeout_ms, struct resolver *resolver, struct waiter *waiter,
                       char why[LINK_WHY])
{
    struct addrinfo *found;
    const char *reason = "";
    int r = resolve(resolver, e->host, e->port, shm_now_ns() + timeout_ms * MS, waiter, &found, &reason);

    if (r > 0)
        return fail(why, -EHOSTUNREACH, "%s", reason);
    if (r < 0)
        return fail_wait(why, r, "its name was not found in time; does the name server answer?");
    r = connect_any(found, timeout_ms, waiter);
    freeaddrinfo(found);
    return r < 0 ? fail_connect(why, r, timeout_ms) : r;
}

/* ---- TLS ---- */

static int fail_certificate(struct link *link, char why[LINK_WHY])
{
    unsigned status = gnutls_session_get_verify_cert_status(link->tls);
    gnutls_datum_t text;

    if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) < 0)
        return fail(why, -EKEYREJECTED, "its certificate is not trusted");
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\0'))
        text.size--;
    fail(why, -EKEYREJECTED, "TLS: %.*s Name its authority with --tls-ca, or the name in it with --tls-name.",
         (int)text.size, (const char *)text.data);
    gnutls_free(text.data);
    return -EKEYREJECTED;
}

static int fail_tls(struct link *link, int error, char why[LINK_WHY])
{
    switch (error) {
    case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
        return fail_certificate(link, why);
    case GNUTLS_E_FATAL_ALERT_RECEIVED: {
        gnutls_alert_description_t alert = gnutls_alert_get(link->tls);
        const char *name = gnutls_alert_get_name(alert);
        bool wants_ours = alert == GNUTLS_A_CERTIFICATE_REQUIRED || alert == GNUTLS_A_BAD_CERTIFICATE ||
                          alert == GNUTLS_A_UNKNOWN_CA || alert == GNUTLS_A_HANDSHAKE_FAILURE;

        return fail(why, -EPROTO, "TLS: it refused: %s%s", name ? name : "no reason given",
                    wants_ours ? "; does it want a certificate of ours (--tls-cert)?" : "");
    }
    case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
    case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
    case GNUTLS_E_UNEXPECTED_PACKET:
    case GNUTLS_E_UNEXPECTED_HANDSHAKE_PACKET:
    case GNUTLS_E_RECORD_OVERFLOW:
        return fail(why, -EPROTO, "TLS: it does not seem to speak it (%s)", gnutls_strerror(error));
    case GNUTLS_E_PREMATURE_TERMINATION:
    case GNUTLS_E_PULL_ERROR:
    case GNUTLS_E_PUSH_ERROR:
        return fail(why, -EPIPE, "TLS: it closed the connection");
    default:
        return fail(why, -EPROTO, "TLS: %s", gnutls_strerror(error));
    }
}

/* For what TLS has to do next. 0, -ETIMEDOUT, -ECANCELED. */
static int wait_tls(struct link *link, uint64_t deadline_ns)
{
    short events = gnutls_record_get_direction(link->tls) ? POLLOUT : POLLIN;

    return waiter_wait(link->waiter, link->fd, events, deadline_ns);
}

static bool is_address(const char *name)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static int set_up_tls(struct link *link, const char *name, int insecure, const struct keys *keys)
{
    /* Over what the system's administrator has decided for all. */
    int r = gnutls_set_default_priority_append(link->tls, "-VERS-TLS1.0:-VERS-TLS1.1", NULL, 0);

    if (r >= 0)
        r = gnutls_credentials_set(link->tls, GNUTLS_CRD_CERTIFICATE, keys->tls);
    if (r >= 0 && name && !is_address(name))
        r = gnutls_server_name_set(link->tls, GNUTLS_NAME_DNS, name, strlen(name));
    if (!insecure)
        gnutls_session_set_verify_cert(link->tls, name, 0);
    gnutls_transport_set_int(link->tls, link->fd);
    return r;
}

static int start_tls(struct link *link, const struct forward_arguments *a, const struct endpoint *e,
                     const struct keys *keys, char why[LINK_WHY])
{
    uint64_t deadline_ns = shm_now_ns() + a->timeout_ms * MS;
    const char *name = a->tls_name ? a->tls_name : e->host;
    int r = gnutls_init(&link->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);

    if (r < 0) {
        link->tls = NULL;
        return fail(why, -ENOMEM, "TLS: %s", gnutls_strerror(r));
    }
    if (!name && !a->tls_insecure) /* else any certificate of any authority would do */
        return fail(why, -EINVAL, "TLS on a Unix socket: give the name in its certificate with --tls-name");
    r = set_up_tls(link, name, a->tls_insecure, keys);
    if (r < 0)
        return fail(why, -EINVAL, "TLS: %s", gnutls_strerror(r));
    while ((r = gnutls_handshake(link->tls)) < 0) {
        if (gnutls_error_is_fatal(r))
            return fail_tls(link, r, why);
        r = wait_tls(link, deadline_ns);
        if (r < 0)
            return fail_wait(why, r, "TLS: no answer in time; does it speak TLS?");
    }
    return 0;
}

/* ---- a link ---- */

int link_open(const struct forward_arguments *a, const struct endpoint *endpoint, const struct keys *keys,
              struct resolver *resolver, struct waiter *waiter, struct link **ret, char why[LINK_WHY])
{
    struct link *link = calloc(1, sizeof(*link));
    int r = 0;

    if (!link)
        return fail_system(why, -ENOMEM);
    link->waiter = waiter;
    link->fd = endpoint->path ? connect_unix(endpoint, a->timeout_ms, waiter, why)
                              : connect_tcp(endpoint, a->timeout_ms, resolver, waiter, why);
    if (link->fd < 0) {
        r = link->fd;
        free(link);
        return r;
    }
    if (a->tls)
        r = start_tls(link, a, endpoint, keys, why);
    if (r < 0) {
        link_close(link);
        return r;
    }
    *ret = link;
    return 0;
}

/* As send(2): bytes, or a negative errno; -EAGAIN: wait. */
static ssize_t send_some(struct link *link, const char *data, size_t size, char why[LINK_WHY])
{
    ssize_t n;

    if (link->tls) {
        n = gnutls_record_send(link->tls, data, size);
        if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
            return -EAGAIN;
        return n < 0 ? fail_tls(link, (int)n, why) : n;
    }
    n = send(link->fd, data, size, MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? -EAGAIN : fail_system(why, -errno);
}

int link_write(struct link *link, const void *data, size_t size, uint64_t deadline_ns, char why[LINK_WHY])
{
    const char *at = data;
    int r;

    while (size > 0) {
        ssize_t n = send_some(link, at, size, why);

        if (n >= 0) {
            at += n;
            size -= (size_t)n;
            continue;
        }
        if (n != -EAGAIN)
            return (int)n;
        r = link->tls ? wait_tls(link, deadline_ns) : waiter_wait(link->waiter, link->fd, POLLOUT, deadline_ns);
        if (r < 0)
            return fail_wait(why, r, "it did not take what was sent in time; is it overloaded, or stopped?");
    }
    return 0;
}

long link_read(struct link *link, void *data, size_t size, char why[LINK_WHY])
{
    ssize_t n;

    if (link->tls) {
        n = gnutls_record_recv(link->tls, data, size);
        if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
            return -EAGAIN;
        if (n == GNUTLS_E_PREMATURE_TERMINATION)
            return 0;
        return n < 0 ? fail_tls(link, (int)n, why) : n;
    }
    n = recv(link->fd, data, size, MSG_DONTWAIT);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? -EAGAIN : fail_system(why, -errno);
}

int link_wait(struct link *link, uint64_t deadline_ns)
{
    if (link->tls && gnutls_record_check_pending(link->tls) > 0)
        return 1;
    return waiter_wait_or_wake(link->waiter, link->fd, POLLIN, deadline_ns);
}

/* Whether the other machine has all of it; of a Unix socket, whether it was read. */
static bool is_drained(int fd)
{
    int bytes;

    return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes == 0;
}

int link_finish(struct link *link, uint64_t deadline_ns)
{
    char passed_over[4096], why[LINK_WHY];
    int r;

    while (link->tls && (r = gnutls_bye(link->tls, GNUTLS_SHUT_WR)) < 0) {
        if (gnutls_error_is_fatal(r))
            return -EPIPE;
        r = wait_tls(link, deadline_ns);
        if (r < 0)
            return r;
    }
    if (shutdown(link->fd, SHUT_WR) < 0)
        return -EPIPE;
    for (;;) {
        ssize_t n = recv(link->fd, passed_over, sizeof(passed_over), MSG_DONTWAIT);
        uint64_t now = shm_now_ns();

        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return fail_system(why, -EPIPE);
        if (is_drained(link->fd))
            return 0;
        if (n == 0)
            return -EPIPE;
        if (now >= deadline_ns)
            return -ETIMEDOUT;
        r = waiter_wait(link->waiter, -1, 0, now + DRAIN_MS * MS);
        if (r != -ETIMEDOUT)
            return r;
    }
}

void link_close(struct link *link)
{
    if (!link)
        return;
    if (link->tls)
        gnutls_deinit(link->tls);
    close(link->fd);
    free(link);
}
