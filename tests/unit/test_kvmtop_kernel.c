/* SPDX-License-Identifier: MIT */
/* What kvmtop promises of the kernel's counters beside the VMM's: they are part of the row of what they count; rates,
 * histograms and units are as those of the VMM's own; the two are told apart. */
#include "desk.h"
#include "json_beat.h"
#include "kernel_view.h"

TestSuite(kernel, .init = test_dir_init, .fini = test_dir_fini);

#define VCPUS 2

/* A VM that has what the kernel counts in its segment, as it is copied there. */
struct both {
    struct desk desk;
    struct vmt_source *vm;
    struct vmt_source *vm_kernel;
    struct vmt_source *vcpus[VCPUS];
    struct vmt_source *kernel[VCPUS];
    uint64_t vm_key, source_key, vcpu_key; /* of the VM's row, of "vm" and of its second vCPU */
};

static void both_init(struct both *b)
{
    memset(b, 0, sizeof(*b));
    b->desk.options.level = VMT_LEVEL_DEBUG;
    b->desk.segment = start("web");
    b->vm = add(b->desk.segment, &vmt_schema_vm, NULL, "vm");
    b->vm_kernel = add(b->desk.segment, &kernel_vm, b->vm, "kvm");
    for (int i = 0; i < VCPUS; i++) {
        char name[16];

        snprintf(name, sizeof(name), "vcpu-%d", i);
        b->vcpus[i] = add(b->desk.segment, &vmt_schema_vcpu, b->vm, name);
        b->kernel[i] = add(b->desk.segment, &kernel_vcpu, b->vcpus[i], "kvm");
    }
    host_init(&b->desk.host);
    host_take(&b->desk.host);
    b->vm_key = row(&b->desk.host, 0, "web")->facts.key;
    b->source_key = row(&b->desk.host, 1, "vm")->facts.key;
    b->vcpu_key = b->desk.key = row(&b->desk.host, 3, "vcpu-1")->facts.key;
    take(&b->desk);
}

static void both_free(struct both *b) { desk_free(&b->desk); }

/* What a vCPU did, as the VMM saw it and as the kernel did. */
static void run(struct both *b, int i, uint64_t vmm, uint64_t kernel)
{
    vmt_count(b->vcpus[i], VMT_VCPU_EXITS, vmm);
    vmt_count(b->vcpus[i], VMT_VCPU_EXIT_IO_OUT, vmm);
    vmt_count(b->kernel[i], KVM_EXITS, kernel);
    vmt_count(b->kernel[i], KVM_IO_EXITS, vmm);
    vmt_count(b->kernel[i], KVM_HALT_EXITS, vmm / 2);
    vmt_count(b->kernel[i], KVM_HALT_HIST + 20, 3);
}

static double seconds(const struct both *b) { return (double)sampler_set(b->desk.host.sampler)->interval_ns / 1e9; }

#define NEAR(value, expected) (fabs((value) - (expected)) <= 0.25 * (expected))

/* ---- rows ---- */

Test(kernel, a_view_is_no_row_of_its_own)
{
    struct both b;

    both_init(&b);
    cr_expect_str_eq(rows(&b.desk.host), "web vm vcpu-0 vcpu-1");
    cr_expect_eq(history_tracks(b.desk.host.history), 4, "nor does it take room");
    for (size_t i = 2; i < 4; i++)
        cr_expect_eq(b.desk.host.model.rows[i].children, 0);
    both_free(&b);
}

Test(kernel, what_is_below_a_view_is_below_what_it_is_of)
{
    struct both b;

    both_init(&b);
    add(b.desk.segment, &vmt_schema_block, b.vm_kernel, "disk");
    host_take(&b.desk.host);
    cr_expect_str_eq(rows(&b.desk.host), "web vm disk vcpu-0 vcpu-1");
    cr_expect_eq(b.desk.host.model.rows[1].children, 3);
    cr_expect_eq(row(&b.desk.host, 2, "disk")->facts.parent, b.source_key);
    cr_expect_eq(row(&b.desk.host, 2, "disk")->depth, 2);
    both_free(&b);
}

