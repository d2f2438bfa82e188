/* SPDX-License-Identifier: MIT */
/* What the kernel counts, in the tree of a segment: where it stands, what it is called, what the totals above it are. */
#include "fake_host.h"
#include "scarce.h"

#include <fcntl.h>
#include <sys/stat.h>

TestSuite(kvm_join, .init = setup, .fini = teardown);

/* ---- by handles ---- */

Test(kvm_join, what_a_handle_leads_to_takes_its_place)
{
    const struct vmt_sample *sample;
    uint32_t item;

    handle(vm, &kvm_handle_vm, 40);
    handle(vcpu0, &kvm_handle_vcpu, 42);
    handle(vcpu1, &kvm_handle_vcpu, 41);
    kernel_vm_at(9, 40, 5);
    kernel_vcpu_at(9, 0, 41, 100); /* by number it were the other one: the VMM knows better */
    item = kernel_vcpu_at(9, 1, 42, 200);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm vm/vcpu-1 vm/vcpu-1/kvm vm/kvm");
    sample = sample_of(snapshot, "vm/vcpu-0/kvm");
    cr_assert_eq(sample->values[KC_EXITS], 200);
    cr_assert_str_eq(sample->name, "kvm");
    cr_assert_str_eq(sample->schema->provider, "kvm");
    cr_assert_eq(sample->flags, 0);
    cr_assert_eq(sample->created_ns, 0);
    cr_assert_eq(sample->depth, 3);
    cr_assert_eq(sample->generation, host.things[item].generation);
    cr_assert_eq(sample->entry, VMT_ENTRY_KERNEL | host.things[item].index);
    cr_assert_eq(value_of(snapshot, "vm/vcpu-1/kvm", KC_EXITS), 100);
    cr_assert_eq(value_of(snapshot, "vm/kvm", KV_FLUSHES), 5);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->from, VMT_FROM_SEGMENT | VMT_FROM_FDS);
}

Test(kvm_join, what_the_kernel_counts_speaks_of_what_the_vmm_counts_it_in)
{
    kernel_vm_at(9, 40, 5);
    kernel_vcpu_at(9, 1, 41, 100);
    look_and_take();
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);
        bool kernel = strcmp(sample->name, "kvm") == 0;

        cr_expect_eq(vmt_snapshot_subject(snapshot, i), kernel ? sample->parent : i, "%s", sample->id);
    }
    cr_assert(there_is("vm/vcpu-1/kvm"));
    cr_assert_eq(vmt_snapshot_subject(snapshot, 999), 999);
}

Test(kvm_join, totals_above_have_the_kernels_schemas)
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
Test(kvm_join, copies_give_way_and_what_they_left_behind_is_in_what_the_kernel_says)
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

Test(kvm_join, without_permission_the_copy_is_shown_and_the_handle_only_where_there_is_none)
{
    handle(vcpu0, &kvm_handle_vcpu, 41);
    copy(vcpu0, &kernel_vcpu, 90);
    handle(vcpu1, &kvm_handle_vcpu, 42);
    host.refused = true;
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm vm/vcpu-1 vm/vcpu-1/kvm-fd");
    cr_assert_eq(value_of(snapshot, "vm/vcpu-0/kvm", KC_EXITS), 90);
    cr_assert(!(sample_of(snapshot, "vm/vcpu-0/kvm")->entry & VMT_ENTRY_KERNEL));
    assert_total("vm", &kernel_vcpu, 90, 1);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->from, VMT_FROM_SEGMENT | VMT_FROM_COPIES);
    host.refused = false; /* now a process is there, of which nothing can be had */
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm vm/vcpu-1 vm/vcpu-1/kvm-fd");
}

Test(kvm_join, of_handles_that_name_one_fd_the_first_counts)
{
    handle(vcpu1, &kvm_handle_vcpu, 41);
    handle(vcpu0, &kvm_handle_vcpu, 41);
    kernel_vm_at(9, -1, 0);
    kernel_vcpu_at(9, 0, 41, 100);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm-fd vm/vcpu-1 vm/vcpu-1/kvm vm/kvm");
}

