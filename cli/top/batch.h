/* SPDX-License-Identifier: MIT */
/* batch.h: samples as lines, for files, pipes and programs. */
#ifndef CLI_TOP_BATCH_H
#define CLI_TOP_BATCH_H

#include <stdio.h>

#include "cli/top/model.h"

enum batch_format { BATCH_TEXT, BATCH_JSON, BATCH_CSV };

/* Write one sample and flush it. first: of this run (CSV: with the line of column names). ascii: for text.
 * 0; -EPIPE (nobody reads any more), another write error, -ENOMEM. */
int batch_write(FILE *out, enum batch_format format, const struct sample_set *set, const struct model *model, int first,
                int ascii);

#endif
