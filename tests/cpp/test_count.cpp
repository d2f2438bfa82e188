// SPDX-License-Identifier: MIT
// Counting: what each kind can do, what none can, groups, timers.
#include "support.hpp"

#include <stdexcept>
#include <type_traits>

TestSuite(cpp_count, .init = test_dir_init, .fini = test_dir_fini);

using vmtally::cell;
namespace kind = vmtally::kind;

static void count_one_of_each(vmtally::shard<thing> &sh)
{
    ++sh[thing::cumulative];
    sh[thing::cumulative]++;
    sh[thing::cumulative] += 7;
    sh[thing::cumulative].add(UINT64_C(1) << 53);
    sh[thing::instant] = 5;
    sh[thing::instant] += 4;
    sh[thing::instant] -= 2;
    ++sh[thing::instant];
    --sh[thing::instant];
    sh[thing::instant]--;
    sh[thing::peak].peak(7);
    sh[thing::peak].peak(5);
    sh[thing::minimum].minimum(9);
    sh[thing::minimum].minimum(11);
    sh[thing::boolean] = true;
    sh[thing::signed_instant] = 3;
    sh[thing::signed_instant] -= 5;
    sh[thing::signed_instant] += -1;
    sh[thing::signed_peak].peak(-3);
    sh[thing::signed_peak].peak(-7);
    sh[thing::signed_minimum].minimum(-2);
    sh[thing::signed_minimum].minimum(-9);
    sh[thing::instant_max] = 17;
    sh[thing::instant_average].set(6);
    sh[thing::instant_count_zero] = 0;
    for (std::uint64_t value : { 0U, 99U, 100U, 299U, 300U, 4000U })
        sh[thing::linear].record(value);
    for (std::uint64_t value : { 0U, 1U, 2U, 3U, 4U, 1U << 30 })
        sh[thing::log].record(value);
    for (std::uint64_t value : { 10U, 20U, 3000U })
        sh[thing::latency].record(value);
}

Test(cpp_count, each_kind_is_counted_as_it_says)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    auto sh = source.acquire();

    count_one_of_each(sh);
    cr_expect_eq(seen(segment, "x", thing::cumulative), (UINT64_C(1) << 53) + 9);
    cr_expect_eq(seen(segment, "x", thing::other), 0);
    cr_expect_eq(seen(segment, "x", thing::instant), 6);
    cr_expect_eq(seen(segment, "x", thing::peak), 7);
    cr_expect_eq(seen(segment, "x", thing::minimum).value(), 9);
    cr_expect(seen(segment, "x", thing::boolean));
    cr_expect_eq(seen(segment, "x", thing::signed_instant), -3);
    cr_expect_eq(seen(segment, "x", thing::signed_peak).value(), -3);
    cr_expect_eq(seen(segment, "x", thing::signed_minimum).value(), -9);
    cr_expect_eq(seen(segment, "x", thing::instant_max), 17);
    cr_expect_eq(seen(segment, "x", thing::instant_average), 6);
    cr_expect_eq(seen(segment, "x", thing::instant_count_zero), 0);
}

Test(cpp_count, histograms_have_the_buckets_of_kvm)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    auto sh = source.acquire();

    count_one_of_each(sh);
    const vmtally::snapshot snapshot = a_snapshot(segment.path());
    const auto values = snapshot.find("x").value().as<thing>().value();
    const auto linear = values[thing::linear];
    const std::uint64_t linear_counts[] = { 2, 1, 1, 2 };
    const std::uint64_t log_counts[16] = { 1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };

    cr_assert_eq(linear.size(), 4);
    for (std::size_t i = 0; i < 4; i++)
        cr_expect_eq(linear[i].count, linear_counts[i], "linear %zu: %lu", i, linear[i].count);
    cr_expect_eq(linear[1].low, 100);
    cr_expect_eq(linear[1].high, 200);
    cr_expect_eq(linear[3].high, UINT64_MAX);
    cr_expect_eq(linear.count(), 6);
    cr_assert_eq(values[thing::log].size(), 16);
    for (std::size_t i = 0; i < 16; i++)
        cr_expect_eq(values[thing::log][i].count, log_counts[i], "log %zu", i);

    const auto latency = values[thing::latency];

    cr_expect_eq(latency.count(), 3);
    cr_expect_eq(latency.sum(), 3030);
    cr_expect_eq(latency.min().value(), 10);
    cr_expect_eq(latency.max().value(), 3000);
    cr_expect_eq(latency.histogram().size(), 32);
    cr_expect_eq(latency.quantile(0.5)->low, 16);
    cr_expect_eq(latency.quantile(0.5)->high, 32);
    cr_expect_eq(latency.quantile(1)->low, 2048);
}

