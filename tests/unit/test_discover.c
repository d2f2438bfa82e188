/* SPDX-License-Identifier: MIT */
/* Finding segments, and removing those whose writer is gone. */
#include "parts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shm/layout.h"

TestSuite(discover, .init = test_dir_init, .fini = test_dir_fini);
TestSuite(remove_dead, .init = test_dir_init, .fini = test_dir_fini);

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static void make_file(const char *name, const void *bytes, size_t n)
{
    int fd = open(test_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, n), (ssize_t)n);
    close(fd);
}

/* The time of day, further on by as much; what the library asks comes here first. */
static time_t later_s;

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int r = (int)syscall(SYS_clock_gettime, clock, t);

    if (r == 0 && clock == CLOCK_REALTIME)
        t->tv_sec += later_s;
    return r;
}

/* ---- finding ---- */

static void assert_found(const char *dir, const char *const names[], long n)
{
    struct vmt_found *found = NULL;
    long count = vmt_discover(dir, &found);

    cr_assert_eq(count, n, "%ld", count);
    for (long i = 0; i < n; i++) {
        cr_expect_str_eq(found[i].name, names[i]);
        cr_expect(exists(found[i].path), "%s", found[i].path);
        cr_expect_str_eq(found[i].path + strlen(found[i].path) - 4, ".vmt");
    }
    vmt_found_free(found, count);
}

Test(discover, finds_all_sorted_as_people_count)
{
    static const char *const names[] = { "db", "vm-1", "vm-2", "vm-10", "vm-100" };
    static const char *const order[] = { "vm-10", "db", "vm-100", "vm-2", "vm-1" };
    struct vmt_segment *segments[LENGTH(names)];

    assert_found(NULL, NULL, 0);
    for (size_t i = 0; i < LENGTH(names); i++)
        segments[i] = new_segment(order[i]);
    make_file("README", "text", 4);
    make_file("vm.vmt.bak", "text", 4);
    make_file(".hidden.vmt", "text", 4);
    make_file(".vmt", "text", 4);
    assert_found(NULL, names, LENGTH(names));
    assert_found(test_path(""), names, LENGTH(names));
    for (size_t i = 0; i < LENGTH(names); i++)
        vmt_segment_close(segments[i]);
    assert_found(NULL, NULL, 0);
}

Test(discover, opens_nothing_and_so_finds_whatever_has_the_name)
{
    static const char *const names[] = { "fifo", "text" };

    cr_assert_eq(mkfifo(test_path("fifo.vmt"), 0644), 0);
    make_file("text.vmt", "text", 4);
    assert_found(NULL, names, 2);
}

Test(discover, a_directory_that_is_missing_has_none_unless_it_was_named)
{
    struct vmt_found *untouched = (void *)0x1;

    cr_assert_eq(setenv("VMTALLY_DIR", test_path("none"), 1), 0);
    assert_found(NULL, NULL, 0);
    cr_assert_eq(vmt_discover(test_path("none"), &untouched), -ENOENT);
    make_file("file", "", 0);
    cr_assert_eq(vmt_discover(test_path("file"), &untouched), -ENOTDIR);
    cr_assert_eq(untouched, (void *)0x1);
    vmt_found_free(NULL, 0);
}

static void look_in_default_places(void *arg)
{
    struct vmt_found *found = NULL;
    char path[64];
    long count;
    bool there = false;

    (void)arg;
    REQUIRE(unsetenv("VMTALLY_DIR") == 0);
    REQUIRE(setenv("XDG_RUNTIME_DIR", test_path(""), 1) == 0);
    REQUIRE(mkdir(test_path("vmtally"), 0755) == 0);
    make_file("vmtally/in-runtime-dir.vmt", "", 0);
    snprintf(path, sizeof(path), "/dev/shm/vmtally-%u", (unsigned)geteuid());
    count = vmt_discover(NULL, &found);
    REQUIRE(count >= 1);
    for (long i = 0; i < count; i++)
        there |= strcmp(found[i].name, "in-runtime-dir") == 0;
    REQUIRE(there);
    vmt_found_free(found, count);
}

Test(discover, looks_in_the_runtime_directory_too) { assert_child(look_in_default_places, NULL); }

