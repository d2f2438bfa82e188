// SPDX-License-Identifier: MIT
// Snapshots: what is there, typed and by name, ranges, lifetimes. Compiled as C++17 and as C++20.
#include "support.hpp"

#include <algorithm>
#include <memory>
#include <numeric>
#include <set>
#include <type_traits>
#include <unistd.h>
#ifdef __cpp_lib_ranges
#include <ranges>
#endif

TestSuite(cpp_reader, .init = test_dir_init, .fini = test_dir_fini);

using vmtally::schemas::vcpu;
using vmtally::schemas::vm;

Test(cpp_reader, sources_come_parents_first)
{
    world w;
    const vmtally::snapshot snapshot = a_snapshot(w.segment.path());
    std::vector<std::string> ids;

    for (const vmtally::sample &sample : snapshot) {
        ids.emplace_back(sample.id());
        if (const auto parent = sample.parent())
            cr_expect_neq(std::count(ids.begin(), ids.end(), parent->id()), 0);
        else
            cr_expect_eq(sample.depth(), 0);
    }
    std::sort(ids.begin(), ids.end());
    cr_expect((ids == std::vector<std::string>{ "", "vm", "vm/vcpu-0", "vm/vcpu-1", "vm/x" }));
    cr_expect(snapshot[0].name() == "w");
    cr_expect(snapshot.find("vm/vcpu-1").value().name() == "vcpu-1");
    cr_expect_eq(snapshot.find("vm/vcpu-1").value().depth(), 2);
    cr_expect_not(snapshot.find("vm/vcpu-2").has_value());
    cr_expect(snapshot.segment().name() == "w");
    cr_expect_eq(snapshot.segment()->pid, static_cast<std::uint32_t>(getpid()));
    cr_expect_eq(snapshot.pid(), snapshot.segment()->pid);
    cr_expect_eq(snapshot.segment().state(), VMT_STATE_LIVE);
    cr_expect(vmtally::name(snapshot.segment().state()) == "live");
}

Test(cpp_reader, statistics_say_what_they_are)
{
    world w;
    auto sh = w.x.acquire();

    sh[thing::instant] = 3;
    sh[thing::signed_instant] = -1500;
    const vmtally::snapshot snapshot = a_snapshot(w.segment.path());
    const vmtally::sample x = snapshot.find("vm/x").value();
    const auto statistics = x.statistics();

    cr_expect(x.schema().name() == "thing" && x.schema().provider() == "test" && x.schema().target() == "thing");
    cr_assert_eq(statistics.size(), thing::schema().count);
    for (std::size_t i = 0; i < statistics.size(); i++) {
        cr_expect(statistics[i].name() == thing::schema().descriptors[i].name);
        cr_expect(statistics[i].help() == thing::schema().descriptors[i].help);
        cr_expect_eq(statistics[i].values().size(), thing::schema().descriptors[i].size);
    }
    const vmtally::statistic instant = x["instant"].value();
    cr_expect_eq(instant.value(), 3);
    cr_expect_eq(instant.unit(), VMT_UNIT_BYTES);
    cr_expect_eq(instant.type(), VMT_TYPE_INSTANT);
    cr_expect_eq(instant.scaled(), 3 * 1024 * 1024.0);
    const vmtally::statistic negative = x["signed_instant"].value();
    cr_expect(negative.is_signed());
    cr_expect_eq(negative.signed_value(), -1500);
    cr_expect_float_eq(negative.scaled(), -1.5, 1e-9);
    cr_expect(x["minimum"].value().absent());
    cr_expect(x["signed_peak"].value().absent());
    cr_expect_not(instant.absent());
    cr_expect_eq(x["log"].value().histogram().size(), 16);
    cr_expect_eq(instant.histogram().size(), 0);
    cr_expect_not(x["no such"].has_value());
}

// ---- typed ----

#define LATER_STATISTICS(X)                                                                                            \
    THING_STATISTICS(X)                                                                                                \
    X(CUMULATIVE, added, "added", NONE, 1, 0, "A row that a later version has")
VMTALLY_SCHEMA(later, "thing", "test", "thing", LATER_STATISTICS)

