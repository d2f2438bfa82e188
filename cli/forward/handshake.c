/* SPDX-License-Identifier: MIT */
#include "cli/forward/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shm/clock.h"

#define MS UINT64_C(1000000)

static int fail(char why[LINK_WHY], int error, const char *text)
{
    snprintf(why, LINK_WHY, "%s", text);
    return error;
}

/* The next message. late: what to say if there is none in time. */
static int expect(struct link *link, struct inbox *inbox, uint64_t deadline_ns, const char *late,
                  const unsigned char **message, size_t *size, char why[LINK_WHY])
{
    int r;

    while ((r = inbox_look(inbox, message, size)) == 0) {
        r = inbox_fill(inbox, link, why);
        if (r < 0)
            return r;
        if (r == 0)
            r = link_wait(link, deadline_ns);
        if (r >= 0 && shm_clock_ns(CLOCK_MONOTONIC) >= deadline_ns) /* also of one that comes byte by byte */
            r = -ETIMEDOUT;
        if (r < 0)
            return r == -ETIMEDOUT ? fail(why, r, late) : r;
    }
    if (r < 0)
        return fail(why, r, HEARD_OTHER);
    return 0;
}

static int refused(const struct credentials *credentials, struct text reason, char why[LINK_WHY])
{
    snprintf(why, LINK_WHY,
             "it refused us: %.*s; look at --shared-key-file, %s, --hostname, and what is configured there",
             (int)(reason.size < 128 ? reason.size : 128), reason.data,
             credentials->user ? "--user, --password-file" : "whether it wants a --user");
    return -EACCES;
}

static int check_pong(const struct credentials *credentials, const struct helo *helo, const char *salt,
                      const struct pong *pong, char why[LINK_WHY])
{
    int r;

    if (!pong->ok)
        return refused(credentials, pong->reason, why);
    if (text_is(pong->host, credentials->self_host))
        return fail(why, -EKEYREJECTED, "it has the same host name as we; give us another one with --hostname");
    r = forward1_check(credentials, helo, salt, pong);
    if (r == -EKEYREJECTED)
        return fail(why, r, "it did not show that it has the shared key: it is not the collector it should be");
    return r < 0 ? fail(why, r, "no digest could be made") : 0;
}

int handshake(struct link *link, struct inbox *inbox, const struct credentials *credentials, uint32_t timeout_ms,
              bool *keepalive, char why[LINK_WHY])
{
    uint64_t deadline_ns = shm_clock_ns(CLOCK_MONOTONIC) + timeout_ms * MS;
    struct vmt_buffer ping = { 0 };
    const unsigned char *message;
    char salt[SALT_SIZE];
    struct helo helo;
    struct pong pong;
    size_t size;
    int r;

    r = expect(link, inbox, deadline_ns,
               "it asks for no shared key (no HELO came); configure one there, or leave out --shared-key-file",
               &message, &size, why);
    if (r < 0)
        return r;
    if (helo_read(message, size, &helo) < 0)
        return fail(why, -EBADMSG, "it did not begin with HELO");
    inbox_pass(inbox);
    r = forward1_salt(salt);
    if (r == 0)
        r = forward1_ping(credentials, &helo, salt, &ping);
    if (r == 0)
        r = link_write(link, ping.data, ping.size, deadline_ns, why);
    else
        fail(why, r, "PING could not be made");
    vmt_buffer_free(&ping);
    if (r == 0)
        r = expect(link, inbox, deadline_ns, "it did not answer PING in time", &message, &size, why);
    if (r < 0)
        return r;
    if (pong_read(message, size, &pong) < 0)
        return fail(why, -EBADMSG, "it did not answer PING with PONG");
    r = check_pong(credentials, &helo, salt, &pong, why);
    inbox_pass(inbox);
    *keepalive = helo.keepalive;
    return r;
}
