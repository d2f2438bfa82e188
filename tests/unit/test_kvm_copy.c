/* SPDX-License-Identifier: MIT */
/* What the kernel counts, copied into the segment: equal to what it says, never less than before, never twice. */
#include "kvm_copies.h"

#include <pthread.h>

TestSuite(kvm_copy, .init = setup, .fini = teardown);

/* ---- values ---- */

Test(kvm_copy, the_first_sample_adds_the_kernels_own_schema_below_each_source)
{
    struct vmt_reader *reader = attach(vmt_segment_path(v.segment), VMT_READ_COPY);
    struct vmt_snapshot *snapshot = new_snapshot();
    struct fake vm_file = new_fake(false);
    const struct vmt_sample *copy;

    link_fake(v.vm, &vm_file);
    link_fake(v.vcpu[0], &file[0]);
    sample();
    take(snapshot, reader);
    copy = sample_of(snapshot, "vm/kvm");
    cr_assert_str_eq(copy->schema->name, KVM_SCHEMA_VM);
    cr_assert_str_eq(copy->schema->provider, "kvm");
    cr_assert_str_eq(copy->schema->target, "vm");
    copy = sample_of(snapshot, COPY);
    cr_assert_str_eq(copy->schema->name, KVM_SCHEMA_VCPU);
    cr_assert_str_eq(copy->schema->target, "vcpu");
    cr_assert_eq(copy->schema->count, file[0].schema->schema.count);
    for (uint32_t i = 0; i < copy->schema->count; i++)
        cr_assert_str_eq(copy->schema->descriptors[i].name, file[0].schema->schema.descriptors[i].name);
    cr_assert_null(vmt_snapshot_find(snapshot, "vm/vcpu-1/kvm"), "it was never handed over");
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    free_fake(&vm_file);
}

Test(kvm_copy, all_values_are_those_of_the_file)
{
    const struct vmt_schema *schema = &file[0].schema->schema;

    link_fake(v.vcpu[0], &file[0]);
    for (int round = 0; round < 3; round++) {
        struct vmt_reader *reader = attach(vmt_segment_path(v.segment), VMT_READ_COPY);
        struct vmt_snapshot *snapshot = new_snapshot();

        for (uint32_t i = 0; i < schema->count; i++) {
            for (uint32_t k = 0; k < schema->descriptors[i].size; k++)
                fake_put(&file[0], schema->descriptors[i].name, k, (uint64_t)round << 40 | (i + 1) * 100 | k);
        }
        sample();
        take(snapshot, reader);
        for (uint32_t i = 0; i < schema->count; i++) {
            for (uint32_t k = 0; k < schema->descriptors[i].size; k++)
                cr_assert_eq(value_of(snapshot, COPY, schema->descriptors[i].slot + k),
                             (uint64_t)round << 40 | (i + 1) * 100 | k, "%s", schema->descriptors[i].name);
        }
        vmt_snapshot_free(snapshot);
        vmt_reader_close(reader);
    }
}

Test(kvm_copy, counts_never_fall_and_instants_follow)
{
    struct fake vm_file = new_fake(false);

    link_fake(v.vm, &vm_file);
    link_fake(v.vcpu[0], &file[0]);
    fake_put(&file[0], "exits", 0, 1000);
    fake_put(&file[0], "halt_wait_hist", 3, 50);
    fake_put(&file[0], "blocking", 0, 1);
    fake_put(&vm_file, "max_mmu_page_hash_collisions", 0, 9);
    fake_put(&vm_file, "pages_4k", 0, 70);
    sample();
    /* Cleared by root, and counting anew; fewer pages. */
    fake_put(&file[0], "exits", 0, 10);
    fake_put(&file[0], "halt_wait_hist", 3, 0);
    fake_put(&file[0], "blocking", 0, 0);
    fake_put(&vm_file, "max_mmu_page_hash_collisions", 0, 2);
    fake_put(&vm_file, "pages_4k", 0, 60);
    sample();
    cr_assert_eq(copied(v.segment, &file[0], COPY, "exits"), 1000);
    cr_assert_eq(value_now(v.segment, COPY, fake_slot(&file[0], "halt_wait_hist") + 3), 50);
    cr_assert_eq(copied(v.segment, &file[0], COPY, "blocking"), 0);
    cr_assert_eq(copied(v.segment, &vm_file, "vm/kvm", "max_mmu_page_hash_collisions"), 9, "a peak");
    cr_assert_eq(copied(v.segment, &vm_file, "vm/kvm", "pages_4k"), 60);
    fake_put(&file[0], "exits", 0, 15);
    fake_put(&file[0], "halt_wait_hist", 3, 1);
    sample();
    cr_assert_eq(copied(v.segment, &file[0], COPY, "exits"), 1005);
    cr_assert_eq(value_now(v.segment, COPY, fake_slot(&file[0], "halt_wait_hist") + 3), 51);
    free_fake(&vm_file);
}