#define EARLIER_ROWS(X) X(CUMULATIVE, cumulative, "cumulative", NONE, 1, 0, "Help that was changed since")
VMTALLY_SCHEMA(earlier, "thing", "test", "thing", EARLIER_ROWS)
VMTALLY_SCHEMA(other_provider, "thing", "tset", "thing", THING_STATISTICS)
VMTALLY_SCHEMA(other_target, "thing", "test", "thong", THING_STATISTICS)
VMTALLY_SCHEMA(other_name, "thong", "test", "thing", THING_STATISTICS)
#define OTHER_NAME_OF_ROW(X) X(CUMULATIVE, cumulative, "cumulativa", NONE, 1, 0, "")
VMTALLY_SCHEMA(other_row, "thing", "test", "thing", OTHER_NAME_OF_ROW)
#define OTHER_UNIT(X) X(CUMULATIVE, cumulative, "cumulative", BYTES, 1, 0, "")
VMTALLY_SCHEMA(other_unit, "thing", "test", "thing", OTHER_UNIT)
#define OTHER_KIND(X) X(INSTANT, cumulative, "cumulative", NONE, 1, 0, "")
VMTALLY_SCHEMA(other_kind, "thing", "test", "thing", OTHER_KIND)
#define OTHER_SIZE(X)                                                                                                  \
    X(CUMULATIVE, cumulative, "cumulative", NONE, 1, 0, "")                                                            \
    X(LOG, other, "other", BYTES, 2, 0, "")
VMTALLY_SCHEMA(other_size, "thing", "test", "thing", OTHER_SIZE)

Test(cpp_reader, typed_access_refuses_another_schema)
{
    world w;
    const vmtally::snapshot snapshot = a_snapshot(w.segment.path());
    const vmtally::sample x = snapshot.find("vm/x").value();

    cr_expect(x.as<thing>().has_value());
    cr_expect_not(x.as<vcpu>().has_value());
    cr_expect_not(x.as<other_provider>().has_value());
    cr_expect_not(x.as<other_target>().has_value());
    cr_expect_not(x.as<other_name>().has_value());
    cr_expect_not(x.as<other_row>().has_value());
    cr_expect_not(x.as<other_unit>().has_value());
    cr_expect_not(x.as<other_kind>().has_value());
    cr_expect_not(x.as<other_size>().has_value());
    cr_expect_not(x.as<later>().has_value(), "it has a row that is not there");
    cr_expect(x.as<earlier>().has_value(), "a reader built before the last rows were added");
    cr_expect_not(x.total_of<thing>().has_value(), "it has no descendants");
}

Test(cpp_reader, ready_made_schemas_are_those_of_the_library)
{
    using namespace vmtally::schemas;
    cr_expect_eq(&vcpu::schema(), &vmt_schema_vcpu);
    cr_expect_eq(&vmtally::schemas::segment::schema(), &vmt_schema_segment);
    cr_expect_eq(vcpu::io_latency.number, static_cast<std::uint32_t>(VMT_VCPU_IO_LATENCY));
    static_assert(std::is_same_v<decltype(vcpu::io_latency), const vmtally::slot<vcpu, vmtally::kind::latency<40>>>);
    static_assert(
        std::is_same_v<decltype(request::vm_bank_highest), const vmtally::slot<request, vmtally::kind::peak>>);
    static_assert(storage::tasks_inschedule.number == VMT_STORAGE_TASKS_INSCHEDULE);
}

Test(cpp_reader, a_declared_schema_is_what_the_c_macros_make)
{
    const vmt_schema &made = thing::schema();

    cr_assert_eq(made.count, 19);
    cr_expect_eq(made.slots, 12 + 4 + 16 + 4 + 32 + 0U);
    cr_expect_eq(thing::latency.number, 12 + 4 + 16 + 0U);
    for (std::uint32_t i = 0, slot = 0; i < made.count; slot += made.descriptors[i++].size)
        cr_expect_eq(made.descriptors[i].slot, slot);
    const vmt_descriptor *minimum = vmt_schema_find(&made, "latency_min");
    cr_assert(minimum);
    cr_expect_eq(minimum->group, 1 + thing::latency.number);
    cr_expect_eq(minimum->exponent, -9);
}

// ---- totals, shards ----

