/* SPDX-License-Identifier: MIT */
/* export_files.h: many files, one a source, on their way from the process that reads segments to the one that may write
 * files. The second one trusts the first in nothing: a segment may have taken it over. */
#ifndef CLI_EXPORT_FILES_H
#define CLI_EXPORT_FILES_H

#include <stdbool.h>

#include <vmtally/export.h>

/* The first one's: all files in one buffer, each with its name. Starts as zeros. */
struct export_files {
    void *known; /* names that are taken */
    size_t count;
    char *vm; /* name of the directory of the VM at hand */
    struct vmt_buffer file;
};

/* The following are about the VM of this snapshot. Its files are in a directory of its name; a second one of that name gets
 * "~2" behind it, as do sources of one id. 0 or -ENOMEM. */
int export_files_vm(struct export_files *files, const struct vmt_snapshot *snapshot);

/* Append the KVM statistics file of source i, called VM/ID.kvm, VM.kvm for source 0. 0, or what vmt_kvm_encode() gives. */
int export_files_add(struct export_files *files, const struct vmt_snapshot *snapshot, size_t i, struct vmt_buffer *out);

void export_files_free(struct export_files *files);

/* The second one's: write what is in the buffer into the directory at path, which is made if it is not there, and those
 * below it. A name can lead nowhere else: no part of one begins with a '.', none is a symbolic link, and only regular files
 * are replaced. 0, or 1 after a message. */
int export_files_write(const char *path, const char *data, size_t size);

#endif
