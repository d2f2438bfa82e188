/* SPDX-License-Identifier: MIT */
/* auth.h: users and their passwords: lines of USER:HASH, the hash as crypt(3) makes it; '#' begins a comment. */
#ifndef CLI_SERVE_AUTH_H
#define CLI_SERVE_AUTH_H

struct auth;

/* *ret is the caller's. 0, or -1 after a message with file and line. */
int auth_load(const char *path, struct auth **ret);
void auth_free(struct auth *auth); /* NULL is allowed */

/* 1 where the password is the user's. Any thread. What was right once is remembered, so that a scrape does not cost what a
 * hash is made to cost; what is wrong costs as much whether there is such a user or not, and is found out one at a
 * time. */
int auth_check(struct auth *auth, const char *user, const char *password);

#endif
