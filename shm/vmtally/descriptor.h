/* SPDX-License-Identifier: MIT */
/* vmtally/descriptor.h: what one statistic is, in KVM's own words.
 *
 * The two structs and all VMT_TYPE_, VMT_UNIT_ and VMT_BASE_ values are those of <linux/kvm.h>
 * (KVM_GET_STATS_FD, "4.134" in the kernel's Documentation/virt/kvm/api.rst), byte for byte; a C test compares them
 * with the kernel's header. They stand here again because Debian 12's <linux/stddef.h> makes struct kvm_stats_desc
 * 20 bytes long in C++, and because VMMs bring their own copy of <linux/kvm.h>.
 */
#ifndef VMTALLY_DESCRIPTOR_H
#define VMTALLY_DESCRIPTOR_H

#include <stdint.h>

#define VMT_NAME_SIZE 48 /* bytes of a statistic's or a source's name, its NUL included: KVM's name_size */

/* struct kvm_stats_header: 24 bytes, at the start of a statistics file and of a schema block. */
struct vmt_kvm_header {
    uint32_t flags; /* 0 */
    uint32_t name_size;
    uint32_t num_desc;
    uint32_t id_offset;
    uint32_t desc_offset;
    uint32_t data_offset;
};

/* struct kvm_stats_desc with its name: 16 + VMT_NAME_SIZE bytes. */
struct vmt_kvm_desc {
    uint32_t flags;
    int16_t exponent;
    uint16_t size;        /* how many u64 */
    uint32_t offset;      /* bytes from data_offset */
    uint32_t bucket_size; /* width of a bucket, linear histograms only */
    char name[VMT_NAME_SIZE];
};

/* bits 0 to 3: type */
#define VMT_TYPE_MASK 0xfU
#define VMT_TYPE_CUMULATIVE 0x0U /* only grows */
#define VMT_TYPE_INSTANT 0x1U    /* goes up and down */
#define VMT_TYPE_PEAK 0x2U       /* the highest ever seen */
#define VMT_TYPE_LINEAR_HIST 0x3U
#define VMT_TYPE_LOG_HIST 0x4U
#define VMT_TYPE_MAX VMT_TYPE_LOG_HIST

/* bits 4 to 7: unit */
#define VMT_UNIT_MASK 0xf0U
#define VMT_UNIT_NONE 0x00U
#define VMT_UNIT_BYTES 0x10U
#define VMT_UNIT_SECONDS 0x20U
#define VMT_UNIT_CYCLES 0x30U
#define VMT_UNIT_BOOLEAN 0x40U
#define VMT_UNIT_MAX VMT_UNIT_BOOLEAN

/* bits 8 to 11: base; the value is in units of base^exponent */
#define VMT_BASE_MASK 0xf00U
#define VMT_BASE_POW10 0x000U
#define VMT_BASE_POW2 0x100U
#define VMT_BASE_MAX VMT_BASE_POW2

/* Bits 12 to 23 are left to KVM; a plain KVM reader ignores the rest.
 * bits 24 to 27: how values are put together, first over the shards of a source, then over sources. 0 is the type's
 * own: peak is VMT_AGGREGATION_MAX, all others VMT_AGGREGATION_SUM.
 * Over shards only sum, min and max exist: the two others add shards up, and count over live sources. */
#define VMT_AGGREGATION_MASK 0x0f000000U
#define VMT_AGGREGATION_TYPE 0x00000000U
#define VMT_AGGREGATION_SUM 0x01000000U
#define VMT_AGGREGATION_MIN 0x02000000U /* starts at UINT64_MAX (INT64_MAX if signed), which is shown as absent */
#define VMT_AGGREGATION_MAX 0x03000000U
#define VMT_AGGREGATION_AVERAGE 0x04000000U    /* mean over live sources, rounded toward zero */
#define VMT_AGGREGATION_COUNT_ZERO 0x05000000U /* how many live sources are at 0 */
#define VMT_AGGREGATION_LAST VMT_AGGREGATION_COUNT_ZERO

/* bit 28: the u64 is an int64_t in two's complement (instant and peak values only) */
#define VMT_SIGNED 0x10000000U

/* How much a statistic matters to someone who looks (Varnish's levels). */
enum vmt_level { VMT_LEVEL_INFO = 0, VMT_LEVEL_DIAGNOSTIC = 1, VMT_LEVEL_DEBUG = 2 };

/* What the writer of a segment is doing, as far as can be told (promise 11). */
enum vmt_state {
    VMT_STATE_LIVE = 0,            /* its lock is held */
    VMT_STATE_CLOSED = 1,          /* it said goodbye */
    VMT_STATE_DIED = 2,            /* the kernel dropped its lock, and it had not said goodbye */
    VMT_STATE_DIED_MID_CHANGE = 3, /* as above, while sources or schemas were being changed */
    VMT_STATE_STALLED = 4,         /* its lock is held, but its heartbeat is overdue or a change does not end */
    VMT_STATE_DAMAGED = 5,         /* the bytes contradict themselves, or the file shrank */
    VMT_STATE_OTHER_VERSION = 6,   /* written by a version that this one can't read */
    VMT_STATE_COUNT = 7
};

/* Limits of format version 1; readers refuse more, writers never make more. */
#define VMT_SLOTS_MAX 4096U       /* u64 values of one schema */
#define VMT_DESCRIPTORS_MAX 1024U /* descriptors of one schema */
#define VMT_SCHEMAS_MAX 256U      /* schemas in one segment */
#define VMT_DEPTH_MAX 8U          /* levels of sources, the segment itself not counted */
#define VMT_HELP_MAX 1024U        /* bytes of one help text, its NUL included */
#define VMT_SOURCES_MAX 1048576U  /* entries of one segment */

#endif
