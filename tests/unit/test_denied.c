/* SPDX-License-Identifier: MIT */
/* What the system, or a limit, denies: an errno to whoever asked, nothing left behind, and no harm to what is there. */
#include "parts.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "lib/writer.h"

TestSuite(denied, .init = test_dir_init, .fini = test_dir_fini);

#define OPTIONS(...) (&(struct vmt_segment_options){ .struct_size = sizeof(struct vmt_segment_options), __VA_ARGS__ })

#define NOBODY 65534

static void assert_child_or_skip(child_fn *fn, void *arg)
{
    int end = end_of(start_child(fn, arg));

    if (end == TEST_NO_MOUNT)
        cr_skip_test("this is for root, with mount namespaces");
    cr_assert_eq(end, 0, "the child failed");
}

/* A segment refused, with that error, and without a trace. */
static void require_refused(const struct vmt_segment_options *options, int error)
{
    struct vmt_segment *untouched = (void *)0x1, *segment = untouched;
    int descriptors = test_descriptors(), files = test_dir_files();
    int r = vmt_segment_create(options, &segment);

    if (r != error)
        fprintf(stderr, "%s, not %s\n", strerror(-r), strerror(-error));
    REQUIRE(r == error);
    REQUIRE(segment == untouched);
    REQUIRE(test_descriptors() == descriptors);
    REQUIRE(test_dir_files() == files);
}

/* ---- descriptors ---- */

/* All but n of those that the process may have are taken. */
static void leave_descriptors(int n)
{
    struct rlimit limit;
    int last = -1, fd;

    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 64;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while ((fd = dup(2)) >= 0)
        last = fd;
    REQUIRE(errno == EMFILE && last > 10);
    for (; n > 0; n--)
        close(last--);
}

static void create_without_descriptors(void *arg)
{
    int n = *(int *)arg;
    struct vmt_segment *segment = (void *)0x1;
    int before, r;

    leave_descriptors(n);
    before = test_descriptors();
    r = vmt_segment_create(OPTIONS(.name = "vm"), &segment);
    if (n < 2) { /* the directory, and the file in it */
        REQUIRE(r == -EMFILE);
        REQUIRE(segment == (void *)0x1);
        REQUIRE(test_descriptors() == before);
        REQUIRE(access(test_path("vm.vmt"), F_OK) < 0);
        return;
    }
    REQUIRE(r == 0);
    REQUIRE(test_descriptors() == before + 1);
    dup(2);
    dup(2);
    dup(2);
    REQUIRE(dup(2) < 0 && errno == EMFILE);
    /* None is needed from here on. */
    for (int i = 0; i < 100; i++) {
        struct vmt_source *source = NULL;
        struct vmt_shard *shard;

        REQUIRE(vmt_source_addf(segment, &part_schema, NULL, &source, "%d", i) == 0);
        shard = vmt_shard_acquire(source);
        REQUIRE(segment_of(shard));
        vmt_add(shard, P_EVENTS, 1);
        if (i % 2)
            vmt_source_remove(source);
        vmt_shard_release(shard);
    }
    vmt_segment_close(segment);
    REQUIRE(access(test_path("vm.vmt"), F_OK) < 0);
}

Test(denied, a_segment_without_descriptors_is_emfile_and_none_is_needed_later)
{
    for (int n = 0; n < 5; n++) {
        assert_child(create_without_descriptors, &n);
        cr_assert_eq(test_dir_files(), 0, "with %d descriptors left something is left behind", n);
    }
}

