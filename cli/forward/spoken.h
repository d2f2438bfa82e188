/* SPDX-License-Identifier: MIT */
/* spoken.h: lines on stderr about things that may change many times a second: each news once, and never many. */
#ifndef CLI_FORWARD_SPOKEN_H
#define CLI_FORWARD_SPOKEN_H

#include <stdbool.h>
#include <stdint.h>

#define SPOKEN_AT_ONCE 8U /* lines, and then one each SPOKEN_NS */
#define SPOKEN_NS UINT64_C(10000000000)

/* Starts as zeros. */
struct spoken {
    uint64_t full_ns; /* when SPOKEN_AT_ONCE lines may be said again */
};

/* Whether one more line may be said now (CLOCK_MONOTONIC), which then is counted. */
bool spoken_may(struct spoken *spoken, uint64_t now_ns);

#endif
