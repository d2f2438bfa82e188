/* SPDX-License-Identifier: MIT */
/* listen.h: a unix socket that has a name as long as it is listened on. */
#ifndef CLI_QUERY_LISTEN_H
#define CLI_QUERY_LISTEN_H

#include <sys/stat.h>

struct listener {
    int fd; /* does not block */
    const char *path;
    struct stat file; /* which file of that name is ours */
};

/* Make the socket at path (mode 0600) and listen. One that nobody listens on any more is replaced. 0, or -1 after a
 * message. path must stay. */
int listener_open(const char *path, struct listener *ret);

/* Close the socket and remove its name, if that is still ours. */
void listener_close(struct listener *listener);

/* Have serve(arg, fd) done by a process of its own, which may give up what it has no use for, until it ends, or a
 * signal asks for the end (SIGTERM is passed on); then remove the file. The exit status: that process's. fd is closed. */
int listener_run(struct listener *listener, int (*serve)(void *arg, int fd), void *arg);

#endif
