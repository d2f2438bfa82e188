/* SPDX-License-Identifier: MIT */
/* The guest of minivmm: a virtual machine on KVM with its memory, its code and its virtual CPUs, or a simulation that
 * exits in the same way. Nothing here knows of vmtally. Errors are negative errno and have been said on stderr.
 */
#ifndef MINIVMM_GUEST_H
#define MINIVMM_GUEST_H

#include <assert.h>
#include <stdint.h>

#define GUEST_CPUS_MAX 64
#define GUEST_MEMORY_BYTES 0xa0000U

/* The guest's hardware. */
#define GUEST_PORT_CONSOLE 0x3f8U /* out: a byte of text */
#define GUEST_PORT_STATUS 0x3fdU  /* in: GUEST_CONSOLE_READY */
#define GUEST_PORT_DISK 0x600U    /* out: paragraph (address / 16) of a struct guest_request */
#define GUEST_MMIO_TIMER 0xd0000U /* read +4: a clock; write +0: kept, as a deadline would be */
#define GUEST_CONSOLE_READY 0x60U

/* A disk request in guest memory; its data begins GUEST_REQUEST_DATA bytes after its start. */
struct guest_request {
    uint32_t sector;
    uint16_t sectors; /* 1 to GUEST_REQUEST_SECTORS */
    uint8_t operation;
    uint8_t status; /* GUEST_STATUS_ */
};
#define GUEST_REQUEST_DATA 512U
#define GUEST_REQUEST_SECTORS 8U
#define GUEST_REQUEST_BYTES (GUEST_REQUEST_DATA + GUEST_REQUEST_SECTORS * 512U)
enum { GUEST_READ = 0, GUEST_WRITE = 1, GUEST_FLUSH = 2 };
enum { GUEST_STATUS_DONE = 0, GUEST_STATUS_ERROR = 1, GUEST_STATUS_PENDING = 255 };

/* Why a virtual CPU came back. */
enum guest_reason { GUEST_OUT, GUEST_IN, GUEST_MMIO_WRITE, GUEST_MMIO_READ, GUEST_HLT, GUEST_INTR, GUEST_OTHER };

struct guest_exit {
    enum guest_reason reason;
    uint32_t size;    /* bytes at data */
    uint64_t address; /* port, or guest-physical address */
    void *data;       /* out and write: what the guest wrote; in and read: where its answer belongs */
    uint32_t detail;  /* KVM's own number, for GUEST_OTHER */
};

struct guest;
struct guest_cpu;

/* A machine with cpus virtual CPUs, which have not run yet. kvm: path of KVM's device, or NULL for a simulation. */
int guest_create(const char *kvm, unsigned cpus, struct guest **ret);
void guest_destroy(struct guest *guest);

/* bytes of guest memory at address, or NULL where the guest has no such memory. */
void *guest_memory(struct guest *guest, uint64_t address, uint64_t bytes);

struct guest_cpu *guest_cpu(struct guest *guest, unsigned n);

/* KVM's descriptors of the machine and of a CPU; -1 of a simulation. */
int guest_vm_fd(const struct guest *guest);
int guest_cpu_fd(const struct guest_cpu *cpu);

/* Set a CPU to its first instruction. It must not be running. */
int guest_reset(struct guest_cpu *cpu);

/* Run until the next exit. GUEST_INTR only after guest_kick(), and then nothing of the exit before is pending. */
void guest_run(struct guest_cpu *cpu, struct guest_exit *exit);

/* Make guest_run() come back with GUEST_INTR now or, if it is not running, as soon as it is called; from any thread.
 * The caller then interrupts the CPU's thread with a signal. It stays so until guest_reset(). */
void guest_kick(struct guest_cpu *cpu);

/* CLOCK_MONOTONIC. */
uint64_t guest_clock_ns(void);

/* The requests that the code of CPU n makes, and that of its simulation too: round counts up from 0. */
#define GUEST_REQUEST_PARAGRAPH(n) (0x1000U + (n)*0x200U)
static_assert((GUEST_REQUEST_PARAGRAPH(GUEST_CPUS_MAX - 1) << 4) + GUEST_REQUEST_BYTES <= GUEST_MEMORY_BYTES,
              "every CPU's request is in memory");

/* minivmm_simulated.c: CPU n's next exit after it has used memory as the code would have. */
struct simulated {
    unsigned n;
    unsigned step;
    uint32_t round;
    uint8_t data[8];
};
void simulated_run(struct simulated *simulated, struct guest *guest, struct guest_exit *exit);

#endif
