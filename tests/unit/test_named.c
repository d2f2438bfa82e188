/* SPDX-License-Identifier: MIT */
/* Which VMs a name means, and what people call them. */
#include "parts.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <vmtally/host.h>
#include <vmtally/recorded.h>

#include "kernel_host.h"
#include "lib/title.h"
#include "scarce.h"

TestSuite(named, .init = test_dir_init, .fini = test_dir_fini);

#define STRANGER 65534
#define SIZES_AT 108 /* shm/FORMAT.md: the table of sources */

enum { GOOD, DAMAGED, TEXT };

/* A copy of a segment with this name in it. */
struct file {
    const char *file;
    const char *inner;
    uid_t uid; /* whose it is; 0: the tester's */
    int how;
};

static void copy_bytes(const char *from, int to)
{
    char bytes[65536];
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    cr_assert_geq(fd, 0);
    while ((n = read(fd, bytes, sizeof(bytes))) > 0)
        cr_assert_eq(write(to, bytes, (size_t)n), n);
    close(fd);
}

/* Files that can't be given away are left out: false. */
static bool make(const struct file *f)
{
    struct vmt_segment *segment;
    int fd;

    if (f->uid && getuid() != 0)
        return false;
    setenv("VMTALLY_DIR", test_path("made"), 1);
    mkdir(test_path("made"), 0755);
    mkdir(test_path("vms"), 0755);
    segment = new_segment(f->inner);
    fd = open(test_path(f->file), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    cr_assert_geq(fd, 0);
    if (f->how == TEXT)
        cr_assert_eq(write(fd, "this is a text", 14), 14);
    else
        copy_bytes(vmt_segment_path(segment), fd);
    if (f->how == DAMAGED)
        cr_assert_eq(pwrite(fd, "\0\0\0\0", 4, SIZES_AT), 4);
    cr_assert_eq(fchown(fd, f->uid ? f->uid : geteuid(), (gid_t)-1), 0);
    close(fd);
    vmt_segment_close(segment);
    return true;
}

/* ---- the rule ---- */

struct row {
    const char *what;
    const char *asked;
    struct file files[4];
    struct made processes[3];
    const char *found[4]; /* paths */
};

#define TWO_THOUSAND_MILLION "2000000007" /* more than any process can have */
#define A_PID 2000000007U

static const struct row rows[] = {
    { "nothing is called so", "web", { { "vms/db.vmt", "db", 0, GOOD } }, { { 0 } }, { NULL } },
    { "there is nothing", "web", { { 0 } }, { { 0 } }, { NULL } },
    { "a file's name", "web", { { "vms/web.vmt", "web", 0, GOOD } }, { { 0 } }, { "vms/web.vmt" } },
    { "the whole of it", "we", { { "vms/web.vmt", "web", 0, GOOD } }, { { 0 } }, { NULL } },
    { "in jail mode a file may be called anything",
      "web",
      { { "vms/jail.vmt", "web", 0, GOOD }, { "vms/other.vmt", "db", 0, GOOD } },
      { { 0 } },
      { "vms/jail.vmt" } },
    { "the file's name goes before the one in it",
      "web",
      { { "vms/jail.vmt", "web", 0, GOOD }, { "vms/web.vmt", "db", 0, GOOD } },
      { { 0 } },
      { "vms/web.vmt" } },
    { "two in which that name stands",
      "web",
      { { "vms/b.vmt", "web", 0, GOOD }, { "vms/a.vmt", "web", 0, GOOD }, { "vms/c.vmt", "db", 0, GOOD } },
      { { 0 } },
      { "vms/a.vmt", "vms/b.vmt" } },
    { "what was set aside says another's name", "web", { { "vms/web~1.vmt", "web", 0, GOOD } }, { { 0 } }, { NULL } },
    { "but has one of its own", "web~1", { { "vms/web~1.vmt", "web", 0, GOOD } }, { { 0 } }, { "vms/web~1.vmt" } },
    { "what can't be read is better than nothing",
      "web",
      { { "vms/web.vmt", "web", 0, TEXT }, { "vms/db.vmt", "db", 0, GOOD } },
      { { 0 } },
      { "vms/web.vmt" } },
    { "but worse than a name in a file",
      "web",
      { { "vms/web.vmt", "web", 0, DAMAGED }, { "vms/jail.vmt", "web", 0, GOOD } },
      { { 0 } },
      { "vms/jail.vmt" } },
    { "and is nothing under another name", "web", { { "vms/jail.vmt", "web", 0, DAMAGED } }, { { 0 } }, { NULL } },
    { "what is somebody else's is better than nothing",
      "web",
      { { "vms/web.vmt", "web", STRANGER, GOOD } },
      { { 0 } },
      { "vms/web.vmt" } },
    { "also by the name in it", "web", { { "vms/x.vmt", "web", STRANGER, GOOD } }, { { 0 } }, { "vms/x.vmt" } },
    { "but worse than a name in a file",
      "web",
      { { "vms/web.vmt", "web", STRANGER, GOOD }, { "vms/jail.vmt", "web", 0, GOOD } },
      { { 0 } },
      { "vms/jail.vmt" } },
    { "two that are doubtful",
      "web",
      { { "vms/x.vmt", "web", STRANGER, GOOD }, { "vms/web.vmt", "web", 0, TEXT } },
      { { 0 } },
      { "vms/web.vmt", "vms/x.vmt" } },
    { "with its owner it is meant",
      "web (uid 65534)",
      { { "vms/x.vmt", "web", STRANGER, GOOD }, { "vms/web.vmt", "web", 0, GOOD } },
      { { 0 } },
      { "vms/x.vmt" } },
    { "also where it was set aside",
      "web~1 (uid 65534)",
      { { "vms/web~1.vmt", "web", STRANGER, GOOD } },
      { { 0 } },
      { "vms/web~1.vmt" } },
    { "with another owner it is not", "web (uid 1)", { { "vms/x.vmt", "web", STRANGER, GOOD } }, { { 0 } }, { NULL } },
    { "nor is what has no other owner", "web (uid 0)", { { "vms/web.vmt", "web", 0, GOOD } }, { { 0 } }, { NULL } },
    { "a process by its name",
      "guest",
      { { "vms/web.vmt", "web", 0, GOOD } },
      { { .pid = 5, .start = 1, .name = "guest" }, { .pid = 6, .start = 1, .name = "other" } },
      { "/proc/5" } },
    { "two processes of one name",
      "guest",
      { { 0 } },
      { { .pid = 5, .start = 1, .name = "guest" }, { .pid = 6, .start = 1, .name = "guest" } },
      { "/proc/5", "/proc/6" } },
    { "a process and a file",
      "web",
      { { "vms/web.vmt", "web", 0, GOOD } },
      { { .pid = 5, .start = 1, .name = "web" } },
      { "/proc/5", "vms/web.vmt" } },
    { "somebody else's process is doubtful",
      "web",
      { { "vms/jail.vmt", "web", 0, GOOD } },
      { { .pid = 5, .start = 1, .name = "web", .uid = STRANGER } },
      { "vms/jail.vmt" } },
    { "a process by its pid",
      TWO_THOUSAND_MILLION,
      { { "vms/web.vmt", "web", 0, GOOD } },
      { { .pid = A_PID, .start = 1, .name = "guest" } },
      { "/proc/" TWO_THOUSAND_MILLION } },
    { "also somebody else's",
      TWO_THOUSAND_MILLION,
      { { 0 } },
      { { .pid = A_PID, .start = 1, .name = "guest", .uid = STRANGER } },
      { "/proc/" TWO_THOUSAND_MILLION } },
    { "not one of which it is a part",
      "200000000",
      { { 0 } },
      { { .pid = A_PID, .start = 1, .name = "g" } },
      { NULL } },
    { "a process that calls itself by another's pid is not meant",
      TWO_THOUSAND_MILLION,
      { { 0 } },
      { { .pid = 5, .start = 1, .name = TWO_THOUSAND_MILLION }, { .pid = A_PID, .start = 1, .name = "guest" } },
      { "/proc/" TWO_THOUSAND_MILLION } },
    { "but where nobody has that pid it is",
      TWO_THOUSAND_MILLION,
      { { 0 } },
      { { .pid = 5, .start = 1, .name = TWO_THOUSAND_MILLION } },
      { "/proc/5" } },
    { "a VM may be called by a number",
      TWO_THOUSAND_MILLION,
      { { "vms/" TWO_THOUSAND_MILLION ".vmt", "web", 0, GOOD } },
      { { .pid = A_PID, .start = 1, .name = "guest" } },
      { "vms/" TWO_THOUSAND_MILLION ".vmt" } },
    { "unless that is doubtful",
      TWO_THOUSAND_MILLION,
      { { "vms/" TWO_THOUSAND_MILLION ".vmt", "web", 0, TEXT } },
      { { .pid = A_PID, .start = 1, .name = "guest" } },
      { "/proc/" TWO_THOUSAND_MILLION } },
};

static bool is_among(const struct vmt_found *found, long count, const char *path)
{
    const char *full = path[0] == '/' ? path : test_path(path);

    for (long i = 0; i < count; i++) {
        if (strcmp(found[i].path, full) == 0)
            return true;
    }
    return false;
}

static void check_row(const struct row *row, struct vmt_host *host, enum vmt_read_mode mode)
{
    const struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = mode };
    struct vmt_found *found = NULL;
    long expected = 0;
    long count = vmt_host_find(host, test_path("vms"), row->asked, &options, &found);

    while ((size_t)expected < LENGTH(row->found) && row->found[expected])
        expected++;
    cr_expect_eq(count, expected, "%s: %ld", row->what, count);
    for (long i = 0; i < expected; i++)
        cr_expect(is_among(found, count, row->found[i]), "%s: %s", row->what, row->found[i]);
    if (count >= 0)
        vmt_found_free(found, count);
}