Test(kvm_copy, what_the_vmm_closed_behind_our_back_is_left_as_it_was)
{
    link_fake(v.vcpu[0], &file[0]);
    link_fake(v.vcpu[1], &file[1]);
    fake_put(&file[0], "exits", 0, 5);
    fake_put(&file[0], "blocking", 0, 1);
    fake_put(&file[1], "exits", 0, 6);
    sample();
    close((int)number_of(child_of(v.vcpu[0], KVM_HANDLE_NAME)));
    fake_put(&file[1], "exits", 0, 7);
    sample();
    cr_assert_eq(copied(v.segment, &file[0], COPY, "exits"), 5);
    cr_assert_eq(copied(v.segment, &file[0], COPY, "blocking"), 1);
    cr_assert_eq(copied(v.segment, &file[1], "vm/vcpu-1/kvm", "exits"), 7, "the others go on");
}

/* ---- removing and plugging again ---- */

Test(kvm_copy, a_parent_keeps_what_was_counted_until_the_removal)
{
    link_fake(v.vcpu[0], &file[0]);
    sample();
    fake_put(&file[0], "exits", 0, 1000);
    vmt_source_remove(v.vcpu[0]);
    cr_assert_eq(total_copied("vm", "exits"), 1000, "with what came after the last sample");
    vmt_source_remove(v.vm);
    vmt_source_remove(v.vcpu[1]);
    cr_assert_eq(total_copied("", "exits"), 1000);
    cr_assert_eq(sources_in(v.segment), 1);
}

/* KVM can't destroy a vCPU alone: what is unplugged is plugged again with what it had counted. */
Test(kvm_copy, a_vcpu_that_is_plugged_again_is_not_counted_twice)
{
    link_fake(v.vcpu[1], &file[1]);
    fake_put(&file[1], "exits", 0, 7);
    link_fake(v.vcpu[0], &file[0]);
    fake_put(&file[0], "exits", 0, 1000);
    sample();
    vmt_source_remove(v.vcpu[0]);
    vmt_source_remove(v.vcpu[1]);
    for (int i = 0; i < 2; i++) { /* in the other order, so that what is remembered of one is not the other's */
        v.vcpu[1 - i] = add_source(v.segment, &vmt_schema_vcpu, v.vm, i ? "vcpu-0" : "vcpu-1");
        link_fake(v.vcpu[1 - i], &file[1 - i]);
        cr_assert_eq(total_copied("vm", "exits"), 1007);
    }
    fake_put(&file[0], "exits", 0, 1010);
    sample();
    cr_assert_eq(total_copied("vm", "exits"), 1017);
    cr_assert_eq(copied(v.segment, &file[0], COPY, "exits"), 10, "as its source: since it was plugged");
}

Test(kvm_copy, another_vcpu_of_that_name_is_counted_from_its_start)
{
    link_fake(v.vcpu[0], &file[0]);
    fake_put(&file[0], "exits", 0, 1000);
    fake_put(&file[0], "halt_exits", 0, 1);
    sample();
    vmt_source_remove(v.vcpu[0]);
    /* The VMM made a new VM. Its vCPU has fewer exits, though more of something else. */
    fake_put(&file[0], "exits", 0, 40);
    fake_put(&file[0], "halt_exits", 0, 2);
    v.vcpu[0] = add_source(v.segment, &vmt_schema_vcpu, v.vm, "vcpu-0");
    link_fake(v.vcpu[0], &file[0]);
    cr_assert_eq(copied(v.segment, &file[0], COPY, "exits"), 40, "there is a copy as soon as it is handed over");
    cr_assert_eq(total_copied("vm", "exits"), 1040);
    cr_assert_eq(total_copied("vm", "halt_exits"), 3);
}

Test(kvm_copy, vcpus_of_two_vms_with_the_same_id_are_two)
{
    struct vmt_source *vm = add_source(v.segment, &vmt_schema_vm, NULL, "other");
    struct vmt_source *vcpu = add_source(v.segment, &vmt_schema_vcpu, vm, "vcpu-0");

    link_fake(v.vcpu[0], &file[0]);
    fake_put(&file[0], "exits", 0, 100);
    sample();
    vmt_source_remove(v.vcpu[0]);
    fake_put(&file[0], "exits", 0, 300);
    link_fake(vcpu, &file[0]);
    cr_assert_eq(total_copied("vm", "exits"), 100);
    cr_assert_eq(total_copied("other", "exits"), 300);
}

/* ---- restart ---- */

