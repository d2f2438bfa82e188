/* SPDX-License-Identifier: MIT */
/* KVM's statistics files that are damaged, cut off, or none. */
#include "statistics_image.h"

#include "lib/schema_block.h"

TestSuite(kvm_statistics_damage, .init = test_dir_init, .fini = test_dir_fini);

/* Offsets in a file of the plain layout with `three`, whose first is a log histogram. */
#define DESC(i, field) (72 + (i)*64 + offsetof(struct vmt_kvm_desc, field))

static const struct {
    const char *what;
    size_t offset;
    size_t bytes;
    uint64_t value;
} damages[] = {
    { "no name size", 4, 4, 0 },
    { "name size too large", 4, 4, 1025 },
    { "largest name size", 4, 4, UINT32_MAX },
    { "name size that cuts names", 4, 4, 4 },
    { "no descriptors", 8, 4, 0 },
    { "more descriptors than the file has", 8, 4, 400 },
    { "too many descriptors", 8, 4, VMT_DESCRIPTORS_MAX + 1 },
    { "most descriptors", 8, 4, UINT32_MAX },
    { "id in the header", 12, 4, 0 },
    { "id over the header's end", 12, 4, 23 },
    { "id in the descriptors", 12, 4, 80 },
    { "id over the start of the descriptors", 12, 4, 25 },
    { "id in the data", 12, 4, 1030 },
    { "id behind the file", 12, 4, 5000 },
    { "id at the end of all", 12, 4, UINT32_MAX },
    { "descriptors in the header", 16, 4, 0 },
    { "descriptors over the id", 16, 4, 71 },
    { "descriptors in the data", 16, 4, 1000 },
    { "descriptors behind the file", 16, 4, 5000 },
    { "descriptors at the end of all", 16, 4, UINT32_MAX },
    { "descriptors a byte off", 16, 4, 73 },
    { "data in the header", 20, 4, 0 },
    { "data over the header's end", 20, 4, 23 },
    { "data in the id", 20, 4, 30 },
    { "data in the descriptors", 20, 4, 100 },
    { "another id", 24, 4, 0x2d6d7671 },
    { "no id", 24, 1, 0 },
    { "an id that is not printable", 28, 1, 7 },
    { "no name", DESC(1, name), 1, 0 },
    { "no size", DESC(1, size), 2, 0 },
    { "a size that reaches into another's data", DESC(1, size), 2, 2 },
    { "largest size", DESC(2, size), 2, UINT16_MAX },
    { "size past the largest slot", DESC(2, size), 2, VMT_SLOTS_MAX - 2 },
    { "offset not of a u64", DESC(2, offset), 4, 28 },
    { "offset of another", DESC(2, offset), 4, 0 },
    { "offset inside of another", DESC(2, offset), 4, 16 },
    { "offset behind the largest slot", DESC(2, offset), 4, VMT_SLOTS_MAX * 8 },
    { "largest offset", DESC(2, offset), 4, UINT32_MAX - 7 },
};

static struct image whole_image(void)
{
    struct entry entries[3];

    memcpy(entries, three, sizeof(entries));
    entries[0].flags = VMT_TYPE_LOG_HIST;
    return image_of(&plain, entries, 3, 4);
}

Test(kvm_statistics_damage, damage_of_any_field_is_no_such_file)
{
    const struct image whole = whole_image();

    for (size_t i = 0; i < LENGTH(damages); i++) {
        const struct kvm_schema *schema = NULL;
        struct image image = whole;

        memcpy(image.data + damages[i].offset, &damages[i].value, damages[i].bytes);
        cr_assert_eq(read_schema(image.data, image.bytes, 0, &schema), -EBADMSG, "%s", damages[i].what);
        cr_assert_null(schema);
    }
}

Test(kvm_statistics_damage, without_an_end_are_no_names)
{
    const struct image whole = whole_image();
    const struct kvm_schema *schema = NULL;
    struct image image = whole;

    memset(image.data + 72 + 16, 'x', 48);
    cr_assert_eq(read_schema(image.data, image.bytes, 0, &schema), -EBADMSG);
    image = whole;
    memset(image.data + 27, 'x', 45);
    cr_assert_eq(read_schema(image.data, image.bytes, 0, &schema), -EBADMSG);
}

