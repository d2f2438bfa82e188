/* SPDX-License-Identifier: MIT */
/* Going on in a segment that an earlier writer left: what continues, what is mended, what is refused and set aside. Death
 * at each step is tests/race/test_points.c's; many lives are tests/race/test_restart.c's. */
#include "descriptor.h"
#include "parts.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "shm/layout.h"

static struct vmt_snapshot *snapshot;
static char why[256];

static void setup(void)
{
    test_dir_init();
    snapshot = new_snapshot();
}

static void teardown(void)
{
    vmt_snapshot_free(snapshot);
    test_dir_fini();
}

TestSuite(resume, .init = setup, .fini = teardown);

static struct vmt_segment_options resume(const char *name)
{
    return (struct vmt_segment_options){ .struct_size = sizeof(struct vmt_segment_options),
                                         .name = name,
                                         .keep = 1,
                                         .resume = 1,
                                         .why = why,
                                         .why_size = sizeof(why) };
}

static struct vmt_segment *resumed(const struct vmt_segment_options *options)
{
    struct vmt_segment *segment = NULL;
    int r = vmt_segment_create(options, &segment);

    cr_assert_eq(r, 0, "%s: %s", strerror(-r), why);
    return segment;
}

/* Life 1: a VM with two parts, one of which has gone; a group left open. Then it is killed. */
static void live_and_die(void *arg)
{
    struct vmt_segment_options *options = arg;
    struct vmt_segment *segment = NULL;
    struct vmt_source *vm, *a, *b, *gone;
    struct vmt_shard *shard;

    REQUIRE(vmt_segment_create(options, &segment) == 0);
    REQUIRE(vmt_source_add(segment, &small_schema, NULL, "vm", &vm) == 0);
    REQUIRE(vmt_source_add(segment, &part_schema, vm, "a", &a) == 0);
    REQUIRE(vmt_source_add(segment, &part_schema, vm, "b", &b) == 0);
    REQUIRE(vmt_source_add(segment, &part_schema, vm, "gone", &gone) == 0);
    vmt_count(gone, P_EVENTS, 1000);
    vmt_source_remove(gone);
    shard = vmt_shard_acquire(a);
    vmt_add(shard, P_EVENTS, 5);
    vmt_set(shard, P_LEVEL, 7);
    vmt_peak(shard, P_PEAK, 9);
    vmt_begin(shard);
    vmt_add(shard, P_TIME, 1);
    vmt_count(b, P_EVENTS, 30);
    vmt_count(b, P_LEVEL, 3);
    raise(SIGKILL);
}

static void one_life(struct vmt_segment_options *options)
{
    cr_assert_eq(end_of(start_child(live_and_die, options)), 128 + SIGKILL);
}

static void look(struct vmt_reader *reader)
{
    int r = vmt_snapshot_take(snapshot, reader);

    cr_assert_eq(r, 0, "%d", r);
}

Test(resume, totals_go_on_and_readers_stay_attached)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_reader *copying, *mapped;
    struct vmt_segment *segment;
    struct vmt_source *vm, *a;
    struct vmt_shard *shard;
    uint8_t identity[16];

    one_life(&options);
    copying = attach(test_path("vm.vmt"), VMT_READ_COPY);
    mapped = attach(test_path("vm.vmt"), VMT_READ_GUARDED);
    look(copying);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_DIED);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->incarnation, 1);
    cr_assert_eq(total_of(snapshot, "", P_EVENTS), 1035);
    memcpy(identity, vmt_snapshot_segment(snapshot)->identity, 16);

    segment = resumed(&options);
    cr_assert_str_eq(why, "");
    vm = add_source(segment, &small_schema, NULL, "vm");
    a = add_source(segment, &part_schema, vm, "a");
    shard = vmt_shard_acquire(a);
    vmt_add(shard, P_EVENTS, 1);
    for (int i = 0; i < 2; i++) {
        look(i ? mapped : copying);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->incarnation, 2);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->pid, (uint32_t)getpid());
        cr_assert_arr_eq(vmt_snapshot_segment(snapshot)->identity, identity, 16);
        cr_assert_eq(value_of(snapshot, "vm/a", P_EVENTS), 6);
        cr_assert_eq(value_of(snapshot, "vm/a", P_PEAK), 9);
        cr_assert_eq(value_of(snapshot, "vm/b", P_EVENTS), 30, "shown as it was");
        cr_assert_eq(total_of(snapshot, "", P_EVENTS), 1036);
    }
    cr_assert_eq(value_of(snapshot, "vm/a", P_LEVEL), 0, "of a moment long past");
    cr_assert_eq(value_of(snapshot, "vm/b", P_LEVEL), 0);
    cr_assert_eq(sample_of(snapshot, "vm/a")->flags, VMT_SAMPLE_TORN);
    cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_SHARDS_TORN), 1);
    cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_SOURCES_ADDED), 4, "found, not added");
    cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_SHARDS_CREATED), 1, "the old shard goes on");
    vmt_reader_close(mapped);
    vmt_reader_close(copying);
    vmt_segment_close(segment);
}

