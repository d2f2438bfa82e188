/* SPDX-License-Identifier: MIT */
/* What kvmtop's sampler promises of what it keeps (of VMs in focus, and marks), and of what is somebody else's. */
#include "beats.h"

#include <malloc.h>
#include <sys/mount.h>
#include <sys/stat.h>

TestSuite(sampler_keeps, .init = test_dir_init, .fini = test_dir_fini);
TestSuite(sampler_owners, .init = test_dir_init, .fini = test_dir_fini);

/* ---- what is kept ---- */

Test(sampler_keeps, focus_keeps_what_was_before_and_shards)
{
    struct vmt_segment *a = new_segment("a");
    struct vmt_segment *b = new_segment("b");
    struct vmt_shard *shard = vmt_shard_acquire(add_source(a, &vmt_schema_vcpu, NULL, "vcpu-0"));
    struct sampler *s = new_sampler(NULL, 0);
    const struct sample_vm *vm;
    struct beat beat;
    uint64_t ids[2] = { UINT64_MAX };

    add_source(b, &vmt_schema_vcpu, NULL, "vcpu-0");
    take_beat(s, &beat);
    cr_expect_eq(seen_of(&beat, "a")->shards, 0);
    ids[1] = seen_of(&beat, "a")->id;
    cr_assert_eq(sampler_focus(s, ids, 2), 0);
    for (uint64_t i = 1; i < 5; i++) {
        vmt_add(shard, 0, i);
        take_beat(s, &beat);
        vm = vm_of(s, "a");
        cr_expect_eq(seen_of(&beat, "a")->shards, 1);
        cr_expect_eq(seen_of(&beat, "b")->shards, 0);
        cr_assert_not_null(vm->before);
        cr_assert_not_null(vm->delta);
        cr_expect_eq(vmt_delta_source(vm->delta, 1)->values[0], i, "also when all were observed");
        cr_expect_eq(vmt_snapshot_find(vm->snapshot, "vcpu-0")->shards[0].values[0], i * (i + 1) / 2);
        cr_expect_eq(vmt_snapshot_find(vm->before, "vcpu-0")->values[0], i * (i - 1) / 2);
        cr_expect_eq(vmt_snapshot_find(vm->before, "vcpu-0")->shard_count, i > 1 ? 1 : 0);
        cr_expect_null(vm_of(s, "b")->before);
        cr_expect_null(vm_of(s, "b")->delta);
    }
    cr_assert_eq(sampler_focus(s, NULL, 0), 0);
    cr_expect_not_null(vm_of(s, "a")->before, "until the next take");
    vmt_add(shard, 0, 9);
    for (int i = 0; i < 3; i++) {
        take_beat(s, &beat);
        cr_expect_eq(seen_of(&beat, "a")->shards + seen_of(&beat, "b")->shards, 0);
        cr_expect_eq(seen_of(&beat, "a")->changed, i ? 0 : 9);
        cr_expect_null(vm_of(s, "a")->before);
    }
    vmt_shard_release(shard);
    sampler_free(s);
    vmt_segment_close(a);
    vmt_segment_close(b);
}

/* What the mark of "web" says was counted. */
static uint64_t marked(const struct sampler *s)
{
    const struct sample_vm *vm = vm_of(s, "web");

    cr_assert_not_null(vm->mark);
    return vmt_snapshot_find(vm->mark, "vcpu-0")->values[0];
}

static void expect_marks_to_stay(int focused)
{
    struct vmt_segment *segment = new_segment("web");
    struct vmt_source *vcpu = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;

    vmt_count(vcpu, 0, 100);
    take_beat(s, &beat);
    if (focused)
        cr_assert_eq(sampler_focus(s, &beat.seen[0].id, 1), 0);
    cr_expect_null(vm_of(s, "web")->mark);
    cr_assert_eq(sampler_mark(s, 1), 0);
    cr_expect_eq(marked(s), 100, "at once");
    for (int i = 0; i < 4; i++) {
        vmt_count(vcpu, 0, 1);
        take_beat(s, &beat);
        cr_expect_eq(marked(s), 100);
        cr_expect_eq(beat.seen[0].changed, 1, "the beat before is what beats are compared with");
        cr_expect_eq(events_below(vm_of(s, "web")), 101 + (uint64_t)i);
    }
    cr_assert_eq(sampler_mark(s, 1), 0);
    cr_assert_eq(sampler_mark(s, 1), 0, "twice is as good as once");
    cr_expect_eq(marked(s), 104);
    vmt_count(vcpu, 0, 1);
    take_beat(s, &beat);
    cr_expect_eq(beat.seen[0].changed, 1);
    cr_expect_eq(marked(s), 104);
    cr_assert_eq(sampler_mark(s, 1), 0);
    cr_assert_eq(sampler_mark(s, 0), 0);
    cr_expect_null(vm_of(s, "web")->mark);
    vmt_count(vcpu, 0, 1);
    take_beat(s, &beat);
    cr_expect_null(vm_of(s, "web")->mark);
    cr_expect_eq(beat.seen[0].changed, 1);
    cr_assert_eq(sampler_mark(s, 1), 0);
    take_beat(s, &beat);
    cr_assert_eq(sampler_focus(s, focused ? NULL : &beat.seen[0].id, focused ? 0 : 1), 0);
    for (int i = 0; i < 3; i++) {
        vmt_count(vcpu, 0, 1);
        take_beat(s, &beat);
        cr_expect_eq(marked(s), 106, "whether it is in focus or not any more");
        cr_expect_eq(beat.seen[0].changed, 1);
    }
    sampler_free(s);
    vmt_segment_close(segment);
}