static struct vmt_segment_options resume_options(void)
{
    return (
        struct vmt_segment_options){ .struct_size = sizeof(struct vmt_segment_options), .name = "life", .resume = 1 };
}

static struct small_vm live(void)
{
    struct vmt_segment_options options = resume_options();
    struct vmt_segment *segment = NULL;
    struct small_vm life = { 0 };

    REQUIRE(vmt_segment_create(&options, &segment) == 0);
    life.segment = segment;
    REQUIRE(vmt_source_add(segment, &vmt_schema_vm, NULL, "vm", &life.vm) == 0);
    for (int i = 0; i < 2; i++)
        REQUIRE(vmt_source_addf(segment, &vmt_schema_vcpu, life.vm, &life.vcpu[i], "vcpu-%d", i) == 0);
    return life;
}

static void live_and_die(void *arg)
{
    struct small_vm life = live();

    (void)arg;
    for (int i = 0; i < 2; i++) {
        fake_put(&file[i], "exits", 0, 1000);
        fake_put(&file[i], "blocking", 0, 1);
        REQUIRE(kvm_link(life.vcpu[i], fake_fd(&file[i])) == 0);
    }
    REQUIRE(vmt_kvm_sample(life.segment) == 0);
    raise(SIGKILL);
}

Test(kvm_copy, after_a_restart_a_new_vms_counts_come_on_top)
{
    struct small_vm life, before = v;
    const struct vmt_source *copy;

    cr_assert_eq(end_of(start_child(live_and_die, NULL)), 128 + SIGKILL);
    life = live();
    v.segment = life.segment;
    copy = child_of(life.vcpu[0], KVM_COPY_NAME);
    cr_assert_eq(copied(life.segment, &file[0], COPY, "exits"), 1000);
    cr_assert_eq(copied(life.segment, &file[0], COPY, "blocking"), 0, "of a moment long past");
    fake_put(&file[0], "exits", 0, 3);
    fake_put(&file[1], "exits", 0, 4);
    link_fake(life.vcpu[0], &file[0]);
    sample();
    cr_assert_eq(child_of(life.vcpu[0], KVM_COPY_NAME), copy, "gone on with");
    cr_assert_eq(copied(life.segment, &file[0], COPY, "exits"), 1003);
    link_fake(life.vcpu[1], &file[1]);
    cr_assert_eq(copied(life.segment, &file[1], "vm/vcpu-1/kvm", "exits"), 1004);
    vmt_segment_ready(life.segment);
    cr_assert_eq(copied(life.segment, &file[1], "vm/vcpu-1/kvm", "exits"), 1004);
    cr_assert_eq(total_copied("vm", "exits"), 2007);
    vmt_segment_close(life.segment);
    v = before;
}

Test(kvm_copy, after_a_restart_without_copies_the_old_ones_go_and_their_parents_keep_them)
{
    struct small_vm life, before = v;

    cr_assert_eq(end_of(start_child(live_and_die, NULL)), 128 + SIGKILL);
    life = live();
    v.segment = life.segment;
    link_fake(life.vcpu[0], &file[0]);
    vmt_segment_ready(life.segment);
    cr_assert_null(child_of(life.vcpu[0], KVM_COPY_NAME), "nobody would keep it up to date");
    cr_assert_eq(total_copied("vm", "exits"), 2000);
    vmt_segment_close(life.segment);
    v = before;
}

/* ---- what can go wrong ---- */

static void be_a_child(void *arg)
{
    (void)arg;
    REQUIRE(vmt_kvm_sample(v.segment) == -ECHILD);
    REQUIRE(vmt_kvm_sample_every(v.segment, 1000000) == -ECHILD);
    REQUIRE(vmt_kvm_sample_every(v.segment, 0) == -ECHILD);
}

Test(kvm_copy, errors_are_those_of_the_header)
{
    struct vmt_segment_options jail = { .struct_size = sizeof(jail), .name = "jail", .fixed_bytes = 1 << 20 };
    struct vmt_segment *jailed = NULL;

    cr_assert_eq(vmt_kvm_sample(NULL), -ENODEV);
    cr_assert_eq(vmt_kvm_sample_every(NULL, 1000000), -ENODEV);
    cr_assert_eq(vmt_kvm_sample_every(v.segment, 999999), -EINVAL);
    cr_assert_eq(vmt_kvm_sample_every(v.segment, 0), 0);
    cr_assert_eq(vmt_kvm_sample(v.segment), 0, "nothing to do");
    assert_child(be_a_child, NULL);
    cr_assert_eq(vmt_segment_create(&jail, &jailed), 0);
    cr_assert_eq(vmt_kvm_sample_every(jailed, 1000000), -ENOTSUP);
    cr_assert_eq(vmt_kvm_sample_every(jailed, 0), 0);
    cr_assert_eq(vmt_kvm_sample(jailed), 0);
    vmt_segment_close(jailed);
}

