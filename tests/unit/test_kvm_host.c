/* SPDX-License-Identifier: MIT */
/* struct vmt_host: looking from a process of its own, segments and processes in one list, and what is said of trouble. */
#include "host_parts.h"

#include <dirent.h>
#include <sys/stat.h>

#include "lib/kvm/host_struct.h"
#include "shm/clock.h"

TestSuite(kvm_host, .init = test_dir_init, .fini = test_dir_fini);
TestSuite(kvm_host_split, .init = test_dir_init, .fini = test_dir_fini);

#define PID 2000000007U /* more than any process can have */

static struct vmt_host *host_of(const struct vmt_host_options *wanted)
{
    struct vmt_host_options options = wanted ? *wanted : (struct vmt_host_options){ 0 };
    struct vmt_host *host = NULL;

    options.struct_size = sizeof(options);
    cr_assert_eq(vmt_host_new(&options, &host), 0);
    return host;
}

static struct vmt_host *fake_host(void)
{
    return host_of(&(struct vmt_host_options){ .proc = test_path("proc"), .debugfs = test_path("debug") });
}

static void look(struct vmt_host *host)
{
    int r = vmt_host_look(host);

    cr_assert_eq(r, 0, "%s", strerror(-r));
}

static void fake_vm(uint32_t pid, const char *name)
{
    char arguments[128];

    snprintf(arguments, sizeof(arguments), "qemu-system-x86_64\n-name\n%s\n", name);
    fake_process(&(struct fake_process){ .pid = pid, .comm = "qemu-system-x86", .arguments = arguments });
    fake_fd_of(pid, 9, "anon_inode:kvm-vm");
}

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
    look(host);
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
    look(host);
    cr_assert_geq(host_bulletin(host)->schema_count, 2);
    schema = host_schema(host, 1);
    cr_assert_not_null(schema);
    cr_expect_str_eq(schema->schema.provider, "kvm");
    look(host);
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
    look(host);
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
    look(host);
    cr_expect_eq(host_process_of(host, &h, 7, false), host_process(host, PID, 0));
    h.created_ns = started_ns(-5);
    cr_expect_null(host_process_of(host, &h, 7, false), "another one, that had this pid before");
    /* Two jailed VMMs have pid 1: the file's owner tells them apart, or nothing does. */
    h.created_ns = started_ns(5);
    fake_process(&(struct fake_process){ .pid = PID + 1, .inner_pid = 1, .uid = 8, .start = 999 });
    look(host);
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
    look(host);
    for (int i = 0; i < 3; i++) {
        LISTED(host, NULL, names, ends);
        LISTED(host, "", alone, alone_ends);
    }
    fake_gone(PID + 2);
    look(host);
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
    look(host);
    assert_listed(host, NULL, (const char *const[]){ host_process(host, (uint32_t)v->pid, 0)->name },
                  (const char *const[]){ path }, 1);
    vmm_tell(v, VMM_SEGMENT);
    for (int i = 0; i < 3; i++) {
        assert_listed(host, NULL, (const char *const[]){ "embedding" }, (const char *const[]){ "/embedding.vmt" }, 1);
        look(host);
    }
    /* In another directory there is no segment of it. */
    mkdir(test_path("other"), 0755);
    assert_listed(host, test_path("other"), (const char *const[]){ host_process(host, (uint32_t)v->pid, 0)->name },
                  (const char *const[]){ path }, 1);
    kill_child(v->pid);
    look(host);
    assert_listed(host, NULL, (const char *const[]){ "embedding" }, (const char *const[]){ "/embedding.vmt" }, 1);
    vmt_host_free(host);
}

/* ---- trouble ---- */

static void assert_trouble(const struct vmt_host *host, const char *path, uint32_t bits, const char *begins,
                           const char *does)
{
    char text[512] = "x";
    uint32_t said_bits = vmt_host_trouble(host, path, text, sizeof(text));

    cr_expect_eq(said_bits, bits, "%u: %s", said_bits, text);
    cr_expect(strncmp(text, begins, strlen(begins)) == 0 && strstr(text, does), "%s", text);
    cr_expect(bits || !*text);
    cr_expect_null(strchr(text, '\n'));
}