Test(kernel, vcpus_counted_twice_are_not_twice_as_many)
{
    struct both b;

    both_init(&b);
    cr_expect_eq(row(&b.desk.host, 0, "web")->facts.measures.vcpus, VCPUS);
    cr_expect_eq(row(&b.desk.host, 1, "vm")->facts.measures.vcpus, VCPUS);
    cr_expect_eq(row(&b.desk.host, 2, "vcpu-0")->facts.measures.vcpus, 0, "a vCPU is not below itself");
    cr_expect_eq(b.desk.host.model.total.vcpus, VCPUS);
    both_free(&b);
}

Test(kernel, exits_are_those_of_who_counts_more_of_them)
{
    const struct measures *vm, *vcpu;
    struct both b;

    both_init(&b);
    run(&b, 0, 1000, 4000);
    run(&b, 1, 2000, 6000);
    take(&b.desk);
    vm = &row(&b.desk.host, 0, "web")->facts.measures;
    vcpu = &row(&b.desk.host, 2, "vcpu-0")->facts.measures;
    cr_expect(NEAR(vcpu->exits * seconds(&b), 4000), "%g", vcpu->exits);
    cr_expect(NEAR(vm->exits * seconds(&b), 10000), "%g", vm->exits);
    cr_expect(NEAR(b.desk.host.model.total.exits * seconds(&b), 10000));
    cr_expect_str_eq(vcpu->top[0].name, "io");
    cr_expect_float_eq(vcpu->top[0].share, 0.25, 0.001, "of all, whether they have a reason or not");
    cr_expect_str_eq(vcpu->top[1].name, "halt");
    cr_expect_float_eq(vcpu->top[1].share, 0.125, 0.001);
    run(&b, 0, 5000, 100);
    take(&b.desk);
    vcpu = &row(&b.desk.host, 2, "vcpu-0")->facts.measures;
    cr_expect(NEAR(vcpu->exits * seconds(&b), 5000), "%g", vcpu->exits);
    cr_expect_str_eq(vcpu->top[0].name, "io_out");
    run(&b, 0, 5000, 5100);
    take(&b.desk);
    vcpu = &row(&b.desk.host, 2, "vcpu-0")->facts.measures;
    cr_expect_str_eq(vcpu->top[0].name, "io_out", "of about as many the VMM's, whoever was read first");
    both_free(&b);
}

Test(kernel, a_reason_is_never_more_than_all)
{
    struct both b;

    both_init(&b);
    vmt_count(b.kernel[0], KVM_EXITS, 10);
    vmt_count(b.kernel[0], KVM_IO_EXITS, 25);
    take(&b.desk);
    cr_expect_float_eq(row(&b.desk.host, 2, "vcpu-0")->facts.measures.top[0].share, 1, 0.001);
    both_free(&b);
}

Test(kernel, times_that_a_vcpu_waits_are_no_latencies)
{
    struct both b;

    both_init(&b);
    run(&b, 0, 1000, 4000);
    take(&b.desk);
    for (size_t i = 0; i < 3; i++)
        cr_expect_eq(b.desk.host.model.rows[i].facts.measures.latency, 0, "row %zu", i);
    vmt_count(b.vcpus[0], VMT_VCPU_IO_LATENCY + 4 + 10, 7);
    vmt_count(b.kernel[0], KVM_HALT_HIST + 30, 1000);
    take(&b.desk);
    cr_expect_eq(row(&b.desk.host, 2, "vcpu-0")->facts.measures.latency, 1);
    cr_expect_float_eq(row(&b.desk.host, 2, "vcpu-0")->facts.measures.p99.high, 1024e-9, 1e-12, "the VMM's alone");
    both_free(&b);
}

/* ---- the detail ---- */

/* All headings in their order. */
static const char *headings(struct both *b, uint64_t key)
{
    static char text[1024];
    size_t at = 0;

    text[0] = '\0';
    cr_assert_eq(build_at(&b->desk, key, SIZE_MAX), 0);
    for (size_t i = 0; i < b->desk.detail.count; i++) {
        if (b->desk.detail.lines[i].kind == DETAIL_HEADING)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\n", b->desk.detail.lines[i].name);
    }
    return text;
}