static void remove_files(void)
{
    for (size_t i = 0; i < LENGTH(rows); i++) {
        for (size_t k = 0; k < LENGTH(rows[i].files) && rows[i].files[k].file; k++)
            unlink(test_path(rows[i].files[k].file));
    }
}

Test(named, means_what_fits_best)
{
    struct vmt_host *host = made_host();
    size_t left_out = 0;

    mkdir(test_path("vms"), 0755);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const struct row *row = &rows[i];
        unsigned processes = 0;
        bool made = true;

        while (processes < LENGTH(row->processes) && row->processes[processes].pid)
            processes++;
        remove_files();
        for (size_t k = 0; k < LENGTH(row->files) && row->files[k].file; k++)
            made = made && make(&row->files[k]);
        if (!made) {
            left_out++;
            continue;
        }
        made_look(host, row->processes, processes);
        for (int mode = VMT_READ_COPY; mode <= VMT_READ_GUARDED; mode++) {
            check_row(row, host, (enum vmt_read_mode)mode);
            if (processes == 0)
                check_row(row, NULL, (enum vmt_read_mode)mode);
        }
    }
    cr_expect(left_out == 0 || getuid() != 0);
    vmt_host_free(host);
}

/* ---- what it costs, and what goes wrong ---- */

static bool was_opened(int watch)
{
    char events[4096];

    return read(watch, events, sizeof(events)) > 0;
}

