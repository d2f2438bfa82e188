/* SPDX-License-Identifier: MIT */
/* negotiate.h: what a client prefers of what there is (RFC 9110, 12.5): OpenMetrics or Prometheus' text, gzip or not. */
#ifndef CLI_SERVE_NEGOTIATE_H
#define CLI_SERVE_NEGOTIATE_H

#include <vmtally/export.h>

#define NEGOTIATE_LEVELS 3 /* how closely something is named: all of it, its family, anything */

/* Qualities in thousandths, -1: not named. */
struct negotiation {
    int formats[2][NEGOTIATE_LEVELS]; /* by enum vmt_metrics_format */
    int gzip;
    int identity;
    int any_encoding;
};

void negotiate_begin(struct negotiation *n);

/* The value of one "Accept", of one "Accept-Encoding"; there may be several of each. */
void negotiate_accept(struct negotiation *n, const char *value);
void negotiate_accept_encoding(struct negotiation *n, const char *value);

/* OpenMetrics only where it is named and liked as well as the other, which everybody understands: also who accepts
 * neither gets that. */
enum vmt_metrics_format negotiate_format(const struct negotiation *n);

/* Not 0: gzip. */
int negotiate_gzip(const struct negotiation *n);

#endif
