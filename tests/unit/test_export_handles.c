/* SPDX-License-Identifier: MIT */
/* Handles, which name descriptors in the VMM's process, are no measurements: no encoder tells of them. */
#include "parts.h"

#include <string.h>

#include <vmtally/export.h>

#include "lib/export/buffer.h"
#include "lib/kvm/handle.h"

static struct vmt_segment *segment;
static struct vmt_snapshot *snapshot;
static struct vmt_buffer out;

/* A VM whose vCPUs have handles; below one of these is something, as no VMM has it, and one is leaving. */
static void setup(void)
{
    struct vmt_reader *reader = NULL;
    struct vmt_source *vm, *vcpu, *handle = NULL;

    test_dir_init();
    segment = new_segment("web");
    vm = add_source(segment, &vmt_schema_vm, NULL, "vm");
    for (int i = 0; i < 2; i++) {
        vcpu = add_source(segment, &vmt_schema_vcpu, vm, i ? "vcpu-1" : "vcpu-0");
        vmt_count(vcpu, VMT_VCPU_EXITS, 7 + (uint64_t)i);
        handle = add_source(segment, &kvm_handle_vcpu, vcpu, KVM_HANDLE_NAME);
        vmt_set(vmt_shard_acquire(handle), 0, 42);
    }
    vmt_count(add_source(segment, &vmt_schema_vcpu, handle, "below"), VMT_VCPU_EXITS, 100);
    cr_assert_eq(vmt_reader_open(vmt_segment_path(segment), NULL, &reader), 0);
    snapshot = new_snapshot();
    take(snapshot, reader);
    vmt_reader_close(reader);
    cr_assert_not_null(vmt_snapshot_find(snapshot, "vm/vcpu-0/kvm-fd"));
}

static void teardown(void)
{
    vmt_buffer_free(&out);
    vmt_snapshot_free(snapshot);
    vmt_segment_close(segment);
    test_dir_fini();
}

TestSuite(export_handles, .init = setup, .fini = teardown);

static bool has(const char *text) { return memmem(out.data, out.size, text, strlen(text)) != NULL; }

static void assert_told(const char *what)
{
    cr_expect(has(what), "no %s", what);
    cr_expect(!has("stats_fd"));
    cr_expect(!has("vcpu-0/kvm-fd"));
    cr_expect(!has("\"kvm\""));
}

Test(export_handles, json_has_none)
{
    for (int pretty = 0; pretty < 2; pretty++) {
        vmt_buffer_clear(&out);
        cr_assert_eq(vmt_json_encode(snapshot, pretty, &out), 0);
        assert_told("\"vm/vcpu-1/kvm-fd/below\"");
    }
}

Test(export_handles, metrics_have_none)
{
    for (int format = VMT_OPENMETRICS; format <= VMT_PROMETHEUS; format++) {
        struct vmt_metrics *metrics = NULL;

        vmt_buffer_clear(&out);
        cr_assert_eq(vmt_metrics_new(&metrics), 0);
        cr_assert_eq(vmt_metrics_add(metrics, snapshot, NULL, NULL), 0);
        cr_assert_eq(vmt_metrics_write(metrics, (enum vmt_metrics_format)format, &out), 0);
        assert_told("kvmtop_vcpu_exits_total{vm=\"web\",provider=\"vmm\",vcpu=\"1\"} 8\n");
        vmt_metrics_free(metrics);
    }
}

static int keep_record(void *arg, const struct vmt_snapshot *of, size_t i, const struct vmt_schema *schema,
                       const void *entry, size_t size)
{
    (void)arg;
    cr_expect(!kvm_is_handle(schema), "source %zu of %zu", i, vmt_snapshot_count(of));
    return vmt_buffer_append(&out, entry, size);
}

Test(export_handles, records_have_none)
{
    const struct vmt_records_options options = { .struct_size = sizeof(options), .host = "h", .sender = "s" };
    struct vmt_records *records = NULL;

    cr_assert_eq(vmt_records_new(&options, &records), 0);
    cr_assert_eq(vmt_records_encode(records, snapshot, NULL, NULL, 1, NULL, keep_record, NULL), 0);
    assert_told("vm/vcpu-1/kvm-fd/below");
    vmt_records_free(records);
}

/* The sources that are left, as they were; what is below one that is not there is its parent's. */
static void assert_decoded(void)
{
    struct vmt_decoder *decoder = NULL;
    const struct vmt_snapshot *decoded;
    size_t n = 0;

    cr_assert_eq(vmt_decoder_new(&decoder), 0);
    cr_assert_eq(vmt_decoder_feed(decoder, out.data, out.size), 0);
    cr_assert_eq(vmt_decoder_next(decoder, &decoded), 1);
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);
        const struct vmt_sample *got = vmt_snapshot_find(decoded, sample->id);

        if (kvm_is_handle(sample->schema)) {
            cr_expect_null(got, "%s", sample->id);
            continue;
        }
        n++;
        cr_assert_not_null(got, "%s", sample->id);
        cr_expect_eq(got->entry, sample->entry);
        cr_expect_str_eq(got->schema->name, sample->schema->name);
        cr_expect_arr_eq(got->values, sample->values, sample->schema->slots * sizeof(uint64_t), "%s", sample->id);
        for (uint32_t t = 0; t < got->total_count; t++)
            cr_expect(!kvm_is_handle(got->totals[t].schema));
    }
    cr_expect_eq(vmt_snapshot_count(decoded), n);
    cr_expect_str_eq(vmt_snapshot_source(decoded, vmt_snapshot_find(decoded, "vm/vcpu-1/kvm-fd/below")->parent)->id,
                     "vm/vcpu-1");
    vmt_decoder_free(decoder);
}

Test(export_handles, streams_have_none)
{
    struct vmt_msgpack *stream = NULL;

    cr_assert_eq(vmt_msgpack_new(&stream), 0);
    cr_assert_eq(vmt_msgpack_encode(stream, snapshot, &out), 0);
    assert_told("vm/vcpu-1/kvm-fd/below");
    assert_decoded();
    vmt_msgpack_free(stream);
}

Test(export_handles, maps_have_none)
{
    cr_assert_eq(vmt_msgpack_encode_full(snapshot, &out), 0);
    assert_told("vm/vcpu-1/kvm-fd/below");
    assert_decoded();
}

/* As often as people ask: the second line compares with what was told. */
Test(export_handles, lines_of_firecracker_have_none)
{
    struct vmt_firecracker *lines = NULL;

    cr_assert_eq(vmt_firecracker_new(&lines), 0);
    for (int i = 0; i < 2; i++) {
        vmt_buffer_clear(&out);
        cr_assert_eq(vmt_firecracker_encode(lines, snapshot, NULL, &out), 0);
        vmt_firecracker_keep(lines);
        assert_told("\"vcpu\":{");
    }
    vmt_firecracker_free(lines);
}
