/* SPDX-License-Identifier: MIT */
/* stream.h: the parts of vmtally stream and vmtally cat:
 *
 *   cmd_stream.c  what is asked for; starts both processes
 *   -- the reader, in the sandbox --
 *   lines.c       samples at each beat, or when told to; each VM's part of the stream in its format, and what became of it
 *   -- the writer, outside; sees no segment --
 *   writer.c      takes parts and signals, says what became of each part
 *   sink.c        files, FIFOs, standard output: whole parts or nothing, never waited for longer than a beat allows
 *
 *   cmd_cat.c     a stream of msgpack read back, and written in any other format
 *   cat_input.c   its files, one after the other, and as they grow
 *   cat_vms.c     what is remembered of each VM in it
 */
#ifndef CLI_STREAM_STREAM_H
#define CLI_STREAM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../formats.h"
#include "../options.h"

struct stream_arguments {
    struct options *common;
    const struct format *format;
    char **vms;
    size_t vm_count;
    double interval;
    uint64_t count;     /* of samples, 0: until told to stop */
    const char *output; /* NULL: standard output */
    bool stays;         /* when its terminal goes: started by nohup */
};

#define STREAM_PART_MAX                                                                                                \
    ((size_t)64 << 20) /* what one VM has at one beat: no more than vmtally cat takes as one frame */

/* ---- messages on the channel (channel.h) ---- */

/* reader -> writer: a beat begins; whatever waits for the output may do so for another while. Answered by one of the
 * next. */
#define STREAM_BEAT 1U
/* writer -> reader: go on. */
#define STREAM_READY 2U
/* writer -> reader: go on, for somebody who has nothing of what was written before: what stands in front of a stream
 * is to be sent again. */
#define STREAM_ANEW 3U
/* reader -> writer: a part, to be written whole or not at all: what one VM has at one beat. Answered by one of the
 * next. */
#define STREAM_PART 4U
/* writer -> reader: it is written, or as good as: what could not be written at once will be, before anything else. */
#define STREAM_WRITTEN 5U
/* writer -> reader: nothing of it is. */
#define STREAM_MISSED 6U
/* writer -> reader, at any time: sample now (SIGUSR1). */
#define STREAM_NOW 7U
/* writer -> reader, at any time: sample once more, then end. */
#define STREAM_STOP 8U
/* reader -> writer: that was all. */
#define STREAM_END 9U

/* lines.c: run of channel_start(); its argument is a struct stream_arguments. */
int stream_reader(void *arguments, int fd);

/* writer.c: until the reader ends, *ended is set then; or it need not go on, because nobody wants more. The exit
 * status. */
int stream_writer(const struct stream_arguments *a, int channel, int signals, bool *ended);

#endif