Test(kernel, the_detail_has_its_own_then_the_kernels_then_the_sums_of_both)
{
    struct both b;

    both_init(&b);
    cr_expect_str_eq(headings(&b, b.vcpu_key), "its own\nkvm: what the kernel counts of it\n");
    cr_expect_str_eq(headings(&b, b.source_key), "its own\nkvm: what the kernel counts of it\n"
                                                 "all vcpu below: 2 live, and those that departed\n"
                                                 "kvm: what the kernel counts of all kvm-vcpu below: 2 live\n");
    cr_expect_str_eq(headings(&b, b.vm_key),
                     "its own\n"
                     "all vcpu below: 2 live, and those that departed\n"
                     "all vm below: 1 live, and those that departed\n"
                     "kvm: what the kernel counts of all kvm-vcpu below: 2 live\n"
                     "kvm: what the kernel counts of all kvm-vm below: 1 live\n",
                     "%s", headings(&b, b.vm_key));
    both_free(&b);
}

Test(kernel, the_kernels_statistics_have_all_that_the_vmms_have)
{
    const struct detail_line *exits, *hist, *p99, *blocking;
    struct both b;

    both_init(&b);
    run(&b, 1, 1000, 4000);
    take(&b.desk);
    cr_assert_eq(sampler_mark(b.desk.host.sampler, 1), 0);
    run(&b, 1, 1000, 6000);
    vmt_count(b.kernel[1], KVM_BLOCKING, 1);
    take(&b.desk);
    build(&b.desk);
    exits = find_below(&b.desk, "kvm: ", "exits");
    cr_assert_not_null(exits);
    cr_expect_eq(exits->whose, DETAIL_VIEW);
    cr_expect_float_eq(exits->total, 10000, 0.1);
    cr_expect(NEAR(exits->rate * seconds(&b), 6000), "%g", exits->rate);
    cr_expect_float_eq(exits->since_mark, 6000, 0.1);
    cr_expect_gt(exits->average.over[0], 0);
    /* By the time between beats; the rate is by that between snapshots, and beats are milliseconds apart here. */
    cr_expect(exits->average.high >= exits->rate || NEAR(exits->average.high, exits->rate));
    hist = find_below(&b.desk, "kvm: ", "halt_wait_hist");
    p99 = find_below(&b.desk, "kvm: ", "p99");
    cr_assert(hist && p99);
    cr_expect_float_eq(hist->total, 6, 0.1);
    cr_expect_float_eq(hist->since_mark, 3, 0.1);
    cr_expect_eq(p99->of_interval.low, 1 << 19);
    cr_expect_eq(p99->of_mark.high, 1 << 20);
    blocking = find_below(&b.desk, "kvm: ", "blocking");
    cr_assert_not_null(blocking);
    cr_expect_eq(detail_shares(&b.desk.detail, exits, NULL, 0), 0, "it has no shards");
    cr_assert_eq(build_at(&b.desk, b.vcpu_key, history_count(b.desk.host.history) - 2), 0);
    exits = find_below(&b.desk, "kvm: ", "exits");
    cr_assert_not_null(exits);
    cr_expect_float_eq(exits->total, 4000, 10, "before: %g", exits->total);
    cr_expect(NEAR(exits->rate * history_beat(b.desk.host.history, b.desk.detail.beat)->seconds, 4000));
    both_free(&b);
}

Test(kernel, its_lines_are_found_again_and_none_twice)
{
    struct both b;
    uint64_t key;

    both_init(&b);
    build(&b.desk);
    key = find_below(&b.desk, "kvm: ", "exits")->key;
    take(&b.desk);
    build(&b.desk);
    cr_expect_eq(find_below(&b.desk, "kvm: ", "exits")->key, key);
    cr_assert_eq(build_at(&b.desk, b.source_key, SIZE_MAX), 0);
    for (size_t i = 0; i < b.desk.detail.count; i++) {
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(b.desk.detail.lines[i].key, b.desk.detail.lines[j].key, "%s", b.desk.detail.lines[i].name);
    }
    both_free(&b);
}

