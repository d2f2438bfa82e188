/* SPDX-License-Identifier: MIT */
/* Changes of what the kernel counts: nobody knows since when it counts, it comes and goes, and is had in this way or that.
 * None of this is a rate. */
#include "fake_host.h"

#include <vmtally/delta.h>

static struct vmt_snapshot *older;
static struct vmt_delta *delta;

static void setup_delta(void)
{
    setup();
    older = new_snapshot();
    cr_assert_eq(vmt_delta_new(&delta), 0);
}

static void teardown_delta(void)
{
    vmt_delta_free(delta);
    vmt_snapshot_free(older);
    teardown();
}

TestSuite(kvm_delta, .init = setup_delta, .fini = teardown_delta);

/* What was the newer snapshot is the older one; compared with what is there now. */
static void next(void)
{
    struct vmt_snapshot *s = older;

    older = snapshot;
    snapshot = s;
    take(snapshot, reader);
    cr_assert_eq(vmt_delta_compute(delta, older, snapshot), 0);
}

static void look_and_next(void)
{
    look();
    next();
}

static const struct vmt_change *change_of(const char *id)
{
    return vmt_delta_source(delta, (size_t)(sample_of(snapshot, id) - vmt_snapshot_source(snapshot, 0)));
}

static const struct vmt_change *change_of_total(const char *id, const struct vmt_schema *schema)
{
    const struct vmt_sample *sample = sample_of(snapshot, id);
    const struct vmt_change *change = vmt_delta_total(delta, (size_t)(sample - vmt_snapshot_source(snapshot, 0)),
                                                      (size_t)(total_at(id, schema) - sample->totals));

    cr_assert_not_null(change);
    return change;
}

#define assert_counted(change, n)                                                                                      \
    do {                                                                                                               \
        const struct vmt_change *change_ = change;                                                                     \
        cr_assert_eq(change_->flags, 0, "flags %u", change_->flags);                                                   \
        cr_assert_eq(change_->values[0], n, "%lu", change_->values[0]);                                                \
    } while (0)

#define assert_reset(change)                                                                                           \
    do {                                                                                                               \
        const struct vmt_change *change_ = change;                                                                     \
        cr_assert_eq(change_->flags, VMT_CHANGE_RESET, "flags %u", change_->flags);                                    \
        cr_assert_eq(change_->values[0], 0);                                                                           \
    } while (0)

/* The kernel's of the VM and of vCPU 0; and a beat. */
static void start(void)
{
    kernel_vm_at(9, 40, 5);
    kernel_vcpu_at(9, 0, 41, 1000);
    look_and_take();
}

Test(kvm_delta, what_the_kernel_counts_changes_as_all_else)
{
    start();
    host.values[0] += 2;
    host.values[1] += 30;
    vmt_count(vcpu0, VMT_VCPU_EXITS, 4);
    look_and_next();
    assert_counted(change_of("vm/kvm"), 2);
    assert_counted(change_of("vm/vcpu-0/kvm"), 30);
    assert_counted(change_of("vm/vcpu-0"), 4);
    assert_counted(change_of_total("vm", &kernel_vcpu), 30);
    assert_counted(change_of_total("", &kernel_vcpu), 30);
    assert_counted(change_of_total("", &kernel_vm), 2);
    cr_assert_gt(vmt_delta_seconds(delta), 0);
}

Test(kvm_delta, also_while_the_segment_grows_and_seen_by_another_reader)
{
    struct vmt_reader *other = reader;

    start();
    for (int i = 10; i < 20; i++) {
        char name[16];

        snprintf(name, sizeof(name), "disk-%d", i);
        add_source(segment, &part_schema, NULL, name);
    }
    host.values[1] += 30;
    reader = NULL;
    attach_with_host();
    look_and_next();
    assert_counted(change_of("vm/vcpu-0/kvm"), 30);
    assert_counted(change_of_total("vm", &kernel_vcpu), 30);
    cr_assert_eq(change_of("disk-19")->flags, VMT_CHANGE_NEW);
    vmt_reader_close(other);
}

