/* SPDX-License-Identifier: MIT */
#include "minivmm_segment.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEARTBEAT_NS 2000000000U /* minivmm's loop turns more often */
#define JAIL_BYTES (2U << 20)    /* for 64 vCPUs */

/* What a jailer does: an empty file where the library would make one. It is asked by making a segment there, which
 * also takes the place of one whose writer is gone. */
static int make_file(struct vmt_segment_options segment, char **path)
{
    struct vmt_segment *asked = NULL;
    char *file;
    int fd, r;

    r = vmt_segment_create(&segment, &asked);
    if (r < 0)
        return r;
    file = strdup(vmt_segment_path(asked));
    vmt_segment_close(asked);
    if (!file)
        return -ENOMEM;
    fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        r = -errno;
        free(file);
        return r;
    }
    close(fd);
    *path = file;
    return 0;
}

static int create(const struct options *options, struct vmt_segment **ret, char **jail_path)
{
    char why[256] = "";
    struct vmt_segment_options segment = {
        .struct_size = sizeof(segment),
        .name = options->name,
        .dir = options->dir,
        .heartbeat_interval_ns = HEARTBEAT_NS,
    };
    int r = 0;

    if (options->jail) {
        r = make_file(segment, jail_path);
        segment.dir = NULL;
        segment.path = *jail_path;
        segment.fixed_bytes = JAIL_BYTES;
    } else {
        /* One that was killed is gone on with: what is counted is the VM, not this process. */
        segment.resume = 1;
        segment.why = why;
        segment.why_size = sizeof(why);
    }
    if (r == 0)
        r = vmt_segment_create(&segment, ret);
    if (*why)
        warnx("%s", why);
    if (r < 0 && *jail_path) {
        unlink(*jail_path);
        free(*jail_path);
        *jail_path = NULL;
    }
    return r;
}

/* Where the segment was to be, for a message. Where nothing was chosen the library has tried all of these, in turn. */
static void say_where(const struct options *options, char *where, size_t size)
{
    const char *chosen = options->dir ? options->dir : secure_getenv("VMTALLY_DIR");
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    bool has_runtime = runtime && *runtime == '/';

    if (options->dir || (chosen && *chosen))
        snprintf(where, size, "%s", chosen);
    else
        snprintf(where, size, "/run/vmtally%s%s%s or /dev/shm/vmtally-%u", has_runtime ? ", " : "",
                 has_runtime ? runtime : "", has_runtime ? "/vmtally" : "", (unsigned)geteuid());
}

int segment_create(const struct options *options, struct vmt_segment **ret, char **jail_path)
{
    char where[PATH_MAX];
    int r = create(options, ret, jail_path);

    if (r == -ENAMETOOLONG)
        r = -EINVAL;
    if (r == -EINVAL) {
        warnx("--name %s: not 1 to 63 of [A-Za-z0-9._:@+-] without a '.' first", options->name);
    } else if (r == -EEXIST) {
        warnx("--name %s: a VMM of that name is running", options->name);
    } else if (r < 0) {
        say_where(options, where, sizeof(where));
        warnx("can't create the segment of %s in %s: %s", options->name, where,
              r == -ENOTSUP ? "it is no directory of a memory file system (tmpfs)" : strerror(-r));
    } else {
        printf("minivmm: %s: %u vCPUs, %s, counting into %s\n", options->name, options->vcpus,
               options->simulate ? "simulated" : options->kvm, vmt_segment_path(*ret));
    }
    return r;
}
