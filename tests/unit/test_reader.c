/* SPDX-License-Identifier: MIT */
/* Attaching to whatever lies there, read-only; and what happens when the file changes under a reader. */
#include "one_source.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

static void setup_count(void)
{
    setup();
    vmt_add(vmt_shard_acquire(source), P_EVENTS, 5);
}

TestSuite(reader, .init = setup_count, .fini = teardown);

static void write_file(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, n), (ssize_t)n);
    close(fd);
}

/* All bytes of a file; free them. */
static char *read_file(const char *path, size_t *n)
{
    struct stat st;
    char *bytes;
    int fd = open(path, O_RDONLY);

    cr_assert_geq(fd, 0);
    cr_assert_eq(fstat(fd, &st), 0);
    bytes = malloc((size_t)st.st_size);
    *n = (size_t)st.st_size;
    cr_assert_eq(read(fd, bytes, *n), st.st_size);
    close(fd);
    return bytes;
}

/* The segment's file as it is now, in a file that nobody writes. */
static const char *copy_of_segment(const char *name)
{
    const char *path = test_path(name);
    size_t n;
    char *bytes = read_file(vmt_segment_path(segment), &n);

    write_file(path, bytes, n);
    free(bytes);
    return path;
}

/* ---- options ---- */

Test(reader, bad_options_are_refused)
{
    struct vmt_reader *reader = (void *)0x1;
    struct {
        struct vmt_reader_options options;
        uint64_t later;
    } newer = { .options = { .struct_size = sizeof(newer) }, .later = 1 };
    const struct vmt_reader_options bad[] = {
        { .struct_size = 4 },
        { .struct_size = sizeof(bad[0]), .mode = (enum vmt_read_mode)2 },
        { .struct_size = sizeof(bad[0]), .reserved = 1 },
    };

    for (size_t i = 0; i < LENGTH(bad); i++)
        cr_assert_eq(vmt_reader_open(vmt_segment_path(segment), &bad[i], &reader), -EINVAL);
    cr_assert_eq(vmt_reader_open(vmt_segment_path(segment), &newer.options, &reader), -EINVAL,
                 "an option invented later was ignored");
    cr_assert_eq(reader, (void *)0x1);
    newer.later = 0;
    cr_assert_eq(vmt_reader_open(vmt_segment_path(segment), &newer.options, &reader), 0);
    vmt_reader_close(reader);
}

Test(reader, path_may_be_relative)
{
    struct vmt_reader *reader;

    cr_assert_eq(chdir(test_path("")), 0);
    reader = attach("vm.vmt", VMT_READ_COPY);
    cr_assert_str_eq(vmt_reader_path(reader), "vm.vmt");
    vmt_reader_close(reader);
}

Test(reader, what_lies_behind_its_limit_is_missing_and_said_to_be)
{
    /* Behind the table and the first chunk, but not behind the last shard. */
    struct vmt_reader_options options = { .struct_size = sizeof(options), .max_bytes = (2 << 20) + (128 << 10) };
    struct vmt_snapshot *snapshot = new_snapshot();
    struct vmt_reader *reader = NULL;

    for (int i = 0; i < 100; i++) {
        struct vmt_source *more = NULL;

        cr_assert_eq(vmt_source_addf(segment, &part_schema, NULL, &more, "s-%d", i), 0);
        vmt_add(vmt_shard_acquire(more), P_EVENTS, 1);
    }
    cr_assert_eq(vmt_reader_open(vmt_segment_path(segment), &options, &reader), 0);
    cr_assert_eq(vmt_snapshot_take(snapshot, reader), 1);
    cr_assert(vmt_snapshot_segment(snapshot)->flags & VMT_SNAPSHOT_PARTIAL);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE);
    cr_assert_eq(value_of(snapshot, "a", P_EVENTS), 5);
    cr_assert_lt(vmt_snapshot_count(snapshot), 102);
    for (uint32_t t = 0; t < vmt_snapshot_source(snapshot, 0)->total_count; t++)
        cr_assert_eq(vmt_snapshot_source(snapshot, 0)->totals[t].flags, VMT_SAMPLE_ABSENT, "a total was guessed");
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