static void attach_without_descriptors(void *arg)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = *(enum vmt_read_mode *)arg };
    struct vmt_reader *untouched = (void *)0x1, *reader = untouched;
    struct vmt_snapshot *snapshot = NULL;
    int before, r = -EMFILE, used = 0;

    REQUIRE(vmt_snapshot_new(&snapshot) == 0);
    leave_descriptors(0);
    before = test_descriptors();
    for (; used < 4; used++) {
        r = vmt_reader_open(test_path("vm.vmt"), &options, &reader);
        if (r == 0)
            break;
        REQUIRE(r == -EMFILE);
        REQUIRE(reader == untouched);
        REQUIRE(test_descriptors() == before - used);
        close(63 - used);
    }
    REQUIRE(r == 0 && used > 0);
    while (dup(2) >= 0) {
    }
    /* None is needed from here on. */
    REQUIRE(vmt_snapshot_take(snapshot, reader) == 0);
    REQUIRE(vmt_snapshot_find(snapshot, "a")->values[P_EVENTS] == 5);
    REQUIRE(vmt_reader_state(reader) == VMT_STATE_LIVE);
    vmt_reader_close(reader);
    vmt_snapshot_free(snapshot);
}

Test(denied, a_reader_without_descriptors_is_emfile_and_none_is_needed_later)
{
    static enum vmt_read_mode modes[] = { VMT_READ_COPY, VMT_READ_GUARDED };
    struct vmt_segment *segment = new_segment("vm");

    vmt_count(add_source(segment, &part_schema, NULL, "a"), P_EVENTS, 5);
    for (size_t i = 0; i < LENGTH(modes); i++)
        assert_child(attach_without_descriptors, &modes[i]);
    vmt_segment_close(segment);
}

/* ---- each system call ---- */

struct denial {
    struct test_denial call;
    bool in_place;
};

static void create_denied(void *arg)
{
    const struct denial *denial = arg;
    struct vmt_segment *untouched = (void *)0x1, *segment = untouched;
    int before = test_descriptors(), left = 0;
    int r;

    snprintf(test_at, sizeof(test_at), "(system call %d)", denial->call.number);
    REQUIRE(test_deny(&denial->call));
    r = vmt_segment_create(OPTIONS(.name = "vm", .path = denial->in_place ? test_path("given") : NULL), &segment);
    REQUIRE(r == -denial->call.error);
    REQUIRE(segment == untouched);
    for (int fd = 0; fd < 1024; fd++) /* counted without a call that may be denied */
        left += close(fd) == 0;
    if (left != before)
        _exit(3);
}

static void assert_denied(const struct denial *denial, const char *name)
{
    int end = end_of(start_child(create_denied, (void *)(uintptr_t)denial));
    struct stat st;

    cr_assert_neq(end, 3, "%s: a descriptor was left open", name);
    cr_assert_eq(end, 0, "%s", name);
    cr_assert_eq(test_dir_files(), denial->in_place, "%s: a file was left behind", name);
    cr_assert(!denial->in_place || (stat(test_path("given"), &st) == 0 && st.st_size == 0),
              "%s: the file in place was written to", name);
}

Test(denied, a_system_call_is_its_errno_and_nothing_is_left_behind)
{
    static const struct {
        struct denial denial;
        const char *name;
    } calls[] = {
        { { { SYS_openat, ENFILE, 0, 0, 0 }, false }, "open" },
        { { { SYS_fstatfs, EIO, 0, 0, 0 }, false }, "fstatfs" },
        { { { SYS_fcntl, ENOLCK, 0, 0, 0 }, false }, "fcntl" },
        { { { SYS_fallocate, ENOSPC, 0, 0, 0 }, false }, "fallocate" },
        { { { SYS_fallocate, EPERM, 0, 0, 0 }, false }, "fallocate" },
        { { { SYS_ftruncate, EIO, 0, 0, 0 }, false }, "ftruncate" },
        { { { SYS_getrandom, EPERM, 0, 0, 0 }, false }, "getrandom" },
        { { { SYS_renameat2, EPERM, 0, 0, 0 }, false }, "rename" },
        { { { SYS_openat, ENFILE, 0, 0, 0 }, true }, "open, in place" },
        { { { SYS_fstatfs, EIO, 0, 0, 0 }, true }, "fstatfs, in place" },
        { { { SYS_fcntl, ENOLCK, 0, 0, 0 }, true }, "fcntl, in place" },
        { { { SYS_fallocate, ENOSPC, 0, 0, 0 }, true }, "fallocate, in place" },
    };

    if (SANITIZED)
        cr_skip_test("sanitizers make system calls of their own");
    for (size_t i = 0; i < LENGTH(calls); i++) {
        if (calls[i].denial.in_place)
            close(open(test_path("given"), O_RDWR | O_CREAT, 0600));
        assert_denied(&calls[i].denial, calls[i].name);
    }
}