Test(kvm_join, handles_that_lead_nowhere_move_nothing)
{
    static const uint64_t wrong[] = { 0, 43, UINT32_MAX, UINT64_MAX, (UINT64_C(1) << 32) + 41 };
    struct vmt_source *other = add_source(segment, &part_schema, vm, "other");

    for (size_t i = 0; i < LENGTH(wrong); i++) {
        char name[16];

        snprintf(name, sizeof(name), "x%zux", i);
        handle(add_source(segment, &vmt_schema_vcpu, vm, name), &kvm_handle_vcpu, wrong[i]);
    }
    handle(vcpu1, &kvm_handle_vm, 41);   /* the one of a vCPU is not of a VM, */
    handle(other, &kvm_handle_vcpu, 41); /* and counted in a vCPU's source */
    handle(NULL, &kvm_handle_vcpu, 41);
    kernel_vm_at(9, -1, 0);
    kernel_vcpu_at(9, 0, 41, 100);
    kernel_vcpu_at(9, 77, 0, 1); /* 0 is no number of a handle's */
    look_and_take();
    cr_assert(!there_is("vm/x0x/kvm"));
    cr_assert_eq(value_of(snapshot, "vm/vcpu-0/kvm", KC_EXITS), 100);
    cr_assert(!there_is("vm/vcpu-1/kvm"));
    cr_assert(!there_is("vm/other/kvm"));
    cr_assert(!there_is("kvm"));
}

Test(kvm_join, one_source_has_one_kernel_view)
{
    struct vmt_source *second = add_source(segment, &kvm_handle_vcpu, vcpu0, "kvm-fd2");

    handle(vcpu0, &kvm_handle_vcpu, 41);
    vmt_set(vmt_shard_acquire(second), 0, 42);
    kernel_vm_at(9, -1, 0);
    kernel_vcpu_at(9, 5, 41, 100);
    kernel_vcpu_at(9, 6, 42, 200);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm vm/vcpu-1 vm/kvm vm/vcpu-5");
    cr_assert_eq(value_of(snapshot, "vm/vcpu-0/kvm", KC_EXITS), 200);
    assert_total("vm", &kernel_vcpu, 300, 2);
}

Test(kvm_join, a_handle_may_name_a_second_fd_of_the_same)
{
    handle(vcpu1, &kvm_handle_vcpu, 51);
    handle(vm, &kvm_handle_vm, 50);
    kernel_vm_at(9, 40, 5);
    kernel_vcpu_at(9, 0, 41, 100);
    kernel_vcpu_at(9, 3, 42, 200);
    kernel_has(9, BULLETIN_VM, 50, SCHEMA_VM, BULLETIN_SPARE, 5);
    kernel_has(9, 3, 51, SCHEMA_VCPU, BULLETIN_SPARE, 200);
    kernel_has(9, 4, 52, SCHEMA_VCPU, BULLETIN_SPARE, 1); /* of none that is there */
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm vm/vcpu-1 vm/vcpu-1/kvm vm/kvm");
    cr_assert_eq(value_of(snapshot, "vm/vcpu-1/kvm", KC_EXITS), 200);
    assert_total("vm", &kernel_vcpu, 300, 2);
}

/* debugfs knows which vCPU is of which VM; of the statistics files only the VMM does. */
static void two_vms_with_spares(void)
{
    for (int i = 0; i < 2; i++) {
        kernel_has(9 + i, BULLETIN_VM, -1, SCHEMA_VM, BULLETIN_FROM_DEBUGFS, 5);
        kernel_has(9 + i, BULLETIN_VM, -1, SCHEMA_PARTIAL, BULLETIN_FROM_DEBUGFS | BULLETIN_TOTAL, 777);
        kernel_has(9 + i, 0, -1, SCHEMA_PARTIAL, BULLETIN_FROM_DEBUGFS | BULLETIN_NO_VALUES, 0);
    }
    for (int i = 0; i < 2; i++)
        kernel_has(BULLETIN_UNKNOWN_VM, BULLETIN_VM, 40 + i, SCHEMA_VM, BULLETIN_SPARE, (uint64_t)i);
    for (int i = 0; i < 2; i++)
        kernel_has(BULLETIN_UNKNOWN_VM, 0, 50 + i, SCHEMA_VCPU, BULLETIN_SPARE, 100 * (uint64_t)(i + 1));
}