Test(kernel, two_views_with_one_schema_keep_their_own_values)
{
    const struct detail_line *exits;
    struct vmt_source *other;
    struct both b;

    both_init(&b);
    other = add(b.desk.segment, &kernel_vcpu, b.vcpus[1], "kvm-of-another");
    vmt_count(b.kernel[1], KVM_EXITS, 10);
    vmt_count(other, KVM_EXITS, 5);
    take(&b.desk);
    cr_expect_str_eq(headings(&b, b.vcpu_key),
                     "its own\nkvm: what the kernel counts of it\nkvm: what the kernel counts of it\n"
                     "kvm: what the kernel counts of all kvm-vcpu below: 2 live\n");
    exits = find_below(&b.desk, "kvm: what the kernel counts of it", "exits");
    cr_expect(exits->total > 4.9 && exits->total < 10.1, "%g", exits->total);
    cr_expect_eq(exits->part, DETAIL_NO_PART);
    cr_expect_not(isnan(exits->rate));
    cr_expect(isnan(detail_value(&b.desk.detail, b.desk.host.history, exits, 0)), "no history is kept of it");
    exits = find_below(&b.desk, "all kvm-vcpu below", "exits");
    cr_expect_float_eq(exits->total, 15, 0.1);
    both_free(&b);
}

Test(kernel, another_provider_is_not_called_the_kernel)
{
    static struct vmt_schema guest;
    struct both b;

    both_init(&b);
    guest = kernel_vcpu;
    guest.provider = "guest";
    guest.name = "seen-inside";
    add(b.desk.segment, &guest, b.vcpus[1], "inside");
    host_take(&b.desk.host);
    cr_expect_str_eq(rows(&b.desk.host), "web vm vcpu-0 vcpu-1");
    cr_expect_not_null(strstr(headings(&b, b.vcpu_key), "guest: what another provider counts of it\n"));
    both_free(&b);
}

Test(kernel, a_handle_that_leads_to_nothing_is_said_to_be_one)
{
    static struct vmt_schema handle;
    struct vmt_source *bare;
    struct both b;

    both_init(&b);
    handle = kernel_vm; /* as it is published by vmt_kvm_add() */
    handle.name = "kvm-fd";
    bare = add(b.desk.segment, &vmt_schema_vm, NULL, "bare");
    add(b.desk.segment, &handle, bare, "kvm-fd");
    host_take(&b.desk.host);
    cr_expect_str_eq(rows(&b.desk.host), "web bare vm vcpu-0 vcpu-1");
    cr_expect_str_eq(
        headings(&b, row(&b.desk.host, 1, "bare")->facts.key),
        "its own\nkvm: the VMM's process has the kernel's counters open; they could not be read from there\n");
    cr_expect_null(strstr(headings(&b, b.vm_key), "kvm-fd"), "how many there are is nothing to count");
    both_free(&b);
}

/* ---- batch ---- */

Test(kernel, json_has_views_behind_what_they_are_of)
{
    struct both b;
    char why[80];
    char *text = NULL;

    both_init(&b);
    for (int once = 0; once <= 1; once++) {
        json_text(&b.desk.host, once, &text);
        cr_expect_str_eq(json_shown(text), "web:  vm vm/kvm vm/vcpu-0 vm/vcpu-0/kvm vm/vcpu-1 vm/vcpu-1/kvm");
        cr_expect_eq(strstr(text, "{\"schema\":{") != NULL, once);
        free(text);
    }
    cr_assert_eq(filter_new("vcpu-1", (struct filter **)&b.desk.host.options.filter, why, sizeof(why)), 0);
    json_text(&b.desk.host, 0, &text);
    cr_expect_str_eq(json_shown(text), "web:  vm vm/kvm vm/vcpu-1 vm/vcpu-1/kvm");
    free(text);
    filter_free((struct filter *)b.desk.host.options.filter);
    both_free(&b);
}
