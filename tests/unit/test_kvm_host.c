/* SPDX-License-Identifier: MIT */
/* struct vmt_host: segments and processes in one list, whose a segment is, and what is said of trouble. */
#include "host_parts.h"

#include <sys/stat.h>

#include "lib/kvm/host_struct.h"
#include "scarce.h"
#include "shm/clock.h"

TestSuite(kvm_host, .init = test_dir_init, .fini = test_dir_fini);

/* ---- options and paths ---- */

Test(kvm_host, options_that_it_does_not_know_are_refused)
{
    struct {
        struct vmt_host_options known;
        uint64_t more;
    } newer = { .known = { .struct_size = sizeof(newer) } };
    struct vmt_host *host = NULL;

    cr_expect_eq(vmt_host_new(&newer.known, &host), 0);
    vmt_host_free(host);
    host = NULL;
    newer.more = 1;
    cr_expect_eq(vmt_host_new(&newer.known, &host), -EINVAL);
    newer.known.struct_size = 3;
    cr_expect_eq(vmt_host_new(&newer.known, &host), -EINVAL);
    cr_expect_null(host);
    cr_expect_eq(vmt_host_new(NULL, &host), 0);
    cr_expect_null(host_bulletin(host), "it has not looked yet");
    cr_expect_eq(vmt_host_trouble(host, NULL, NULL, 0), 0);
    vmt_host_free(host);
    vmt_host_free(NULL);
}

Test(kvm_host, paths_of_processes_are_whole_numbers)
{
    static const struct {
        const char *path;
        uint32_t pid;
    } paths[] = { { "/proc/1", 1 },
                  { "/proc/4711", 4711 },
                  { "/proc/", 0 },
                  { "/proc", 0 },
                  { "/proc/0", 0 },
                  { "/proc/047", 0 },
                  { "/proc/47/", 0 },
                  { "/proc/47x", 0 },
                  { "/proc/-1", 0 },
                  { "/proc/4294967297", 0 },
                  { "/proc/self", 0 },
                  { "proc/47", 0 },
                  { "", 0 },
                  { "/run/47.vmt", 0 },
                  { "/proc/99999999999999999999", 0 } };

    for (size_t i = 0; i < LENGTH(paths); i++)
        cr_expect_eq(host_pid_of_path(paths[i].path), paths[i].pid, "%s", paths[i].path);
}

Test(kvm_host, looked_at_once_it_holds_nothing_and_stays_as_it_was)
{
    struct vmm *v = vmm_start();
    struct vmt_host *host;

    NEED_VMM(v);
    host = host_of(&(struct vmt_host_options){ .once = 1, .pid = (uint32_t)v->pid });
    look_at(host);
    cr_expect_not_null(host_process(host, (uint32_t)v->pid, 0));
    cr_expect_eq(descriptors_called("kvm-"), 0);
    cr_expect_eq(vmt_host_fd(host), -1);
    cr_expect_eq(vmt_host_look(host), -EALREADY);
    kill_child(v->pid);
    vmt_host_drop(host);
    cr_expect_not_null(host_process(host, (uint32_t)v->pid, 0));
    vmt_host_free(host);
}

Test(kvm_host, schemas_keep_their_number_and_place)
{
    struct vmt_host *host;
    struct parsed *schema;

    fake_vm(4711, "a");
    recorded_debugfs(test_path("debug"));
    fake_fd_of(4711, 12, "anon_inode:kvm-vm");
    fake_fd_of(4711, 9, NULL);
    host = fake_host();
    cr_expect_null(host_schema(host, 0));
    look_at(host);
    cr_assert_geq(host_bulletin(host)->schema_count, 2);
    schema = host_schema(host, 1);
    cr_assert_not_null(schema);
    cr_expect_str_eq(schema->schema.provider, "kvm");
    look_at(host);
    cr_expect_eq(host_schema(host, 1), schema);
    cr_expect_null(host_schema(host, host_bulletin(host)->schema_count));
    cr_expect_null(host_schema(host, BULLETIN_NO_SCHEMA));
    vmt_host_free(host);
}