Test(kvm_join, of_several_vms_statistics_files_count_where_the_vmm_says_of_all_whose_they_are)
{
    struct vmt_source *second = add_source(segment, &vmt_schema_vm, NULL, "vm2");
    struct vmt_source *its_vcpu = add_source(segment, &vmt_schema_vcpu, second, "vcpu-0");

    two_vms_with_spares();
    handle(vm, &kvm_handle_vm, 41);
    handle(vcpu0, &kvm_handle_vcpu, 51);
    handle(second, &kvm_handle_vm, 40);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm-fd vm/vcpu-1 vm/kvm-fd vm2 vm2/vcpu-0 vm2/kvm-fd"
                            " vm-9 vm-9/vcpu-0 vm-10 vm-10/vcpu-0");
    assert_total("", &partial_vcpu, 2 * 777, 2);
    handle(its_vcpu, &kvm_handle_vcpu, 50);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm vm/vcpu-1 vm/kvm vm2 vm2/vcpu-0 vm2/vcpu-0/kvm vm2/kvm");
    cr_assert_eq(value_of(snapshot, "vm2/vcpu-0/kvm", KC_EXITS), 100);
    assert_total("", &kernel_vcpu, 300, 2);
    assert_total("vm", &kernel_vcpu, 200, 1);
}

Test(kvm_join, where_nothing_is_known_of_the_vmms_vms_its_segment_is_as_it_was)
{
    kernel_has(9, BULLETIN_VM, -1, SCHEMA_VM, BULLETIN_NO_VALUES, 0);
    kernel_has(9, 0, -1, BULLETIN_NO_SCHEMA, BULLETIN_NO_VALUES, 0);
    copy(vcpu1, &kernel_vcpu, 90);
    handle(vcpu1, &kvm_handle_vcpu, 50);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-1 vm/vcpu-1/kvm");
    cr_assert_eq(vmt_snapshot_segment(snapshot)->from, VMT_FROM_SEGMENT | VMT_FROM_COPIES);
}

Test(kvm_join, a_vcpu_that_the_vmm_has_unplugged_is_not_there)
{
    handle(vm, &kvm_handle_vm, 50);
    handle(vcpu0, &kvm_handle_vcpu, 51);
    vmt_source_remove(vcpu1);
    kernel_vm_at(9, 50, 5);
    kernel_has(9, BULLETIN_VM, -1, SCHEMA_PARTIAL, BULLETIN_FROM_DEBUGFS | BULLETIN_TOTAL, 777);
    kernel_vcpu_at(9, 0, 51, 100);
    kernel_has(9, 1, -1, SCHEMA_PARTIAL, BULLETIN_FROM_DEBUGFS | BULLETIN_NO_VALUES, 0);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm vm/kvm");
    cr_assert_eq(vmt_snapshot_segment(snapshot)->from, VMT_FROM_SEGMENT | VMT_FROM_FDS);
    assert_total("", &kernel_vcpu, 100, 1);
    host.things[2].flags = BULLETIN_NO_VALUES; /* one that has a handle, and can't be read, is */
    look_and_take();
    cr_assert_eq(sample_of(snapshot, "vm/vcpu-0/kvm")->flags, VMT_SAMPLE_ABSENT);
}

Test(kvm_join, of_one_that_can_not_be_read_the_copy_is_shown)
{
    copy(vcpu0, &kernel_vcpu, 80);
    handle(vcpu0, &kvm_handle_vcpu, 51);
    copy(vcpu1, &kernel_vcpu, 90);
    handle(vcpu1, &kvm_handle_vcpu, 50);
    kernel_vm_at(9, 40, 5);
    kernel_has(9, 0, 51, SCHEMA_VCPU, BULLETIN_NO_VALUES, 0);
    kernel_vcpu_at(9, 1, 50, 100);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm vm/vcpu-1 vm/vcpu-1/kvm vm/kvm");
    assert_total("vm", &kernel_vcpu, 180, 2);
}

/* ---- by what sources are called ---- */

Test(kvm_join, vcpus_are_found_by_the_whole_number_that_their_name_ends_in)
{
    static const struct {
        const char *name;
        int vcpu;
        bool same;
    } rows[] = {
        { "vcpu-2", 2, true },
        { "cpu2", 2, true },
        { "vcpu-12", 2, false },
        { "vcpu-2", 12, false },
        { "2", 2, true },
        { "vcpu-02", 2, true },
        { "vcpu-2x", 2, false },
        { "vcpu", 0, false },
        { "vcpu-20", 2, false },
        { "vcpu-999999999", 999999999, true },
        { "vcpu-4294967298", 2, false },
    };

    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct vmt_source *source = add_source(segment, &vmt_schema_vcpu, vm, rows[i].name);
        char id[64], own[64];

        host.count = 0;
        kernel_vm_at(9, -1, 0);
        kernel_vcpu_at(9, rows[i].vcpu, -1, 100);
        look_and_take();
        snprintf(id, sizeof(id), "vm/%s/kvm", rows[i].name);
        snprintf(own, sizeof(own), "vm/vcpu-%d%s", rows[i].vcpu, rows[i].vcpu < 2 ? "/kvm" : "");
        cr_expect_eq(there_is(id), rows[i].same, "%s is vCPU %d", id, rows[i].vcpu);
        cr_expect(rows[i].same || value_of(snapshot, own, KC_EXITS) == 100 || rows[i].vcpu == 12);
        vmt_source_remove(source);
    }
}

