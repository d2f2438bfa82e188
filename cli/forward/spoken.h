/* SPDX-License-Identifier: MIT */
/* spoken.h: lines on stderr about things that may change many times a second: each news once, and never many. */
#ifndef CLI_FORWARD_SPOKEN_H
#define CLI_FORWARD_SPOKEN_H

#include <stdbool.h>
#include <stdint.h>

/* Lines at once, and then one each interval_ns. The rest is zeros to start with. */
struct spoken {
    unsigned at_once;
    uint64_t interval_ns;
    uint64_t full_ns; /* when as many lines may be said at once again */
};

/* Whether one more line may be said now (CLOCK_MONOTONIC), which then is counted. */
bool spoken_may(struct spoken *spoken, uint64_t now_ns);

#endif