/* ---- whose a segment is ---- */

static struct shm_header header_of(uint32_t pid, uint64_t start, uint64_t created_ns)
{
    struct shm_header h = { .pid = pid, .pid_start = start, .created_ns = created_ns };
    uint64_t boot_id[2];

    header_boot_id(boot_id);
    memcpy(h.boot_id, boot_id, sizeof(h.boot_id));
    return h;
}

#define START 1000U /* of fake processes, in ticks since boot */

static uint64_t started_ns(int more_s)
{
    uint64_t boot_ns = shm_clock_ns(CLOCK_REALTIME) - shm_clock_ns(CLOCK_BOOTTIME);

    return boot_ns + (uint64_t)((int64_t)(START / (uint64_t)sysconf(_SC_CLK_TCK)) + more_s) * 1000000000U;
}

Test(kvm_host, segment_is_its_writer_s_by_pid_start_boot_and_owner)
{
    struct shm_header h = header_of(3, START, 0);
    struct vmt_host *host;

    fake_process(&(struct fake_process){ .pid = PID, .inner_pid = 3, .uid = 7, .start = START });
    fake_fd_of(PID, 9, "anon_inode:kvm-vm");
    host = fake_host();
    cr_expect_null(host_process_of(host, &h, 7, false), "nobody has looked");
    look_at(host);
    cr_expect_eq(host_process_of(host, &h, 7, false), host_process(host, PID, START));
    cr_expect_not_null(host_process_of(host, &h, 1000, false), "root's directory, say");
    cr_expect_not_null(host_process_of(host, &h, 7, true));
    cr_expect_null(host_process_of(host, &h, 1000, true), "somebody claims another user's process");
    h.pid_start++;
    cr_expect_null(host_process_of(host, &h, 7, false));
    h = header_of(PID, START, 0);
    cr_expect_null(host_process_of(host, &h, 7, false), "that is its pid here, not in its namespace");
    h = header_of(3, START, 0);
    h.boot_id[0] ^= 1;
    cr_expect_null(host_process_of(host, &h, 7, false), "before a boot");
    vmt_host_free(host);
}

Test(kvm_host, writer_that_did_not_know_when_it_started_is_older_than_its_segment)
{
    struct shm_header h = header_of(1, 0, started_ns(5));
    struct vmt_host *host;

    memset(h.boot_id, 0, sizeof(h.boot_id));
    for (uint32_t i = 0; i < 2; i++) {
        fake_process(&(struct fake_process){ .pid = PID + i, .inner_pid = i + 1, .uid = 7 + i });
        fake_fd_of(PID + i, 9, "anon_inode:kvm-vm");
    }
    host = fake_host();
    look_at(host);
    cr_expect_eq(host_process_of(host, &h, 7, false), host_process(host, PID, 0));
    h.created_ns = started_ns(-5);
    cr_expect_null(host_process_of(host, &h, 7, false), "another one, that had this pid before");
    /* Two jailed VMMs have pid 1: the file's owner tells them apart, or nothing does. */
    h.created_ns = started_ns(5);
    fake_process(&(struct fake_process){ .pid = PID + 1, .inner_pid = 1, .uid = 8, .start = 999 });
    look_at(host);
    cr_expect_eq(host_process_of(host, &h, 8, false), host_process(host, PID + 1, 0));
    cr_expect_eq(host_process_of(host, &h, 7, true), host_process(host, PID, 0));
    cr_expect_null(host_process_of(host, &h, 0, false));
    vmt_host_free(host);
}

/* ---- the list ---- */

