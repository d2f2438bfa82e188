/* SPDX-License-Identifier: MIT */
/* recorded.h: what KVM said on one machine, for tests on any other. recorded/kvm-vm-stats and recorded/kvm-vcpu-stats are
 * statistics files (KVM_GET_STATS_FD) of a VM "kvm-4711" and of its vCPU 0; recorded/debugfs.txt is what debugfs had of
 * that VM, in one file, as git keeps no modes. In children, too: a failure is by REQUIRE. */
#ifndef TESTS_UNIT_RECORDED_H
#define TESTS_UNIT_RECORDED_H

#include "tests/unit/parts.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

static inline int recorded_open(const char *name)
{
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof(path), "%s/tests/unit/recorded/%s", getenv("VMT_SOURCE_ROOT"), name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    return fd;
}

/* Write text and a line's end into the file, made with all directories above it. */
static inline void recorded_put(const char *root, const char *name, mode_t mode, const char *text)
{
    char path[PATH_MAX];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", root, name);
    for (char *slash = path + strlen(root); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        REQUIRE(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    f = fopen(path, "we");
    REQUIRE(f && fprintf(f, "%s\n", text) > 0 && fchmod(fileno(f), mode) == 0 && fclose(f) == 0);
}

/* root becomes a directory with kvm/, kvm/exits, ..., kvm/4711-12/, kvm/4711-12/vcpu0/, ... */
static inline void recorded_debugfs(const char *root)
{
    FILE *f = fdopen(recorded_open("debugfs.txt"), "r");
    char line[256], name[128], value[64];
    unsigned mode;

    REQUIRE(f);
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "kvm/%127s %o %63[^\n]", name, &mode, value) == 3) {
            snprintf(line, sizeof(line), "kvm/%s", name);
            recorded_put(root, line, mode, value);
        }
    }
    fclose(f);
}

#endif
