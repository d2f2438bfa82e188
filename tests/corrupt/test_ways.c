/* SPDX-License-Identifier: MIT */
/* Each way of not being a segment: a row makes one, and says what the library answers. At once, and without a trace. */
#include "tests/unit/parts.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "shm/layout.h"

#define IMAGE_BYTES 65536U
#define STATMOUNT 457

static _Alignas(8) uint8_t image[IMAGE_BYTES]; /* of a sound segment that its writer has left */

static void setup(void)
{
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = "vm", .keep = 1, .fixed_bytes = IMAGE_BYTES, .max_sources = 16
    };
    struct vmt_segment *segment = NULL;
    int fd;

    test_dir_init();
    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    vmt_add(vmt_shard_acquire(add_source(segment, &part_schema, NULL, "a")), P_EVENTS, 5);
    vmt_segment_close(segment);
    fd = open(test_path("vm.vmt"), O_RDONLY);
    cr_assert_eq(read(fd, image, sizeof(image)), IMAGE_BYTES);
    close(fd);
}

TestSuite(ways, .init = setup, .fini = test_dir_fini);

/* ---- what makes them: true if it could ---- */

static bool put(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    bool done = fd >= 0 && write(fd, bytes, n) == (ssize_t)n;

    close(fd);
    return done;
}

static struct shm_header *header(void) { return (void *)image; }

/* The image with its header changed; then the image as it was. */
static bool put_changed(const char *path)
{
    bool done = put(path, image, sizeof(image));
    int fd = open(test_path("vm.vmt"), O_RDONLY);

    done &= read(fd, image, sizeof(image)) == IMAGE_BYTES;
    close(fd);
    return done;
}

static bool none(const char *path) { return access(path, F_OK) < 0; }
static bool empty(const char *path) { return put(path, "", 0); }
static bool one_byte(const char *path) { return put(path, image, 1); }
static bool seven_bytes(const char *path) { return put(path, image, 7); }
static bool magic_only(const char *path) { return put(path, image, 8); }
static bool no_whole_header(const char *path) { return put(path, image, 4095); }
static bool header_only(const char *path) { return put(path, image, 4096); }
static bool text(const char *path) { return put(path, "#!/bin/sh\nexit\n", 15); }
static bool zeros(const char *path) { return put(path, (const char[8192]){ 0 }, 8192); }
static bool fifo(const char *path) { return mkfifo(path, 0644) == 0; }
static bool directory(const char *path) { return mkdir(path, 0755) == 0; }
static bool socket_file(const char *path) { return mknod(path, S_IFSOCK | 0644, 0) == 0; }
static bool character_device(const char *path) { return mknod(path, S_IFCHR | 0644, makedev(1, 3)) == 0; }
static bool block_device(const char *path) { return mknod(path, S_IFBLK | 0644, makedev(7, 0)) == 0; }
static bool link_to_one(const char *path) { return symlink("vm.vmt", path) == 0; }
static bool link_to_nothing(const char *path) { return symlink("nothing", path) == 0; }
static bool link_to_itself(const char *path) { return symlink(path, path) == 0; }

static bool another_magic(const char *path)
{
    header()->magic[7] ^= 1;
    return put_changed(path);
}

static bool another_major(const char *path)
{
    header()->major = 2;
    return put_changed(path);
}

static bool another_byte_order(const char *path)
{
    header()->byte_order = __builtin_bswap32(header()->byte_order);
    return put_changed(path);
}

static bool an_unknown_need(const char *path)
{
    header()->incompatible = UINT64_C(1) << 63;
    return put_changed(path);
}

/* As large as the file system lets it be: 8 EiB - 1 on tmpfs. */
static bool enlarge(const char *path)
{
    for (off_t n = INT64_MAX; n > IMAGE_BYTES; n /= 2)
        if (truncate(path, n) == 0)
            return true;
    return false;
}

static bool sparse_zeros(const char *path) { return empty(path) && enlarge(path); }

/* A table of a million entries that lies in a hole. */
static bool table_in_a_hole(const char *path)
{
    header()->source_used = header()->source_limit = VMT_SOURCES_MAX;
    return put_changed(path) && enlarge(path);
}

