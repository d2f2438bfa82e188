/* SPDX-License-Identifier: MIT */
/* arguments.h: what vmtally forward was asked for. */
#ifndef CLI_FORWARD_ARGUMENTS_H
#define CLI_FORWARD_ARGUMENTS_H

#include "forward.h"

/* Wrong usage ends the process with status 2. 0, or 1 after a message. Free with forward_arguments_free() in both
 * cases. */
int forward_arguments_parse(int argc, char **argv, struct options *common, struct forward_arguments *ret);
/* The key and the password, from their files: after channel_start(), as they are nothing to a process that sees
 * segments. 0, or -1 after a message. */
int forward_arguments_read_secrets(struct forward_arguments *a);
void forward_arguments_free(struct forward_arguments *a);

#endif
