// SPDX-License-Identifier: MIT
// write DIR: makes DIR/abi-1.vmt, closes it and leaves it. What write.c makes, by the C++ binding.
#include <cstdint>
#include <cstdio>

#include <vmtally.hpp>

#define EVERYTHING(X)                                                                                                  \
    X(CUMULATIVE, cumulative, "cumulative", NONE, 1, 0, "Help of cumulative")                                          \
    X(INSTANT, instant, "instant", BYTES, 1, 0, "Help of instant")                                                     \
    X(PEAK, peak, "peak", KIBIBYTES, 1, 0, "Help of peak")                                                             \
    X(MINIMUM, minimum, "minimum", MEBIBYTES, 1, 0, "Help of minimum")                                                 \
    X(BOOLEAN, boolean, "boolean", BOOL, 1, 0, "Help of boolean")                                                      \
    X(SIGNED_INSTANT, signed_instant, "signed_instant", SECONDS, 1, 0, "Help of signed_instant")                       \
    X(SIGNED_PEAK, signed_peak, "signed_peak", MILLISECONDS, 1, 0, "Help of signed_peak")                              \
    X(SIGNED_MINIMUM, signed_minimum, "signed_minimum", MICROSECONDS, 1, 0, "Help of signed_minimum")                  \
    X(INSTANT_MAX, instant_max, "instant_max", NONE, 1, 0, "Help of instant_max")                                      \
    X(INSTANT_AVERAGE, instant_average, "instant_average", CYCLES, 1, 0, "Help of instant_average")                    \
    X(INSTANT_COUNT_ZERO, instant_count_zero, "instant_count_zero", NONE, 1, 0, "Help of instant_count_zero")          \
    X(LINEAR, linear, "linear", NONE, 10, 512, "Help of linear")                                                       \
    X(LOG, log, "log", BYTES, 24, 0, "Help of log")                                                                    \
    X(LATENCY, latency, "latency", NANOSECONDS, 32, 0, "Help of latency")
VMTALLY_SCHEMA(abi, "abi", "tests", "everything", EVERYTHING)

using vmtally::schemas::vcpu;
using vmtally::schemas::vm;

// What was added, and its shards, which are all still held when the segment is closed.
struct machine {
    vmtally::source<vm> vm_source;
    vmtally::source<vcpu> vcpus[2];
    vmtally::source<abi> all, gone;
    vmtally::shard<vm> vm_shard;
    vmtally::shard<vcpu> first[2], second[2];
    vmtally::shard<abi> all_shard;
};

static void count_vm(machine &m)
{
    vmtally::shard<vm> &sh = m.vm_shard = m.vm_source.acquire();

    sh[vm::vcpus] = 2;
    sh[vm::memory_bytes] = std::uint64_t{ 1 } << 40;
    sh[vm::interrupts_triggers] += (std::uint64_t{ 1 } << 63) + 1;
}

// Two shards held at once; their sum is what readers show.
static void count_vcpu(machine &m, unsigned n)
{
    m.first[n] = m.vcpus[n].acquire();
    m.second[n] = m.vcpus[n].acquire();
    m.first[n][vcpu::exits] += 1000 + n;
    for (std::uint64_t ns : { 100U, 1000U, 100000U })
        m.first[n][vcpu::io_latency].record(ns);
    m.second[n][vcpu::exits] += std::uint64_t{ 1 } << 62;
    m.second[n][vcpu::run_time] += 12345;
}

static void count_all(machine &m)
{
    vmtally::shard<abi> &sh = m.all_shard = m.all.acquire();

    sh[abi::cumulative] += UINT64_MAX - 1;
    sh[abi::instant] = 4096;
    sh[abi::peak].peak(7);
    sh[abi::peak].peak(5);
    sh[abi::minimum].minimum(9);
    sh[abi::minimum].minimum(11);
    sh[abi::boolean] = true;
    sh[abi::signed_instant] = -5;
    sh[abi::signed_peak].peak(-3);
    sh[abi::signed_peak].peak(-7);
    sh[abi::signed_minimum].minimum(-2);
    sh[abi::signed_minimum].minimum(-9);
    sh[abi::instant_max] = 17;
    sh[abi::instant_average] = 6;
    sh[abi::instant_count_zero] = 0;
    for (std::uint64_t value : { 0U, 511U, 512U, 99999U })
        sh[abi::linear].record(value);
    for (std::uint64_t value : { std::uint64_t{ 0 }, std::uint64_t{ 1 }, std::uint64_t{ 2 }, std::uint64_t{ 3 },
                                 std::uint64_t{ 4 }, std::uint64_t{ 1 } << 40 })
        sh[abi::log].record(value);
    for (std::uint64_t ns : { 10U, 20U, 3000U })
        sh[abi::latency].record(ns);
    m.all.count(abi::cumulative); // into the shared shard: 2^64 - 1 together
}

// Counts and goes: its parent keeps that.
static void count_gone(machine &m)
{
    {
        vmtally::shard<abi> sh = m.gone.acquire();

        sh[abi::cumulative] += 41;
        sh[abi::latency].record(77);
        m.gone.count(abi::cumulative);
    }
    m.gone.remove();
}

static vmtally::result<void> add(machine &m, const vmtally::segment &segment)
{
    auto vm_added = segment.add<vm>("vm");

    if (!vm_added)
        return vm_added.error();
    m.vm_source = *std::move(vm_added);
    for (unsigned n = 0; n < 2; n++) {
        auto vcpu_added = m.vm_source.add<vcpu>(n ? "vcpu-1" : "vcpu-0");

        if (!vcpu_added)
            return vcpu_added.error();
        m.vcpus[n] = *std::move(vcpu_added);
    }
    for (vmtally::source<abi> *source : { &m.all, &m.gone }) {
        auto added = m.vm_source.add<abi>(source == &m.all ? "all" : "gone");

        if (!added)
            return added.error();
        *source = *std::move(added);
    }
    return {};
}

int main(int argc, char **argv)
{
    vmtally::segment_options options;
    machine m;

    if (argc != 2) {
        std::fprintf(stderr, "usage: write DIR\n");
        return 2;
    }
    options.name = "abi-1";
    options.dir = argv[1];
    options.labels = { "rack=b7", "team=öl" };
    options.keep = true;
    options.max_sources = 32; // small, as write.c's
    options.max_bytes = 1 << 20;
    auto segment = vmtally::segment::create(options);
    if (!segment) {
        std::fprintf(stderr, "write: %s: %s\n", argv[1], segment.error().what().c_str());
        return 1;
    }
    if (auto added = add(m, *segment); !added) {
        std::fprintf(stderr, "write: %s\n", added.error().what().c_str());
        return 1;
    }
    count_vm(m);
    count_vcpu(m, 0);
    count_vcpu(m, 1);
    count_all(m);
    count_gone(m);
    segment->close();
    return 0;
}