Test(cpp_reader, totals_are_over_all_descendants)
{
    world w;

    w.shards[1].clear();
    w.vcpus[1].remove();
    const vmtally::snapshot snapshot = a_snapshot(w.segment.path());
    const vmtally::sample machine = snapshot.find("vm").value();

    cr_expect_eq(machine.total_of<vcpu>().value()[vcpu::exits], 110 + 111);
    cr_expect_eq(machine.total_of<vcpu>().value()[vcpu::io_latency].count(), 2);
    const auto found = std::find_if(machine.totals().begin(), machine.totals().end(),
                                    [](const vmtally::total &t) { return t.schema().name() == "vcpu"; });
    cr_assert(found != machine.totals().end());
    cr_expect_eq(found->sources(), 1);
    cr_expect_not(found->absent());
    cr_expect_eq(found->departed().as<vcpu>().value()[vcpu::exits], 111);

    const auto exits = machine.total(*snapshot.find("vm/vcpu-0").value()["exits"]);
    cr_assert(exits.has_value());
    cr_expect_eq(exits->at(0), 221);
    const vmtally::sample x = snapshot.find("vm/x").value();
    const auto none = x.total(*snapshot.find("vm/vcpu-0").value()["exits"]);
    cr_assert_not(none.has_value());
    cr_expect_eq(none.error().number(), ENOENT);
}

Test(cpp_reader, shards_are_shown_where_they_are_wanted)
{
    world w;
    auto reader = vmtally::reader::attach(w.segment.path());
    vmtally::snapshot snapshot;
    std::multiset<std::uint64_t> exits;
    std::set<std::uint32_t> ids;

    w.vcpus[0].count(vcpu::exits, 5);
    cr_assert(snapshot.take(*reader).has_value());
    cr_expect(snapshot.find("vm/vcpu-0").value().shards().empty());
    snapshot.want_shards();
    cr_assert(snapshot.take(*reader).has_value());
    for (const vmtally::shard_sample &sh : snapshot.find("vm/vcpu-0").value().shards()) {
        exits.insert(sh.as<vcpu>().value()[vcpu::exits]);
        ids.insert(sh.id());
        cr_expect_eq(sh.shared(), sh.as<vcpu>().value()[vcpu::exits] == 5);
        cr_expect_neq(sh.held(), sh.shared());
        cr_expect_not(sh.as<thing>().has_value());
    }
    cr_expect((exits == std::multiset<std::uint64_t>{ 5, 10, 100 }));
    cr_expect_eq(ids.size(), 3);
    cr_expect_eq(snapshot.find("vm/vcpu-0").value().as<vcpu>().value()[vcpu::exits], 115);
}

// ---- ranges ----

Test(cpp_reader, ranges_work_with_algorithms)
{
    world w;
    const vmtally::snapshot snapshot = a_snapshot(w.segment.path());
    const auto is_vcpu = [](const vmtally::sample &s) { return s.schema().target() == "vcpu"; };

    cr_expect_eq(std::count_if(snapshot.begin(), snapshot.end(), is_vcpu), 2);
    cr_expect_eq(std::accumulate(snapshot.begin(), snapshot.end(), std::uint64_t{ 0 },
                                 [](std::uint64_t sum, const vmtally::sample &s) {
                                     const auto v = s.as<vcpu>();
                                     return v ? sum + (*v)[vcpu::exits] : sum;
                                 }),
                 221);
    std::vector<vmtally::sample> copies(snapshot.begin(), snapshot.end());
    std::sort(copies.begin(), copies.end(),
              [](const vmtally::sample &a, const vmtally::sample &b) { return a.id() > b.id(); });
    cr_expect(copies.front().id() == "vm/x" && copies.back().id().empty());

    const auto statistics = snapshot.find("vm/vcpu-0").value().statistics();
    const auto found = std::find_if(statistics.begin(), statistics.end(),
                                    [](const vmtally::statistic &s) { return s.name() == "exits"; });
    cr_assert(found != statistics.end());
    cr_expect_eq(found->value(), 110);
    cr_expect_eq(std::distance(statistics.begin(), statistics.end()), static_cast<long>(statistics.size()));
    const auto histogram = snapshot.find("vm/vcpu-0").value().as<vcpu>().value()[vcpu::io_latency].histogram();
    cr_expect_eq(std::count_if(histogram.begin(), histogram.end(), [](const vmtally::bucket &b) { return b.count; }),
                 1);

    auto i = snapshot.begin();
    cr_expect(i + 2 == std::next(i, 2) && (i + 2) - i == 2 && i[1].id() == (i + 1)->id() && i < i + 1);
    i += 3;
    cr_expect(i-- - 3 == snapshot.begin() && --i == snapshot.begin() + 1);
}

