/* SPDX-License-Identifier: MIT */
/* minivmm: a small virtual machine monitor that counts with vmtally. Read it as the example of embedding: what
 * concerns vmtally says so at the end of its line. Some twenty lines keep sources and shards, some twenty count.
 *
 * A thread for each vCPU runs the guest, a device thread serves its disk, and the main thread unplugs and plugs vCPUs.
 * The sources are
 *     vm                the machine; counted by the main thread
 *     vm/vcpu-N         from plugging to unplugging; counted by its thread. vm keeps what it had counted.
 *     vm/block-0        the disk: a shard for each vCPU, which submits, and one for the device thread, which completes
 * With --kernel the library shows what KVM counts of vm and vm/vcpu-N beside them.
 * Where a source can't be had the VM runs on and counts into scratch memory: no error of vmtally needs handling.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <vmtally.h> /* vmtally */

#include "minivmm_block.h"
#include "minivmm_guest.h"
#include "minivmm_jail.h"
#include "minivmm_options.h"
#include "minivmm_segment.h"

#define TICK_NS 1000000U   /* of the guest's timer: a halted vCPU goes on after that */
#define LOOP_NS 100000000U /* of the main thread */

enum cpu_state { UNPLUGGED, PLUGGED, ENDED };

struct cpu {
    struct machine *machine;
    struct guest_cpu *guest;
    struct vmt_source *source; /* vmtally */
    pthread_t thread;
    unsigned n;
    uint32_t timer[2];
    enum cpu_state wanted; /* both under machine->lock */
    enum cpu_state is;
};

struct machine {
    const struct options *options;
    struct guest *guest;
    struct block *disk;
    struct vmt_segment *segment;     /* vmtally */
    struct vmt_source *vm, *block;   /* vmtally */
    struct vmt_shard *vm_shard;      /* vmtally */
    struct vmt_shard **block_shards; /* vmtally: [vCPU], and the device thread's last */
    struct cpu *cpus;
    pthread_t disk_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char *jail_path; /* of the segment's file, until the jail is entered */
    bool wrong_name;
    bool failed;      /* both under lock */
    unsigned threads; /* that have begun */
};

/* ---- vmtally: the segment and what is in it from start to end ---- */

/* Show what the kernel counts of the machine or a vCPU, too; without it the VM runs as well. */
static void tally_kernel(struct machine *m, struct vmt_source *source, int kvm_fd)
{
    int r = m->options->kernel ? vmt_kvm_add(source, kvm_fd) : 0; /* vmtally */

    if (r < 0)
        warnx("what the kernel counts can't be shown: %s", strerror(-r));
}

static int tally_open(struct machine *m)
{
    int r = segment_create(m->options, &m->segment, &m->jail_path); /* vmtally */

    m->wrong_name = r == -EINVAL;
    if (r < 0)
        return r;
    vmt_source_add(m->segment, &vmt_schema_vm, NULL, "vm", &m->vm);             /* vmtally */
    vmt_source_add(m->segment, &vmt_schema_block, m->vm, "block-0", &m->block); /* vmtally */
    m->vm_shard = vmt_shard_acquire(m->vm);                                     /* vmtally */
    vmt_shards_acquire(m->block, m->options->vcpus + 1, m->block_shards);       /* vmtally */
    vmt_set(m->vm_shard, VMT_VM_MEMORY_BYTES, GUEST_MEMORY_BYTES);              /* vmtally */
    tally_kernel(m, m->vm, guest_vm_fd(m->guest));                              /* vmtally */
    if (m->options->copy_ns && !m->options->jail)
        vmt_kvm_sample_every(m->segment, m->options->copy_ns); /* vmtally */
    return 0;
}

static void tally_close(struct machine *m)
{
    vmt_shards_release(m->options->vcpus + 1, m->block_shards); /* vmtally */
    vmt_shard_release(m->vm_shard);                             /* vmtally */
    vmt_segment_close(m->segment);                              /* vmtally */
    if (m->jail_path)
        unlink(m->jail_path); /* there was no jail to keep us from it */
    free(m->jail_path);
}

