/* SPDX-License-Identifier: MIT */
#include "cli/forward/inbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void inbox_clear(struct inbox *inbox)
{
    inbox->size = 0;
    inbox->extent = (struct extent){ 0 };
}

int inbox_fill(struct inbox *inbox, struct link *link, char why[LINK_WHY])
{
    long n;

    if (inbox->size == sizeof(inbox->bytes)) {
        snprintf(why, LINK_WHY, "it sent a message larger than %u KiB; is it a collector for Fluent Forward?",
                 ANSWER_MAX >> 10);
        return -EMSGSIZE;
    }
    n = link_read(link, inbox->bytes + inbox->size, sizeof(inbox->bytes) - inbox->size, why);
    if (n == -EAGAIN)
        return 0;
    if (n == 0) {
        snprintf(why, LINK_WHY, "it closed the connection");
        return -EPIPE;
    }
    if (n < 0)
        return (int)n;
    inbox->size += (size_t)n;
    return 1;
}

int inbox_look(struct inbox *inbox, const unsigned char **message, size_t *size)
{
    int r = extent_find(&inbox->extent, inbox->bytes, inbox->size);

    if (r == 1) {
        *message = inbox->bytes;
        *size = inbox->extent.at;
    }
    return r;
}

void inbox_pass(struct inbox *inbox)
{
    size_t passed = inbox->extent.at;

    inbox->size -= passed;
    memmove(inbox->bytes, inbox->bytes + passed, inbox->size);
    inbox->extent = (struct extent){ 0 };
}