Test(named, others_are_read_only_where_none_is_called_so)
{
    struct vmt_found *found = NULL;
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    make(&(struct file){ "vms/web.vmt", "web", 0, GOOD });
    make(&(struct file){ "vms/other.vmt", "db", 0, GOOD });
    cr_assert_geq(inotify_add_watch(watch, test_path("vms/other.vmt"), IN_OPEN), 0);
    cr_expect_eq(vmt_host_find(NULL, test_path("vms"), "web", NULL, &found), 1);
    vmt_found_free(found, 1);
    cr_expect_not(was_opened(watch));
    cr_expect_eq(vmt_host_find(NULL, test_path("vms"), "db", NULL, &found), 1);
    vmt_found_free(found, 1);
    cr_expect(was_opened(watch));
    close(watch);
}

Test(named, what_goes_wrong_is_an_error_and_leaves_the_result_alone)
{
    const struct vmt_reader_options strange = { .struct_size = sizeof(strange), .reserved = 1 };
    struct vmt_found *untouched = (void *)0x1;
    struct vmt_found *none = untouched;

    make(&(struct file){ "vms/web.vmt", "web", 0, GOOD });
    cr_expect_eq(vmt_host_find(NULL, test_path("none"), "web", NULL, &untouched), -ENOENT);
    cr_expect_eq(vmt_host_find(NULL, test_path("vms"), "web", &strange, &untouched), -EINVAL);
    cr_expect_eq(untouched, (void *)0x1);
    cr_expect_eq(vmt_host_find(NULL, test_path("vms"), "db", NULL, &none), 0);
    cr_expect_null(none);
    vmt_found_free(none, 0);
}