Test(cpp_count, what_was_not_counted_is_not_a_number)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    auto sh = source.acquire();

    cr_expect_not(seen(segment, "x", thing::minimum).has_value());
    cr_expect_not(seen(segment, "x", thing::signed_peak).has_value());
    cr_expect_not(seen(segment, "x", thing::signed_minimum).has_value());
    const vmtally::snapshot snapshot = a_snapshot(segment.path());
    const auto latency = snapshot.find("x").value().as<thing>().value()[thing::latency];
    cr_expect_not(latency.min().has_value());
    cr_expect_not(latency.max().has_value());
    cr_expect_not(latency.quantile(0.5).has_value());
}

Test(cpp_count, any_thread_counts_through_the_source)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");

    source.count(thing::cumulative);
    source.count(thing::cumulative, 41);
    source.count(thing::signed_instant, -2);
    cr_expect_eq(seen(segment, "x", thing::cumulative), 42);
    cr_expect_eq(seen(segment, "x", thing::signed_instant), -2);
}

Test(cpp_count, a_slot_may_be_chosen_at_run_time)
{
    static constexpr vmtally::slot<thing, kind::cumulative> by_reason[] = { thing::other, thing::cumulative };
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    auto sh = source.acquire();

    for (int reason : { 1, 0, 1 })
        sh[by_reason[reason]]++;
    cr_expect_eq(seen(segment, "x", thing::cumulative), 2);
    cr_expect_eq(seen(segment, "x", thing::other), 1);
}

Test(cpp_count, counts_before_there_is_a_segment_go_nowhere_and_hurt_nobody)
{
    vmtally::shard<thing> sh;

    count_one_of_each(sh);
    {
        auto timer = sh[thing::latency].time();
        auto group = sh.group();
    }
    cr_expect_eq(sh.get(), reinterpret_cast<vmt_shard *>(vmt_scratch));
}

// ---- what may not be written ----

template <class S, class Slot, class = void> struct has_slot : std::false_type {
};
template <class S, class Slot>
struct has_slot<S, Slot, std::void_t<decltype(std::declval<vmtally::shard<S> &>()[std::declval<Slot>()])>>
    : std::true_type {
};

#define MAY(name, expression)                                                                                          \
    template <class C, class = void> struct name : std::false_type {                                                   \
    };                                                                                                                 \
    template <class C> struct name<C, std::void_t<decltype(std::declval<C>() expression)>> : std::true_type {          \
    };
MAY(may_add, += 1)
MAY(may_subtract, -= 1)
MAY(may_increment, ++)
MAY(may_assign, = 1)
MAY(may_peak, .peak(1))
MAY(may_minimum, .minimum(1))
MAY(may_record, .record(1))
MAY(may_time, .time())

template <class Kind> constexpr int operations()
{
    using C = cell<Kind>;

    return may_add<C>::value | may_subtract<C>::value << 1 | may_increment<C>::value << 2 | may_assign<C>::value << 3 |
           may_peak<C>::value << 4 | may_minimum<C>::value << 5 | may_record<C>::value << 6 | may_time<C>::value << 7;
}

Test(cpp_count, a_kind_has_its_own_operations_only)
{
    static_assert(operations<kind::cumulative>() == 0b101, "counters only grow");
    static_assert(operations<kind::instant>() == 0b1111);
    static_assert(operations<kind::signed_instant>() == 0b1111);
    static_assert(operations<kind::instant_max>() == 0b1111);
    static_assert(operations<kind::instant_average>() == 0b1111);
    static_assert(operations<kind::instant_count_zero>() == 0b1111);
    static_assert(operations<kind::boolean>() == 0b1000);
    static_assert(operations<kind::peak>() == 0b10000);
    static_assert(operations<kind::signed_peak>() == 0b10000);
    static_assert(operations<kind::minimum>() == 0b100000);
    static_assert(operations<kind::signed_minimum>() == 0b100000);
    static_assert(operations<kind::linear<8, 2>>() == 0b1000000);
    static_assert(operations<kind::log<8>>() == 0b1000000);
    static_assert(operations<kind::latency<8>>() == 0b11000000);
}

