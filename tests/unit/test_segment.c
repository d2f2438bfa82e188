/* SPDX-License-Identifier: MIT */
/* Creating a segment: where, under which name, what is refused, and that a refusal leaves nothing behind. */
#include "parts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>

TestSuite(segment, .init = test_dir_init, .fini = test_dir_fini);

#define OPTIONS(...) (&(struct vmt_segment_options){ .struct_size = sizeof(struct vmt_segment_options), __VA_ARGS__ })

/* Entries in the test's directory, hidden ones counted too. */
static off_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? -1 : st.st_size;
}

static void make_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void assert_refused(const struct vmt_segment_options *options, int error, const char *what)
{
    struct vmt_segment *segment = (void *)0x1;
    int before = test_dir_files();
    int r = vmt_segment_create(options, &segment);

    cr_expect_eq(r, error, "%.40s: %s, not %s", what, r ? strerror(-r) : "created", strerror(-error));
    cr_expect_eq(segment, (void *)0x1, "%.40s: the out-parameter was touched", what);
    cr_expect_eq(test_dir_files(), before, "%.40s: something was left behind", what);
}

/* ---- what is made ---- */

Test(segment, is_made_whole_under_its_name_and_says_who_wrote_it)
{
    const char *labels[] = { "rack=7", "empty=", NULL };
    struct vmt_segment *segment = NULL;
    struct vmt_snapshot *snapshot = new_snapshot();
    const struct vmt_segment_info *info;
    struct vmt_reader *reader;
    struct stat st;

    umask(077);
    cr_assert_eq(vmt_segment_create(OPTIONS(.name = "web-1", .labels = labels), &segment), 0);
    cr_assert_str_eq(vmt_segment_path(segment), test_path("web-1.vmt"));
    cr_assert_str_eq(vmt_segment_name(segment), "web-1");
    cr_assert_eq(test_dir_files(), 1);
    cr_assert_eq(stat(vmt_segment_path(segment), &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0640, "%o", st.st_mode);
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    take(snapshot, reader);
    info = vmt_snapshot_segment(snapshot);
    cr_assert_str_eq(info->name, "web-1");
    cr_assert_str_eq(info->path, vmt_segment_path(segment));
    cr_assert_eq(info->pid, (uint32_t)getpid());
    cr_assert_neq(info->pid_start, 0);
    cr_assert_eq(info->major, 1);
    cr_assert_eq(info->incarnation, 1);
    cr_assert_eq(info->state, VMT_STATE_LIVE);
    cr_assert_eq(info->flags, 0);
    cr_assert_str_eq(info->labels[0], "rack=7");
    cr_assert_str_eq(info->labels[1], "empty=");
    cr_assert_null(info->labels[2]);
    cr_assert_leq(info->created_ns, info->realtime_ns);
    cr_assert_gt(info->created_ns, info->realtime_ns - 60000000000U);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
}

Test(segment, without_a_name_takes_the_programs_and_its_process_id)
{
    struct vmt_segment *segment = NULL;
    char want[32];

    cr_assert_eq(vmt_segment_create(NULL, &segment), 0);
    snprintf(want, sizeof(want), "-%d", (int)getpid());
    cr_assert(strstr(vmt_segment_name(segment), want), "%s", vmt_segment_name(segment));
    vmt_segment_close(segment);
}

Test(segment, identities_differ)
{
    struct vmt_segment *segments[2] = { new_segment("a"), new_segment("b") };
    struct vmt_snapshot *snapshots[2] = { new_snapshot(), new_snapshot() };

    for (int i = 0; i < 2; i++) {
        struct vmt_reader *reader = attach(vmt_segment_path(segments[i]), VMT_READ_COPY);

        take(snapshots[i], reader);
        vmt_reader_close(reader);
    }
    cr_assert_arr_neq(vmt_snapshot_segment(snapshots[0])->identity, vmt_snapshot_segment(snapshots[1])->identity, 16);
    for (int i = 0; i < 2; i++) {
        vmt_snapshot_free(snapshots[i]);
        vmt_segment_close(segments[i]);
    }
}

Test(segment, its_smallest_sizes_take_a_source_and_a_shard)
{
    const struct vmt_segment_options *small[] = { OPTIONS(.name = "a", .max_bytes = 65536),
                                                  OPTIONS(.name = "b", .fixed_bytes = 65536),
                                                  OPTIONS(.name = "c", .max_bytes = 65536, .max_sources = 2) };

    for (size_t i = 0; i < LENGTH(small); i++) {
        struct vmt_segment *segment = NULL;
        struct vmt_shard *shard;
        int r = vmt_segment_create(small[i], &segment);

        cr_assert_eq(r, 0, "%s: %s", small[i]->name, strerror(-r));
        shard = vmt_shard_acquire(add_source(segment, &small_schema, NULL, "one"));
        vmt_add(shard, S_EVENTS, 5);
        cr_assert_eq(value_now(segment, "one", S_EVENTS), 5, "%s", small[i]->name);
        vmt_segment_close(segment);
    }
}

/* ---- what is refused ---- */

Test(segment, bad_names_are_refused)
{
    static const struct {
        const char *name;
        int error;
    } bad[] = {
        { "", -EINVAL },
        { ".hidden", -EINVAL },
        { "a/b", -EINVAL },
        { "a b", -EINVAL },
        { "..", -EINVAL },
        { "a\n", -EINVAL },
        { "caf\xc3\xa9", -EINVAL },
        { "a*", -EINVAL },
        { "1234567890123456789012345678901234567890123456789012345678901234", -ENAMETOOLONG },
    };
    struct vmt_segment *segment = NULL;

    for (size_t i = 0; i < LENGTH(bad); i++)
        assert_refused(OPTIONS(.name = bad[i].name), bad[i].error, bad[i].name);
    cr_assert_eq(vmt_segment_create(OPTIONS(.name = "123456789012345678901234567890123456789012345678901234567890123"),
                                    &segment),
                 0);
    vmt_segment_close(segment);
    cr_assert_eq(vmt_segment_create(OPTIONS(.name = "A.z_0:9@+-"), &segment), 0);
    vmt_segment_close(segment);
}

Test(segment, bad_options_are_refused)
{
    struct {
        struct vmt_segment_options options;
        uint64_t later;
    } newer = { .options = { .struct_size = sizeof(newer), .name = "newer" } };
    struct vmt_segment_options older = { .struct_size = offsetof(struct vmt_segment_options, dir),
                                         .name = "older",
                                         .mode = 77 };
    struct vmt_segment *segment = NULL;

    make_file(test_path("given"), "");
    assert_refused(OPTIONS(.name = "a", .path = test_path("given"), .fd = 3), -EINVAL, "path and fd");
    assert_refused(OPTIONS(.name = "a", .path = test_path("given"), .dir = test_path("")), -EINVAL, "path and dir");
    assert_refused(OPTIONS(.name = "a", .fd = -1), -EBADF, "fd of a failed open");
    assert_refused(OPTIONS(.name = "a", .max_sources = VMT_SOURCES_MAX + 1), -EINVAL, "max_sources");
    assert_refused(OPTIONS(.name = "a", .max_bytes = 4096), -EINVAL, "max_bytes too small");
    assert_refused(OPTIONS(.name = "a", .max_bytes = UINT64_MAX), -EINVAL, "max_bytes too large");
    assert_refused(OPTIONS(.name = "a", .fixed_bytes = 4096), -EINVAL, "fixed_bytes too small");
    assert_refused(OPTIONS(.name = "a", .fixed_bytes = UINT64_MAX), -EINVAL, "fixed_bytes too large");
    assert_refused(OPTIONS(.name = "a", .fixed_bytes = 1 << 20, .max_bytes = 1 << 20), -EINVAL, "both sizes");
    assert_refused(OPTIONS(.name = "a", .max_bytes = 1 << 20, .max_sources = 100000), -EINVAL, "table too large");
    assert_refused(&(struct vmt_segment_options){ .struct_size = 4 }, -EINVAL, "struct_size");
    newer.later = 1;
    assert_refused(&newer.options, -EINVAL, "an option invented later");

    newer.later = 0;
    cr_assert_eq(vmt_segment_create(&newer.options, &segment), 0, "a newer caller who asks for nothing new");
    vmt_segment_close(segment);
    cr_assert_eq(vmt_segment_create(&older, &segment), 0, "an older caller");
    vmt_segment_close(segment);
}

Test(segment, bad_labels_are_refused_and_leave_nothing_behind)
{
    static char too_long[1100];
    static const struct {
        const char *label;
        int error;
    } bad[] = {
        { "no-equals-sign", -EINVAL }, { "=value", -EINVAL },       { "", -EINVAL },
        { "a=b\n", -EINVAL },          { too_long, -ENAMETOOLONG },
    };

    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[1] = '=';
    make_file(test_path("given"), "");
    for (size_t i = 0; i < LENGTH(bad); i++) {
        const char *labels[] = { "fine=yes", bad[i].label, NULL };

        assert_refused(OPTIONS(.name = "a", .labels = labels), bad[i].error, bad[i].label);
        assert_refused(OPTIONS(.name = "a", .labels = labels, .path = test_path("given")), bad[i].error, bad[i].label);
        cr_expect_eq(size_of(test_path("given")), 0, "%.20s: the file in place was written to", bad[i].label);
    }
}

Test(segment, bad_directories_are_refused)
{
    static char too_long[5000];

    memset(too_long, 'x', sizeof(too_long) - 1);
    make_file(test_path("file"), "");
    assert_refused(OPTIONS(.name = "a", .dir = ""), -ENOENT, "empty");
    assert_refused(OPTIONS(.name = "a", .dir = test_path("none/none")), -ENOENT, "no parent");
    assert_refused(OPTIONS(.name = "a", .dir = test_path("file")), -ENOTDIR, "a file");
    assert_refused(OPTIONS(.name = "a", .dir = too_long), -ENAMETOOLONG, "too long");
}

/* ---- a name that is taken ---- */

static void write_and_wait(void *arg)
{
    int *stage = arg;
    struct vmt_segment *segment = NULL;

    REQUIRE(vmt_segment_create(OPTIONS(.name = "vm"), &segment) == 0);
    say(stage, 1);
    pause();
}

Test(segment, a_live_writers_name_is_taken_and_a_dead_ones_is_free)
{
    int *stage = shared_memory(sizeof(*stage));
    struct vmt_segment *segment = NULL;
    pid_t writer = start_child(write_and_wait, stage);
    ino_t inode;
    struct stat st;

    cr_assert(reached(stage, 1));
    cr_assert_eq(stat(test_path("vm.vmt"), &st), 0);
    inode = st.st_ino;
    assert_refused(OPTIONS(.name = "vm"), -EEXIST, "live");
    cr_assert_eq(stat(test_path("vm.vmt"), &st), 0);
    cr_assert_eq(st.st_ino, inode, "the live writer's file was replaced");
    kill_child(writer);
    cr_assert_eq(vmt_segment_create(OPTIONS(.name = "vm"), &segment), 0);
    cr_assert_eq(stat(test_path("vm.vmt"), &st), 0);
    cr_assert_neq(st.st_ino, inode);
    cr_assert_eq(test_dir_files(), 1);
    assert_refused(OPTIONS(.name = "vm"), -EEXIST, "in this process");
    vmt_segment_close(segment);
}

Test(segment, a_name_taken_by_something_else_is_an_error)
{
    cr_assert_eq(mkdir(test_path("dir.vmt"), 0755), 0);
    cr_assert_eq(symlink("/etc/passwd", test_path("link.vmt")), 0);
    cr_assert_eq(mkfifo(test_path("fifo.vmt"), 0644), 0);
    assert_refused(OPTIONS(.name = "dir"), -EEXIST, "a directory");
    assert_refused(OPTIONS(.name = "link"), -EEXIST, "a symbolic link");
    assert_refused(OPTIONS(.name = "fifo"), -EEXIST, "a FIFO");
}

/* ---- in place ---- */

Test(segment, an_existing_empty_file_is_used_in_place)
{
    struct vmt_segment *segment = NULL;
    struct stat before, after;

    make_file(test_path("given"), "");
    cr_assert_eq(stat(test_path("given"), &before), 0);
    cr_assert_eq(vmt_segment_create(OPTIONS(.name = "vm", .path = test_path("given")), &segment), 0);
    cr_assert_str_eq(vmt_segment_path(segment), test_path("given"));
    vmt_count(add_source(segment, &part_schema, NULL, "a"), P_EVENTS, 5);
    cr_assert_eq(value_now(segment, "a", P_EVENTS), 5);
    vmt_segment_close(segment);
    cr_assert_eq(stat(test_path("given"), &after), 0, "unlinked at close");
    cr_assert_eq(before.st_ino, after.st_ino);
    cr_assert_eq(before.st_mode, after.st_mode);
    cr_assert_eq(test_dir_files(), 1);
}

Test(segment, an_open_file_is_used_in_place_and_stays_its_callers)
{
    struct vmt_segment *segment = NULL;
    struct vmt_reader *reader;

    make_file(test_path("given"), "");
    for (int i = 0; i < 2; i++) {
        int fd = open(test_path("given"), O_RDWR | O_TRUNC);

        cr_assert_eq(vmt_segment_create(OPTIONS(.name = "vm", .fd = fd), &segment), 0);
        cr_assert_str_eq(vmt_segment_path(segment), "");
        reader = attach(test_path("given"), VMT_READ_COPY);
        cr_assert_eq(vmt_reader_state(reader), VMT_STATE_LIVE);
        vmt_segment_close(segment);
        cr_assert_eq(vmt_reader_state(reader), VMT_STATE_CLOSED);
        cr_assert_geq(fcntl(fd, F_GETFD), 0, "the caller's descriptor was closed");
        close(fd);
        vmt_reader_close(reader);
    }
}

Test(segment, what_is_no_empty_regular_file_is_not_used_in_place)
{
    int fd;

    make_file(test_path("full"), "somebody's");
    make_file(test_path("empty"), "");
    cr_assert_eq(symlink("empty", test_path("link")), 0);
    cr_assert_eq(mkfifo(test_path("fifo"), 0644), 0);
    assert_refused(OPTIONS(.name = "a", .path = test_path("full")), -EEXIST, "not empty");
    assert_refused(OPTIONS(.name = "a", .path = test_path("none")), -ENOENT, "none");
    assert_refused(OPTIONS(.name = "a", .path = test_path("link")), -ELOOP, "a link");
    assert_refused(OPTIONS(.name = "a", .path = test_path("fifo")), -EINVAL, "a FIFO");
    assert_refused(OPTIONS(.name = "a", .path = test_path("")), -EISDIR, "a directory");
    assert_refused(OPTIONS(.name = "a", .path = "/dev/null"), -EINVAL, "a device");
    assert_refused(OPTIONS(.name = "a", .fd = 1000000), -EBADF, "no descriptor");
    fd = open(test_path("full"), O_RDWR);
    assert_refused(OPTIONS(.name = "a", .fd = fd), -EEXIST, "an open file that is not empty");
    close(fd);
    cr_assert_eq(size_of(test_path("full")), 10);
}

Test(segment, an_empty_file_that_a_live_writer_has_locked_is_taken)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd;

    make_file(test_path("given"), "");
    fd = open(test_path("given"), O_RDWR);
    cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
    assert_refused(OPTIONS(.name = "a", .path = test_path("given")), -EEXIST, "locked");
    close(fd);
}