Test(kvm_join, a_vcpu_may_stand_deep_below_its_vm)
{
    struct vmt_source *group = add_source(segment, &part_schema, vm, "numa-0");

    add_source(segment, &vmt_schema_vcpu, group, "cpu7");
    kernel_vm_at(9, -1, 0);
    kernel_vcpu_at(9, 7, -1, 100);
    look_and_take();
    cr_assert_eq(value_of(snapshot, "vm/numa-0/cpu7/kvm", KC_EXITS), 100);
    assert_total("vm/numa-0", &kernel_vcpu, 100, 1);
    assert_total("vm", &kernel_vcpu, 100, 1);
    assert_total("", &kernel_vcpu, 100, 1);
}

Test(kvm_join, where_two_sources_may_be_the_vcpu_it_is_neither)
{
    add_source(segment, &vmt_schema_vcpu, vm, "cpu0");
    kernel_vm_at(9, -1, 0);
    kernel_vcpu_at(9, 0, -1, 100);
    look_and_take();
    cr_assert(!there_is("vm/vcpu-0/kvm"));
    cr_assert(!there_is("vm/cpu0/kvm"));
    cr_assert_eq(value_of(snapshot, "vm/vcpu-0~2", KC_EXITS), 100, "and its name is taken");
}

Test(kvm_join, a_vcpu_that_the_vmm_does_not_count_is_a_source_below_its_vm)
{
    kernel_vm_at(9, -1, 5);
    kernel_vcpu_at(9, 3, -1, 100);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-1 vm/kvm vm/vcpu-3");
    cr_assert_str_eq(sample_of(snapshot, "vm/vcpu-3")->schema->provider, "kvm");
}

Test(kvm_join, sources_that_are_leaving_are_no_place)
{
    struct vmt_shard *held = vmt_shard_acquire(vcpu0);

    vmt_add(held, VMT_VCPU_EXITS, 1);
    vmt_source_remove(vcpu0);
    kernel_vm_at(9, -1, 5);
    kernel_vcpu_at(9, 0, -1, 100);
    look_and_take();
    cr_assert_eq(sample_of(snapshot, "vm/vcpu-0~2")->values[KC_EXITS], 100);
    vmt_shard_release(held);
    look_and_take();
    cr_assert_eq(sample_of(snapshot, "vm/vcpu-0")->values[KC_EXITS], 100);
}

Test(kvm_join, of_several_vms_none_is_taken_for_another)
{
    kernel_vm_at(9, -1, 5);
    kernel_vcpu_at(9, 0, -1, 100);
    kernel_vm_at(12, -1, 6);
    kernel_vcpu_at(12, 0, -1, 200);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-1 vm-9 vm-9/vcpu-0 vm-12 vm-12/vcpu-0");
    assert_total("", &kernel_vcpu, 300, 2);
    assert_total("vm-12", &kernel_vcpu, 200, 1);
    handle(vm, &kvm_handle_vm, 40); /* now the VMM says which */
    host.things[2].fd = 40;
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm vm/vcpu-1 vm/kvm vm-9 vm-9/vcpu-0");
    cr_assert_eq(value_of(snapshot, "vm/kvm", 0), 6);
}

Test(kvm_join, where_two_sources_may_be_the_vm_it_is_neither)
{
    add_source(segment, &vmt_schema_vm, NULL, "vm2");
    kernel_vm_at(9, -1, 5);
    kernel_vcpu_at(9, 0, -1, 100);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-1 vm2 vm-9 vm-9/vcpu-0", "and its name is taken");
}

