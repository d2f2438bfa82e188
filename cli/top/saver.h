/* SPDX-License-Identifier: MIT */
/* saver.h: who writes the file of settings. kvmtop in its sandbox can't write anything, and shall not be able to: before
 * it enters, it starts a small process, which never sees a segment and does nothing but to put the text that it is given
 * into that one file. It ends when kvmtop does.
 */
#ifndef CLI_TOP_SAVER_H
#define CLI_TOP_SAVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SAVER_BYTES (64U << 10) /* the longest text */

struct saver {
    char *path;
    int fd;    /* -1: there is none, for the reason error */
    int error; /* negative errno */
    pid_t child;
    uint32_t number;
};

/* Start it, for this absolute path (NULL: there is none to be written). What fails is said by saver_save(). Forks: call
 * it while there is one thread, before the sandbox and before the terminal is taken. Ignores SIGPIPE from then on. */
void saver_start(struct saver *saver, const char *path);

/* Have text written, in at most a second. 0, or a negative errno and *why (of why_size bytes), one line with the file's
 * name. */
int saver_save(struct saver *saver, const char *text, char *why, size_t why_size);

void saver_end(struct saver *saver);

/* What that process does: write text (size bytes, without control characters but line ends) to a new file beside path,
 * and rename it. What is missing of its directories is made, mode 0700; the file has mode 0600, or keeps the one that it
 * has. Where path is a symbolic link, what it leads to is written. Root writes only where all directories are root's.
 * 0 or negative errno; the file is whole in any case, the old or the new one. */
int saver_write(const char *path, const char *text, size_t size);

#endif
