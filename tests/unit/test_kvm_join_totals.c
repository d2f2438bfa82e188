/* SPDX-License-Identifier: MIT */
/* What the totals are above what the kernel counts, and what each source is that only a sum over all is known of. */
#include "fake_host.h"

TestSuite(kvm_join_totals, .init = setup, .fini = teardown);

Test(kvm_join_totals, totals_above_have_the_kernels_schemas)
{
    handle(vm, &kvm_handle_vm, 40);
    handle(vcpu0, &kvm_handle_vcpu, 41);
    handle(vcpu1, &kvm_handle_vcpu, 42);
    kernel_vm_at(9, 40, 5);
    kernel_vcpu_at(9, 0, 41, 100);
    kernel_vcpu_at(9, 1, 42, 200);
    look_and_take();
    assert_total("", &kernel_vcpu, 300, 2);
    assert_total("vm", &kernel_vcpu, 300, 2);
    assert_total("vm/vcpu-0", &kernel_vcpu, 100, 1);
    assert_total("", &kernel_vm, 5, 1);
    assert_total("vm", &kernel_vm, 5, 1);
    cr_assert_eq(total_at("vm", &kernel_vcpu)->departed[KC_EXITS], 0);
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);

        for (uint32_t t = 0; t < sample->total_count; t++)
            cr_expect_str_neq(sample->totals[t].schema->name, KVM_HANDLE_NAME, "a sum of numbers of fds");
    }
}

/* KVM goes on with what was counted before when a vCPU is plugged again. */
Test(kvm_join_totals, copies_give_way_and_what_they_left_behind_is_in_what_the_kernel_says)
{
    struct vmt_source *vcpu2 = add_source(segment, &vmt_schema_vcpu, vm, "vcpu-2");
    struct vmt_source *second = copy(vcpu2, &kernel_vcpu, 1000);

    struct vmt_source *group = add_source(segment, &part_schema, vm, "group");
    struct vmt_source *third = copy(add_source(segment, &vmt_schema_vcpu, group, "x"), &kernel_vcpu, 10000);

    handle(vcpu0, &kvm_handle_vcpu, 41);
    copy(vcpu0, &kernel_vcpu, 90);
    kernel_vm_at(9, -1, 5);
    kernel_vcpu_at(9, 0, 41, 100);
    vmt_source_remove(second);
    vmt_source_remove(vcpu2);
    vmt_source_remove(third);
    host.refused = true;
    look_and_take();
    assert_total("vm", &kernel_vcpu, 11090, 1);
    cr_assert_eq(total_at("", &kernel_vcpu)->departed[KC_EXITS], 11000);
    host.refused = false;
    look_and_take();
    cr_assert(!there_is("vm/vcpu-0/kvm-fd"));
    cr_assert_eq(value_of(snapshot, "vm/vcpu-0/kvm", KC_EXITS), 100);
    assert_total("vm", &kernel_vcpu, 100, 1);
    assert_total("", &kernel_vcpu, 100, 1);
    assert_total("vm/group", &kernel_vcpu, 0, 0);
    cr_assert_eq(total_at("", &kernel_vcpu)->departed[KC_EXITS], 0);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->from, VMT_FROM_SEGMENT | VMT_FROM_FDS);
    for (size_t i = 0, n = 0; i < vmt_snapshot_count(snapshot); i++)
        cr_assert_leq(n += strcmp(vmt_snapshot_source(snapshot, i)->id, "vm/vcpu-0/kvm") == 0, 1);
}

/* ---- from debugfs ---- */

static void debugfs_vm(bool sum)
{
    kernel_has(9, BULLETIN_VM, -1, SCHEMA_VM, BULLETIN_FROM_DEBUGFS, 5);
    if (sum)
        kernel_has(9, BULLETIN_VM, -1, SCHEMA_PARTIAL, BULLETIN_FROM_DEBUGFS | BULLETIN_TOTAL, 777);
    for (int i = 0; i < 3; i++)
        kernel_has(9, i, -1, SCHEMA_PARTIAL, BULLETIN_FROM_DEBUGFS | BULLETIN_NO_VALUES, 0);
}

