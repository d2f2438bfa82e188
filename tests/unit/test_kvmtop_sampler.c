/* SPDX-License-Identifier: MIT */
/* What kvmtop's sampler promises: each VM is seen once a beat, by name, compared with what it was; what is bad harms no
 * other; what goes and comes back. */
#include "beats.h"

#include <math.h>

#include "shm/layout.h"

TestSuite(sampler, .init = test_dir_init, .fini = test_dir_fini);

/* ---- time, as the sampler sees it (the linker puts this in front of the system's) ---- */

static long skipped_s;

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
    int r = __real_clock_gettime(clock, t);

    t->tv_sec += skipped_s;
    return r;
}

static double seconds_now(void)
{
    struct timespec t;

    __real_clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* As a VMM that ended without saying goodbye leaves its segment. */
static void abandon(struct vmt_segment *segment)
{
    int fd = vmt_segment_hand_over(segment);

    cr_assert_geq(fd, 0);
    close(fd);
}

static struct vmt_segment *start_again(const char *name)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = name, .resume = 1 };
    struct vmt_segment *segment = NULL;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0, "%s", name);
    return segment;
}

/* ---- what is seen ---- */

Test(sampler, the_load_is_that_of_the_host)
{
    struct sampler *s = new_sampler(NULL, 0);
    double before[3], after[3];
    struct beat beat;

    cr_assert_eq(getloadavg(before, 3), 3);
    take_beat(s, &beat);
    cr_assert_eq(getloadavg(after, 3), 3);
    for (int i = 0; i < 3; i++) {
        double load = sampler_set(s)->load[i];

        cr_expect(fabs(load - before[i]) < 1e-9 || fabs(load - after[i]) < 1e-9, "%g", load);
    }
    cr_expect_eq(sampler_set(s)->cpus, sysconf(_SC_NPROCESSORS_ONLN));
    sampler_free(s);
}

