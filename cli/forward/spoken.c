/* SPDX-License-Identifier: MIT */
#include "cli/forward/spoken.h"

bool spoken_may(struct spoken *spoken, uint64_t now_ns)
{
    if (spoken->full_ns < now_ns)
        spoken->full_ns = now_ns;
    if (spoken->full_ns - now_ns > (spoken->at_once - 1) * spoken->interval_ns)
        return false;
    spoken->full_ns += spoken->interval_ns;
    return true;
}
