/* SPDX-License-Identifier: MIT */
/* struct vmt_host that looks from a process of its own. */
#include "host_parts.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "lib/kvm/host_struct.h"
#include "shm/clock.h"

TestSuite(kvm_host_split, .init = test_dir_init, .fini = test_dir_fini);

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
        look_at(host);
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

Test(kvm_host_split, a_limit_of_files_that_is_too_low_for_shared_memory_is_no_lack_of_memory)
{
    const struct rlimit limit = { 4096, RLIM_INFINITY };
    struct vmt_host *host;

    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    host = split_host(NULL);
    cr_expect_eq(vmt_host_look(host), -EFBIG);
    cr_expect_eq(vmt_host_look(host), -EFBIG);
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
    look_at(host);
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
    look_at(host);
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
    look_at(host);
    for (size_t i = 0; i < 3; i++) /* from a terminal they come to both */
        kill(pid, (const int[]){ SIGINT, SIGHUP, SIGTSTP }[i]);
    look_at(host);
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
    look_at(host);
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
    look_at(host);
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
    look_at(host);
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
    look_at(host);
    cr_expect_eq(host_bulletin(host)->process_count, 0);
    for (uint32_t i = 0; i < 600; i++) {
        snprintf(name, sizeof(name), "vm-%u", i);
        fake_vm(PID + i, name);
    }
    /* A look takes in new ones for as long as it may take: on a slow machine it takes several. */
    for (int i = 0; i < 100 && host_bulletin(host)->process_count < 600; i++)
        look_at(host);
    for (int i = 0; i < 2; i++) {
        look_at(host);
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
    look_at(host);
    cr_expect_eq(vmt_host_split(host, NULL, NULL), -EALREADY);
    look_at(host);
    vmt_host_free(host);
}

Test(kvm_host_split, caller_can_t_write_where_the_finder_does)
{
    struct vmt_host *host;

    fake_process(&(struct fake_process){ .pid = PID });
    host = split_host(&(struct vmt_host_options){ .proc = test_path("proc"), .debugfs = test_path("debug") });
    look_at(host);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(fcntl(host->boards[i].fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        cr_expect_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, host->boards[i].fd, 0), MAP_FAILED);
    }
    vmt_host_free(host);
}