/* No more of the file, for that reason. */
static void grow_denied(void *arg)
{
    int error = *(int *)arg;
    struct vmt_segment *segment = NULL;
    struct vmt_source *source = NULL;
    struct vmt_snapshot *snapshot = NULL;
    struct vmt_reader *reader = NULL;
    struct vmt_shard *shard;
    int r = 0, n = 0;

    snprintf(test_at, sizeof(test_at), "(%s)", strerror(error));
    REQUIRE(vmt_segment_create(OPTIONS(.name = "vm"), &segment) == 0);
    REQUIRE(test_deny(&(struct test_denial){ .number = SYS_fallocate, .error = error }));
    for (; r == 0 && n < 10000; n++)
        r = vmt_source_addf(segment, &part_schema, NULL, &source, "%d", n);
    REQUIRE(r == -error);
    shard = vmt_shard_acquire(source);
    vmt_add(shard, P_EVENTS, 1);
    REQUIRE(!segment_of(shard));
    REQUIRE(vmt_reader_open_segment(segment, &reader) == 0);
    REQUIRE(vmt_snapshot_new(&snapshot) == 0);
    REQUIRE(vmt_snapshot_take(snapshot, reader) == 0);
    REQUIRE(vmt_snapshot_count(snapshot) == (size_t)n);
    REQUIRE(vmt_snapshot_source(snapshot, 0)->values[VMT_SEGMENT_DROPPED_SHARDS] == 1);
    REQUIRE(vmt_snapshot_source(snapshot, 0)->values[VMT_SEGMENT_DROPPED_SOURCES] == 1);
    vmt_source_remove(source); /* makes room: memory of its size, and its entry */
    REQUIRE(vmt_source_add(segment, &part_schema, NULL, "again", &source) == 0);
    vmt_shard_release(shard);
}

Test(denied, whatever_keeps_a_segment_from_growing_is_counted_as_dropped)
{
    int errors[] = { ENOSPC, EDQUOT, ENOMEM };

    for (size_t i = 0; i < LENGTH(errors); i++)
        assert_child(grow_denied, &errors[i]);
}

/* ---- directories, modes and names ---- */

