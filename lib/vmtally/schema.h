/* SPDX-License-Identifier: MIT */
/* vmtally/schema.h: declare what is counted, as data.
 *
 * A schema is one list macro. From it come the slots, the descriptors and the help:
 *
 *     #define DISK_STATISTICS(X)                                                             \
 *         X(CUMULATIVE, DISK_READS, "reads", NONE, 1, 0, "Reads completed")                  \
 *         X(CUMULATIVE, DISK_READ_BYTES, "read_bytes", BYTES, 1, 0, "Bytes read")            \
 *         X(LOG, DISK_SIZES, "read_size_hist", BYTES, 24, 0, "Sizes of reads")               \
 *         X(LATENCY, DISK_READ_TIME, "read", NANOSECONDS, 32, 0, "Time a read takes")
 *     VMT_SCHEMA_ENUM(DISK, DISK_STATISTICS)                        // in a header: DISK_READS, ..., DISK_SLOTS
 *     VMT_SCHEMA_DEFINE(disk_schema, "disk", "vmm", "block", DISK, DISK_STATISTICS)       // in one C file
 *
 * A row is X(kind, ID, name, unit, size, bucket_size, help):
 *   kind  CUMULATIVE, INSTANT, PEAK, MINIMUM, BOOLEAN            one slot; size 1, bucket_size 0
 *         SIGNED_INSTANT, SIGNED_PEAK, SIGNED_MINIMUM            the same, int64_t
 *         INSTANT_MAX, INSTANT_AVERAGE, INSTANT_COUNT_ZERO       an instant with that aggregation over sources
 *         LINEAR, LOG                                            a histogram: size buckets, size slots
 *         LATENCY                                                4 + size slots that change as one group: name_count,
 *                                                                name_sum, name_min, name_max, name_hist (logarithmic)
 *   unit  NONE, BYTES, KIBIBYTES, MEBIBYTES, SECONDS, MILLISECONDS, MICROSECONDS, NANOSECONDS, CYCLES, BOOL
 *
 * vmt_record(shard, ID, value) and VMT_TIME(shard, ID) of count.h take such an ID.
 * Schemas may also be written by hand, as arrays of struct vmt_descriptor.
 */
#ifndef VMTALLY_SCHEMA_H
#define VMTALLY_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/descriptor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One statistic. On the writer's side static data; on the reader's parsed from a segment and checked. */
struct vmt_descriptor {
    const char *name;     /* shorter than VMT_NAME_SIZE; printable ASCII without space */
    const char *help;     /* UTF-8, one line, shorter than VMT_HELP_MAX; "" where there is none */
    uint32_t flags;       /* VMT_TYPE_ | VMT_UNIT_ | VMT_BASE_ | VMT_AGGREGATION_ | VMT_SIGNED */
    uint32_t slot;        /* its first slot */
    uint32_t bucket_size; /* of a linear histogram, else 0 */
    int16_t exponent;     /* value * base^exponent is in the unit; >= 0, for seconds <= 0 */
    uint16_t size;        /* slots: 1, or the buckets of a histogram */
    uint16_t group;       /* not 0: changes together with the others of the schema that have this number */
    uint16_t minuend;     /* not 0: 1 + index of the descriptor from which this one is subtracted to give a level;
                             a reader sums this one first, so the difference is never below 0 */
    uint8_t level;        /* enum vmt_level */
    uint8_t reserved[3];
};

/* A schema. Immutable. */
struct vmt_schema {
    const char *name;     /* shorter than 24, as the two below */
    const char *provider; /* who counts: "vmm", "kvm", ... */
    const char *target;   /* what kind of thing is counted: "vm", "vcpu", "block", ... */
    const struct vmt_descriptor *descriptors;
    uint32_t count; /* of descriptors */
    uint32_t slots; /* of values; the descriptors cover 0 .. slots-1 densely, in order */
};

/* The descriptor of that name, or NULL. Any thread. */
const struct vmt_descriptor *vmt_schema_find(const struct vmt_schema *schema, const char *name);

/* Bounds of bucket i of a histogram, in the descriptor's unit: *low <= value < *high (<= for the last, open bucket,
 * whose *high is UINT64_MAX). i < d->size. KVM's rules: linear min(value / bucket_size, size-1), logarithmic
 * min(fls64(value), size-1), that is {0} {1} [2,4) [4,8) ... Any thread. */
void vmt_bucket_bounds(const struct vmt_descriptor *d, uint32_t i, uint64_t *low, uint64_t *high);

/* The quantile q (0 to 1) of a histogram whose d->size buckets are at buckets: a bound *low <= quantile <= *high.
 * Returns 0, or -ENODATA where nothing was recorded. Any thread. */