/* A file that could not be read for want of memory is doubtful, as any other that can't be. */
Test(named, without_memory_it_is_an_error_or_what_it_would_be)
{
    const char *dir = test_path("vms");
    bool failed = true;
    unsigned errors = 0;

    make(&(struct file){ "vms/web.vmt", "web", 0, GOOD });
    make(&(struct file){ "vms/other.vmt", "db", 0, GOOD });
    for (unsigned n = 1; failed; n++) {
        struct vmt_found *found = (void *)0x1;
        long count = SCARCE(n, &failed, vmt_host_find(NULL, dir, "web", NULL, &found));

        cr_assert(count == 1 || (count == -ENOMEM && found == (void *)0x1), "%u: %ld", n, count);
        errors += count < 0;
        if (count == 1)
            vmt_found_free(found, count);
    }
    cr_expect_gt(errors, 1);
}

Test(named, is_looked_for_in_the_usual_places)
{
    struct vmt_found *found = NULL;

    make(&(struct file){ "vms/web.vmt", "web", 0, GOOD });
    setenv("VMTALLY_DIR", test_path("vms"), 1);
    cr_assert_eq(vmt_host_find(NULL, NULL, "web", NULL, &found), 1);
    cr_expect_str_eq(found[0].path, test_path("vms/web.vmt"));
    cr_expect_str_eq(found[0].name, "web");
    vmt_found_free(found, 1);
}

/* ---- titles, and what was set aside ---- */

Test(named, a_file_was_set_aside_if_a_number_follows_the_tilde)
{
    static const struct {
        const char *path;
        bool aside;
    } paths[] = {
        { "/run/vmtally/web~1.vmt", true },
        { "web~9.vmt", true },
        { "a~12.vmt", true },
        { "web.vmt", false },
        { "web~.vmt", false },
        { "web1.vmt", false },
        { "web~1", false },
        { "web~1.vmt.bak", false },
        { "/run/vmtally/~1.vmt", false },
        { "~1.vmt", false },
        { "web~1x.vmt", false },
        { "web~x1.vmt", false },
        { "/run/web~1.vmt/x.vmt", false },
        { "/proc/4711", false },
        { "", false },
        { ".vmt", false },
        { "/web~1/2.vmt", false },
    };

    for (size_t i = 0; i < LENGTH(paths); i++)
        cr_expect_eq(title_set_aside(paths[i].path), paths[i].aside ? VMT_SNAPSHOT_SET_ASIDE : 0, "%s", paths[i].path);
}