/* ---- a vCPU ---- */

static void say_begun(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    m->threads++;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

static void fail(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    m->failed = true;
    pthread_mutex_unlock(&m->lock);
}

/* A group, so that readers always see as many exits as reasons. */
static void count_exit(struct vmt_shard *sh, enum guest_reason reason, uint64_t run_ns)
{
    static const uint32_t slots[] = {
        [GUEST_OUT] = VMT_VCPU_EXIT_IO_OUT,
        [GUEST_IN] = VMT_VCPU_EXIT_IO_IN,
        [GUEST_MMIO_WRITE] = VMT_VCPU_EXIT_MMIO_WRITE,
        [GUEST_MMIO_READ] = VMT_VCPU_EXIT_MMIO_READ,
        [GUEST_HLT] = VMT_VCPU_EXIT_HLT,
        [GUEST_INTR] = VMT_VCPU_EXIT_INTR,
        [GUEST_OTHER] = VMT_VCPU_EXIT_OTHER,
    };

    vmt_begin(sh);                          /* vmtally */
    vmt_add(sh, VMT_VCPU_EXITS, 1);         /* vmtally */
    vmt_add(sh, slots[reason], 1);          /* vmtally */
    vmt_add(sh, VMT_VCPU_RUN_TIME, run_ns); /* vmtally */
    vmt_end(sh);                            /* vmtally */
}

static void cpu_out(struct cpu *cpu, const struct guest_exit *exit)
{
    struct machine *m = cpu->machine;
    struct vmt_shard *sh = m->block_shards[cpu->n]; /* vmtally */
    uint16_t paragraph;

    if (exit->address != GUEST_PORT_DISK || exit->size != sizeof(paragraph))
        return;                                  /* the console has nobody who reads it */
    vmt_add(sh, VMT_BLOCK_QUEUE_EVENT_COUNT, 1); /* vmtally */
    memcpy(&paragraph, exit->data, sizeof(paragraph));
    if (!block_submit(m->disk, cpu->n, (uint64_t)paragraph << 4))
        vmt_add(sh, VMT_BLOCK_INVALID_REQS_COUNT, 1); /* vmtally */
}

static void cpu_in(const struct guest_exit *exit)
{
    memset(exit->data, exit->address == GUEST_PORT_STATUS ? GUEST_CONSOLE_READY : 0xff, exit->size);
}

static void cpu_mmio(struct cpu *cpu, const struct guest_exit *exit)
{
    uint64_t offset = exit->address - GUEST_MMIO_TIMER;

    if (offset % 4 || offset / 4 > 1 || exit->size != sizeof(cpu->timer[0]))
        memset(exit->data, 0xff, exit->size);
    else if (exit->reason == GUEST_MMIO_WRITE)
        memcpy(&cpu->timer[offset / 4], exit->data, exit->size);
    else
        memcpy(exit->data, &(uint32_t){ (uint32_t)guest_clock_ns() }, exit->size);
}

/* Each row is timed as an exit of its kind. */
static void cpu_handle(struct cpu *cpu, struct vmt_shard *sh, const struct guest_exit *exit)
{
    VMT_TIME(sh, VMT_VCPU_IO_LATENCY); /* vmtally */

    switch (exit->reason) {
    case GUEST_OUT: {
        VMT_TIME(sh, VMT_VCPU_EXIT_IO_OUT_AGG); /* vmtally */
        cpu_out(cpu, exit);
        break;
    }
    case GUEST_IN: {
        VMT_TIME(sh, VMT_VCPU_EXIT_IO_IN_AGG); /* vmtally */
        cpu_in(exit);
        break;
    }
    case GUEST_MMIO_WRITE: {
        VMT_TIME(sh, VMT_VCPU_EXIT_MMIO_WRITE_AGG); /* vmtally */
        cpu_mmio(cpu, exit);
        break;
    }
    case GUEST_MMIO_READ: {
        VMT_TIME(sh, VMT_VCPU_EXIT_MMIO_READ_AGG); /* vmtally */
        cpu_mmio(cpu, exit);
        break;
    }
    default:
        break;
    }
}

/* Run the guest until it is kicked, or can't go on. */
static void cpu_run(struct cpu *cpu, struct vmt_shard *sh)
{
    struct machine *m = cpu->machine;
    struct guest_exit exit;

    do {
        uint64_t start_ns = guest_clock_ns();
        uint64_t exit_ns;

        guest_run(cpu->guest, &exit);
        exit_ns = guest_clock_ns();
        count_exit(sh, exit.reason, exit_ns - start_ns); /* vmtally */
        if (exit.reason == GUEST_HLT) {
            block_wait(m->disk, cpu->n, TICK_NS);
            vmt_add(sh, VMT_VCPU_HALT_TIME, guest_clock_ns() - exit_ns); /* vmtally */
        } else if (exit.reason == GUEST_OTHER) {
            vmt_add(sh, VMT_VCPU_FAILURES, 1); /* vmtally */
            warnx("vCPU %u stops: KVM's exit or error %u has no handler", cpu->n, exit.detail);
            fail(m);
            return;
        } else if (exit.reason != GUEST_INTR) {
            cpu_handle(cpu, sh, &exit);
        }
    } while (exit.reason != GUEST_INTR);
}

/* Say what this CPU is, and wait while this is wanted of it. Returns what is wanted then. */
static enum cpu_state cpu_await(struct cpu *cpu, enum cpu_state is, enum cpu_state while_wanted)
{
    struct machine *m = cpu->machine;
    enum cpu_state wanted;

    pthread_mutex_lock(&m->lock);
    while (cpu->wanted == while_wanted) {
        if (cpu->is != is) {
            cpu->is = is;
            pthread_cond_broadcast(&m->changed);
        }
        pthread_cond_wait(&m->changed, &m->lock);
    }
    wanted = cpu->wanted;
    pthread_mutex_unlock(&m->lock);
    return wanted;
}

/* KVM can't destroy a vCPU, so (as in QEMU) it is parked while it is unplugged; here its thread is, too. */
static void *cpu_thread(void *argument)
{
    struct cpu *cpu = argument;

    say_begun(cpu->machine);
    while (cpu_await(cpu, UNPLUGGED, UNPLUGGED) == PLUGGED) {
        struct vmt_shard *sh = vmt_shard_acquire(cpu->source); /* vmtally */

        cpu_run(cpu, sh);
        vmt_shard_release(sh); /* vmtally */
        cpu_await(cpu, PLUGGED, PLUGGED);
    }
    return NULL;
}

/* Wait until the CPU is unplugged where that is wanted. */
static void cpu_want(struct cpu *cpu, enum cpu_state wanted)
{
    struct machine *m = cpu->machine;

    pthread_mutex_lock(&m->lock);
    cpu->wanted = wanted;
    if (wanted == PLUGGED)
        cpu->is = PLUGGED;
    pthread_cond_broadcast(&m->changed);
    while (wanted == UNPLUGGED && cpu->is != UNPLUGGED)
        pthread_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

/* It must not run: KVM opens a vCPU's statistics only while it does not. */
static void cpu_tally(struct cpu *cpu)
{
    struct machine *m = cpu->machine;

    cpu->source = NULL;
    vmt_source_addf(m->segment, &vmt_schema_vcpu, m->vm, &cpu->source, "vcpu-%u", cpu->n); /* vmtally */
    tally_kernel(m, cpu->source, guest_cpu_fd(cpu->guest));                                /* vmtally */
}

static void cpu_plug(struct cpu *cpu)
{
    struct machine *m = cpu->machine;

    if (guest_reset(cpu->guest) < 0) {
        fail(m);
        return;
    }
    vmt_add(m->vm_shard, VMT_VM_VCPUS, 1); /* vmtally */
    cpu_want(cpu, PLUGGED);
}

static void cpu_unplug(struct cpu *cpu)
{
    struct machine *m = cpu->machine;

    if (cpu->wanted != PLUGGED)
        return;
    guest_kick(cpu->guest);
    pthread_kill(cpu->thread, SIGUSR1);
    cpu_want(cpu, UNPLUGGED);
    block_drain(m->disk, cpu->n);
    vmt_add(m->vm_shard, VMT_VM_VCPUS, (uint64_t)-1); /* vmtally */
    vmt_source_remove(cpu->source);                   /* vmtally */
}

/* ---- the disk ---- */

static long disk_serve(struct machine *m, struct vmt_shard *sh, const struct block_request *request)
{
    switch (request->operation) {
    case GUEST_READ: {
        VMT_TIME(sh, VMT_BLOCK_READ_AGG); /* vmtally */
        return block_transfer(m->disk, request);
    }
    case GUEST_WRITE: {
        VMT_TIME(sh, VMT_BLOCK_WRITE_AGG); /* vmtally */
        return block_transfer(m->disk, request);
    }
    default:
        return block_transfer(m->disk, request);
    }
}

static void *disk_thread(void *argument)
{
    static const uint32_t counts[] = { VMT_BLOCK_READ_COUNT, VMT_BLOCK_WRITE_COUNT, VMT_BLOCK_FLUSH_COUNT };
    static const uint32_t bytes[] = { VMT_BLOCK_READ_BYTES, VMT_BLOCK_WRITE_BYTES };
    struct machine *m = argument;
    struct vmt_shard *sh = m->block_shards[m->options->vcpus]; /* vmtally */
    struct block_request *request;

    say_begun(m);
    while ((request = block_next(m->disk))) {
        long r = disk_serve(m, sh, request);

        vmt_add(sh, r < 0 ? (uint32_t)VMT_BLOCK_EXECUTE_FAILS : counts[request->operation], 1); /* vmtally */
        if (r > 0)
            vmt_add(sh, bytes[request->operation], (uint64_t)r); /* vmtally */
        block_complete(m->disk, request, r);
    }
    return NULL;
}

/* ---- the machine ---- */

static int machine_open(struct machine *m)
{
    const struct options *options = m->options;
    int r;

    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->changed, NULL);
    m->cpus = calloc(options->vcpus, sizeof(*m->cpus));
    m->block_shards = calloc(options->vcpus + 1, sizeof(*m->block_shards));
    if (!m->cpus || !m->block_shards)
        return -ENOMEM;
    r = guest_create(options->simulate ? NULL : options->kvm, options->vcpus, &m->guest);
    if (r == 0)
        r = block_create(m->guest, options->vcpus, &m->disk);
    if (r == 0)
        r = tally_open(m);
    return r;
}

static void machine_close(struct machine *m)
{
    if (m->segment)
        tally_close(m);
    block_destroy(m->disk);
    guest_destroy(m->guest);
    free(m->block_shards);
    free(m->cpus);
}

static int start_thread(pthread_t *thread, void *(*function)(void *), void *argument)
{
    int r = pthread_create(thread, NULL, function, argument);

    if (r)
        warnx("can't start a thread: %s", strerror(r));
    return -r;
}

static void stop_threads(struct machine *m, unsigned cpus)
{
    for (unsigned n = 0; n < cpus; n++) {
        cpu_unplug(&m->cpus[n]);
        cpu_want(&m->cpus[n], ENDED);
        pthread_join(m->cpus[n].thread, NULL);
    }
    block_close(m->disk);
    pthread_join(m->disk_thread, NULL);
}

/* A new thread makes system calls that the jail has no use for later. */
static void wait_for_threads(struct machine *m, unsigned threads)
{
    pthread_mutex_lock(&m->lock);
    while (m->threads < threads)
        pthread_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

static bool machine_failed(struct machine *m)
{
    bool failed;

    pthread_mutex_lock(&m->lock);
    failed = m->failed;
    pthread_mutex_unlock(&m->lock);
    return failed;
}

static uint64_t sooner(uint64_t wait_ns, uint64_t due_ns, uint64_t now_ns)
{
    return due_ns > now_ns && due_ns - now_ns < wait_ns ? due_ns - now_ns : wait_ns;
}

/* The main thread's loop: all vCPUs but the first are unplugged and plugged in turn. */
static void machine_loop(struct machine *m, const sigset_t *signals)
{
    const struct options *options = m->options;
    uint64_t start_ns = guest_clock_ns(), now_ns = start_ns, plug_ns = start_ns + options->plug_ns, copy_ns = start_ns;
    struct cpu *unplugged = NULL;
    unsigned turn = 0;
    int signal = -1;

    while (signal < 0 && !machine_failed(m) && (!options->run_ns || now_ns - start_ns < options->run_ns)) {
        uint64_t wait_ns = LOOP_NS;
        struct timespec wait;

        vmt_segment_heartbeat(m->segment); /* vmtally */
        if (options->plug_ns && options->vcpus > 1 && now_ns >= plug_ns) {
            if (unplugged) {
                cpu_tally(unplugged);
                cpu_plug(unplugged);
                unplugged = NULL;
            } else {
                unplugged = &m->cpus[1 + turn++ % (options->vcpus - 1)];
                cpu_unplug(unplugged);
            }
            plug_ns = now_ns + options->plug_ns / 2;
        }
        if (options->jail && options->copy_ns && now_ns >= copy_ns) {
            vmt_kvm_sample(m->segment); /* vmtally: there is no thread for it in a jail */
            copy_ns = now_ns + options->copy_ns;
        }
        wait_ns = sooner(wait_ns, plug_ns, now_ns);
        wait_ns = sooner(wait_ns, copy_ns, now_ns);
        if (options->run_ns)
            wait_ns = sooner(wait_ns, start_ns + options->run_ns, now_ns);
        wait = (struct timespec){ .tv_nsec = (long)wait_ns };
        signal = sigtimedwait(signals, NULL, &wait);
        now_ns = guest_clock_ns();
    }
}

static int machine_run(struct machine *m, const sigset_t *signals)
{
    const struct options *options = m->options;
    unsigned started = 0;
    int r = options->jail ? jail_enter() : 0;

    if (r == 0) {
        free(m->jail_path);
        m->jail_path = NULL;
        r = start_thread(&m->disk_thread, disk_thread, m);
    }
    if (r < 0)
        return r;
    for (; r == 0 && started < options->vcpus; started += r == 0) {
        struct cpu *cpu = &m->cpus[started];

        cpu->machine = m;
        cpu->guest = guest_cpu(m->guest, started);
        cpu->n = started;
        cpu_tally(cpu);
        r = start_thread(&cpu->thread, cpu_thread, cpu);
    }
    if (r == 0 && options->jail) {
        wait_for_threads(m, options->vcpus + 1);
        r = jail_close(block_fd(m->disk), options->kernel);
    }
    if (r == 0) {
        for (unsigned n = 0; n < options->vcpus; n++)
            cpu_plug(&m->cpus[n]);
        vmt_segment_ready(m->segment); /* vmtally: what a killed one had beside these is gone */
        machine_loop(m, signals);
    }
    stop_threads(m, started);
    return r == 0 && machine_failed(m) ? -EIO : r;
}

static void do_nothing(int signal) { (void)signal; }

int main(int argc, char **argv)
{
    struct sigaction kick = { .sa_handler = do_nothing };
    struct options options;
    struct machine machine = { .options = &options };
    sigset_t signals;
    int r;

    options_parse(argc, argv, &options);
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaction(SIGUSR1, &kick, NULL);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    r = machine_open(&machine);
    if (r == 0)
        r = machine_run(&machine, &signals);
    machine_close(&machine);
    return machine.wrong_name ? 2 : r < 0;
}