Test(resume, what_is_not_added_again_goes_when_the_vmm_is_ready)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;
    struct vmt_source *vm, *found = NULL;
    struct vmt_reader *reader;

    one_life(&options);
    segment = resumed(&options);
    cr_assert_eq(vmt_source_find(segment, "vm", &found), -ENOENT, "not before it is added");
    vm = add_source(segment, &small_schema, NULL, "vm");
    cr_assert_eq(vmt_source_find(segment, "vm", &found), 0);
    cr_assert_eq(found, vm);
    cr_assert_eq(vmt_source_add(segment, &small_schema, NULL, "vm", &found), -EEXIST, "only once");
    add_source(segment, &part_schema, vm, "new");
    vmt_segment_ready(segment);
    vmt_segment_ready(segment);
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    look(reader);
    cr_assert_eq(vmt_snapshot_count(snapshot), 3);
    cr_assert_null(vmt_snapshot_find(snapshot, "vm/a"));
    cr_assert_eq(total_of(snapshot, "vm", P_EVENTS), 1035);
    cr_assert_eq(vmt_check(vmt_segment_path(segment), why, sizeof(why)), VMT_STATE_LIVE, "%s", why);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
}

Test(resume, another_kind_of_thing_takes_the_id_over)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;
    struct vmt_source *vm, *a;
    struct vmt_reader *reader;

    one_life(&options);
    segment = resumed(&options);
    vm = add_source(segment, &small_schema, NULL, "vm");
    a = add_source(segment, &small_schema, vm, "a");
    vmt_count(a, S_EVENTS, 2);
    vmt_segment_ready(segment);
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    look(reader);
    cr_assert_str_eq(sample_of(snapshot, "vm/a")->schema->name, "small");
    cr_assert_eq(value_of(snapshot, "vm/a", S_EVENTS), 2);
    cr_assert_eq(total_of(snapshot, "vm", P_EVENTS), 1035);
    cr_assert_eq(total_named(sample_of(snapshot, "vm"), "small")->values[S_EVENTS], 2);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
}

Test(resume, a_closed_one_opens_again)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_reader *reader = NULL;

    for (int life = 1; life <= 3; life++) {
        struct vmt_segment *segment = resumed(&options);
        struct vmt_source *a = add_source(segment, &part_schema, NULL, "a");

        vmt_count(a, P_EVENTS, 1);
        if (!reader)
            reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
        look(reader);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->closed_ns, 0);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->incarnation, (uint64_t)life);
        cr_assert_eq(value_of(snapshot, "a", P_EVENTS), (uint64_t)life);
        vmt_segment_close(segment);
        look(reader);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_CLOSED);
    }
    vmt_reader_close(reader);
}