static void create_read_only(void *arg)
{
    (void)arg;
    if (!test_dir_mount(64) || mount("none", test_path(""), "none", MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
        _exit(TEST_NO_MOUNT);
    require_refused(OPTIONS(.name = "vm"), -EROFS);
    require_refused(OPTIONS(.name = "vm", .path = test_path("none")), -ENOENT);
}

Test(denied, a_read_only_directory_is_erofs) { assert_child_or_skip(create_read_only, NULL); }

static void be_nobody(void *arg)
{
    struct vmt_segment *segment = NULL;
    struct vmt_reader *reader = NULL;

    (void)arg;
    if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
        _exit(TEST_NO_MOUNT);
    require_refused(OPTIONS(.name = "vm"), -EACCES);
    require_refused(OPTIONS(.name = "vm", .path = test_path("closed")), -EACCES);
    REQUIRE(vmt_reader_open(test_path("closed"), NULL, &reader) == -EACCES);
    REQUIRE(vmt_reader_open(test_path("sealed/vm.vmt"), NULL, &reader) == -EACCES);
    REQUIRE(vmt_discover(test_path("sealed"), &(struct vmt_found *){ NULL }) == -EACCES);
    REQUIRE(vmt_segment_create(OPTIONS(.name = "mine", .dir = test_path("open"), .mode = 0200), &segment) == 0);
    REQUIRE(vmt_reader_open(vmt_segment_path(segment), NULL, &reader) == -EACCES);
    REQUIRE(chmod(vmt_segment_path(segment), 0) == 0); /* its writer does not mind */
    vmt_count(vmt_segment_root(segment), VMT_SEGMENT_SHARDS_TORN, 0);
    vmt_segment_close(segment);
    REQUIRE(access(test_path("open/mine.vmt"), F_OK) < 0);
}

Test(denied, without_permission_it_is_eacces)
{
    if (getuid() != 0)
        cr_skip_test("this is for root");
    cr_assert_eq(chmod(test_path(""), 0755), 0);
    cr_assert_eq(mkdir(test_path("sealed"), 0700), 0);
    cr_assert_eq(mkdir(test_path("open"), 0777), 0);
    cr_assert_eq(chmod(test_path("open"), 0777), 0);
    close(open(test_path("closed"), O_RDWR | O_CREAT, 0));
    assert_child_or_skip(be_nobody, NULL);
}

Test(denied, a_directory_that_goes_away_takes_nothing_from_its_writer_and_readers)
{
    struct vmt_segment *segment = NULL;
    struct vmt_snapshot *snapshot = new_snapshot();
    struct vmt_source *source;
    struct vmt_reader *reader;

    cr_assert_eq(vmt_segment_create(OPTIONS(.name = "vm", .dir = test_path("gone")), &segment), 0);
    source = add_source(segment, &part_schema, NULL, "a");
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    cr_assert_eq(unlink(vmt_segment_path(segment)), 0);
    cr_assert_eq(rmdir(test_path("gone")), 0);
    vmt_count(source, P_EVENTS, 5);
    for (int i = 0; i < 100; i++) {
        vmt_source_addf(segment, &part_schema, NULL, &source, "%d", i);
        vmt_add(vmt_shard_acquire(source), P_EVENTS, 1);
    }
    take(snapshot, reader);
    cr_assert_eq(total_of(snapshot, "", P_EVENTS), 105);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->flags, VMT_SNAPSHOT_UNLINKED);
    close(open(test_path("gone"), O_RDWR | O_CREAT, 0600)); /* and something else has its name */
    vmt_segment_close(segment);
    cr_assert_eq(vmt_reader_state(reader), VMT_STATE_CLOSED);
    cr_assert_eq(test_dir_files(), 1);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

static void come_and_go(void *arg)
{
    while (!said(arg)) {
        mkdir(test_path("dir"), 0755);
        rmdir(test_path("dir"));
    }
}

Test(denied, a_directory_that_goes_away_meanwhile_is_an_error)
{
    int *end = shared_memory(sizeof(*end));
    pid_t child = start_child(come_and_go, end);
    int made = 0, refused = 0;

    for (int i = 0; i < (SANITIZED ? 1000 : 20000) && (made < 20 || refused < 20); i++) {
        struct vmt_segment *segment = NULL;
        int r = vmt_segment_create(OPTIONS(.name = "vm", .dir = test_path("dir")), &segment);

        cr_assert(r == 0 || r == -ENOENT, "%s", strerror(-r));
        made += r == 0;
        refused += r < 0;
        vmt_segment_close(segment);
    }
    say(end, 1);
    cr_assert_eq(end_of(child), 0);
    cr_assert_gt(made, 0);
}

/* A directory whose path is that long, made from inside. Returns it. */
static const char *deep_directory(size_t length)
{
    static char path[8192];
    int at = open(test_path(""), O_PATH | O_DIRECTORY);

    snprintf(path, sizeof(path), "%s", test_path("x"));
    path[strlen(path) - 2] = '\0';
    while (strlen(path) < length) {
        size_t left = length - strlen(path) - 1;
        size_t n = left > 202 ? 200 : left;
        char name[256] = { 0 };
        int next;

        memset(name, 'd', n);
        cr_assert_eq(mkdirat(at, name, 0755), 0);
        next = openat(at, name, O_PATH | O_DIRECTORY);
        cr_assert_geq(next, 0);
        close(at);
        at = next;
        strcat(strcat(path, "/"), name);
    }
    close(at);
    return path;
}

Test(denied, a_path_that_nobody_could_open_is_enametoolong)
{
    static const char name[] = "123456789012345678901234567890123456789012345678901234567890123";
    struct vmt_segment *untouched = (void *)0x1, *segment = untouched;
    const char *dir = deep_directory(4090);
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    int r = vmt_segment_create(OPTIONS(.name = name, .dir = dir), &segment);
    bool left;

    cr_assert_geq(fd, 0);
    if (r == 0)
        vmt_segment_close(segment);
    left = unlinkat(fd, "123456789012345678901234567890123456789012345678901234567890123.vmt", 0) == 0;
    cr_assert_not(left, "closing left the file behind");
    cr_assert_eq(r, -ENAMETOOLONG, "%s", strerror(-r));
    cr_assert_eq(segment, untouched);
    close(fd);
}

/* ---- address space ---- */

static bool use_all(struct vmt_segment *segment)
{
    struct vmt_source *source = NULL;
    struct vmt_snapshot *snapshot = NULL;
    struct vmt_reader *reader = NULL;
    uint64_t n = 0;

    REQUIRE(vmt_source_add(segment, &part_schema, NULL, "a", &source) == 0);
    for (int i = 0; i < 20; i++) {
        struct vmt_shard *shard = vmt_shard_acquire(source);

        n += segment_of(shard) != NULL;
        vmt_add(shard, P_EVENTS, 1);
    }
    REQUIRE(vmt_reader_open_segment(segment, &reader) == 0);
    REQUIRE(vmt_snapshot_new(&snapshot) == 0);
    REQUIRE(vmt_snapshot_take(snapshot, reader) == 0);
    REQUIRE(vmt_snapshot_find(snapshot, "a")->values[P_EVENTS] == n);
    REQUIRE(vmt_snapshot_source(snapshot, 0)->values[VMT_SEGMENT_DROPPED_SHARDS] == 20 - n);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    return n > 0;
}

static void create_in(void *arg)
{
    uint64_t most = *(uint64_t *)arg;
    struct rlimit limit;
    bool could = false;

    require_refused(OPTIONS(.name = "vm", .dir = ""), -ENOENT); /* what is set up once is */
    for (uint64_t extra = 0; extra <= most; extra += extra / 8 / 4096 * 4096 + (64 << 10)) {
        struct vmt_segment *untouched = (void *)0x1, *segment = untouched;
        int descriptors = test_descriptors(), r;

        snprintf(test_at, sizeof(test_at), "(%llu KiB more)", (unsigned long long)(extra >> 10));
        REQUIRE(getrlimit(RLIMIT_AS, &limit) == 0);
        limit.rlim_cur = test_address_space() + extra;
        REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
        r = vmt_segment_create(OPTIONS(.name = "vm"), &segment);
        limit.rlim_cur = RLIM_INFINITY;
        REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
        REQUIRE(r == 0 || (r == -ENOMEM && segment == untouched));
        REQUIRE(r == 0 || test_descriptors() == descriptors);
        REQUIRE(r == 0 || !could); /* more is never worse */
        could = r == 0;
        if (could) {
            REQUIRE(use_all(segment));
            vmt_segment_close(segment);
        }
        REQUIRE(test_dir_files() == 0);
    }
    REQUIRE(could);
}

Test(denied, address_space_is_done_with_less_of_or_enomem)
{
    uint64_t most = 600U << 20;

    if (SANITIZED)
        cr_skip_test("sanitizers take all of it");
    assert_child(create_in, &most);
}

/* ---- what the library itself has no more of ---- */

static uint64_t dropped_sources(struct vmt_segment *segment)
{
    return value_now(segment, "", VMT_SEGMENT_DROPPED_SOURCES);
}

Test(denied, past_the_last_schema_it_is_enospc_and_others_go_on)
{
    static struct vmt_schema schemas[VMT_SCHEMAS_MAX];
    static char names[VMT_SCHEMAS_MAX][16];
    struct vmt_segment *segment = new_segment("vm");
    struct vmt_source *source = NULL, *untouched = (void *)0x1, *late = untouched;

    for (size_t i = 0; i < LENGTH(schemas); i++) {
        snprintf(names[i], sizeof(names[i]), "schema-%zu", i);
        schemas[i] = small_schema;
        schemas[i].name = names[i];
    }
    for (size_t i = 0; i + 1 < LENGTH(schemas); i++)
        cr_assert_eq(vmt_source_addf(segment, &schemas[i], NULL, &source, "%zu", i), 0);
    for (uint64_t i = 1; i < 4; i++) {
        cr_assert_eq(vmt_source_add(segment, &schemas[LENGTH(schemas) - 1], NULL, "late", &late), -ENOSPC);
        cr_assert_eq(late, untouched);
        cr_assert_eq(dropped_sources(segment), i);
    }
    vmt_count(add_source(segment, &schemas[7], source, "child"), S_EVENTS, 5);
    cr_assert_eq(value_now(segment, "254/child", S_EVENTS), 5);
    vmt_segment_close(segment);
}

Test(denied, deeper_than_the_limit_is_the_hosts_mistake_and_nothing_dropped)
{
    struct vmt_segment *segment = new_segment("vm");
    struct vmt_source *source = NULL, *untouched = (void *)0x1, *deeper = untouched;

    for (uint32_t i = 0; i < VMT_DEPTH_MAX; i++)
        source = add_source(segment, &part_schema, source, "d");
    cr_assert_eq(vmt_source_add(segment, &part_schema, source, "d", &deeper), -ELOOP);
    cr_assert_eq(deeper, untouched);
    cr_assert_eq(dropped_sources(segment), 0);
    vmt_segment_close(segment);
}

/* Departed blocks of a schema with few slots are smaller than the shards that the index is made for. */
Test(denied, an_index_without_a_free_record_is_enospc_and_scratch)
{
    static struct vmt_schema schemas[16];
    static char names[LENGTH(schemas)][16];
    static struct vmt_source *leaves[LENGTH(schemas)];
    struct vmt_segment *segment = NULL;
    struct vmt_source *parents[4] = { NULL };
    struct vmt_shard *shard;
    int n = 0, r = 0;

    cr_assert_eq(vmt_segment_create(OPTIONS(.name = "vm", .max_bytes = 64 << 10), &segment), 0);
    for (size_t i = 0; i < LENGTH(parents); i++)
        parents[i] = add_source(segment, &small_schema, i ? parents[i - 1] : NULL, "p");
    for (size_t i = 0; i < LENGTH(schemas); i++) {
        snprintf(names[i], sizeof(names[i]), "s-%zu", i);
        schemas[i] = small_schema;
        schemas[i].name = names[i];
    }
    for (; r == 0 && n < (int)LENGTH(schemas); n++)
        r = vmt_source_addf(segment, &schemas[n], parents[3], &leaves[n], "%d", n);
    cr_assert_eq(r, -ENOSPC, "%s", strerror(-r));
    cr_assert_eq(segment->record_count, segment->record_limit, "it ran out of something else");
    cr_assert_eq(dropped_sources(segment), 1);
    shard = vmt_shard_acquire(leaves[0]);
    vmt_add(shard, S_EVENTS, 1);
    vmt_shard_release(shard);
    vmt_count(leaves[0], S_EVENTS, 5);
    cr_assert_eq(value_now(segment, "p/p/p/p/0", S_EVENTS), segment_of(shard) ? 6 : 5);
    for (int i = 0; i < n - 1; i++)
        vmt_source_remove(leaves[i]);
    for (size_t i = LENGTH(parents); i-- > 0;)
        vmt_source_remove(parents[i]);
    for (size_t i = 0; i < LENGTH(parents); i++)
        parents[i] = add_source(segment, &small_schema, i ? parents[i - 1] : NULL, "p");
    add_source(segment, &schemas[0], parents[3], "again");
    vmt_segment_close(segment);
}
