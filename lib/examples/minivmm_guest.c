/* SPDX-License-Identifier: MIT */
#include "minivmm_guest.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CODE_ADDRESS 0x1000U

struct guest_cpu {
    struct guest *guest;
    struct kvm_run *run; /* shared with the kernel; NULL: simulated */
    struct simulated simulated;
    int kicked; /* of a simulated one; otherwise it is run->immediate_exit */
    int fd;
#ifdef __x86_64__
    struct kvm_sregs at_reset;
#endif
};

struct guest {
    uint8_t *memory;
    size_t run_bytes;
    int kvm_fd;
    int vm_fd;
    unsigned cpus;
    struct guest_cpu cpu[];
};

uint64_t guest_clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

void *guest_memory(struct guest *guest, uint64_t address, uint64_t bytes)
{
    if (bytes > GUEST_MEMORY_BYTES || address > GUEST_MEMORY_BYTES - bytes)
        return NULL;
    return guest->memory + address;
}

struct guest_cpu *guest_cpu(struct guest *guest, unsigned n) { return &guest->cpu[n]; }

int guest_vm_fd(const struct guest *guest) { return guest->vm_fd; }

int guest_cpu_fd(const struct guest_cpu *cpu) { return cpu->fd; }

#ifdef __x86_64__

/* What each CPU runs, in real mode: %ds is its request's segment, %es the timer's, %ebp the round, from 0. */
__asm__(".pushsection .rodata\n"
        "guest_code:\n"
        ".code16\n"
        "1:  mov $0x3f8, %dx\n" /* the console: some text, then is it ready? */
        "    mov $'.', %al\n"
        "    mov $4, %cx\n"
        "2:  out %al, %dx\n"
        "    loop 2b\n"
        "    mov $0x3fd, %dx\n"
        "    in %dx, %al\n"
        "    mov %es:4, %eax\n" /* the timer */
        "    add $1000, %eax\n"
        "    mov %eax, %es:0\n"
        "    mov %ebp, %eax\n" /* sector = (round & 255) * 8 */
        "    and $0xff, %eax\n"
        "    shl $3, %eax\n"
        "    mov %eax, %ds:0\n"
        "    mov %bp, %ax\n" /* sectors = (round & 7) + 1 */
        "    and $7, %ax\n"
        "    inc %ax\n"
        "    mov %ax, %ds:4\n"
        "    mov %bp, %ax\n" /* operation: read and write in turn, each 16th a flush */
        "    and $15, %ax\n"
        "    cmp $15, %ax\n"
        "    mov $2, %bl\n"
        "    je 3f\n"
        "    mov %al, %bl\n"
        "    and $1, %bl\n"
        "3:  mov %bl, %ds:6\n"
        "    movb $255, %ds:7\n" /* pending, and ring */
        "    mov %ds, %ax\n"
        "    mov $0x600, %dx\n"
        "    out %ax, %dx\n"
        "4:  hlt\n" /* until the disk is done */
        "    cmpb $255, %ds:7\n"
        "    je 4b\n"
        "    hlt\n" /* until the next tick */
        "    inc %ebp\n"
        "    jmp 1b\n"
        "guest_code_end:\n"
        ".code64\n"
        ".popsection\n");
extern const uint8_t guest_code[] __asm__("guest_code"), guest_code_end[] __asm__("guest_code_end");

static void load_code(struct guest *guest)
{
    memcpy(guest->memory + CODE_ADDRESS, guest_code, (size_t)(guest_code_end - guest_code));
}

static void set_segment(struct kvm_segment *segment, uint16_t paragraph)
{
    segment->selector = paragraph;
    segment->base = (uint64_t)paragraph << 4;
}

static int prepare_registers(struct guest_cpu *cpu, unsigned n)
{
    if (ioctl(cpu->fd, KVM_GET_SREGS, &cpu->at_reset) < 0)
        return -errno;
    set_segment(&cpu->at_reset.cs, 0);
    set_segment(&cpu->at_reset.ds, (uint16_t)GUEST_REQUEST_PARAGRAPH(n));
    set_segment(&cpu->at_reset.es, GUEST_MMIO_TIMER >> 4);
    return 0;
}

static int set_registers(struct guest_cpu *cpu)
{
    struct kvm_regs regs = { .rip = CODE_ADDRESS, .rflags = 2 };

    return ioctl(cpu->fd, KVM_SET_SREGS, &cpu->at_reset) < 0 || ioctl(cpu->fd, KVM_SET_REGS, &regs) < 0 ? -errno : 0;
}

/* Intel CPUs without unrestricted guests need three pages for themselves. */
static int prepare_vm(struct guest *guest)
{
    return ioctl(guest->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000UL) < 0 ? -errno : 0;
}

static int machine_has_code(void) { return 1; }

#else

static void load_code(struct guest *guest) { (void)guest; }
static int prepare_registers(struct guest_cpu *cpu, unsigned n) { return (void)cpu, (void)n, -ENOTSUP; }
static int set_registers(struct guest_cpu *cpu) { return (void)cpu, -ENOTSUP; }
static int prepare_vm(struct guest *guest) { return (void)guest, 0; }
static int machine_has_code(void) { return 0; }

#endif

