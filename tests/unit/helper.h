/* SPDX-License-Identifier: MIT */
/* helper.h: a directory of its own for each test, on a memory file system, as VMTALLY_DIR. */
#ifndef TESTS_UNIT_HELPER_H
#define TESTS_UNIT_HELPER_H

/* Criterion's .init and .fini: make the directory and set VMTALLY_DIR; remove it with all that is in it. */
void test_dir_init(void);
void test_dir_fini(void);

/* "DIR/name", in memory that stays valid until the test ends. */
const char *test_path(const char *name);

#endif
