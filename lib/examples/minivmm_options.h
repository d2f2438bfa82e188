/* SPDX-License-Identifier: MIT */
/* What was asked of minivmm on its command line. */
#ifndef MINIVMM_OPTIONS_H
#define MINIVMM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
    const char *name; /* of the VM; never NULL */
    const char *dir;  /* of the segment; NULL: the library's choice */
    const char *kvm;  /* KVM's device */
    uint64_t run_ns;  /* 0: until a signal */
    uint64_t plug_ns; /* a vCPU is unplugged this often, and plugged again after half of it; 0: never */
    unsigned vcpus;
    uint64_t copy_ns; /* kernel: its counters are copied this often; 0: never */
    bool simulate;
    bool jail;
    bool kernel; /* what the kernel counts is shown, too */
};

/* Parse the arguments. On wrong usage, --help and --version this ends the program, with 2, 0 and 0. */
void options_parse(int argc, char **argv, struct options *options);

#endif