Test(sampler, each_vm_is_seen_by_name_with_what_changed_since_the_beat_before)
{
    struct vmt_segment *b = new_segment("b");
    struct vmt_segment *a = new_segment("a");
    struct vmt_source *of_a = add_source(a, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct vmt_source *of_b = add_source(b, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;

    vmt_count(of_a, 0, 1000);
    take_beat(s, &beat);
    cr_assert_eq(beat.count, 2);
    cr_expect_str_eq(beat.seen[0].title, "a");
    cr_expect_str_eq(beat.seen[1].title, "b");
    cr_expect_eq(beat.seen[0].events, 1000);
    cr_expect(beat.seen[0].reset && !beat.seen[0].compared, "the first one is compared with nothing");
    cr_expect_eq(sampler_set(s)->interval_ns, 0);
    for (uint64_t i = 1; i < 5; i++) {
        vmt_count(of_a, 0, i);
        vmt_count(of_b, 0, 10 * i);
        take_beat(s, &beat);
        cr_expect(beat.seen[0].compared && beat.seen[1].compared);
        cr_expect_eq(beat.seen[0].changed, i);
        cr_expect_eq(beat.seen[1].changed, 10 * i);
        cr_expect_eq(beat.set_count, 0, "the set has no VMs yet");
        cr_expect_null(vm_of(s, "a")->delta, "only while it is observed");
        cr_expect_null(vm_of(s, "a")->before);
        cr_expect_gt(sampler_set(s)->interval_ns, 0);
    }
    cr_expect_eq(events_below(vm_of(s, "a")), 1010, "the newest is kept");
    cr_expect_eq(events_below(vm_of(s, "b")), 100);
    sampler_free(s);
    vmt_segment_close(a);
    vmt_segment_close(b);
}

Test(sampler, an_observer_ends_the_take_and_the_next_one_is_whole)
{
    struct vmt_segment *a = new_segment("a");
    struct vmt_segment *b = new_segment("b");
    struct vmt_source *of_a = add_source(a, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct vmt_source *of_b = add_source(b, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;

    take_beat(s, &beat);
    vmt_count(of_a, 0, 3);
    vmt_count(of_b, 0, 4);
    memset(&beat, 0, sizeof(beat));
    beat.stop_at = 1;
    cr_expect_eq(sampler_take(s, observe, &beat), -EINTR);
    cr_expect_eq(beat.count, 1);
    cr_expect_eq(sampler_set(s)->count, 0);
    cr_expect_eq(sampler_mark(s, 1), 0);
    vmt_count(of_a, 0, 5);
    take_beat(s, &beat);
    cr_expect_eq(seen_of(&beat, "a")->changed, 5);
    cr_expect_eq(seen_of(&beat, "b")->changed, 4, "it was not looked at");
    cr_expect_eq(sampler_take(s, NULL, NULL), 0, "nobody need look");
    cr_expect_eq(sampler_set(s)->count, 2);
    sampler_free(s);
    vmt_segment_close(a);
    vmt_segment_close(b);
}

Test(sampler, one_bad_file_is_a_row_and_stops_nothing)
{
    struct vmt_segment *segment = new_segment("good");
    struct vmt_source *vcpu = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;
    uint64_t epoch;

    write_file("bad.vmt", "this is no segment, and longer than nothing at all");
    write_file("empty.vmt", "");
    cr_assert_eq(symlink("/etc/passwd", test_path("link.vmt")), 0);
    take_beat(s, &beat);
    epoch = sampler_epoch(s);
    vmt_count(vcpu, 0, 7);
    take_beat(s, &beat);
    cr_assert_eq(beat.count, 4);
    cr_expect_str_eq(state_of(s, "bad"), "not a segment");
    cr_expect_str_eq(state_of(s, "empty"), "empty");
    cr_expect_str_eq(state_of(s, "good"), "live");
    cr_expect_str_eq(state_of(s, "link"), "unreadable");
    cr_expect_null(vm_of(s, "bad")->snapshot);
    cr_expect_eq(vm_of(s, "bad")->error, -EMEDIUMTYPE);
    cr_expect_eq(seen_of(&beat, "bad")->error, -EMEDIUMTYPE, "it is observed, too");
    cr_expect(sample_running(vm_of(s, "good")) && !sample_running(vm_of(s, "bad")));
    cr_expect_eq(seen_of(&beat, "good")->changed, 7);
    cr_expect_eq(sampler_epoch(s), epoch, "what never had schemas takes none away");
    cr_assert_eq(unlink(test_path("bad.vmt")), 0);
    take_beat(s, &beat);
    cr_expect_eq(beat.count, 3, "what never was a VM goes with its file");
    sampler_free(s);
    vmt_segment_close(segment);
}

Test(sampler, a_damaged_one_is_looked_at_afresh_and_takes_no_schemas_away)
{
    const long at = (long)offsetof(struct shm_header, schemas);
    const long limit = (long)offsetof(struct shm_header, source_limit);
    const uint64_t nowhere = UINT64_C(1) << 32;
    const uint32_t none = 0;
    struct vmt_segment *hurt = new_segment("hurt");
    struct vmt_segment *good = new_segment("good");
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;
    uint64_t schemas, epoch;
    FILE *f = fopen(vmt_segment_path(hurt), "r");

    add_source(hurt, &vmt_schema_vcpu, NULL, "vcpu-0");
    cr_assert_not_null(f);
    cr_assert_eq(fseek(f, at, SEEK_SET), 0);
    cr_assert_eq(fread(&schemas, sizeof(schemas), 1, f), 1);
    fclose(f);
    scribble(vmt_segment_path(hurt), at, &nowhere, sizeof(nowhere));
    take_beat(s, &beat);
    epoch = sampler_epoch(s);
    for (int i = 0; i < 3; i++) {
        take_beat(s, &beat);
        cr_expect_str_eq(state_of(s, "hurt"), "damaged");
        cr_expect_eq(vm_of(s, "hurt")->error, -EBADMSG);
        cr_expect_str_eq(state_of(s, "good"), "live");
        cr_expect_eq(sampler_epoch(s), epoch, "it never had any that were seen");
    }
    cr_assert_eq(sampler_mark(s, 1), 0);
    cr_expect_null(vm_of(s, "hurt")->mark);
    scribble(vmt_segment_path(hurt), at, &schemas, sizeof(schemas));
    take_beat(s, &beat);
    cr_expect_str_eq(state_of(s, "hurt"), "live");
    cr_expect(seen_of(&beat, "hurt")->reset, "what could not be read is nothing to compare with");
    take_beat(s, &beat);
    cr_expect_not(seen_of(&beat, "hurt")->reset);
    cr_expect_eq(sampler_epoch(s), epoch);
    scribble(vmt_segment_path(hurt), limit, &none, sizeof(none));
    for (int i = 0; i < 3; i++) {
        take_beat(s, &beat);
        cr_expect_str_eq(state_of(s, "hurt"), "damaged");
        cr_expect_eq(sampler_epoch(s), epoch + 1, "once, when what had been read was given up");
    }
    sampler_free(s);
    vmt_segment_close(hurt);
    vmt_segment_close(good);
}

/* As a writer that is stopped in the middle of a change leaves it. */
static void stop_mid_change(const struct vmt_segment *segment)
{
    const long at = (long)offsetof(struct shm_header, structure);
    FILE *f = fopen(vmt_segment_path(segment), "r");
    uint64_t structure = 0;

    cr_assert_not_null(f);
    cr_assert_eq(fseek(f, at, SEEK_SET), 0);
    cr_assert_eq(fread(&structure, sizeof(structure), 1, f), 1);
    fclose(f);
    structure |= 1;
    scribble(vmt_segment_path(segment), at, &structure, sizeof(structure));
}

Test(sampler, a_stalled_vm_delays_no_other)
{
    struct vmt_segment *stuck = new_segment("stuck");
    struct vmt_segment *good = new_segment("good");
    struct vmt_source *vcpu = add_source(good, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;
    double start;

    stop_mid_change(stuck);
    start = seconds_now();
    for (int i = 0; i < 5; i++) {
        vmt_count(vcpu, 0, 1);
        take_beat(s, &beat);
        cr_expect_eq(seen_of(&beat, "good")->changed, i ? 1 : 0);
    }
    cr_expect_lt(seconds_now() - start, SANITIZED ? 2.5 : 0.4, "five takes wait for nothing");
    nap_us(600000);
    take_beat(s, &beat);
    cr_expect_str_eq(state_of(s, "stuck"), "stalled", "the looks of two beats are far enough apart to tell");
    cr_expect_str_eq(state_of(s, "good"), "live");
    cr_expect(sample_running(vm_of(s, "stuck")));
    sampler_free(s);
    vmt_segment_close(good);
    abandon(stuck);
}

Test(sampler, names_choose_whole_names_and_paths)
{
    struct vmt_segment *a = new_segment("web-1");
    struct vmt_segment *b = new_segment("web-10");
    char one[] = "web-1";
    char none[] = "web";
    char path[4096];
    char missing[4096];
    char *names[] = { one, none };
    char *paths[] = { path, missing };
    struct sampler *s = new_sampler(names, 2);

    cr_assert_eq(sampler_take(s, NULL, NULL), 0);
    cr_expect_eq(sampler_set(s)->count, 1);
    cr_expect_str_eq(sampler_set(s)->vms[0].name, "web-1");
    cr_expect_str_eq(sampler_missing(s), "web");
    sampler_free(s);
    snprintf(path, sizeof(path), "%s", test_path("web-10.vmt"));
    snprintf(missing, sizeof(missing), "%s", test_path("web-2.vmt"));
    s = new_sampler(paths, 1);
    cr_assert_eq(sampler_take(s, NULL, NULL), 0);
    cr_expect_eq(sampler_set(s)->count, 1);
    cr_expect_str_eq(sampler_set(s)->vms[0].name, "web-10");
    cr_expect_null(sampler_missing(s));
    sampler_free(s);
    s = new_sampler(paths, 2);
    cr_assert_eq(sampler_find(s), 0);
    cr_expect_str_eq(sampler_missing(s), missing);
    cr_expect_eq(sampler_set(s)->count, 0, "nothing is opened yet");
    sampler_free(s);
    vmt_segment_close(a);
    vmt_segment_close(b);
}

Test(sampler, what_was_asked_for_and_fails_is_told_once)
{
    char bad[] = "bad";
    char worse[] = "worse";
    char *names[] = { bad, worse };
    struct sampler *s = new_sampler(names, 2);

    write_file("bad.vmt", "this is no segment, and longer than nothing at all");
    write_file("worse.vmt", "nor is this one, and it is as long as the other one");
    write_file("unasked.vmt", "nor is this one, but nobody has asked for it by name");
    cr_assert_eq(sampler_take(s, NULL, NULL), 0);
    cr_assert_eq(sampler_set(s)->count, 2);
    cr_expect_eq(sampler_failed(s), vm_of(s, "bad"));
    cr_expect_eq(sampler_failed(s), vm_of(s, "worse"));
    cr_expect_null(sampler_failed(s));
    cr_assert_eq(sampler_take(s, NULL, NULL), 0);
    cr_expect_null(sampler_failed(s));
    sampler_free(s);
}

/* ---- what goes and comes ---- */

Test(sampler, a_vm_that_ended_is_shown_for_ten_seconds)
{
    struct vmt_segment *segment;
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;
    uint64_t epoch;

    take_beat(s, &beat);
    cr_expect_eq(beat.count, 0);
    segment = new_segment("late");
    take_beat(s, &beat);
    cr_expect_str_eq(state_of(s, "late"), "live", "within one beat");
    epoch = sampler_epoch(s);
    skipped_s = 3600;
    take_beat(s, &beat);
    cr_expect_str_eq(state_of(s, "late"), "live", "however long");
    vmt_segment_close(segment);
    cr_expect_neq(access(test_path("late.vmt"), F_OK), 0);
    take_beat(s, &beat);
    cr_expect_str_eq(state_of(s, "late"), "closed");
    cr_expect_not(sample_running(vm_of(s, "late")));
    skipped_s += 9;
    take_beat(s, &beat);
    cr_expect_str_eq(state_of(s, "late"), "closed");
    cr_expect_eq(sampler_epoch(s), epoch);
    skipped_s += 2;
    take_beat(s, &beat);
    cr_expect_eq(beat.count, 0);
    cr_expect_eq(sampler_set(s)->count, 0);
    cr_expect_neq(sampler_epoch(s), epoch, "its schemas went with it");
    sampler_free(s);
}

Test(sampler, a_segment_replaced_under_its_name_is_followed_from_its_beginning)
{
    struct vmt_segment *segment = new_segment("web");
    struct vmt_source *vcpu = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;
    uint64_t id, epoch;

    vmt_count(vcpu, 0, 1000000);
    take_beat(s, &beat);
    take_beat(s, &beat);
    id = seen_of(&beat, "web")->id;
    epoch = sampler_epoch(s);
    cr_expect_eq(sampler_mark(s, 1), 0);
    vmt_segment_close(segment);
    segment = new_segment("web");
    vcpu = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    vmt_count(vcpu, 0, 7);
    take_beat(s, &beat);
    cr_assert_eq(beat.count, 1);
    cr_expect_eq(beat.seen[0].id, id);
    cr_expect_eq(beat.seen[0].events, 7);
    cr_expect_eq(beat.seen[0].changed, 0);
    cr_expect(beat.seen[0].reset && !beat.seen[0].compared, "another segment has nothing to compare with");
    cr_expect_str_eq(state_of(s, "web"), "live");
    cr_expect_null(vm_of(s, "web")->mark, "the mark was another segment's");
    cr_expect_neq(sampler_epoch(s), epoch);
    epoch = sampler_epoch(s);
    vmt_count(vcpu, 0, 5);
    take_beat(s, &beat);
    cr_expect_eq(beat.seen[0].changed, 5);
    cr_expect_eq(sampler_epoch(s), epoch);
    sampler_free(s);
    vmt_segment_close(segment);
}

Test(sampler, nothing_that_was_seen_at_a_beat_goes_before_its_end)
{
    struct vmt_segment *segments[3];
    static const char *const names[] = { "a", "b", "c" };
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;
    uint64_t epoch;

    for (int i = 0; i < 3; i++)
        segments[i] = new_segment(names[i]);
    take_beat(s, &beat);
    epoch = sampler_epoch(s);
    for (int i = 0; i < 3; i++) {
        vmt_segment_close(segments[i]);
        segments[i] = new_segment(names[i]);
    }
    memset(&beat, 0, sizeof(beat));
    beat.stop_at = 2;
    cr_expect_eq(sampler_take(s, observe, &beat), -EINTR);
    cr_expect_eq(sampler_epoch(s), epoch + 1, "once for all, also where the take was ended");
    take_beat(s, &beat);
    cr_expect_eq(sampler_epoch(s), epoch + 2);
    cr_expect_eq(beat.count, 3);
    sampler_free(s);
    for (int i = 0; i < 3; i++)
        vmt_segment_close(segments[i]);
}

Test(sampler, counting_goes_on_across_a_restart)
{
    struct vmt_segment *segment = new_segment("web");
    struct vmt_source *vcpu = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;
    uint64_t id;

    vmt_count(vcpu, 0, 1000000);
    take_beat(s, &beat);
    id = beat.seen[0].id;
    vmt_count(vcpu, 0, 5);
    abandon(segment);
    take_beat(s, &beat);
    cr_expect_str_eq(state_of(s, "web"), "died");
    cr_expect_eq(beat.seen[0].changed, 5);
    segment = start_again("web");
    vcpu = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    vmt_segment_ready(segment);
    vmt_count(vcpu, 0, 7);
    take_beat(s, &beat);
    cr_expect_eq(beat.count, 1);
    cr_expect_eq(beat.seen[0].id, id);
    cr_expect_eq(beat.seen[0].changed, 7);
    cr_expect_str_eq(state_of(s, "web"), "live");
    sampler_free(s);
    vmt_segment_close(segment);
}

Test(sampler, what_was_set_aside_is_damaged_and_its_name_goes_on)
{
    struct vmt_segment *segment = new_segment("web");
    const uint32_t none = 0;
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;

    take_beat(s, &beat);
    abandon(segment);
    take_beat(s, &beat);
    cr_expect_str_eq(state_of(s, "web"), "died");
    scribble(test_path("web.vmt"), (long)offsetof(struct shm_header, source_limit), &none, sizeof(none));
    segment = start_again("web");
    cr_expect_eq(access(test_path("web~1.vmt"), F_OK), 0);
    take_beat(s, &beat);
    cr_assert_eq(beat.count, 2);
    cr_expect_str_eq(state_of(s, "web"), "live", "the row follows the name");
    cr_expect_str_eq(state_of(s, "web~1"), "damaged");
    sampler_free(s);
    vmt_segment_close(segment);
}

Test(sampler, what_was_set_aside_while_it_could_be_read_is_followed_by_name_too)
{
    struct vmt_segment *segment = new_segment("web");
    struct sampler *s = new_sampler(NULL, 0);
    struct beat beat;

    take_beat(s, &beat);
    abandon(segment);
    take_beat(s, &beat);
    cr_assert_eq(rename(test_path("web.vmt"), test_path("web~2.vmt")), 0);
    segment = new_segment("web");
    take_beat(s, &beat);
    cr_assert_eq(beat.count, 2);
    cr_expect_str_eq(state_of(s, "web"), "live");
    cr_expect_str_eq(state_of(s, "web~2"), "damaged", "its own name is another's by now");
    sampler_free(s);
    vmt_segment_close(segment);
}
