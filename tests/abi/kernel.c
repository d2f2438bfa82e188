/* SPDX-License-Identifier: MIT */
/* kernel.c: descriptor.h against the kernel's own header. */
#include <criterion/criterion.h>
#include <linux/kvm.h>
#include <stddef.h>

#include <vmtally/descriptor.h>

#define SAME_FIELD(ours, theirs, field)                                                                                \
    do {                                                                                                               \
        cr_expect_eq(offsetof(struct ours, field), offsetof(struct theirs, field), "offset of " #field);               \
        cr_expect(__builtin_types_compatible_p(__typeof__(((struct ours *)0)->field),                                  \
                                               __typeof__(((struct theirs *)0)->field)),                               \
                  "type of " #field);                                                                                  \
    } while (0)

Test(kernel, header_is_kvm_stats_header)
{
    cr_expect_eq(sizeof(struct vmt_kvm_header), sizeof(struct kvm_stats_header));
    SAME_FIELD(vmt_kvm_header, kvm_stats_header, flags);
    SAME_FIELD(vmt_kvm_header, kvm_stats_header, name_size);
    SAME_FIELD(vmt_kvm_header, kvm_stats_header, num_desc);
    SAME_FIELD(vmt_kvm_header, kvm_stats_header, id_offset);
    SAME_FIELD(vmt_kvm_header, kvm_stats_header, desc_offset);
    SAME_FIELD(vmt_kvm_header, kvm_stats_header, data_offset);
}

Test(kernel, descriptor_is_kvm_stats_desc_with_its_name)
{
    cr_expect_eq(sizeof(struct vmt_kvm_desc), sizeof(struct kvm_stats_desc) + VMT_NAME_SIZE);
    cr_expect_eq(VMT_NAME_SIZE, 48, "KVM_STATS_NAME_SIZE of include/linux/kvm_host.h");
    SAME_FIELD(vmt_kvm_desc, kvm_stats_desc, flags);
    SAME_FIELD(vmt_kvm_desc, kvm_stats_desc, exponent);
    SAME_FIELD(vmt_kvm_desc, kvm_stats_desc, size);
    SAME_FIELD(vmt_kvm_desc, kvm_stats_desc, offset);
    SAME_FIELD(vmt_kvm_desc, kvm_stats_desc, bucket_size);
    cr_expect_eq(offsetof(struct vmt_kvm_desc, name), offsetof(struct kvm_stats_desc, name));
}

Test(kernel, flags_have_the_kernels_values)
{
    static const struct {
        const char *name;
        unsigned ours, theirs;
    } rows[] = {
#define SAME(name) { #name, VMT_##name, KVM_STATS_##name }
        SAME(TYPE_MASK),     SAME(TYPE_CUMULATIVE), SAME(TYPE_INSTANT), SAME(TYPE_PEAK), SAME(TYPE_LINEAR_HIST),
        SAME(TYPE_LOG_HIST), SAME(TYPE_MAX),        SAME(UNIT_MASK),    SAME(UNIT_NONE), SAME(UNIT_BYTES),
        SAME(UNIT_SECONDS),  SAME(UNIT_CYCLES),     SAME(UNIT_BOOLEAN), SAME(UNIT_MAX),  SAME(BASE_MASK),
        SAME(BASE_POW10),    SAME(BASE_POW2),       SAME(BASE_MAX),
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(rows[i].ours, rows[i].theirs, "%s: %#x, the kernel's is %#x", rows[i].name, rows[i].ours,
                     rows[i].theirs);
}

Test(kernel, own_flag_bits_are_above_the_kernels)
{
    unsigned own = VMT_AGGREGATION_MASK | VMT_SIGNED;

    cr_expect_eq(own & (KVM_STATS_TYPE_MASK | KVM_STATS_UNIT_MASK | KVM_STATS_BASE_MASK), 0);
    cr_expect_eq(own & 0x00ffffffU, 0, "bits 12 to 23 are left to KVM");
    cr_expect_eq(VMT_AGGREGATION_MASK & VMT_SIGNED, 0);
    cr_expect_eq(VMT_AGGREGATION_LAST & ~VMT_AGGREGATION_MASK, 0);
}
