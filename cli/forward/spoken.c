/* SPDX-License-Identifier: MIT */
#include "cli/forward/spoken.h"

bool spoken_may(struct spoken *spoken, uint64_t now_ns)
{
    if (spoken->full_ns < now_ns)
        spoken->full_ns = now_ns;
    if (spoken->full_ns - now_ns > (SPOKEN_AT_ONCE - 1) * SPOKEN_NS)
        return false;
    spoken->full_ns += SPOKEN_NS;
    return true;
}