/* ---- where space runs out ---- */

Test(segment, is_made_on_memory_file_systems_only_unless_told)
{
    char dir[] = "/var/tmp/vmtally-test.XXXXXX";
    struct vmt_segment *segment = NULL;
    struct statfs fs;

    cr_assert_not_null(mkdtemp(dir));
    if (statfs(dir, &fs) < 0 || fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) {
        rmdir(dir);
        cr_skip_test("/var/tmp is in memory here");
    }
    assert_refused(OPTIONS(.name = "a", .dir = dir), -ENOTSUP, "a disk");
    cr_assert_eq(vmt_segment_create(OPTIONS(.name = "a", .dir = dir, .any_filesystem = 1), &segment), 0);
    vmt_segment_close(segment);
    cr_assert_eq(rmdir(dir), 0, "something was left in %s", dir);
}

static void limit_files_to(rlim_t bytes)
{
    struct rlimit limit;

    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(segment, a_limit_on_file_size_is_an_error_and_no_signal)
{
    static const rlim_t limits[] = { 0, 4095, 4096, 8192, 65536, 1 << 20 };

    signal(SIGXFSZ, SIG_DFL);
    for (size_t i = 0; i < LENGTH(limits); i++) {
        limit_files_to(limits[i]);
        assert_refused(OPTIONS(.name = "a", .fixed_bytes = 4 << 20), -EFBIG, "a jail's file");
        assert_refused(OPTIONS(.name = "a", .max_sources = 16384), -EFBIG, "a file that grows");
    }
    limit_files_to(RLIM_INFINITY);
}

/* In a mount namespace of its own: a file system of 1 MiB, that others do not see. */
static void fill_a_file_system(void *arg)
{
    struct vmt_segment *segment = NULL;
    struct vmt_source *source = NULL, *last = NULL;
    struct vmt_reader *reader = NULL;
    struct vmt_snapshot *snapshot = NULL;
    struct vmt_shard *mostly_scratch[100];
    static struct vmt_shard *shards[10000];
    char path[4096];
    int fd, r, n = 0;

    (void)arg;
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("vmtally", test_path(""), "tmpfs", 0, "size=1m") < 0)
        _exit(77);
    /* No room for a jail of 2 MiB, whatever the writer tries first. */
    REQUIRE(vmt_segment_create(OPTIONS(.name = "a", .fixed_bytes = 2 << 20), &segment) == -ENOSPC);
    REQUIRE(test_dir_files() == 0);
    REQUIRE(vmt_segment_create(OPTIONS(.name = "a", .max_bytes = 64 << 20), &segment) == 0);
    while ((r = vmt_source_addf(segment, &part_schema, NULL, &source, "s-%d", n)) == 0) {
        REQUIRE((size_t)n < LENGTH(shards));
        shards[n] = vmt_shard_acquire(source);
        vmt_add(shards[n++], P_EVENTS, 1);
        vmt_count(source, P_BYTES, 1);
        last = source;
    }
    REQUIRE(r == -ENOSPC);
    REQUIRE(n > 10);
    REQUIRE(source == last);
    vmt_shards_acquire(last, LENGTH(mostly_scratch), mostly_scratch);
    for (size_t i = 0; i < LENGTH(mostly_scratch); i++)
        vmt_add(mostly_scratch[i], P_EVENTS, 1);
    snprintf(path, sizeof(path), "%s", vmt_segment_path(segment));
    REQUIRE(vmt_reader_open(path, NULL, &reader) == 0);
    REQUIRE(vmt_snapshot_new(&snapshot) == 0);
    REQUIRE(vmt_snapshot_take(snapshot, reader) == 0);
    REQUIRE(vmt_snapshot_count(snapshot) == (size_t)n + 1);
    REQUIRE(vmt_snapshot_source(snapshot, 0)->values[VMT_SEGMENT_DROPPED_SOURCES] == 1);
    REQUIRE(vmt_snapshot_source(snapshot, 0)->values[VMT_SEGMENT_DROPPED_SHARDS] >= 99);
    /* Full now, to the last page: a second one can't be made, and leaves nothing. */
    fd = open(test_path("filler"), O_RDWR | O_CREAT, 0600);
    for (char block[512] = { 1 }; write(fd, block, sizeof(block)) > 0;) {
    }
    r = vmt_segment_create(OPTIONS(.name = "b"), &segment);
    REQUIRE(r == -ENOSPC);
    REQUIRE(test_dir_files() == 2);
    vmt_shards_release(LENGTH(mostly_scratch), mostly_scratch);
    vmt_shards_release((size_t)n, shards);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    close(fd);
}