/* ---- read-only ---- */

/* As somebody who may read it and nothing else. */
static void read_as_nobody(void *arg)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = VMT_READ_GUARDED };
    struct vmt_reader *reader = NULL;
    struct vmt_snapshot *snapshot = NULL;

    (void)arg;
    REQUIRE(chmod(test_path(""), 0755) == 0);
    REQUIRE(chmod(vmt_segment_path(segment), 0444) == 0);
    if (getuid() == 0)
        REQUIRE(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    /* segment is not ours any more, but its path is still in our memory */
    REQUIRE(access(test_path("vm.vmt"), W_OK) < 0);
    for (int mode = VMT_READ_COPY; mode <= VMT_READ_GUARDED; mode++) {
        options.mode = (enum vmt_read_mode)mode;
        REQUIRE(vmt_reader_open(test_path("vm.vmt"), &options, &reader) == 0);
        REQUIRE(vmt_snapshot_new(&snapshot) == 0);
        REQUIRE(vmt_snapshot_take(snapshot, reader) == 0);
        REQUIRE(vmt_snapshot_segment(snapshot)->state == VMT_STATE_LIVE);
        REQUIRE(vmt_snapshot_find(snapshot, "a")->values[P_EVENTS] == 5);
        vmt_snapshot_free(snapshot);
        vmt_reader_close(reader);
    }
}

Test(reader, needs_read_permission_only) { assert_child(read_as_nobody, NULL); }

static void be_refused(void *arg)
{
    struct vmt_reader *reader = NULL;

    (void)arg;
    REQUIRE(chmod(test_path(""), 0755) == 0);
    REQUIRE(chmod(test_path("vm.vmt"), getuid() == 0 ? 0600 : 0) == 0);
    if (getuid() == 0)
        REQUIRE(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    REQUIRE(vmt_reader_open(test_path("vm.vmt"), NULL, &reader) == -EACCES);
    REQUIRE(vmt_check(test_path("vm.vmt"), NULL, 0) == -EACCES);
}

Test(reader, without_permission_is_an_error) { assert_child(be_refused, NULL); }

Test(reader, maps_what_it_reads_read_only)
{
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_GUARDED);
    struct vmt_snapshot *snapshot = new_snapshot();
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096];
    int writer = 0, mine = 0;

    take(snapshot, reader);
    cr_assert_not_null(maps);
    while (fgets(line, sizeof(line), maps)) {
        if (!strstr(line, "/vm.vmt"))
            continue;
        writer += strstr(line, " rw-s ") != NULL;
        mine += strstr(line, " r--s ") != NULL;
    }
    fclose(maps);
    cr_assert_eq(writer, 1, "the writer's own");
    cr_assert_eq(mine, 1);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

Test(reader, changes_nothing_in_the_file_and_locks_nothing)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    const char *path = copy_of_segment("copy");
    struct stat before, after;
    size_t n, m;
    char *bytes = read_file(path, &n), *again, why[256];
    int fd = open(path, O_RDWR);

    cr_assert_eq(fstat(fd, &before), 0);
    for (int mode = VMT_READ_COPY; mode <= VMT_READ_GUARDED; mode++) {
        struct vmt_reader *reader = attach(path, (enum vmt_read_mode)mode);
        struct vmt_snapshot *snapshot = new_snapshot();
        uint64_t values[P_SLOTS];

        vmt_snapshot_want_shards(snapshot, 1);
        for (int i = 0; i < 10; i++)
            take(snapshot, reader);
        vmt_reader_sample(reader, sample_of(snapshot, "a"), values);
        vmt_reader_state(reader);
        cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0, "a reader keeps a writer out");
        lock.l_type = F_UNLCK;
        cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
        lock.l_type = F_WRLCK;
        vmt_snapshot_free(snapshot);
        vmt_reader_close(reader);
    }
    vmt_check(path, why, sizeof(why));
    cr_assert_eq(vmt_remove_dead(path, 1), 0);
    again = read_file(path, &m);
    cr_assert_eq(n, m);
    cr_assert_arr_eq(bytes, again, n);
    cr_assert_eq(fstat(fd, &after), 0);
    cr_assert_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    cr_assert_eq(before.st_blocks, after.st_blocks, "reading allocated memory in the file system");
    free(bytes);
    free(again);
    close(fd);
}