Test(discover, says_where_it_looks)
{
    char buf[4096];

    cr_expect_str_eq(vmt_discover_places("/some/where", buf, sizeof(buf)), "/some/where");
    cr_expect_str_eq(vmt_discover_places(NULL, buf, sizeof(buf)), getenv("VMTALLY_DIR"));
    cr_expect_str_eq(vmt_discover_places("a\nb", buf, sizeof(buf)), "a?b");
    cr_expect_str_eq(vmt_discover_places("/some/where", buf, 6), "/some");
    cr_expect_eq(vmt_discover_places("/some/where", buf, 0), buf);
    cr_expect_str_eq(buf, "/some");
}

static void say_default_places(void *arg)
{
    char buf[256], expected[256], own[64];

    (void)arg;
    snprintf(own, sizeof(own), "/dev/shm/vmtally-%u", (unsigned)geteuid());
    REQUIRE(setenv("VMTALLY_DIR", "", 1) == 0);
    REQUIRE(setenv("XDG_RUNTIME_DIR", "/run/user/7", 1) == 0);
    snprintf(expected, sizeof(expected), "/run/vmtally, /run/user/7/vmtally, %s", own);
    REQUIRE(strcmp(vmt_discover_places(NULL, buf, sizeof(buf)), expected) == 0);
    REQUIRE(unsetenv("XDG_RUNTIME_DIR") == 0);
    snprintf(expected, sizeof(expected), "/run/vmtally, %s", own);
    REQUIRE(strcmp(vmt_discover_places(NULL, buf, sizeof(buf)), expected) == 0);
    for (size_t n = 1; n < sizeof(buf); n++) {
        memset(buf, 'x', sizeof(buf));
        vmt_discover_places(NULL, buf, n);
        REQUIRE(strnlen(buf, n) < n && strncmp(buf, expected, strlen(buf)) == 0 && buf[n] == 'x');
    }
}

Test(discover, says_all_of_the_usual_places) { assert_child(say_default_places, NULL); }

static void without_permission(void *arg)
{
    struct vmt_found *untouched = (void *)0x1;

    (void)arg;
    REQUIRE(mkdir(test_path("closed"), 0) == 0);
    REQUIRE(chmod(test_path(""), 0755) == 0);
    if (getuid() == 0)
        REQUIRE(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    REQUIRE(vmt_discover(test_path("closed"), &untouched) == -EACCES);
    REQUIRE(untouched == (void *)0x1);
}

Test(discover, without_permission_is_an_error) { assert_child(without_permission, NULL); }

/* Everybody may make a directory in /dev/shm, under anybody's name. */
static void look_in_anothers_place(void *arg)
{
    struct vmt_found *found = NULL;
    char path[64];
    char file[96];

    (void)arg;
    REQUIRE(unsetenv("VMTALLY_DIR") == 0);
    REQUIRE(setenv("XDG_RUNTIME_DIR", test_path("none"), 1) == 0);
    REQUIRE(chmod(test_path(""), 0755) == 0);
    snprintf(path, sizeof(path), "/dev/shm/vmtally-%u", 54321U);
    snprintf(file, sizeof(file), "%s/theirs.vmt", path);
    REQUIRE(mkdir(path, 0777) == 0);
    REQUIRE(close(open(file, O_WRONLY | O_CREAT, 0644)) == 0);
    REQUIRE(seteuid(54321) == 0);
    found = NULL;
    for (int step = 0; step < 3; step++) {
        long count = vmt_discover(NULL, &found);
        bool there = false;

        for (long i = 0; i < count; i++)
            there |= strcmp(found[i].name, "theirs") == 0;
        vmt_found_free(found, count);
        found = NULL;
        if (count < 0 || there != (step == 1))
            fprintf(stderr, "step %d: %ld, %s\n", step, count, there ? "there" : "not there");
        REQUIRE(seteuid(0) == 0);
        if (count < 0 || there != (step == 1))
            break;
        if (step == 0) { /* now it is ours */
            REQUIRE(chown(path, 54321, 54321) == 0);
        } else if (step == 1) { /* and now a link to what is ours */
            REQUIRE(rename(path, test_path("ours")) == 0);
            REQUIRE(symlink(test_path("ours"), path) == 0);
        } else {
            REQUIRE(unlink(path) == 0);
            return;
        }
        REQUIRE(seteuid(54321) == 0);
    }
    unlink(file);
    rmdir(path);
    unlink(path);
    _exit(1);
}

Test(discover, does_not_take_anothers_directory_for_its_own)
{
    if (getuid() != 0)
        cr_skip_test("only root can be somebody else");
    assert_child(look_in_anothers_place, NULL);
}

/* ---- removing ---- */

static void write_on(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "vm" };
    struct vmt_segment *segment = NULL;

    REQUIRE(vmt_segment_create(&options, &segment) == 0);
    say(arg, 1);
    for (;;)
        pause();
}

