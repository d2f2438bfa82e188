/* SPDX-License-Identifier: MIT */
/* What lines of Firecracker's metrics count: nothing is lost, and nothing told twice, to any reader. */
#include "firecracker_line.h"
#include "scarce.h"

TestSuite(firecracker_told, .init = firecracker_init, .fini = firecracker_fini);

/* ---- counts ---- */

Test(firecracker_told, counts_are_since_the_vm_began_then_since_the_last_line)
{
    struct vmt_shard *shard = device(&vmt_schema_block, "rootfs", NULL);

    vmt_add(shard, VMT_BLOCK_READ_COUNT, 5);
    vmt_add(shard, VMT_BLOCK_READ_BYTES, (UINT64_C(1) << 53) + 1);
    cr_assert_eq(told(lines, "block_rootfs.read_count"), 5);
    cr_assert_eq(told(lines, "block_rootfs.read_count"), 0);
    vmt_add(shard, VMT_BLOCK_READ_COUNT, 2);
    cr_assert_eq(told(lines, "block.read_count"), 2);
    cr_assert_eq(told(lines, "block.read_count"), 0);
}

Test(firecracker_told, a_u64_is_exact)
{
    struct vmt_shard *shard = device(&vmt_schema_block, "rootfs", NULL);

    vmt_add(shard, VMT_BLOCK_READ_BYTES, (UINT64_C(1) << 53) + 1);
    vmt_add(shard, VMT_BLOCK_WRITE_BYTES, UINT64_MAX);
    take(snapshot, reader);
    cr_assert_eq(vmt_firecracker_encode(lines, snapshot, NULL, &out), 0);
    out.data[out.size - 1] = '\0';
    cr_assert_not_null(strstr(out.data, "\"read_bytes\":9007199254740993,\"write_bytes\":18446744073709551615,"));
}

Test(firecracker_told, readers_do_not_steal_from_one_another)
{
    struct vmt_shard *shard = device(&vmt_schema_net, "eth0", NULL);
    struct vmt_firecracker *other;

    cr_assert_eq(vmt_firecracker_new(&other), 0);
    vmt_add(shard, VMT_NET_TX_COUNT, 10);
    cr_assert_eq(told(lines, "net_eth0.tx_count"), 10);
    vmt_add(shard, VMT_NET_TX_COUNT, 7);
    cr_assert_eq(told(lines, "net_eth0.tx_count"), 7);
    cr_assert_eq(told(other, "net_eth0.tx_count"), 17);
    cr_assert_eq(told(other, "net.tx_count"), 0);
    cr_assert_eq(told(lines, "net.tx_count"), 0);
    vmt_firecracker_free(other);
}

Test(firecracker_told, what_a_missed_line_had_is_in_the_next_which_counts_it)
{
    struct vmt_shard *shard = device(&vmt_schema_block, "rootfs", NULL);
    json_object *line;

    cr_assert_eq(told(lines, "logger.missed_metrics_count"), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        vmt_add(shard, VMT_BLOCK_WRITE_COUNT, 4);
        take(snapshot, reader);
        line = line_of(lines, snapshot);
        cr_assert_eq(number(line, "block.write_count"), 4 * i);
        cr_assert_eq(number(line, "block_rootfs.write_count"), 4 * i);
        cr_assert_eq(number(line, "logger.missed_metrics_count"), i - 1);
        json_object_put(line);
        vmt_firecracker_miss(lines);
    }
    line = told_to(lines);
    cr_assert_eq(number(line, "block.write_count"), 12);
    cr_assert_eq(number(line, "logger.missed_metrics_count"), 3);
    json_object_put(line);
    line = told_to(lines);
    cr_assert_eq(number(line, "block.write_count"), 0);
    cr_assert_eq(number(line, "logger.missed_metrics_count"), 0);
    json_object_put(line);
}

Test(firecracker_told, the_groups_of_devices_add_up_to_theirs)
{
    struct vmt_shard *shards[3];

    for (int i = 0; i < 3; i++) {
        char id[] = { 'd', (char)('a' + i), '\0' };

        shards[i] = device(&vmt_schema_block, id, NULL);
    }
    for (uint64_t round = 0; round < 4; round++) {
        uint64_t count = 0, sum = 0;
        json_object *line;

        for (uint64_t i = 0; i < 3; i++) {
            vmt_add(shards[i], VMT_BLOCK_READ_COUNT, i + round);
            vmt_latency(shards[i], VMT_BLOCK_READ_AGG, VMT_BLOCK_READ_AGG_BUCKETS, 1500 + 777 * i + 1001 * round);
        }
        line = told_to(lines);
        json_object_object_foreach(line, key, group)
        {
            if (strncmp(key, "block_", 6) == 0) {
                count += number(group, "read_count");
                sum += number(group, "read_agg.sum_us");
            }
        }
        cr_assert_eq(number(line, "block.read_count"), count);
        cr_assert_eq(count, 3 + 3 * round);
        cr_assert_eq(number(line, "block.read_agg.sum_us"), sum);
        json_object_put(line);
    }
}