Test(kvm_join_totals, a_sum_over_vcpus_is_the_vms_total_and_what_each_counted_is_absent)
{
    debugfs_vm(true);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm vm/vcpu-1 vm/vcpu-1/kvm vm/kvm vm/vcpu-2");
    cr_assert_eq(sample_of(snapshot, "vm/vcpu-0/kvm")->flags, VMT_SAMPLE_ABSENT);
    cr_assert_eq(sample_of(snapshot, "vm/vcpu-0/kvm")->values[0], 0);
    cr_assert_eq(total_at("vm/vcpu-0", &partial_vcpu)->flags, VMT_SAMPLE_ABSENT);
    cr_assert_eq(total_at("vm/vcpu-0", &partial_vcpu)->sources, 1);
    assert_total("vm", &partial_vcpu, 777, 3);
    assert_total("", &partial_vcpu, 777, 3);
    cr_assert_eq(total_at("vm", &partial_vcpu)->departed[0], 0);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->from, VMT_FROM_SEGMENT | VMT_FROM_DEBUGFS);
}

Test(kvm_join_totals, without_that_sum_totals_are_absent)
{
    debugfs_vm(false);
    for (int i = 0; i < 2; i++) {
        look_and_take();
        cr_assert_eq(total_at("vm", &partial_vcpu)->flags, VMT_SAMPLE_ABSENT);
        host.count = 0; /* now it is there, and could not be read */
        debugfs_vm(true);
        host.things[1].flags |= BULLETIN_NO_VALUES;
    }
    look_and_take();
    cr_assert_eq(total_at("vm", &partial_vcpu)->flags, VMT_SAMPLE_ABSENT);
    cr_assert_eq(total_at("", &partial_vcpu)->flags, VMT_SAMPLE_ABSENT);
    cr_assert_eq(total_at("vm", &partial_vcpu)->sources, 3);
    assert_total("vm", &kernel_vm, 5, 1);
}

Test(kvm_join_totals, where_one_vcpu_has_its_own_values_the_sum_would_count_it_twice)
{
    struct vmt_descriptor exits = kernel_vcpu.descriptors[KC_EXITS];
    uint64_t value;

    debugfs_vm(true);
    host.things[2] = (struct bulletin_item){ .generation = 4, .index = 2, .schema = SCHEMA_VCPU, .vm = 9, .fd = 41 };
    host.values[2] = 100;
    look_and_take();
    assert_total("vm", &kernel_vcpu, 100, 1);
    cr_assert_eq(total_at("vm", &partial_vcpu)->flags, VMT_SAMPLE_ABSENT);
    cr_assert_eq(vmt_sample_total(sample_of(snapshot, "vm"), &exits, &value), -ENODATA);
}

Test(kvm_join_totals, one_vm_without_its_sum_makes_the_total_over_all_absent_and_not_the_others)
{
    debugfs_vm(true);
    kernel_has(10, BULLETIN_VM, -1, SCHEMA_VM, BULLETIN_FROM_DEBUGFS, 5);
    kernel_has(10, 0, -1, SCHEMA_PARTIAL, BULLETIN_FROM_DEBUGFS | BULLETIN_NO_VALUES, 0);
    kernel_has(11, BULLETIN_VM, -1, SCHEMA_VM, BULLETIN_FROM_DEBUGFS, 5);
    kernel_has(11, 0, -1, SCHEMA_PARTIAL, BULLETIN_FROM_DEBUGFS, 23);
    look_and_take();
    assert_total("vm-9", &partial_vcpu, 777, 3);
    assert_total("vm-11", &partial_vcpu, 23, 1);
    cr_assert_eq(total_at("vm-10", &partial_vcpu)->flags, VMT_SAMPLE_ABSENT);
    cr_assert_eq(total_at("", &partial_vcpu)->flags, VMT_SAMPLE_ABSENT);
    cr_assert_eq(total_at("", &partial_vcpu)->sources, 5);
}

Test(kvm_join_totals, copies_say_more_than_debugfs)
{
    handle(vm, &kvm_handle_vm, 40);
    copy(vm, &kernel_vm, 6);
    handle(vcpu0, &kvm_handle_vcpu, 41);
    copy(vcpu0, &kernel_vcpu, 90);
    handle(vcpu1, &kvm_handle_vcpu, 42);
    copy(vcpu1, &kernel_vcpu, 10);
    debugfs_vm(true);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm vm/vcpu-1 vm/vcpu-1/kvm vm/kvm");
    cr_assert_eq(value_of(snapshot, "vm/kvm", 0), 6);
    cr_assert_eq(sample_of(snapshot, "vm")->total_count, 3, "no second one of the same: it would be counted twice");
    assert_total("vm", &kernel_vcpu, 100, 2);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->from, VMT_FROM_SEGMENT | VMT_FROM_COPIES);
}
