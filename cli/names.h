/* SPDX-License-Identifier: MIT */
/* names.h: names that VMs have in one sample, of which no two are the same: whoever gets records tells VMs apart by
 * them. */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define NAME_SIZE 352 /* bytes that hold one; what is longer is cut */

/* Starts as zeros, grows and is kept. */
struct names {
    struct names_entry *entries;
    size_t room; /* a power of 2, or 0 */
    size_t used;
};

void names_clear(struct names *names);
void names_free(struct names *names);

/* title, or where it is taken "title~2" and so on, into buf. 0 or -ENOMEM. */
int names_add(struct names *names, const char *title, char buf[NAME_SIZE]);

#endif
