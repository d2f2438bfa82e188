/* SPDX-License-Identifier: MIT */
/* bases.h: sound segments, made by the library itself, that inputs are changes of; and where their parts are. */
#ifndef FUZZ_BASES_H
#define FUZZ_BASES_H

#include <vmtally/schema.h>

#include "file.h"

enum part_kind { HEADER, ENTRY, SHARD, DEPARTED, SCHEMA, KVM, DESCRIPTOR, SIDE, STRINGS, VALUES, PART_KINDS };

struct part {
    enum part_kind kind;
    uint32_t offset;
    uint32_t bytes; /* of strings and values */
};

#define PARTS_MAX 4096

struct base {
    const char *name;
    bool slow; /* ten times as much to read as in others */
    uint64_t size;
    uint8_t *sound; /* its bytes, FUZZ_FILE_MAX of memory */
    struct fuzz_file file;
    struct part *parts;
    uint32_t count;
};

/* The last one is an empty file. */
extern struct base *fuzz_bases;
extern uint32_t fuzz_base_count;

/* The schema with a statistic of every kind, that bases use. */
extern const struct vmt_schema fuzz_schema;
extern const struct vmt_schema *const fuzz_small_schema; /* that of their VMs */

/* What the kernel counts in the base "kernel", whose handles name this fd of the VM and those behind it of its vCPUs. */
extern const struct vmt_schema fuzz_kernel_vm, fuzz_kernel_vcpu;
#define FUZZ_KERNEL_FD 10

void fuzz_bases_make(void);

#endif
