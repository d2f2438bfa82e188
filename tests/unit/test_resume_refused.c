/* SPDX-License-Identifier: MIT */
/* What is not gone on with: damage, files of something else or of somebody else. It is refused or set aside, and never
 * written to. */
#include "lives.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "shm/layout.h"

TestSuite(resume_refused, .init = setup, .fini = teardown);

static void scribble(const char *path, uint64_t offset, uint64_t value, size_t bytes)
{
    int fd = open(path, O_RDWR);

    cr_assert_eq(pwrite(fd, &value, bytes, (off_t)offset), (ssize_t)bytes);
    close(fd);
}

Test(resume_refused, a_file_of_something_else_is_left_as_it_is)
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

Test(resume_refused, names_are_the_vmms_own)
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

Test(resume_refused, a_file_that_others_may_write_is_not_gone_on_with)
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

Test(resume_refused, with_less_room_goes_on_as_long_as_what_is_there_fits)
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

Test(resume_refused, damage_is_set_aside_and_never_overwritten)
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

Test(resume_refused, whatever_contradicts_itself_is_refused, .timeout = 60)
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

Test(resume_refused, someone_elses_file_is_never_gone_on_with)
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