Test(remove_dead, leaves_the_living_and_removes_the_dead)
{
    int *stage = shared_memory(sizeof(*stage));
    pid_t writer = start_child(write_on, stage);

    cr_assert(reached(stage, 1));
    for (int dry_run = 0; dry_run < 2; dry_run++)
        cr_assert_eq(vmt_remove_dead(test_path("vm.vmt"), dry_run), -EBUSY);
    cr_assert(exists(test_path("vm.vmt")));
    kill_child(writer);
    cr_assert_eq(vmt_remove_dead(test_path("vm.vmt"), 1), 0);
    cr_assert(exists(test_path("vm.vmt")), "a dry run removed it");
    cr_assert_eq(vmt_remove_dead(test_path("vm.vmt"), 0), 0);
    cr_assert_not(exists(test_path("vm.vmt")));
    cr_assert_eq(vmt_remove_dead(test_path("vm.vmt"), 0), -ENOENT);
}

Test(remove_dead, removes_one_that_was_closed_and_kept)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "vm", .keep = 1 };
    struct vmt_segment *segment = NULL;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    cr_assert_eq(vmt_remove_dead(test_path("vm.vmt"), 0), -EBUSY, "of this very process");
    vmt_segment_close(segment);
    cr_assert_eq(vmt_remove_dead(test_path("vm.vmt"), 0), 0);
    cr_assert_not(exists(test_path("vm.vmt")));
}

/* A jailer makes the file, and the VMM makes a segment of it. */
Test(remove_dead, leaves_what_may_become_a_segment_in_place)
{
    static const char unpublished[8192];

    make_file("empty.vmt", "", 0);
    make_file("unpublished.vmt", unpublished, sizeof(unpublished));
    cr_assert_eq(vmt_remove_dead(test_path("empty.vmt"), 0), -ENODATA);
    cr_assert_eq(vmt_remove_dead(test_path("unpublished.vmt"), 0), -ENODATA);
    cr_assert(exists(test_path("empty.vmt")));
    cr_assert(exists(test_path("unpublished.vmt")));
}

Test(remove_dead, leaves_one_that_is_being_made)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd;

    make_file("empty.vmt", "", 0);
    fd = open(test_path("empty.vmt"), O_RDWR);
    cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
    cr_assert_eq(vmt_remove_dead(test_path("empty.vmt"), 0), -EBUSY);
    cr_assert(exists(test_path("empty.vmt")));
    close(fd);
}

Test(remove_dead, leaves_what_is_not_ours)
{
    static const char text[8192] = "somebody's precious data";
    static const struct {
        const char *name;
        int error;
    } foreign[] = {
        { "text.vmt", -EMEDIUMTYPE }, { "short.vmt", -EMEDIUMTYPE }, { "fifo.vmt", -EINVAL },
        { "dir.vmt", -EISDIR },       { "link.vmt", -ELOOP },
    };

    make_file("text.vmt", text, sizeof(text));
    make_file("short.vmt", text, 10);
    cr_assert_eq(mkfifo(test_path("fifo.vmt"), 0644), 0);
    cr_assert_eq(mkdir(test_path("dir.vmt"), 0755), 0);
    cr_assert_eq(symlink("text.vmt", test_path("link.vmt")), 0);
    for (size_t i = 0; i < LENGTH(foreign); i++) {
        int r = vmt_remove_dead(test_path(foreign[i].name), 0);

        cr_expect_eq(r, foreign[i].error, "%s: %s", foreign[i].name, strerror(-r));
        cr_expect(exists(test_path(foreign[i].name)), "%s", foreign[i].name);
    }
    cr_assert_eq(vmt_remove_dead("/dev/null", 0), -EINVAL);
}

/* ---- what creators leave that die ---- */

#define LEFT(name) "." name ".0123456789abcdef.tmp"