static bool large_table_in_a_hole(const char *path)
{
    header()->source_bytes = SHM_ENTRY_BYTES_MAX;
    header()->source_used = header()->source_limit = VMT_SOURCES_MAX;
    return put_changed(path) && enlarge(path);
}

/* Whoever opens it waits until the holder gives the lease back, or 45 seconds. */
static bool leased(const char *path)
{
    int fd = put(path, image, sizeof(image)) ? open(path, O_RDWR) : -1;

    signal(SIGIO, SIG_IGN);
    return fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
}

/* Does the kernel know this call? (A filter, or valgrind, may not.) */
static bool has_call(long number) { return syscall(number, -1, NULL, NULL, 0) == 0 || errno != ENOSYS; }

static bool own_mounts(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, "") == 0;
}

/* What was there before is hidden. In a name space of this test's own. */
static bool mounted(const char *path, const char *type, const char *what, unsigned long flags, const char *options)
{
    return has_call(SYS_openat2) && put(path, image, sizeof(image)) && own_mounts() &&
           mount(what, path, type, flags, options) == 0;
}

static bool bound(const char *path) { return mounted(path, "none", test_path("vm.vmt"), MS_BIND, ""); }

/* Its server never answers. Even a stat of it sleeps for ever, and no signal but SIGKILL ends that. */
static bool fuse(const char *path)
{
    char options[96];
    int fd = open("/dev/fuse", O_RDWR);

    snprintf(options, sizeof(options), "fd=%d,rootmode=100000,user_id=0,group_id=0,allow_other", fd);
    return fd >= 0 && mounted(path, "fuse", "fuse", 0, options);
}

/* ---- the table ---- */

static const struct way {
    const char *name;
    bool (*make)(const char *path);
    int open;  /* what vmt_reader_open() gives */
    int check; /* what vmt_check() gives, where that is not the same */
} ways[] = {
    { "none", none, -ENOENT, 0 },
    { "empty", empty, -ENODATA, 0 },
    { "zeros", zeros, -ENODATA, 0 },
    { "one byte", one_byte, -EMEDIUMTYPE, 0 },
    { "seven bytes", seven_bytes, -EMEDIUMTYPE, 0 },
    { "text", text, -EMEDIUMTYPE, 0 },
    { "another magic", another_magic, -EMEDIUMTYPE, 0 },
    { "magic only", magic_only, -EBADMSG, VMT_STATE_DAMAGED },
    { "no whole header", no_whole_header, -EBADMSG, VMT_STATE_DAMAGED },
    { "header only", header_only, -EBADMSG, VMT_STATE_DAMAGED },
    { "another major version", another_major, -EPROTONOSUPPORT, VMT_STATE_OTHER_VERSION },
    { "another byte order", another_byte_order, -EPROTONOSUPPORT, VMT_STATE_OTHER_VERSION },
    { "an unknown need", an_unknown_need, -EPROTONOSUPPORT, VMT_STATE_OTHER_VERSION },
    { "sparse zeros", sparse_zeros, -ENODATA, 0 },
    { "table in a hole", table_in_a_hole, -EBADMSG, VMT_STATE_DAMAGED },
    { "large table in a hole", large_table_in_a_hole, -EBADMSG, VMT_STATE_DAMAGED },
    { "fifo", fifo, -EINVAL, 0 },
    { "socket", socket_file, -EINVAL, 0 },
    { "character device", character_device, -EINVAL, 0 },
    { "block device", block_device, -EINVAL, 0 },
    { "directory", directory, -EISDIR, 0 },
    { "vm.vmt/", NULL, -EISDIR, 0 },
    { "vm.vmt/a", NULL, -ENOTDIR, 0 },
    { "", NULL, -EISDIR, 0 },
    { "link to a segment", link_to_one, -ELOOP, 0 },
    { "link to nothing", link_to_nothing, -ELOOP, 0 },
    { "link to itself", link_to_itself, -ELOOP, 0 },
    { "leased", leased, -EBUSY, 0 },
    { "bound", bound, -EXDEV, 0 },
    { "fuse", fuse, -EXDEV, 0 },
    { "/dev/null", NULL, -EINVAL, 0 },
    { "/dev/tty", NULL, -EINVAL, 0 },
    { "/proc/version", NULL, -ENOTSUP, 0 },
    { "/sys/kernel/notes", NULL, -ENOTSUP, 0 },
};

