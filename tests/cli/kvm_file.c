/* SPDX-License-Identifier: MIT */
/* kvm_file FILE...: whether each is a KVM statistics file, by all that the kernel's selftest asserts of one. 0, or 1 and
 * what is broken. -v prints what is in them, a line a value: "ID NAME VALUE...". */
#include <fcntl.h>
#include <inttypes.h>

#include "../unit/kvm_assertions.h"

static void print(int fd)
{
    struct kvm_file f = { .fd = fd };

    kvm_header_holds(&f);
    kvm_id_holds(&f);
    kvm_descriptors_hold(&f);
    for (uint32_t i = 0; i < f.header.num_desc; i++) {
        const struct kvm_stats_desc *d = kvm_desc(&f, i);
        uint64_t value;

        printf("%s %s", f.id, d->name);
        for (uint32_t k = 0; k < d->size; k++) {
            kvm_read_whole(&f, &value, sizeof(value), f.header.data_offset + d->offset + 8ULL * k);
            printf(" %" PRIu64, value);
        }
        puts("");
    }
    free(f.descriptors);
    free(f.described);
}

int main(int argc, char **argv)
{
    bool values = argc > 1 && strcmp(argv[1], "-v") == 0;
    int status = 0;

    for (int i = 1 + values; i < argc; i++) {
        char why[256];
        int fd = open(argv[i], O_RDONLY | O_CLOEXEC);

        if (fd < 0)
            snprintf(why, sizeof(why), "%s", strerror(errno));
        if (fd < 0 || !kvm_assertions_hold_twice(fd, why, sizeof(why))) {
            printf("%s: %s\n", argv[i], why);
            status = 1;
        } else if (values) {
            print(fd);
        }
        if (fd >= 0)
            close(fd);
    }
    return status;
}
