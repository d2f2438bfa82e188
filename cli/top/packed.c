/* SPDX-License-Identifier: MIT */
#include "cli/top/packed.h"

#include <math.h>

#define SIGN 0x8000U
#define PACKED_INFINITE 0x7ffeU
#define LARGEST 0x7ffdU
#define STEPS 340.0 /* of an octave */
#define LOWEST 32.0 /* 2^-LOWEST is code 1 */

uint16_t packed_make(double value)
{
    double code;
    uint16_t sign = signbit(value) ? SIGN : 0;

    if (value == 0)
        return 0;
    if (isnan(value))
        return PACKED_NAN;
    if (isinf(value))
        return (uint16_t)(sign | PACKED_INFINITE);
    code = round((log2(fabs(value)) + LOWEST) * STEPS) + 1;
    if (code < 1)
        return 0;
    return (uint16_t)(sign | (code < LARGEST ? (uint16_t)code : LARGEST));
}

double packed_value(uint16_t packed)
{
    uint16_t code = packed & (uint16_t)~SIGN;
    double value;

    if (code == 0)
        return 0;
    if (code == PACKED_NAN)
        return NAN;
    value = code == PACKED_INFINITE ? INFINITY : exp2((code - 1) / STEPS - LOWEST);
    return packed & SIGN ? -value : value;
}