Test(sampler_keeps, a_mark_stays_as_it_was) { expect_marks_to_stay(0); }

Test(sampler_keeps, a_mark_stays_as_it_was_in_focus_too) { expect_marks_to_stay(1); }

Test(sampler_keeps, what_comes_after_the_mark_has_none)
{
    struct vmt_segment *segment = new_segment("web");
    struct vmt_segment *late;
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;

    write_file("bad.vmt", "this is no segment, and longer than nothing at all");
    take_beat(s, &beat);
    cr_assert_eq(sampler_mark(s, 1), 0);
    late = new_segment("late");
    take_beat(s, &beat);
    cr_expect_not_null(vm_of(s, "web")->mark);
    cr_expect_null(vm_of(s, "late")->mark);
    cr_expect_null(vm_of(s, "bad")->mark);
    sampler_free(s);
    vmt_segment_close(segment);
    vmt_segment_close(late);
}

#define SMALL_VMS 40
#define LARGE_SOURCES 1500

Test(sampler_keeps, what_a_large_vm_needs_does_not_come_round_to_all)
{
    struct vmt_segment *segments[SMALL_VMS + 1];
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;
    size_t early, late;

    for (int i = 0; i <= SMALL_VMS; i++) {
        char name[24];

        snprintf(name, sizeof(name), "vm-%02d", i);
        segments[i] = new_segment(name);
        for (int n = 0; n < (i ? 1 : LARGE_SOURCES); n++) {
            snprintf(name, sizeof(name), "vcpu-%d", n);
            add_source(segments[i], &vmt_schema_vcpu, NULL, name);
        }
    }
    for (int i = 0; i < 3; i++)
        take_beat(s, &beat);
    early = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (int i = 0; i < 2 * SMALL_VMS; i++)
        take_beat(s, &beat);
    late = mallinfo2().uordblks + mallinfo2().hblkhd;
    cr_expect_leq(late, early + early / 20, "%zu, later %zu bytes", early, late);
    sampler_free(s);
    for (int i = 0; i <= SMALL_VMS; i++)
        vmt_segment_close(segments[i]);
}

/* ---- whose it is ---- */

#define SOMEBODY 65534

/* Make the file somebody else's: neither ours, nor root's, nor the directory owner's. Only root can. */
static void give_away(const char *name)
{
    if (geteuid() != 0)
        cr_skip_test("needs root");
    cr_assert_eq(chown(test_path(name), SOMEBODY, SOMEBODY), 0);
}

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 24];
    FILE *in = fopen(test_path(from), "r");
    FILE *out = fopen(test_path(to), "w");
    size_t n;

    cr_assert(in && out);
    n = fread(bytes, 1, sizeof(bytes), in);
    cr_assert_eq(fwrite(bytes, 1, n, out), n);
    fclose(in);
    fclose(out);
}

Test(sampler_owners, a_copy_with_anothers_name_and_identity_is_somebody_elses)
{
    struct vmt_segment *segment = new_segment("web-1");
    struct vmt_source *vcpu = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;

    vmt_count(vcpu, 0, 1000);
    copy_file("web-1.vmt", "web-2.vmt");
    give_away("web-2.vmt");
    take_beat(s, &beat);
    vmt_count(vcpu, 0, 10);
    take_beat(s, &beat);
    cr_assert_eq(beat.count, 2);
    cr_expect_neq(seen_of(&beat, "web-1")->id, seen_of(&beat, "web-1 (uid 65534)")->id);
    cr_expect_eq(seen_of(&beat, "web-1")->changed, 10);
    cr_expect_eq(seen_of(&beat, "web-1 (uid 65534)")->changed, 0);
    cr_expect_str_eq(vm_of(s, "web-1 (uid 65534)")->owner, " (uid 65534)");
    cr_expect_str_eq(vm_of(s, "web-1")->owner, "");
    sampler_free(s);
    vmt_segment_close(segment);
}

