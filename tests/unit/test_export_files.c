/* SPDX-License-Identifier: MIT */
/* Many files from the process that reads segments: what it may not do to the one that writes them. */
#include "export_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/export_files.h"
#include "cli/write_file.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct {
    char data[4096];
    size_t size;
} records;

/* As it should be, or with sizes that are said to be others. */
static void put_record(const char *name, uint32_t name_bytes, const char *file, uint32_t file_bytes)
{
    const uint32_t sizes[] = { name_bytes, file_bytes };

    memcpy(records.data + records.size, sizes, sizeof(sizes));
    records.size += sizeof(sizes);
    memcpy(records.data + records.size, name, strlen(name));
    records.size += strlen(name);
    memcpy(records.data + records.size, file, strlen(file));
    records.size += strlen(file);
}

static void put(const char *name, const char *file)
{
    put_record(name, (uint32_t)strlen(name), file, (uint32_t)strlen(file));
}

static int write_records(const char *directory)
{
    int r = export_files_write(test_path(directory), records.data, records.size);

    records.size = 0;
    return r;
}

static const char *content(const char *name)
{
    static char text[64];
    int fd = open(test_path(name), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    text[n < 0 ? 0 : n] = '\0';
    return n < 0 ? "nothing" : text;
}

/* All that is below a directory, by number. */
static int below(const char *directory)
{
    char command[512], text[16] = "";
    FILE *pipe;

    snprintf(command, sizeof(command), "find '%s' -mindepth 1 | wc -l", test_path(directory));
    pipe = popen(command, "re");
    cr_assert_not_null(pipe);
    cr_assert_not_null(fgets(text, sizeof(text), pipe));
    pclose(pipe);
    return atoi(text);
}

TestSuite(export_files, .init = test_dir_init, .fini = test_dir_fini);

Test(export_files, are_written_below_the_directory)
{
    put("web-1.kvm", "segment");
    put("web-1/vm.kvm", "vm");
    put("web-1/vm/vcpu-0.kvm", "vcpu");
    put("web-2 (uid 7)/ünïcode.kvm", "");
    cr_assert_eq(write_records("out"), 0);
    cr_expect_str_eq(content("out/web-1.kvm"), "segment");
    cr_expect_str_eq(content("out/web-1/vm.kvm"), "vm");
    cr_expect_str_eq(content("out/web-1/vm/vcpu-0.kvm"), "vcpu");
    cr_expect_str_eq(content("out/web-2 (uid 7)/ünïcode.kvm"), "");
    cr_expect_eq(below("out"), 7, "no temporary file is left");
}

Test(export_files, names_that_no_honest_process_gives_write_nothing_more)
{
    static char long_part[300], long_name[1100];
    static const struct {
        const char *what;
        const char *name;
    } rows[] = {
        { "up", "../up.kvm" },
        { "up, later", "a/../../up.kvm" },
        { "up at the end", "a/..kvm" },
        { "here", "./here.kvm" },
        { "from the root", "/tmp/vmtally-export-test.kvm" },
        { "an empty part", "a//b.kvm" },
        { "a hidden file", ".profile.kvm" },
        { "a hidden directory", "a/.ssh/authorized_keys.kvm" },
        { "a file of another kind", "a/profile" },
        { "a directory", "a.kvm/" },
        { "no name", ".kvm" },
        { "no name in a directory", "a/.kvm" },
        { "a line's end", "a\nb.kvm" },
        { "a control sequence", "a\033[2Jb.kvm" },
        { "no UTF-8", "a\377b.kvm" },
        { "a turn of the direction of writing", "a\342\200\256b.kvm" },
        { "a part that is too long", long_part },
        { "a name that is too long", long_name },
    };

    memset(long_part, 'x', sizeof(long_part) - 1);
    strcpy(long_part + sizeof(long_part) - 5, ".kvm");
    for (size_t i = 0; i + 1 < sizeof(long_name); i++)
        long_name[i] = i % 2 ? '/' : 'x';
    strcpy(long_name + sizeof(long_name) - 6, "x.kvm");
    for (size_t i = 0; i < COUNT(rows); i++) {
        put("good.kvm", "good");
        put(rows[i].name, "evil");
        put("after.kvm", "after");
        cr_expect_eq(write_records("out/"), 1, "%s", rows[i].what);
        cr_expect_eq(test_dir_files(), 1, "%s: %d files", rows[i].what, test_dir_files());
        cr_expect_eq(below("out"), 1, "%s: %d", rows[i].what, below("out"));
        cr_expect_str_eq(content("out/good.kvm"), "good");
    }
    cr_assert(access("/tmp/vmtally-export-test.kvm", F_OK) < 0);
}

Test(export_files, sizes_that_do_not_fit_write_nothing_more)
{
    static const struct {
        const char *what;
        uint32_t name_bytes, file_bytes;
    } rows[] = {
        { "no name", 0, 4 },
        { "a name past the end", 6000, 4 },
        { "a name of four gigabytes", UINT32_MAX, 4 },
        { "a name with a part of the file", 9, 3 },
        { "a file past the end", 5, 5 },
        { "a file of four gigabytes", 5, UINT32_MAX },
        { "both of them", UINT32_MAX, UINT32_MAX },
        { "a sum that wraps", 5, UINT32_MAX - 4 },
        { "half a record behind it", 5, 2 },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        put("good.kvm", "good");
        put_record("a.kvm", rows[i].name_bytes, "evil", rows[i].file_bytes);
        cr_expect_eq(write_records("out"), 1, "%s", rows[i].what);
        cr_expect_leq(below("out"), 2, "%s", rows[i].what);
        cr_expect_str_eq(content("out/good.kvm"), "good");
    }
    put("a.kvm", "file");
    records.data[9] = '\0'; /* within the name */
    cr_expect_eq(write_records("nul"), 1);
    cr_expect_eq(below("nul"), 0);
}

/* Whatever a segment calls its sources: what lies below the directory stays what it is. */
Test(export_files, nothing_but_regular_files_is_replaced)
{
    cr_assert_eq(mkdir(test_path("out"), 0755), 0);
    cr_assert_eq(mkdir(test_path("elsewhere"), 0755), 0);
    cr_assert_eq(symlink("../elsewhere", test_path("out/vm")), 0);
    cr_assert_eq(symlink("../elsewhere/file", test_path("out/link.kvm")), 0);
    cr_assert_eq(mkfifo(test_path("out/fifo.kvm"), 0644), 0);
    cr_assert_eq(mkdir(test_path("out/directory.kvm"), 0755), 0);
    put("vm/file.kvm", "evil");
    put("link.kvm", "evil");
    put("fifo.kvm", "evil");
    put("directory.kvm", "evil");
    put("fifo.kvm/file.kvm", "evil");
    put("good.kvm", "good");
    cr_assert_eq(write_records("out"), 1);
    cr_expect_eq(below("elsewhere"), 0);
    cr_expect_eq(below("out"), 5);
    cr_expect_str_eq(content("out/good.kvm"), "good", "and the rest is written");
}

/* ---- one file ---- */

static int limit_files(rlim_t bytes)
{
    struct rlimit limit;

    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    return setrlimit(RLIMIT_FSIZE, &limit);
}

Test(export_files, what_can_not_be_written_whole_leaves_the_file_as_it_was)
{
    static const char text[4096] = "after";
    const char *path = test_path("out/file");
    char old[16] = "";
    int fd;

    cr_assert_eq(mkdir(test_path("out"), 0755), 0);
    cr_assert_eq(write_file(path, "before", 6), 0);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(limit_files(1024), 0);
    cr_expect_eq(write_file(path, text, sizeof(text)), -EFBIG);
    cr_assert_eq(limit_files(RLIM_INFINITY), 0);
    cr_expect_str_eq(content("out/file"), "before");
    cr_expect_eq(below("out"), 1, "no temporary file is left");
    cr_expect_eq(write_file(path, text, sizeof(text)), 0);
    cr_expect_str_eq(content("out/file"), "after");
    cr_expect_eq(read(fd, old, sizeof(old)), 6, "who has the old one open reads it to its end");
    cr_expect_str_eq(old, "before");
    close(fd);
}

/* ---- what the first process gives ---- */

TestSuite(export_files_of_a_segment, .init = make_segment, .fini = remove_segment);

static struct export_files files;

static void add_all(int times)
{
    for (int t = 0; t < times; t++) {
        cr_assert_eq(export_files_vm(&files, snapshot), 0);
        for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++)
            cr_assert_eq(export_files_add(&files, snapshot, i, &out), 0);
    }
}