Test(kvm_join, a_vmm_that_counts_no_vm_has_one_of_the_kernels)
{
    vmt_source_remove(vcpu0);
    vmt_source_remove(vcpu1);
    vmt_source_remove(vm);
    add_source(segment, &part_schema, NULL, "disk");
    kernel_vm_at(9, -1, 5);
    kernel_vcpu_at(9, 0, -1, 100);
    look_and_take();
    cr_assert_str_eq(ids(), " disk vm vm/vcpu-0");
    assert_total("", &kernel_vcpu, 100, 1);
    assert_total("vm", &kernel_vcpu, 100, 1);
}

/* ---- names ---- */

Test(kvm_join, names_that_are_taken_are_told_apart)
{
    add_source(segment, &part_schema, vcpu0, "kvm");
    add_source(segment, &part_schema, vcpu1, "kvm");
    add_source(segment, &part_schema, vcpu1, "kvm~2");
    add_source(segment, &part_schema, vm, "vcpu-3");
    kernel_vm_at(9, -1, 5);
    kernel_vcpu_at(9, 0, -1, 1);
    kernel_vcpu_at(9, 1, -1, 2);
    kernel_vcpu_at(9, 3, -1, 3);
    look_and_take();
    cr_assert_eq(value_of(snapshot, "vm/vcpu-0/kvm~2", 0), 1);
    cr_assert_eq(value_of(snapshot, "vm/vcpu-1/kvm~3", 0), 2);
    cr_assert_eq(value_of(snapshot, "vm/vcpu-3~2", 0), 3);
    cr_assert_eq(value_of(snapshot, "vm/kvm", 0), 5);
}

Test(kvm_join, who_takes_all_names_has_a_partial_snapshot)
{
    add_source(segment, &part_schema, vcpu0, "kvm");
    for (int i = 2; i < 100; i++) {
        char name[16];

        snprintf(name, sizeof(name), "kvm~%d", i);
        add_source(segment, &part_schema, vcpu0, name);
    }
    kernel_vm_at(9, -1, 5);
    kernel_vcpu_at(9, 0, -1, 1);
    kernel_vcpu_at(9, 1, -1, 2);
    look();
    cr_assert_eq(vmt_snapshot_take(snapshot, reader), 1);
    cr_assert(vmt_snapshot_segment(snapshot)->flags & VMT_SNAPSHOT_PARTIAL);
    cr_assert_eq(value_of(snapshot, "vm/vcpu-1/kvm", 0), 2);
    assert_total("vm", &kernel_vcpu, 2, 1);
}

Test(kvm_join, nothing_stands_deeper_than_sources_may)
{
    struct vmt_source *at = vm;
    char id[256] = "vm";

    for (uint32_t depth = 2; depth < VMT_DEPTH_MAX; depth++) {
        at = add_source(segment, &part_schema, at, "x");
        strcat(id, "/x");
    }
    add_source(segment, &vmt_schema_vcpu, at, "vcpu-8");
    kernel_vm_at(9, -1, 5);
    kernel_vcpu_at(9, 8, -1, 1);
    look_and_take();
    cr_assert_eq(value_of(snapshot, "vm/vcpu-8", 0), 1);
    strcat(id, "/vcpu-8");
    cr_assert_eq(sample_of(snapshot, id)->depth, VMT_DEPTH_MAX);
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

Test(kvm_join, a_sum_over_vcpus_is_the_vms_total_and_what_each_counted_is_absent)
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

Test(kvm_join, without_that_sum_totals_are_absent)
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

Test(kvm_join, where_one_vcpu_has_its_own_values_the_sum_would_count_it_twice)
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

Test(kvm_join, one_vm_without_its_sum_makes_the_total_over_all_absent_and_not_the_others)
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

Test(kvm_join, copies_say_more_than_debugfs)
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

/* ---- entries ---- */

Test(kvm_join, entries_stay_when_the_segment_grows_and_no_two_are_the_same)
{
    struct vmt_sample before;
    bool used[64] = { false };

    kernel_vm_at(9, -1, 5);
    kernel_vcpu_at(9, 0, -1, 1);
    look_and_take();
    before = *sample_of(snapshot, "vm/vcpu-0/kvm");
    for (int i = 2; i < 8; i++) {
        char name[16];

        snprintf(name, sizeof(name), "vcpu-%d", i);
        add_source(segment, &vmt_schema_vcpu, vm, name);
    }
    look_and_take();
    cr_assert_eq(sample_of(snapshot, "vm/vcpu-0/kvm")->entry, before.entry);
    cr_assert_eq(sample_of(snapshot, "vm/vcpu-0/kvm")->generation, before.generation);
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        size_t at = vmt_entry_index(vmt_snapshot_source(snapshot, i)->entry);

        cr_assert_lt(at, 2 * vmt_snapshot_count(snapshot));
        cr_assert(!used[at]);
        used[at] = true;
    }
}