#ifdef __cpp_lib_ranges
Test(cpp_reader, ranges_are_ranges_of_cpp20)
{
    static_assert(std::ranges::random_access_range<const vmtally::snapshot>);
    static_assert(std::ranges::random_access_range<vmtally::snapshot_view> &&
                  std::ranges::view<vmtally::snapshot_view>);
    static_assert(std::ranges::sized_range<vmtally::statistics> && std::ranges::view<vmtally::statistics>);
    static_assert(std::ranges::view<vmtally::totals> && std::ranges::view<vmtally::shard_samples>);
    static_assert(std::ranges::view<vmtally::descriptors> && std::ranges::view<vmtally::histogram>);
    static_assert(std::ranges::contiguous_range<vmtally::array_view<std::uint64_t>>);
    static_assert(std::ranges::borrowed_range<vmtally::statistics> && !std::ranges::borrowed_range<vmtally::snapshot>);
}

#if !defined(__clang__) || __clang_major__ >= 16 // before that it does not take libstdc++'s views
Test(cpp_reader, ranges_are_filtered_and_transformed)
{
    world w;
    const vmtally::snapshot snapshot = a_snapshot(w.segment.path());
    const auto is_vcpu = [](const vmtally::sample &s) { return s.schema().target() == "vcpu"; };
    std::uint64_t sum = 0;

    for (const vmtally::sample &s : snapshot | std::views::filter(is_vcpu) | std::views::reverse)
        sum += s.as<vcpu>().value()[vcpu::exits];
    cr_expect_eq(sum, 221);
    const auto names = snapshot[1].statistics() | std::views::transform(&vmtally::statistic::name);
    cr_expect(std::ranges::find(names, "vcpus") != names.end());
}
#endif
#endif

// ---- lifetimes ----

template <class T, class = void> struct gives_views : std::false_type {
};
template <class T> struct gives_views<T, std::void_t<decltype(std::declval<T>().find("x"))>> : std::true_type {
};
template <class T, class = void> struct gives_elements : std::false_type {
};
template <class T> struct gives_elements<T, std::void_t<decltype(std::declval<T>()[0])>> : std::true_type {
};
template <class T, class = void> struct gives_begin : std::false_type {
};
template <class T> struct gives_begin<T, std::void_t<decltype(std::declval<T>().begin())>> : std::true_type {
};
template <class T, class = void> struct has_arrow : std::false_type {
};
template <class T> struct has_arrow<T, std::void_t<decltype(std::declval<T>().operator->())>> : std::true_type {
};

Test(cpp_reader, a_temporary_gives_no_views)
{
    using vmtally::snapshot, vmtally::snapshot_view;
    static_assert(gives_views<snapshot &>::value && gives_elements<snapshot &>::value &&
                  gives_begin<snapshot &>::value);
    static_assert(!gives_views<snapshot>::value && !gives_elements<snapshot>::value && !gives_begin<snapshot>::value);
    static_assert(std::is_convertible_v<snapshot &, snapshot_view> && !std::is_convertible_v<snapshot, snapshot_view>);
    static_assert(has_arrow<vmtally::result<snapshot> &>::value && !has_arrow<vmtally::result<snapshot>>::value);
    static_assert(!std::is_copy_constructible_v<snapshot> && std::is_nothrow_move_constructible_v<snapshot>);
    world w;
    auto reader = vmtally::reader::attach(w.segment.path());
    std::size_t n = 0;

    for (const vmtally::sample &sample : *reader->snapshot()) // kept as long as the loop takes
        n += sample.statistics().size() != 0;
    cr_expect_eq(n, 5);
}

Test(cpp_reader, views_survive_their_snapshot_moving)
{
    world w;
    vmtally::snapshot snapshot = a_snapshot(w.segment.path());
    const vmtally::sample sample = snapshot.find("vm/vcpu-0").value();
    vmtally::snapshot moved = std::move(snapshot);
    vmtally::snapshot other;

    std::swap(moved, other);
    cr_expect_eq(sample.as<vcpu>().value()[vcpu::exits], 110);
    cr_expect(snapshot.empty() && !snapshot.find("vm").has_value() && snapshot.segment().name().empty());
    cr_expect(snapshot.begin() == snapshot.end());
    cr_expect_eq(snapshot.segment().labels().size(), 0);
}

Test(cpp_reader, snapshots_outlive_reader_and_writer)
{
    auto w = std::make_unique<world>();
    vmtally::snapshot snapshot;
    {
        auto reader = vmtally::reader::attach(w->segment.path());

        cr_assert(snapshot.take(*reader).has_value());
    }
    w.reset();
    cr_expect_eq(snapshot.find("vm/vcpu-0").value().as<vcpu>().value()[vcpu::exits], 110);
    cr_expect(snapshot.find("vm/vcpu-0").value().schema().name() == "vcpu");
}

