/* SPDX-License-Identifier: MIT */
/* What the kernel itself has to offer: a vCPU's KVM_GET_STATS_FD. */
#include "bench.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct vmt_schema declared = { .name = "kvm_vcpu", .provider = "kvm", .target = "vcpu" };

/* The kernel's own descriptors are a schema as they are; help is all that they lack. */
static int read_schema(int fd, const struct vmt_kvm_header *header, const char **why)
{
    size_t bytes = header->num_desc * sizeof(struct vmt_kvm_desc);
    struct vmt_kvm_desc *from = malloc(bytes);
    struct vmt_descriptor *to = calloc(header->num_desc, sizeof(*to));

    *why = "the kernel's descriptors can't be read";
    if (!from || !to || pread(fd, from, bytes, header->desc_offset) != (ssize_t)bytes)
        return -1;
    for (uint32_t i = 0; i < header->num_desc; i++) {
        *why = "the kernel's data is not dense";
        if (from[i].offset != declared.slots * 8)
            return -1;
        to[i] = (struct vmt_descriptor){ .name = from[i].name,
                                         .help = "",
                                         .flags = from[i].flags,
                                         .slot = declared.slots,
                                         .bucket_size = from[i].bucket_size,
                                         .exponent = from[i].exponent,
                                         .size = from[i].size };
        declared.slots += from[i].size;
    }
    declared.descriptors = to;
    declared.count = header->num_desc;
    return 0;
}

int kvm_vcpu_stats(const struct vmt_schema **schema, uint64_t *data_offset, const char **why)
{
    struct vmt_kvm_header header;
    int kvm, vm, vcpu, fd;

    *why = "/dev/kvm can't be opened";
    kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0)
        return -1;
    *why = "KVM_CREATE_VM fails";
    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0)
        return -1;
    *why = "KVM_CREATE_VCPU fails";
    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    if (vcpu < 0)
        return -1;
    *why = "this kernel has no KVM_GET_STATS_FD";
    fd = ioctl(vcpu, KVM_GET_STATS_FD, 0);
    if (fd < 0)
        return -1;
    *why = "the header of the KVM statistics can't be read";
    if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) || header.name_size != VMT_NAME_SIZE ||
        header.num_desc == 0 || header.num_desc > VMT_DESCRIPTORS_MAX)
        return -1;
    if (read_schema(fd, &header, why) < 0)
        return -1;
    *schema = &declared;
    *data_offset = header.data_offset;
    return fd;
}

const struct vmt_schema *vcpu_shape(void)
{
    enum { HISTOGRAMS = 3, BUCKETS = 32, COUNT = 45 };
    static char names[COUNT][VMT_NAME_SIZE];
    static struct vmt_descriptor descriptors[COUNT];
    static struct vmt_schema shape = {
        .name = "vcpu_shape", .provider = "test", .target = "vcpu", .descriptors = descriptors, .count = COUNT
    };

    if (shape.slots)
        return &shape;
    for (unsigned i = 0; i < COUNT; i++) {
        int histogram = i >= 7 && i < 7 + HISTOGRAMS;

        snprintf(names[i], sizeof(names[i]), "statistic_%u", i);
        descriptors[i] = (struct vmt_descriptor){ .name = names[i],
                                                  .help = "",
                                                  .flags = histogram ? VMT_TYPE_LOG_HIST : VMT_TYPE_CUMULATIVE,
                                                  .slot = shape.slots,
                                                  .size = histogram ? BUCKETS : 1 };
        shape.slots += descriptors[i].size;
    }
    return &shape;
}