int vmt_quantile(const struct vmt_descriptor *d, const uint64_t *buckets, double q, uint64_t *low, uint64_t *high);

/* ---- what the list macros are made of ---- */

#define VMT_FLAGS_NONE (VMT_UNIT_NONE | VMT_BASE_POW10)
#define VMT_FLAGS_BYTES (VMT_UNIT_BYTES | VMT_BASE_POW2)
#define VMT_FLAGS_KIBIBYTES (VMT_UNIT_BYTES | VMT_BASE_POW2)
#define VMT_FLAGS_MEBIBYTES (VMT_UNIT_BYTES | VMT_BASE_POW2)
#define VMT_FLAGS_SECONDS (VMT_UNIT_SECONDS | VMT_BASE_POW10)
#define VMT_FLAGS_MILLISECONDS (VMT_UNIT_SECONDS | VMT_BASE_POW10)
#define VMT_FLAGS_MICROSECONDS (VMT_UNIT_SECONDS | VMT_BASE_POW10)
#define VMT_FLAGS_NANOSECONDS (VMT_UNIT_SECONDS | VMT_BASE_POW10)
#define VMT_FLAGS_CYCLES (VMT_UNIT_CYCLES | VMT_BASE_POW10)
#define VMT_FLAGS_BOOL (VMT_UNIT_BOOLEAN | VMT_BASE_POW10)
#define VMT_EXPONENT_NONE 0
#define VMT_EXPONENT_BYTES 0
#define VMT_EXPONENT_KIBIBYTES 10
#define VMT_EXPONENT_MEBIBYTES 20
#define VMT_EXPONENT_SECONDS 0
#define VMT_EXPONENT_MILLISECONDS (-3)
#define VMT_EXPONENT_MICROSECONDS (-6)
#define VMT_EXPONENT_NANOSECONDS (-9)
#define VMT_EXPONENT_CYCLES 0
#define VMT_EXPONENT_BOOL 0

/* How many slots a row takes. */
#define VMT_SLOTS_CUMULATIVE(size) 1
#define VMT_SLOTS_INSTANT(size) 1
#define VMT_SLOTS_PEAK(size) 1
#define VMT_SLOTS_MINIMUM(size) 1
#define VMT_SLOTS_BOOLEAN(size) 1
#define VMT_SLOTS_SIGNED_INSTANT(size) 1
#define VMT_SLOTS_SIGNED_PEAK(size) 1
#define VMT_SLOTS_SIGNED_MINIMUM(size) 1
#define VMT_SLOTS_INSTANT_MAX(size) 1
#define VMT_SLOTS_INSTANT_AVERAGE(size) 1
#define VMT_SLOTS_INSTANT_COUNT_ZERO(size) 1
#define VMT_SLOTS_LINEAR(size) (size)
#define VMT_SLOTS_LOG(size) (size)
#define VMT_SLOTS_LATENCY(size) (4 + (size))

#define VMT_ROW_SLOT(kind, id, name, unit, size, bucket, help) id, id##_LAST_ = id + VMT_SLOTS_##kind(size) - 1,
#define VMT_ROW_BUCKETS(kind, id, name, unit, size, bucket, help) id##_BUCKETS = (size), id##_BUCKET_SIZE = (bucket),

#define VMT_DESCRIPTOR_(name, help, flags, slot, bucket, exponent, size, group)                                        \
    { name, help, flags, slot, bucket, exponent, size, group, 0, VMT_LEVEL_INFO, { 0, 0, 0 } },