static void patch_name(const char *from, const char *to)
{
    char padded[48] = "";
    static char image[1 << 20];
    int fd = open(vmt_segment_path(segment), O_RDWR | O_CLOEXEC);
    ssize_t n = pread(fd, image, sizeof(image), 0);
    char *found;

    strcpy(padded, from);
    found = memmem(image, (size_t)n, padded, sizeof(padded));
    cr_assert_not_null(found);
    strcpy(padded, to);
    cr_assert_eq(pwrite(fd, padded, sizeof(padded), found - image), sizeof(padded));
    close(fd);
}

static void write_out(void)
{
    cr_assert_eq(export_files_write(test_path("out"), out.data, out.size), 0);
    export_files_free(&files);
}

Test(export_files_of_a_segment, of_two_vms_of_one_name_are_kept_apart)
{
    take();
    add_all(3);
    write_out();
    cr_expect_eq(below("out"), 3 * (1 + 1 + 1 + 1 + 2), "%d", below("out"));
    cr_expect_str_neq(content("out/web-1/vm/full.kvm"), "nothing");
    cr_expect_str_neq(content("out/web-1~3/vm/full.kvm"), "nothing");
    cr_expect_str_neq(content("out/web-1~3.kvm"), "nothing");
}

/* A source that is leaving, and the one that came in its place; or a segment that only says so. */
Test(export_files_of_a_segment, of_two_sources_of_one_id_are_kept_apart)
{
    patch_name("empty", "full");
    take();
    add_all(1);
    write_out();
    cr_expect_str_neq(content("out/web-1/vm/full.kvm"), "nothing");
    cr_expect_str_neq(content("out/web-1/vm/full~2.kvm"), "nothing");
}

Test(export_files_of_a_segment, of_sources_with_names_that_lead_elsewhere_stay_below)
{
    patch_name("full", "..");
    patch_name("empty", ".~2");
    take();
    add_all(1);
    write_out();
    cr_expect_str_neq(content("out/web-1/vm/_..kvm"), "nothing");
    cr_expect_str_neq(content("out/web-1/vm/_~2.kvm"), "nothing");
    cr_expect_eq(below("out"), 6);
}