Test(kvm_delta, what_is_found_only_now_has_no_rate_and_gives_none_to_totals)
{
    take(snapshot, reader);
    kernel_vm_at(9, 40, 5);
    kernel_vcpu_at(9, 0, 41, 1000);
    vmt_count(vcpu0, VMT_VCPU_EXITS, 4);
    look_and_next();
    assert_reset(change_of("vm/kvm"));
    assert_reset(change_of("vm/vcpu-0/kvm"));
    assert_reset(change_of_total("vm", &kernel_vcpu));
    assert_reset(change_of_total("", &kernel_vm));
    assert_counted(change_of("vm/vcpu-0"), 4);
    kernel_vcpu_at(9, 1, 42, 100000); /* one more: the totals' schema is there already */
    host.values[1] += 30;
    look_and_next();
    assert_counted(change_of("vm/vcpu-0/kvm"), 30);
    assert_counted(change_of_total("vm/vcpu-0", &kernel_vcpu), 30);
    assert_reset(change_of("vm/vcpu-1/kvm"));
    assert_reset(change_of_total("vm", &kernel_vcpu));
    assert_reset(change_of_total("", &kernel_vcpu));
    host.values[1] += 1;
    host.values[2] += 2;
    look_and_next();
    assert_counted(change_of_total("", &kernel_vcpu), 3);
}

Test(kvm_delta, what_is_not_found_any_more_is_not_subtracted)
{
    start();
    kernel_vcpu_at(9, 1, 42, 10);
    look_and_next();
    host.count--;
    host.values[1] += 5000; /* more than the other one had in all */
    look_and_next();
    assert_counted(change_of("vm/vcpu-0/kvm"), 5000);
    assert_reset(change_of_total("vm", &kernel_vcpu));
    assert_reset(change_of_total("", &kernel_vcpu));
    host.values[1] += 7;
    look_and_next();
    assert_counted(change_of_total("", &kernel_vcpu), 7);
}

Test(kvm_delta, another_one_of_the_same_number_is_another)
{
    start();
    host.things[1].generation += 1000;
    host.values[1] += 1000000;
    look_and_next();
    assert_reset(change_of("vm/vcpu-0/kvm"));
    assert_reset(change_of_total("vm", &kernel_vcpu));
}

/* The VMM copied it a while ago. */
Test(kvm_delta, between_copies_and_the_kernel_itself_there_is_no_rate)
{
    struct vmt_source *kept = copy(vcpu0, &kernel_vcpu, 400);

    handle(vcpu0, &kvm_handle_vcpu, 41);
    host.refused = true;
    start();
    vmt_count(kept, KC_EXITS, 100);
    look_and_next();
    assert_counted(change_of("vm/vcpu-0/kvm"), 100);
    host.refused = false;
    look_and_next();
    assert_reset(change_of("vm/vcpu-0/kvm"));
    assert_reset(change_of_total("vm", &kernel_vcpu));
    assert_reset(change_of_total("", &kernel_vcpu));
    host.values[1] += 30;
    look_and_next();
    assert_counted(change_of("vm/vcpu-0/kvm"), 30);
    assert_counted(change_of_total("", &kernel_vcpu), 30);
    host.refused = true;
    vmt_count(kept, KC_EXITS, 600); /* it copies again: more than the kernel said just now */
    look_and_next();
    assert_reset(change_of("vm/vcpu-0/kvm"));
    assert_reset(change_of_total("vm", &kernel_vcpu));
    vmt_count(kept, KC_EXITS, 6);
    look_and_next();
    assert_counted(change_of("vm/vcpu-0/kvm"), 6);
    assert_counted(change_of_total("vm", &kernel_vcpu), 6);
}

Test(kvm_delta, what_departed_copies_left_behind_comes_back_without_a_rate)
{
    struct vmt_source *group = add_source(segment, &part_schema, vm, "group");
    struct vmt_source *unplugged = add_source(segment, &vmt_schema_vcpu, group, "x");
    struct vmt_source *kept = copy(unplugged, &kernel_vcpu, 10000);

    host.refused = true;
    start();
    vmt_source_remove(kept);
    vmt_source_remove(unplugged);
    look_and_next();
    assert_reset(change_of_total("vm/group", &kernel_vcpu));
    look_and_next();
    assert_counted(change_of_total("vm/group", &kernel_vcpu), 0);
    for (int i = 0; i < 2; i++) {
        host.refused = i;
        look_and_next();
        cr_assert_eq(total_at("vm/group", &kernel_vcpu)->values[0], i ? 10000 : 0);
        assert_reset(change_of_total("vm/group", &kernel_vcpu));
        assert_reset(change_of_total("vm", &kernel_vcpu));
        assert_reset(change_of_total("", &kernel_vcpu));
    }
}