Test(firecracker_told, what_a_removed_device_has_counted_is_not_lost)
{
    struct vmt_source *source;
    struct vmt_shard *shard = device(&vmt_schema_block, "disk", &source);
    uint64_t all = 0;
    json_object *line;

    vmt_add(shard, VMT_BLOCK_READ_COUNT, 100);
    all += told(lines, "block.read_count");
    vmt_add(shard, VMT_BLOCK_READ_COUNT, 11);
    vmt_shard_release(shard);
    vmt_source_remove(source);

    /* It comes back, as another one. */
    shard = device(&vmt_schema_block, "disk", &source);
    vmt_add(shard, VMT_BLOCK_READ_COUNT, 3);
    line = told_to(lines);
    cr_assert_eq(number(line, "block_disk.read_count"), 3);
    cr_assert_eq(number(line, "block.read_count"), 14);
    all += number(line, "block.read_count");
    json_object_put(line);
    vmt_add(shard, VMT_BLOCK_READ_COUNT, 6);
    vmt_shard_release(shard);
    vmt_source_remove(source);
    line = told_to(lines);
    cr_assert_not(has(line, "block_disk"));
    all += number(line, "block.read_count");
    json_object_put(line);
    cr_assert_eq(all, 120);
    cr_assert_eq(told(lines, "block.read_count"), 0);
}

Test(firecracker_told, devices_of_one_name_are_one_as_there)
{
    struct vmt_source *other = add_source(segment, &vmt_schema_vm, NULL, "vm2"), *twin;
    json_object *line;

    vmt_add(device(&vmt_schema_block, "data", NULL), VMT_BLOCK_READ_COUNT, 1);
    vmt_add(device(&vmt_schema_block, "block-data", NULL), VMT_BLOCK_READ_COUNT, 20);
    twin = add_source(segment, &vmt_schema_block, other, "data");
    vmt_add(vmt_shard_acquire(twin), VMT_BLOCK_READ_COUNT, 300);
    line = told_to(lines);
    cr_assert_eq(number(line, "block_data.read_count"), 321);
    cr_assert_eq(number(line, "block.read_count"), 321);
    cr_assert_not(has(line, "block_block-data"));
    json_object_put(line);
    cr_assert_null(strstr(strstr(out.data, "\"block_data\":") + 1, "\"block_data\":"), "the key is there twice");
}

/* ---- restarts, and what can't be read ---- */

static void start_again(int resume)
{
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = "web-1", .keep = 1, .resume = (uint32_t)resume
    };

    vmt_reader_close(reader);
    vmt_segment_close(segment);
    segment = NULL;
    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    vm = add_source(segment, &vmt_schema_vm, NULL, "vm");
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
}

Test(firecracker_told, a_restart_that_goes_on_goes_on_and_another_vm_begins_at_0)
{
    struct vmt_shard *shard;
    json_object *line;

    start_again(0);
    vmt_add(device(&vmt_schema_block, "rootfs", NULL), VMT_BLOCK_READ_COUNT, 50);
    cr_assert_eq(told(lines, "block_rootfs.read_count"), 50);
    start_again(1);
    shard = device(&vmt_schema_block, "rootfs", NULL);
    vmt_add(shard, VMT_BLOCK_READ_COUNT, 6);
    line = told_to(lines);
    cr_assert_eq(number(line, "block_rootfs.read_count"), 6);
    cr_assert_eq(number(line, "block.read_count"), 6);
    json_object_put(line);
    start_again(0);
    vmt_add(device(&vmt_schema_block, "rootfs", NULL), VMT_BLOCK_READ_COUNT, 4);
    line = told_to(lines);
    cr_assert_eq(number(line, "block_rootfs.read_count"), 4);
    cr_assert_eq(number(line, "block.read_count"), 4);
    json_object_put(line);
}

