/* SPDX-License-Identifier: MIT */
/* What a VM is called, as far as its VMM's command line says so. */
#ifndef LIB_KVM_NAMES_H
#define LIB_KVM_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#define VM_NAME_SIZE 64

/* Is this the command (as in /proc/PID/comm: cut to 15 bytes) of a VMM? */
bool vmm_known(const char *comm);

/* The name that is given to the VM in arguments (n bytes, each argument NUL-terminated), else the command. Fit to print,
 * without '/', never "". Nothing in arguments is trusted. */
void vmm_name(const char *comm, const char *arguments, size_t n, char name[VM_NAME_SIZE]);

#endif
