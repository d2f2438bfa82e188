/* SPDX-License-Identifier: MIT */
#include "cli/top/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "cli/top/draw.h"
#include "cli/top/layout.h"

#define GLYPH_BYTES 4 /* of UTF-8 */

/* The grid's only row as a line. */
static int write_line(FILE *out, const struct grid *grid)
{
    size_t size = (size_t)grid->columns * GLYPH_BYTES + 1;
    char *text = malloc(size);

    if (!text)
        return -ENOMEM;
    fprintf(out, "%s\n", grid_row_text(grid, 0, text, size));
    free(text);
    return 0;
}

int batch_text(FILE *out, const struct model *model, uint64_t hidden_columns, int ascii)
{
    const struct beat *beat = model->history ? history_beat(model->history, model->beat) : NULL;
    struct grid grid = { 0 };
    struct layout layout;
    char text[DRAW_TEXT];
    int r = 0;

    if (!beat)
        return 0;
    draw_head_text(text, beat);
    fprintf(out, "%s\n", text);
    draw_totals_text(text, model);
    fprintf(out, "%s\n", text);
    layout_table(&layout, model, hidden_columns, ascii);
    for (size_t line = 0; line <= model->count && r == 0; line++) {
        r = draw_table_line(&grid, &layout, model, line, ascii);
        if (r == 0)
            r = write_line(out, &grid);
    }
    fputc('\n', out);
    grid_free(&grid);
    return r;
}

int batch_flush(FILE *out)
{
    errno = 0;
    if (fflush(out) != 0 || ferror(out))
        return errno ? -errno : -EIO;
    return 0;
}
