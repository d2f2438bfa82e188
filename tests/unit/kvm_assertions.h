/* SPDX-License-Identifier: MIT */
/* kvm_assertions.h: what the kernel asserts of a KVM statistics file (tools/testing/selftests/kvm/kvm_binary_stats_test.c),
 * what QEMU relies on beyond that (dense data), and that the parts follow each other without a gap. For the kernel's own
 * descriptors, for ours, and for files. Only <linux/kvm.h> says what is where. */
#ifndef TESTS_UNIT_KVM_ASSERTIONS_H
#define TESTS_UNIT_KVM_ASSERTIONS_H

#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KVM_NAME_SIZE 48 /* KVM_STATS_NAME_SIZE of the kernel's include/linux/kvm_host.h */
#define KVM_FLAGS ((uint32_t)(KVM_STATS_TYPE_MASK | KVM_STATS_UNIT_MASK | KVM_STATS_BASE_MASK))
#define KVM_STATISTICS_MAX 4096 /* no kernel has as many; broken files may say they had */
#define KVM_SLOTS_MAX 65536

struct kvm_file {
    int fd;
    struct kvm_stats_header header;
    char id[KVM_NAME_SIZE];
    char *descriptors;
    char *described; /* a byte a slot: by how many descriptors */
    uint64_t data_bytes;
    char *why; /* of why_size bytes */
    size_t why_size;
};

__attribute__((format(printf, 2, 3))) static inline bool kvm_broken(struct kvm_file *f, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(f->why, f->why_size, format, arguments);
    va_end(arguments);
    return false;
}

static inline size_t kvm_desc_bytes(const struct kvm_file *f)
{
    return sizeof(struct kvm_stats_desc) + f->header.name_size;
}

static inline struct kvm_stats_desc *kvm_desc(const struct kvm_file *f, uint32_t i)
{
    return (void *)(f->descriptors + i * kvm_desc_bytes(f));
}

/* The whole of it in one pread. */
static inline bool kvm_read_whole(const struct kvm_file *f, void *to, size_t bytes, uint64_t offset)
{
    return pread(f->fd, to, bytes, (off_t)offset) == (ssize_t)bytes;
}

static inline bool kvm_header_holds(struct kvm_file *f)
{
    const struct kvm_stats_header *h = &f->header;

    if (!kvm_read_whole(f, &f->header, sizeof(f->header), 0))
        return kvm_broken(f, "a pread of the header is not 24 bytes");
    if (h->flags != 0)
        return kvm_broken(f, "flags of the header: %#x", h->flags);
    if (h->name_size != KVM_NAME_SIZE)
        return kvm_broken(f, "name_size is %u", h->name_size);
    if (h->num_desc == 0 || h->num_desc > KVM_STATISTICS_MAX)
        return kvm_broken(f, "num_desc is %u", h->num_desc);
    if (h->id_offset != sizeof(*h))
        return kvm_broken(f, "the id is not behind the header, but at %u", h->id_offset);
    if (h->desc_offset == 0 || h->desc_offset < sizeof(*h))
        return kvm_broken(f, "descriptors in the header: %u", h->desc_offset);
    if (h->data_offset == 0 || h->data_offset < sizeof(*h))
        return kvm_broken(f, "data in the header: %u", h->data_offset);
    if (h->desc_offset != h->id_offset + h->name_size)
        return kvm_broken(f, "descriptors are not behind the id, but at %u", h->desc_offset);
    return true;
}

static inline bool kvm_id_holds(struct kvm_file *f)
{
    if (!kvm_read_whole(f, f->id, f->header.name_size, f->header.id_offset))
        return kvm_broken(f, "the id can't be read");
    if (strncmp(f->id, "kvm", 3) != 0)
        return kvm_broken(f, "the id begins with %.3s", f->id);
    if (strnlen(f->id, f->header.name_size) >= f->header.name_size)
        return kvm_broken(f, "the id never ends");
    return true;
}

static inline bool kvm_exponent_holds(uint32_t unit, int exponent)
{
    switch (unit) {
    case KVM_STATS_UNIT_NONE:
    case KVM_STATS_UNIT_BYTES:
    case KVM_STATS_UNIT_CYCLES:
        return exponent >= 0;
    case KVM_STATS_UNIT_SECONDS:
        return exponent <= 0;
    case KVM_STATS_UNIT_BOOLEAN:
        return exponent == 0;
    default:
        return false;
    }
}

static inline bool kvm_descriptor_holds(struct kvm_file *f, const struct kvm_stats_desc *d)
{
    uint32_t type = d->flags & KVM_STATS_TYPE_MASK, unit = d->flags & KVM_STATS_UNIT_MASK;

    if (strnlen(d->name, f->header.name_size) >= f->header.name_size)
        return kvm_broken(f, "a name never ends");
    if (d->name[0] == '\0')
        return kvm_broken(f, "a statistic without a name");
    if (type > KVM_STATS_TYPE_MAX)
        return kvm_broken(f, "%s: type %#x", d->name, type);
    if (unit > KVM_STATS_UNIT_MAX)
        return kvm_broken(f, "%s: unit %#x", d->name, unit);
    if ((d->flags & KVM_STATS_BASE_MASK) > KVM_STATS_BASE_MAX)
        return kvm_broken(f, "%s: base %#x", d->name, d->flags & KVM_STATS_BASE_MASK);
    if (d->flags & ~KVM_FLAGS)
        return kvm_broken(f, "%s: flags that are not KVM's: %#x", d->name, d->flags);
    if (!kvm_exponent_holds(unit, d->exponent))
        return kvm_broken(f, "%s: exponent %d with unit %#x", d->name, d->exponent, unit);
    if (d->size == 0)
        return kvm_broken(f, "%s: size 0", d->name);
    if ((d->bucket_size != 0) != (type == KVM_STATS_TYPE_LINEAR_HIST))
        return kvm_broken(f, "%s: bucket_size %u with type %#x", d->name, d->bucket_size, type);
    return true;
}