static void assert_listed(struct vmt_host *host, const char *dir, const char *const *names, const char *const *ends,
                          long count)
{
    struct vmt_found *found = NULL;
    long n = vmt_host_discover(host, dir, &found);

    cr_assert_eq(n, count, "%ld, not %ld", n, count);
    for (long i = 0; i < n; i++) {
        size_t path = strlen(found[i].path), end = strlen(ends[i]);

        cr_expect_str_eq(found[i].name, names[i]);
        cr_expect(path >= end && strcmp(found[i].path + path - end, ends[i]) == 0, "%s", found[i].path);
    }
    vmt_found_free(found, n);
}

#define LISTED(host, dir, names, ends) assert_listed((host), (dir), (names), (ends), (long)LENGTH(names))

Test(kvm_host, processes_without_segment_are_listed_among_the_segments_by_name)
{
    static const char *const names[] = { "vm-1", "vm-2", "vm-9", "vm-10" };
    static const char *const ends[] = { "/vm-1.vmt", "/proc/2000000009", "/proc/2000000008", "/vm-10.vmt" };
    static const char *const alone[] = { "vm-2", "vm-9" };
    static const char *const alone_ends[] = { "/proc/2000000009", "/proc/2000000008" };
    struct vmt_host *host;

    (void)new_segment("vm-10");
    (void)new_segment("vm-1");
    fake_vm(PID + 1, "vm-9");
    fake_vm(PID + 2, "vm-2");
    host = fake_host();
    assert_listed(host, NULL, (const char *const[]){ "vm-1", "vm-10" },
                  (const char *const[]){ "/vm-1.vmt", "/vm-10.vmt" }, 2);
    look_at(host);
    for (int i = 0; i < 3; i++) {
        LISTED(host, NULL, names, ends);
        LISTED(host, "", alone, alone_ends);
    }
    fake_gone(PID + 2);
    look_at(host);
    assert_listed(host, "", alone + 1, alone_ends + 1, 1);
    cr_expect_eq(vmt_host_discover(host, test_path("none"), &(struct vmt_found *){ NULL }), -ENOENT);
    vmt_host_free(host);
}

Test(kvm_host, vmm_with_a_segment_is_listed_once_whichever_came_first)
{
    struct vmm *v = vmm_start();
    char path[64];
    struct vmt_host *host;

    NEED_VMM(v);
    snprintf(path, sizeof(path), "/proc/%d", (int)v->pid);
    host = host_of(&(struct vmt_host_options){ .pid = (uint32_t)v->pid });
    look_at(host);
    assert_listed(host, NULL, (const char *const[]){ host_process(host, (uint32_t)v->pid, 0)->name },
                  (const char *const[]){ path }, 1);
    vmm_tell(v, VMM_SEGMENT);
    for (int i = 0; i < 3; i++) {
        assert_listed(host, NULL, (const char *const[]){ "embedding" }, (const char *const[]){ "/embedding.vmt" }, 1);
        look_at(host);
    }
    /* In another directory there is no segment of it. */
    mkdir(test_path("other"), 0755);
    assert_listed(host, test_path("other"), (const char *const[]){ host_process(host, (uint32_t)v->pid, 0)->name },
                  (const char *const[]){ path }, 1);
    kill_child(v->pid);
    look_at(host);
    assert_listed(host, NULL, (const char *const[]){ "embedding" }, (const char *const[]){ "/embedding.vmt" }, 1);
    vmt_host_free(host);
}

Test(kvm_host, without_memory_what_was_found_stays_and_can_be_listed_later)
{
    struct vmt_found *found = NULL;
    struct vmt_host *host;
    bool failed = true;

    for (int i = 0; i < 3; i++) {
        char name[16];

        snprintf(name, sizeof(name), "s-%d", i);
        (void)new_segment(name);
    }
    fake_vm(PID, "a");
    host = fake_host();
    look_at(host);
    for (unsigned n = 1; failed; n++) {
        int r = SCARCE(n, &failed, vmt_host_look(host));

        cr_assert(r == 0 || r == -ENOMEM);
        cr_assert_not_null(host_process(host, PID, 0));
        cr_assert(n < 1000);
    }
    failed = true;
    for (unsigned n = 1; failed; n++) {
        long r = SCARCE(n, &failed, vmt_host_discover(host, NULL, &found));

        cr_assert(r == 4 || r == -ENOMEM);
        if (r == 4)
            vmt_found_free(found, r);
        cr_assert(n < 1000);
    }
    vmt_host_free(host);
}

