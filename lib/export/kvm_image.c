/* SPDX-License-Identifier: MIT */
/* A source as the KVM statistics file that the kernel would have made of it (virt/kvm/binary_stats.c). Readers of those
 * files trust them: what KVM's rules do not allow must not get in, whatever a segment says. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vmtally/host.h>

#include "buffer.h"
#include "lib/kvm/handle.h"

#define KVM_FLAGS (VMT_TYPE_MASK | VMT_UNIT_MASK | VMT_BASE_MASK)
#define CUT "..."

/* ---- the id ---- */

/* What stands behind "kvm-PID", "" where nothing does. */
static const char *path_of(const struct vmt_snapshot *snapshot, size_t i)
{
    const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);

    if (kvm_is_kernels(sample->schema) && strcmp(sample->schema->target, "vm") == 0)
        return "";
    if (kvm_is_kernels(sample->schema) && strcmp(sample->schema->target, "vcpu") == 0)
        return vmt_snapshot_source(snapshot, vmt_snapshot_subject(snapshot, i))->name;
    return i ? sample->id : "segment";
}

/* id has room for VMT_NAME_SIZE bytes, zeros. */
static void put_id(char *id, const struct vmt_snapshot *snapshot, size_t i)
{
    const char *path = path_of(snapshot, i);
    int prefix = snprintf(id, VMT_NAME_SIZE, "kvm-%" PRIu32, vmt_snapshot_segment(snapshot)->pid);
    size_t room = VMT_NAME_SIZE - 1 - (size_t)prefix - 1; /* behind the '/' */
    size_t size = strlen(path);

    if (size > room) /* the last part says most */
        snprintf(id + prefix, VMT_NAME_SIZE - (size_t)prefix, "/" CUT "%s", path + size - (room - strlen(CUT)));
    else if (size > 0)
        snprintf(id + prefix, VMT_NAME_SIZE - (size_t)prefix, "/%s", path);
}

/* ---- descriptors ---- */

/* Whether KVM's own readers accept it: what the kernel's selftest asserts. */
static bool allowed(const struct vmt_descriptor *d)
{
    uint32_t type = d->flags & VMT_TYPE_MASK, unit = d->flags & VMT_UNIT_MASK;

    if (type > VMT_TYPE_MAX || unit > VMT_UNIT_MAX || (d->flags & VMT_BASE_MASK) > VMT_BASE_MAX)
        return false;
    if (unit == VMT_UNIT_BOOLEAN ? d->exponent != 0 : unit == VMT_UNIT_SECONDS ? d->exponent > 0 : d->exponent < 0)
        return false;
    if (d->size == 0 || (d->bucket_size != 0) != (type == VMT_TYPE_LINEAR_HIST))
        return false;
    return strnlen(d->name, VMT_NAME_SIZE) < VMT_NAME_SIZE;
}

/* Fill both, which need not be aligned; the values become dense. */
static void put_statistics(char *descriptors, char *data, const struct vmt_sample *sample)
{
    uint32_t offset = 0;

    for (uint32_t i = 0; i < sample->schema->count; i++) {
        const struct vmt_descriptor *d = &sample->schema->descriptors[i];
        struct vmt_kvm_desc desc = { .flags = d->flags & KVM_FLAGS,
                                     .exponent = d->exponent,
                                     .size = d->size,
                                     .offset = offset,
                                     .bucket_size = d->bucket_size };
        uint32_t bytes = d->size * (uint32_t)sizeof(*sample->values);

        if (!allowed(d))
            continue;
        memcpy(desc.name, d->name, strlen(d->name));
        memcpy(descriptors, &desc, sizeof(desc));
        memcpy(data + offset, sample->values + d->slot, bytes);
        descriptors += sizeof(desc);
        offset += bytes;
    }
}

/* ---- the file ---- */

int vmt_kvm_encode(const struct vmt_snapshot *snapshot, size_t source, struct vmt_buffer *out)
{
    struct vmt_kvm_header header = { .name_size = VMT_NAME_SIZE, .id_offset = sizeof(header) };
    const struct vmt_sample *sample;
    uint32_t slots = 0;
    size_t bytes;
    char *file;
    int r;

    if (source >= vmt_snapshot_count(snapshot))
        return -EINVAL;
    sample = vmt_snapshot_source(snapshot, source);
    /* To a reader of KVM's files a handle would be a vCPU that counts nothing else. */
    for (uint32_t i = 0; i < sample->schema->count && !kvm_is_handle(sample->schema); i++) {
        if (!allowed(&sample->schema->descriptors[i]))
            continue;
        header.num_desc++;
        slots += sample->schema->descriptors[i].size;
    }
    if (header.num_desc == 0)
        return -ENOENT;
    if (sample->flags & VMT_SAMPLE_ABSENT)
        return -ENODATA;
    header.desc_offset = header.id_offset + header.name_size;
    header.data_offset = header.desc_offset + header.num_desc * (uint32_t)sizeof(struct vmt_kvm_desc);
    bytes = header.data_offset + slots * sizeof(uint64_t);
    r = vmt_buffer_reserve(out, bytes);
    if (r < 0)
        return r;
    file = out->data + out->size;
    memset(file, 0, bytes);
    memcpy(file, &header, sizeof(header));
    put_id(file + header.id_offset, snapshot, source);
    put_statistics(file + header.desc_offset, file + header.data_offset, sample);
    out->size += bytes;
    return 0;
}

static int write_whole(int fd, const struct vmt_buffer *buffer)
{
    size_t done = 0;

    while (done < buffer->size) {
        ssize_t n = pwrite(fd, buffer->data + done, buffer->size - done, (off_t)done); /* the position stays 0 */

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

int vmt_kvm_open(const struct vmt_snapshot *snapshot, size_t source)
{
    struct vmt_buffer buffer = { 0 };
    int r = vmt_kvm_encode(snapshot, source, &buffer);
    int fd = -1;

    if (r == 0) {
        fd = memfd_create("vmtally-kvm-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        r = fd < 0 ? -errno : write_whole(fd, &buffer);
    }
    vmt_buffer_free(&buffer);
    if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        r = -errno;
    if (r < 0 && fd >= 0)
        close(fd);
    return r < 0 ? r : fd;
}
