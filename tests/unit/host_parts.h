/* SPDX-License-Identifier: MIT */
/* host_parts.h: hosts for tests of provider kvm from outside: a proc file system made of files, and real VMMs that embed
 * nothing. */
#ifndef TESTS_UNIT_HOST_PARTS_H
#define TESTS_UNIT_HOST_PARTS_H

#include "tests/unit/kvm_parts.h"

#include <poll.h>
#include <pthread.h>

#include <vmtally/host.h>

#include "lib/kvm/find.h"
#include "lib/kvm/host.h"

/* ---- a proc file system of files ---- */

#define PID 2000000007U /* more than any process can have */

/* A process of a fake host. Zeros are a good choice but for pid. */
struct fake_process {
    uint32_t pid;
    uint32_t inner_pid; /* 0: the same */
    uint32_t parent;
    uint32_t uid;
    uint64_t start; /* 0: 1000 */
    const char *comm;
    const char *arguments; /* each ends with a '\n', which becomes a NUL */
};

static inline void fake_put_file(uint32_t pid, const char *name, const char *bytes, size_t n)
{
    const char *path = test_path("proc");
    char full[4096];
    int fd;

    mkdir(path, 0755);
    snprintf(full, sizeof(full), "%s/%u", path, pid);
    mkdir(full, 0755);
    snprintf(full, sizeof(full), "%s/%u/fd", path, pid);
    mkdir(full, 0755);
    snprintf(full, sizeof(full), "%s/%u/%s", path, pid, name);
    fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    REQUIRE(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

static inline void fake_process(const struct fake_process *p)
{
    const char *comm = p->comm ? p->comm : "some";
    uint32_t inner = p->inner_pid ? p->inner_pid : p->pid;
    uint64_t start = p->start ? p->start : 1000;
    char text[1024];
    char *arguments = strdup(p->arguments ? p->arguments : "some\n");
    size_t n = strlen(arguments);

    snprintf(text, sizeof(text), "%u (%s) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %llu 0 0\n", p->pid, comm,
             (unsigned long long)start);
    fake_put_file(p->pid, "stat", text, strlen(text));
    snprintf(text, sizeof(text), "Name:\t%s\nTgid:\t%u\nPid:\t%u\nPPid:\t%u\nUid:\t0\t%u\t0\t0\nNSpid:\t%u\t%u\n", comm,
             p->pid, p->pid, p->parent, p->uid, p->pid, inner);
    fake_put_file(p->pid, "status", text, strlen(text));
    snprintf(text, sizeof(text), "%s\n", comm);
    fake_put_file(p->pid, "comm", text, strlen(text));
    for (size_t i = 0; i < n; i++)
        arguments[i] = arguments[i] == '\n' ? '\0' : arguments[i];
    fake_put_file(p->pid, "cmdline", arguments, n);
    free(arguments);
}

/* Descriptor fd of it, NULL: closed. */
static inline void fake_fd_of(uint32_t pid, int fd, const char *text)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%u/fd/%d", test_path("proc"), pid, fd);
    unlink(path);
    REQUIRE(!text || symlink(text, path) == 0);
}

static inline void fake_gone(uint32_t pid)
{
    char command[8192];

    snprintf(command, sizeof(command), "rm -r '%s/%u'", test_path("proc"), pid);
    REQUIRE(system(command) == 0);
}

/* ---- what is on a board ---- */

static inline const struct bulletin *bulletin_of(const struct board *board) { return (const void *)board->data; }

static inline const struct bulletin_process *process_of(const struct board *board, uint32_t pid)
{
    return bulletin_find(bulletin_of(board), pid, 0);
}

static inline const struct bulletin_item *item_at(const struct bulletin *b, const struct bulletin_process *p,
                                                  uint32_t i)
{
    return (const struct bulletin_item *)bulletin_at(b, p->items) + i;
}

/* The first item of that kind; NULL: there is none. */
static inline const struct bulletin_item *item_of(const struct bulletin *b, const struct bulletin_process *p, int vcpu,
                                                  uint32_t kind)
{
    const uint32_t kinds = BULLETIN_TOTAL | BULLETIN_SPARE;

    for (uint32_t i = 0; i < p->item_count; i++) {
        const struct bulletin_item *item = item_at(b, p, i);

        if (item->vcpu == vcpu && (item->flags & kinds) == kind)
            return item;
    }
    return NULL;
}

static inline const struct shm_schema *block_of(const struct bulletin *b, const struct bulletin_item *item)
{
    const uint64_t *places = bulletin_at(b, b->schemas);

    REQUIRE(item->schema < b->schema_count);
    return bulletin_at(b, places[item->schema]);
}

/* The value of a statistic of it. */
static inline uint64_t board_value(const struct bulletin *b, const struct bulletin_item *item, const char *name)
{
    const struct shm_schema *block = block_of(b, item);
    const uint64_t *values = bulletin_at(b, item->values);

    for (uint32_t i = 0; i < block->descriptors; i++) {
        if (strcmp(shm_descriptors(block)[i].name, name) == 0)
            return values[shm_descriptors(block)[i].offset / 8];
    }
    fprintf(stderr, "no statistic %s\n", name);
    REQUIRE(false);
    return 0;
}

/* ---- a finder, and its board ---- */

struct search {
    struct finder *finder;
    struct board board;
};

static inline struct search search_at(const char *proc, const char *debugfs, uint32_t pid)
{
    struct search s = { .board = { .fd = -1 } };

    REQUIRE(finder_new(proc, debugfs, pid, &s.finder) == 0);
    return s;
}

static inline const struct bulletin *look(struct search *s)
{
    REQUIRE(finder_look(s->finder, &s->board) == 0);
    return bulletin_of(&s->board);
}

static inline void search_end(struct search *s)
{
    finder_free(s->finder);
    board_free(&s->board);
}

/* Those things that there were before, by number, keep their place and generation. */
struct kept {
    uint64_t generation;
    uint32_t index;
};

static inline struct kept kept_of(const struct search *s, uint32_t pid, int vcpu)
{
    const struct bulletin_process *p = process_of(&s->board, pid);
    const struct bulletin_item *item = p ? item_of(bulletin_of(&s->board), p, vcpu, 0) : NULL;

    cr_assert_not_null(item, "vCPU %d", vcpu);
    return (struct kept){ item->generation, item->index };
}

#define assert_kept(a, b) cr_expect((a).generation == (b).generation && (a).index == (b).index)

/* ---- VMMs ---- */

#define VMM_VCPUS 2

/* A VMM in a process of its own, that does what it is told. */
struct vmm {
    bool by_thread; /* makes its VM in another thread than its first, */
    bool blind;     /* opens no statistics fds, and takes no orders */
    int ready;      /* 1 it has made its VM; -1 it can't */
    int told;       /* number of the order */
    int done;
    int order;
    int exits; /* that its guest has made */
    int vm;    /* its descriptors */
    int vcpu;  /* number 1 */
    int vm_stats;
    int vcpu_stats[VMM_VCPUS];
    int forked;       /* its child */
    uint64_t counted; /* by the kernel, of vCPU 0: what it read itself */
    pid_t pid;
};

enum vmm_order {
    VMM_RUN,
    VMM_READ,
    VMM_CLOSE,
    VMM_ANEW,
    VMM_REPLACE,
    VMM_SECOND,
    VMM_DUPLICATE,
    VMM_FORK,
    VMM_SEGMENT
};

static inline uint64_t vmm_exits(int fd)
{
    const struct kvm_schema *schema;
    uint64_t values[VMT_SLOTS_MAX];
    uint64_t n;

    REQUIRE(kvm_schema_read(fd, 1, NULL, &schema) == 0 && kvm_values_read(schema, fd, values) == 0);
    n = values[vmt_schema_find(&schema->schema, "exits")->slot];
    kvm_schema_release(schema);
    return n;
}

static inline int vmm_stats(int of)
{
    int fd = ioctl(of, KVM_GET_STATS_FD, NULL);

    REQUIRE(fd >= 0);
    return fd;
}

/* Another VM, whose vCPU 0 has counted nothing. */
static inline void vmm_second(struct vmm *v, bool replace)
{
    struct real_vm *other = malloc(sizeof(*other));
    int stats;

    REQUIRE(other && new_real(other) == 1);
    stats = vmm_stats(other->vcpu);
    if (replace)
        REQUIRE(dup2(stats, v->vcpu_stats[0]) == v->vcpu_stats[0] && close(stats) == 0);
    else
        vmm_stats(other->vm);
    if (replace) {
        close(other->vm);
        close(other->vcpu);
    }
}

/* False: there is no KVM here that gives statistics. */
static inline bool vmm_build(struct vmm *v, struct real_vm *real)
{
    if (new_real(real) != 1)
        return false;
    v->vcpu = ioctl(real->vm, KVM_CREATE_VCPU, 1UL);
    REQUIRE(v->vcpu >= 0);
    v->vm = real->vm;
    v->exits = 0;
    if (v->blind)
        return true;
    v->vm_stats = vmm_stats(real->vm);
    for (int i = 0; i < VMM_VCPUS; i++)
        v->vcpu_stats[i] = vmm_stats(i == 0 ? real->vcpu : v->vcpu);
    return true;
}

static inline void vmm_close(struct vmm *v, struct real_vm *real)
{
    for (int i = 0; i < VMM_VCPUS; i++)
        close(v->vcpu_stats[i]);
    close(v->vm_stats);
    close(v->vcpu);
    close_real(real);
}

static inline void vmm_obey(struct vmm *v, struct real_vm *real)
{
    switch (v->order) {
    case VMM_RUN:
        run_real(real, 100);
        v->exits += 100;
        break;
    case VMM_CLOSE:
        vmm_close(v, real);
        break;
    case VMM_ANEW: /* with the same numbers: the lowest that are free */
        vmm_close(v, real);
        REQUIRE(vmm_build(v, real));
        break;
    case VMM_REPLACE:
        vmm_second(v, true);
        break;
    case VMM_SECOND:
        vmm_second(v, false);
        break;
    case VMM_DUPLICATE:
        REQUIRE(dup(v->vm) >= 0);
        break;
    case VMM_FORK:
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            say(&v->forked, getpid());
            for (;;)
                pause();
        }
        REQUIRE(reached(&v->forked, 1));
        break;
    case VMM_SEGMENT:
        (void)new_segment("embedding");
        break;
    default:
        break;
    }
    if (v->order != VMM_CLOSE)
        v->counted = vmm_exits(v->vcpu_stats[0]);
}