/* A snapshot of a VM with two disks, the second of which may be missing or absent. */
static void rebuild(struct vmt_recorded *recorded, uint64_t first, uint64_t second, uint32_t count, uint32_t flags)
{
    static uint64_t values[4][VMT_BLOCK_SLOTS + VMT_SEGMENT_SLOTS];
    struct vmt_segment_info info = { .path = "/p", .name = "n", .identity = { 7 } };
    struct vmt_sample samples[3] = {
        { .id = "", .parent = UINT32_MAX, .generation = 2, .values = values[0] },
        { .id = "a", .entry = 1, .generation = 4, .created_ns = 1, .values = values[1] },
        { .id = "b", .entry = 2, .generation = 6, .created_ns = 1, .values = values[2], .flags = flags },
    };

    values[1][VMT_BLOCK_READ_COUNT] = first;
    values[2][VMT_BLOCK_READ_COUNT] = second;
    info.flags = count == 3 ? 0 : VMT_SNAPSHOT_PARTIAL;
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(vmt_recorded_schema(recorded, i ? &vmt_schema_block : &vmt_schema_segment, &samples[i].schema), 0);
    cr_assert_eq(vmt_snapshot_rebuild(snapshot, recorded, &info, samples, count), 0);
}

Test(firecracker_told, what_can_not_be_read_is_told_when_it_can)
{
    static const struct {
        uint32_t count, flags;
    } gaps[] = { { 2, 0 }, { 3, VMT_SAMPLE_ABSENT } };
    struct vmt_recorded *recorded;
    json_object *line;

    cr_assert_eq(vmt_recorded_new(&recorded), 0);
    for (size_t i = 0; i < LENGTH(gaps); i++) {
        struct vmt_firecracker *own;

        cr_assert_eq(vmt_firecracker_new(&own), 0);
        rebuild(recorded, 10, 200, 3, 0);
        json_object_put(line_of(own, snapshot));
        vmt_firecracker_keep(own);
        for (int again = 0; again < 2; again++) {
            rebuild(recorded, 10, 0, gaps[i].count, gaps[i].flags);
            line = line_of(own, snapshot);
            vmt_firecracker_keep(own);
            cr_assert_eq(number(line, "block.read_count"), 0);
            json_object_put(line);
        }
        rebuild(recorded, 11, 203, 3, 0);
        line = line_of(own, snapshot);
        cr_assert_eq(number(line, "block_a.read_count"), 1);
        cr_assert_eq(number(line, "block_b.read_count"), 3);
        cr_assert_eq(number(line, "block.read_count"), 4);
        json_object_put(line);
        vmt_firecracker_free(own);
    }
    vmt_recorded_free(recorded);
}

Test(firecracker_told, a_snapshot_that_could_not_be_taken_tells_nothing_and_loses_nothing)
{
    struct vmt_shard *shard = device(&vmt_schema_block, "rootfs", NULL);
    struct vmt_snapshot *empty = new_snapshot();
    json_object *line;

    vmt_add(shard, VMT_BLOCK_READ_COUNT, 5);
    cr_assert_eq(told(lines, "block_rootfs.read_count"), 5);
    line = line_of(lines, empty);
    vmt_firecracker_keep(lines);
    cr_assert_eq(number(line, "block.read_count"), 0);
    json_object_put(line);
    vmt_add(shard, VMT_BLOCK_READ_COUNT, 1);
    cr_assert_eq(told(lines, "block_rootfs.read_count"), 1);
    vmt_snapshot_free(empty);
}

/* ---- out of memory ---- */

Test(firecracker_told, without_memory_nothing_is_told_and_nothing_lost)
{
    struct vmt_source *sources[40];
    bool failed = true;
    unsigned n;

    for (int i = 0; i < 40; i++) {
        sources[i] = NULL;
        cr_assert_eq(vmt_source_addf(segment, i % 2 ? &vmt_schema_block : &vmt_schema_net, vm, &sources[i], "d%d", i),
                     0);
        vmt_add(vmt_shard_acquire(sources[i]), VMT_BLOCK_READ_COUNT, 1);
    }
    take(snapshot, reader);
    for (n = 1; failed; n++) {
        struct vmt_firecracker *own = NULL;
        struct vmt_buffer small = { 0 };
        json_object *line;
        int r = SCARCE(n, &failed, vmt_firecracker_new(&own));

        if (r == 0 && !failed)
            r = SCARCE(n, &failed, vmt_firecracker_encode(own, snapshot, NULL, &small));
        cr_assert_eq(r, failed ? -ENOMEM : 0, "%s without allocation %u", strerror(-r), n);
        if (failed && own) {
            cr_assert_eq(small.size, 0);
            vmt_firecracker_miss(own);
            line = line_of(own, snapshot);
            cr_assert_eq(number(line, "block.read_count"), 20);
            cr_assert_eq(number(line, "logger.missed_metrics_count"), 1);
            json_object_put(line);
        }
        vmt_buffer_free(&small);
        vmt_firecracker_free(own);
        cr_assert_lt(n, 1000);
    }
    cr_assert_gt(n, 8);
}