Test(resume, labels_and_heartbeat_are_the_new_writers)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;
    struct vmt_reader *reader;

    options.labels = (const char *const[]){ "host=a", "rack=1", NULL };
    options.heartbeat_interval_ns = 1000000;
    one_life(&options);
    reader = attach(test_path("vm.vmt"), VMT_READ_COPY);
    look(reader);
    cr_assert_str_eq(vmt_snapshot_segment(snapshot)->labels[1], "rack=1");
    options.labels = (const char *const[]){ "host=b", NULL };
    options.heartbeat_interval_ns = 0;
    segment = resumed(&options);
    look(reader);
    cr_assert_str_eq(vmt_snapshot_segment(snapshot)->labels[0], "host=b");
    cr_assert_null(vmt_snapshot_segment(snapshot)->labels[1]);
    nap_us(10000);
    cr_assert_eq(vmt_reader_state(reader), VMT_STATE_LIVE, "no heartbeat is promised any more");
    vmt_reader_close(reader);
    vmt_segment_close(segment);
}

Test(resume, without_a_segment_makes_one)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment = resumed(&options);

    cr_assert_str_eq(why, "");
    cr_assert_eq(access(test_path("vm.vmt"), F_OK), 0);
    vmt_segment_close(segment);
}

Test(resume, two_writers_at_once_are_refused)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment = resumed(&options), *other = NULL;
    int fd;

    cr_assert_eq(vmt_segment_create(&options, &other), -EEXIST);
    options.name = NULL;
    options.path = test_path("vm.vmt");
    cr_assert_eq(vmt_segment_create(&options, &other), -EEXIST);
    options.path = NULL;
    options.fd = fd = open(test_path("vm.vmt"), O_RDWR | O_CLOEXEC);
    cr_assert_eq(vmt_segment_create(&options, &other), -EEXIST);
    cr_assert_null(other);
    add_source(segment, &part_schema, NULL, "still-there");
    close(fd);
    vmt_segment_close(segment);
}

static void scribble(const char *path, uint64_t offset, uint64_t value, size_t bytes)
{
    int fd = open(path, O_RDWR);

    cr_assert_eq(pwrite(fd, &value, bytes, (off_t)offset), (ssize_t)bytes);
    close(fd);
}

/* ---- handing over ---- */

Test(resume, the_lock_is_handed_over_with_the_descriptor)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment = resumed(&options), *next = NULL;
    struct vmt_source *a = add_source(segment, &part_schema, NULL, "a"), *late;
    struct vmt_shard *shard = vmt_shard_acquire(a);
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_COPY);

    vmt_add(shard, P_EVENTS, 5);
    options.fd = vmt_segment_hand_over(segment);
    cr_assert_geq(options.fd, 3);
    cr_assert_eq(fcntl(options.fd, F_GETFD) & FD_CLOEXEC, 0);
    cr_assert_eq(vmt_segment_hand_over(segment), -ENODEV);
    vmt_segment_heartbeat(segment);
    vmt_segment_ready(segment);
    cr_assert_eq(vmt_source_add(segment, &part_schema, NULL, "late", &late), -ENODEV);
    vmt_segment_close(segment);
    look(reader);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE, "nobody may take it in between");
    vmt_add(shard, P_EVENTS, 1000); /* into nothing */
    next = resumed(&options);
    cr_assert_eq(vmt_segment_hand_over(NULL), -ENODEV);
    a = add_source(next, &part_schema, NULL, "a");
    vmt_count(a, P_EVENTS, 1);
    look(reader);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE);
    cr_assert_eq(value_of(snapshot, "a", P_EVENTS), 6);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->incarnation, 2);
    vmt_shard_release(shard);
    vmt_reader_close(reader);
    vmt_segment_close(next);
    close(options.fd);
}

struct handed {
    struct vmt_segment_options options;
    int socket;
    int stage;
};

