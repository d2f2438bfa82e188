/* SPDX-License-Identifier: MIT */
/* sink.h: where a stream goes: a file, a FIFO or standard output. What is put there is there whole or not at all, and
 * who puts it never waits longer than he says: who reads too slowly misses parts. */
#ifndef CLI_STREAM_SINK_H
#define CLI_STREAM_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include <vmtally/export.h>

struct sink {
    const char *path; /* NULL: standard output */
    int fd;           /* -1: a FIFO that nobody reads */
    bool regular;
    bool alone;             /* a part can be read without those before it */
    bool anew;              /* begun since sink_begins() was asked last: for another reader, or in another file */
    bool gone;              /* nobody reads standard output any more */
    bool failed;            /* something could not be written for another reason than that nobody takes it */
    int said;               /* the errno that was said, until something is written again */
    uint64_t since;         /* parts missed since it was said */
    struct vmt_buffer rest; /* a part that is not all written: the rest of it goes out before anything else */
    size_t rest_at;
};

/* How long may be waited, and for what else: whenever wake_fd becomes readable, woken(arg) is asked whether to go on
 * waiting. */
struct sink_patience {
    uint64_t until_ns; /* CLOCK_MONOTONIC */
    int wake_fd;
    bool (*woken)(void *arg);
    void *arg;
};

/* Open the file at path to append to (mode 0640 where it is new), or (NULL) take standard output. A FIFO that nobody
 * reads is opened when somebody does. Where parts stand alone, one that was cut off by a change of who takes it is
 * written whole to the next. 0, or 1 after a message. path must stay. */
int sink_open(struct sink *sink, const char *path, bool alone);
void sink_close(struct sink *sink);

/* Open what is under its name by now, where it was moved away; it begins anew in any case. Where that fails it is said,
 * and the old one is written on. */
void sink_reopen(struct sink *sink);

/* Before something is put there: 1 where it begins anew, and was not asked about that since. Opens a FIFO that somebody
 * reads by now. */
int sink_begins(struct sink *sink);

/* Whether all of it is written, or is on its way: a part of it that is not written yet is its rest. */
bool sink_put(struct sink *sink, const char *data, size_t size, const struct sink_patience *patience);

/* Write the rest, if there is one and somebody who takes it. Whether there is none any more. */
bool sink_flush(struct sink *sink, const struct sink_patience *patience);

/* For poll(): POLLOUT while there is a rest. */
short sink_events(const struct sink *sink);

/* What poll() has said of it. */
void sink_look(struct sink *sink, short events);

#endif
