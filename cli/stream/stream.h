/* SPDX-License-Identifier: MIT */
/* stream.h: the parts of vmtally stream and vmtally cat:
 *
 *   cmd_stream.c  what is asked for; starts both processes
 *   -- the reader, in the sandbox --
 *   lines.c       samples at each beat, or when told to; each VM's part of the stream in its format, and what became of it
 *   -- the writer, outside; sees no segment --
 *   writer.c      files, FIFOs, standard output: whole parts or nothing, never waited for; rotation; signals
 *
 *   cmd_cat.c     a stream of msgpack read back, and written in any other format
 */
#ifndef CLI_STREAM_STREAM_H
#define CLI_STREAM_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "../filter.h"
#include "../options.h"

enum stream_format { STREAM_FIRECRACKER, STREAM_JSON, STREAM_MSGPACK };

struct stream_arguments {
    struct options *common;
    struct filter filter;
    enum stream_format format;
    char **vms;
    size_t vm_count;
    double interval;
    uint64_t count;     /* of samples, 0: until told to stop */
    const char *output; /* NULL: standard output */
};

/* ---- messages on the channel (channel.h) ---- */

/* reader -> writer: a part, to be written whole or not at all: what one VM has at one beat. Answered by one of the next. */
#define STREAM_PART 1U
/* writer -> reader: it is written, or as good as: what could not be written at once will be, before anything else. */
#define STREAM_WRITTEN 2U
/* writer -> reader: nothing of it is. */
#define STREAM_MISSED 3U
/* writer -> reader: a new file was begun: what stands in front of a stream is to be sent again. */
#define STREAM_ANEW 4U
/* writer -> reader: sample now (SIGUSR1). */
#define STREAM_NOW 5U
/* writer -> reader: sample once more, then end. */
#define STREAM_STOP 6U
/* reader -> writer: that was all; an int, the exit status. */
#define STREAM_END 7U

#endif
