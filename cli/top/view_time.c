/* SPDX-License-Identifier: MIT */
/* Which beat is looked at, and how long one is. */
#include <stdio.h>

#include "cli/top/view_internal.h"

#define MORE_NS 60000000000U /* how far "more" goes through time, and at least so many beats: */
#define MORE_BEATS 10

static const double intervals[] = { 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600 };
#define INTERVALS (sizeof(intervals) / sizeof(intervals[0]))

size_t view_beat(const struct view *v, const struct history *h)
{
    size_t count = history_count(h);
    size_t low = 0;
    size_t high = count;

    if (!count || !v->beat)
        return count ? count - 1 : 0;
    while (low < high) { /* the first that is not before it */
        size_t middle = low + (high - low) / 2;

        if (history_beat(h, middle)->number < v->beat)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count)
        return count - 1;
    if (low > 0 && v->beat - history_beat(h, low - 1)->number < history_beat(h, low)->number - v->beat)
        low--;
    return low;
}

static void look_at(struct view *v, const struct model *m, size_t beat)
{
    v->beat = history_beat(m->history, beat)->number;
}

static void toggle_pause(struct view *v, const struct model *m)
{
    if (v->beat)
        v->beat = 0;
    else if (m->history && history_count(m->history))
        look_at(v, m, view_beat(v, m->history));
}

static size_t earlier_more(const struct history *h, size_t from)
{
    uint64_t then = history_beat(h, from)->realtime_ns;
    size_t to = from > MORE_BEATS ? from - MORE_BEATS : 0;

    while (to > 0 && then - history_beat(h, to)->realtime_ns < MORE_NS && history_beat(h, to)->realtime_ns <= then)
        to--;
    return to;
}

static size_t later_more(const struct history *h, size_t from)
{
    uint64_t then = history_beat(h, from)->realtime_ns;
    size_t last = history_count(h) - 1;
    size_t to = last - from > MORE_BEATS ? from + MORE_BEATS : last;

    while (to < last && history_beat(h, to)->realtime_ns - then < MORE_NS && history_beat(h, to)->realtime_ns >= then)
        to++;
    return to;
}

static void scrub(struct view *v, const struct model *m, int later, int more)
{
    const struct history *h = m->history;
    size_t from, to;

    if (!h || !history_count(h))
        return;
    from = view_beat(v, h);
    if (later)
        to = more ? later_more(h, from) : from + 1 < history_count(h) ? from + 1 : from;
    else
        to = more ? earlier_more(h, from) : from > 0 ? from - 1 : 0;
    if (to == from)
        snprintf(v->notice, sizeof(v->notice), "%s", later ? "This is the newest beat." : "This is the oldest beat.");
    if (to != from || !later) /* at the newest one, "later" stays live if it was */
        look_at(v, m, to);
}

static void shorter(struct view *v)
{
    for (size_t i = INTERVALS; i-- > 0;) {
        if (intervals[i] < v->settings.interval_s) {
            v->settings.interval_s = intervals[i];
            break;
        }
    }
}

static void longer(struct view *v)
{
    for (size_t i = 0; i < INTERVALS; i++) {
        if (intervals[i] > v->settings.interval_s) {
            v->settings.interval_s = intervals[i];
            break;
        }
    }
}

void view_act_time(struct view *v, const struct model *m, enum action action)
{
    switch (action) {
    case ACTION_PAUSE:
        toggle_pause(v, m);
        break;
    case ACTION_EARLIER:
    case ACTION_EARLIER_MORE:
        scrub(v, m, 0, action == ACTION_EARLIER_MORE);
        break;
    case ACTION_LATER:
    case ACTION_LATER_MORE:
        scrub(v, m, 1, action == ACTION_LATER_MORE);
        break;
    case ACTION_NEWEST:
        v->beat = 0;
        break;
    case ACTION_SHORTER:
        shorter(v);
        break;
    case ACTION_LONGER:
        longer(v);
        break;
    default:
        break;
    }
}