static int open_files(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* In a process of its own: it mounts, and if it hangs it is killed. 0, or 2: this one can't be made here. */
static void try_way(void *arg)
{
    const struct way *way = arg;
    const char *path = way->name[0] == '/' ? way->name : test_path(way->name);
    char why[256];
    int files;

    if (way->make && !way->make(path))
        _exit(2);
    files = open_files();
    for (int mode = VMT_READ_COPY; mode <= VMT_READ_GUARDED; mode++) {
        struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = (enum vmt_read_mode)mode };
        struct vmt_reader *reader = (void *)0x1;
        int r = vmt_reader_open(path, &options, &reader);

        if (r != way->open)
            fprintf(stderr, "%s: open says %d, %s\n", way->name, r, strerror(-r));
        REQUIRE(r == way->open);
        REQUIRE(reader == (void *)0x1);
    }
    strcpy(why, "untouched");
    REQUIRE(vmt_check(path, why, sizeof(why)) == (way->check ? way->check : way->open));
    REQUIRE(strcmp(why, "untouched") != 0);
    REQUIRE((way->open == -EMEDIUMTYPE || way->open == -EBADMSG || way->open == -EPROTONOSUPPORT) <= (why[0] != '\0'));
    REQUIRE(vmt_remove_dead(path, 0) == way->open);
    REQUIRE(open_files() == files);
    REQUIRE(!way->make || way->make == none || open(path, O_PATH | O_NOFOLLOW) >= 0);
}

Test(ways, of_not_being_a_segment_each_have_an_answer, .timeout = 60)
{
    for (size_t i = 0; i < LENGTH(ways); i++) {
        uint64_t start = vmt_clock_ns();
        pid_t child = start_child(try_way, (void *)(uintptr_t)&ways[i]);
        int status = -1;

        for (int k = 0; k < 10000 && waitpid(child, &status, WNOHANG) == 0; k++)
            nap_us(1000);
        if (status == -1) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            cr_expect_fail("%s: it hangs", ways[i].name);
            continue;
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == 2) {
            fprintf(stderr, "# %s: not tried: it can't be made here (%s)\n", ways[i].name,
                    getuid() == 0 ? "a container?" : "it takes root");
            continue;
        }
        cr_expect_eq(status, 0, "%s", ways[i].name);
        cr_expect_lt(vmt_clock_ns() - start, 5000000000U, "%s: it took long", ways[i].name);
    }
}

