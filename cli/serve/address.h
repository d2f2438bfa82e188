/* SPDX-License-Identifier: MIT */
/* address.h: sockets that listen: TCP, Unix, or those that systemd has opened for us. */
#ifndef CLI_SERVE_ADDRESS_H
#define CLI_SERVE_ADDRESS_H

#include <stddef.h>

#include "cli/query/listen.h"

#define ADDRESS_TEXT 160

struct address {
    int fd;                      /* listens, and does not block */
    int loopback;                /* only this host reaches it */
    struct listener unix_socket; /* of unix:PATH, else .path is NULL */
    char text[ADDRESS_TEXT];     /* "127.0.0.1:9959", "[::]:9959", "unix:PATH" */
};

/* Whether text is an address to listen on: "ADDR:PORT", "[ADDR]:PORT", ":PORT" (all of the host's), "unix:PATH". */
int address_valid(const char *text);

/* Listen there. Port 0: one that is free, which ret->text then says. text must stay. 0, or -1 after a message. */
int address_open(const char *text, struct address *ret);

/* Of a socket that is open. 0, or -1 after a message: it does not listen for a stream. */
int address_adopt(int fd, struct address *ret);

/* Close it, and remove a name in the file system that address_open() made. */
void address_close(struct address *address);

#endif
