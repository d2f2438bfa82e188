/* SPDX-License-Identifier: MIT */
/* Snapshots of a process that has VMs, but no segment. */
#include "fake_host.h"

#include <vmtally/export.h>

TestSuite(kvm_lone, .init = setup, .fini = teardown);

static char *open_process(void)
{
    static char path[32];

    snprintf(path, sizeof(path), "/proc/%d", getpid());
    vmt_reader_close(reader);
    reader = NULL;
    cr_assert_eq(vmt_reader_open_host(&host, path, NULL, &reader), 0);
    return path;
}

Test(kvm_lone, a_process_without_a_segment_is_a_tree_of_the_kernels)
{
    const struct vmt_segment_info *info;
    const struct vmt_sample *root;
    char *path;

    kernel_vm_at(9, 40, 5);
    kernel_vcpu_at(9, 0, 41, 100);
    kernel_vcpu_at(9, 1, 42, 200);
    look();
    path = open_process();
    cr_assert_str_eq(vmt_reader_path(reader), path);
    cr_assert_eq(vmt_reader_state(reader), VMT_STATE_LIVE);
    take(snapshot, reader);
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-1");
    cr_assert_eq(value_of(snapshot, "vm", KV_FLUSHES), 5);
    cr_assert_eq(value_of(snapshot, "vm/vcpu-1", KC_EXITS), 200);
    assert_total("", &kernel_vcpu, 300, 2);
    assert_total("vm", &kernel_vcpu, 300, 2);
    assert_total("", &kernel_vm, 5, 1);
    root = vmt_snapshot_source(snapshot, 0);
    cr_assert_eq(root->schema->count, 0);
    cr_assert_eq(root->schema->slots, 0);
    cr_assert_eq(root->entry, 0);
    cr_assert_str_eq(root->name, "guest");
    info = vmt_snapshot_segment(snapshot);
    cr_assert_str_eq(info->path, path);
    cr_assert_str_eq(info->name, "guest");
    cr_assert_null(info->labels[0]);
    cr_assert_eq(info->pid, (uint32_t)getpid());
    cr_assert_eq(info->pid_start, 4711);
    cr_assert_eq(info->uid, geteuid());
    cr_assert_eq(info->flags, 0);
    cr_assert_eq(info->state, VMT_STATE_LIVE);
    cr_assert_eq(info->from, VMT_FROM_FDS);
    cr_assert_eq(info->created_ns + info->closed_ns + info->file_bytes + info->major + info->minor, 0);
    cr_assert_eq(info->incarnation, 1);
    cr_assert_eq(info->begin_ns, host.process.begin_ns);
    cr_assert_eq(info->end_ns, host.process.end_ns);
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++)
        cr_assert_eq(vmt_snapshot_subject(snapshot, i), i);
}

Test(kvm_lone, a_process_is_told_from_any_other)
{
    uint8_t identity[16];
    uint32_t other_uid = geteuid() + 1;

    kernel_vm_at(9, 40, 5);
    look();
    open_process();
    take(snapshot, reader);
    memcpy(identity, vmt_snapshot_segment(snapshot)->identity, sizeof(identity));
    host.process.start++;
    host.process.uid = other_uid;
    look();
    cr_assert_eq(vmt_reader_state(reader), VMT_STATE_CLOSED, "the pid is another's now");
    open_process();
    take(snapshot, reader);
    cr_assert_neq(memcmp(identity, vmt_snapshot_segment(snapshot)->identity, sizeof(identity)), 0);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->flags, VMT_SNAPSHOT_FOREIGN);
}

Test(kvm_lone, a_process_that_has_gone_is_closed_and_has_no_vm)
{
    kernel_vm_at(9, 40, 5);
    look();
    open_process();
    take(snapshot, reader);
    host.gone = true;
    look_and_take();
    cr_assert_eq(vmt_snapshot_count(snapshot), 1);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_CLOSED);
    cr_assert_str_eq(vmt_snapshot_segment(snapshot)->name, "guest");
    cr_assert_gt(vmt_snapshot_segment(snapshot)->closed_ns, 0);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->from, 0);
    cr_assert_eq(vmt_reader_state(reader), VMT_STATE_CLOSED);
}

Test(kvm_lone, vms_of_one_process_are_called_by_its_descriptors)
{
    kernel_vm_at(9, 40, 5);
    kernel_vcpu_at(9, 0, 41, 100);
    kernel_vm_at(14, 43, 6);
    kernel_vcpu_at(14, 0, 44, 200);
    look();
    open_process();
    take(snapshot, reader);
    cr_assert_str_eq(ids(), " vm-9 vm-9/vcpu-0 vm-14 vm-14/vcpu-0");
}