#define VMT_SCALAR_(id, name, unit, help, flags)                                                                       \
    VMT_DESCRIPTOR_(name, help, VMT_FLAGS_##unit | (flags), id, 0, VMT_EXPONENT_##unit, 1, 0)
#define VMT_MAKE_CUMULATIVE(id, name, unit, size, bucket, help) VMT_SCALAR_(id, name, unit, help, VMT_TYPE_CUMULATIVE)
#define VMT_MAKE_INSTANT(id, name, unit, size, bucket, help) VMT_SCALAR_(id, name, unit, help, VMT_TYPE_INSTANT)
#define VMT_MAKE_PEAK(id, name, unit, size, bucket, help) VMT_SCALAR_(id, name, unit, help, VMT_TYPE_PEAK)
#define VMT_MAKE_MINIMUM(id, name, unit, size, bucket, help)                                                           \
    VMT_SCALAR_(id, name, unit, help, VMT_TYPE_INSTANT | VMT_AGGREGATION_MIN)
#define VMT_MAKE_BOOLEAN(id, name, unit, size, bucket, help) VMT_SCALAR_(id, name, BOOL, help, VMT_TYPE_INSTANT)
#define VMT_MAKE_SIGNED_INSTANT(id, name, unit, size, bucket, help)                                                    \
    VMT_SCALAR_(id, name, unit, help, VMT_TYPE_INSTANT | VMT_SIGNED)
#define VMT_MAKE_SIGNED_PEAK(id, name, unit, size, bucket, help)                                                       \
    VMT_SCALAR_(id, name, unit, help, VMT_TYPE_PEAK | VMT_SIGNED)
#define VMT_MAKE_SIGNED_MINIMUM(id, name, unit, size, bucket, help)                                                    \
    VMT_SCALAR_(id, name, unit, help, VMT_TYPE_INSTANT | VMT_AGGREGATION_MIN | VMT_SIGNED)
#define VMT_MAKE_INSTANT_MAX(id, name, unit, size, bucket, help)                                                       \
    VMT_SCALAR_(id, name, unit, help, VMT_TYPE_INSTANT | VMT_AGGREGATION_MAX)
#define VMT_MAKE_INSTANT_AVERAGE(id, name, unit, size, bucket, help)                                                   \
    VMT_SCALAR_(id, name, unit, help, VMT_TYPE_INSTANT | VMT_AGGREGATION_AVERAGE)
#define VMT_MAKE_INSTANT_COUNT_ZERO(id, name, unit, size, bucket, help)                                                \
    VMT_SCALAR_(id, name, unit, help, VMT_TYPE_INSTANT | VMT_AGGREGATION_COUNT_ZERO)
#define VMT_MAKE_LINEAR(id, name, unit, size, bucket, help)                                                            \
    VMT_DESCRIPTOR_(name, help, VMT_FLAGS_##unit | VMT_TYPE_LINEAR_HIST, id, bucket, VMT_EXPONENT_##unit, size, 0)
#define VMT_MAKE_LOG(id, name, unit, size, bucket, help)                                                               \
    VMT_DESCRIPTOR_(name, help, VMT_FLAGS_##unit | VMT_TYPE_LOG_HIST, id, 0, VMT_EXPONENT_##unit, size, 0)
#define VMT_MAKE_LATENCY(id, name, unit, size, bucket, help)                                                           \
    VMT_DESCRIPTOR_(name "_count", help " (count)", VMT_FLAGS_NONE | VMT_TYPE_CUMULATIVE, (id), 0, 0, 1, (id) + 1)     \
    VMT_DESCRIPTOR_(name "_sum", help " (sum)", VMT_FLAGS_##unit | VMT_TYPE_CUMULATIVE, (id) + 1, 0,                   \
                    VMT_EXPONENT_##unit, 1, (id) + 1)                                                                  \
    VMT_DESCRIPTOR_(name "_min", help " (minimum)", VMT_FLAGS_##unit | VMT_TYPE_INSTANT | VMT_AGGREGATION_MIN,         \
                    (id) + 2, 0, VMT_EXPONENT_##unit, 1, (id) + 1)                                                     \
    VMT_DESCRIPTOR_(name "_max", help " (maximum)", VMT_FLAGS_##unit | VMT_TYPE_PEAK, (id) + 3, 0,                     \
                    VMT_EXPONENT_##unit, 1, (id) + 1)                                                                  \
    VMT_DESCRIPTOR_(name "_hist", help " (histogram)", VMT_FLAGS_##unit | VMT_TYPE_LOG_HIST, (id) + 4, 0,              \
                    VMT_EXPONENT_##unit, size, (id) + 1)
#define VMT_ROW_DESCRIPTOR(kind, id, name, unit, size, bucket, help) VMT_MAKE_##kind(id, name, unit, size, bucket, help)

/* The slots ID, and the constants that vmt_record and VMT_TIME look for, and PREFIX_SLOTS. */
#define VMT_SCHEMA_ENUM(prefix, list)                                                                                  \
    enum { list(VMT_ROW_SLOT) prefix##_SLOTS };                                                                        \
    enum { list(VMT_ROW_BUCKETS) prefix##_BUCKETS_END_ = 0 };

/* The definition of "const struct vmt_schema var". In one C or C++ file. */
#define VMT_SCHEMA_DEFINE(var, name, provider, target, prefix, list)                                                   \
    static const struct vmt_descriptor var##_descriptors_[] = { list(VMT_ROW_DESCRIPTOR) };                            \
    extern const struct vmt_schema var; /* C++: external linkage */                                                    \
    const struct vmt_schema var = { name,                                                                              \
                                    provider,                                                                          \
                                    target,                                                                            \
                                    var##_descriptors_,                                                                \
                                    sizeof(var##_descriptors_) / sizeof(var##_descriptors_[0]),                        \
                                    prefix##_SLOTS };

#ifdef __cplusplus
}
#endif

#endif
