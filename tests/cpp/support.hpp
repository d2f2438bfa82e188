// SPDX-License-Identifier: MIT
// support.hpp: what the tests of the C++ binding share: a schema with every kind, and a segment with a source of it.
#ifndef TESTS_CPP_SUPPORT_HPP
#define TESTS_CPP_SUPPORT_HPP

#include <criterion/criterion.h>

#include <chrono>
#include <string>
#include <thread>

extern "C" {
#include "tests/unit/helper.h"
}
#include <vmtally.hpp>

#define THING_STATISTICS(X)                                                                                            \
    X(CUMULATIVE, cumulative, "cumulative", NONE, 1, 0, "Help of cumulative")                                          \
    X(CUMULATIVE, other, "other", BYTES, 1, 0, "Help of other")                                                        \
    X(INSTANT, instant, "instant", MEBIBYTES, 1, 0, "Help of instant")                                                 \
    X(PEAK, peak, "peak", NONE, 1, 0, "Help of peak")                                                                  \
    X(MINIMUM, minimum, "minimum", NONE, 1, 0, "Help of minimum")                                                      \
    X(BOOLEAN, boolean, "boolean", BOOL, 1, 0, "Help of boolean")                                                      \
    X(SIGNED_INSTANT, signed_instant, "signed_instant", MILLISECONDS, 1, 0, "Help of signed_instant")                  \
    X(SIGNED_PEAK, signed_peak, "signed_peak", NONE, 1, 0, "Help of signed_peak")                                      \
    X(SIGNED_MINIMUM, signed_minimum, "signed_minimum", NONE, 1, 0, "Help of signed_minimum")                          \
    X(INSTANT_MAX, instant_max, "instant_max", NONE, 1, 0, "Help of instant_max")                                      \
    X(INSTANT_AVERAGE, instant_average, "instant_average", NONE, 1, 0, "Help of instant_average")                      \
    X(INSTANT_COUNT_ZERO, instant_count_zero, "instant_count_zero", NONE, 1, 0, "Help of instant_count_zero")          \
    X(LINEAR, linear, "linear", BYTES, 4, 100, "Help of linear")                                                       \
    X(LOG, log, "log", NONE, 16, 0, "Help of log")                                                                     \
    X(LATENCY, latency, "latency", NANOSECONDS, 32, 0, "Help of latency")
VMTALLY_SCHEMA(thing, "thing", "test", "thing", THING_STATISTICS)

inline bool has(const std::string &text, const char *part) { return text.find(part) != text.npos; }

// Within a minute.
template <class Condition> bool comes_true(Condition condition)
{
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);

    while (!condition()) {
        if (std::chrono::steady_clock::now() > end)
            return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

// In a directory of its own: .init = test_dir_init, .fini = test_dir_fini.
inline vmtally::segment a_segment(const char *name = "t")
{
    vmtally::segment_options options;

    options.name = name;
    auto created = vmtally::segment::create(options);
    cr_assert(created.has_value(), "%s", created ? "" : created.error().what().c_str());
    return *std::move(created);
}

template <class Schema> vmtally::source<Schema> a_source(const vmtally::segment &segment, const char *id)
{
    auto added = segment.add<Schema>(id);

    cr_assert(added.has_value(), "%s", added ? "" : added.error().what().c_str());
    return *std::move(added);
}

template <class Schema> vmtally::source<Schema> a_child(const vmtally::any_source &parent, const char *id)
{
    auto added = parent.add<Schema>(id);

    cr_assert(added.has_value(), "%s", added ? "" : added.error().what().c_str());
    return *std::move(added);
}

// vm, vm/vcpu-0, vm/vcpu-1, vm/x.
struct world {
    vmtally::segment segment = a_segment("w");
    vmtally::source<vmtally::schemas::vm> machine = a_source<vmtally::schemas::vm>(segment, "vm");
    vmtally::source<vmtally::schemas::vcpu> vcpus[2] = { a_child<vmtally::schemas::vcpu>(machine, "vcpu-0"),
                                                         a_child<vmtally::schemas::vcpu>(machine, "vcpu-1") };
    vmtally::source<thing> x = a_child<thing>(machine, "x");
    std::vector<vmtally::shard<vmtally::schemas::vcpu>> shards[2] = { vcpus[0].acquire(2), vcpus[1].acquire(2) };

    world()
    {
        for (unsigned n = 0; n < 2; n++) {
            shards[n][0][vmtally::schemas::vcpu::exits] += 10 + n;
            shards[n][1][vmtally::schemas::vcpu::exits] += 100;
            shards[n][0][vmtally::schemas::vcpu::io_latency].record(1000);
        }
    }
};

inline vmtally::snapshot a_snapshot(const std::string &path)
{
    auto reader = vmtally::reader::attach(path);

    cr_assert(reader.has_value(), "%s", reader ? "" : reader.error().what().c_str());
    auto taken = reader->snapshot();
    cr_assert(taken.has_value(), "%s", taken ? "" : taken.error().what().c_str());
    return *std::move(taken);
}

// What readers see of one source; it has to be there.
template <class Schema, class Kind>
auto seen(const vmtally::segment &segment, const char *id, vmtally::slot<Schema, Kind> slot)
{
    const vmtally::snapshot snapshot = a_snapshot(segment.path());
    const auto sample = snapshot.find(id);

    cr_assert(sample.has_value(), "%s is not there", id);
    const auto values = sample->template as<Schema>();
    cr_assert(values.has_value(), "%s is of another schema", id);
    return (*values)[slot];
}

#endif