/* ---- whose it is ---- */

static struct vmt_segment_info info_of(const char *path, enum vmt_read_mode mode)
{
    struct vmt_reader *reader = attach(path, mode);
    struct vmt_snapshot *snapshot = new_snapshot();
    struct vmt_segment_info info;

    take(snapshot, reader);
    info = *vmt_snapshot_segment(snapshot);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    return info;
}

/* In a sticky directory whoever may create files can put one there with any name and any identity in it. */
static void read_foreign_ones(void *arg)
{
    static const struct {
        uid_t dir, file, reader;
        bool foreign;
    } rows[] = {
        { 0, 0, 0, false },       { 0, 1001, 0, true },       { 1001, 1001, 0, false }, { 1002, 1001, 0, true },
        { 0, 0, 1001, false },    { 0, 1001, 1001, false },   { 0, 1002, 1001, true },  { 1002, 1002, 1001, false },
        { 1001, 0, 1002, false }, { 1001, 1002, 1001, true },
    };

    for (size_t i = 0; i < LENGTH(rows); i++) {
        REQUIRE(chown(test_path("sticky"), rows[i].dir, 0) == 0);
        REQUIRE(chown(arg, rows[i].file, 0) == 0);
        REQUIRE(seteuid(rows[i].reader) == 0);
        for (int mode = VMT_READ_COPY; mode <= VMT_READ_GUARDED; mode++) {
            struct vmt_segment_info info = info_of(arg, (enum vmt_read_mode)mode);

            REQUIRE(info.uid == rows[i].file);
            if ((info.flags & VMT_SNAPSHOT_FOREIGN ? 1 : 0) != rows[i].foreign) {
                fprintf(stderr, "row %zu: %s\n", i, rows[i].foreign ? "not seen to be foreign" : "held to be foreign");
                _exit(1);
            }
        }
        REQUIRE(seteuid(0) == 0);
    }
}

Test(reader, says_whose_a_file_is_and_whether_that_is_somebody_to_trust)
{
    const char *path;

    if (getuid() != 0)
        cr_skip_test("only root can give files away");
    cr_assert_eq(mkdir(test_path("sticky"), 0755), 0);
    cr_assert_eq(chmod(test_path("sticky"), 01777), 0);
    cr_assert_eq(chmod(test_path(""), 0755), 0);
    path = copy_of_segment("sticky/vm.vmt");
    assert_child(read_foreign_ones, (void *)(uintptr_t)path);
}

Test(reader, of_this_process_is_nobody_elses)
{
    struct vmt_reader *reader = attach_here(segment);
    struct vmt_snapshot *snapshot = new_snapshot();

    take(snapshot, reader);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->uid, geteuid());
    cr_assert_eq(vmt_snapshot_segment(snapshot)->flags, 0);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