Test(kvm_host, trouble_names_the_vm_and_says_what_to_do)
{
    struct vmt_host *host;
    char text[8];

    fake_vm(PID, "a");
    host = fake_host();
    look(host);
    assert_trouble(host, NULL, VMT_HOST_TROUBLE_NO_DEBUGFS, "kernel counters of a: ", "; mount -t debugfs");
    fake_vm(PID + 1, "b");
    fake_vm(PID + 2, "c");
    look(host);
    assert_trouble(host, NULL, VMT_HOST_TROUBLE_NO_DEBUGFS, "kernel counters of a and 2 more: ", "not mounted");
    assert_trouble(host, "/proc/2000000008", VMT_HOST_TROUBLE_NO_DEBUGFS, "kernel counters of b: ", "not mounted");
    assert_trouble(host, "/proc/5", 0, "", "");
    cr_expect_eq(vmt_host_trouble(host, NULL, text, sizeof(text)), VMT_HOST_TROUBLE_NO_DEBUGFS);
    cr_expect_str_eq(text, "kernel ", "as much as fits");
    cr_expect_eq(vmt_host_trouble(host, NULL, NULL, 0), VMT_HOST_TROUBLE_NO_DEBUGFS);
    fake_fd_of(PID + 1, 10, "anon_inode:kvm-vcpu-stats:0"); /* which nobody can have */
    look(host);
    assert_trouble(host, NULL, VMT_HOST_TROUBLE_NO_DEBUGFS | VMT_HOST_TROUBLE_DENIED,
                   "kernel counters of b: ", "; kernel counters of a and 1 more: debugfs");
    for (uint32_t i = 0; i < 3; i++)
        fake_gone(PID + i);
    look(host);
    assert_trouble(host, NULL, 0, "", "");
    vmt_host_free(host);
}

/* ---- in a process of its own ---- */

static struct vmt_host *split_host(const struct vmt_host_options *options)
{
    struct vmt_host *host = host_of(options);
    int r = vmt_host_split(host, NULL, NULL);

    cr_assert_eq(r, 0, "%s", strerror(-r));
    return host;
}

Test(kvm_host_split, finder_reads_what_the_vmm_reads_and_the_caller_holds_nothing)
{
    struct vmm *v = vmm_start();
    struct vmt_host *host;

    NEED_VMM(v);
    host = split_host(&(struct vmt_host_options){ .pid = (uint32_t)v->pid });
    cr_expect_eq(vmt_host_fd(host), -1);
    cr_expect_eq(vmt_host_split(host, NULL, NULL), -EALREADY);
    for (int i = 0; i < 10; i++) {
        const struct bulletin_process *p;
        uint64_t before, exits;

        vmm_tell(v, VMM_RUN);
        before = v->counted;
        look(host);
        p = host_process(host, (uint32_t)v->pid, 0);
        cr_assert_not_null(p);
        exits = board_value(host_bulletin(host), item_of(host_bulletin(host), p, 0, 0), "exits");
        vmm_tell(v, VMM_READ);
        cr_expect(before <= exits && exits <= v->counted);
        cr_expect_eq(host_bulletin(host)->serial, (uint64_t)i + 1);
        cr_expect_eq(descriptors_called("kvm-"), 0);
    }
    kill_child(v->pid);
    vmt_host_free(host);
}

Test(kvm_host_split, finder_lets_go_of_a_killed_vmm_without_being_asked)
{
    struct vmm *v = vmm_start();
    struct vmt_host *host;
    char path[64];
    bool seen;

    NEED_VMM(v);
    host = split_host(&(struct vmt_host_options){ .pid = (uint32_t)v->pid });
    look(host);
    cr_assert_not_null(host_process(host, (uint32_t)v->pid, 0));
    seen = vmm_directory(v, path);
    kill_child(v->pid);
    if (seen)
        cr_expect(vanishes(path), "%s", path);
    for (int i = 0; i < 1000 && host_process(host, (uint32_t)v->pid, 0); i++)
        nap_us(1000);
    cr_expect_null(host_process(host, (uint32_t)v->pid, 0), "it is marked on the board");
    vmt_host_free(host);
}

static int links_of(pid_t pid, char *all, size_t size)
{
    char path[64], text[256];
    DIR *dir;
    struct dirent *e;
    size_t used = 0;
    int n = 0;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    cr_assert_not_null(dir);
    while ((e = readdir(dir))) {
        ssize_t length = readlinkat(dirfd(dir), e->d_name, text, sizeof(text) - 1);

        if (length < 0)
            continue;
        text[length] = '\0';
        used += (size_t)snprintf(all + used, size - used, "%s=%s ", e->d_name, text);
        n++;
    }
    closedir(dir);
    return n;
}

Test(kvm_host_split, finder_has_nothing_of_its_caller_s_open)
{
    int secret = open("/dev/null", O_RDONLY); /* inherited by all */
    char all[8192] = "";
    struct vmt_host *host;
    int pipe_fds[2];

    cr_assert(secret >= 3 && pipe(pipe_fds) == 0 && fcntl(secret, F_DUPFD, 900) >= 900);
    fake_vm(PID, "a");
    host = split_host(&(struct vmt_host_options){ .proc = test_path("proc"), .debugfs = test_path("debug") });
    look(host);
    /* Standard input, output, error; /proc, epoll, two boards, the socket. */
    cr_expect_leq(links_of(host->remote.pid, all, sizeof(all)), 3 + 5, "%s", all);
    cr_expect_null(strstr(all, " 900="), "%s", all);
    vmt_host_free(host);
}

static void ignore(int number) { (void)number; }

