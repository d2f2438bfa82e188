/* SPDX-License-Identifier: MIT */
/* VMs without a segment: what kvmtop shows of processes of which only the kernel's counters are known. */
#include "cli/top/columns.h"
#include "cli/top/detail.h"
#include "cli/top/layout.h"
#include "json_beat.h"
#include "kernel_host.h"
#include "still.h"

TestSuite(outside, .init = test_dir_init, .fini = test_dir_fini);

/* A host with processes, and what kvmtop makes of it. */
struct outside {
    struct host host;
    struct vmt_host *kernel;
    struct made made[3];
    unsigned count;
};

static void outside_init(struct outside *o, char *const *names, size_t name_count)
{
    memset(o, 0, sizeof(*o));
    fake_ns = NOON_NS;
    o->kernel = made_host();
    o->made[0] = (struct made){ .pid = 4711, .start = 100, .name = "box", .vcpus = 2, .uid = geteuid() };
    o->count = 1;
    made_look(o->kernel, o->made, o->count);
    cr_assert_eq(sampler_new(o->kernel, NULL, names, name_count, &o->host.sampler), 0);
    cr_assert_eq(history_new(1, &o->host.history), 0);
}

/* Another look, a second later. */
static void outside_take(struct outside *o)
{
    fake_ns += SECOND_NS;
    made_look(o->kernel, o->made, o->count);
    host_take(&o->host);
}

static void outside_free(struct outside *o)
{
    host_free(&o->host);
    vmt_host_free(o->kernel);
    fake_ns = 0;
}

Test(outside, a_vm_without_a_segment_is_a_row_with_its_vcpus)
{
    const struct track_facts *f;
    struct outside o;

    outside_init(&o, NULL, 0);
    outside_take(&o);
    o.made[0].exits[0] = 1000;
    o.made[0].exits[1] = 500;
    o.made[0].halt_waits[1] = 10;
    outside_take(&o);
    cr_expect_str_eq(rows(&o.host), "box vm vcpu-0 vcpu-1");
    f = &row(&o.host, 0, "box")->facts;
    cr_expect_str_eq(f->state, "live");
    cr_expect_str_eq(f->note, "", "it drops nothing, and was not restarted");
    cr_expect(f->running && !f->unreadable && !f->foreign);
    cr_expect_eq(f->pid, 4711);
    cr_expect_eq(f->from, VMT_FROM_FDS);
    cr_expect_eq(f->measures.vcpus, 2);
    cr_expect_float_eq(f->measures.exits, 1500, 1);
    cr_expect_str_eq(f->measures.top[0].name, "io");
    cr_expect_eq(f->measures.latency, 0);
    cr_expect(isnan(f->measures.run) && isnan(f->measures.bytes) && isnan(f->measures.ops));
    cr_expect_float_eq(row(&o.host, 2, "vcpu-0")->facts.measures.exits, 1000, 1);
    cr_expect_eq(o.host.model.states[VMT_STATE_LIVE], 1);
    cr_expect_float_eq(o.host.model.total.exits, 1500, 1);
    outside_free(&o);
}

Test(outside, its_age_is_that_of_its_process)
{
    const uint64_t boot_s = (NOON_NS - NOON_NS / 2) / SECOND_NS;
    struct outside o;

    outside_init(&o, NULL, 0);
    o.made[0].start = (boot_s - 600) * (uint64_t)sysconf(_SC_CLK_TCK); /* of CLOCK_BOOTTIME */
    outside_take(&o);
    cr_expect_float_eq((double)row(&o.host, 0, "box")->facts.age_ns / 1e9, 601, 1, "%g",
                       (double)row(&o.host, 0, "box")->facts.age_ns / 1e9);
    cr_expect_eq(row(&o.host, 1, "vm")->facts.age_ns, UINT64_MAX, "when KVM made it is not known");
    fake_ns += 60 * (uint64_t)SECOND_NS;
    outside_take(&o);
    cr_expect_float_eq((double)row(&o.host, 0, "box")->facts.age_ns / 1e9, 662, 1);
    outside_free(&o);
}

