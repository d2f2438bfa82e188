/* SPDX-License-Identifier: MIT */
/* commands.h: the commands of vmtally. Each gets its own arguments, "vmtally NAME" in argv[0], and returns the exit
 * status: 0 done, 1 failed. Wrong usage ends in argp with 2. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "options.h"

int cmd_list(int argc, char **argv, struct options *common);
int cmd_show(int argc, char **argv, struct options *common);
int cmd_schema(int argc, char **argv, struct options *common);
int cmd_query(int argc, char **argv, struct options *common);
int cmd_export(int argc, char **argv, struct options *common);
int cmd_forward(int argc, char **argv, struct options *common);
int cmd_stream(int argc, char **argv, struct options *common);
int cmd_cat(int argc, char **argv, struct options *common);
int cmd_forward(int argc, char **argv, struct options *common);
int cmd_serve(int argc, char **argv, struct options *common);
int cmd_check(int argc, char **argv, struct options *common);
int cmd_gc(int argc, char **argv, struct options *common);

#endif
