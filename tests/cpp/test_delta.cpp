// SPDX-License-Identifier: MIT
// Changes between two snapshots.
#include "support.hpp"

#include <thread>

TestSuite(cpp_delta, .init = test_dir_init, .fini = test_dir_fini);

using vmtally::schemas::vm;

Test(cpp_delta, changes_are_what_was_counted_between_two_snapshots)
{
    vmtally::segment segment = a_segment();
    auto parent = a_source<vm>(segment, "vm");
    auto x = a_child<thing>(parent, "x");
    auto sh = x.acquire();
    auto reader = vmtally::reader::attach(segment.path());
    vmtally::snapshot older, newer;
    vmtally::delta delta;

    sh[thing::cumulative] += 5;
    sh[thing::instant] = 9;
    sh[thing::latency].record(10);
    cr_assert(older.take(*reader).has_value());
    sh[thing::cumulative] += 7;
    sh[thing::instant] = 11;
    sh[thing::latency].record(1000);
    auto y = a_child<thing>(parent, "y");
    ++y.acquire()[thing::cumulative];
    cr_assert(newer.take(*reader).has_value());
    cr_assert(delta.compute(older, newer).has_value());

    cr_expect_gt(delta.seconds(), 0);
    cr_assert_eq(delta.size(), newer.size());
    const vmtally::change change = delta.find("vm/x").value();
    const auto values = change.as<thing>().value();
    cr_expect(change.source().id() == "vm/x");
    cr_expect_eq(values[thing::cumulative], 7);
    cr_expect_eq(values[thing::instant], 0, "levels have no change");
    cr_expect_eq(values[thing::latency].count(), 1);
    cr_expect_eq(values[thing::latency].sum(), 1000);
    cr_expect_eq(values[thing::latency].quantile(0.5)->low, 512);
    cr_expect_not(change.is_new() || change.reset());
    cr_expect_float_eq(change.rate(thing::cumulative).value(), 7 / delta.seconds(), 1e-6);
    cr_expect_float_eq(change.rate("cumulative").value(), 7 / delta.seconds(), 1e-6);
    cr_expect_not(change.rate(vmtally::schemas::vcpu::exits).has_value());
    cr_expect_not(change.rate("no such").has_value());
    cr_expect_not(change.as<vm>().has_value());
    cr_expect(delta.find("vm/y").value().is_new());
    cr_expect_eq(delta.find("vm/y").value().as<thing>().value()[thing::cumulative], 1);
    cr_expect_not(delta.find("vm/z").has_value());

    std::uint64_t sum = 0;
    for (const vmtally::change &c : delta)
        if (const auto v = c.as<thing>())
            sum += (*v)[thing::cumulative];
    cr_expect_eq(sum, 8);

    for (std::size_t i = 0; i < newer.size(); i++) {
        const auto totals = newer[i].totals();
        for (std::size_t t = 0; t < totals.size(); t++)
            if (totals[t].as<thing>())
                cr_expect_eq(delta.total(i, t).as<thing>().value()[thing::cumulative], 8);
    }
}

Test(cpp_delta, without_an_older_snapshot_there_are_no_changes)
{
    vmtally::segment segment = a_segment();
    auto x = a_source<thing>(segment, "x");
    const vmtally::snapshot snapshot = a_snapshot(segment.path());
    vmtally::delta delta;

    ++x.acquire()[thing::cumulative];
    cr_assert(delta.empty() && delta.seconds() == 0);
    cr_assert(delta.compute(vmtally::snapshot_view(), snapshot).has_value());
    cr_expect(delta.find("x").value().reset());
    cr_expect_not(delta.find("x").value().as<thing>().has_value());
    cr_expect_not(delta.find("x").value().rate(thing::cumulative).has_value());
    cr_expect_eq(delta.seconds(), 0);
    cr_expect_eq(delta.compute(snapshot, vmtally::snapshot_view()).error().number(), EINVAL);
    cr_expect(delta.empty() && delta.begin() == delta.end() && !delta.find("x").has_value());
}

Test(cpp_delta, two_snapshots_take_turns)
{
    vmtally::segment segment = a_segment();
    auto x = a_source<thing>(segment, "x");
    auto sh = x.acquire();
    auto reader = vmtally::reader::attach(segment.path());
    vmtally::snapshot older, newer;
    vmtally::delta delta;

    for (std::uint64_t i = 0; i < 5; i++) {
        std::swap(older, newer);
        sh[thing::cumulative] += i;
        cr_assert(newer.take(*reader).has_value());
        cr_assert(delta.compute(older, newer).has_value());
        if (i)
            cr_expect_eq(delta.find("x").value().as<thing>().value()[thing::cumulative], i);
    }
}

Test(cpp_delta, one_that_was_moved_from_is_empty)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    const vmtally::snapshot snapshot = a_snapshot(test_path("t.vmt"));
    vmtally::delta delta;

    cr_assert(delta.compute({}, snapshot).has_value());
    const vmtally::delta other = std::move(delta);
    cr_expect_eq(other.size(), 2);
    cr_expect(delta.empty()); // NOLINT(bugprone-use-after-move)
    cr_expect_eq(delta.seconds(), 0);
    cr_expect_not(delta.find("x").has_value());
    cr_expect(delta.begin() == delta.end());
}
