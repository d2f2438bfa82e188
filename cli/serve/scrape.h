/* SPDX-License-Identifier: MIT */
/* scrape.h: asks the reader, for all who want to know; one thread speaks with it. Those who ask at the same time, or soon
 * after, get the same snapshot: each format and encoding of it is made once. Any thread.
 */
#ifndef CLI_SERVE_SCRAPE_H
#define CLI_SERVE_SCRAPE_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/export.h>

#include "cli/serve/body.h"

struct scrape;

/* channel stays the caller's, and nobody else uses it. *ret is the caller's. 0 or a negative errno. */
int scrape_start(int channel, struct scrape **ret);

/* Whoever waits gets -ESHUTDOWN, and whoever comes. */
void scrape_stop(struct scrape *scrape);

/* After scrape_stop(), when nobody waits any more, nor has a body. NULL is allowed. */
void scrape_free(struct scrape *scrape);

/* The metrics; *ret is given back with body_unref(). 0; -ETIMEDOUT (the reader has not answered within timeout_ms);
 * -EPIPE (it has ended); -ESHUTDOWN; -ENOBUFS (clients hold more than SERVE_HELD_MOST, although they were told to go); or what
 * the reader says. */
int scrape_get(struct scrape *scrape, enum vmt_metrics_format format, int gzip, int timeout_ms, struct body **ret);

/* Whether metrics could be had. 0, -ETIMEDOUT, -EPIPE, -ESHUTDOWN, or what the reader says. */
int scrape_alive(struct scrape *scrape, int timeout_ms);

/* Ask the reader that, without waiting. */
void scrape_poke(struct scrape *scrape);

/* For how long it has owed an answer, 0: it does not. */
uint64_t scrape_waiting_ns(struct scrape *scrape);

/* To poll(): readable when the reader has ended, or says what nobody understands. */
int scrape_gone_fd(const struct scrape *scrape);

/* All that clients have, or could be sent: no more is asked for where they are more than SERVE_HELD_MOST bytes. */
struct bodies *scrape_bodies(struct scrape *scrape);

/* How often scrape_get() was called. */
uint64_t scrape_asked(struct scrape *scrape);

/* For the exporter's own metrics. */
void scrape_count_sent(struct scrape *scrape, size_t bytes);
void scrape_count_refused(struct scrape *scrape, size_t count);

#endif
