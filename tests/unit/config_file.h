/* SPDX-License-Identifier: MIT */
/* config_file.h: a place of its own for each test's settings of kvmtop. */
#ifndef TESTS_UNIT_CONFIG_FILE_H
#define TESTS_UNIT_CONFIG_FILE_H

#include <sys/stat.h>

#include "parts.h"

#define FILE_TEXT 4096

static char *file; /* that of the settings */

static inline void init(void)
{
    test_dir_init();
    setenv("XDG_CONFIG_HOME", test_path("config"), 1);
    file = strdup(test_path("config/vmtally/kvmtop.conf"));
}

static inline void fini(void)
{
    free(file);
    test_dir_fini();
}

static inline void make_directories(void)
{
    cr_assert_eq(mkdir(test_path("config"), 0700), 0);
    cr_assert_eq(mkdir(test_path("config/vmtally"), 0700), 0);
}

static inline void put(const char *path, const char *text, size_t size)
{
    FILE *f;

    if (access(test_path("config/vmtally"), F_OK) < 0)
        make_directories();
    f = fopen(path, "w");
    cr_assert_not_null(f);
    cr_assert_eq(fwrite(text, 1, size, f), size);
    cr_assert_eq(fclose(f), 0);
}

static inline const char *contents(const char *path)
{
    static char text[FILE_TEXT];
    FILE *f = fopen(path, "r");

    cr_assert_not_null(f, "%s: %s", path, strerror(errno));
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    return text;
}

#endif