Test(sampler_owners, a_name_that_somebody_else_took_over_is_another_row)
{
    struct vmt_segment *segment = new_segment("web");
    struct vmt_source *vcpu = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;
    uint64_t id;

    vmt_count(vcpu, 0, 1000);
    take_beat(s, &beat);
    take_beat(s, &beat);
    id = beat.seen[0].id;
    copy_file("web.vmt", "kept");
    vmt_segment_close(segment);
    cr_assert_eq(rename(test_path("kept"), test_path("web.vmt")), 0);
    give_away("web.vmt");
    take_beat(s, &beat);
    cr_assert_eq(beat.count, 1);
    cr_expect_neq(seen_of(&beat, "web (uid 65534)")->id, id);
    cr_expect(beat.seen[0].reset, "equal identity, and yet not compared");
    sampler_free(s);
}

Test(sampler_owners, a_title_asks_for_that_owner_only)
{
    struct vmt_segment *segment = new_segment("web-1");
    char title[] = "web-1 (uid 65534)";
    char other[] = "web-1 (uid 4)";
    char *names[] = { title };
    char *others[] = { other };
    struct sampler *s = new_sampler(names, 1);

    give_away("web-1.vmt");
    cr_assert_eq(sampler_take(s, NULL, NULL), 0);
    cr_assert_eq(sampler_set(s)->count, 1);
    cr_expect_str_eq(sampler_set(s)->vms[0].title, title);
    cr_expect_str_eq(sampler_set(s)->vms[0].name, "web-1");
    sampler_free(s);
    s = new_sampler(others, 1);
    cr_assert_eq(sampler_take(s, NULL, NULL), 0);
    cr_expect_eq(sampler_set(s)->count, 0);
    sampler_free(s);
    vmt_segment_close(segment);
}

/* A segment in one of the directories where they are looked for. */
static struct vmt_segment *in_directory(const char *dir, int foreign)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "asked-for", .dir = dir };
    struct vmt_segment *segment = NULL;

    REQUIRE(vmt_segment_create(&options, &segment) == 0);
    if (foreign)
        REQUIRE(chown(vmt_segment_path(segment), SOMEBODY, SOMEBODY) == 0);
    return segment;
}

static int none_of_somebody(void *arg, const struct sample_set *set, const struct sample_vm *vm)
{
    (void)set;
    *(int *)arg += 1;
    return vm->owner[0] ? -EPERM : 0;
}

/* The same name in two directories of the search, in a world of its own. */
static void beside_a_foreign_one(void *arg)
{
    char name[] = "asked-for";
    char *names[] = { name };
    struct vmt_segment *first, *second;
    struct sampler *s = NULL;
    char runtime[4096];
    int seen = 0;

    (void)arg;
    if (!test_dir_mount(4096) || mount("vmtally", "/run", "tmpfs", 0, "size=16m") != 0)
        _exit(TEST_NO_MOUNT);
    snprintf(runtime, sizeof(runtime), "%s", test_path(""));
    REQUIRE(unsetenv("VMTALLY_DIR") == 0 && setenv("XDG_RUNTIME_DIR", runtime, 1) == 0);
    REQUIRE(mkdir(test_path("vmtally"), 0755) == 0 && mkdir("/run/vmtally", 0755) == 0);
    first = in_directory(test_path("vmtally"), 1); /* "/dev/..." is before "/run/..." */
    second = in_directory("/run/vmtally", 1);
    REQUIRE(sampler_new(NULL, NULL, names, 1, &s) == 0);
    REQUIRE(sampler_take(s, NULL, NULL) == 0);
    REQUIRE(sampler_set(s)->count == 2); /* nobody else is meant */
    vmt_segment_close(second);
    second = in_directory("/run/vmtally", 0);
    REQUIRE(sampler_take(s, none_of_somebody, &seen) == 0);
    REQUIRE(seen == 1);
    REQUIRE(sampler_set(s)->count == 1 && sampler_set(s)->vms[0].owner[0] == '\0');
    /* one that comes, too */
    vmt_segment_close(first);
    first = in_directory(test_path("vmtally"), 1);
    REQUIRE(sampler_take(s, none_of_somebody, &seen) == 0);
    REQUIRE(seen == 2);
    sampler_free(s);
    vmt_segment_close(first);
    vmt_segment_close(second);
}

Test(sampler_owners, somebody_elses_never_answers_for_a_trusted_name_not_for_one_beat)
{
    int status = end_of(start_child(beside_a_foreign_one, NULL));

    if (status == TEST_NO_MOUNT)
        cr_skip_test("needs mount namespaces");
    cr_expect_eq(status, 0);
}