static inline void *vmm_make(void *arg)
{
    struct vmm *v = arg;
    struct real_vm real;

    if (!vmm_build(v, &real)) {
        say(&v->ready, -1);
        return NULL;
    }
    say(&v->ready, 1);
    while (v->blind)
        pause();
    for (int n = 1;; n++) {
        REQUIRE(reached(&v->told, n));
        vmm_obey(v, &real);
        say(&v->done, n);
    }
}

static inline void vmm_live(void *arg)
{
    struct vmm *v = arg;
    pthread_t thread;

    if (!v->by_thread)
        vmm_make(v);
    else
        REQUIRE(pthread_create(&thread, NULL, vmm_make, v) == 0 && pthread_join(thread, NULL) == 0);
}

/* NULL: there is no KVM here that gives statistics. */
static inline struct vmm *vmm_start_as(bool by_thread, bool blind)
{
    struct vmm *v = shared_memory(sizeof(*v));

    v->by_thread = by_thread;
    v->blind = blind;
    v->pid = start_child(vmm_live, v);
    for (int i = 0; i < 100000 && !said(&v->ready); i++)
        nap_us(100);
    cr_assert(said(&v->ready), "the VMM did not start");
    return v->ready > 0 ? v : NULL;
}

static inline struct vmm *vmm_start(void) { return vmm_start_as(false, false); }

