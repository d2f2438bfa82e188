/* SPDX-License-Identifier: MIT */
#include "cli/top/actions.h"

#define OVERVIEW VIEW_OVERVIEW
#define DETAIL VIEW_DETAIL
#define HISTOGRAM VIEW_HISTOGRAM
#define DATA (OVERVIEW | DETAIL | HISTOGRAM)
#define CHOOSERS (VIEW_SORT | VIEW_COLUMNS)
#define ALL (DATA | VIEW_HELP | CHOOSERS)
#define LISTS (OVERVIEW | DETAIL | CHOOSERS)

const struct action_info actions[ACTION_COUNT] = {
    [ACTION_QUIT] = { "quit", "q F10", "quit", "Quit.", OVERVIEW },
    [ACTION_BACK] = { "back", "Esc q F10", "back",
                      "Back to where you came from. In the overview: to the newest beat, then to all rows.", ALL },
    [ACTION_HELP] = { "help", "? h F1", "help", "This help.", ALL },
    [ACTION_ENTER] = { "enter", "Enter", "open",
                       "Open: of a row all its statistics, of a histogram its buckets; choose, in a list of choices.",
                       LISTS },
    [ACTION_FILTER] = { "filter", "/ F4", "filter",
                        "Filter rows, or the statistics of a detail, while you type: a|b for a or b, /x.*y/ for a "
                        "regular expression. Enter keeps it, Esc takes it back.",
                        OVERVIEW | DETAIL },
    [ACTION_SORT] = { "sort", "s F6", "sort", "Choose the column to sort by.", OVERVIEW },
    [ACTION_SORT_LEFT] = { "sort-left", "<", NULL, "Sort by the next column to the left.", OVERVIEW },
    [ACTION_SORT_RIGHT] = { "sort-right", ">", NULL, "Sort by the next column to the right.", OVERVIEW },
    [ACTION_INVERT] = { "invert", "I", NULL, "Turn the order around.", OVERVIEW | VIEW_SORT },
    [ACTION_COLUMNS] = { "columns", "c F2", "columns", "Choose which columns are shown.", OVERVIEW },
    [ACTION_PANEL] = { "panel", "Tab", "panel", "Below a detail: the graph or the shards. Histogram: bars or heat map.",
                       DETAIL | HISTOGRAM },
    [ACTION_SPAN] = { "span", "s", "span", "A histogram of the interval, since the mark, or of all time.", HISTOGRAM },
    [ACTION_LEVEL] = { "level", "v", "level", "Show statistics up to the next level: info, diagnostic, debug.",
                       DETAIL },
    [ACTION_HIDE_ZERO] = { "hide-zero", "z", "zeros", "Hide statistics that never counted anything, or show them.",
                           DETAIL },
    [ACTION_PAUSE] = { "pause", "p Z", "pause",
                       "Pause: keep looking at this beat while new ones are taken; again: go on.", DATA },
    [ACTION_EARLIER] = { "earlier", "Left", "earlier", "One beat back through what was seen.", DATA },
    [ACTION_LATER] = { "later", "Right", NULL, "One beat forward.", DATA },
    [ACTION_EARLIER_MORE] = { "earlier-more", "Shift-Left {", NULL, "A minute back, at least ten beats.", DATA },
    [ACTION_LATER_MORE] = { "later-more", "Shift-Right }", NULL, "A minute forward, at least ten beats.", DATA },
    [ACTION_NEWEST] = { "newest", "n", NULL, "Back to the newest beat, and on with it.", DATA },
    [ACTION_SHORTER] = { "shorter", "[", NULL, "A shorter interval between beats.", DATA },
    [ACTION_LONGER] = { "longer", "]", NULL, "A longer interval between beats.", DATA },
    [ACTION_MARK] = { "mark", "m", "mark", "Set the mark: details show what changed since then.", DATA },
    [ACTION_UNMARK] = { "unmark", "M", NULL, "Forget the mark.", DATA },
    [ACTION_COMPARE] = { "compare", "C", NULL,
                         "Compare others with this VM or source, in histograms; again: compare no more.", DATA },
    [ACTION_FOLD] = { "fold", "-", NULL, "Fold the row; on one with nothing below it, the row that it belongs to.",
                      OVERVIEW },
    [ACTION_UNFOLD] = { "unfold", "+ =", NULL, "Unfold the row.", OVERVIEW },
    [ACTION_TOGGLE] = { "toggle", "Space", "fold", "Fold or unfold the row; in a list of choices: choose.",
                        OVERVIEW | CHOOSERS },
    [ACTION_TOGGLE_ALL] = { "toggle-all", "*", NULL, "Fold all VMs; unfold them if all are folded.", OVERVIEW },
    [ACTION_SHARDS] = { "shards", "t", "shards",
                        "Shards, one for each thread that counts: rows of their own below the row, or, in a detail, "
                        "their part in the statistic.",
                        OVERVIEW | DETAIL },
    [ACTION_FOLLOW] = { "follow", "F", NULL, "Scroll with the selected row wherever sorting puts it, or stay.",
                        OVERVIEW },
    [ACTION_SAVE] = { "save", "W", NULL, "Save the settings: columns, order, interval and so on.", DATA },
    [ACTION_UP] = { "up", "Up k", NULL, "One up.", ALL },
    [ACTION_DOWN] = { "down", "Down j", NULL, "One down.", ALL },
    [ACTION_PAGE_UP] = { "page-up", "PageUp Ctrl-B", NULL, "One page up.", ALL },
    [ACTION_PAGE_DOWN] = { "page-down", "PageDown Ctrl-F", NULL, "One page down.", ALL },
    [ACTION_HOME] = { "home", "Home g", NULL, "To the first.", ALL },
    [ACTION_END] = { "end", "End G", NULL, "To the last.", ALL },
};
