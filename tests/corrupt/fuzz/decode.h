/* SPDX-License-Identifier: MIT */
/* decode.h: the decoders of what the kernel says of other processes and of their VMs, for fuzz_decode.c. */
#ifndef FUZZ_DECODE_H
#define FUZZ_DECODE_H

#include <stddef.h>
#include <stdint.h>

void decode_statistics(const uint8_t *data, size_t size); /* a KVM statistics file */
void decode_links(const uint8_t *data, size_t size);      /* the text of a link in /proc/PID/fd */
void decode_names(const uint8_t *data, size_t size);      /* a command and its arguments */
void decode_status(const uint8_t *data, size_t size);     /* /proc/PID/status, comm */
void decode_debugfs(const uint8_t *data, size_t size);    /* a number in debugfs */

#endif