Test(segment, a_full_file_system_is_an_error_and_no_signal)
{
    int end = end_of(start_child(fill_a_file_system, NULL));

    if (end == 77)
        cr_skip_test("this needs to mount a file system");
    cr_assert_eq(end, 0, "%s", end == 128 + SIGBUS ? "SIGBUS" : "it failed");
}

/* ---- closing ---- */

Test(segment, closing_unlinks_its_own_file_only)
{
    struct vmt_segment *segment = new_segment("vm");

    cr_assert_eq(rename(test_path("vm.vmt"), test_path("moved")), 0);
    make_file(test_path("vm.vmt"), "another's");
    vmt_segment_close(segment);
    cr_assert_eq(size_of(test_path("vm.vmt")), 9);

    cr_assert_eq(unlink(test_path("vm.vmt")), 0);
    segment = new_segment("vm");
    vmt_segment_close(segment);
    cr_assert_eq(size_of(test_path("vm.vmt")), -1);
}

Test(segment, one_that_is_kept_says_closed_and_holds_all_that_was_counted)
{
    struct vmt_segment *segment = NULL;
    struct vmt_snapshot *snapshot = new_snapshot();
    struct vmt_reader *reader;

    cr_assert_eq(vmt_segment_create(OPTIONS(.name = "vm", .keep = 1), &segment), 0);
    vmt_count(add_source(segment, &part_schema, NULL, "a"), P_EVENTS, 5);
    vmt_segment_close(segment);
    reader = attach(test_path("vm.vmt"), VMT_READ_COPY);
    take(snapshot, reader);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_CLOSED);
    cr_assert_neq(vmt_snapshot_segment(snapshot)->closed_ns, 0);
    cr_assert_eq(value_of(snapshot, "a", P_EVENTS), 5);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    segment = new_segment("vm"); /* and its name is free */
    vmt_segment_close(segment);
}

Test(segment, shards_held_at_closing_stay_valid_and_count_into_nothing)
{
    struct vmt_segment *segment = NULL;
    struct vmt_shard *shard;

    cr_assert_eq(vmt_segment_create(OPTIONS(.name = "vm", .keep = 1), &segment), 0);
    shard = vmt_shard_acquire(add_source(segment, &part_schema, NULL, "a"));
    vmt_add(shard, P_EVENTS, 1);
    vmt_segment_close(segment);
    vmt_add(shard, P_EVENTS, 1);
    vmt_latency(shard, P_TIME, P_TIME_BUCKETS, 100);
    vmt_shard_release(shard);
    {
        struct vmt_reader *reader = attach(test_path("vm.vmt"), VMT_READ_COPY);
        struct vmt_snapshot *snapshot = new_snapshot();

        take(snapshot, reader);
        cr_assert_eq(value_of(snapshot, "a", P_EVENTS), 1);
        vmt_snapshot_free(snapshot);
        vmt_reader_close(reader);
    }
}
