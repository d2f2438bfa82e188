// SPDX-License-Identifier: MIT
// An increment as programs in C++ write it.
#include "bindings.h"

#include <utility>

#include <vmtally.hpp>

using vmtally::schemas::vcpu;

namespace
{

vmtally::shard<vcpu> held;

// As BARRIER() of bench.h, which C++ does not see.
[[gnu::always_inline]] inline void barrier() { __asm__ __volatile__("" ::: "memory"); }

template <class Turn> [[gnu::always_inline]] inline void turns(std::uint64_t n, const Turn &turn)
{
    vmtally::shard<vcpu> sh = std::move(held);

    for (std::uint64_t i = 0; i < n; i += 8)
        turn(sh);
    held = std::move(sh);
}

} // namespace

void cpp_hold(vmt_shard *shard) { held = vmtally::shard<vcpu>(shard); }
void cpp_release() { held = vmtally::shard<vcpu>(); }

[[gnu::aligned(64)]] void cpp_increment(void *, std::uint64_t n)
{
    turns(n, [](vmtally::shard<vcpu> &sh) {
        ++sh[vcpu::exits], barrier();
        ++sh[vcpu::exits], barrier();
        ++sh[vcpu::exits], barrier();
        ++sh[vcpu::exits], barrier();
        ++sh[vcpu::exits], barrier();
        ++sh[vcpu::exits], barrier();
        ++sh[vcpu::exits], barrier();
        ++sh[vcpu::exits], barrier();
    });
}

[[gnu::aligned(64)]] void cpp_increment_eight(void *, std::uint64_t n)
{
    turns(n, [](vmtally::shard<vcpu> &sh) {
        ++sh[vcpu::exits], barrier();
        ++sh[vcpu::exit_hlt], barrier();
        ++sh[vcpu::exit_intr], barrier();
        ++sh[vcpu::exit_irq_window], barrier();
        ++sh[vcpu::exit_other], barrier();
        ++sh[vcpu::run_time], barrier();
        ++sh[vcpu::halt_time], barrier();
        ++sh[vcpu::exit_io_in], barrier();
    });
}
