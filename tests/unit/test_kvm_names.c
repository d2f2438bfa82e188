/* SPDX-License-Identifier: MIT */
/* What VMs are called, and which descriptors are KVM's: texts that others wrote. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "lib/kvm/names.h"
#include "lib/kvm/proc.h"
#include "parts.h"

TestSuite(kvm_names);
TestSuite(kvm_links);

/* ---- names ---- */

static const struct {
    const char *comm;
    const char *arguments; /* '\n' for NUL */
    const char *name;
} named[] = {
    { "qemu-system-x86", "/usr/bin/qemu-system-x86_64\n-name\nguest=web-1,debug-threads=on\n", "web-1" },
    { "qemu-system-x86", "qemu-system-x86_64\n-m\n1G\n-name\ndb\n", "db" },
    { "qemu-system-x86", "qemu-system-x86_64\n--name\ndb,process=x\n", "db" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\ndebug-threads=on,guest=a,,b\n", "a,b" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\ndebug-threads=on\n", "qemu-system-x86_64" },
    { "qemu-system-x86", "qemu-system-x86_64\n-nameless\nx\n", "qemu-system-x86_64" },
    { "kvm", "/usr/bin/kvm\n-id\n100\n-name\nct,debug-threads=on\n", "ct" },
    { "renamed", "/usr/libexec/qemu-kvm\n-name\nguest=r,process=renamed\n", "r" },
    { "firecracker", "/firecracker\n--id\nfc-7\n--api-sock\n/run/x\n", "fc-7" },
    { "firecracker-v1.", "firecracker-v1.9\n--id=fc-8\n", "fc-8" },
    { "firecracker", "firecracker\n--api-sock\nx\n", "firecracker" },
    { "cloud-hyperviso", "/usr/bin/cloud-hypervisor\n--api-socket\nx\n", "cloud-hypervisor" },
    { "crosvm", "crosvm\nrun\n--name\ncr\n", "cr" },
    { "lkvm", "lkvm\nrun\n--name\nlk\n", "lk" },
    { "tinykvm", "/opt/tinykvm\n--name\nno\n", "tinykvm" },
    { "comm", "", "comm" },
    { "", "", "?" },
    { "x", "\n\n\n", "x" },
    { "x", "/\n", "x" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\n", "qemu-system-x86_64" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\n \n", "qemu-system-x86_64" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\n../../etc\n", "..?..?etc" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\na\033[2Jb\302\n", "a?[2Jb?" },
    { "qemu-system-x86", "qemu-system-x86_64\n-name\n\303\244\n", "\303\244" },
    { "firecracker", "firecracker\n--id\none\n--id\ntwo\n", "two" },
};

static void name_of(const char *comm, const char *arguments, char name[VM_NAME_SIZE])
{
    size_t n = strlen(arguments);
    char *bytes = malloc(n + 1); /* of that size: what lies behind is seen by sanitizers */

    memcpy(bytes, arguments, n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = bytes[i] == '\n' ? '\0' : bytes[i];
    memset(name, 'x', VM_NAME_SIZE);
    vmm_name(comm, bytes, n, name);
    free(bytes);
}

Test(kvm_names, vm_is_called_as_its_vmm_was_told)
{
    char name[VM_NAME_SIZE];

    for (size_t i = 0; i < LENGTH(named); i++) {
        name_of(named[i].comm, named[i].arguments, name);
        cr_expect_str_eq(name, named[i].name, "%s: '%s', not '%s'", named[i].arguments, name, named[i].name);
    }
}

Test(kvm_names, long_names_and_arguments_without_end_are_cut)
{
    char arguments[4096] = "qemu-system-x86_64\n-name\nguest=";
    char name[VM_NAME_SIZE];

    memset(arguments + strlen(arguments), 'n', 3000);
    name_of("qemu-system-x86", arguments, name);
    cr_expect_eq(strlen(name), VM_NAME_SIZE - 1);
    cr_expect_eq(strspn(name, "n"), VM_NAME_SIZE - 1);
    /* A character of several bytes that does not fit any more. */
    for (int i = 0; i < 100; i++)
        memcpy(arguments + strlen("firecracker\n--id\n") + 3 * i, "\342\202\254", 4);
    memcpy(arguments, "firecracker\n--id\n", strlen("firecracker\n--id\n"));
    name_of("firecracker", arguments, name);
    cr_expect_eq(strlen(name), VM_NAME_SIZE - 1);
}

Test(kvm_names, commands_of_vmms_are_known_as_a_whole)
{
    cr_expect(vmm_known("qemu-system-x86") && vmm_known("qemu-kvm") && vmm_known("kvm") && vmm_known("firecracker"));
    cr_expect(vmm_known("cloud-hyperviso") && vmm_known("crosvm") && vmm_known("lkvm"));
    cr_expect(!vmm_known("kvm-nx-lpage-re") && !vmm_known("kvmtop") && !vmm_known("qemu-img") && !vmm_known(""));
}

/* ---- links ---- */

static const struct {
    const char *text;
    enum proc_kind kind;
    int32_t vcpu;
} links[] = {
    { "anon_inode:kvm-vm", PROC_VM, -1 },
    { "anon_inode:[kvm-vm]", PROC_VM, -1 },
    { "anon_inode:kvm-vcpu:0", PROC_VCPU, 0 },
    { "anon_inode:[kvm-vcpu:12]", PROC_VCPU, 12 },
    { "anon_inode:kvm-vm-stats", PROC_VM_STATS, -1 },
    { "anon_inode:kvm-vcpu-stats:7", PROC_VCPU_STATS, 7 },
    { "anon_inode:kvm-vmx", PROC_OTHER, 0 },
    { "anon_inode:kvm-v", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu:", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu:1x", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu:-1", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu:01", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu:99999999999999999999", PROC_OTHER, 0 },
    { "anon_inode:kvm-vcpu-stats: 7", PROC_OTHER, 0 },
    { "anon_inode:[kvm-vm", PROC_OTHER, 0 },
    { "anon_inode:", PROC_OTHER, 0 },
    { "anon_inode:[", PROC_OTHER, 0 },
    { "anon_inode:[]", PROC_OTHER, 0 },
    { "/tmp/anon_inode:kvm-vm", PROC_OTHER, 0 },
    { "/dev/kvm", PROC_OTHER, 0 },
    { "", PROC_OTHER, 0 },
};

Test(kvm_links, are_matched_as_a_whole_with_their_numbers)
{
    for (size_t i = 0; i < LENGTH(links); i++) {
        int32_t vcpu = 0;
        enum proc_kind kind = proc_kind_of(links[i].text, &vcpu);

        cr_expect_eq(kind, links[i].kind, "'%s': %d", links[i].text, (int)kind);
        cr_expect_eq(vcpu, links[i].vcpu, "'%s': %d", links[i].text, vcpu);
    }
}
