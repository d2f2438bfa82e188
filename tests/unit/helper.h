/* SPDX-License-Identifier: MIT */
/* helper.h: a directory of its own for each test, on a memory file system, as VMTALLY_DIR; and what little of it there
 * may be. */
#ifndef TESTS_UNIT_HELPER_H
#define TESTS_UNIT_HELPER_H

#include <stdbool.h>
#include <stdint.h>

/* Criterion's .init and .fini: make the directory and set VMTALLY_DIR; remove it with all that is in it. */
void test_dir_init(void);
void test_dir_fini(void);

/* "DIR/name", in memory that stays valid until the test ends. */
const char *test_path(const char *name);

/* Entries in that directory, hidden ones counted too. */
int test_dir_files(void);

/* In a child: that directory becomes an empty memory file system of that many pages, which only this process sees (in a
 * mount namespace of its own). false where that is not permitted: TEST_NO_MOUNT is the child's exit status then. */
#define TEST_NO_MOUNT 77
bool test_dir_mount(unsigned pages);

/* From now on it has that many pages. false: more are in use. */
bool test_dir_resize(unsigned pages);

/* A system call that fails from now on in this process: where its argument 1 is that large, and arguments 2 and 3 have
 * those bits (0: whatever they are). */
struct test_denial {
    int number;
    int error;
    uint32_t least_1;
    uint32_t bits_2;
    uint32_t bits_3;
};
bool test_deny(const struct test_denial *denial);

/* What this process has now: descriptors that are open, and address space. */
int test_descriptors(void);
uint64_t test_address_space(void);

/* What a child is at, for the last words of REQUIRE (parts.h). */
extern char test_at[64];

#endif
