/* SPDX-License-Identifier: MIT */
/* KVM statistics files of the fixed snapshot, to the byte: a source of the VMM's and one of the kernel's, both with a
 * logarithmic histogram. */
#include "golden.h"

#include <sys/mman.h>
#include <unistd.h>

#include <vmtally/export.h>

#include "fixed_snapshot.h"
#include "kvm_assertions.h"

static void compare(const char *id, const char *golden)
{
    struct vmt_snapshot *snapshot = fixed_snapshot();
    int fd = memfd_create("image", MFD_CLOEXEC);
    struct vmt_buffer out = { 0 };
    char why[256];
    size_t i = 0;

    while (i < vmt_snapshot_count(snapshot) && strcmp(vmt_snapshot_source(snapshot, i)->id, id) != 0)
        i++;
    cr_assert_eq(vmt_kvm_encode(snapshot, i, &out), 0, "%s", id);
    golden_compare(golden, out.data, out.size);
    cr_assert_eq(write(fd, out.data, out.size), (ssize_t)out.size);
    cr_expect(kvm_assertions_hold_twice(fd, why, sizeof(why)), "%s: %s", id, why);
    close(fd);
    vmt_buffer_free(&out);
    vmt_snapshot_free(snapshot);
    fixed_forget();
}

Test(kvm_golden, a_vcpu_gives_the_golden_file) { compare("vm/vcpu-0", "fixed-vcpu.kvm"); }

Test(kvm_golden, the_kernels_view_of_a_vcpu_gives_the_golden_file)
{
    compare("vm/vcpu-0/kvm", "fixed-kernel-vcpu.kvm");
}
