/* SPDX-License-Identifier: MIT */
/* The process that writes kvmtop's settings: what it makes, what it refuses, and that it leaves nothing behind. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/top/saver.h"
#include "config_file.h"

TestSuite(saver, .init = init, .fini = fini);

static mode_t mode_of(const char *path)
{
    struct stat st;

    cr_assert_eq(stat(path, &st), 0, "%s", path);
    return st.st_mode & 07777;
}

static int write_file(const char *text) { return saver_write(file, text, strlen(text)); }

Test(saver, makes_directories_when_it_writes_and_not_before)
{
    struct saver saver;
    char why[256] = "";

    saver_start(&saver, file);
    nap_us(50000);
    cr_expect_eq(test_dir_files(), 0);
    for (int i = 0; i < 3; i++) {
        char text[16];

        snprintf(text, sizeof(text), "text %d\n", i);
        cr_assert_eq(saver_save(&saver, text, why, sizeof(why)), 0, "%s", why);
        cr_expect_str_eq(contents(file), text);
    }
    cr_expect_eq(mode_of(file), 0600);
    cr_expect_eq(mode_of(test_path("config")), 0700);
    cr_expect_eq(mode_of(test_path("config/vmtally")), 0700);
    saver_end(&saver);
    cr_expect_lt(saver_save(&saver, "text", why, sizeof(why)), 0);
}

Test(saver, leaves_nothing_beside_the_file_and_keeps_its_mode)
{
    put(file, "old", 3);
    cr_assert_eq(chmod(file, 0644), 0);
    cr_assert_eq(write_file("new"), 0);
    cr_expect_str_eq(contents(file), "new");
    cr_expect_eq(mode_of(file), 0644);
    cr_assert_eq(unlink(file), 0);
    cr_expect_eq(rmdir(test_path("config/vmtally")), 0, "%s", strerror(errno));
}

Test(saver, writes_what_a_link_leads_to)
{
    struct stat st;

    make_directories();
    cr_assert_eq(mkdir(test_path("dotfiles"), 0755), 0);
    put(test_path("dotfiles/conf"), "old", 3);
    cr_assert_eq(symlink("../../dotfiles/conf", file), 0);
    cr_assert_eq(write_file("new"), 0);
    cr_expect_str_eq(contents(test_path("dotfiles/conf")), "new");
    cr_expect(lstat(file, &st) == 0 && S_ISLNK(st.st_mode));
    cr_assert_eq(unlink(test_path("dotfiles/conf")), 0);
    cr_expect_eq(write_file("newer"), -ENOENT, "it leads to nothing");
    cr_expect(lstat(file, &st) == 0 && S_ISLNK(st.st_mode));
    cr_assert_eq(unlink(file), 0);
    cr_assert_eq(rmdir(test_path("config/vmtally")), 0);
    cr_assert_eq(symlink("../dotfiles", test_path("config/vmtally")), 0); /* so may the directory be one */
    cr_assert_eq(write_file("newest"), 0);
    cr_expect_str_eq(contents(test_path("dotfiles/kvmtop.conf")), "newest");
}

Test(saver, writes_text_in_regular_files_only)
{
    static const char *const bad[] = { "a\033[2J", "a\rb", "\xff", "\xc2\x9b", "a\tb", "\xe2\x80\xae" };
    char *large = calloc(1, SAVER_BYTES + 2);
    struct saver saver;
    char why[256] = "";

    cr_assert_not_null(large);
    put(file, "old", 3);
    for (size_t i = 0; i < LENGTH(bad); i++)
        cr_expect_eq(write_file(bad[i]), -EILSEQ, "%zu", i);
    cr_expect_eq(saver_write(file, "a\0b", 3), -EILSEQ);
    memset(large, 'x', SAVER_BYTES + 1);
    saver_start(&saver, file);
    cr_expect_eq(saver_save(&saver, large, why, sizeof(why)), -EFBIG);
    cr_expect_str_eq(contents(file), "old");
    large[SAVER_BYTES] = '\0';
    cr_expect_eq(saver_save(&saver, large, why, sizeof(why)), 0, "%s", why);
    cr_expect_eq(strncmp(contents(file), "xxxx", 4), 0);
    saver_end(&saver);
    free(large);
    cr_assert_eq(unlink(file), 0);
    cr_assert_eq(mkfifo(file, 0600), 0);
    cr_expect_eq(write_file("text"), -EINVAL);
    cr_assert_eq(unlink(file), 0);
    cr_assert_eq(mkdir(file, 0700), 0);
    cr_expect_eq(write_file("text"), -EISDIR);
    cr_expect_eq(saver_write("kvmtop.conf", "text", 4), -ENAMETOOLONG);
}

Test(saver, paths_that_are_too_long_are_refused)
{
    size_t n = 8192;
    char *path = malloc(n);

    cr_assert_not_null(path);
    for (size_t length = 4080; length < 4100; length++) {
        size_t at = (size_t)snprintf(path, n, "%s", test_path("long"));

        while (at < length) {
            path[at] = at % 100 ? 'x' : '/';
            at++;
        }
        path[at - 1] = 'x';
        path[at] = '\0';
        cr_expect_eq(saver_write(path, "text", 4), length <= 4096 - sizeof(".XXXXXX") ? 0 : -ENAMETOOLONG, "%zu",
                     length);
    }
    free(path);
}