static void write_and_give_descriptor(void *arg)
{
    struct handed *h = arg;
    struct vmt_segment *segment = NULL;

    h->options.fd = open(test_path("given"), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    REQUIRE(h->options.fd > 0);
    REQUIRE(vmt_segment_create(&h->options, &segment) == 0);
    send_descriptor(h->socket, h->options.fd);
    say(&h->stage, 1);
    for (;;)
        pause();
}

Test(resume, a_descriptor_alone_proves_nothing)
{
    struct handed *h = shared_memory(sizeof(*h));
    struct vmt_segment *segment = NULL;
    siginfo_t ended;
    int sockets[2];
    pid_t writer;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    h->options = resume("vm");
    h->socket = sockets[1];
    writer = start_child(write_and_give_descriptor, h);
    cr_assert(reached(&h->stage, 1));
    h->options.fd = receive_descriptor(sockets[0]);
    cr_assert_eq(vmt_segment_create(&h->options, &segment), -EEXIST, "its writer lives, and has not handed over");
    cr_assert_eq(kill(writer, SIGKILL), 0);
    cr_assert_eq(waitid(P_PID, (id_t)writer, &ended, WEXITED | WNOWAIT), 0);
    segment = resumed(&h->options); /* it is a zombie: nobody has asked for its status */
    cr_assert_eq(end_of(writer), 128 + SIGKILL);
    vmt_segment_close(segment);
    close(h->options.fd);
}

/* ---- in place, in a jail ---- */

Test(resume, in_place_in_a_jail)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment = NULL;
    struct vmt_source *vm, *a;
    struct vmt_reader *reader;
    struct stat st;

    options.path = test_path("in-place");
    options.fixed_bytes = 256 << 10;
    close(open(options.path, O_RDWR | O_CREAT, 0640));
    one_life(&options);
    reader = attach(options.path, VMT_READ_COPY);
    for (int life = 0; life < 50; life++) {
        segment = resumed(&options);
        vm = add_source(segment, &small_schema, NULL, "vm");
        a = add_source(segment, &part_schema, vm, "a");
        vmt_shard_release(vmt_shard_acquire(a));
        for (int i = 0; i < 10; i++) { /* whose memory the next one finds again */
            char id[16];

            snprintf(id, sizeof(id), "x-%d", i);
            vmt_count(add_source(segment, &part_schema, vm, id), P_EVENTS, 1);
        }
        vmt_segment_ready(segment);
        look(reader);
        cr_assert_eq(total_of(snapshot, "", P_EVENTS), (uint64_t)(1035 + 10 * (life + 1)));
        cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_DROPPED_SOURCES), 0);
        vmt_segment_close(segment);
    }
    vmt_reader_close(reader);
    cr_assert_eq(stat(options.path, &st), 0);
    cr_assert_eq(st.st_size, 256 << 10);
    options.fixed_bytes = 0;
    cr_assert_eq(vmt_segment_create(&options, &segment), -EBADMSG);
    cr_assert_not_null(strstr(why, "jail mode"), "%s", why);
}

Test(resume, a_half_made_file_is_made_anew)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;

    options.path = test_path("in-place");
    options.fixed_bytes = 256 << 10;
    close(open(options.path, O_RDWR | O_CREAT, 0640));
    cr_assert_eq(truncate(options.path, 128 << 10), 0); /* its creator was killed while it wrote zeros */
    segment = resumed(&options);
    cr_assert_str_eq(why, "");
    add_source(segment, &part_schema, NULL, "a");
    vmt_segment_close(segment);
}

Test(resume, a_file_of_something_else_is_left_as_it_is)
{
    struct vmt_segment_options options = resume(NULL);
    struct vmt_segment *segment = NULL;
    static const char text[8192] = "#!/bin/sh";
    static const char zeros_first[8192] = { [8000] = 'x' };
    char now[8192];

    options.path = test_path("other");
    for (int i = 0; i < 2; i++) {
        const char *content = i ? zeros_first : text;
        int fd = open(options.path, O_RDWR | O_CREAT | O_TRUNC, 0640);

        cr_assert_eq(write(fd, content, sizeof(now)), (ssize_t)sizeof(now));
        cr_assert_eq(vmt_segment_create(&options, &segment), -EMEDIUMTYPE);
        cr_assert_neq(why[0], '\0');
        cr_assert_eq(pread(fd, now, sizeof(now), 0), (ssize_t)sizeof(now));
        cr_assert_arr_eq(now, content, sizeof(now));
        close(fd);
    }
}