Test(cpp_reader, a_snapshot_may_be_taken_again_and_kept_by_a_copy)
{
    world w;
    auto reader = vmtally::reader::attach(w.segment.path());
    vmtally::snapshot snapshot;

    snapshot.want_shards();
    cr_assert(snapshot.take(*reader).has_value());
    cr_expect_eq(snapshot.find("vm/vcpu-0").value().shards().size(), 2, "wanted before there was any");
    auto kept = snapshot.copy();
    cr_assert(kept.has_value());
    ++w.shards[0][0][vcpu::exits];
    auto more = a_child<thing>(w.machine, "more");
    cr_assert(snapshot.take(*reader).has_value());
    cr_expect_eq(snapshot.find("vm/vcpu-0").value().as<vcpu>().value()[vcpu::exits], 111);
    cr_expect_eq(kept->find("vm/vcpu-0").value().as<vcpu>().value()[vcpu::exits], 110);
    cr_expect_eq(kept->find("vm/vcpu-0").value().shards().size(), snapshot.find("vm/vcpu-0").value().shards().size());
    cr_expect_eq(snapshot.size(), kept->size() + 1);
    cr_expect(vmtally::snapshot().copy().value().empty());
}

Test(cpp_reader, one_source_is_read_without_a_snapshot)
{
    world w;
    auto reader = vmtally::reader::attach(w.segment.path());
    auto snapshot = reader->snapshot();
    const vmtally::sample sample = snapshot->find("vm/vcpu-0").value();
    std::vector<std::uint64_t> values(sample.slots().size());

    ++w.shards[0][0][vcpu::exits];
    cr_assert(reader->sample(sample, values.data()).has_value());
    cr_expect_eq(values[vcpu::exits.number], 111);
    w.shards[0].clear();
    w.vcpus[0].remove();
    cr_expect_eq(reader->sample(sample, values.data()).error().number(), ESTALE);
}

// A snapshot, put together, of one source "x" that has these flags; no values: they could not be read.
struct put_together {
    vmt_recorded *recorded = nullptr;
    vmt_snapshot *snapshot = nullptr;

    put_together(std::uint32_t flags, const std::uint64_t *values)
    {
        const char *labels[] = { nullptr };
        vmt_segment_info info{};
        vmt_sample samples[2] = {};

        cr_assert(vmt_recorded_new(&recorded) == 0 && vmt_snapshot_new(&snapshot) == 0);
        cr_assert_eq(vmt_recorded_schema(recorded, &vmt_schema_segment, &samples[0].schema), 0);
        cr_assert_eq(vmt_recorded_schema(recorded, &thing::schema(), &samples[1].schema), 0);
        samples[0].id = "";
        samples[0].parent = UINT32_MAX;
        samples[1].id = "x";
        samples[1].entry = 1;
        samples[1].flags = flags;
        samples[1].values = values;
        info.path = info.name = "w";
        info.labels = labels;
        cr_assert_eq(vmt_snapshot_rebuild(snapshot, recorded, &info, samples, 2), 0);
    }
    ~put_together()
    {
        vmt_snapshot_free(snapshot);
        vmt_recorded_free(recorded);
    }
    put_together(const put_together &) = delete;
    put_together &operator=(const put_together &) = delete;

    vmtally::sample x() const { return vmtally::snapshot_view(snapshot).find("x").value(); }
};

Test(cpp_reader, what_could_not_be_read_has_no_values)
{
    const put_together s(0, nullptr);
    const vmtally::sample x = s.x();

    cr_expect(x.absent());
    cr_expect_eq(x.slots().size(), 0);
    cr_expect_not(x.as<thing>().has_value());
}

Test(cpp_reader, what_is_to_be_known_of_values_is_told)
{
    const std::vector<std::uint64_t> values(thing::schema().slots);

    for (const std::uint32_t flag : { 0U, VMT_SAMPLE_LEAVING, VMT_SAMPLE_UNCONFIRMED, VMT_SAMPLE_TORN }) {
        const put_together s(flag, values.data());
        const vmtally::sample x = s.x();

        cr_expect_eq(x.leaving(), flag == VMT_SAMPLE_LEAVING);
        cr_expect_eq(x.unconfirmed(), flag == VMT_SAMPLE_UNCONFIRMED);
        cr_expect_eq(x.torn(), flag == VMT_SAMPLE_TORN);
        cr_expect_not(x.absent());
        cr_expect(x.as<thing>().has_value());
    }
}
