// SPDX-License-Identifier: MIT
// vmtally/c.hpp: the C headers that the binding stands on. They are C: its casts are no fault of who compiles with
// -Wold-style-cast.
#ifndef VMTALLY_C_HPP
#define VMTALLY_C_HPP

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <vmtally.h>
#include <vmtally/delta.h>
#include <vmtally/host.h>
#include <vmtally/reader.h>
#include <vmtally/recorded.h>
#pragma GCC diagnostic pop

#endif
