/* SPDX-License-Identifier: MIT */
/* clients.h: connections that are open: how many there may be, of one host, and for how long each may take for what it does. Who
 * sends a byte now and then, or reads one, is ended as who does nothing. Any thread. */
#ifndef CLI_SERVE_CLIENTS_H
#define CLI_SERVE_CLIENTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define CLIENTS_MAX 64
#define CLIENTS_OF_HOST 32
#define CLIENTS_CHECKED 4 /* passwords that are looked at, or wait for it */
#define CLIENTS_CHECKED_OF_HOST 2

struct client;
struct clients;

/* *ret is the caller's. 0 or -ENOMEM. */
int clients_new(struct clients **ret);
void clients_free(struct clients *clients); /* NULL is allowed */

#define CLIENTS_SLOTS (2 * CLIENTS_MAX) /* with those that were ended, and are about to go */

/* Whether one more of that host may come: 1 it may, 0 not, 2 it may, and another one was ended for it that had asked for
 * nothing for the longest time. */
int clients_admit(struct clients *clients, const struct sockaddr *address);

/* It has come; fd stays open until clients_remove(). NULL: there is no room. */
struct client *clients_add(struct clients *clients, int fd, const struct sockaddr *address);
void clients_remove(struct clients *clients, struct client *client); /* NULL is allowed */

/* A request of it is there, and is answered; the answer is done. NULL is allowed. */
void clients_busy(struct clients *clients, struct client *client);
void clients_idle(struct clients *clients, struct client *client);

/* Whether its password may be looked at, which takes a while: not where as many wait for that already. */
int clients_check(struct clients *clients, struct client *client);
void clients_checked(struct clients *clients, struct client *client); /* after that */

/* It is sent body number body. */
void clients_sending(struct clients *clients, struct client *client, uint64_t body);

/* End those that are still sent a body before that one; how many. */
size_t clients_shed(struct clients *clients, uint64_t body);

/* End those that have taken too long; how many of them were in the middle of something. */
size_t clients_expire(struct clients *clients);

struct clients_count {
    size_t open;
    size_t busy; /* they ask for something, or have just come */
};
struct clients_count clients_count(struct clients *clients);

#endif
