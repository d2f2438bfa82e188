/* SPDX-License-Identifier: MIT */
/* statistics_image.h: KVM's statistics files in memory: the recorded ones, and ones of whatever layout. */
#ifndef TESTS_UNIT_STATISTICS_IMAGE_H
#define TESTS_UNIT_STATISTICS_IMAGE_H

#include "recorded.h"

#include "lib/kvm/statistics.h"

struct image {
    char data[16384];
    size_t bytes;
};

static inline struct image recorded_image(const char *name)
{
    struct image image = { .bytes = 0 };
    int fd = recorded_open(name);
    ssize_t n = read(fd, image.data, sizeof(image.data));

    cr_assert(n > 0 && (size_t)n < sizeof(image.data));
    image.bytes = (size_t)n;
    close(fd);
    return image;
}

static inline int file_of(const void *data, size_t bytes)
{
    int fd = memfd_create("statistics", MFD_CLOEXEC);

    cr_assert(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes);
    return fd;
}

static inline int read_schema(const void *data, size_t bytes, int vcpu, const struct kvm_schema **schema)
{
    int fd = file_of(data, bytes);
    int r = kvm_schema_read(fd, vcpu, NULL, schema);

    close(fd);
    return r;
}

/* A file of whatever layout: one statistic is an entry. */
struct entry {
    const char *name;
    uint32_t flags;
    uint32_t offset;
    uint16_t size;
    int16_t exponent;
    uint32_t bucket_size;
};

struct layout {
    uint32_t name_size, id_offset, desc_offset, data_offset;
};

static inline void put(struct image *image, size_t offset, const void *from, size_t bytes)
{
    cr_assert_leq(offset + bytes, sizeof(image->data));
    memcpy(image->data + offset, from, bytes);
    if (image->bytes < offset + bytes)
        image->bytes = offset + bytes;
}

/* Its values are 1000, 1001, ... from the start of the data, however many u64 there are. */
static inline struct image image_of(const struct layout *l, const struct entry *entries, uint32_t count,
                                    uint32_t data_u64)
{
    struct image image = { .bytes = 0 };
    struct vmt_kvm_header h = { .name_size = l->name_size,
                                .num_desc = count,
                                .id_offset = l->id_offset,
                                .desc_offset = l->desc_offset,
                                .data_offset = l->data_offset };
    char name[2048];

    put(&image, 0, &h, sizeof(h));
    memset(name, 0, sizeof(name));
    strcpy(name, "kvm-1");
    put(&image, l->id_offset, name, l->name_size);
    for (uint32_t i = 0; i < count; i++) {
        const struct entry *e = &entries[i];
        struct vmt_kvm_desc d = { .flags = e->flags,
                                  .exponent = e->exponent,
                                  .size = e->size,
                                  .offset = e->offset,
                                  .bucket_size = e->bucket_size };
        size_t at = l->desc_offset + i * (16 + (size_t)l->name_size);

        memset(name, 0, sizeof(name));
        strcpy(name, e->name);
        put(&image, at, &d, 16);
        put(&image, at + 16, name, l->name_size);
    }
    for (uint32_t i = 0; i < data_u64; i++) {
        uint64_t value = 1000 + i;

        put(&image, l->data_offset + i * 8, &value, sizeof(value));
    }
    return image;
}

static const struct layout plain = { 48, 24, 72, 1024 };

static const struct entry three[] = {
    { "second", 0, 8, 2, 0, 0 }, /* flags put in by each test */
    { "first", 0, 0, 1, 0, 0 },
    { "third", 0, 24, 1, 0, 0 },
};

#endif
