/* SPDX-License-Identifier: MIT */
/* options.h: the options that all commands have, as a child parser for glibc's argp: --dir DIR, --no-sandbox, -h,
 * -V.
 *
 *     static const struct argp_child children[] = { { &options_argp, 0, NULL, 0 }, { 0 } };
 *     case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->common;
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <argp.h>
#include <stdint.h>

struct options {
    const char *dir; /* for vmt_discover(): NULL where --dir was not given */
    int no_sandbox;  /* for sandbox_enter() */
    struct vmt_host
        *host; /* after host_start(): all VMs of this host, and what the kernel counts; NULL: segments only */
};

extern const struct argp options_argp; /* its input is a struct options, set to zeros by the caller */

/* Call first in main: wrong usage exits with status 2, and -V, --version says "PROGRAM VERSION". */
void options_init(void);

/* Where $VMTALLY_DIR is what counts, or (given) --dir, and is not there, which may be a slip: say so. It is no error, for
 * it may come. */
void options_say_dir(const struct options *options, int given);

#endif
