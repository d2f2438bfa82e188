/* SPDX-License-Identifier: MIT */
/* Finding the processes that have VMs, and what is read of them. */
#include "host_parts.h"

#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "lib/kvm/names.h"
#include "lib/kvm/proc.h"

TestSuite(kvm_names);
TestSuite(kvm_links);
TestSuite(kvm_find, .init = test_dir_init, .fini = test_dir_fini);
TestSuite(kvm_find_real, .init = test_dir_init, .fini = test_dir_fini);

/* ---- names ---- */

static const struct {
    const char *comm;
    const char *arguments; /* '\n' for NUL */
    const char *name;
} named[] = {
    { "qemu-system-x86", "/usr/bin/qemu-system-x86_64\n-name\nguest=web-1,debug-threads=on\n", "web-1" },
    { "qemu-system-x86", "qemu-system-x86_64\n-m\n1G\n-name\ndb\n", "db" },
    { "qemu-system-x86", "qemu-system-x86_64\n--name\ndb,process=x\n", "db" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\ndebug-threads=on,guest=a,,b\n", "a,b" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\ndebug-threads=on\n", "qemu-system-x86_64" },
    { "qemu-system-x86", "qemu-system-x86_64\n-nameless\nx\n", "qemu-system-x86_64" },
    { "kvm", "/usr/bin/kvm\n-id\n100\n-name\nct,debug-threads=on\n", "ct" },
    { "renamed", "/usr/libexec/qemu-kvm\n-name\nguest=r,process=renamed\n", "r" },
    { "firecracker", "/firecracker\n--id\nfc-7\n--api-sock\n/run/x\n", "fc-7" },
    { "firecracker-v1.", "firecracker-v1.9\n--id=fc-8\n", "fc-8" },
    { "firecracker", "firecracker\n--api-sock\nx\n", "firecracker" },
    { "cloud-hyperviso", "/usr/bin/cloud-hypervisor\n--api-socket\nx\n", "cloud-hypervisor" },
    { "crosvm", "crosvm\nrun\n--name\ncr\n", "cr" },
    { "lkvm", "lkvm\nrun\n--name\nlk\n", "lk" },
    { "tinykvm", "/opt/tinykvm\n--name\nno\n", "tinykvm" },
    { "comm", "", "comm" },
    { "", "", "?" },
    { "x", "\n\n\n", "x" },
    { "x", "/\n", "x" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\n", "qemu-system-x86_64" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\n \n", "qemu-system-x86_64" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\n../../etc\n", "..?..?etc" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\na\033[2Jb\302\n", "a?[2Jb?" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\n\303\244\n", "\303\244" },
    { "firecracker", "firecracker\n--id\none\n--id\ntwo\n", "two" },
};

static void name_of(const char *comm, const char *arguments, char name[VM_NAME_SIZE])
{
    size_t n = strlen(arguments);
    char *bytes = malloc(n + 1); /* of that size: what lies behind is seen by sanitizers */

    memcpy(bytes, arguments, n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = bytes[i] == '\n' ? '\0' : bytes[i];
    memset(name, 'x', VM_NAME_SIZE);
    vmm_name(comm, bytes, n, name);
    free(bytes);
}

Test(kvm_names, vm_is_called_as_its_vmm_was_told)
{
    char name[VM_NAME_SIZE];

    for (size_t i = 0; i < LENGTH(named); i++) {
        name_of(named[i].comm, named[i].arguments, name);
        cr_expect_str_eq(name, named[i].name, "%s: '%s', not '%s'", named[i].arguments, name, named[i].name);
    }
}

Test(kvm_names, long_names_and_arguments_without_end_are_cut)
{
    char arguments[4096] = "qemu-system-x86_64\n-name\nguest=";
    char name[VM_NAME_SIZE];

    memset(arguments + strlen(arguments), 'n', 3000);
    name_of("qemu-system-x86", arguments, name);
    cr_expect_eq(strlen(name), VM_NAME_SIZE - 1);
    cr_expect_eq(strspn(name, "n"), VM_NAME_SIZE - 1);
    /* A character of several bytes that does not fit any more. */
    for (int i = 0; i < 100; i++)
        memcpy(arguments + strlen("firecracker\n--id\n") + 3 * i, "\342\202\254", 4);
    memcpy(arguments, "firecracker\n--id\n", strlen("firecracker\n--id\n"));
    name_of("firecracker", arguments, name);
    cr_expect_eq(strlen(name), VM_NAME_SIZE - 1);
}

Test(kvm_names, commands_of_vmms_are_known_as_a_whole)
{
    cr_expect(vmm_known("qemu-system-x86") && vmm_known("qemu-kvm") && vmm_known("kvm") && vmm_known("firecracker"));
    cr_expect(vmm_known("cloud-hyperviso") && vmm_known("crosvm") && vmm_known("lkvm"));
    cr_expect(!vmm_known("kvm-nx-lpage-re") && !vmm_known("kvmtop") && !vmm_known("qemu-img") && !vmm_known(""));
}

/* ---- links ---- */

static const struct {
    const char *text;
    enum proc_kind kind;
    int32_t vcpu;
} links[] = {
    { "anon_inode:kvm-vm", PROC_VM, -1 },
    { "anon_inode:[kvm-vm]", PROC_VM, -1 },
    { "anon_inode:kvm-vcpu:0", PROC_VCPU, 0 },
    { "anon_inode:[kvm-vcpu:12]", PROC_VCPU, 12 },
    { "anon_inode:kvm-vm-stats", PROC_VM_STATS, -1 },
    { "anon_inode:kvm-vcpu-stats:7", PROC_VCPU_STATS, 7 },
    { "anon_inode:kvm-vmx", PROC_OTHER, 0 },
    { "anon_inode:kvm-v", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu:", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu:1x", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu:-1", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu:01", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu:99999999999999999999", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu-stats: 7", PROC_OTHER, 0 },
    { "anon_inode:[kvm-vm", PROC_OTHER, 0 },
    { "anon_inode:", PROC_OTHER, 0 },
    { "anon_inode:[", PROC_OTHER, 0 },
    { "anon_inode:[]", PROC_OTHER, 0 },
    { "/tmp/anon_inode:kvm-vm", PROC_OTHER, 0 },
    { "/dev/kvm", PROC_OTHER, 0 },
    { "", PROC_OTHER, 0 },
};

Test(kvm_links, are_matched_as_a_whole_with_their_numbers)
{
    for (size_t i = 0; i < LENGTH(links); i++) {
        int32_t vcpu = 0;
        enum proc_kind kind = proc_kind_of(links[i].text, &vcpu);

        cr_expect_eq(kind, links[i].kind, "'%s': %d", links[i].text, (int)kind);
        cr_expect_eq(vcpu, links[i].vcpu, "'%s': %d", links[i].text, vcpu);
    }
}

/* ---- hosts of files ---- */

#define PID 2000000007U /* more than any process can have */

struct search {
    struct finder *finder;
    struct board board;
};

static struct search search_at(const char *proc, const char *debugfs, uint32_t pid)
{
    struct search s = { .board = { .fd = -1 } };

    REQUIRE(finder_new(proc, debugfs, pid, &s.finder) == 0);
    return s;
}

static struct search search_fake(void) { return search_at(test_path("proc"), test_path("debug"), 0); }

static const struct bulletin *look(struct search *s)
{
    REQUIRE(finder_look(s->finder, &s->board) == 0);
    return bulletin_of(&s->board);
}

static void search_end(struct search *s)
{
    finder_free(s->finder);
    board_free(&s->board);
}

Test(kvm_find, process_with_a_vm_is_listed_with_its_vcpus_even_if_nothing_can_be_read)
{
    const struct bulletin_process *p;
    const struct bulletin *b;
    struct search s;

    fake_process(&(struct fake_process){ .pid = 5 });
    fake_process(&(struct fake_process){ .pid = PID,
                                         .inner_pid = 3,
                                         .uid = 77,
                                         .start = 4242,
                                         .comm = "qemu-system-x86",
                                         .arguments = "qemu-system-x86_64\n-name\nguest=a\n" });
    fake_fd_of(5, 0, "/dev/null");
    fake_fd_of(PID, 3, "/dev/kvm");
    fake_fd_of(PID, 9, "anon_inode:kvm-vm");
    fake_fd_of(PID, 10, "anon_inode:kvm-vcpu:0");
    fake_fd_of(PID, 11, "anon_inode:kvm-vcpu:10");
    fake_fd_of(PID, 12, "anon_inode:kvm-vcpu:9");
    s = search_fake();
    b = look(&s);
    cr_assert_eq(b->process_count, 1);
    p = process_of(&s.board, PID);
    cr_assert_not_null(p);
    cr_expect_eq(p->start, 4242);
    cr_expect_eq(p->inner_pid, 3);
    cr_expect_eq(p->uid, 77);
    cr_expect_str_eq(p->name, "a");
    cr_assert_eq(p->item_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        static const int vcpus[] = { -1, 0, 9, 10 };
        const struct bulletin_item *item = item_at(b, p, i);

        cr_expect_eq(item->vcpu, vcpus[i]);
        cr_expect_eq(item->vm, 9);
        cr_expect_eq(item->fd, -1);
        cr_expect_eq(item->index, i);
        cr_expect_eq(item->flags, BULLETIN_NO_VALUES);
        cr_expect(item->generation && item->generation % 2 == 0);
    }
    cr_expect_eq(b->trouble, VMT_HOST_TROUBLE_NO_DEBUGFS);
    cr_expect_eq(p->trouble, VMT_HOST_TROUBLE_NO_DEBUGFS);
    search_end(&s);
}

Test(kvm_find, who_only_reads_statistics_has_no_vm)
{
    struct search s;

    fake_process(&(struct fake_process){ .pid = PID });
    fake_fd_of(PID, 9, "anon_inode:kvm-vm-stats");
    fake_fd_of(PID, 10, "anon_inode:kvm-vcpu-stats:0");
    s = search_fake();
    cr_expect_eq(look(&s)->process_count, 0);
    fake_fd_of(PID, 11, "anon_inode:kvm-vcpu:0"); /* a VMM that has closed its VM's descriptor, and runs it */
    cr_assert_eq(look(&s)->process_count, 1);
    cr_expect_eq(process_of(&s.board, PID)->denied, 1, "nobody has its descriptors");
    cr_expect_eq(bulletin_of(&s.board)->trouble, VMT_HOST_TROUBLE_DENIED);
    search_end(&s);
}

/* The recorded VM: pid 4711, descriptor 12, two vCPUs. */
static void recorded_vm(void)
{
    recorded_debugfs(test_path("debug"));
    fake_process(&(struct fake_process){ .pid = 4711, .comm = "vmm", .arguments = "vmm\n" });
    fake_fd_of(4711, 12, "anon_inode:kvm-vm");
}

static uint64_t recorded_value(const char *vm, const char *name)
{
    char path[4096];
    unsigned long long value;
    FILE *f;

    snprintf(path, sizeof(path), "%s/kvm/%s/%s", test_path("debug"), vm, name);
    f = fopen(path, "re");
    REQUIRE(f && fscanf(f, "%llu", &value) == 1);
    fclose(f);
    return value;
}

/* Its VM, and its vCPUs' sums, are those of the directory. */
static void assert_recorded(const struct bulletin *b, uint32_t pid, const char *directory, int vcpus)
{
    const struct bulletin_process *p = bulletin_find(b, pid, 0);
    const struct bulletin_item *vm, *sums;

    cr_assert_not_null(p);
    cr_assert_eq(p->item_count, vcpus == 1 ? 2 : (uint32_t)vcpus + 2, "%u", p->item_count);
    vm = item_of(b, p, BULLETIN_VM, 0);
    sums = vcpus == 1 ? item_of(b, p, 0, 0) : item_of(b, p, BULLETIN_VM, BULLETIN_TOTAL);
    cr_assert(vm && sums);
    cr_expect_eq(vm->flags, BULLETIN_FROM_DEBUGFS);
    cr_expect_eq(vm->fd, -1);
    cr_expect_eq(sums->flags, (vcpus == 1 ? 0 : BULLETIN_TOTAL) | BULLETIN_FROM_DEBUGFS);
    cr_expect_eq(board_value(b, vm, "pages_4k"), recorded_value(directory, "pages_4k"));
    cr_expect_eq(board_value(b, sums, "exits"), recorded_value(directory, "exits"));
    for (int i = 0; i < vcpus && vcpus > 1; i++) {
        const struct bulletin_item *vcpu = item_of(b, p, i, 0);

        cr_assert_not_null(vcpu);
        cr_expect(vcpu->flags & BULLETIN_NO_VALUES);
        cr_expect_eq(vcpu->schema, sums->schema);
        cr_expect_eq(vcpu->vm, vm->vm);
    }
    cr_expect_eq(b->trouble, 0);
}

Test(kvm_find, debugfs_fills_in_where_there_are_no_statistics_fds)
{
    struct search s;

    recorded_vm();
    recorded_put(test_path("debug"), "kvm/4711-12/exits", 0644, "18446744073709551615");
    s = search_fake();
    assert_recorded(look(&s), 4711, "4711-12", 2);
    cr_expect_eq(process_of(&s.board, 4711)->trouble, 0);
    search_end(&s);
}

Test(kvm_find, sums_over_one_vcpu_are_its_own)
{
    char command[8192];
    struct search s;

    recorded_vm();
    snprintf(command, sizeof(command), "rm -r %s/kvm/4711-12/vcpu1", test_path("debug"));
    REQUIRE(system(command) == 0);
    s = search_fake();
    assert_recorded(look(&s), 4711, "4711-12", 1);
    search_end(&s);
}

Test(kvm_find, directories_are_joined_by_whole_numbers)
{
    static const uint32_t others[] = { 471, 47110, 711, 12 };
    struct search s;

    recorded_vm();
    fake_fd_of(4711, 12, "/dev/null"); /* its directory is that of a VM which this process has not */
    for (size_t i = 0; i < LENGTH(others); i++) {
        fake_process(&(struct fake_process){ .pid = others[i] });
        fake_fd_of(others[i], 1, "anon_inode:kvm-vm");
        fake_fd_of(others[i], 12, "/dev/null");
    }
    s = search_fake();
    cr_assert_eq(look(&s)->process_count, LENGTH(others));
    for (size_t i = 0; i < LENGTH(others); i++) {
        const struct bulletin_process *p = process_of(&s.board, others[i]);

        cr_expect_eq(p->item_count, 1);
        cr_expect(item_at(bulletin_of(&s.board), p, 0)->flags & BULLETIN_NO_VALUES);
    }
    search_end(&s);
}

/* The directory of a VM, anew: another one with the same name. */
static void make_anew(const char *directory)
{
    char command[8192];

    snprintf(command, sizeof(command), "cd %s/kvm && cp -a %s other && mv %s old && mv other %s && rm -r old",
             test_path("debug"), directory, directory, directory);
    REQUIRE(system(command) == 0);
}

Test(kvm_find, several_vms_of_a_process_have_a_directory_each)
{
    const struct bulletin_process *p;
    const struct bulletin *b;
    char command[8192];
    struct search s;
    int vms = 0;

    recorded_vm();
    snprintf(command, sizeof(command), "cd %s/kvm && cp -a 4711-12 4711-3 && rm -r 4711-3/vcpu1", test_path("debug"));
    REQUIRE(system(command) == 0);
    recorded_put(test_path("debug"), "kvm/4711-3/pages_4k", 0444, "33");
    recorded_put(test_path("debug"), "kvm/4711-12/pages_4k", 0444, "44");
    fake_fd_of(4711, 3, "anon_inode:kvm-vm");
    for (int i = 0; i < 3; i++) {
        char text[64];

        snprintf(text, sizeof(text), "anon_inode:kvm-vcpu:%d", i / 2);
        fake_fd_of(4711, 20 + i, text);
    }
    s = search_fake();
    b = look(&s);
    p = process_of(&s.board, 4711);
    cr_assert_eq(p->item_count, 2 + 4);
    for (uint32_t i = 0; i < p->item_count; i++) {
        const struct bulletin_item *item = item_at(b, p, i);

        cr_expect(item->vm == (i < 2 ? 3 : 12));
        if (item->vcpu != BULLETIN_VM || item->flags & BULLETIN_TOTAL)
            continue;
        cr_expect_eq(board_value(b, item, "pages_4k"), item->vm == 3 ? 33 : 44);
        vms++;
    }
    cr_expect_eq(vms, 2);
    search_end(&s);
}

/* Those things that there were before, by number, keep their place and generation. */
struct kept {
    uint64_t generation;
    uint32_t index;
};

static struct kept kept_of(const struct search *s, uint32_t pid, int vcpu)
{
    const struct bulletin_process *p = process_of(&s->board, pid);
    const struct bulletin_item *item = p ? item_of(bulletin_of(&s->board), p, vcpu, 0) : NULL;

    cr_assert_not_null(item, "vCPU %d", vcpu);
    return (struct kept){ item->generation, item->index };
}

#define assert_kept(a, b) cr_expect((a).generation == (b).generation && (a).index == (b).index)

Test(kvm_find, things_stay_what_they_are_while_others_come_and_go)
{
    char command[8192];
    struct kept vm, vcpu;
    struct search s;

    recorded_vm();
    s = search_fake();
    look(&s);
    vm = kept_of(&s, 4711, BULLETIN_VM);
    vcpu = kept_of(&s, 4711, 1);
    snprintf(command, sizeof(command), "cd %s/kvm/4711-12 && rm -r vcpu0 && mkdir vcpu2 vcpu3", test_path("debug"));
    REQUIRE(system(command) == 0);
    look(&s);
    assert_kept(vm, kept_of(&s, 4711, BULLETIN_VM));
    assert_kept(vcpu, kept_of(&s, 4711, 1));
    cr_expect_eq(process_of(&s.board, 4711)->item_count, 5);
    /* What can't be read any more is still what it was. */
    snprintf(command, sizeof(command), "mv %s/kvm/4711-12 %s/away", test_path("debug"), test_path("debug"));
    REQUIRE(system(command) == 0);
    look(&s);
    cr_expect_eq(kept_of(&s, 4711, BULLETIN_VM).index, vm.index);
    search_end(&s);
}

Test(kvm_find, vm_made_anew_under_the_same_number_is_another_one)
{
    struct search s;
    struct kept vm;

    recorded_vm();
    s = search_fake();
    look(&s);
    vm = kept_of(&s, 4711, BULLETIN_VM);
    look(&s);
    assert_kept(vm, kept_of(&s, 4711, BULLETIN_VM));
    make_anew("4711-12");
    look(&s);
    cr_expect_neq(kept_of(&s, 4711, BULLETIN_VM).generation, vm.generation);
    search_end(&s);
}

Test(kvm_find, process_with_the_number_of_another_is_another_one)
{
    const struct bulletin *b;
    uint64_t epoch, generation;
    struct search s;

    fake_process(&(struct fake_process){ .pid = PID, .start = 10, .arguments = "first\n" });
    fake_fd_of(PID, 9, "anon_inode:kvm-vm");
    fake_process(&(struct fake_process){ .pid = PID + 1, .start = 10 });
    fake_fd_of(PID + 1, 9, "anon_inode:kvm-vm");
    s = search_fake();
    look(&s);
    generation = kept_of(&s, PID, BULLETIN_VM).generation;
    fake_process(&(struct fake_process){ .pid = PID, .start = 11, .arguments = "second\n" });
    epoch = bulletin_of(&s.board)->epoch;
    b = look(&s);
    cr_assert_eq(b->process_count, 2);
    cr_expect_str_eq(process_of(&s.board, PID)->name, "second");
    cr_expect_neq(kept_of(&s, PID, BULLETIN_VM).generation, generation);
    cr_expect_neq(b->epoch, epoch);
    epoch = b->epoch;
    cr_expect_eq(look(&s)->epoch, epoch);
    fake_gone(PID);
    b = look(&s);
    cr_expect_eq(b->process_count, 1);
    cr_expect_neq(b->epoch, epoch);
    cr_expect_null(process_of(&s.board, PID));
    cr_expect_not_null(bulletin_find(b, PID + 1, 10));
    cr_expect_null(bulletin_find(b, PID + 1, 11), "that would be another one");
    search_end(&s);
}

Test(kvm_find, only_the_process_that_was_asked_for)
{
    struct search s;

    for (uint32_t i = 0; i < 2; i++) {
        fake_process(&(struct fake_process){ .pid = PID + i });
        fake_fd_of(PID + i, 9, "anon_inode:kvm-vm");
    }
    s = search_at(test_path("proc"), test_path("debug"), PID + 1);
    cr_expect_eq(look(&s)->process_count, 1);
    cr_expect_not_null(process_of(&s.board, PID + 1));
    search_end(&s);
}

Test(kvm_find, damaged_proc_files_are_no_processes_and_do_no_harm)
{
    static const char *const stats[] = {
        "", "1", "1 (", ")", "1 (a) S", "9 (a) R 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0"
    };
    struct search s;
    char *large = calloc(1, 1 << 20);

    for (uint32_t i = 0; i < LENGTH(stats); i++) {
        fake_process(&(struct fake_process){ .pid = PID + i });
        fake_put_file(PID + i, "stat", stats[i], strlen(stats[i]));
        fake_fd_of(PID + i, 9, "anon_inode:kvm-vm");
    }
    memset(large, 'a', 1 << 20);
    fake_process(&(struct fake_process){ .pid = PID + 90 });
    fake_put_file(PID + 90, "cmdline", large, 1 << 20);
    fake_put_file(PID + 90, "comm", large, 1 << 20);
    fake_fd_of(PID + 90, 9, "anon_inode:kvm-vm");
    fake_process(&(struct fake_process){ .pid = PID + 91 });
    fake_put_file(PID + 91, "status", large, 1 << 20);
    fake_fd_of(PID + 91, 9, "anon_inode:kvm-vm");
    fake_put_file(PID + 92, "stat", "", 0);
    s = search_fake();
    cr_expect_eq(look(&s)->process_count, 1);
    cr_expect_eq(strlen(process_of(&s.board, PID + 90)->name), VM_NAME_SIZE - 1);
    search_end(&s);
    free(large);
}

Test(kvm_find, host_without_proc_has_no_processes)
{
    struct search s = search_at(test_path("none"), test_path("none"), 0);

    cr_expect_eq(look(&s)->process_count, 0);
    cr_expect_eq(bulletin_of(&s.board)->trouble, 0);
    search_end(&s);
}

/* ---- a real host ---- */

static struct search search_real(void) { return search_at(NULL, NULL, 0); }

/* Of that VMM alone: others may have VMs, too, and what is held of them is not ours to count. */
static struct search search_of(const struct vmm *v) { return search_at(NULL, NULL, (uint32_t)v->pid); }

static void look_as_nobody(void *arg)
{
    struct search s;

    (void)arg;
    REQUIRE(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    s = search_real();
    REQUIRE(look(&s)->denied >= 1 && bulletin_of(&s.board)->trouble & VMT_HOST_TROUBLE_DENIED);
    for (int i = 0; i < 20; i++)
        REQUIRE(look(&s)->denied >= 1);
    search_end(&s);
}

static void seem_a_vmm(void *arg)
{
    prctl(PR_SET_NAME, "qemu-system-x86_64");
    say(arg, 1);
    for (;;)
        pause();
}

Test(kvm_find_real, vmms_of_others_are_counted_where_permission_is_missing)
{
    int *ready = shared_memory(sizeof(*ready));
    pid_t pid;

    if (geteuid() != 0)
        cr_skip_test("only root can be somebody else");
    pid = start_child(seem_a_vmm, ready);
    cr_assert(reached(ready, 1));
    assert_child(look_as_nobody, NULL);
    kill_child(pid);
}

Test(kvm_find_real, values_are_what_the_vmm_reads_itself)
{
    struct vmm *v = vmm_start();
    const struct bulletin_process *p;
    const struct bulletin_item *item;
    const struct bulletin *b;
    struct search s;

    NEED_VMM(v);
    vmm_tell(v, VMM_RUN);
    s = search_real();
    for (int i = 0; i < 20; i++) {
        uint64_t before;

        vmm_tell(v, VMM_RUN);
        vmm_tell(v, VMM_READ);
        before = v->counted;
        b = look(&s);
        p = process_of(&s.board, (uint32_t)v->pid);
        vmm_tell(v, VMM_READ);
        cr_assert_not_null(p);
        cr_assert_eq(p->item_count, 3);
        item = item_of(b, p, 0, 0);
        cr_assert_not_null(item);
        cr_expect_eq(item->flags, 0);
        cr_expect_eq(item->fd, v->vcpu_stats[0]);
        cr_expect_eq(item->vm, v->vm);
        cr_expect_geq(board_value(b, item, "exits"), before);
        cr_expect_leq(board_value(b, item, "exits"), v->counted);
        cr_expect_geq(board_value(b, item, "exits"), (uint64_t)v->exits);
        cr_expect_eq(board_value(b, item_of(b, p, 1, 0), "exits"), 0);
        cr_expect_eq(item_at(b, p, 0)->fd, v->vm_stats);
        cr_expect_leq(p->begin_ns, p->end_ns);
        cr_expect_eq(p->trouble, 0);
    }
    kill_child(v->pid);
    search_end(&s);
}

Test(kvm_find_real, vmm_killed_while_its_fds_are_held_takes_its_vm_along)
{
    struct vmm *v = vmm_start();
    struct board boards[2] = { { .fd = -1 }, { .fd = -1 } };
    struct search s;
    char path[64];
    bool seen;

    NEED_VMM(v);
    s = search_of(v);
    look(&s);
    cr_assert_not_null(process_of(&s.board, (uint32_t)v->pid));
    seen = vmm_directory(v, path);
    cr_expect(!readable_within(finder_fd(s.finder), 0));
    kill_child(v->pid);
    cr_assert(readable_within(finder_fd(s.finder), 10000));
    if (seen) {
        nap_us(20000);
        cr_expect_eq(access(path, F_OK), 0, "our fds keep it: else this proves nothing");
    }
    boards[0] = s.board;
    finder_drop_ended(s.finder, boards);
    cr_expect_null(process_of(&s.board, (uint32_t)v->pid), "it is marked on the board");
    cr_expect_eq(descriptors_called("kvm-"), 0);
    cr_expect(!readable_within(finder_fd(s.finder), 0));
    if (seen)
        cr_expect(vanishes(path), "%s", path);
    look(&s);
    cr_expect_null(process_of(&s.board, (uint32_t)v->pid));
    search_end(&s);
}

Test(kvm_find_real, vmm_that_closes_its_vm_and_lives_is_gone_at_the_next_look)
{
    struct vmm *v = vmm_start();
    struct search s;
    char path[64];
    bool seen;

    NEED_VMM(v);
    s = search_of(v);
    look(&s);
    cr_assert_not_null(process_of(&s.board, (uint32_t)v->pid));
    seen = vmm_directory(v, path);
    vmm_tell(v, VMM_CLOSE);
    look(&s);
    cr_expect_null(process_of(&s.board, (uint32_t)v->pid));
    cr_expect_eq(descriptors_called("kvm-"), 0);
    if (seen)
        cr_expect(vanishes(path), "%s", path);
    kill_child(v->pid);
    search_end(&s);
}

Test(kvm_find_real, number_that_has_become_another_fd_is_another_thing)
{
    struct vmm *v = vmm_start();
    const struct bulletin_item *item;
    const struct bulletin *b;
    struct kept vcpu, other;
    struct search s;

    NEED_VMM(v);
    vmm_tell(v, VMM_RUN);
    s = search_of(v);
    look(&s);
    vcpu = kept_of(&s, (uint32_t)v->pid, 0);
    other = kept_of(&s, (uint32_t)v->pid, 1);
    vmm_tell(v, VMM_REPLACE); /* the same number, of a vCPU that never ran */
    b = look(&s);
    item = item_of(b, process_of(&s.board, (uint32_t)v->pid), 0, 0);
    cr_expect_eq(item->fd, v->vcpu_stats[0]);
    cr_expect_neq(item->generation, vcpu.generation);
    cr_expect_eq(board_value(b, item, "exits"), 0);
    assert_kept(other, kept_of(&s, (uint32_t)v->pid, 1));
    cr_expect_eq(descriptors_called("kvm-"), 3, "the old one is held no more");
    kill_child(v->pid);
    search_end(&s);
}

Test(kvm_find_real, descriptors_of_one_vm_are_one_vm)
{
    struct vmm *v = vmm_start();
    const struct bulletin_process *p;
    struct search s;

    NEED_VMM(v);
    vmm_tell(v, VMM_DUPLICATE);
    s = search_real();
    look(&s);
    p = process_of(&s.board, (uint32_t)v->pid);
    cr_assert_not_null(p);
    cr_expect_eq(p->item_count, 3, "%u", p->item_count);
    cr_expect_eq(item_at(bulletin_of(&s.board), p, 0)->vm, v->vm);
    kill_child(v->pid);
    search_end(&s);
}

Test(kvm_find_real, two_vms_in_a_process_are_both_there)
{
    struct vmm *v = vmm_start();
    const struct bulletin_process *p;
    const struct bulletin *b;
    uint32_t indices = 0;
    struct search s;
    int vms = 0;

    NEED_VMM(v);
    vmm_tell(v, VMM_SECOND);
    s = search_real();
    b = look(&s);
    p = process_of(&s.board, (uint32_t)v->pid);
    cr_assert_not_null(p);
    for (uint32_t i = 0; i < p->item_count; i++) {
        const struct bulletin_item *item = item_at(b, p, i);

        vms += item->vcpu == BULLETIN_VM && !(item->flags & (BULLETIN_TOTAL | BULLETIN_SPARE));
        cr_expect(item->index < 32 && !(indices & 1U << item->index));
        indices |= 1U << item->index;
        cr_expect(item->fd < 0 || item->vm < 0, "which VM's a statistics fd is does not show");
    }
    cr_expect_eq(vms, 2, "%d", vms);
    for (int i = 0; i < VMM_VCPUS; i++) {
        bool found = false;

        for (uint32_t k = 0; k < p->item_count; k++)
            found = found || item_at(b, p, k)->fd == v->vcpu_stats[i];
        cr_expect(found, "who knows the number finds it");
    }
    kill_child(v->pid);
    search_end(&s);
}

Test(kvm_find_real, child_that_inherited_the_vm_is_no_second_one)
{
    struct vmm *v = vmm_start();
    struct search s;

    NEED_VMM(v);
    s = search_real();
    look(&s);
    vmm_tell(v, VMM_FORK);
    for (int i = 0; i < 20; i++) {
        look(&s);
        cr_expect_not_null(process_of(&s.board, (uint32_t)v->pid));
        cr_expect_null(process_of(&s.board, (uint32_t)v->forked));
    }
    kill_child(v->pid);
    search_end(&s);
}

/* A process that has a VM, and reads others': this one. */
Test(kvm_find_real, vmm_that_reads_other_vms_has_only_its_own)
{
    struct vmm *v = vmm_start();
    struct search other, own;
    struct stat st;
    struct real_vm real;
    int stats;

    NEED_VMM(v);
    if (stat("/proc/self/ns/pid", &st) < 0 || st.st_ino != 0xEFFFFFFCU)
        cr_skip_test("not the initial PID namespace, in which KVM says who made a VM");
    cr_assert_eq(new_real(&real), 1);
    stats = vmm_stats(real.vcpu);
    other = search_of(v);
    look(&other);
    cr_expect_eq(descriptors_called("kvm-vcpu-stats"), 1 + VMM_VCPUS);
    own = search_at(NULL, NULL, (uint32_t)getpid());
    for (int i = 0; i < 20; i++) {
        const struct bulletin_process *p;

        look(&own);
        p = process_of(&own.board, (uint32_t)getpid());
        cr_assert_not_null(p);
        cr_expect_eq(p->item_count, 2, "%u", p->item_count);
        cr_expect_eq(item_at(bulletin_of(&own.board), p, 1)->fd, stats);
        cr_expect_eq(descriptors_called("kvm-vcpu-stats"), 2 + VMM_VCPUS);
    }
    search_end(&own);
    search_end(&other);
    close(stats);
    close_real(&real);
    kill_child(v->pid);
}

Test(kvm_find_real, vm_made_by_a_thread_is_its_process_s)
{
    struct vmm *v = vmm_start_as(true, true);
    const struct bulletin_process *p;
    const struct bulletin_item *vm;
    const struct bulletin *b;
    struct search s;

    NEED_VMM(v);
    if (access("/sys/kernel/debug/kvm", R_OK) < 0)
        cr_skip_test("there is no debugfs here");
    s = search_real();
    b = look(&s);
    p = process_of(&s.board, (uint32_t)v->pid);
    cr_assert_not_null(p);
    vm = item_of(b, p, BULLETIN_VM, 0);
    cr_expect_eq(vm->flags, BULLETIN_FROM_DEBUGFS);
    cr_expect_eq(vm->vm, v->vm);
    cr_expect_eq(board_value(b, vm, "pages_4k"), 0);
    kill_child(v->pid);
    search_end(&s);
}

/* With hardly any descriptors. */
static void look_with_few(void *arg)
{
    const struct vmm *v = arg;
    const int before = test_descriptors();
    const int lowest = dup(0);
    const struct rlimit few = { ((rlim_t)lowest + 3) * 4 / 3, (rlim_t)lowest + 100 }; /* of which 3/4 may be kept */
    struct rlimit limit;
    const struct bulletin *b;
    struct search s;

    REQUIRE(close(lowest) == 0 && setrlimit(RLIMIT_NOFILE, &few) == 0);
    s = search_of(v);
    for (int i = 0; i < 10; i++) {
        const struct bulletin_process *p;

        b = look(&s);
        p = process_of(&s.board, (uint32_t)v->pid);
        REQUIRE(p && p->item_count == 3);
        for (uint32_t k = 0; k < 3; k++)
            REQUIRE(item_at(b, p, k)->flags == 0);
        REQUIRE(board_value(b, item_of(b, p, 0, 0), "exits") >= (uint64_t)v->exits);
        REQUIRE(test_descriptors() <= before + 3);
    }
    finder_take_all(s.finder);
    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == few.rlim_max);
    REQUIRE(process_of(&s.board, (uint32_t)v->pid) && look(&s));
    search_end(&s);
    REQUIRE(test_descriptors() == before);
}

Test(kvm_find_real, few_descriptors_cost_time_and_no_vm)
{
    struct vmm *v = vmm_start();

    NEED_VMM(v);
    vmm_tell(v, VMM_RUN);
    assert_child(look_with_few, v);
    kill_child(v->pid);
}

/* Descriptors of ours that are statistics of that process's VM. */
static int held_of(pid_t pid)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *e;
    char vm[32];
    int n = 0;

    cr_assert_not_null(dir);
    snprintf(vm, sizeof(vm), "kvm-%d", (int)pid);
    while ((e = readdir(dir))) {
        const struct kvm_schema *schema;
        char id[VMT_NAME_SIZE];
        int32_t vcpu = 0;
        enum proc_kind kind = proc_link_of(AT_FDCWD, "/proc/self", atoi(e->d_name), &vcpu);

        if ((kind != PROC_VM_STATS && kind != PROC_VCPU_STATS) ||
            kvm_schema_read(atoi(e->d_name), vcpu != BULLETIN_VM, id, &schema) < 0)
            continue;
        kvm_schema_release(schema);
        n += strncmp(id, vm, strlen(vm)) == 0 && (!id[strlen(vm)] || id[strlen(vm)] == '/');
    }
    closedir(dir);
    return n;
}

#define MANY 50
#define MANY_VCPUS 4

static void be_one_of_many(void *arg)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0UL);

    REQUIRE(vm >= 0);
    vmm_stats(vm);
    for (unsigned i = 0; i < MANY_VCPUS; i++)
        vmm_stats(ioctl(vm, KVM_CREATE_VCPU, i));
    say(arg, vm);
    for (;;)
        pause();
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void look_often(struct search *s)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < 50; i++) {
        uint64_t began = now_ns(), took;

        look(s);
        took = now_ns() - began;
        best = took < best ? took : best;
    }
    printf("# a look at %d VMs of %d vCPUs: %.3f ms at best\n", MANY, MANY_VCPUS, (double)best / 1e6);
}

