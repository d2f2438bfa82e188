/* SPDX-License-Identifier: MIT */
/* cat.h: the parts of vmtally cat. */
#ifndef CLI_STREAM_CAT_H
#define CLI_STREAM_CAT_H

#include <stdbool.h>
#include <sys/types.h>

#include "../filter.h"
#include "../formats.h"
#include "../names.h"
#include "../options.h"

struct cat_arguments {
    struct options *common;
    const struct format *format;
    struct filter filter;
    const char *vm;      /* name or path, NULL: all */
    const char *pattern; /* NULL: all programs */
    int follow;
    int pretty;
    char **files; /* "-" is standard input */
    size_t file_count;
};

/* ---- input: files, one after the other, as one stream ---- */

#define CAT_BYTES 262144 /* read at a time */

struct cat_input {
    const char *path; /* of the one that is read */
    int fd;
    bool follow; /* wait for more at its end, and go on with another file of that name */
    dev_t device;
    ino_t inode;
    off_t at;
    off_t size; /* as it was opened; 0: not known */
    char *bytes;
};

/* Open the file at path, "-": standard input. 0, or 1 after a message. */
int cat_input_open(struct cat_input *in, const char *path, bool follow);
void cat_input_close(struct cat_input *in);

/* What comes next: how many bytes are at in->bytes, 0 at the end (with follow that is when nobody reads standard
 * output any more); a negative errno. *anew is set where they are not the continuation of what came before: the file
 * was replaced, or cut off. */
ssize_t cat_input_read(struct cat_input *in, bool *anew);

/* ---- VMs of the stream ---- */

struct cat_vm {
    uint8_t identity[16];
    uint64_t pid_start; /* of a VM without a segment, as is pid; else 0 */
    uint32_t pid;
    size_t bytes;         /* of memory for the last snapshot, about */
    char name[NAME_SIZE]; /* one that no other VM of the stream has */
    struct format_vm format;
    struct vmt_snapshot *last; /* where the format is of the last snapshots */
    char path[];
};

#define CAT_VMS_MAX 65536
#define CAT_VMS_BYTES ((size_t)1 << 30) /* of memory for all last snapshots, about */

/* In the order in which they came. Starts as zeros. */
struct cat_vms {
    void *tree;
    struct names names;
    struct cat_vm **vms;
    size_t count;
    size_t capacity;
    size_t bytes; /* of all last snapshots */
};

/* That of the snapshot; made where it is new, and called title then. NULL: no memory, or more than CAT_VMS_MAX. */
struct cat_vm *cat_vms_find(struct cat_vms *vms, const struct vmt_snapshot *snapshot, const char *title);

/* Make last of vm a copy of the snapshot. 0; -ENOSPC: beside those of the others there is no room for it, then last is
 * NULL; -ENOMEM. */
int cat_vms_keep(struct cat_vms *vms, struct cat_vm *vm, const struct vmt_snapshot *snapshot);

void cat_vms_free(struct cat_vms *vms);

#endif
