/* SPDX-License-Identifier: MIT */
#include "cli/top/batch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What a spreadsheet takes for a formula, and a name may be: "=cmd", "+1+cmd", "@SUM(...)". A number is none. */
static int is_formula(const char *text)
{
    char *end;

    if (!text[0] || !strchr("=+-@", text[0]))
        return 0;
    strtod(text, &end);
    return *end || end == text;
}

/* RFC 4180, and a ' before what would be a formula. Control characters are gone already. */
static void write_field(FILE *out, const char *text)
{
    char quoted[CELL_TEXT + 1];

    if (is_formula(text)) {
        snprintf(quoted, sizeof(quoted), "'%s", text);
        text = quoted;
    }
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

void batch_csv_titles(FILE *out)
{
    fputs("time_ns,interval_seconds", out);
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        if (kvmtop_columns[c].csv)
            fprintf(out, ",%s", kvmtop_columns[c].csv);
    }
    fputc('\n', out);
}

void batch_csv(FILE *out, const struct model *model)
{
    const struct beat *beat = model->history ? history_beat(model->history, model->beat) : NULL;

    for (size_t i = 0; beat && i < model->count; i++) {
        if (model->rows[i].facts.kind == TRACK_SHARD)
            continue;
        fprintf(out, "%" PRIu64 ",%.3f", beat->realtime_ns, beat->seconds);
        for (size_t c = 0; c < kvmtop_column_count; c++) {
            char text[CELL_TEXT];

            if (!kvmtop_columns[c].csv)
                continue;
            kvmtop_columns[c].write(text, &model->rows[i].facts);
            fputc(',', out);
            write_field(out, text);
        }
        fputc('\n', out);
    }
}
