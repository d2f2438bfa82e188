/* SPDX-License-Identifier: MIT */
/* What a snapshot is in which the kernel's counters are: its entries and times, one source of it again, other readers;
 * without memory, with a hostile writer, and what it costs. */
#include "fake_host.h"
#include "scarce.h"

#include <fcntl.h>
#include <sys/stat.h>

TestSuite(kvm_join_snapshot, .init = setup, .fini = teardown);

/* ---- entries ---- */

Test(kvm_join_snapshot, entries_stay_when_the_segment_grows_and_no_two_are_the_same)
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

Test(kvm_join_snapshot, the_look_is_part_of_when_the_snapshot_was_taken)
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

Test(kvm_join_snapshot, one_source_is_read_as_of_the_newest_look)
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

Test(kvm_join_snapshot, without_a_host_nothing_is_added_and_nothing_hidden)
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

Test(kvm_join_snapshot, with_a_host_that_finds_nothing_a_segment_is_as_it_was)
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

Test(kvm_join_snapshot, schemas_outlive_host_and_reader_with_the_snapshot)
{
    kernel_vm_at(9, -1, 5);
    look_and_take();
    vmt_reader_close(reader);
    reader = NULL;
    host_fini();
    cr_assert_str_eq(sample_of(snapshot, "vm/kvm")->schema->descriptors[0].name, "remote_tlb_flush");
}

Test(kvm_join_snapshot, short_of_memory_there_is_none_and_the_next_one_is_whole)
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

Test(kvm_join_snapshot, whatever_the_tree_is_each_has_one_place_at_most, .timeout = 120)
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

Test(kvm_join_snapshot, thousands_of_candidates_cost_little, .timeout = 60)
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