/* ---- times, one source, other readers ---- */

Test(kvm_join, the_look_is_part_of_when_the_snapshot_was_taken)
{
    const struct vmt_segment_info *info;
    uint64_t before = shm_clock_ns(CLOCK_MONOTONIC), real = shm_clock_ns(CLOCK_REALTIME);

    kernel_vm_at(9, -1, 5);
    look();
    nap_us(20000);
    take(snapshot, reader);
    info = vmt_snapshot_segment(snapshot);
    cr_assert_eq(info->begin_ns, host.process.begin_ns);
    cr_assert_geq(info->begin_ns, before);
    cr_assert_geq(info->end_ns, info->begin_ns + 20000000);
    cr_assert_lt((double)(info->realtime_ns - real) / 1e9, 0.0199, "CLOCK_REALTIME at begin_ns");
    host.refused = true;
    take(snapshot, reader);
    cr_assert_gt(vmt_snapshot_segment(snapshot)->begin_ns, host.process.end_ns, "without them, when it was read");
}

Test(kvm_join, one_source_is_read_as_of_the_newest_look)
{
    struct vmt_sample of_kernel, own;
    uint64_t values[VMT_SLOTS_MAX] = { 0 };

    kernel_vm_at(9, -1, 5);
    kernel_vcpu_at(9, 0, -1, 100);
    look_and_take();
    of_kernel = *sample_of(snapshot, "vm/vcpu-0/kvm");
    own = *sample_of(snapshot, "vm/vcpu-0");
    host.values[1] = 101;
    cr_assert_eq(vmt_reader_sample(reader, &of_kernel, values), 0);
    cr_assert_eq(values[KC_EXITS], 100);
    look();
    cr_assert_eq(vmt_reader_sample(reader, &of_kernel, values), 0);
    cr_assert_eq(values[KC_EXITS], 101);
    cr_assert_eq(vmt_reader_sample(reader, &own, values), 0);
    host.things[1].flags = BULLETIN_NO_VALUES;
    look();
    cr_assert_eq(vmt_reader_sample(reader, &of_kernel, values), -ENODATA);
    host.things[1].flags = 0;
    host.things[1].generation += 2;
    look();
    cr_assert_eq(vmt_reader_sample(reader, &of_kernel, values), -ESTALE);
    host.things[1].generation -= 2;
    host.things[1].schema = SCHEMA_PARTIAL;
    look();
    cr_assert_eq(vmt_reader_sample(reader, &of_kernel, values), -ESTALE);
    host.gone = true;
    cr_assert_eq(vmt_reader_sample(reader, &of_kernel, values), -ESTALE);
}

/* All that a snapshot says, but for times. */
static char *all_of(const struct vmt_snapshot *s)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    for (size_t i = 0; i < vmt_snapshot_count(s); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(s, i);

        fprintf(out, "%s %u %lu %lu %u\n", sample->id, sample->entry, sample->generation, sample->created_ns,
                sample->flags);
        for (uint32_t k = 0; k < sample->schema->slots; k++)
            fprintf(out, " %lu", sample->values[k]);
        for (uint32_t t = 0; t < sample->total_count; t++) {
            fprintf(out, "\n %s %u %u", sample->totals[t].schema->name, sample->totals[t].sources,
                    sample->totals[t].flags);
            for (uint32_t k = 0; k < sample->totals[t].schema->slots; k++)
                fprintf(out, " %lu", sample->totals[t].values[k]);
        }
    }
    fclose(out);
    return text;
}