/* ---- trouble ---- */

static void keep_segment(void *arg)
{
    (void)new_segment("z");
    say(arg, 1);
    for (;;)
        pause();
}

/* Its VM is found later than its segment, and there are more segments than are looked into again each time. */
Test(kvm_host, segment_is_joined_with_a_process_that_is_found_later)
{
    int *ready = shared_memory(sizeof(*ready));
    struct vmt_found *found = NULL;
    char name[64];
    struct vmt_host *host;
    pid_t pid;

    for (int i = 0; i < 39; i++) {
        snprintf(name, sizeof(name), "a-%d", i);
        (void)new_segment(name);
    }
    pid = start_child(keep_segment, ready);
    cr_assert(reached(ready, 1));
    fake_process(&(struct fake_process){ .pid = 5 });
    host = fake_host();
    for (int i = 0; i < 2; i++) {
        look_at(host);
        cr_expect_eq(vmt_host_discover(host, NULL, &found), 40);
        vmt_found_free(found, 40);
        snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
        fake_process(&(struct fake_process){
            .pid = PID, .inner_pid = (uint32_t)pid, .uid = geteuid(), .start = header_start_of(name) });
        fake_fd_of(PID, 9, "anon_inode:kvm-vm");
    }
    assert_trouble(host, test_path("z.vmt"), VMT_HOST_TROUBLE_NO_DEBUGFS, "kernel counters of z: ", "mount");
    assert_trouble(host, test_path("a-1.vmt"), 0, "", "");
    vmt_host_free(host);
    kill_child(pid);
}

Test(kvm_host, trouble_names_the_vm_and_says_what_to_do)
{
    struct vmt_host *host;
    char text[8];

    fake_vm(PID, "a");
    host = fake_host();
    look_at(host);
    assert_trouble(host, NULL, VMT_HOST_TROUBLE_NO_DEBUGFS, "kernel counters of a: ", "; mount -t debugfs");
    fake_vm(PID + 1, "b");
    fake_vm(PID + 2, "c");
    look_at(host);
    assert_trouble(host, NULL, VMT_HOST_TROUBLE_NO_DEBUGFS, "kernel counters of a and 2 more: ", "not mounted");
    assert_trouble(host, "/proc/2000000008", VMT_HOST_TROUBLE_NO_DEBUGFS, "kernel counters of b: ", "not mounted");
    assert_trouble(host, "/proc/5", 0, "", "");
    cr_expect_eq(vmt_host_trouble(host, NULL, text, sizeof(text)), VMT_HOST_TROUBLE_NO_DEBUGFS);
    cr_expect_str_eq(text, "kernel ", "as much as fits");
    cr_expect_eq(vmt_host_trouble(host, NULL, NULL, 0), VMT_HOST_TROUBLE_NO_DEBUGFS);
    fake_fd_of(PID + 1, 10, "anon_inode:kvm-vcpu-stats:0"); /* which nobody can have */
    look_at(host);
    assert_trouble(host, NULL, VMT_HOST_TROUBLE_NO_DEBUGFS | VMT_HOST_TROUBLE_DENIED,
                   "kernel counters of b: ", "; kernel counters of a and 1 more: debugfs");
    for (uint32_t i = 0; i < 3; i++)
        fake_gone(PID + i);
    look_at(host);
    assert_trouble(host, NULL, 0, "", "");
    vmt_host_free(host);
}
