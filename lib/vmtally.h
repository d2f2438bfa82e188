/* SPDX-License-Identifier: MIT */
/* vmtally.h: all that a VMM needs to count. Readers include <vmtally/reader.h>, exporters <vmtally/export.h>. */
#ifndef VMTALLY_H
#define VMTALLY_H

#include <vmtally/count.h>
#include <vmtally/kvm.h>
#include <vmtally/schema.h>
#include <vmtally/schemas.h>
#include <vmtally/segment.h>

#endif