Test(resume, names_are_the_vmms_own)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment = NULL;

    one_life(&options);
    scribble(test_path("vm.vmt"), offsetof(struct shm_header, name), 0x782f2e2e, 8); /* "../x" */
    options.name = NULL;
    options.path = test_path("vm.vmt");
    cr_assert_eq(vmt_segment_create(&options, &segment), -EBADMSG);
    options.path = NULL;
    options.name = "vm";
    segment = resumed(&options);
    cr_assert_not_null(strstr(why, "another VM's"), "%s", why);
    cr_assert_str_eq(vmt_segment_name(segment), "vm");
    vmt_segment_close(segment);
}

Test(resume, a_file_that_others_may_write_is_not_gone_on_with)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;

    one_life(&options);
    cr_assert_eq(chmod(test_path("vm.vmt"), 0666), 0);
    segment = resumed(&options);
    cr_assert_not_null(strstr(why, "others may write it"), "%s", why);
    vmt_segment_close(segment);
    options.mode = 0660;
    segment = resumed(&options);
    vmt_segment_close(segment);
    segment = resumed(&options);
    cr_assert_str_eq(why, "", "as asked for");
    vmt_segment_close(segment);
}

Test(resume, with_less_room_goes_on_as_long_as_what_is_there_fits)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;
    struct stat st;

    one_life(&options);
    cr_assert_eq(stat(test_path("vm.vmt"), &st), 0);
    options.max_bytes = (uint64_t)st.st_size;
    segment = resumed(&options);
    cr_assert_str_eq(why, "");
    vmt_segment_close(segment);
    options.max_bytes -= 4096;
    segment = resumed(&options);
    cr_assert_not_null(strstr(why, "larger"), "%s", why);
    vmt_segment_close(segment);
}

Test(resume, a_word_in_a_help_text_changes_nothing)
{
    static struct vmt_descriptor descriptors[2];
    static struct vmt_schema mended;
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment = resumed(&options);

    vmt_count(add_source(segment, &small_schema, NULL, "a"), S_EVENTS, 3);
    vmt_segment_close(segment);
    memcpy(descriptors, small_schema.descriptors, sizeof(descriptors));
    descriptors[S_EVENTS].help = "Events, mended\xff";
    mended = small_schema;
    mended.descriptors = descriptors;
    segment = resumed(&options);
    add_source(segment, &mended, NULL, "a");
    cr_assert_eq(value_now(segment, "a", S_EVENTS), 3);
    vmt_segment_close(segment);
}

/* ---- memory ---- */

#define SIZES 80
#define SHARDS 3

static char size_names[SIZES][24];
static struct vmt_descriptor buckets[SIZES];
static struct vmt_schema sizes[SIZES];

/* One histogram of each size up to the largest, most where pages and size classes end. */
static void make_sizes(void)
{
    for (uint32_t i = 0; i < SIZES; i++) {
        uint32_t pages = i / 8, near = i % 8;
        uint32_t slots = pages * 512 + near * 3;

        slots = i >= SIZES - 4 ? VMT_SLOTS_MAX - (SIZES - 1 - i) * 5 : slots ? slots : 1;
        slots = slots < VMT_SLOTS_MAX ? slots : VMT_SLOTS_MAX - i;
        snprintf(size_names[i], sizeof(size_names[i]), "size-%u", i);
        buckets[i] = (struct vmt_descriptor){ .name = "buckets", .flags = VMT_TYPE_LOG_HIST, .size = (uint16_t)slots };
        sizes[i] = (struct vmt_schema){ size_names[i], "test", "size", &buckets[i], 1, slots };
    }
}