Test(kvm_delta, of_the_first_copy_nobody_knows_since_when_it_counts)
{
    take(snapshot, reader);
    copy(vcpu0, &kernel_vcpu, 400);
    next();
    assert_reset(change_of("vm/vcpu-0/kvm"));
    assert_reset(change_of_total("", &kernel_vcpu));
    add_source(segment, &vmt_schema_vcpu, vm, "vcpu-2");
    next();
    cr_assert_eq(change_of("vm/vcpu-2")->flags, VMT_CHANGE_NEW, "the VMM's own is as ever");
}

Test(kvm_delta, without_a_look_in_between_only_the_vmms_have_rates)
{
    start();
    host.values[1] += 30;
    vmt_count(vcpu0, VMT_VCPU_EXITS, 4);
    next();
    assert_reset(change_of("vm/vcpu-0/kvm"));
    assert_reset(change_of_total("vm", &kernel_vcpu));
    assert_counted(change_of("vm/vcpu-0"), 4);
    cr_assert_gt(vmt_delta_seconds(delta), 0);
    nap_us(200000);
    next();
    vmt_count(vcpu0, VMT_VCPU_EXITS, 5);
    look_and_next(); /* what was counted in 0.2 s is not what was counted since the last snapshot */
    assert_reset(change_of("vm/vcpu-0/kvm"));
    assert_reset(change_of_total("vm", &kernel_vcpu));
    assert_counted(change_of("vm/vcpu-0"), 5);
    cr_assert_lt(vmt_delta_seconds(delta), 0.15);
    host.values[1] += 6;
    look_and_next();
    assert_counted(change_of("vm/vcpu-0/kvm"), 6);
}

Test(kvm_delta, sums_over_vcpus_have_rates_and_vcpus_of_which_nothing_is_known_none)
{
    kernel_has(9, BULLETIN_VM, -1, SCHEMA_VM, BULLETIN_FROM_DEBUGFS, 5);
    kernel_has(9, BULLETIN_VM, -1, SCHEMA_PARTIAL, BULLETIN_FROM_DEBUGFS | BULLETIN_TOTAL, 777);
    kernel_has(9, 0, -1, SCHEMA_PARTIAL, BULLETIN_FROM_DEBUGFS | BULLETIN_NO_VALUES, 0);
    kernel_has(9, 1, -1, SCHEMA_PARTIAL, BULLETIN_FROM_DEBUGFS | BULLETIN_NO_VALUES, 0);
    look_and_take();
    host.values[1] += 11;
    look_and_next();
    assert_counted(change_of_total("vm", &partial_vcpu), 11);
    assert_counted(change_of_total("", &partial_vcpu), 11);
    assert_reset(change_of("vm/vcpu-0/kvm"));
    assert_reset(change_of_total("vm/vcpu-0", &partial_vcpu));
}

Test(kvm_delta, of_a_process_as_of_a_segment)
{
    char path[32];

    start();
    snprintf(path, sizeof(path), "/proc/%d", getpid());
    vmt_reader_close(reader);
    reader = NULL;
    cr_assert_eq(vmt_reader_open_host(&host, path, NULL, &reader), 0);
    next();
    assert_reset(change_of("vm/vcpu-0")); /* a segment before: another thing */
    host.values[1] += 30;
    look_and_next();
    assert_counted(change_of("vm/vcpu-0"), 30);
    assert_counted(change_of_total("", &kernel_vcpu), 30);
    next(); /* without a look */
    assert_reset(change_of("vm/vcpu-0"));
    cr_assert_eq(vmt_delta_seconds(delta), 0);
    host.gone = true;
    look_and_next();
    cr_assert_eq(vmt_snapshot_count(snapshot), 1);
    cr_assert_not_null(vmt_delta_source(delta, 0));
    host.gone = false;
    look_and_next();
    assert_reset(change_of("vm/vcpu-0"));
    assert_reset(change_of_total("", &kernel_vcpu));
}
