/* SPDX-License-Identifier: MIT */
/* batch.h: samples as lines, for files, pipes and programs: batch_text.c, batch_csv.c, batch_json.c. */
#ifndef CLI_TOP_BATCH_H
#define CLI_TOP_BATCH_H

#include <stdio.h>

#include "cli/top/model.h"

enum batch_format { BATCH_TEXT, BATCH_CSV, BATCH_JSON };

/* Write one beat; hidden_columns as in settings. 0 or -ENOMEM; whether it could be written is said by batch_flush(). */
int batch_text(FILE *out, const struct model *model, uint64_t hidden_columns, int ascii);
void batch_csv_titles(FILE *out);
void batch_csv(FILE *out, const struct model *model);

/* JSON is written VM by VM, as they are observed: one line is begun, filled and ended. */
struct batch_json;                                            /* of one run; remembers which schemas were said */
int batch_json_new(int schema_once, struct batch_json **ret); /* --schema: what values mean is said in a line of its own
                                                                  before, once for each schema, and left out after */
void batch_json_free(struct batch_json *json);
int batch_json_vm(struct batch_json *json, const struct sample_vm *vm); /* while it is observed; 0 or -ENOMEM */
/* Those of them that the model shows, in its order. */
int batch_json_end(struct batch_json *json, FILE *out, const struct sample_set *set, const struct model *model);

/* Flush. 0; -EPIPE (nobody reads any more), another write error. */
int batch_flush(FILE *out);

#endif