Test(outside, of_debugfs_there_is_the_sum_over_vcpus_alone)
{
    const struct detail_line *exits;
    struct detail_options options = { .level = VMT_LEVEL_DEBUG };
    struct detail detail = { 0 };
    struct outside o;

    outside_init(&o, NULL, 0);
    o.made[0].debugfs = 1;
    o.made[0].vcpus = 3;
    outside_take(&o);
    o.made[0].exits[0] = 2000;
    outside_take(&o);
    cr_expect_str_eq(rows(&o.host), "box vm vcpu-0 vcpu-1 vcpu-2");
    for (size_t i = 0; i < 2; i++) {
        cr_expect_eq(o.host.model.rows[i].facts.measures.vcpus, 3);
        cr_expect_float_eq(o.host.model.rows[i].facts.measures.exits, 2000, 1);
        cr_expect_str_eq(o.host.model.rows[i].facts.measures.top[0].name, "io");
    }
    cr_expect_eq(row(&o.host, 0, "box")->facts.from, VMT_FROM_DEBUGFS);
    for (size_t i = 2; i < 5; i++) {
        cr_expect(isnan(o.host.model.rows[i].facts.measures.exits));
        cr_expect_str_eq(o.host.model.rows[i].facts.measures.active, "");
    }
    cr_assert_eq(detail_build(&detail, sampler_set(o.host.sampler), o.host.history, SIZE_MAX,
                              row(&o.host, 2, "vcpu-0")->facts.key, &options),
                 0);
    for (size_t i = 0; i < detail.count; i++)
        cr_expect(detail.lines[i].kind != DETAIL_STATISTIC || detail.lines[i].absent, "%s", detail.lines[i].name);
    cr_assert_eq(detail_build(&detail, sampler_set(o.host.sampler), o.host.history, SIZE_MAX,
                              row(&o.host, 1, "vm")->facts.key, &options),
                 0);
    exits = NULL;
    for (size_t i = 0; i < detail.count; i++)
        exits = !strcmp(detail.lines[i].name, "exits") ? &detail.lines[i] : exits;
    cr_assert_not_null(exits);
    cr_expect_float_eq(exits->total, 2000, 0.1);
    detail_free(&detail);
    outside_free(&o);
}

Test(outside, a_process_that_has_ended_is_closed_and_goes_as_files_do)
{
    struct outside o;

    outside_init(&o, NULL, 0);
    outside_take(&o);
    outside_take(&o);
    o.count = 0;
    outside_take(&o);
    cr_expect_str_eq(rows(&o.host), "box", "what it counted has gone");
    cr_expect_str_eq(row(&o.host, 0, "box")->facts.state, "closed");
    cr_expect_not(row(&o.host, 0, "box")->facts.running);
    cr_expect(isnan(o.host.model.total.exits));
    fake_ns += SAMPLER_KEEP_GONE_NS - 2 * (uint64_t)SECOND_NS;
    outside_take(&o);
    cr_expect_str_eq(rows(&o.host), "box");
    outside_take(&o);
    cr_expect_str_eq(rows(&o.host), "");
    o.count = 1;
    outside_take(&o);
    cr_expect_str_eq(rows(&o.host), "box vm vcpu-0 vcpu-1");
    outside_free(&o);
}

Test(outside, another_process_with_the_same_pid_is_another_row)
{
    uint64_t key, beats;
    struct outside o;

    outside_init(&o, NULL, 0);
    outside_take(&o);
    o.made[0].exits[0] = 5000;
    outside_take(&o);
    key = row(&o.host, 0, "box")->facts.key;
    o.made[0].start = 200;
    o.made[0].exits[0] = 9000;
    outside_take(&o);
    cr_expect_str_eq(rows(&o.host), "box vm vcpu-0 vcpu-1");
    cr_expect_neq(row(&o.host, 0, "box")->facts.key, key);
    cr_expect(isnan(row(&o.host, 0, "box")->facts.measures.exits), "nothing of the other one is compared with it");
    o.made[0].uid += 1;
    key = row(&o.host, 0, "box")->facts.key;
    beats = history_count(o.host.history);
    outside_take(&o);
    cr_expect_eq(o.host.model.rows[0].facts.key, key, "one that gives up rights stays what it is");
    cr_expect_eq(history_count(o.host.history), beats + 1);
    outside_free(&o);
}

/* This process, as its segment has it. */
static void describe_self(struct made *m, const char *name)
{
    struct vmt_segment *segment = start(name);
    struct vmt_snapshot *snapshot = NULL;
    struct vmt_reader *reader = NULL;
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s.vmt", getenv("VMTALLY_DIR"), name);
    cr_assert_eq(vmt_reader_open(path, NULL, &reader), 0);
    cr_assert_eq(vmt_snapshot_new(&snapshot), 0);
    cr_assert_geq(vmt_snapshot_take(snapshot, reader), 0);
    m->pid = vmt_snapshot_segment(snapshot)->pid;
    m->start = vmt_snapshot_segment(snapshot)->pid_start;
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
}

