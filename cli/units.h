/* SPDX-License-Identifier: MIT */
/* units.h: the one place that decides how a number and its unit are shown to people. Three significant digits, a unit
 * that people say. Output for machines is raw numbers and does not come here.
 */
#ifndef CLI_UNITS_H
#define CLI_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/schema.h>

#define UNIT_TEXT 32 /* bytes that hold whatever the functions below write */

/* From now on all is plain ASCII ("4.10 us", as it is before the first call), or UTF-8 ("4.10 µs"). */
void unit_ascii(int ascii);

/* Format value of descriptor d for people into buf: scaled unit ("1.21 ms", "3.40 MiB", "17", "yes", "-" for absent).
 * For a histogram value is a bound of a bucket. Returns buf. */
char *unit_format(char *buf, size_t size, const struct vmt_descriptor *d, uint64_t value);

/* The same for a number that is not whole, like a mean or a change; not finite is "-". Returns buf. */
char *unit_format_real(char *buf, size_t size, const struct vmt_descriptor *d, double value);

/* Format a change of per_second, in d's unit, for people: "12.3 k/s", "3.40 MiB/s"; time per second is a share:
 * "45.1%". Not finite is "-". Returns buf. */
char *unit_format_rate(char *buf, size_t size, const struct vmt_descriptor *d, double per_second);

/* Format a share, 1 being the whole: "45.1%", "0.02%", "340%". Returns buf. */
char *unit_format_share(char *buf, size_t size, double share);

/* Format a stretch of time for people: "8s", "3m04s", "2h15m", "5d03h". Returns buf. */
char *unit_format_age(char *buf, size_t size, uint64_t ns);

/* 1 where value says that nothing was counted yet: a minimum still at its highest, a signed maximum at its lowest. */
int unit_absent(const struct vmt_descriptor *d, uint64_t value);

/* value times this is in d's unit proper: seconds, bytes, cycles, events. */
double unit_factor(const struct vmt_descriptor *d);

/* What d counts, for machines: "none", "bytes", "seconds", "cycles", "boolean". */
const char *unit_name(const struct vmt_descriptor *d);

#endif
