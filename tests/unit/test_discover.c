/* SPDX-License-Identifier: MIT */
/* Finding segments, and removing those whose writer is gone. */
#include "parts.h"

#include <fcntl.h>
#include <sys/stat.h>

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
