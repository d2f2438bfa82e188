/* SPDX-License-Identifier: MIT */
/* export.h: what 'vmtally export' was asked for, and has encoded so far: between its parts. */
#ifndef CLI_EXPORT_H
#define CLI_EXPORT_H

#include "export_files.h"
#include "filter.h"
#include "formats.h"
#include "nearest.h"
#include "options.h"

struct export_arguments {
    struct options *common;
    const struct format *format;
    struct filter filter;
    const char *output; /* NULL: stdout */
    char *vm;           /* NULL: all */
    char *argument;     /* the VM, or of FORMAT_PATTERN the pattern; or NULL */
    int full;
    int pretty;
    int directory; /* output is one, for many files */
    int single;    /* of cat: there is no such output */
};

/* Of --format kvm: sources that matched, that became files, that could not be read. Starts as { .nearest.asked = "..." }. */
struct export_kvm {
    const struct export_arguments *a;
    struct export_files files; /* if they are many */
    size_t matched;
    size_t written;
    size_t absent;
    struct nearest nearest;
};

/* Append the sources of a snapshot, all that were asked for or nothing. 0, -ENOMEM, -EFBIG. */
int export_kvm_add(struct export_kvm *kvm, const struct vmt_snapshot *snapshot, struct vmt_buffer *out);

/* Say what became of them. Whether there is anything to write. */
int export_kvm_say(const struct export_kvm *kvm);

/* In the sandbox: all of it into buffer. The exit status; where buffer is empty nothing is to be written. */
typedef int export_collect(const struct export_arguments *a, struct vmt_buffer *buffer);

/* Have it collected by a process of its own, and write what that gives to a->output. The exit status. */
int export_to_file(const struct export_arguments *a, export_collect *collect);

#endif