static int create_cpu(struct guest *guest, unsigned n)
{
    struct guest_cpu *cpu = &guest->cpu[n];
    void *run;

    cpu->fd = ioctl(guest->vm_fd, KVM_CREATE_VCPU, (unsigned long)n);
    if (cpu->fd < 0)
        return -errno;
    run = mmap(NULL, guest->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
    if (run == MAP_FAILED)
        return -errno;
    cpu->run = run;
    return prepare_registers(cpu, n);
}

/* What failed is said here, as kvm is known here. */
static int create_on_kvm(struct guest *guest, const char *kvm)
{
    struct kvm_userspace_memory_region region = { .memory_size = GUEST_MEMORY_BYTES,
                                                  .userspace_addr = (uint64_t)(uintptr_t)guest->memory };
    int bytes, r;

    if (!machine_has_code()) {
        warnx("there is no guest code for this kind of processor; --simulate counts without a guest");
        return -ENOTSUP;
    }
    guest->kvm_fd = open(kvm, O_RDWR | O_CLOEXEC);
    if (guest->kvm_fd < 0) {
        r = -errno;
        warn("%s: no guest can run here; --simulate counts without one", kvm);
        return r;
    }
    r = ioctl(guest->kvm_fd, KVM_GET_API_VERSION, 0);
    if (r != KVM_API_VERSION) {
        warnx("%s: not a KVM of API version %d; --simulate counts without a guest", kvm, KVM_API_VERSION);
        return -ENODEV;
    }
    guest->vm_fd = ioctl(guest->kvm_fd, KVM_CREATE_VM, 0UL);
    bytes = ioctl(guest->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (guest->vm_fd < 0 || bytes < (int)sizeof(struct kvm_run)) {
        r = guest->vm_fd < 0 ? -errno : -ENODEV;
        warnx("%s: can't create a VM: %s; --simulate counts without a guest", kvm, strerror(-r));
        return r;
    }
    guest->run_bytes = (size_t)bytes;
    r = prepare_vm(guest);
    if (r == 0 && ioctl(guest->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        r = -errno;
    for (unsigned n = 0; r == 0 && n < guest->cpus; n++)
        r = create_cpu(guest, n);
    if (r < 0)
        warnx("%s: can't prepare a VM of %u vCPUs: %s", kvm, guest->cpus, strerror(-r));
    return r;
}

int guest_create(const char *kvm, unsigned cpus, struct guest **ret)
{
    struct guest *guest = calloc(1, sizeof(*guest) + cpus * sizeof(guest->cpu[0]));
    void *memory = mmap(NULL, GUEST_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int r = 0;

    if (!guest || memory == MAP_FAILED) {
        warnx("no memory for the guest");
        free(guest);
        if (memory != MAP_FAILED)
            munmap(memory, GUEST_MEMORY_BYTES);
        return -ENOMEM;
    }
    guest->memory = memory;
    guest->kvm_fd = guest->vm_fd = -1;
    guest->cpus = cpus;
    for (unsigned n = 0; n < cpus; n++) {
        guest->cpu[n].guest = guest;
        guest->cpu[n].simulated.n = n;
        guest->cpu[n].fd = -1;
    }
    if (kvm) {
        load_code(guest);
        r = create_on_kvm(guest, kvm);
    }
    if (r < 0)
        guest_destroy(guest);
    else
        *ret = guest;
    return r;
}

void guest_destroy(struct guest *guest)
{
    if (!guest)
        return;
    for (unsigned n = 0; n < guest->cpus; n++) {
        if (guest->cpu[n].run)
            munmap(guest->cpu[n].run, guest->run_bytes);
        if (guest->cpu[n].fd >= 0)
            close(guest->cpu[n].fd);
    }
    if (guest->vm_fd >= 0)
        close(guest->vm_fd);
    if (guest->kvm_fd >= 0)
        close(guest->kvm_fd);
    munmap(guest->memory, GUEST_MEMORY_BYTES);
    free(guest);
}

int guest_reset(struct guest_cpu *cpu)
{
    if (!cpu->run) {
        cpu->simulated = (struct simulated){ .n = cpu->simulated.n };
        __atomic_store_n(&cpu->kicked, 0, __ATOMIC_RELAXED);
        return 0;
    }
    __atomic_store_n(&cpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
    return set_registers(cpu);
}

void guest_kick(struct guest_cpu *cpu)
{
    if (cpu->run)
        __atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
    else
        __atomic_store_n(&cpu->kicked, 1, __ATOMIC_RELAXED);
}

static void read_exit(struct kvm_run *run, struct guest_exit *exit)
{
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        exit->reason = run->io.direction == KVM_EXIT_IO_OUT ? GUEST_OUT : GUEST_IN;
        exit->size = run->io.size * run->io.count;
        exit->address = run->io.port;
        exit->data = (uint8_t *)run + run->io.data_offset;
        return;
    case KVM_EXIT_MMIO:
        exit->reason = run->mmio.is_write ? GUEST_MMIO_WRITE : GUEST_MMIO_READ;
        exit->size = run->mmio.len;
        exit->address = run->mmio.phys_addr;
        exit->data = run->mmio.data;
        return;
    case KVM_EXIT_HLT:
        exit->reason = GUEST_HLT;
        return;
    default:
        exit->detail = run->exit_reason;
        return;
    }
}

void guest_run(struct guest_cpu *cpu, struct guest_exit *exit)
{
    *exit = (struct guest_exit){ .reason = GUEST_OTHER };
    if (!cpu->run) {
        if (__atomic_load_n(&cpu->kicked, __ATOMIC_RELAXED))
            exit->reason = GUEST_INTR;
        else
            simulated_run(&cpu->simulated, cpu->guest, exit);
        return;
    }
    /* A signal that came without a kick (a debugger's) changes nothing: run on. */
    while (ioctl(cpu->fd, KVM_RUN, 0) < 0) {
        if (errno != EINTR && errno != EAGAIN) {
            exit->detail = (uint32_t)errno;
            return;
        }
        if (__atomic_load_n(&cpu->run->immediate_exit, __ATOMIC_RELAXED)) {
            exit->reason = GUEST_INTR;
            return;
        }
    }
    read_exit(cpu->run, exit);
}
