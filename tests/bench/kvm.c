/* SPDX-License-Identifier: MIT */
/* What the kernel itself has to offer: a vCPU's KVM_GET_STATS_FD, and the same as files in debugfs. */
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    int fd; /* of a vCPU's statistics; 0: not asked for yet */
    int vm;
    uint64_t data_offset;
    const char *why; /* there are none */
} had;

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

/* The VM stays as long as this process. */
static int make_vcpu(const char **why)
{
    int kvm, vcpu, fd;

    *why = "/dev/kvm can't be opened";
    kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0)
        return -1;
    *why = "KVM_CREATE_VM fails";
    had.vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (had.vm < 0)
        return -1;
    *why = "KVM_CREATE_VCPU fails";
    vcpu = ioctl(had.vm, KVM_CREATE_VCPU, 0);
    if (vcpu < 0)
        return -1;
    *why = "this kernel has no KVM_GET_STATS_FD";
    fd = ioctl(vcpu, KVM_GET_STATS_FD, 0);
    return fd < 0 ? -1 : fd;
}

static int find_data(int fd, uint64_t *data_offset, const char **why)
{
    struct vmt_kvm_header header;

    *why = "the header of the KVM statistics can't be read";
    if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) || header.name_size != VMT_NAME_SIZE ||
        header.num_desc == 0 || header.num_desc > VMT_DESCRIPTORS_MAX)
        return -1;
    *data_offset = header.data_offset;
    return read_schema(fd, &header, why);
}

int kvm_vcpu_stats(const struct vmt_schema **schema, uint64_t *data_offset, const char **why)
{
    if (had.fd == 0) {
        had.fd = make_vcpu(&had.why);
        if (had.fd >= 0 && find_data(had.fd, &had.data_offset, &had.why) < 0)
            had.fd = -1;
    }
    *why = had.why;
    if (had.fd < 0)
        return -1;
    *schema = &declared;
    *data_offset = had.data_offset;
    return had.fd;
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

/* ---- as files ---- */

#define FILES_MAX 256

struct files {
    int dir;
    unsigned count;  /* that can be read */
    unsigned locked; /* that can't */
    char names[FILES_MAX][VMT_NAME_SIZE];
    void *values;
    uint32_t bytes;
};

static void pread_all(void *arg, uint64_t n)
{
    struct files *f = arg;

    for (uint64_t i = 0; i < n; i++) {
        if (pread(had.fd, f->values, f->bytes, (off_t)had.data_offset) != (ssize_t)f->bytes)
            stop("pread of the KVM statistics: %m");
    }
}

static void read_files(void *arg, uint64_t n)
{
    struct files *f = arg;
    char text[32];

    for (uint64_t i = 0; i < n; i++) {
        for (unsigned k = 0; k < f->count; k++) {
            int fd = openat(f->dir, f->names[k], O_RDONLY | O_CLOEXEC);

            if (fd < 0 || read(fd, text, sizeof(text)) < 0)
                stop("%s: %m", f->names[k]);
            close(fd);
        }
    }
}

static void look_at(struct files *f, const char *name)
{
    struct stat st;
    int fd;

    if (f->count == FILES_MAX || strlen(name) >= VMT_NAME_SIZE || fstatat(f->dir, name, &st, 0) < 0 ||
        !S_ISREG(st.st_mode))
        return;
    fd = openat(f->dir, name, O_RDONLY | O_CLOEXEC);
    f->locked += fd < 0;
    if (fd >= 0)
        strcpy(f->names[f->count++], name);
    if (fd >= 0)
        close(fd);
}

/* Of our own VM. NULL, or why there are none. */
static const char *find_files(struct files *f)
{
    static char why[96];
    struct dirent *e;
    char path[64];
    DIR *dir;

    snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d", getpid(), had.vm);
    dir = opendir(path);
    if (!dir) {
        snprintf(why, sizeof(why), "%s: %s", path, strerror(errno));
        return why;
    }
    f->dir = dirfd(dir); /* stays open */
    while ((e = readdir(dir)))
        look_at(f, e->d_name);
    return f->count ? NULL : "none of the files can be opened";
}

void bench_kernel_counters(void)
{
    static struct files files;
    const struct vmt_schema *schema;
    uint64_t data_offset;
    const char *why;
    char text[48];
    struct way ways[] = {
        { .name = "one vCPU's kernel counters: one pread", .run = pread_all, .arg = &files },
        { .name = text, .run = read_files, .arg = &files },
    };

    heading("What the kernel counts, by its statistics fd and by debugfs");
    if (kvm_vcpu_stats(&schema, &data_offset, &why) < 0) {
        note("one vCPU's kernel counters: skipped, %s", why);
        return;
    }
    files.bytes = schema->slots * 8;
    files.values = malloc(files.bytes);
    if (!files.values)
        stop("no memory");
    why = find_files(&files);
    measure(ways, why ? 1 : 2);
    if (why) {
        row(&ways[0]);
        note("open, read and close of all files in debugfs: skipped, %s", why);
    } else {
        snprintf(text, sizeof(text), "debugfs: open, read, close of %u files", files.count);
        row_ratio(&ways[0], &ways[1], 0);
    }
    if (!why && files.locked)
        note("%u more files can't be opened: the kernel is locked down, or this is not root", files.locked);
    free(files.values);
}