static void assert_leftovers(const char *const names[], long n)
{
    struct vmt_found *found = NULL;
    long count = vmt_discover_leftovers(NULL, &found);

    cr_assert_eq(count, n, "%ld", count);
    for (long i = 0; i < n; i++) {
        cr_expect_str_eq(found[i].name, names[i]);
        cr_expect(exists(found[i].path), "%s", found[i].path);
    }
    vmt_found_free(found, count);
}

Test(remove_dead, finds_what_creators_left)
{
    static const char *const names[] = { "a", "vm-2", "vm-10", "vm.1.x" };
    static const char *const others[] = { ".tmp",
                                          "..0123456789abcdef.tmp",
                                          ".a.0123456789abcdeg.tmp",
                                          ".a.0123456789abcde.tmp",
                                          ".a.0123456789ABCDEF.tmp",
                                          ".a.0123456789abcdef.tmpx",
                                          "a.0123456789abcdef.tmp",
                                          ".a-0123456789abcdef.tmp",
                                          ".0123456789abcdef.tmp" };

    for (size_t i = 0; i < LENGTH(others); i++)
        make_file(others[i], "", 0);
    make_file(LEFT("vm-10"), "", 0);
    make_file(LEFT("vm.1.x"), "", 0);
    make_file(LEFT("vm-2"), "", 0);
    make_file(LEFT("a"), "", 0);
    assert_leftovers(names, LENGTH(names));
    assert_found(NULL, NULL, 0);
}

/* A segment, complete, that nobody has. */
static void make_segment(const char *name)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "whole", .keep = 1 };
    struct vmt_segment *segment = NULL;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    vmt_segment_close(segment);
    cr_assert_eq(rename(test_path("whole.vmt"), test_path(name)), 0);
}

Test(remove_dead, removes_what_creators_left_when_it_is_old)
{
    static const char zeros[8192], text[8192] = "somebody's precious data", cut[100] = "\177VMTALLY";
    static const struct {
        const char *name;
        int error; /* when it is old */
    } left[] = {
        { LEFT("empty"), 0 }, { LEFT("zeros"), 0 },           { LEFT("whole"), 0 },
        { LEFT("cut"), 0 },   { LEFT("text"), -EMEDIUMTYPE }, { LEFT("later"), -EPROTONOSUPPORT },
    };
    const uint16_t major = 2;
    int fd;

    make_file(LEFT("empty"), "", 0);
    make_file(LEFT("zeros"), zeros, sizeof(zeros));
    make_file(LEFT("cut"), cut, sizeof(cut));
    make_file(LEFT("text"), text, sizeof(text));
    make_segment(LEFT("whole"));
    make_segment(LEFT("later"));
    fd = open(test_path(LEFT("later")), O_RDWR);
    cr_assert_eq(pwrite(fd, &major, sizeof(major), offsetof(struct shm_header, major)), sizeof(major));
    close(fd);
    for (size_t i = 0; i < LENGTH(left); i++) {
        later_s = 0;
        cr_expect_eq(vmt_remove_dead(test_path(left[i].name), 0), -EBUSY, "%s: it may be being made", left[i].name);
        later_s = -3600; /* the clock was set back */
        cr_expect_eq(vmt_remove_dead(test_path(left[i].name), 0), -EBUSY, "%s: younger than now", left[i].name);
        cr_expect(exists(test_path(left[i].name)), "%s", left[i].name);
        later_s = 61;
        for (int dry_run = 1; dry_run >= 0; dry_run--) {
            cr_expect_eq(vmt_remove_dead(test_path(left[i].name), dry_run), left[i].error, "%s", left[i].name);
            cr_expect_eq(exists(test_path(left[i].name)), dry_run || left[i].error, "%s", left[i].name);
        }
    }
}

/* However long it takes: its creator has it locked. */
Test(remove_dead, leaves_what_is_being_made)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd;

    make_file(LEFT("vm"), "", 0);
    fd = open(test_path(LEFT("vm")), O_RDWR);
    cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
    later_s = 3600;
    cr_assert_eq(vmt_remove_dead(test_path(LEFT("vm")), 0), -EBUSY);
    cr_assert(exists(test_path(LEFT("vm"))));
    close(fd);
    cr_assert_eq(vmt_remove_dead(test_path(LEFT("vm")), 0), 0);
}