Test(kvm_statistics_damage, with_endless_names_are_no_such_file)
{
    static const struct layout layout = { 1025, 24, 1049, 8192 };
    const struct image image = image_of(&layout, three + 1, 1, 1);
    const struct kvm_schema *schema = NULL;

    cr_assert_eq(read_schema(image.data, image.bytes, 0, &schema), -EBADMSG);
}

Test(kvm_statistics_damage, in_their_own_header_are_no_values)
{
    const uint32_t data_offset = 16;
    struct image image = image_of(&plain, three + 1, 1, 1);
    const struct kvm_schema *schema = NULL;

    memcpy(image.data + offsetof(struct vmt_kvm_header, data_offset), &data_offset, sizeof(data_offset));
    cr_assert_eq(read_schema(image.data, image.bytes, 0, &schema), -EBADMSG);
}

Test(kvm_statistics_damage, all_of_unknown_kinds_are_no_schema)
{
    const struct entry entries[] = { { "new", 5, 0, 1, 0, 0 } };
    const struct image image = image_of(&plain, entries, 1, 1);
    const struct kvm_schema *schema = NULL;

    cr_assert_eq(read_schema(image.data, image.bytes, 0, &schema), -EBADMSG);
    cr_assert_null(schema);
}

Test(kvm_statistics_damage, cut_off_anywhere_are_an_error)
{
    static const struct {
        const char *file;
        size_t head;
        int vcpu;
    } files[] = { { "kvm-vm-stats", 1096, 0 }, { "kvm-vcpu-stats", 3080, 1 } };

    for (size_t f = 0; f < LENGTH(files); f++) {
        const struct image image = recorded_image(files[f].file);
        int fd = file_of(image.data, image.bytes);
        uint64_t values[140];

        for (size_t bytes = image.bytes; bytes-- > 0;) {
            const struct kvm_schema *schema = NULL;
            int expected = bytes < files[f].head ? -EBADMSG : 0;

            cr_assert_eq(ftruncate(fd, (off_t)bytes), 0);
            cr_assert_eq(kvm_schema_read(fd, files[f].vcpu, NULL, &schema), expected, "%zu bytes", bytes);
            if (schema)
                cr_assert_eq(kvm_values_read(schema, fd, values), -EIO, "%zu bytes", bytes);
            kvm_schema_release(schema);
        }
        close(fd);
    }
}

/* Each byte in turn becomes each of these: whatever is still taken for a schema is sound. */
Test(kvm_statistics_damage, of_changed_bytes_are_refused_or_sound)
{
    static const unsigned char bytes[] = { 0, 1, 7, 0x40, 0x7f, 0x80, 0xff };
    const struct image whole = whole_image();
    unsigned sound = 0;

    for (size_t at = 0; at < 72 + 3 * 64; at++) {
        for (size_t b = 0; b < sizeof(bytes); b++) {
            const struct kvm_schema *schema = NULL;
            struct image image = whole;
            uint64_t *values;
            int fd, r;

            image.data[at] = (char)bytes[b];
            fd = file_of(image.data, image.bytes);
            r = kvm_schema_read(fd, 0, NULL, &schema);
            if (r == 0) {
                sound++;
                cr_assert_eq(schema_check(&schema->schema), 0);
                values = malloc(schema->schema.slots * sizeof(*values)); /* not a byte more */
                cr_assert_not_null(values);
                r = kvm_values_read(schema, fd, values);
                cr_assert(r == 0 || r == -EIO);
                free(values);
                kvm_schema_release(schema);
            } else {
                cr_assert_eq(r, -EBADMSG, "byte %zu is %u: %d", at, bytes[b], r);
            }
            close(fd);
        }
    }
    cr_assert_gt(sound, 100);
}

Test(kvm_statistics_damage, can_not_be_read_from_what_is_no_file)
{
    const struct kvm_schema *schema = NULL;
    int ends[2];

    cr_assert_eq(kvm_schema_read(-1, 0, NULL, &schema), -EBADF);
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(kvm_schema_read(ends[0], 0, NULL, &schema), -ESPIPE);
    cr_assert_null(schema);
    close(ends[0]);
    close(ends[1]);
}
