// SPDX-License-Identifier: MIT
/* vmtally/schema.hpp: declare what is counted, once, for the writer and for the reader.
 *
 *     #define DISK_STATISTICS(X)                                                   \
 *         X(CUMULATIVE, reads, "reads", NONE, 1, 0, "Reads completed")             \
 *         X(INSTANT, depth, "depth", NONE, 1, 0, "Requests in flight")             \
 *         X(LATENCY, read, "read", NANOSECONDS, 32, 0, "Time a read takes")
 *     VMTALLY_SCHEMA(disk, "disk", "myvmm", "block", DISK_STATISTICS)
 *
 * A row is as in <vmtally/schema.h>: X(kind, ID, name, unit, size, bucket_size, help). That makes
 *
 *     struct disk {
 *         static constexpr slot<disk, kind::cumulative> reads;
 *         static constexpr slot<disk, kind::instant> depth;
 *         static constexpr slot<disk, kind::latency<32>> read;
 *         static const vmt_schema &schema() noexcept;
 *     };
 *
 * IDs are names of members: not schema, and no keywords. Any struct of that shape is a schema; those that are
 * ready-made are in vmtally::schemas.
 */
#ifndef VMTALLY_SCHEMA_HPP
#define VMTALLY_SCHEMA_HPP

#include <cstdint>

#include <vmtally/c.hpp>

namespace vmtally
{

// What a row is; the kinds of <vmtally/schema.h> by their own names. value_type is what is counted with.
namespace kind
{
struct cumulative {
    using value_type = std::uint64_t;
};
struct instant {
    using value_type = std::uint64_t;
};
struct peak {
    using value_type = std::uint64_t;
};
struct minimum {
    using value_type = std::uint64_t;
};
struct boolean {
    using value_type = bool;
};
struct signed_instant {
    using value_type = std::int64_t;
};
struct signed_peak {
    using value_type = std::int64_t;
};
struct signed_minimum {
    using value_type = std::int64_t;
};
struct instant_max {
    using value_type = std::uint64_t;
};
struct instant_average {
    using value_type = std::uint64_t;
};
struct instant_count_zero {
    using value_type = std::uint64_t;
};
template <std::uint32_t Buckets, std::uint32_t Size> struct linear {
    static_assert(Buckets > 0 && Size > 0, "a histogram has buckets, and they have a size");
    using value_type = std::uint64_t;
};
template <std::uint32_t Buckets> struct log {
    static_assert(Buckets > 0, "a histogram has buckets");
    using value_type = std::uint64_t;
};
template <std::uint32_t Buckets, bool Nanoseconds = true> struct latency {
    static_assert(Buckets > 0, "a histogram has buckets");
    using value_type = std::uint64_t; // nanoseconds, or what the row says
};
} // namespace kind

// A statistic of Schema: its first slot, and with it what may be done there. A constant; also good in an array, to
// count by the reason of something: sh[by_reason[reason]] += 1.
template <class Schema, class Kind> struct slot {
    using schema_type = Schema;
    using kind_type = Kind;

    std::uint32_t number;
};

} // namespace vmtally

// At namespace scope. Names of type and IDs are the caller's; name, provider and target are shorter than 24 bytes.
// clang-format off
#define VMTALLY_SCHEMA(type, name, provider, target, list)                                                             \
    _Pragma("GCC diagnostic push")                                                                                     \
    _Pragma("GCC diagnostic ignored \"-Wshadow\"") /* a statistic may be called as something of libc */                \
    struct type {                                                                                                      \
        using vmtally_self_ = type;                                                                                    \
        struct vmtally_rows_ {                                                                                         \
            enum : ::std::uint32_t { list(VMT_ROW_SLOT) vmtally_slots_ };                                              \
            static_assert(vmtally_slots_ <= VMT_SLOTS_MAX, "a schema has at most VMT_SLOTS_MAX slots");                \
            static const ::vmt_schema &schema() noexcept                                                               \
            {                                                                                                          \
                static constexpr ::vmt_descriptor rows[] = { list(VMT_ROW_DESCRIPTOR) };                               \
                static constexpr ::vmt_schema made = { name, provider, target, rows, sizeof(rows) / sizeof(rows[0]),   \
                                                       vmtally_slots_ };                                               \
                return made;                                                                                           \
            }                                                                                                          \
        };                                                                                                             \
        list(VMTALLY_ROW_MEMBER_)                                                                                      \
        static const ::vmt_schema &schema() noexcept { return vmtally_rows_::schema(); }                               \
    };                                                                                                                 \
    _Pragma("GCC diagnostic pop")
// clang-format on

#define VMTALLY_ROW_MEMBER_(kind, id, name, unit, size, bucket, help)                                                  \
    static constexpr ::vmtally::slot<vmtally_self_, VMTALLY_KIND_##kind(size, bucket, VMT_EXPONENT_##unit)> id{        \
        vmtally_rows_::id                                                                                              \
    };
#define VMTALLY_KIND_CUMULATIVE(size, bucket, exponent) ::vmtally::kind::cumulative
#define VMTALLY_KIND_INSTANT(size, bucket, exponent) ::vmtally::kind::instant
#define VMTALLY_KIND_PEAK(size, bucket, exponent) ::vmtally::kind::peak
#define VMTALLY_KIND_MINIMUM(size, bucket, exponent) ::vmtally::kind::minimum
#define VMTALLY_KIND_BOOLEAN(size, bucket, exponent) ::vmtally::kind::boolean
#define VMTALLY_KIND_SIGNED_INSTANT(size, bucket, exponent) ::vmtally::kind::signed_instant
#define VMTALLY_KIND_SIGNED_PEAK(size, bucket, exponent) ::vmtally::kind::signed_peak
#define VMTALLY_KIND_SIGNED_MINIMUM(size, bucket, exponent) ::vmtally::kind::signed_minimum
#define VMTALLY_KIND_INSTANT_MAX(size, bucket, exponent) ::vmtally::kind::instant_max
#define VMTALLY_KIND_INSTANT_AVERAGE(size, bucket, exponent) ::vmtally::kind::instant_average
#define VMTALLY_KIND_INSTANT_COUNT_ZERO(size, bucket, exponent) ::vmtally::kind::instant_count_zero
#define VMTALLY_KIND_LINEAR(size, bucket, exponent) ::vmtally::kind::linear<size, bucket>
#define VMTALLY_KIND_LOG(size, bucket, exponent) ::vmtally::kind::log<size>
#define VMTALLY_KIND_LATENCY(size, bucket, exponent)                                                                   \
    ::vmtally::kind::latency<size, (exponent) == VMT_EXPONENT_NANOSECONDS>

#endif