Test(kvm_copy, where_there_is_no_room_it_is_said_each_time_and_counted_once)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "few", .max_sources = 6 };
    struct vmt_segment *segment = NULL;
    struct vmt_source *vm, *vcpu;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    vm = add_source(segment, &vmt_schema_vm, NULL, "vm");
    vcpu = add_source(segment, &vmt_schema_vcpu, vm, "vcpu-0");
    add_source(segment, &part_schema, vm, "disk");
    link_fake(vcpu, &file[0]); /* with source 0 that makes five */
    add_source(segment, &part_schema, vm, "net");
    for (int i = 0; i < 3; i++)
        cr_assert_eq(vmt_kvm_sample(segment), -ENFILE);
    cr_assert_eq(value_now(segment, "", VMT_SEGMENT_DROPPED_SOURCES), 1);
    vmt_source_remove(vcpu);
    vcpu = add_source(segment, &vmt_schema_vcpu, vm, "vcpu-0");
    vmt_segment_close(segment);
}

Test(kvm_copy, a_child_of_that_name_that_is_the_vmms_own_stays_and_the_others_are_copied)
{
    add_source(v.segment, &part_schema, v.vcpu[0], "kvm");
    link_fake(v.vcpu[0], &file[0]);
    link_fake(v.vcpu[1], &file[1]);
    fake_put(&file[1], "exits", 0, 3);
    cr_assert_eq(vmt_kvm_sample(v.segment), -EEXIST);
    cr_assert_eq(copied(v.segment, &file[1], "vm/vcpu-1/kvm", "exits"), 3);
    vmt_source_remove(v.vcpu[0]);
    cr_assert_eq(vmt_kvm_sample(v.segment), 0);
}

Test(kvm_copy, a_vmm_that_removes_the_librarys_copy_does_no_harm)
{
    struct vmt_source *copy = NULL;

    link_fake(v.vcpu[0], &file[0]);
    fake_put(&file[0], "exits", 0, 3);
    sample();
    cr_assert_eq(vmt_source_find(v.segment, COPY, &copy), 0);
    vmt_source_remove(copy);
    fake_put(&file[0], "exits", 0, 5);
    sample();
    cr_assert_eq(total_copied("vm/vcpu-0", "exits"), 5);
    vmt_source_remove(v.vcpu[0]);
    cr_assert_eq(sources_in(v.segment), 3);
}

static void *sample_for_ever(void *arg)
{
    for (;;) {
        vmt_kvm_sample(arg);
        pthread_testcancel();
    }
    return NULL;
}

Test(kvm_copy, who_is_cancelled_while_sampling_leaves_nothing_locked)
{
    link_fake(v.vcpu[0], &file[0]);
    for (int i = 0; i < 200; i++) {
        pthread_t thread;

        cr_assert_eq(pthread_create(&thread, NULL, sample_for_ever, v.segment), 0);
        nap_us(i % 20 * 10);
        pthread_cancel(thread);
        pthread_join(thread, NULL);
        sample();
    }
}

/* ---- a real VM ---- */

Test(kvm_copy, of_a_real_guest_the_kernel_counts_as_many_exits_as_the_vmm)
{
    const struct kvm_schema *schema;
    uint64_t direct[VMT_SLOTS_MAX];
    struct vmt_reader *reader;
    struct vmt_snapshot *snapshot;
    struct real_vm real;
    uint32_t exits;
    int fd;

    if (!new_real(&real))
        cr_skip_test("there is no KVM with statistics here");
    cr_assert_eq(vmt_kvm_add(v.vm, real.vm), 0);
    cr_assert_eq(vmt_kvm_add(v.vcpu[0], real.vcpu), 0);
    reader = attach(vmt_segment_path(v.segment), VMT_READ_COPY);
    snapshot = new_snapshot();
    fd = ioctl(real.vcpu, KVM_GET_STATS_FD, NULL);
    cr_assert_eq(kvm_schema_read(fd, 1, NULL, &schema), 0);
    exits = vmt_schema_find(&schema->schema, "exits")->slot;
    for (int round = 1; round <= 3; round++) {
        run_real(&real, 1000);
        sample();
        take(snapshot, reader);
        cr_assert_geq(value_of(snapshot, COPY, exits), 1000U * (unsigned)round);
        cr_assert_eq(kvm_values_read(schema, fd, direct), 0);
        cr_assert_arr_eq(sample_of(snapshot, COPY)->values, direct, schema->schema.slots * sizeof(*direct),
                         "the guest stands still: who asks the kernel himself sees the same");
    }
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    kvm_schema_release(schema);
    close(fd);
    close_real(&real);
}
