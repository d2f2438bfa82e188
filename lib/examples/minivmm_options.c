/* SPDX-License-Identifier: MIT */
#include "minivmm_options.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "minivmm_guest.h"

enum {
    KEY_VCPUS = 256,
    KEY_SECONDS,
    KEY_NAME,
    KEY_SIMULATE,
    KEY_JAIL,
    KEY_DIR,
    KEY_KVM,
    KEY_PLUG,
    KEY_KERNEL,
    KEY_COPY
};

static const struct argp_option table[] = {
    { "vcpus", KEY_VCPUS, "N", 0, "Virtual CPUs, 1 to 64 (2)", 0 },
    { "seconds", KEY_SECONDS, "S", 0, "Run this long; 0: until SIGINT or SIGTERM (0)", 0 },
    { "name", KEY_NAME, "NAME", 0, "The VM's name, and its segment's (minivmm)", 0 },
    { "simulate", KEY_SIMULATE, NULL, 0, "No guest: threads drive the same devices and counters", 0 },
    { "jail", KEY_JAIL, NULL, 0, "Run in an empty root directory, as nobody, under a seccomp filter (needs root)", 0 },
    { "dir", KEY_DIR, "DIR", 0, "Where the segment is made ($VMTALLY_DIR, else the library's choice)", 0 },
    { "kvm", KEY_KVM, "PATH", 0, "KVM's device (/dev/kvm)", 0 },
    { "plug", KEY_PLUG, "S", 0, "Unplug a vCPU every S seconds, plug it again after half of that; 0: never (2)", 0 },
    { "kernel", KEY_KERNEL, NULL, 0, "Publish what KVM counts of the VM and its vCPUs beside what minivmm counts", 0 },
    { "kernel-copy", KEY_COPY, "S", 0,
      "The same, and copy it into the segment every S seconds, for readers that may not ask the kernel", 0 },
    { 0 },
};

/* A number from 0 to limit, or -1. */
static double number(const char *text, double limit)
{
    char *end;
    double value;

    errno = 0;
    value = strtod(text, &end);
    return errno || end == text || *end || !isfinite(value) || value < 0 || value > limit ? -1 : value;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    double value;

    switch (key) {
    case KEY_VCPUS:
        value = number(text, GUEST_CPUS_MAX);
        if (value < 1 || value != floor(value))
            argp_error(state, "--vcpus %s: not a whole number from 1 to %d", text, GUEST_CPUS_MAX);
        options->vcpus = (unsigned)value;
        return 0;
    case KEY_SECONDS:
    case KEY_PLUG:
        value = number(text, 1e9);
        if (value < 0)
            argp_error(state, "--%s %s: not a number of seconds", key == KEY_PLUG ? "plug" : "seconds", text);
        *(key == KEY_PLUG ? &options->plug_ns : &options->run_ns) = (uint64_t)(value * 1e9);
        return 0;
    case KEY_COPY:
        value = number(text, 1e9);
        if (value < 0.001)
            argp_error(state, "--kernel-copy %s: not a number of seconds from 0.001", text);
        options->copy_ns = (uint64_t)(value * 1e9);
        options->kernel = true;
        return 0;
    case KEY_KERNEL:
        options->kernel = true;
        return 0;
    case KEY_NAME:
        options->name = text;
        return 0;
    case KEY_SIMULATE:
        options->simulate = true;
        return 0;
    case KEY_JAIL:
        options->jail = true;
        return 0;
    case KEY_DIR:
        options->dir = text;
        return 0;
    case KEY_KVM:
        options->kvm = text;
        return 0;
    case ARGP_KEY_END:
        if (options->kernel && options->simulate)
            argp_error(state, "--%s: this needs a real VM, of which --simulate makes none",
                       options->copy_ns ? "kernel-copy" : "kernel");
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: not an option, and no other arguments are taken", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void options_parse(int argc, char **argv, struct options *options)
{
    static const struct argp argp = {
        .options = table,
        .parser = parse,
        .doc = "Run a small guest on KVM and count what it does, as an example of embedding vmtally.",
    };

    argp_program_version = "minivmm " VMT_VERSION;
    argp_err_exit_status = 2;
    *options = (struct options){ .name = "minivmm", .kvm = "/dev/kvm", .vcpus = 2, .plug_ns = 2000000000 };
    argp_parse(&argp, argc, argv, 0, NULL, options);
}
