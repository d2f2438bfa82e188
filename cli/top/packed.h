/* SPDX-License-Identifier: MIT */
/* packed.h: a number in 16 bits, for what is kept of long ago: its sign, and its logarithm in steps of 1/340 octave. From
 * 2^-32 to 2^64 it is off by at most 0.11 %, which three digits hardly show; 0, infinity and NAN are kept, what is nearer
 * to 0 is 0. */
#ifndef CLI_TOP_PACKED_H
#define CLI_TOP_PACKED_H

#include <stdint.h>

#define PACKED_NAN 0x7fffU

uint16_t packed_make(double value);
double packed_value(uint16_t packed);

#endif
