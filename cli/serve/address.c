/* SPDX-License-Identifier: MIT */
#include "cli/serve/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/message.h"

#define UNIX "unix:"
#define HOST_SIZE 256
#define BACKLOG 64

/* ---- what is asked for ---- */

static int port_valid(const char *port)
{
    char *end;
    unsigned long n = strtoul(port, &end, 10);

    return port[0] >= '0' && port[0] <= '9' && !*end && n <= 65535;
}

/* Cut into host (HOST_SIZE bytes; "": all of this host's) and port, which is in text. 0 or -1. */
static int split(const char *text, char *host, const char **port)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    int brackets = n >= 2 && text[0] == '[' && text[n - 1] == ']';

    if (!colon || n - (brackets ? 2U : 0U) >= HOST_SIZE || !port_valid(colon + 1))
        return -1;
    if (!brackets && memchr(text, ':', n)) /* which colon is before the port? */
        return -1;
    snprintf(host, HOST_SIZE, "%.*s", (int)(brackets ? n - 2 : n), text + brackets);
    *port = colon + 1;
    return 0;
}

int address_valid(const char *text)
{
    char host[HOST_SIZE];
    const char *port;

    if (!strncmp(text, UNIX, strlen(UNIX)))
        return text[strlen(UNIX)] != '\0';
    return split(text, host, &port) == 0;
}

/* ---- what a socket is bound to ---- */

static int is_loopback(const struct sockaddr_storage *a)
{
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)a)->sin6_addr;
    uint32_t v4 = ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr);

    switch (a->ss_family) {
    case AF_INET:
        return v4 >> 24 == 127;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
    default:
        return 1;
    }
}

/* What it is called, and who reaches it. */
static int describe(struct address *a)
{
    struct sockaddr_storage name = { 0 };
    const struct sockaddr_un *un = (const struct sockaddr_un *)&name;
    socklen_t size = sizeof(name);
    char host[64], port[16];

    if (getsockname(a->fd, (struct sockaddr *)&name, &size) < 0)
        return -errno;
    a->loopback = is_loopback(&name);
    if (name.ss_family == AF_UNIX) {
        snprintf(a->text, sizeof(a->text), UNIX "%.*s", (int)sizeof(un->sun_path), un->sun_path);
        return 0;
    }
    if (getnameinfo((struct sockaddr *)&name, size, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return -EAFNOSUPPORT;
    snprintf(a->text, sizeof(a->text), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    return 0;
}

/* ---- TCP ---- */

static const char *reason_of(int error, char *buf, size_t n)
{
    switch (error) {
    case EADDRINUSE:
        return "somebody listens there already ('ss -ltnp' shows who); end that, or choose another with --listen";
    case EADDRNOTAVAIL:
        return "no address of this host ('ip address' shows those that are); choose one of them, or 127.0.0.1";
    case EACCES:
    case EPERM:
        return "not permitted; ports below 1024 are for root";
    default:
        return strerror_r(error, buf, n);
    }
}

/* Listen on one of the addresses of a name. The socket, or a negative errno. */
static int listen_on(const struct addrinfo *info)
{
    const int on = 1, off = 0;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int e;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (info->ai_family == AF_INET6) /* IPv4, too, where it is all of this host's */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    e = errno;
    close(fd);
    return -e;
}

/* The first address that there is. IPv6 first where it is all of them: it takes IPv4, too. */
static int listen_first(const struct addrinfo *all, int any)
{
    int fd = -EAFNOSUPPORT;

    for (const struct addrinfo *i = all; i && any; i = i->ai_next) {
        if (i->ai_family == AF_INET6 && (fd = listen_on(i)) >= 0)
            return fd;
    }
    if (fd == -EADDRINUSE)
        return fd;
    for (const struct addrinfo *i = all; i; i = i->ai_next) {
        if (any && i->ai_family == AF_INET6)
            continue;
        fd = listen_on(i);
        if (fd >= 0 || fd == -EADDRINUSE)
            return fd;
    }
    return fd;
}

static int open_tcp(const char *text, struct address *ret)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *all = NULL;
    struct address a = { .fd = -1 };
    char host[HOST_SIZE], buf[128];
    const char *port;
    int e;

    if (split(text, host, &port) < 0) {
        message_error("%s: no address to listen on; name ADDR:PORT, such as " /* checked before, but for systemd's */
                      "127.0.0.1:9959",
                      text);
        return -1;
    }
    e = getaddrinfo(host[0] ? host : NULL, port, &hints, &all);
    if (e) {
        message_error("%s: %s", text, gai_strerror(e));
        return -1;
    }
    a.fd = listen_first(all, !host[0]);
    freeaddrinfo(all);
    e = a.fd < 0 ? a.fd : describe(&a);
    if (e == 0) {
        *ret = a;
        return 0;
    }
    message_error("%s: %s", text, reason_of(-e, buf, sizeof(buf)));
    if (a.fd >= 0)
        close(a.fd);
    return -1;
}

/* ---- all kinds ---- */

int address_open(const char *text, struct address *ret)
{
    struct address a = { .loopback = 1 };

    if (strncmp(text, UNIX, strlen(UNIX)) != 0)
        return open_tcp(text, ret);
    if (listener_open(text + strlen(UNIX), &a.unix_socket))
        return -1;
    a.fd = a.unix_socket.fd;
    snprintf(a.text, sizeof(a.text), "%s", text);
    *ret = a;
    return 0;
}

int address_adopt(int fd, struct address *ret)
{
    struct address a = { .fd = fd };
    int listens = 0, type = 0;
    socklen_t size = sizeof(int);
    int flags = fcntl(fd, F_GETFL);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || type != SOCK_STREAM || !listens ||
        flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || describe(&a) < 0) {
        message_error(
            "descriptor %d, which systemd gave, is no socket that listens: it takes ListenStream= and Accept=no", fd);
        return -1;
    }
    *ret = a;
    return 0;
}

void address_close(struct address *a)
{
    if (a->unix_socket.path)
        listener_close(&a->unix_socket);
    else
        close(a->fd);
}