Test(kvm_find_real, many_vms_are_all_found_and_read_and_let_go)
{
    struct vmm *v = vmm_start();
    int *vms = shared_memory(MANY * sizeof(*vms));
    pid_t pids[MANY];
    struct search s;

    NEED_VMM(v);
    for (int i = 0; i < MANY; i++)
        pids[i] = start_child(be_one_of_many, &vms[i]);
    for (int i = 0; i < MANY; i++)
        cr_assert(reached(&vms[i], 1));
    s = search_real();
    look_often(&s);
    for (int i = 0; i < MANY; i++) {
        const struct bulletin_process *p = process_of(&s.board, (uint32_t)pids[i]);

        cr_assert_not_null(p);
        cr_expect_eq(p->item_count, 1 + MANY_VCPUS);
        cr_expect_eq(p->trouble, 0);
        cr_expect_eq(held_of(pids[i]), 1 + MANY_VCPUS);
    }
    cr_expect_not_null(process_of(&s.board, (uint32_t)v->pid));
    for (int i = 0; i < MANY; i++)
        kill_child(pids[i]);
    look(&s);
    for (int i = 0; i < MANY; i++) {
        cr_expect_null(process_of(&s.board, (uint32_t)pids[i]));
        cr_expect_eq(held_of(pids[i]), 0);
    }
    kill_child(v->pid);
    search_end(&s);
}
