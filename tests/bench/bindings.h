/* SPDX-License-Identifier: MIT */
/* One increment, in each language that there is: the same loop over the same shard, of a source with vmt_schema_vcpu.
 * Each counts n times (n is a multiple of 8), eight times a turn: in "exits", or in eight slots in turn. */
#ifndef TESTS_BENCH_BINDINGS_H
#define TESTS_BENCH_BINDINGS_H

#include <stdint.h>

#include <vmtally/count.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Through a vmtally::shard that is held from the first of these to the last. */
void cpp_hold(struct vmt_shard *shard);
void cpp_increment(void *unused, uint64_t n);
void cpp_increment_eight(void *unused, uint64_t n);
void cpp_release(void);

#ifdef __cplusplus
}
#endif

#endif