/* A file given away after it was attached to. */
Test(reader, notices_that_a_file_was_given_away)
{
    const char *path = copy_of_segment("copy");
    struct vmt_reader *reader = attach(path, VMT_READ_COPY);
    struct vmt_snapshot *snapshot = new_snapshot();

    if (getuid() != 0)
        cr_skip_test("only root can give files away");
    take(snapshot, reader);
    cr_assert_not(vmt_snapshot_segment(snapshot)->flags & VMT_SNAPSHOT_FOREIGN);
    cr_assert_eq(chown(path, 1001, 1001), 0);
    take(snapshot, reader);
    cr_assert(vmt_snapshot_segment(snapshot)->flags & VMT_SNAPSHOT_FOREIGN);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

/* ---- truncation ---- */

Test(reader, by_copying_survives_truncation)
{
    static const off_t sizes[] = { 1 << 20, 8192, 4096, 4095, 1, 0 };

    for (size_t i = 0; i < LENGTH(sizes); i++) {
        const char *path = copy_of_segment("copy");
        struct vmt_reader *reader = attach(path, VMT_READ_COPY);
        struct vmt_snapshot *snapshot = new_snapshot();
        uint64_t values[P_SLOTS];

        take(snapshot, reader);
        cr_assert_eq(truncate(path, sizes[i]), 0);
        cr_assert_eq(vmt_reader_sample(reader, sample_of(snapshot, "a"), values), -EBADMSG);
        cr_assert_eq(vmt_snapshot_take(snapshot, reader), -EBADMSG);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_DAMAGED);
        cr_assert_eq(vmt_snapshot_count(snapshot), 0);
        cr_assert_eq(vmt_reader_state(reader), VMT_STATE_DAMAGED);
        copy_of_segment("copy"); /* whole again, but who did that may do anything */
        cr_assert_eq(vmt_snapshot_take(snapshot, reader), -EBADMSG);
        vmt_snapshot_free(snapshot);
        vmt_reader_close(reader);
        cr_assert_eq(unlink(path), 0);
    }
}

Test(reader, through_a_mapping_survives_truncation_without_a_system_call_in_between)
{
    const char *path = copy_of_segment("copy");
    struct vmt_reader *reader = attach(path, VMT_READ_GUARDED);
    struct vmt_snapshot *snapshot = new_snapshot();
    uint64_t values[P_SLOTS];

    take(snapshot, reader);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->flags, VMT_SNAPSHOT_MAPPED);
    cr_assert_eq(truncate(path, 4096), 0);
    cr_assert_eq(vmt_reader_sample(reader, sample_of(snapshot, "a"), values), -EBADMSG);
    copy_of_segment("copy");
    cr_assert_eq(vmt_snapshot_take(snapshot, reader), -EBADMSG, "damaged once is damaged for good");
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_DAMAGED);
    cr_assert_eq(vmt_reader_state(reader), VMT_STATE_DAMAGED);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

static int stop;
static int cuts;

static void *cut(void *arg)
{
    unsigned seed = 1;

    while (!said(&stop)) {
        nap_us(rand_r(&seed) % 200);
        REQUIRE(truncate(arg, rand_r(&seed) % (3 << 20)) == 0);
        say(&cuts, cuts + 1);
    }
    return NULL;
}

Test(reader, survives_truncation_at_any_moment, .timeout = 60)
{
    int damaged = 0;

    for (int i = 0; i < (SANITIZED ? 40 : 200); i++) {
        struct vmt_reader *reader;
        struct vmt_snapshot *snapshot = new_snapshot();
        const char *path = copy_of_segment("copy");
        pthread_t thread;

        reader = attach(path, i & 1 ? VMT_READ_GUARDED : VMT_READ_COPY);
        say(&stop, 0);
        say(&cuts, 0);
        cr_assert_eq(pthread_create(&thread, NULL, cut, (void *)(uintptr_t)path), 0);
        /* As long as it takes the other thread to get going, and a while longer. */
        for (int k = 0; k < 100 || __atomic_load_n(&cuts, __ATOMIC_ACQUIRE) < 5; k++) {
            int r = vmt_snapshot_take(snapshot, reader);

            cr_assert(r == 0 || r == 1 || r == -EBADMSG, "%s", strerror(-r));
            damaged += r == -EBADMSG;
            if (r < 0)
                break;
        }
        say(&stop, 1);
        pthread_join(thread, NULL);
        vmt_snapshot_free(snapshot);
        vmt_reader_close(reader);
    }
    cr_assert_gt(damaged, 0, "it was never truncated");
}

/* ---- what it takes of its host ---- */

#define STACK_BYTES (256U << 10)

