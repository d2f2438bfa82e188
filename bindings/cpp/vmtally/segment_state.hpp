// SPDX-License-Identifier: MIT
// vmtally/segment_state.hpp: what the handles of one segment share, so that they may go in any order, in any thread,
// and in a child of fork().
#ifndef VMTALLY_SEGMENT_STATE_HPP
#define VMTALLY_SEGMENT_STATE_HPP

#include <atomic>
#include <cerrno>
#include <mutex>
#include <pthread.h>
#include <shared_mutex>
#include <string>
#include <utility>

#include <vmtally/c.hpp>

namespace vmtally
{

namespace detail
{

// How many forks away this process is from the one that began: a child knows by it what was its parent's.
inline std::atomic<unsigned> generation_of_process{ 0 };

inline void next_generation() noexcept { generation_of_process.fetch_add(1, std::memory_order_relaxed); }

inline void watch_forks() noexcept
{
    [[maybe_unused]] static const int watched = pthread_atfork(nullptr, nullptr, next_generation);
}

// The C segment, and whether it may be used still. Sources share it: what they point to goes when it is closed.
class segment_state
{
  public:
    segment_state(vmt_segment *segment, std::string why) noexcept : segment_(segment), why_(std::move(why))
    {
        watch_forks();
    }
    segment_state(const segment_state &) = delete;
    segment_state &operator=(const segment_state &) = delete;
    ~segment_state() { close(); }

    vmt_segment *get() const noexcept { return segment_; }
    const std::string &why() const noexcept { return why_; }

    // Relaxed: who closes orders it before.
    bool open() const noexcept { return open_.load(std::memory_order_relaxed); }

    // use(segment) while nobody can close it; else refused, what the C library says where there is no segment. Those
    // who use it don't wait for each other: a cold call may wait for a grace period.
    template <class Use, class Result> Result with(Use use, Result refused) noexcept
    {
        if (in_child())
            return open() ? use(segment_) : refused;
        if (!open()) // else many who come too late could keep close() waiting for ever
            return refused;
        const std::shared_lock<std::shared_mutex> hold(mutex_);

        return open() ? use(segment_) : refused;
    }

    void close() noexcept
    {
        // Before anything else: whoever comes now is refused, also in a child that is forked meanwhile.
        if (!open_.exchange(false, std::memory_order_relaxed) || in_child())
            return;
        const std::lock_guard<std::shared_mutex> hold(mutex_);

        vmt_segment_close(segment_);
    }

    int hand_over() noexcept
    {
        if (in_child())
            return -ECHILD;
        const std::lock_guard<std::shared_mutex> hold(mutex_);

        if (!open_.exchange(false, std::memory_order_relaxed))
            return -ENODEV;
        const int fd = vmt_segment_hand_over(segment_);

        if (fd < 0)
            open_.store(true, std::memory_order_relaxed);
        return fd;
    }

  private:
    // There a thread that is not there may hold the mutex. The C library does nothing there.
    bool in_child() const noexcept { return generation_of_process.load(std::memory_order_relaxed) != generation_; }

    vmt_segment *const segment_;
    const std::string why_;
    const unsigned generation_ = generation_of_process.load(std::memory_order_relaxed);
    std::atomic<bool> open_{ true };
    std::shared_mutex mutex_;
};

} // namespace detail

// First thing in a child that was made without fork()'s handlers: raw clone, _Fork.
inline void child_after_fork() noexcept
{
    detail::next_generation();
    vmt_child_after_fork();
}

} // namespace vmtally

#endif