Test(kvm_lone, vcpus_of_an_unknown_vm_are_below_one_that_counts_nothing)
{
    kernel_has(BULLETIN_ONLY_VM, BULLETIN_VM, -1, BULLETIN_NO_SCHEMA, BULLETIN_NO_VALUES, 0);
    kernel_vcpu_at(BULLETIN_ONLY_VM, 0, 41, 100);
    look();
    open_process();
    take(snapshot, reader);
    cr_assert_str_eq(ids(), " vm vm/vcpu-0");
    cr_assert_eq(sample_of(snapshot, "vm")->schema->count, 0);
    cr_assert_str_eq(sample_of(snapshot, "vm")->schema->target, "vm");
    cr_assert_eq(vmt_snapshot_source(snapshot, 0)->total_count, 1);
    attach_with_host();
    take(snapshot, reader);
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-0/kvm vm/vcpu-1", "and where the VMM counts it, that says it all");
}

Test(kvm_lone, of_several_vms_whose_vcpus_are_not_known_all_stand_beside_each_other)
{
    kernel_vm_at(BULLETIN_UNKNOWN_VM, 40, 5);
    kernel_vm_at(BULLETIN_UNKNOWN_VM, 41, 6);
    kernel_vcpu_at(BULLETIN_UNKNOWN_VM, 0, 42, 100);
    kernel_vcpu_at(BULLETIN_UNKNOWN_VM, 0, 43, 200);
    look();
    open_process();
    take(snapshot, reader);
    cr_assert_str_eq(ids(), " vm#0 vm#1 vcpu-0#2 vcpu-0#3");
    assert_total("", &kernel_vcpu, 300, 2);
    attach_with_host();
    take(snapshot, reader);
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-1 vm#0 vm#1 vcpu-0#2 vcpu-0#3");
}

Test(kvm_lone, what_may_not_be_looked_into_is_shown_without_values)
{
    kernel_has(9, BULLETIN_VM, -1, BULLETIN_NO_SCHEMA, BULLETIN_NO_VALUES, 0);
    kernel_has(9, 0, -1, BULLETIN_NO_SCHEMA, BULLETIN_NO_VALUES, 0);
    kernel_has(9, 1, -1, SCHEMA_VCPU, BULLETIN_NO_VALUES, 0);
    look();
    open_process();
    take(snapshot, reader);
    cr_assert_str_eq(ids(), " vm vm/vcpu-0 vm/vcpu-1");
    cr_assert_eq(sample_of(snapshot, "vm/vcpu-0")->flags, VMT_SAMPLE_ABSENT);
    cr_assert_str_eq(sample_of(snapshot, "vm/vcpu-0")->schema->target, "vcpu");
    cr_assert_eq(total_at("vm", &kernel_vcpu)->flags, VMT_SAMPLE_ABSENT);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->from, 0);
}

Test(kvm_lone, readers_of_processes_check_what_they_are_asked)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .reserved = 1 };
    struct vmt_reader *none = NULL;
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d", getpid());
    cr_assert_eq(vmt_reader_open_host(&host, path, NULL, &none), -ESRCH, "before the first look");
    look();
    cr_assert_eq(vmt_reader_open_host(&host, path, &options, &none), -EINVAL);
    cr_assert_eq(vmt_reader_open_host(&host, "/proc/1", NULL, &none), -ESRCH);
    cr_assert_eq(vmt_reader_open_host(&host, "/nonexistent.vmt", NULL, &none), -ENOENT);
    cr_assert_eq(vmt_reader_open_host(NULL, path, NULL, &none), vmt_reader_open(path, NULL, &none));
    cr_assert_null(none);
}

Test(kvm_lone, one_source_of_a_process_is_read_too)
{
    struct vmt_sample sample, root;
    uint64_t values[KC_SLOTS];

    kernel_vm_at(9, 40, 5);
    kernel_vcpu_at(9, 0, 41, 100);
    look();
    open_process();
    take(snapshot, reader);
    sample = *sample_of(snapshot, "vm/vcpu-0");
    root = *vmt_snapshot_source(snapshot, 0);
    cr_assert_eq(vmt_reader_sample(reader, &sample, values), 0);
    cr_assert_eq(values[KC_EXITS], 100);
    cr_assert_eq(vmt_reader_sample(reader, &root, values), 0);
    host.gone = true;
    cr_assert_eq(vmt_reader_sample(reader, &sample, values), -ESTALE);
    cr_assert_eq(vmt_reader_sample(reader, &root, values), -ESTALE);
}

Test(kvm_lone, sources_that_count_nothing_are_encoded)
{
    struct vmt_buffer buffer = { 0 };
    struct vmt_msgpack *stream = NULL;

    kernel_vm_at(9, 40, 5);
    look();
    open_process();
    take(snapshot, reader);
    cr_assert_eq(vmt_json_encode(snapshot, 0, &buffer), 0);
    cr_assert_not_null(memmem(buffer.data, buffer.size, "remote_tlb_flush", 16));
    vmt_buffer_clear(&buffer);
    cr_assert_eq(vmt_msgpack_encode_full(snapshot, &buffer), 0);
    vmt_buffer_clear(&buffer);
    cr_assert_eq(vmt_msgpack_new(&stream), 0);
    cr_assert_eq(vmt_msgpack_encode(stream, snapshot, &buffer), 0);
    cr_assert_gt(buffer.size, 0);
    vmt_msgpack_free(stream);
    vmt_buffer_free(&buffer);
}