Test(kvm_host_split, finder_ends_with_its_host_and_leaves_no_zombie)
{
    struct vmt_host *host;
    pid_t pid;

    fake_vm(PID, "a");
    signal(SIGUSR1, ignore);
    host = split_host(&(struct vmt_host_options){ .proc = test_path("proc"), .debugfs = test_path("debug") });
    pid = host->remote.pid;
    look(host);
    for (size_t i = 0; i < 3; i++) /* from a terminal they come to both */
        kill(pid, (const int[]){ SIGINT, SIGHUP, SIGTSTP }[i]);
    look(host);
    vmt_host_free(host);
    cr_expect(kill(pid, 0) < 0 && errno == ESRCH);
    cr_expect(waitpid(pid, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void split_and_die(void *arg)
{
    struct vmt_host *host = NULL;

    REQUIRE(vmt_host_new(NULL, &host) == 0 && vmt_host_split(host, NULL, NULL) == 0 && vmt_host_look(host) == 0);
    __atomic_store_n((int *)arg, host->remote.pid, __ATOMIC_RELEASE);
    kill(getpid(), SIGKILL);
}

Test(kvm_host_split, finder_ends_with_its_caller)
{
    int *pid = shared_memory(sizeof(*pid));
    char path[64];

    cr_expect_eq(end_of(start_child(split_and_die, pid)), 128 + SIGKILL);
    cr_assert_gt(*pid, 0);
    snprintf(path, sizeof(path), "/proc/%d/fd/0", *pid); /* a zombie has none: who inherits it may take its time */
    cr_expect(vanishes(path));
}

Test(kvm_host_split, finder_that_was_killed_leaves_what_it_had_found)
{
    struct vmt_host *host;

    fake_vm(PID, "a");
    host = split_host(&(struct vmt_host_options){ .proc = test_path("proc"), .debugfs = test_path("debug") });
    look(host);
    kill(host->remote.pid, SIGKILL);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(vmt_host_look(host), -EPIPE);
        cr_assert_not_null(host_process(host, PID, 0));
        cr_expect_str_eq(host_process(host, PID, 0)->name, "a");
    }
    vmt_host_free(host);
}

Test(kvm_host_split, late_answer_is_not_taken_for_a_new_one)
{
    struct vmt_host *host;
    uint64_t asked;

    fake_vm(PID, "a");
    host = split_host(&(struct vmt_host_options){ .proc = test_path("proc"), .debugfs = test_path("debug") });
    look(host);
    cr_expect_eq(host_bulletin(host)->serial, 1);
    kill(host->remote.pid, SIGSTOP);
    asked = shm_clock_ns(CLOCK_MONOTONIC);
    cr_expect_eq(vmt_host_look(host), -ETIMEDOUT);
    cr_expect_leq(shm_clock_ns(CLOCK_MONOTONIC) - asked, 4000000000U);
    cr_expect_eq(vmt_host_look(host), -ETIMEDOUT, "one question at a time");
    cr_expect_eq(host_bulletin(host)->serial, 1);
    cr_assert_not_null(host_process(host, PID, 0));
    kill(host->remote.pid, SIGCONT);
    nap_us(200000); /* it has answered what nobody waits for any more */
    fake_vm(PID + 1, "b");
    cr_expect_eq(host_bulletin(host)->serial, 1, "what is read does not change under the reader");
    cr_expect_null(host_process(host, PID + 1, 0));
    look(host);
    cr_expect_eq(host_bulletin(host)->serial, 3);
    cr_expect_not_null(host_process(host, PID + 1, 0));
    vmt_host_free(host);
}

static void fail_preparing(void *arg) { _exit(*(int *)arg); }

Test(kvm_host_split, prepare_is_called_in_the_finder_s_process)
{
    struct vmt_host *host = host_of(NULL);
    int status = 3;

    cr_assert_eq(vmt_host_split(host, fail_preparing, &status), 0);
    cr_expect_eq(vmt_host_look(host), -EPIPE);
    cr_expect_null(host_bulletin(host));
    vmt_host_free(host);
}

Test(kvm_host_split, board_grows_with_what_is_found)
{
    struct vmt_host *host;
    char name[32];

    fake_process(&(struct fake_process){ .pid = 5 });
    host = split_host(&(struct vmt_host_options){ .proc = test_path("proc"), .debugfs = test_path("debug") });
    look(host);
    cr_expect_eq(host_bulletin(host)->process_count, 0);
    for (uint32_t i = 0; i < 600; i++) {
        snprintf(name, sizeof(name), "vm-%u", i);
        fake_vm(PID + i, name);
    }
    for (int i = 0; i < 2; i++) {
        look(host);
        cr_assert_eq(host_bulletin(host)->process_count, 600, "%u", host_bulletin(host)->process_count);
        cr_expect_gt(host_bulletin(host)->bytes, 64U << 10);
        cr_expect_str_eq(host_process(host, PID + 599, 0)->name, "vm-599");
    }
    vmt_host_free(host);
}

Test(kvm_host_split, can_not_be_done_after_the_first_look)
{
    struct vmt_host *host;

    fake_vm(PID, "a");
    host = fake_host();
    look(host);
    cr_expect_eq(vmt_host_split(host, NULL, NULL), -EALREADY);
    look(host);
    vmt_host_free(host);
}