/* Each value of each shard is one more than it was: 1 + its size's number, once a shard. */
static void count_everywhere(struct vmt_segment *segment, bool again)
{
    static struct vmt_source *source[SIZES];
    static struct vmt_shard *shards[SIZES][SHARDS];

    for (int i = 0; i < SIZES; i++) {
        source[i] = add_source(segment, &sizes[i], NULL, size_names[i]);
        vmt_shards_acquire(source[i], SHARDS, shards[i]);
    }
    for (int i = 0; i < SIZES; i++) {
        for (int k = 0; k < SHARDS; k++) {
            for (uint32_t slot = 0; slot < sizes[i].slots; slot++)
                vmt_add(shards[i][k], slot, (uint64_t)i + 1);
        }
        vmt_shards_release(SHARDS, shards[i]);
        if (again && i % 2)
            vmt_source_remove(source[i]);
    }
}

static void check_everywhere(const char *path, uint64_t times)
{
    struct vmt_reader *reader = attach(path, VMT_READ_COPY);

    look(reader);
    for (int i = 0; i < SIZES; i++) {
        const uint64_t *values = total_named(sample_of(snapshot, ""), size_names[i])->values;

        for (uint32_t slot = 0; slot < sizes[i].slots; slot++)
            cr_assert_eq(values[slot], SHARDS * times * ((uint64_t)i + 1), "slot %u of %u: %llu", slot, sizes[i].slots,
                         (unsigned long long)values[slot]);
    }
    vmt_reader_close(reader);
}

Test(resume, no_two_blocks_of_any_size_overlap, .timeout = 60)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;
    struct stat first, last;

    make_sizes();
    for (uint64_t life = 1; life <= 8; life++) {
        segment = resumed(&options);
        cr_assert_str_eq(why, "");
        count_everywhere(segment, true);
        check_everywhere(vmt_segment_path(segment), life);
        cr_assert_eq(stat(vmt_segment_path(segment), life == 4 ? &first : &last), 0);
        vmt_segment_close(segment);
    }
    cr_assert_leq(last.st_size, first.st_size, "memory of what was removed is lost");
}

/* ---- what can't be gone on with ---- */

Test(resume, damage_is_set_aside_and_never_overwritten)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;
    char name[64];

    for (int i = 1; i <= 9; i++) {
        one_life(&options);
        scribble(test_path("vm.vmt"), offsetof(struct shm_header, schemas), 4096 * (uint64_t)i, 8);
        segment = resumed(&options);
        snprintf(name, sizeof(name), "vm~%d.vmt", i);
        cr_assert_eq(strncmp(why, name, strlen(name)), 0, "%s", why);
        cr_assert_eq(access(test_path(name), F_OK), 0);
        cr_assert_eq(value_now(segment, "", VMT_SEGMENT_SOURCES_ADDED), 0, "a new one");
        vmt_segment_close(segment);
        unlink(test_path("vm.vmt"));
    }
    one_life(&options);
    scribble(test_path("vm.vmt"), 0, 0, 8);
    cr_assert_eq(vmt_segment_create(&options, &segment), -EEXIST, "there are nine");
    cr_assert_not_null(strstr(why, "vm.vmt"), "%s", why);
}

#define AT(type, field) offsetof(struct type, field), sizeof(((struct type *)0)->field)

