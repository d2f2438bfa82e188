/* SPDX-License-Identifier: MIT */
/* kvm_parts.h: what the tests of provider kvm's writer are put together from: statistics files whose values are ours to
 * choose, real VMs where there is a /dev/kvm, and what stands in a segment's bytes. */
#ifndef TESTS_UNIT_KVM_PARTS_H
#define TESTS_UNIT_KVM_PARTS_H

#include "tests/unit/recorded.h"

#include <dirent.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <vmtally/kvm.h>

#include "lib/kvm/handle.h"
#include "lib/kvm/statistics.h"
#include "lib/writer.h"

/* ---- statistics files ---- */

/* A statistics file as KVM gave it, in memory: a file of one vCPU or VM of one's own. */
struct fake {
    const struct kvm_schema *schema;
    int fd; /* the test's own; what the library gets is a dup */
};

static inline struct fake new_fake(bool vcpu)
{
    struct fake fake = { .fd = memfd_create("statistics", MFD_CLOEXEC) };
    int from = recorded_open(vcpu ? "kvm-vcpu-stats" : "kvm-vm-stats");
    char bytes[16384];
    ssize_t n = read(from, bytes, sizeof(bytes));

    REQUIRE(n > 0 && (size_t)n < sizeof(bytes) && write(fake.fd, bytes, (size_t)n) == n);
    close(from);
    REQUIRE(kvm_schema_read(fake.fd, vcpu, NULL, &fake.schema) == 0 && !fake.schema->places);
    for (uint32_t k = 0; k < fake.schema->schema.slots; k++)
        REQUIRE(pwrite(fake.fd, &(uint64_t){ 0 }, 8, fake.schema->data_offset + 8 * k) == 8);
    return fake;
}

static inline void free_fake(struct fake *fake)
{
    kvm_schema_release(fake->schema);
    close(fake->fd);
}

static inline uint32_t fake_slot(const struct fake *fake, const char *name)
{
    const struct vmt_descriptor *d = vmt_schema_find(&fake->schema->schema, name);

    REQUIRE(d);
    return d->slot;
}

static inline void fake_put(const struct fake *fake, const char *name, uint32_t bucket, uint64_t value)
{
    uint32_t slot = fake_slot(fake, name) + bucket;

    REQUIRE(pwrite(fake->fd, &value, 8, fake->schema->data_offset + 8 * slot) == 8);
}

/* Another vCPU's: the number in the file's id. */
static inline void fake_number(const struct fake *fake, int n)
{
    char id[VMT_NAME_SIZE] = "";
    struct vmt_kvm_header h;

    REQUIRE(pread(fake->fd, &h, sizeof(h), 0) == sizeof(h));
    snprintf(id, sizeof(id), "kvm-4711/vcpu-%d", n);
    REQUIRE(pwrite(fake->fd, id, sizeof(id), h.id_offset) == sizeof(id));
}

/* Its own descriptor of the same file, for the library. */
static inline int fake_fd(const struct fake *fake)
{
    int fd = dup(fake->fd);

    REQUIRE(fd >= 0);
    return fd;
}

static inline void link_fake(struct vmt_source *source, const struct fake *fake)
{
    int r = kvm_link(source, fake_fd(fake));

    cr_assert_eq(r, 0, "%s", strerror(-r));
}

/* What KVM would count there, of the copy at id. */
static inline uint64_t copied(struct vmt_segment *segment, const struct fake *fake, const char *id, const char *name)
{
    return value_now(segment, id, fake_slot(fake, name));
}

/* ---- the segment ---- */

/* A VM with vCPUs. */
struct small_vm {
    struct vmt_segment *segment;
    struct vmt_source *vm;
    struct vmt_source *vcpu[2];
};

static inline void add_vm(struct small_vm *v, struct vmt_segment *segment)
{
    v->segment = segment;
    v->vm = add_source(segment, &vmt_schema_vm, NULL, "vm");
    v->vcpu[0] = add_source(segment, &vmt_schema_vcpu, v->vm, "vcpu-0");
    v->vcpu[1] = add_source(segment, &vmt_schema_vcpu, v->vm, "vcpu-1");
}

static inline struct small_vm new_vm(const char *name)
{
    struct small_vm v;

    add_vm(&v, new_segment(name));
    return v;
}

/* The child of that name, also where an earlier writer left it; NULL: there is none. */
static inline const struct vmt_source *child_of(const struct vmt_source *parent, const char *name)
{
    return source_named(parent, name, strlen(name));
}

/* The number that a handle says, as it stands in the segment. */
static inline uint64_t number_of(const struct vmt_source *handle)
{
    return __atomic_load_n((const uint64_t *)(const void *)(handle->shared + 1), __ATOMIC_RELAXED);
}