static void *do_it_all(void *arg)
{
    static struct vmt_snapshot *snapshot;
    struct vmt_found *found = NULL;
    uint64_t values[P_SLOTS];
    char why[64];
    long count;

    (void)arg;
    REQUIRE(vmt_snapshot_new(&snapshot) == 0);
    for (int way = 0; way < 4; way++) {
        struct vmt_reader_options options = { .struct_size = sizeof(options),
                                              .mode = way & 1 ? VMT_READ_GUARDED : VMT_READ_COPY };
        struct vmt_reader *reader = NULL;

        REQUIRE(vmt_reader_open(test_path("vm.vmt"), &options, &reader) == 0);
        vmt_snapshot_want_shards(snapshot, way & 2);
        REQUIRE(vmt_snapshot_take(snapshot, reader) == 0);
        REQUIRE(vmt_reader_sample(reader, vmt_snapshot_find(snapshot, "a"), values) == 0);
        vmt_reader_state(reader);
        vmt_reader_close(reader);
    }
    vmt_snapshot_free(snapshot);
    REQUIRE(vmt_check(test_path("vm.vmt"), why, sizeof(why)) == VMT_STATE_LIVE);
    REQUIRE(vmt_remove_dead(test_path("vm.vmt"), 1) == -EBUSY);
    count = vmt_discover(NULL, &found);
    REQUIRE(count == 1);
    vmt_found_free(found, count);
    return NULL;
}

Test(reader, needs_no_more_stack_than_it_says)
{
    static _Alignas(4096) unsigned char stack[STACK_BYTES];
    pthread_attr_t attributes;
    pthread_t thread;
    size_t untouched = 0;

    if (SANITIZED)
        cr_skip_test("sanitizers have frames of their own");
    memset(stack, 0xa5, sizeof(stack));
    cr_assert_eq(pthread_attr_init(&attributes), 0);
    cr_assert_eq(pthread_attr_setstack(&attributes, stack, sizeof(stack)), 0);
    cr_assert_eq(pthread_create(&thread, &attributes, do_it_all, NULL), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    while (untouched < sizeof(stack) && stack[untouched] == 0xa5)
        untouched++;
    cr_assert_leq(sizeof(stack) - untouched, 24U << 10, "%zu bytes of stack", sizeof(stack) - untouched);
}

/* ---- following the file ---- */

Test(reader, follows_growth_new_sources_and_new_schemas)
{
    struct vmt_reader *readers[] = { attach(vmt_segment_path(segment), VMT_READ_COPY),
                                     attach(vmt_segment_path(segment), VMT_READ_GUARDED), attach_here(segment) };
    struct vmt_snapshot *snapshot = new_snapshot();

    for (size_t i = 0; i < LENGTH(readers); i++)
        take(snapshot, readers[i]);
    for (int n = 0; n < 200; n++) {
        struct vmt_source *more = NULL;

        cr_assert_eq(vmt_source_addf(segment, n & 1 ? &vmt_schema_vcpu : &vmt_schema_net, NULL, &more, "s-%d", n), 0);
        vmt_add(vmt_shard_acquire(more), 0, 1);
        if (n % 20 == 0)
            for (size_t i = 0; i < LENGTH(readers); i++) {
                take(snapshot, readers[i]);
                cr_assert_eq(vmt_snapshot_count(snapshot), (size_t)n + 3);
            }
    }
    for (size_t i = 0; i < LENGTH(readers); i++)
        vmt_reader_close(readers[i]);
    vmt_snapshot_free(snapshot);
}

Test(reader, of_this_process_needs_an_open_segment)
{
    struct vmt_segment *other = new_segment("other");
    struct vmt_reader *reader = (void *)0x1, *late;
    struct vmt_snapshot *snapshot = new_snapshot();

    cr_assert_eq(vmt_reader_open_segment(NULL, &reader), -ENODEV);
    late = attach_here(other);
    cr_assert_eq(vmt_snapshot_take(snapshot, late), 0);
    vmt_segment_close(other);
    cr_assert_eq(vmt_reader_open_segment(other, &reader), -ENODEV);
    cr_assert_eq(reader, (void *)0x1);
    cr_assert_eq(vmt_snapshot_take(snapshot, late), -EIO, "closed too early: an error, not a crash");
    cr_assert_eq(vmt_snapshot_count(snapshot), 0, "nor what was there before");
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_CLOSED);
    vmt_reader_close(late);
    vmt_snapshot_free(snapshot);
}
