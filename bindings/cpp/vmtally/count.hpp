// SPDX-License-Identifier: MIT
// vmtally/count.hpp: the hot path: what sh[disk::reads] gives, and groups and timers. All of it inline, nothing throws,
// allocates, branches on what a shard is, or makes a system call (a timer reads CLOCK_MONOTONIC through the vDSO). For
// one writer at a time per shard; also in a signal handler that interrupts the shard's own writer.
//
// A cell, group or timer points to its shard's values: it may outlive neither the shard nor its release.
#ifndef VMTALLY_COUNT_HPP
#define VMTALLY_COUNT_HPP

#include <cstdint>

#include <vmtally/schema.hpp>

// Also where the compiler finds it too large, or does not optimize: a counter is no function.
#define VMTALLY_HOT_ [[gnu::always_inline]]

namespace vmtally
{

namespace detail
{

// Before there is a segment: memory that anybody may count into and nobody reads.
inline vmt_shard *scratch() noexcept { return reinterpret_cast<vmt_shard *>(vmt_scratch); }

// One statistic of one shard. Copies are of the place, not of what is counted there.
struct place {
    vmt_shard *shard;
    std::uint32_t slot;

    VMTALLY_HOT_ place(vmt_shard *sh, std::uint32_t number) noexcept : shard(sh), slot(number) {}
    place(const place &) noexcept = default;
    place &operator=(const place &) = delete; // "a[x] = b[x]" is not what it looks like
};

// What adds up. n may be negative where T is signed.
template <class T> struct adding : place {
    using place::place;
    VMTALLY_HOT_ void add(T n) const noexcept { vmt_add(shard, slot, static_cast<std::uint64_t>(n)); }
    VMTALLY_HOT_ void operator+=(T n) const noexcept { add(n); }
    VMTALLY_HOT_ void operator++() const noexcept { add(1); }
    VMTALLY_HOT_ void operator++(int) const noexcept { add(1); }
};

// What goes up and down. Where several shards of a source set the same, readers show the sum.
template <class T> struct setting : adding<T> {
    using adding<T>::adding;
    setting(const setting &) noexcept = default;
    setting &operator=(const setting &) = delete;
    VMTALLY_HOT_ void set(T value) const noexcept
    {
        vmt_set(this->shard, this->slot, static_cast<std::uint64_t>(value));
    }
    VMTALLY_HOT_ void operator=(T value) const noexcept { set(value); }
    VMTALLY_HOT_ void operator-=(T n) const noexcept
    {
        vmt_add(this->shard, this->slot, std::uint64_t{ 0 } - static_cast<std::uint64_t>(n));
    }
    VMTALLY_HOT_ void operator--() const noexcept { *this -= 1; }
    VMTALLY_HOT_ void operator--(int) const noexcept { *this -= 1; }
};

} // namespace detail

// What may be done with a statistic of that kind, and nothing else.
template <class Kind> struct cell;

template <> struct cell<kind::cumulative> : detail::adding<std::uint64_t> {
    using adding::adding;
};
template <> struct cell<kind::instant> : detail::setting<std::uint64_t> {
    using setting::setting;
    using setting::operator=;
};
template <> struct cell<kind::signed_instant> : detail::setting<std::int64_t> {
    using setting::setting;
    using setting::operator=;
};
template <> struct cell<kind::instant_max> : detail::setting<std::uint64_t> {
    using setting::setting;
    using setting::operator=;
};
template <> struct cell<kind::instant_average> : detail::setting<std::uint64_t> {
    using setting::setting;
    using setting::operator=;
};
template <> struct cell<kind::instant_count_zero> : detail::setting<std::uint64_t> {
    using setting::setting;
    using setting::operator=;
};
template <> struct cell<kind::boolean> : detail::place {
    using place::place;
    cell(const cell &) noexcept = default;
    VMTALLY_HOT_ void set(bool value) const noexcept { vmt_set(shard, slot, value); }
    VMTALLY_HOT_ void operator=(bool value) const noexcept { set(value); }
};

// Raised to value, or lowered, if it is not there yet.
template <> struct cell<kind::peak> : detail::place {
    using place::place;
    VMTALLY_HOT_ void peak(std::uint64_t value) const noexcept { vmt_peak(shard, slot, value); }
};
template <> struct cell<kind::minimum> : detail::place {
    using place::place;
    VMTALLY_HOT_ void minimum(std::uint64_t value) const noexcept { vmt_minimum(shard, slot, value); }
};
template <> struct cell<kind::signed_peak> : detail::place {
    using place::place;
    VMTALLY_HOT_ void peak(std::int64_t value) const noexcept { vmt_peak_signed(shard, slot, value); }
};
template <> struct cell<kind::signed_minimum> : detail::place {
    using place::place;
    VMTALLY_HOT_ void minimum(std::int64_t value) const noexcept { vmt_minimum_signed(shard, slot, value); }
};

// Histograms: value is counted in its bucket.
template <std::uint32_t Buckets, std::uint32_t Size> struct cell<kind::linear<Buckets, Size>> : detail::place {
    using place::place;
    VMTALLY_HOT_ void record(std::uint64_t value) const noexcept
    {
        vmt_record_linear(shard, slot, Buckets, Size, value);
    }
};
template <std::uint32_t Buckets> struct cell<kind::log<Buckets>> : detail::place {
    using place::place;
    VMTALLY_HOT_ void record(std::uint64_t value) const noexcept { vmt_record_log(shard, slot, Buckets, value); }
};

// Times the rest of a scope, in nanoseconds: the latency is recorded, as one group, when the timer goes, be it by the
// end of the scope, a return or an exception. Nothing is open meanwhile, so the body may do what it likes.
class [[nodiscard]] timer
{
  public:
    explicit timer(const vmt_timer &started) noexcept : timer_(started) {}
    timer(timer &&other) noexcept : timer_(other.timer_) { other.cancel(); }
    timer &operator=(timer &&other) noexcept
    {
        if (this != &other) {
            stop();
            timer_ = other.timer_;
            other.cancel();
        }
        return *this;
    }
    ~timer() { stop(); }

    // Record it now, once.
    void stop() noexcept
    {
        if (timer_.shard)
            vmt_timer_stop(&timer_);
        cancel();
    }

    // Record nothing.
    void cancel() noexcept { timer_.shard = nullptr; }

  private:
    vmt_timer timer_;
};

// Count, sum, minimum, maximum and histogram of a time, which readers see together.
template <std::uint32_t Buckets, bool Nanoseconds> struct cell<kind::latency<Buckets, Nanoseconds>> : detail::place {
    using place::place;
    VMTALLY_HOT_ void record(std::uint64_t value) const noexcept { vmt_latency(shard, slot, Buckets, value); }
    VMTALLY_HOT_ timer time() const noexcept
    {
        static_assert(Nanoseconds, "a timer counts NANOSECONDS: declare the row so, or record() what it took");
        return timer(vmt_timer_start(shard, slot, Buckets));
    }
};

// From here to the end of the scope: what changes is seen by readers all or not at all, or flagged. Groups may nest.
// Keep the scope to counting: until it ends readers try again, and what an exception cuts off counts as whole.
class [[nodiscard]] group
{
  public:
    VMTALLY_HOT_ explicit group(vmt_shard *shard) noexcept : shard_(shard) { vmt_begin(shard_); }
    group(const group &) = delete;
    group &operator=(const group &) = delete;
    VMTALLY_HOT_ ~group() { vmt_end(shard_); }

  private:
    vmt_shard *shard_;
};

} // namespace vmtally

#endif