Test(kvm_join, without_a_host_nothing_is_added_and_nothing_hidden)
{
    struct vmt_reader *plain = attach(vmt_segment_path(segment), VMT_READ_COPY), *no_host = NULL;
    struct vmt_reader *inside = attach_here(segment);
    char *texts[3];

    handle(vcpu0, &kvm_handle_vcpu, 41);
    copy(vcpu0, &kernel_vcpu, 90);
    kernel_vm_at(9, -1, 5);
    kernel_vcpu_at(9, 0, 41, 100);
    look_and_take();
    cr_assert_eq(vmt_reader_open_host(NULL, vmt_segment_path(segment), NULL, &no_host), 0);
    take(snapshot, plain);
    texts[0] = all_of(snapshot);
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm-fd vm/vcpu-0/kvm vm/vcpu-1");
    cr_assert_eq(vmt_snapshot_segment(snapshot)->from, VMT_FROM_SEGMENT | VMT_FROM_COPIES);
    take(snapshot, no_host);
    texts[1] = all_of(snapshot);
    take(snapshot, inside);
    texts[2] = all_of(snapshot);
    cr_assert_str_eq(texts[0], texts[1]);
    cr_assert_str_eq(texts[0], texts[2]);
    for (int i = 0; i < 3; i++)
        free(texts[i]);
    vmt_reader_close(plain);
    vmt_reader_close(no_host);
    vmt_reader_close(inside);
}

Test(kvm_join, with_a_host_that_finds_nothing_a_segment_is_as_it_was)
{
    struct vmt_reader *plain = attach(vmt_segment_path(segment), VMT_READ_COPY);
    char *texts[3];

    vmt_count(vcpu0, VMT_VCPU_EXITS, 3);
    take(snapshot, plain);
    texts[0] = all_of(snapshot);
    take(snapshot, reader); /* before the first look */
    texts[1] = all_of(snapshot);
    look_and_take();
    texts[2] = all_of(snapshot);
    cr_assert_str_eq(texts[0], texts[1]);
    cr_assert_str_eq(texts[0], texts[2]);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->from, VMT_FROM_SEGMENT);
    for (int i = 0; i < 3; i++)
        free(texts[i]);
    vmt_reader_close(plain);
}

Test(kvm_join, schemas_outlive_host_and_reader_with_the_snapshot)
{
    kernel_vm_at(9, -1, 5);
    look_and_take();
    vmt_reader_close(reader);
    reader = NULL;
    host_fini();
    cr_assert_str_eq(sample_of(snapshot, "vm/kvm")->schema->descriptors[0].name, "remote_tlb_flush");
}

Test(kvm_join, short_of_memory_there_is_none_and_the_next_one_is_whole)
{
    unsigned failures = 0;
    bool failed = true;

    handle(vcpu0, &kvm_handle_vcpu, 41);
    add_source(segment, &part_schema, vcpu1, "kvm");
    kernel_vm_at(9, -1, 5);
    kernel_has(9, BULLETIN_VM, -1, SCHEMA_PARTIAL, BULLETIN_TOTAL, 777);
    kernel_vcpu_at(9, 0, 41, 100);
    kernel_vcpu_at(9, 1, 42, 200);
    look();
    for (unsigned n = 1; failed; n++) {
        int r;

        /* All anew: nothing is there from the last time. */
        host_forget();
        vmt_snapshot_free(snapshot);
        attach_with_host();
        snapshot = new_snapshot();
        r = SCARCE(n, &failed, vmt_snapshot_take(snapshot, reader));
        cr_assert(r == 0 || (r == -ENOMEM && failed), "%d", r); /* it may do without */
        cr_assert_eq(vmt_snapshot_count(snapshot), r < 0 ? 0 : 8);
        failures += r < 0;
        take(snapshot, reader);
        cr_assert_eq(value_of(snapshot, "vm/vcpu-1/kvm~2", KC_EXITS), 200);
    }
    cr_assert_gt(failures, 10, "%u", failures);
}

/* ---- hostile ---- */

/* Its parents, generations, names, states and flags, as a hostile writer may have them. */
static void scribble(uint8_t *base)
{
    const struct shm_header *header = (const void *)base;

    for (int n = 0; n < 4; n++) {
        struct shm_entry *e = (void *)(base + header->source_offset +
                                       header->source_bytes * (1 + (uint64_t)random() % (header->source_used - 1)));
        const struct shm_entry *other =
            (const void *)(base + header->source_offset +
                           header->source_bytes * ((uint64_t)random() % header->source_used));

        switch (random() % 5) {
        case 0:
            e->parent = (uint32_t)random() % header->source_used;
            e->parent_generation = ((const struct shm_entry *)(const void *)(base + header->source_offset +
                                                                             header->source_bytes * e->parent))
                                       ->generation;
            break;
        case 1:
            e->schema = other->schema;
            break;
        case 2:
            memcpy(e->name, other->name, sizeof(e->name));
            break;
        case 3:
            e->state = (uint32_t)random() % 3;
            break;
        default:
            e->name[random() % 4] = (char)random();
        }
    }
}