Test(resume, whatever_contradicts_itself_is_refused, .timeout = 60)
{
    enum { HEADER, ROOT, VM, A };
    static const struct row {
        const char *what;
        int where;
        uint64_t offset;
        size_t bytes;
        uint64_t value;
        int result;
    } rows[] = {
        { "major", HEADER, AT(shm_header, major), 2, -EPROTONOSUPPORT },
        { "minor", HEADER, AT(shm_header, minor), 1, -EPROTONOSUPPORT },
        { "compatible", HEADER, AT(shm_header, compatible), 2, -EPROTONOSUPPORT },
        { "incompatible", HEADER, AT(shm_header, incompatible), 1, -EPROTONOSUPPORT },
        { "header_bytes", HEADER, AT(shm_header, header_bytes), 8192, -EBADMSG },
        { "max_bytes", HEADER, AT(shm_header, max_bytes), UINT64_MAX, -EBADMSG },
        { "max_bytes", HEADER, AT(shm_header, max_bytes), 0, -EBADMSG },
        { "source_offset", HEADER, AT(shm_header, source_offset), 8192, -EBADMSG },
        { "source_bytes", HEADER, AT(shm_header, source_bytes), 256, -EBADMSG },
        { "source_limit", HEADER, AT(shm_header, source_limit), 1U << 20, -EBADMSG },
        { "file_bytes", HEADER, AT(shm_header, file_bytes), 0, -EBADMSG },
        { "file_bytes", HEADER, AT(shm_header, file_bytes), 1U << 30, -EBADMSG },
        { "file_bytes", HEADER, AT(shm_header, file_bytes), 4096, -EBADMSG },
        { "source_used", HEADER, AT(shm_header, source_used), 0, -EBADMSG },
        { "source_used", HEADER, AT(shm_header, source_used), 20000, -EBADMSG },
        { "name", HEADER, AT(shm_header, name) / 8, 0x41, -EBADMSG },
        { "schemas", HEADER, AT(shm_header, schemas), 0, -EBADMSG },
        { "generation of source 0", ROOT, AT(shm_entry, generation), 3, -EBADMSG },
        { "parent of source 0", ROOT, AT(shm_entry, parent), 1, -EBADMSG },
        { "state of source 0", ROOT, AT(shm_entry, state), SHM_FREE, -EBADMSG },
        { "state", A, AT(shm_entry, state), 3, -EBADMSG },
        { "parent", A, AT(shm_entry, parent), 2, -EBADMSG },
        { "parent", A, AT(shm_entry, parent), 77, -EBADMSG },
        { "parent's generation", A, AT(shm_entry, parent_generation), 4, -EBADMSG },
        { "a circle", VM, AT(shm_entry, parent), 2, -EBADMSG },
        { "schema", A, AT(shm_entry, schema), 4096, -EBADMSG },
        { "shards", A, AT(shm_entry, shards), 128, -EBADMSG },
        { "shards", A, AT(shm_entry, shards), UINT64_MAX - 127, -EBADMSG },
        { "shared", A, AT(shm_entry, shared), 0, -EBADMSG },
        { "departed", VM, AT(shm_entry, departed), 0, -EBADMSG },
        { "departed", A, AT(shm_entry, departed), 4096, -EBADMSG },
        { "name", A, AT(shm_entry, name) / 6, 0x2f2f2f, -EBADMSG },
        { "the name of another", A, AT(shm_entry, name) / 6, 'b', -EBADMSG },
    };
    static const uint64_t places[] = { 0, 4096, 4096 + 128, 4096 + 256 };
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment = NULL;

    one_life(&options);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const struct row *row = &rows[i];
        char command[512], copy[2][128];

        snprintf(copy[0], sizeof(copy[0]), "%s", test_path("copy"));
        snprintf(copy[1], sizeof(copy[1]), "%s", test_path("before"));
        snprintf(command, sizeof(command), "cp '%s' '%s'", test_path("vm.vmt"), copy[0]);
        cr_assert_eq(system(command), 0);
        scribble(copy[0], places[row->where] + row->offset, row->value, row->bytes);
        snprintf(command, sizeof(command), "cp '%s' '%s'", copy[0], copy[1]);
        cr_assert_eq(system(command), 0);
        options.path = copy[0];
        cr_assert_eq(vmt_segment_create(&options, &segment), row->result, "%s", row->what);
        cr_assert_neq(why[0], '\0', "%s: no reason is given", row->what);
        snprintf(command, sizeof(command), "cmp '%s' '%s'", copy[0], copy[1]);
        cr_assert_eq(system(command), 0, "%s: it was written to", row->what);
    }
}

Test(resume, someone_elses_file_is_never_gone_on_with)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;

    if (geteuid() != 0)
        cr_skip_test("only root can give a file away");
    one_life(&options);
    cr_assert_eq(chown(test_path("vm.vmt"), 12345, 12345), 0);
    segment = resumed(&options);
    cr_assert_not_null(strstr(why, "another user's"), "%s", why);
    cr_assert_eq(access(test_path("vm~1.vmt"), F_OK), 0);
    vmt_segment_close(segment);
}

