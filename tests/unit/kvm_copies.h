/* SPDX-License-Identifier: MIT */
/* kvm_copies.h: a VM of two vCPUs, the statistics files of these, and what was copied of them into the segment. */
#ifndef TESTS_UNIT_KVM_COPIES_H
#define TESTS_UNIT_KVM_COPIES_H

#include "kvm_parts.h"

static struct fake file[2]; /* of vCPUs */
static struct small_vm v;

static inline void setup(void)
{
    test_dir_init();
    for (int i = 0; i < 2; i++) {
        file[i] = new_fake(true);
        fake_number(&file[i], i);
    }
    v = new_vm("vm");
}

static inline void teardown(void)
{
    vmt_segment_close(v.segment);
    for (int i = 0; i < 2; i++)
        free_fake(&file[i]);
    test_dir_fini();
}

#define COPY "vm/vcpu-0/kvm"

static inline void sample(void)
{
    int r = vmt_kvm_sample(v.segment);

    cr_assert_eq(r, 0, "%s", strerror(-r));
}

/* Of all that the kernel counted of vCPUs below the source at id, those that have gone, too. */
static inline uint64_t total_copied(const char *id, const char *name)
{
    struct vmt_reader *reader = attach(vmt_segment_path(v.segment), VMT_READ_COPY);
    struct vmt_snapshot *snapshot = new_snapshot();
    uint64_t value;

    take(snapshot, reader);
    value = total_named(sample_of(snapshot, id), KVM_SCHEMA_VCPU)->values[fake_slot(&file[0], name)];
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    return value;
}

#endif