Test(named, titles_are_of_the_name_or_the_file_with_the_owner_of_what_is_foreign)
{
    static const struct {
        struct vmt_segment_info info;
        size_t size;
        const char *title;
        size_t name;
    } titles[] = {
        { { .path = "/run/x.vmt", .name = "web", .uid = 7 }, VMT_TITLE_SIZE, "web", 3 },
        { { .path = "/run/x.vmt", .name = "" }, VMT_TITLE_SIZE, "", 0 },
        { { .path = "/run/x.vmt", .name = "web", .uid = 7, .flags = VMT_SNAPSHOT_FOREIGN },
          VMT_TITLE_SIZE,
          "web (uid 7)",
          3 },
        { { .path = "/run/web~1.vmt", .name = "web", .flags = VMT_SNAPSHOT_SET_ASIDE }, VMT_TITLE_SIZE, "web~1", 5 },
        { { .path = "web~1.vmt",
            .name = "db",
            .uid = UINT32_MAX,
            .flags = VMT_SNAPSHOT_FOREIGN | VMT_SNAPSHOT_SET_ASIDE },
          VMT_TITLE_SIZE,
          "web~1 (uid 4294967295)",
          5 },
        { { .path = "/proc/7", .name = "a b" }, VMT_TITLE_SIZE, "a b", 3 },
        { { .path = "x.vmt", .name = "12345678", .uid = UINT32_MAX, .flags = VMT_SNAPSHOT_FOREIGN },
          24,
          "123456 (uid 4294967295)",
          6 },
        { { .path = "x.vmt", .name = "12345678", .uid = 7, .flags = VMT_SNAPSHOT_FOREIGN }, 9, " (uid 7)", 0 },
        { { .path = "x.vmt", .name = "12345678" }, 1, "", 0 },
    };
    char buf[VMT_TITLE_SIZE] = "untouched";

    cr_expect_eq(vmt_segment_info_title(&titles[0].info, buf, 0), 0);
    cr_expect_str_eq(buf, "untouched");
    for (size_t i = 0; i < LENGTH(titles); i++) {
        cr_expect_eq(vmt_segment_info_title(&titles[i].info, buf, titles[i].size), titles[i].name, "%zu", i);
        cr_expect_str_eq(buf, titles[i].title, "%s", buf);
    }
}

static uint32_t aside(const struct vmt_snapshot *snapshot)
{
    return vmt_snapshot_segment(snapshot)->flags & VMT_SNAPSHOT_SET_ASIDE;
}

Test(named, snapshots_say_that_a_file_was_set_aside_as_its_path_does)
{
    struct vmt_snapshot *snapshot = new_snapshot(), *other = new_snapshot();
    struct vmt_sample sample = { .id = "", .parent = UINT32_MAX };
    struct vmt_recorded *recorded = NULL;
    struct vmt_segment_info info;
    struct vmt_reader *reader;

    make(&(struct file){ "vms/web~1.vmt", "web", 0, GOOD });
    reader = attach(test_path("vms/web~1.vmt"), VMT_READ_COPY);
    take(snapshot, reader);
    cr_expect(aside(snapshot));
    cr_assert_eq(vmt_snapshot_copy(other, snapshot), 0);
    cr_expect(aside(other));
    cr_assert_eq(vmt_recorded_new(&recorded), 0);
    cr_assert_eq(vmt_recorded_schema(recorded, vmt_snapshot_source(snapshot, 0)->schema, &sample.schema), 0);
    info = *vmt_snapshot_segment(snapshot);
    info.flags = 0; /* records do not say it, but the path does */
    cr_assert_eq(vmt_snapshot_rebuild(other, recorded, &info, &sample, 1), 0);
    cr_expect(aside(other));
    info.flags = VMT_SNAPSHOT_SET_ASIDE;
    info.path = "/run/vmtally/web.vmt";
    cr_assert_eq(vmt_snapshot_rebuild(other, recorded, &info, &sample, 1), 0);
    cr_expect_not(aside(other));
    vmt_recorded_free(recorded);
    vmt_reader_close(reader);
    vmt_snapshot_free(snapshot);
    vmt_snapshot_free(other);
}