/* size_data of the selftest, and each slot by one descriptor. */
static inline bool kvm_slots_hold(struct kvm_file *f)
{
    for (uint32_t i = 0; i < f->header.num_desc; i++) {
        const struct kvm_stats_desc *d = kvm_desc(f, i);
        uint64_t end = d->offset + 8ULL * d->size;

        if (d->offset % 8 || end > 8ULL * KVM_SLOTS_MAX)
            return kvm_broken(f, "%s: offset %u", d->name, d->offset);
        f->data_bytes = end > f->data_bytes ? end : f->data_bytes;
    }
    if (f->data_bytes < 8ULL * f->header.num_desc)
        return kvm_broken(f, "%u statistics in %llu bytes", f->header.num_desc, (unsigned long long)f->data_bytes);
    for (uint32_t i = 0; i < f->header.num_desc; i++) {
        const struct kvm_stats_desc *d = kvm_desc(f, i);

        for (uint32_t k = 0; k < d->size; k++) {
            if (f->described[d->offset / 8 + k]++)
                return kvm_broken(f, "%s: shares its data with another", d->name);
        }
    }
    for (uint64_t slot = 0; slot < f->data_bytes / 8; slot++) {
        if (!f->described[slot])
            return kvm_broken(f, "data is not dense: slot %llu is nobody's", (unsigned long long)slot);
    }
    return true;
}

static inline bool kvm_descriptors_hold(struct kvm_file *f)
{
    size_t bytes = f->header.num_desc * kvm_desc_bytes(f);

    f->descriptors = malloc(bytes);
    f->described = calloc(KVM_SLOTS_MAX, 1);
    if (!f->descriptors || !f->described)
        return kvm_broken(f, "out of memory");
    if (!kvm_read_whole(f, f->descriptors, bytes, f->header.desc_offset))
        return kvm_broken(f, "the descriptors can't be read");
    for (uint32_t i = 0; i < f->header.num_desc; i++) {
        if (!kvm_descriptor_holds(f, kvm_desc(f, i)))
            return false;
    }
    return kvm_slots_hold(f);
}

static inline bool kvm_data_holds(struct kvm_file *f)
{
    const struct kvm_stats_header *h = &f->header;
    uint64_t desc_end = h->desc_offset + (uint64_t)h->num_desc * kvm_desc_bytes(f);
    uint64_t *data = calloc(1, f->data_bytes), *one = calloc(1, f->data_bytes);
    bool holds = true;
    char behind;

    if (!data || !one)
        holds = kvm_broken(f, "out of memory");
    else if (desc_end > h->data_offset && h->data_offset + f->data_bytes > h->desc_offset)
        holds = kvm_broken(f, "data at %u lies on the descriptors", h->data_offset);
    else if (h->data_offset != desc_end)
        holds = kvm_broken(f, "data is not behind the descriptors, but at %u", h->data_offset);
    else if (!kvm_read_whole(f, data, f->data_bytes, h->data_offset))
        holds = kvm_broken(f, "the data can't be read in one pread");
    else if (pread(f->fd, &behind, 1, (off_t)(h->data_offset + f->data_bytes)) != 0)
        holds = kvm_broken(f, "something is behind the data");
    for (uint32_t i = 0; i < h->num_desc && holds; i++) {
        const struct kvm_stats_desc *d = kvm_desc(f, i);

        if (!kvm_read_whole(f, one, 8UL * d->size, (uint64_t)h->data_offset + d->offset))
            holds = kvm_broken(f, "%s can't be read alone", d->name);
    }
    free(data);
    free(one);
    return holds;
}

/* All of it. true, or false with what is broken in why. */
static inline bool kvm_assertions_hold(int fd, char *why, size_t why_size)
{
    struct kvm_file f = { .fd = fd, .why = why, .why_size = why_size };
    bool holds = kvm_header_holds(&f) && kvm_id_holds(&f) && kvm_descriptors_hold(&f) && kvm_data_holds(&f);

    free(f.descriptors);
    free(f.described);
    return holds;
}

/* The same on a dup too, as the selftest does. */
static inline bool kvm_assertions_hold_twice(int fd, char *why, size_t why_size)
{
    int copy = dup(fd);
    bool holds = copy >= 0 && kvm_assertions_hold(fd, why, why_size) && kvm_assertions_hold(copy, why, why_size);

    if (copy < 0)
        snprintf(why, why_size, "dup: %s", strerror(errno));
    else
        close(copy);
    return holds;
}

#endif