Test(resume, a_readers_lock_does_not_keep_a_vmm_from_its_name)
{
    struct vmt_segment_options options = resume("vm");
    struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
    struct vmt_segment *segment = NULL;
    int fd;

    one_life(&options);
    fd = open(test_path("vm.vmt"), O_RDONLY);
    cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
    options.path = test_path("vm.vmt");
    cr_assert_eq(vmt_segment_create(&options, &segment), -EBUSY);
    options.path = NULL;
    segment = resumed(&options);
    cr_assert_not_null(strstr(why, "read lock"), "%s", why);
    close(fd);
    vmt_segment_close(segment);
}

Test(resume, a_reader_that_waits_for_each_death_costs_the_totals_but_never_the_statistics)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;

    for (int i = 1; i <= 10; i++) {
        struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
        int fd;

        one_life(&options);
        fd = open(test_path("vm.vmt"), O_RDONLY);
        cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
        segment = resumed(&options);
        cr_assert_not_null(strstr(why, "read lock"), "%s", why);
        cr_assert_eq(value_now(segment, "", VMT_SEGMENT_SOURCES_ADDED), 0, "a new one");
        vmt_segment_close(segment);
        unlink(test_path("vm.vmt"));
        close(fd);
    }
}

Test(resume, what_was_made_by_name_is_known_by_it_after_a_hand_over)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;

    options.keep = 0;
    segment = resumed(&options);
    options.fd = vmt_segment_hand_over(segment);
    segment = resumed(&options);
    cr_assert_str_eq(vmt_segment_path(segment), test_path("vm.vmt"));
    vmt_segment_close(segment);
    close(options.fd);
    cr_assert_neq(access(test_path("vm.vmt"), F_OK), 0, "it is unlinked as it would have been");
}

static void live_on(void *arg)
{
    (void)arg;
    nap_us(20000);
}

static void *create_slowly(void *arg)
{
    struct vmt_segment *segment = NULL;

    vmt_segment_create(arg, &segment);
    pthread_testcancel();
    return NULL;
}

Test(resume, a_thread_cancelled_in_it_keeps_no_lock, .timeout = 60)
{
    struct vmt_segment_options options = resume("vm");
    struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
    pthread_t thread;
    void *ret;
    int fd;

    one_life(&options);
    fd = open(test_path("vm.vmt"), O_RDONLY);
    cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0); /* then it waits for a tenth of a second */
    cr_assert_eq(pthread_create(&thread, NULL, create_slowly, &options), 0);
    nap_us(20000);
    pthread_cancel(thread);
    pthread_join(thread, &ret);
    cr_assert_eq(ret, PTHREAD_CANCELED);
    close(fd);
    assert_child(live_on, NULL);
}

/* ---- fork beside coming and going ---- */

static int stop;

static void *come_and_go(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "coming" };

    (void)arg;
    while (!said(&stop)) {
        struct vmt_segment *segment = NULL;

        if (vmt_segment_create(&options, &segment) == 0)
            vmt_segment_close(segment);
    }
    return NULL;
}

Test(resume, a_child_forked_meanwhile_keeps_no_lock, .timeout = 60)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "coming" };
    struct vmt_segment *segment = NULL;
    pthread_t thread;
    pid_t children[100];

    cr_assert_eq(pthread_create(&thread, NULL, come_and_go, NULL), 0);
    for (size_t i = 0; i < LENGTH(children); i++)
        children[i] = start_child(live_on, NULL);
    say(&stop, 1);
    pthread_join(thread, NULL);
    cr_assert_eq(vmt_segment_create(&options, &segment), 0, "a child that still lives holds the lock");
    vmt_segment_close(segment);
    for (size_t i = 0; i < LENGTH(children); i++)
        cr_assert_eq(end_of(children[i]), 0);
}