Test(cpp_count, a_slot_fits_its_own_schema_only)
{
    static_assert(has_slot<thing, decltype(thing::cumulative)>::value);
    static_assert(!has_slot<thing, decltype(vmtally::schemas::vcpu::exits)>::value);
    static_assert(!has_slot<vmtally::schemas::vcpu, decltype(thing::cumulative)>::value);
    static_assert(!has_slot<thing, int>::value, "a number is no slot");
    static_assert(!std::is_copy_constructible_v<vmtally::shard<thing>>, "one writer at a time");
    static_assert(!std::is_copy_assignable_v<cell<kind::instant>>);
    static_assert(!std::is_assignable_v<vmtally::shard<thing> &, vmtally::shard<vmtally::schemas::vcpu>>);
}

// ---- groups ----

static std::uint64_t begun(const vmt_shard *sh) { return sh->header_[VMT_BEGUN_]; }
static std::uint64_t ended(const vmt_shard *sh) { return sh->header_[VMT_ENDED_]; }

Test(cpp_count, a_group_ends_with_its_scope)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    auto sh = source.acquire();

    {
        auto group = sh.group();

        cr_expect_eq(begun(sh.get()), 1);
        cr_expect_eq(ended(sh.get()), 0);
        {
            auto inner = sh.group();

            ++sh[thing::cumulative];
        }
        cr_expect_eq(ended(sh.get()), 1);
    }
    cr_expect_eq(begun(sh.get()), 2);
    cr_expect_eq(ended(sh.get()), 2);
    try {
        auto group = sh.group();

        throw std::runtime_error("cut off");
    } catch (const std::runtime_error &) {
    }
    cr_expect_eq(ended(sh.get()), begun(sh.get()), "an exception leaves no group open");
}

// ---- timers ----

Test(cpp_count, a_timer_records_once_at_the_end_of_its_scope)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    auto sh = source.acquire();
    const std::uint64_t *count = sh.get()->value_ + thing::latency.number;

    {
        auto timer = sh[thing::latency].time();

        cr_expect_eq(*count, 0);
        cr_expect_eq(begun(sh.get()), ended(sh.get()), "nothing is open meanwhile");
    }
    cr_expect_eq(*count, 1);
    {
        auto timer = sh[thing::latency].time();

        timer.stop();
        cr_expect_eq(*count, 2);
        timer.stop();
    }
    cr_expect_eq(*count, 2);
}

static void returns_early(vmtally::shard<thing> &sh, bool early)
{
    auto timer = sh[thing::latency].time();

    if (early)
        return;
    throw std::runtime_error("late");
}

Test(cpp_count, a_timer_records_whatever_ends_its_scope)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    auto sh = source.acquire();
    const std::uint64_t *count = sh.get()->value_ + thing::latency.number;

    returns_early(sh, true);
    cr_expect_eq(*count, 1);
    cr_assert_throw(returns_early(sh, false), std::runtime_error);
    cr_expect_eq(*count, 2);
    cr_expect_eq(begun(sh.get()), ended(sh.get()));
}

Test(cpp_count, a_cancelled_timer_records_nothing)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    auto sh = source.acquire();

    {
        auto timer = sh[thing::latency].time();

        timer.cancel();
    }
    cr_expect_eq(sh.get()->value_[thing::latency.number], 0);
}

Test(cpp_count, a_timer_that_moves_records_once)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    auto sh = source.acquire();
    const std::uint64_t *count = sh.get()->value_ + thing::latency.number;

    {
        auto timer = sh[thing::latency].time();
        auto moved = std::move(timer);
        auto &same = moved;

        moved = std::move(same);
        cr_expect_eq(*count, 0);
    }
    cr_expect_eq(*count, 1);
    {
        auto one = sh[thing::latency].time();

        one = sh[thing::latency].time();
        cr_expect_eq(*count, 2, "what is assigned to ends");
    }
    cr_expect_eq(*count, 3);
}
