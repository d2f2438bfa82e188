/* SPDX-License-Identifier: MIT */
/* formats.h: what snapshots can be written as, by the commands that write them: export, stream, cat. Which formats there
 * are, what each can do, and how a snapshot is added to what is written. */
#ifndef CLI_FORMATS_H
#define CLI_FORMATS_H

#include <argp.h>

#include <vmtally/export.h>

/* What a format is, or takes. */
#define FORMAT_BINARY 1U    /* nothing for a terminal */
#define FORMAT_FULL 2U      /* --full */
#define FORMAT_PRETTY 4U    /* --pretty */
#define FORMAT_CHOICE 8U    /* --source and --stat */
#define FORMAT_PATTERN 16U  /* a pattern for names of programs */
#define FORMAT_SHARDS 32U   /* it needs the values of shards */
#define FORMAT_WHOLE 64U    /* all VMs are one text, which formatter_end() gives */
#define FORMAT_STREAM 128U  /* can go on and on */
#define FORMAT_READING 256U /* can be made of a stream that was read back */
#define FORMAT_BY_NAME 512U /* VMs are told apart by their names alone */

enum format_id {
    FORMAT_MSGPACK,
    FORMAT_JSON,
    FORMAT_OPENMETRICS,
    FORMAT_PROMETHEUS,
    FORMAT_KVM, /* a file a source: export_kvm.c; formatter_add() does not know it */
    FORMAT_QEMU,
    FORMAT_FIRECRACKER,
    FORMAT_TINYKVM,
    FORMATS
};

struct format {
    enum format_id id;
    const char *name;
    unsigned flags;
};

/* The format of that name that has all these flags; does not return where there is none, but says what there is. */
const struct format *format_find(const char *name, unsigned flags, struct argp_state *state);

#define FORMAT_ANEW_SAMPLES 60 /* for .anew_after */

#define FORMAT_NAMES 128 /* bytes that hold the following */

/* "msgpack, json, ...": those that have these flags. Returns buf. */
char *format_names(char *buf, size_t size, unsigned flags);

/* Does not return where pattern is none for names of programs. */
void format_check_pattern(const char *pattern, struct argp_state *state);

/* What is remembered of one VM, from one snapshot to the next. Starts as zeros. */
struct format_vm {
    struct vmt_msgpack *stream;
    struct vmt_firecracker *lines;
    unsigned samples; /* written since its stream began */
};
void format_vm_free(struct format_vm *vm);

/* What all VMs are written with. Starts with its first part filled in. */
struct formatter {
    const struct format *format;
    int full;
    int pretty;
    int alone; /* the only VM, asked for by name: formats that can do without its name do */
    unsigned
        anew_after; /* so many samples of a VM its stream of msgpack begins anew, for who starts in the middle; 0: never */
    const char *pattern; /* NULL: all programs */
    const struct vmt_choice *choice;
    size_t expected; /* VMs that are to come, for metrics: vmt_metrics_expect() */
    /* its own */
    struct vmt_metrics *metrics;
    struct vmt_buffer request;
};
void formatter_free(struct formatter *f);

/* Add a snapshot of vm, called title, to what is written: it is appended to out, unless the format is FORMAT_WHOLE. 0,
 * -ENOMEM, -EFBIG. */
int formatter_add(struct formatter *f, struct format_vm *vm, const struct vmt_snapshot *snapshot, const char *title,
                  struct vmt_buffer *out);

/* Whether the format has a name for anything that such a VM counts. */
int format_suits(const struct format *format, const struct vmt_segment_info *info);

/* What became of what was appended last for vm: written, or not. Call it after each of them. */
void format_vm_written(struct format_vm *vm, int written);

/* Whoever reads what follows has nothing of what came before. */
void format_vm_anew(struct format_vm *vm);

/* All VMs were added: append what is written of them together. 0, -ENOMEM, -EFBIG. */
int formatter_end(struct formatter *f, struct vmt_buffer *out);

#endif
