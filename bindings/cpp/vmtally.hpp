// SPDX-License-Identifier: MIT
// vmtally.hpp: vmtally in C++17: count in a VMM, read what others count. Header only, above libvmtally (pkg-config
// vmtally-cpp); works with -fno-exceptions and -fno-rtti. Exporters include <vmtally/export.hpp>, too.
#ifndef VMTALLY_HPP
#define VMTALLY_HPP

#if __cplusplus < 201703L
#error "vmtally.hpp needs C++17: compile with -std=c++17 or later"
#else

#include <vmtally/count.hpp>
#include <vmtally/delta.hpp>
#include <vmtally/host.hpp>
#include <vmtally/result.hpp>
#include <vmtally/schema.hpp>
#include <vmtally/schemas.hpp>
#include <vmtally/segment.hpp>
#include <vmtally/snapshot.hpp>
#include <vmtally/statistic.hpp>

#endif

#endif