/* How many live sources of that name stand in the file, and the greatest number that any of them says. */
static inline int numbers_in_file(const char *path, uint64_t *greatest)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct shm_header h;
    int n = 0;

    *greatest = 0;
    cr_assert(fd >= 0 && pread(fd, &h, sizeof(h), 0) == sizeof(h));
    for (uint32_t i = 0; i < h.source_used; i++) {
        struct shm_entry e;
        uint64_t number;

        cr_assert(pread(fd, &e, sizeof(e), (off_t)entry_offset(i)) == sizeof(e));
        if (e.state != SHM_LIVE || strcmp(e.name, KVM_HANDLE_NAME) != 0)
            continue;
        cr_assert(pread(fd, &number, 8, (off_t)(e.shared * 128ULL + sizeof(struct shm_shard))) == 8);
        if (*greatest < number)
            *greatest = number;
        n++;
    }
    close(fd);
    return n;
}

/* Live sources, the segment's own too. */
static inline uint32_t sources_in(const struct vmt_segment *segment)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < segment->source_used; i++)
        n += segment->sources[i].entry->state != SHM_FREE;
    return n;
}

/* Descriptors of this process whose file is called so. */
static inline int descriptors_called(const char *name)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *e;
    int n = 0;

    REQUIRE(dir);
    while ((e = readdir(dir))) {
        char path[300], target[256] = "";

        snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
        if (readlink(path, target, sizeof(target) - 1) > 0)
            n += strstr(target, name) != NULL;
    }
    closedir(dir);
    return n;
}

/* ---- real VMs ---- */

struct real_vm {
    struct kvm_run *run;
    uint8_t *memory;
    int kvm;
    int vm;
    int vcpu;
};

#define REAL_MEMORY 0x10000U
#define REAL_PORT 0x10

/* 1: it is there; 0: there is no KVM that gives statistics. The guest writes to a port for ever. */
static inline int new_real(struct real_vm *v)
{
#ifdef __x86_64__
    static const uint8_t code[] = { 0xe6, REAL_PORT, 0xeb, 0xfc };
    struct kvm_userspace_memory_region region = { .memory_size = REAL_MEMORY };
    struct kvm_sregs sregs;
    struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 };
    int bytes;

    v->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (v->kvm < 0)
        return 0;
    v->vm = ioctl(v->kvm, KVM_CREATE_VM, 0UL);
    if (v->vm < 0 || ioctl(v->vm, KVM_CHECK_EXTENSION, KVM_CAP_BINARY_STATS_FD) <= 0) {
        close(v->vm);
        close(v->kvm);
        return 0;
    }
    v->memory = mmap(NULL, REAL_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(v->memory != MAP_FAILED);
    memcpy(v->memory + 0x1000, code, sizeof(code));
    region.userspace_addr = (uint64_t)(uintptr_t)v->memory;
    REQUIRE(ioctl(v->vm, KVM_SET_TSS_ADDR, 0xfffbd000UL) == 0);
    REQUIRE(ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &region) == 0);
    v->vcpu = ioctl(v->vm, KVM_CREATE_VCPU, 0UL);
    bytes = ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    REQUIRE(v->vcpu >= 0 && bytes > 0);
    v->run = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->vcpu, 0);
    REQUIRE(v->run != MAP_FAILED);
    REQUIRE(ioctl(v->vcpu, KVM_GET_SREGS, &sregs) == 0);
    sregs.cs.selector = 0;
    sregs.cs.base = 0;
    REQUIRE(ioctl(v->vcpu, KVM_SET_SREGS, &sregs) == 0 && ioctl(v->vcpu, KVM_SET_REGS, &regs) == 0);
    return 1;
#else
    (void)v;
    return 0;
#endif
}

/* Run it until that many writes to the port have come back. */
static inline void run_real(struct real_vm *v, int exits)
{
    for (int i = 0; i < exits; i++) {
        REQUIRE(ioctl(v->vcpu, KVM_RUN, 0) == 0);
        REQUIRE(v->run->exit_reason == KVM_EXIT_IO && v->run->io.port == REAL_PORT);
    }
}

/* The VM's own descriptors: what else is open keeps it. */
static inline void close_real(struct real_vm *v)
{
    munmap(v->run, (size_t)ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
    munmap(v->memory, REAL_MEMORY);
    close(v->vcpu);
    close(v->vm);
    close(v->kvm);
}

/* Where the kernel shows that the VM lives. False: debugfs is not here, or pids are another namespace's. */
static inline bool real_directory(const struct real_vm *v, char path[64])
{
    snprintf(path, 64, "/sys/kernel/debug/kvm/%d-%d", (int)gettid(), v->vm);
    return access(path, F_OK) == 0;
}

/* Within ten seconds. */
static inline bool vanishes(const char *path)
{
    for (int i = 0; i < 10000; i++) {
        if (access(path, F_OK) < 0 && errno == ENOENT)
            return true;
        nap_us(1000);
    }
    return false;
}

#endif