static void try_read_only(void *unused)
{
    (void)unused;
    if (geteuid() == 0)
        REQUIRE(setgid(65534) == 0 && setuid(65534) == 0);
    struct saver saver;
    char why[256] = "";

    saver_start(&saver, file);
    REQUIRE(saver_save(&saver, "new", why, sizeof(why)) == -EACCES);
    REQUIRE(strstr(why, "Not saved: permission denied") && strstr(why, "kvmtop.conf"));
    saver_end(&saver);
}

Test(saver, says_that_a_directory_or_file_may_not_be_written)
{
    put(file, "old", 3);
    cr_assert_eq(chmod(test_path("config"), 0755), 0);
    cr_assert_eq(chmod(test_path("config/vmtally"), 0555), 0);
    cr_assert_eq(chmod(test_path(""), 0755), 0);
    assert_child(try_read_only, NULL);
    cr_assert_eq(chmod(test_path("config/vmtally"), 0777), 0);
    cr_assert_eq(chmod(file, 0444), 0); /* who has made it so does not want it changed, by a rename neither */
    assert_child(try_read_only, NULL);
    cr_expect_str_eq(contents(file), "old");
    cr_assert_eq(unlink(file), 0);
    cr_assert_eq(rmdir(test_path("config/vmtally")), 0);
    cr_assert_eq(chmod(test_path("config"), 0555), 0);
    assert_child(try_read_only, NULL);
    cr_assert_eq(chmod(test_path("config"), 0755), 0);
}

Test(saver, root_writes_nothing_into_directories_of_others)
{
    struct stat st;
    char why[256] = "";
    struct saver saver;

    if (geteuid() != 0)
        cr_skip_test("only root has to be careful");
    make_directories();
    cr_assert_eq(chown(test_path("config"), 65534, 65534), 0);
    cr_expect_eq(write_file("text"), -EPERM);
    saver_start(&saver, file);
    cr_expect_eq(saver_save(&saver, "text", why, sizeof(why)), -EPERM);
    cr_expect(strstr(why, "where others own the directories"), "%s", why);
    saver_end(&saver);
    cr_assert_eq(chown(test_path("config"), 0, 0), 0);
    cr_assert_eq(chmod(test_path("config"), 0777), 0);
    cr_expect_eq(write_file("text"), -EPERM, "nor where others may rename");
    cr_assert_eq(chmod(test_path("config"), 0755), 0);
    put(test_path("of-others"), "old", 3);
    cr_assert_eq(chown(test_path("of-others"), 65534, 65534), 0);
    cr_assert_eq(symlink(test_path("of-others"), file), 0);
    cr_expect_eq(write_file("text"), -EPERM, "nor through a link");
    cr_expect(lstat(file, &st) == 0 && S_ISLNK(st.st_mode));
    cr_assert_eq(unlink(file), 0);
    cr_expect_eq(write_file("text"), 0);
}

static void try_without_room(void *unused)
{
    const struct rlimit none = { 2, 2 };

    (void)unused;
    signal(SIGXFSZ, SIG_IGN);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &none) == 0);
    REQUIRE(saver_write(file, "new", 3) == -EFBIG);
}

Test(saver, without_room_the_old_file_stays)
{
    put(file, "old", 3);
    assert_child(try_without_room, NULL);
    cr_expect_str_eq(contents(file), "old");
    cr_assert_eq(unlink(file), 0);
    cr_expect_eq(rmdir(test_path("config/vmtally")), 0, "nothing is left beside it");
}

Test(saver, ends_when_its_kvmtop_does)
{
    struct saver saver;
    int pipe_fds[2];
    char byte;

    cr_assert_eq(pipe(pipe_fds), 0); /* which it does not keep open either */
    saver_start(&saver, file);
    cr_assert_eq(close(pipe_fds[1]), 0);
    cr_expect_eq(read(pipe_fds[0], &byte, 1), 0);
    saver_end(&saver);
    cr_expect(wait(NULL) < 0 && errno == ECHILD, "nothing of it is left");
    cr_assert_eq(close(pipe_fds[0]), 0);
}

Test(saver, is_missed_when_it_has_ended)
{
    struct saver saver;
    char why[256] = "";
    char path[64];
    pid_t child = 0;
    FILE *f;

    saver_start(&saver, file);
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    f = fopen(path, "r");
    cr_assert(f && fscanf(f, "%d", &child) == 1 && child > 0);
    fclose(f);
    kill_child(child);
    cr_expect_eq(saver_save(&saver, "text", why, sizeof(why)), -EPIPE);
    cr_expect(strstr(why, "start kvmtop again"), "%s", why);
    saver_end(&saver);
}

Test(saver, without_a_home_that_is_said)
{
    struct saver saver;
    char why[256] = "";

    saver_start(&saver, NULL);
    cr_expect_eq(saver_save(&saver, "text", why, sizeof(why)), -ENOENT);
    cr_expect(strstr(why, "set HOME"), "%s", why);
    saver_end(&saver);
}