/* By its path in procfs it can't be told from a link to who knows where. */
Test(ways, memory_that_has_no_name_but_in_proc_is_refused)
{
    int fd = memfd_create("vm", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    struct vmt_reader *reader;
    char path[64];

    cr_assert_eq(write(fd, image, sizeof(image)), IMAGE_BYTES);
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    cr_assert_eq(vmt_reader_open(path, NULL, &reader), -ENOTSUP);
    cr_assert_eq(vmt_check(path, NULL, 0), -ENOTSUP);
    cr_assert_eq(vmt_remove_dead(path, 0), -ENOTSUP);
    close(fd);
}

/* ---- what looks odd and is none of these ---- */

static void assert_reads(const char *path)
{
    for (int mode = VMT_READ_COPY; mode <= VMT_READ_GUARDED; mode++) {
        struct vmt_reader *reader = attach(path, (enum vmt_read_mode)mode);
        struct vmt_snapshot *snapshot = new_snapshot();

        take(snapshot, reader);
        cr_expect_eq(value_of(snapshot, "a", P_EVENTS), 5);
        vmt_snapshot_free(snapshot);
        vmt_reader_close(reader);
    }
    cr_expect_eq(vmt_check(path, NULL, 0), VMT_STATE_CLOSED);
}

Test(ways, a_directory_may_be_reached_through_links)
{
    cr_assert_eq(symlink(".", test_path("link")), 0);
    cr_assert_eq(symlink("link/link", test_path("links")), 0);
    assert_reads(test_path("link/vm.vmt"));
    assert_reads(test_path("links/vm.vmt"));
}

Test(ways, a_newer_minor_version_is_read)
{
    header()->minor = 99;
    header()->compatible = UINT64_MAX;
    cr_assert(put_changed(test_path("newer.vmt")));
    assert_reads(test_path("newer.vmt"));
}

Test(ways, a_name_may_have_255_bytes_and_a_path_4095)
{
    char path[2 * PATH_MAX];
    char name[257];
    size_t n = strlen(test_path(""));
    struct vmt_reader *reader;

    memset(name, 'n', sizeof(name) - 1);
    strcpy(name + 251, ".vmt");
    cr_assert(put(test_path(name), image, sizeof(image)));
    assert_reads(test_path(name));
    strcpy(name + 252, ".vmt");
    cr_assert_eq(vmt_reader_open(test_path(name), NULL, &reader), -ENAMETOOLONG);
    strcpy(path, test_path(""));
    while (n < PATH_MAX - 1 - strlen("vm.vmt") - 1)
        n += (size_t)sprintf(path + n, "./");
    if (n < PATH_MAX - 1 - strlen("vm.vmt"))
        n += (size_t)sprintf(path + n, "/");
    strcpy(path + n, "vm.vmt");
    cr_assert_eq(strlen(path), PATH_MAX - 1);
    assert_reads(path);
    memset(path, '/', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    cr_assert_eq(vmt_reader_open(path, NULL, &reader), -EISDIR);
    path[sizeof(path) - 2] = 'a';
    cr_assert_eq(vmt_reader_open(path, NULL, &reader), -ENAMETOOLONG);
}

/* All that is in it is there, and a little more than can be looked at. */
Test(ways, a_segment_enlarged_to_8_eib_is_read_as_far_as_the_limit, .timeout = 20)
{
    const char *path = test_path("large.vmt");

    cr_assert(put(path, image, sizeof(image)) && enlarge(path));
    for (int mode = VMT_READ_COPY; mode <= VMT_READ_GUARDED; mode++) {
        struct vmt_reader *reader = attach(path, (enum vmt_read_mode)mode);
        struct vmt_snapshot *snapshot = new_snapshot();

        cr_expect_eq(vmt_snapshot_take(snapshot, reader), 1);
        cr_expect_eq(value_of(snapshot, "a", P_EVENTS), 5);
        cr_expect_eq(vmt_snapshot_segment(snapshot)->flags, VMT_SNAPSHOT_PARTIAL,
                     "mapped: who touches a hole pays for it");
        vmt_snapshot_free(snapshot);
        vmt_reader_close(reader);
    }
    cr_expect_eq(vmt_check(path, NULL, 0), VMT_STATE_DAMAGED);
}

/* ---- directories ---- */

static void look_into_fuse(void *arg)
{
    struct vmt_found *found = NULL;
    struct vmt_reader *reader = NULL;
    char options[96];
    int fd = open("/dev/fuse", O_RDWR);

    (void)arg;
    snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
    if (fd < 0 || !own_mounts() || mkdir(test_path("fuse"), 0755) < 0 ||
        mount("fuse", test_path("fuse"), "fuse", 0, options) < 0)
        _exit(2);
    REQUIRE(vmt_reader_open(test_path("fuse/vm.vmt"), NULL, &reader) == -ENOTSUP);
    REQUIRE(vmt_discover(test_path("fuse"), &found) == -ENOTSUP);
    REQUIRE(vmt_discover_leftovers(test_path("fuse"), &found) == -ENOTSUP);
}

/* Its server never answers, so it must not be asked. */
Test(ways, a_directory_that_is_a_hanging_fuse_is_refused, .timeout = 20)
{
    pid_t child;
    int status = -1;

    if (!has_call(STATMOUNT))
        cr_skip_test("before Linux 6.8 a FUSE can't be told without asking it");
    child = start_child(look_into_fuse, NULL);
    for (int k = 0; k < 5000 && waitpid(child, &status, WNOHANG) == 0; k++)
        nap_us(1000);
    if (status == -1) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        cr_assert_fail("it hangs");
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        cr_skip_test("no FUSE here, or no right to mount it");
    cr_assert_eq(status, 0);
}
