/* SPDX-License-Identifier: MIT */
/* How numbers and their units are shown to people, a row a case. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "cli/units.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define COUNT                                                                                                          \
    {                                                                                                                  \
        .flags = VMT_FLAGS_NONE                                                                                        \
    }
#define BYTES                                                                                                          \
    {                                                                                                                  \
        .flags = VMT_FLAGS_BYTES                                                                                       \
    }
#define KIBIBYTES                                                                                                      \
    {                                                                                                                  \
        .flags = VMT_FLAGS_KIBIBYTES, .exponent = 10                                                                   \
    }
#define KILOBYTES                                                                                                      \
    {                                                                                                                  \
        .flags = VMT_UNIT_BYTES | VMT_BASE_POW10, .exponent = 3                                                        \
    }
#define NANOSECONDS                                                                                                    \
    {                                                                                                                  \
        .flags = VMT_FLAGS_NANOSECONDS, .exponent = -9                                                                 \
    }
#define MICROSECONDS                                                                                                   \
    {                                                                                                                  \
        .flags = VMT_FLAGS_MICROSECONDS, .exponent = -6                                                                \
    }
#define SECONDS                                                                                                        \
    {                                                                                                                  \
        .flags = VMT_FLAGS_SECONDS                                                                                     \
    }
#define CYCLES                                                                                                         \
    {                                                                                                                  \
        .flags = VMT_FLAGS_CYCLES                                                                                      \
    }
#define BOOL                                                                                                           \
    {                                                                                                                  \
        .flags = VMT_FLAGS_BOOL                                                                                        \
    }
#define SIGNED                                                                                                         \
    {                                                                                                                  \
        .flags = VMT_FLAGS_NONE | VMT_TYPE_INSTANT | VMT_SIGNED                                                        \
    }
#define MINIMUM                                                                                                        \
    {                                                                                                                  \
        .flags = VMT_FLAGS_NANOSECONDS | VMT_TYPE_INSTANT | VMT_AGGREGATION_MIN, .exponent = -9                        \
    }
#define SIGNED_MINIMUM                                                                                                 \
    {                                                                                                                  \
        .flags = VMT_FLAGS_NONE | VMT_TYPE_INSTANT | VMT_AGGREGATION_MIN | VMT_SIGNED                                  \
    }
#define PEAK                                                                                                           \
    {                                                                                                                  \
        .flags = VMT_FLAGS_NONE | VMT_TYPE_PEAK                                                                        \
    }
#define SIGNED_PEAK                                                                                                    \
    {                                                                                                                  \
        .flags = VMT_FLAGS_NONE | VMT_TYPE_PEAK | VMT_SIGNED                                                           \
    }
#define HUGE_POWER                                                                                                     \
    {                                                                                                                  \
        .flags = VMT_FLAGS_NONE, .exponent = 30000                                                                     \
    }
#define TINY_POWER                                                                                                     \
    {                                                                                                                  \
        .flags = VMT_FLAGS_SECONDS, .exponent = -32768                                                                 \
    }

Test(units, values_have_three_digits_and_the_unit_that_people_say)
{
    static const struct {
        struct vmt_descriptor d;
        uint64_t value;
        const char *text;
    } cases[] = {
        { COUNT, 0, "0" },
        { COUNT, 17, "17" },
        { COUNT, 9999999, "9999999" },
        { COUNT, 10000000, "10.0 M" },
        { COUNT, 999499999, "999 M" },
        { COUNT, 999500000, "1.00 G" },
        { COUNT, UINT64_MAX, "18.4 E" },
        { CYCLES, 1234567890, "1.23 G" },
        { BYTES, 0, "0 B" },
        { BYTES, 512, "512 B" },
        { BYTES, 1023, "1023 B" },
        { BYTES, 1024, "1.00 KiB" },
        { BYTES, 1023 * 1024, "1023 KiB" },
        { BYTES, 1024 * 1024 - 1, "1.00 MiB" },
        { BYTES, 3565158, "3.40 MiB" },
        { BYTES, UINT64_MAX, "16.0 EiB" },
        { KIBIBYTES, 1, "1.00 KiB" },
        { KIBIBYTES, 4096, "4.00 MiB" },
        { KILOBYTES, 1, "1000 B" },
        { NANOSECONDS, 0, "0 s" },
        { NANOSECONDS, 1, "1 ns" },
        { NANOSECONDS, 999, "999 ns" },
        { NANOSECONDS, 1000, "1.00 us" },
        { NANOSECONDS, 1210000, "1.21 ms" },
        { NANOSECONDS, 9994999, "9.99 ms" },
        { NANOSECONDS, 9996000, "10.0 ms" },
        { NANOSECONDS, 999600000, "1.00 s" },
        { NANOSECONDS, 90000000000, "90.0 s" },
        { MICROSECONDS, 1, "1.00 us" },
        { SECONDS, 119, "119 s" },
        { SECONDS, 120, "2.00 min" },
        { SECONDS, 7200, "2.00 h" },
        { SECONDS, 172800, "2.00 d" },
        { BOOL, 0, "no" },
        { BOOL, 1, "yes" },
        { BOOL, 3, "3" },
        { SIGNED, (uint64_t)-5, "-5" },
        { SIGNED, (uint64_t)INT64_MIN, "-9.22 E" },
        { MINIMUM, UINT64_MAX, "-" },
        { MINIMUM, 0, "0 s" },
        { SIGNED_MINIMUM, INT64_MAX, "-" },
        { SIGNED_MINIMUM, (uint64_t)-1, "-1" },
        { PEAK, 0, "0" },
        { SIGNED_PEAK, (uint64_t)INT64_MIN, "-" },
        { SIGNED_PEAK, 0, "0" },
        { HUGE_POWER, 5, "5*10^30000" },
        { TINY_POWER, 5, "5*10^-32768" },
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        char text[UNIT_TEXT];

        cr_expect_str_eq(unit_format(text, sizeof(text), &cases[i].d, cases[i].value), cases[i].text,
                         "row %zu: \"%s\", not \"%s\"", i, text, cases[i].text);
    }
}

Test(units, microseconds_are_said_as_the_output_can_show_them)
{
    struct vmt_descriptor d = NANOSECONDS;
    char text[UNIT_TEXT];

    cr_expect_str_eq(unit_format(text, sizeof(text), &d, 4096), "4.10 us");
    unit_ascii(0);
    cr_expect_str_eq(unit_format(text, sizeof(text), &d, 4096), "4.10 \u00b5s");
    cr_expect_str_eq(unit_format_real(text, sizeof(text), &d, 0.5), "0.50 ns");
    cr_expect_str_eq(unit_format(text, sizeof(text), &d, 4096000), "4.10 ms");
    unit_ascii(1);
    cr_expect_str_eq(unit_format(text, sizeof(text), &d, 4096), "4.10 us");
}

Test(units, rates_are_per_second_and_time_is_a_share)
{
    static const struct {
        struct vmt_descriptor d;
        double rate;
        const char *text;
    } cases[] = {
        { COUNT, 0, "0/s" },
        { COUNT, 0.53, "0.53/s" },
        { COUNT, 12.34, "12.3/s" },
        { COUNT, 12345, "12.3 k/s" },
        { BYTES, 3565158, "3.40 MiB/s" },
        { KIBIBYTES, 2, "2.00 KiB/s" },
        { NANOSECONDS, 451e6, "45.1%" },
        { NANOSECONDS, 0, "0%" },
        { NANOSECONDS, 3.4e9, "340%" },
        { NANOSECONDS, 999.6e6, "100%" },
        { MICROSECONDS, 200, "0.02%" },
        { COUNT, NAN, "-" },
        { COUNT, INFINITY, "-" },
        { NANOSECONDS, NAN, "-" },
        { HUGE_POWER, 5, "-" },
        { TINY_POWER, 5, "-" },
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        char text[UNIT_TEXT];

        cr_expect_str_eq(unit_format_rate(text, sizeof(text), &cases[i].d, cases[i].rate), cases[i].text,
                         "row %zu: \"%s\", not \"%s\"", i, text, cases[i].text);
    }
}

Test(units, ages_take_two_parts_at_most)
{
    static const struct {
        uint64_t s;
        const char *text;
    } cases[] = {
        { 0, "0s" },
        { 59, "59s" },
        { 60, "1m00s" },
        { 3599, "59m59s" },
        { 3600, "1h00m" },
        { 86399, "23h59m" },
        { 86400, "1d00h" },
        { 5 * 86400 + 3 * 3600, "5d03h" },
        { 18446744073, "213503d23h" },
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        char text[UNIT_TEXT];

        cr_expect_str_eq(unit_format_age(text, sizeof(text), cases[i].s * 1000000000U), cases[i].text, "row %zu: %s", i,
                         text);
    }
}

Test(units, any_descriptor_fits_into_the_buffer)
{
    uint32_t seed = 1;

    for (int i = 0; i < 100000; i++) {
        struct vmt_descriptor d = { .size = 1 };
        char text[UNIT_TEXT + 1];
        uint64_t value;

        seed = seed * 1664525 + 1013904223;
        d.flags = seed;
        seed = seed * 1664525 + 1013904223;
        d.exponent = (int16_t)(seed >> 16);
        if (i & 1)
            d.exponent %= 64;
        value = (uint64_t)seed << (i & 63);
        text[UNIT_TEXT] = 'x';
        cr_assert_lt(strlen(unit_format(text, UNIT_TEXT, &d, value)), UNIT_TEXT - 1, "\"%s\"", text);
        cr_assert_lt(strlen(unit_format_rate(text, UNIT_TEXT, &d, (double)value)), UNIT_TEXT - 1, "\"%s\"", text);
        cr_assert_eq(text[UNIT_TEXT], 'x');
    }
}
