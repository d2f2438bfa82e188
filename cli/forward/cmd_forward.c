/* SPDX-License-Identifier: MIT */
/* vmtally forward: the counters of VMs to a collector, for as long as it runs. */
#include <unistd.h>

#include "../channel.h"
#include "../commands.h"
#include "../message.h"
#include "../sandbox.h"
#include "../service.h"

#include "arguments.h"

#define END_MS 5000 /* the reader has nothing to finish */

static int failed(const char *what, int error)
{
    char reason[256];

    message_error("%s: %s", what, message_reason(error, reason, sizeof(reason)));
    return 1;
}

static int start(struct forward_arguments *a)
{
    int signals = service_signals(), channel = -1, status = 1, ended;
    pid_t reader;

    if (signals < 0)
        return failed("signals", signals);
    reader = channel_start(forward_reader, a, &channel);
    if (reader < 0)
        return failed("the process that reads segments", reader);
    sandbox_enter_speaker(a->common);
    if (forward_arguments_read_secrets(a) == 0)
        status = forward_sender(a, channel, signals);
    close(channel);
    ended = channel_end(reader, END_MS);
    close(signals);
    /* Told to stop in the middle of something it can't say any more what became of it. */
    return status | (a->count && ended != 0) | (ended < 0);
}

int cmd_forward(int argc, char **argv, struct options *common)
{
    struct forward_arguments a;
    int status = forward_arguments_parse(argc, argv, common, &a);

    if (status == 0)
        status = start(&a);
    forward_arguments_free(&a);
    return status;
}
