/* SPDX-License-Identifier: MIT */
/* A declared schema as a block of bytes, as it stands in segments (shm/FORMAT.md). The same one always gives the same
 * bytes, but for the link to the next block, wherever the block stands. */
#ifndef LIB_SCHEMA_BLOCK_H
#define LIB_SCHEMA_BLOCK_H

#include <stdint.h>

#include <vmtally/schema.h>

/* 0, or -EINVAL: what the kernel's selftest asserts of statistics, and what readers rely on, does not hold. */
int schema_check(const struct vmt_schema *schema);

/* Of a schema that was checked. */
uint32_t schema_block_bytes(const struct vmt_schema *schema);

/* block: as many bytes, aligned to 8. Its next is 0. */
void schema_block_fill(void *block, const struct vmt_schema *schema);

#endif