Test(kvm_join, whatever_the_tree_is_each_has_one_place_at_most, .timeout = 120)
{
    struct stat st;
    uint8_t *base, *good;
    int read = 0;
    int fd;

    handle(vm, &kvm_handle_vm, 40);
    handle(vcpu0, &kvm_handle_vcpu, 41);
    copy(vcpu0, &kernel_vcpu, 5);
    handle(vcpu1, &kvm_handle_vcpu, 42);
    add_source(segment, &part_schema, vcpu1, "x");
    add_source(segment, &vmt_schema_vm, NULL, "vm2");
    kernel_vm_at(9, 40, 5);
    kernel_has(9, BULLETIN_VM, -1, SCHEMA_PARTIAL, BULLETIN_TOTAL, 777);
    for (int i = 0; i < 4; i++)
        kernel_has(9, i, 41 + i, i % 2 ? SCHEMA_VCPU : SCHEMA_PARTIAL, i % 2 ? 0 : BULLETIN_NO_VALUES, 7);
    look();
    fd = open(vmt_segment_path(segment), O_RDWR);
    cr_assert(fd >= 0 && fstat(fd, &st) == 0);
    base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    good = malloc((size_t)st.st_size);
    cr_assert(base != MAP_FAILED && good);
    memcpy(good, base, (size_t)st.st_size);
    for (int round = 0; round < (SANITIZED ? 3000 : 30000); round++) {
        uint32_t seen = 0;

        srandom((unsigned)round);
        memcpy(base, good, (size_t)st.st_size);
        scribble(base);
        if (vmt_snapshot_take(snapshot, reader) < 0)
            continue;
        read++;
        for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
            const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);
            uint32_t bit = 1U << (sample->entry & 31);

            cr_assert_leq(sample->depth, VMT_DEPTH_MAX);
            cr_assert(vmt_snapshot_subject(snapshot, i) == i || vmt_snapshot_subject(snapshot, i) == sample->parent);
            if (!(sample->entry & VMT_ENTRY_KERNEL))
                continue;
            cr_assert(!(seen & bit), "round %d", round);
            seen |= bit;
        }
    }
    cr_assert_gt(read, 1000);
    memcpy(base, good, (size_t)st.st_size);
    munmap(base, (size_t)st.st_size);
    close(fd);
    free(good);
}

Test(kvm_join, thousands_of_candidates_cost_little, .timeout = 60)
{
    enum { SOURCES = 15000, VCPUS = 4096 };
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "many", .max_sources = 16384 };
    struct vmt_source *parent, *source;
    uint64_t begin, with, without;
    uint32_t found = 0;

    vmt_segment_close(segment);
    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    parent = add_source(segment, &vmt_schema_vm, NULL, "vm");
    for (int i = 0; i < SOURCES; i++) {
        if (i % 3 == 0) /* all the handles name one fd, */
            cr_assert_eq(vmt_source_addf(segment, &kvm_handle_vcpu, parent, &source, "h%d", i), 0);
        else /* and all others are the same few vCPUs */
            cr_assert_eq(vmt_source_addf(segment, &vmt_schema_vcpu, parent, &source, "x%dcpu%d", i, i % 7), 0);
        if (i % 3 == 0)
            vmt_count(source, 0, 4000);
    }
    kernel_vm_at(9, -1, 5);
    for (int i = 0; i < VCPUS; i++)
        kernel_vcpu_at(9, i, 1000 + i, 1);
    attach_with_host();
    look();
    host.refused = true;
    take(snapshot, reader);
    begin = shm_clock_ns(CLOCK_MONOTONIC);
    take(snapshot, reader);
    without = shm_clock_ns(CLOCK_MONOTONIC) - begin;
    host.refused = false;
    take(snapshot, reader);
    begin = shm_clock_ns(CLOCK_MONOTONIC);
    take(snapshot, reader);
    with = shm_clock_ns(CLOCK_MONOTONIC) - begin;
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++)
        found += vmt_snapshot_source(snapshot, i)->entry >= VMT_ENTRY_KERNEL;
    cr_assert_eq(found, 1 + VCPUS);
    cr_assert_lt(with, 10 * without + 20000000 * (SANITIZED ? 20 : 1));
}
