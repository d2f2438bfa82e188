/* SPDX-License-Identifier: MIT */
/* inbox.h: what a collector sends, cut into messages, of which each is at most ANSWER_MAX long. */
#ifndef CLI_FORWARD_INBOX_H
#define CLI_FORWARD_INBOX_H

#include "answer.h"
#include "link.h"

struct inbox {
    unsigned char bytes[ANSWER_MAX];
    size_t size;
    struct extent extent; /* of the first message */
};

/* For people. */
#define HEARD_OTHER "what it sent is no message of Fluent Forward; is it a collector for that? Does it want TLS?"

void inbox_clear(struct inbox *inbox);

/* Read what has come. 1: something; 0: nothing; -EPIPE: the other end has closed; or what went wrong. why as in
 * link.h. */
int inbox_fill(struct inbox *inbox, struct link *link, char why[LINK_WHY]);

/* The first message, which stays until inbox_pass(). 1; 0: there is no whole one; -EBADMSG: what came is no message. */
int inbox_look(struct inbox *inbox, const unsigned char **message, size_t *size);
void inbox_pass(struct inbox *inbox);

#endif