Test(outside, a_process_that_gets_a_segment_is_only_the_row_of_that)
{
    struct vmt_segment *segment;
    struct vmt_source *vm;
    struct outside o;

    outside_init(&o, NULL, 0);
    describe_self(&o.made[0], "own");
    outside_take(&o);
    cr_expect_str_eq(rows(&o.host), "box vm vcpu-0 vcpu-1");
    segment = start("own");
    vm = add(segment, &vmt_schema_vm, NULL, "vm");
    add(segment, &vmt_schema_vcpu, vm, "vcpu-0");
    outside_take(&o);
    cr_expect_str_eq(rows(&o.host), "own vm vcpu-0 vcpu-1", "at once; and what only the kernel counts is a row, too");
    cr_expect_eq(row(&o.host, 0, "own")->facts.from, VMT_FROM_SEGMENT | VMT_FROM_FDS);
    cr_expect_eq(row(&o.host, 0, "own")->facts.measures.vcpus, 2);
    o.made[0].exits[0] = 700;
    o.made[0].exits[1] = 300;
    outside_take(&o);
    cr_expect_float_eq(row(&o.host, 0, "own")->facts.measures.exits, 1000, 1);
    cr_expect_float_eq(row(&o.host, 2, "vcpu-0")->facts.measures.exits, 700, 1);
    outside_free(&o);
    vmt_segment_close(segment);
}

Test(outside, a_vm_without_a_segment_is_asked_for_by_name_path_or_pid)
{
    char *const asked[] = { "box", "4711", "/proc/4711", "471", "/proc/471", "bo" };
    struct outside o;

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        outside_init(&o, &asked[i], 1);
        o.made[1] = (struct made){ .pid = 4712, .start = 100, .name = "other", .vcpus = 1 };
        o.count = 2;
        outside_take(&o);
        cr_expect_str_eq(rows(&o.host), i < 3 ? "box vm vcpu-0 vcpu-1" : "", "%s", asked[i]);
        cr_expect_eq(sampler_missing(o.host.sampler) != NULL, i >= 3, "%s", asked[i]);
        cr_expect_null(sampler_failed(o.host.sampler));
        outside_free(&o);
    }
}

Test(outside, somebody_elses_process_has_its_owner_in_its_title_but_counts)
{
    struct outside o;

    outside_init(&o, NULL, 0);
    o.made[0].uid = geteuid() + 4711;
    outside_take(&o);
    o.made[0].exits[0] = 1000;
    outside_take(&o);
    cr_assert_eq(o.host.model.count, 4);
    cr_expect_not_null(strstr(o.host.model.rows[0].facts.name, "box (uid "));
    cr_expect_not(o.host.model.rows[0].facts.foreign);
    cr_expect_float_eq(o.host.model.total.exits, 1000, 1, "nobody can feign what the kernel counts");
    outside_free(&o);
}

Test(outside, where_counters_come_from_is_a_column_once_there_is_something_to_tell)
{
    long column = column_find("counters");
    struct vmt_segment *segment = start("own");
    char text[CELL_TEXT];
    struct outside o;

    cr_assert_geq(column, 0);
    outside_init(&o, NULL, 0);
    o.count = 0;
    outside_take(&o);
    cr_expect_str_eq(rows(&o.host), "own");
    cr_expect_eq(layout_counted(&o.host.model, 0) >> column & 1, 0);
    kvmtop_columns[column].write(text, &row(&o.host, 0, "own")->facts);
    cr_expect_str_eq(text, "segment", "for machines always");
    o.count = 1;
    outside_take(&o);
    cr_expect_str_eq(rows(&o.host), "box vm vcpu-0 vcpu-1 own");
    cr_expect_eq(layout_counted(&o.host.model, 0) >> column & 1, 1);
    kvmtop_columns[column].show(text, &row(&o.host, 0, "box")->facts);
    cr_expect_str_eq(text, "fds");
    outside_free(&o);
    vmt_segment_close(segment);
}

Test(outside, json_of_a_vm_without_a_segment_says_so)
{
    struct outside o;
    char *text = NULL;

    outside_init(&o, NULL, 0);
    outside_take(&o);
    fake_ns += SECOND_NS;
    made_look(o.kernel, o.made, 1);
    json_text(&o.host, 0, &text);
    cr_expect_str_eq(json_shown(text), "box:  vm vm/vcpu-0 vm/vcpu-1");
    cr_expect_not_null(strstr(text, "\"name\":\"box\",\"path\":\"/proc/4711\",\"state\":\"live\",\"uid\":"));
    cr_expect_not_null(strstr(text, "\"counters\":[\"fds\"],\"sources\""));
    cr_expect_null(strstr(text, "\"identity\""));
    free(text);
    outside_free(&o);
}

Test(outside, facts_of_a_process_are_its_own)
{
    struct detail_options options = { .level = VMT_LEVEL_DEBUG };
    struct detail detail = { 0 };
    char text[512] = "";
    struct outside o;

    outside_init(&o, NULL, 0);
    outside_take(&o);
    cr_assert_eq(detail_build(&detail, sampler_set(o.host.sampler), o.host.history, SIZE_MAX,
                              row(&o.host, 0, "box")->facts.key, &options),
                 0);
    for (size_t i = 0; i < detail.count && detail.lines[i].kind == DETAIL_FACT; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", detail.lines[i].name);
    cr_expect_str_eq(text, "VM state process user age counters from schema ", "%s", text);
    detail_free(&detail);
    outside_free(&o);
}
