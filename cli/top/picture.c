/* SPDX-License-Identifier: MIT */
#include "cli/top/picture.h"

#include <errno.h>
#include <string.h>

int picture_compares(const struct view *v) { return v->compared_key && v->compared_key != v->detail_key; }

const struct detail_line *picture_line(const struct scene *scene)
{
    const struct detail *d = scene->detail;
    const struct detail_line *line = d && scene->view->line < d->count ? &d->lines[scene->view->line] : NULL;

    return line && line->d && histogram_is(line->d) ? line : NULL;
}

/* The same statistic in another source, whose as line is, or else another's; NULL: there is none. */
static const struct detail_line *same_in(const struct detail *d, const struct detail_line *line)
{
    const struct detail_line *found = NULL;

    for (size_t i = 0; d && i < d->count; i++) {
        const struct detail_line *other = &d->lines[i];

        if (!other->d || strcmp(other->d->name, line->d->name) != 0 ||
            strcmp(other->schema->name, line->schema->name) != 0)
            continue;
        if (other->whose == line->whose)
            return other;
        found = found ? found : other;
    }
    return found;
}

static int same_buckets(const struct vmt_descriptor *a, const struct vmt_descriptor *b)
{
    uint32_t kind = VMT_TYPE_MASK | VMT_UNIT_MASK | VMT_BASE_MASK;

    return (a->flags & kind) == (b->flags & kind) && a->exponent == b->exponent && a->size == b->size &&
           a->bucket_size == b->bucket_size;
}

static const char *why_no_beat(const struct history *history, const struct detail *detail)
{
    size_t beat = detail->beat;

    if (detail->shard >= 0)
        return "Of a single shard that is not kept.";
    if (beat >= history_count(history) || !(history_beat(history, beat)->seconds > 0))
        return "There is nothing before this beat to compare it with.";
    return "The buckets of this beat were not kept; from now on they are.";
}

/* Add it to the histogram, or say why not. */
static void add_part(struct histogram *h, const struct scene *scene, struct picture_part *part)
{
    const struct detail_line *line = part->line;
    uint32_t slot = line->d->slot;
    int r = 0;

    if (scene->view->span == SPAN_INTERVAL) {
        r = histogram_add_beat(h, scene->history, part->detail->track, part->detail->beat, line->part);
        part->why = r < 0 ? why_no_beat(scene->history, part->detail) : NULL;
    } else if (!line->values) {
        part->why = "Nothing was counted yet, or it could not be read.";
    } else if (scene->view->span == SPAN_ALL) {
        r = histogram_add(h, line->values + slot, NULL);
    } else if (!scene->view->marked_ns) {
        part->why = "There is no mark.";
    } else if (!line->marked) {
        part->why = "It was not there when the mark was set.";
    } else {
        r = histogram_add(h, line->values + slot, line->marked + slot);
    }
    if (r == -ENOMEM)
        part->why = "There is not enough memory.";
}

void picture_take(struct picture *p, const struct scene *scene, const struct detail_line *line)
{
    struct picture_part *other = &p->parts[1];

    memset(p, 0, sizeof(*p));
    p->parts[0] = (struct picture_part){ scene->detail, line, NULL };
    p->count = 1;
    histogram_start(&p->histogram, line->d);
    add_part(&p->histogram, scene, &p->parts[0]);
    if (!picture_compares(scene->view))
        return;
    p->count = 2;
    *other = (struct picture_part){ scene->compared, same_in(scene->compared, line), NULL };
    if (!scene->compared || !scene->compared->count)
        other->why = "The other source is not there any more.";
    else if (!other->line)
        other->why = "It does not have this statistic.";
    else if (!same_buckets(line->d, other->line->d))
        other->why = "Its buckets are different ones.";
    else if (p->parts[0].why)
        other->why = "";
    else
        add_part(&p->histogram, scene, other);
}

void picture_widen(struct picture *p, size_t page)
{
    uint32_t first = p->histogram.first;
    uint32_t last = p->histogram.last;

    for (int k = 0; k < p->histogram.side_count; k++) {
        const uint64_t *buckets = p->parts[k].line->values;

        for (uint32_t i = 0; buckets && i < p->histogram.size; i++) {
            if (!buckets[p->parts[k].line->d->slot + i])
                continue;
            first = i < first ? i : first;
            last = i > last ? i : last;
        }
    }
    if (p->histogram.first <= p->histogram.last && last - first < page) {
        p->histogram.first = first;
        p->histogram.last = last;
    }
}

size_t picture_lines(const struct histogram *h) { return h->first <= h->last ? h->last - h->first + 1U : 0; }

void picture_free(struct picture *p) { histogram_free(&p->histogram); }

size_t draw_histogram_lines(const struct scene *scene)
{
    const struct detail_line *line = picture_line(scene);
    struct picture p;
    size_t lines;

    if (!line || scene->view->heat)
        return 0;
    picture_take(&p, scene, line);
    lines = p.parts[0].why ? 0 : picture_lines(&p.histogram);
    picture_free(&p);
    return lines;
}
