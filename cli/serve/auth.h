/* SPDX-License-Identifier: MIT */
/* auth.h: users and their passwords: lines of USER:HASH, the hash as crypt(3) makes it; '#' begins a comment. */
#ifndef CLI_SERVE_AUTH_H
#define CLI_SERVE_AUTH_H

struct auth;

/* *ret is the caller's. 0, or -1 after a message with file and line. */
int auth_load(const char *path, struct auth **ret);
void auth_free(struct auth *auth); /* NULL is allowed */

/* What is remembered of before goes on, for users whose hash is the same. auth is not yet used by others; before may be. */
void auth_keep(struct auth *auth, struct auth *before);

/* Any thread, from here on. 1 where the password was right before: that is remembered, so that a scrape does not cost what a
 * hash is made to cost. */
int auth_known(struct auth *auth, const char *user, const char *password);

/* 1 where the password is the user's, 0 where not, -ECANCELED after auth_stop(). What is wrong costs as much whether there is
 * such a user or not, and is found out one at a time: the caller sees to it that few wait for that. */
int auth_check(struct auth *auth, const char *user, const char *password);

/* No more passwords are looked at but the one that is: who waits does so no more. NULL is allowed. */
void auth_stop(struct auth *auth);

#endif