/* Of that VMM alone: others may have VMs, too, and what is held of them is not a test's to count. */
static inline struct search search_of(const struct vmm *v) { return search_at(NULL, NULL, (uint32_t)v->pid); }

#define NEED_VMM(v)                                                                                                    \
    do {                                                                                                               \
        if (!(v))                                                                                                      \
            cr_skip_test("there is no KVM here that gives statistics");                                                \
    } while (0)

static inline void vmm_tell(struct vmm *v, enum vmm_order order)
{
    v->order = (int)order;
    say(&v->told, v->told + 1);
    REQUIRE(reached(&v->done, v->told));
}

/* What debugfs has of it vanishes when nobody holds it. False: there is no debugfs here to see it in. */
static inline bool vmm_directory(const struct vmm *v, char path[64])
{
    snprintf(path, 64, "/sys/kernel/debug/kvm/%d-%d", (int)v->pid, v->vm);
    return access(path, F_OK) == 0;
}

static inline bool readable_within(int fd, int ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, ms) == 1;
}

/* ---- struct vmt_host ---- */

static inline struct vmt_host *host_of(const struct vmt_host_options *wanted)
{
    struct vmt_host_options options = wanted ? *wanted : (struct vmt_host_options){ 0 };
    struct vmt_host *host = NULL;

    options.struct_size = sizeof(options);
    cr_assert_eq(vmt_host_new(&options, &host), 0);
    return host;
}

static inline struct vmt_host *fake_host(void)
{
    return host_of(&(struct vmt_host_options){ .proc = test_path("proc"), .debugfs = test_path("debug") });
}

static inline void look_at(struct vmt_host *host)
{
    int r = vmt_host_look(host);

    cr_assert_eq(r, 0, "%s", strerror(-r));
}

static inline void assert_trouble(const struct vmt_host *host, const char *path, uint32_t bits, const char *begins,
                                  const char *does)
{
    char text[512] = "x";
    uint32_t said_bits = vmt_host_trouble(host, path, text, sizeof(text));

    cr_expect_eq(said_bits, bits, "%u: %s", said_bits, text);
    cr_expect(strncmp(text, begins, strlen(begins)) == 0 && strstr(text, does), "%s", text);
    cr_expect(bits || !*text);
    cr_expect_null(strchr(text, '\n'));
}

static inline void fake_vm(uint32_t pid, const char *name)
{
    char arguments[128];

    snprintf(arguments, sizeof(arguments), "qemu-system-x86_64\n-name\n%s\n", name);
    fake_process(&(struct fake_process){ .pid = pid, .comm = "qemu-system-x86", .arguments = arguments });
    fake_fd_of(pid, 9, "anon_inode:kvm-vm");
}

#endif
