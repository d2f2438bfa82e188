/* SPDX-License-Identifier: MIT */
/* What the kernel counts, in the tree of a segment: where it stands, and what it is called there. */
#include "fake_host.h"

#include <vmtally/recorded.h>

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

/* A vCPU was plugged between the look and the snapshot: of it nothing is known yet, of the others all is. */
Test(kvm_join, a_handle_that_the_look_came_too_early_for_is_not_shown_beside_what_was_read)
{
    handle(vm, &kvm_handle_vm, 40);
    handle(vcpu0, &kvm_handle_vcpu, 41);
    handle(vcpu1, &kvm_handle_vcpu, 42);
    kernel_vm_at(9, 40, 5);
    kernel_vcpu_at(9, 0, 41, 100);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm vm/vcpu-1 vm/kvm");
    cr_assert_eq(host.unread_ns, 0);
}

/* Which of them could not be read is for the host to say: it knows the reason. */
Test(kvm_join, the_host_is_told_of_handles_of_a_process_that_it_does_not_know)
{
    uint64_t before_ns = shm_clock_ns(CLOCK_REALTIME);

    host.refused = true;
    handle(vcpu0, &kvm_handle_vcpu, 0); /* there is none, or no more */
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-1");
    cr_assert_eq(host.unread_ns, 0);
    handle(vcpu1, &kvm_handle_vcpu, 42);
    look_and_take();
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-1 vm/vcpu-1/kvm-fd");
    cr_assert(host.unread_ns >= before_ns && host.unread_ns <= shm_clock_ns(CLOCK_REALTIME));
    copy(vcpu1, &kernel_vcpu, 1);
    look_and_take();
    cr_assert_eq(host.unread_ns, 0, "the VMM copies");
    handle(vm, &kvm_handle_vm, 43);
    look_and_take();
    cr_assert_neq(host.unread_ns, 0);
    host.refused = false; /* it knows what is with the process itself */
    look_and_take();
    cr_assert_eq(host.unread_ns, 0);
}

Test(kvm_join, the_pid_of_the_writer_is_the_one_that_the_host_knows)
{
    struct vmt_snapshot *copied;

    look_and_take();
    cr_expect_eq(vmt_snapshot_pid(snapshot), (uint32_t)getpid());
    host.process.pid = 4711;
    host.inner = true;
    look_and_take();
    cr_expect_eq(vmt_snapshot_pid(snapshot), 4711);
    copied = new_snapshot();
    cr_assert_eq(vmt_snapshot_copy(copied, snapshot), 0);
    cr_expect_eq(vmt_snapshot_pid(copied), 4711);
    vmt_snapshot_free(copied);
    cr_expect_eq(vmt_snapshot_segment(snapshot)->pid, (uint32_t)getpid());
    host.refused = true;
    look_and_take();
    cr_expect_eq(vmt_snapshot_pid(snapshot), (uint32_t)getpid(), "as the segment says");
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
