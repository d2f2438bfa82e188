/* SPDX-License-Identifier: MIT */
#include "endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../message.h"

#define PORT_DEFAULT "24224"
#define SECRET_BYTES 4096 /* no key is larger */

static int wrong(char *why, size_t size, const char *text)
{
    snprintf(why, size, "%s", text);
    return -1;
}

static int starts_with(const char **text, const char *start)
{
    size_t size = strlen(start);

    if (strncmp(*text, start, size) != 0)
        return 0;
    *text += size;
    return 1;
}

static int parse_path(const char *path, struct endpoint *ret, char *why, size_t size)
{
    if (!*path)
        return wrong(why, size, "unix: needs the path of a socket");
    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return wrong(why, size, "a path of a socket has at most 107 bytes");
    ret->path = path;
    return 0;
}

static int is_port(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);

    return *text >= '0' && *text <= '9' && !*end && port >= 1 && port <= 65535;
}

/* Where the host ends, and the port begins (NULL: there is none). */
static int split(const char *text, const char **host, size_t *size, const char **port, char *why, size_t why_size)
{
    const char *end;

    *host = text;
    if (*text == '[') {
        end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return wrong(why, why_size, "an IPv6 address with a port is [ADDRESS]:PORT");
        *host = text + 1;
        *size = (size_t)(end - *host);
        *port = end[1] ? end + 2 : NULL;
        return 0;
    }
    end = strchr(text, ':');
    if (end && strchr(end + 1, ':'))
        return wrong(why, why_size, "an IPv6 address stands in brackets: [ADDRESS]:PORT");
    *size = end ? (size_t)(end - text) : strlen(text);
    *port = end ? end + 1 : NULL;
    return 0;
}

int endpoint_parse(const char *text, struct endpoint *ret, int *tls, char *why, size_t why_size)
{
    const char *rest = text, *host, *port;
    struct endpoint endpoint = { .text = text };
    int is_tls = 0;
    size_t size;

    if (starts_with(&rest, "unix:")) {
        if (parse_path(rest, &endpoint, why, why_size) < 0)
            return -1;
        *ret = endpoint;
        return 0;
    }
    if (starts_with(&rest, "tls://"))
        is_tls = 1;
    else
        starts_with(&rest, "tcp://");
    if (strchr(rest, '/'))
        return wrong(why, why_size, "HOST:PORT, tls://HOST:PORT or unix:PATH is what there is");
    if (split(rest, &host, &size, &port, why, why_size) < 0)
        return -1;
    if (!size)
        return wrong(why, why_size, "which host?");
    if (port && !is_port(port))
        return wrong(why, why_size, "a port is a number, 1 to 65535");
    endpoint.host = strndup(host, size);
    endpoint.port = strdup(port ? port : PORT_DEFAULT);
    if (!endpoint.host || !endpoint.port) {
        endpoint_free(&endpoint);
        return wrong(why, why_size, "out of memory");
    }
    *ret = endpoint;
    *tls = is_tls;
    return 0;
}

void endpoint_free(struct endpoint *endpoint)
{
    free(endpoint->host);
    free(endpoint->port);
    endpoint->host = endpoint->port = NULL;
}

/* ---- secrets ---- */

/* All of it, or the first SECRET_BYTES. */
static ssize_t read_start(const char *path, char *buf, size_t size, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t done = 0;
    ssize_t n = -1;
    int error;

    if (fd < 0)
        return -errno;
    if (fstat(fd, st) == 0) {
        while (done < size && (n = read(fd, buf + done, size - done)) > 0)
            done += (size_t)n;
    }
    error = errno;
    close(fd);
    return n < 0 ? -error : (ssize_t)done;
}

static size_t line_size(const char *buf, size_t n)
{
    size_t size = 0;

    while (size < n && buf[size] && buf[size] != '\r' && buf[size] != '\n')
        size++;
    return size;
}

int forward_secret(const char *path, char **ret)
{
    char buf[SECRET_BYTES + 1], reason[256];
    struct stat st;
    ssize_t n = read_start(path, buf, sizeof(buf), &st);
    size_t size = n > 0 ? line_size(buf, (size_t)n) : 0;
    char *secret = NULL;

    if (n < 0)
        message_error("%s: %s", path, message_reason((int)n, reason, sizeof(reason)));
    else if (size > SECRET_BYTES)
        message_error("%s: its first line is longer than %d bytes; is it a key?", path, SECRET_BYTES);
    else if (size == 0)
        message_error("%s: its first line is empty; it should be the secret", path);
    else
        secret = strndup(buf, size);
    explicit_bzero(buf, sizeof(buf));
    if (!secret)
        return -1;
    if (S_ISREG(st.st_mode) && st.st_mode & S_IROTH)
        message_error("%s: everybody on this host can read it; chmod o-r keeps the secret one", path);
    *ret = secret;
    return 0;
}
