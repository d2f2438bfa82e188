/* SPDX-License-Identifier: MIT */
/* many_vms VMS VCPUS [INTERVAL]: that many segments named vm-0000 and so on, each with that many vCPUs and a disk,
 * counted into every INTERVAL seconds (default 0.25) until a signal asks to end: what kvmtop has to cope with on a large
 * host. All are one process's, which makes no difference to who reads them. Prints "ready" once all are there. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vmtally/schemas.h>
#include <vmtally/segment.h>

#define SEGMENT_BYTES (1U << 20)

struct context {
    struct vmt_shard *shard;
    double activity; /* exits, or requests, a second */
};

struct machine {
    struct vmt_segment *segment;
    struct context *vcpus;
    struct context disk;
};

static volatile sig_atomic_t ended;

static void on_end(int sig)
{
    (void)sig;
    ended = 1;
}

static uint64_t random_state = 0x9e3779b97f4a7c15U;

static uint32_t roll(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % below;
}

/* Some hardly do anything, some a lot. */
static double some_activity(double most) { return most / (double)(1U << roll(16)); }

static void stop(const char *what, int error)
{
    fprintf(stderr, "many_vms: %s: %s\n", what, strerror(-error));
    exit(1);
}

static void machine_make(struct machine *m, unsigned n, unsigned vcpus)
{
    char name[32];
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = name, .max_bytes = SEGMENT_BYTES, .max_sources = vcpus + 8
    };
    struct vmt_source *vm, *source;
    int r;

    snprintf(name, sizeof(name), "vm-%04u", n);
    r = vmt_segment_create(&options, &m->segment);
    if (r == 0)
        r = vmt_source_add(m->segment, &vmt_schema_vm, NULL, "vm", &vm);
    m->vcpus = calloc(vcpus, sizeof(*m->vcpus));
    for (unsigned i = 0; r == 0 && m->vcpus && i < vcpus; i++) {
        r = vmt_source_addf(m->segment, &vmt_schema_vcpu, vm, &source, "vcpu-%u", i);
        m->vcpus[i] = (struct context){ r == 0 ? vmt_shard_acquire(source) : NULL, some_activity(50000) };
    }
    if (r == 0)
        r = vmt_source_add(m->segment, &vmt_schema_block, vm, "block-0", &source);
    if (r < 0 || !m->vcpus)
        stop(name, r < 0 ? r : -ENOMEM);
    m->disk = (struct context){ vmt_shard_acquire(source), some_activity(5000) };
}

static uint64_t some(double a) { return (uint64_t)(a * (0.5 + roll(1000) / 1000.0)); }

static void machine_count(struct machine *m, unsigned vcpus, double seconds)
{
    for (unsigned i = 0; i < vcpus; i++) {
        struct vmt_shard *s = m->vcpus[i].shard;
        uint64_t exits = some(m->vcpus[i].activity * seconds);

        vmt_add(s, VMT_VCPU_EXITS, exits);
        vmt_add(s, VMT_VCPU_EXIT_MMIO_WRITE, exits / 2);
        vmt_add(s, VMT_VCPU_EXIT_IO_OUT, exits / 4);
        vmt_add(s, VMT_VCPU_RUN_TIME, some(seconds * 1e9 / (1 + roll(4))));
        for (unsigned k = 0; k < 8 && k < exits; k++)
            vmt_latency(s, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 1000U << roll(8));
    }
    vmt_add(m->disk.shard, VMT_BLOCK_READ_COUNT, some(m->disk.activity * seconds));
    vmt_add(m->disk.shard, VMT_BLOCK_READ_BYTES, 4096 * some(m->disk.activity * seconds));
}

int main(int argc, char **argv)
{
    unsigned vms = argc > 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    unsigned vcpus = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    double interval_s = argc > 3 ? strtod(argv[3], NULL) : 0.25;
    struct timespec nap = { (time_t)interval_s, (long)((interval_s - (double)(time_t)interval_s) * 1e9) };
    struct sigaction action = { .sa_handler = on_end };
    struct machine *machines = calloc(vms + 1, sizeof(*machines));

    if (!vms || !vcpus || !(interval_s > 0) || !machines) {
        fprintf(stderr, "usage: many_vms VMS VCPUS [INTERVAL]\n");
        return 2;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    for (unsigned i = 0; i < vms; i++)
        machine_make(&machines[i], i, vcpus);
    printf("ready\n");
    fflush(stdout);
    while (!ended) {
        for (unsigned i = 0; i < vms; i++)
            machine_count(&machines[i], vcpus, interval_s);
        nanosleep(&nap, NULL);
    }
    for (unsigned i = 0; i < vms; i++) {
        vmt_segment_close(machines[i].segment);
        free(machines[i].vcpus);
    }
    free(machines);
    return 0;
}
