/* SPDX-License-Identifier: MIT */
/* A KVM statistics file (KVM_GET_STATS_FD: Documentation/virt/kvm/api.rst, 4.134; virt/kvm/binary_stats.c) as a schema of
 * ours and its values. */
#ifndef LIB_KVM_STATISTICS_H
#define LIB_KVM_STATISTICS_H

#include <stdint.h>

#include <vmtally/schema.h>

/* A schema in the form in which a VMM declares one, with all that it points to: it passes schema_check(). provider "kvm";
 * name "kvm-vm" or "kvm-vcpu"; help for what is known of KVM. Its descriptors are sorted by slot; the kernel's need not
 * be. What a kernel counts in a way that we don't know (a type, a unit, a name that is too long) is left out. */
struct kvm_schema {
    struct vmt_schema schema; /* first */
    uint32_t references;
    uint32_t data_offset;   /* in the file; 0: its values stand in no such file */
    uint32_t data_bytes;    /* from there on, as far as they are of use */
    const uint32_t *places; /* of descriptors: the first value's, from data_offset. NULL: 8 * slot, for all of them */
};

/* What the file behind fd says of itself: header, descriptors; checked. vcpu: what it is of, 0 a VM, else a vCPU. id (of
 * VMT_NAME_SIZE bytes, or NULL) becomes its id: "kvm-4711", "kvm-4711/vcpu-2". *ret is the caller's: one that was read
 * before and is the same, or a new one; kvm_schema_release() it. 0, -EBADMSG (not such a file), -ENOMEM, what pread gives.
 * Any thread. */
int kvm_schema_read(int fd, int vcpu, char *id, const struct kvm_schema **ret);
void kvm_schema_release(const struct kvm_schema *schema); /* NULL is allowed */

/* The same without some statistics (keep[i] 0: descriptor i is left out; slots move up): what debugfs has no file of.
 * 0, -ENODATA (nothing is left), -ENOMEM. */
int kvm_schema_part(const struct kvm_schema *schema, const uint8_t *keep, const struct kvm_schema **ret);

/* One of these statistics, of which name, flags, exponent, bucket_size and size count; the names are copied. 0, -EINVAL
 * (what schema_check() holds is not so), -ENOMEM. */
int kvm_schema_make(int vcpu, const struct vmt_descriptor *descriptors, uint32_t count, const struct kvm_schema **ret);

/* All values, in one pread: schema->schema.slots of them. 0, -EIO (less than all), what pread gives; *values may have
 * been changed then. Any thread. */
int kvm_values_read(const struct kvm_schema *schema, int fd, uint64_t *values);

/* The schemas of this very kernel, from a VM with one vCPU made for the purpose and closed again, by a thread that is gone
 * by then: nobody finds that VM in /proc. *vm and *vcpu are the caller's. 0; what open of /dev/kvm and its ioctls give,
 * close_range and pthread_create; -ENOTTY where KVM is too old. */
int kvm_schemas_of_host(const struct kvm_schema **vm, const struct kvm_schema **vcpu);

/* For fork(): nobody is in the middle of a change of the list of schemas. Inside of parsed_hold(). */
void kvm_schemas_hold(void);
void kvm_schemas_let_go(void);

/* A line of help for a statistic of KVM, "" where it is not known. */
const char *kvm_help(const char *name);

/* Whether it is known as one of vCPUs. */
int kvm_is_of_vcpu(const char *name);

#endif
