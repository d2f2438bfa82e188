/* SPDX-License-Identifier: MIT */
/* What the view shows and keeps: the order, the selection, the beat that is looked at, details. */
#include "person.h"

TestSuite(view, .init = test_dir_init, .fini = test_dir_fini);

/* ---- order ---- */

Test(view, the_sort_chooser_starts_at_the_order_and_sets_it)
{
    struct person p;

    arrive(&p);
    count(&p, 1, 1, 1);
    count(&p, 10, 1000, 100);
    press(&p, 's');
    cr_assert_eq(p.view.mode, VIEW_SORT);
    cr_assert_eq(view_choice(VIEW_SORT, p.view.chosen), COLUMN_NAME);
    while (view_choice(VIEW_SORT, p.view.chosen) != column("exits"))
        press(&p, KEY_DOWN_);
    press(&p, KEY_ENTER_);
    cr_assert_eq(p.view.mode, VIEW_OVERVIEW);
    cr_assert_str_eq(rows(&p.host), "mail vcpu-0 web vcpu-0 db vcpu-0 disk");
    cr_assert(strstr(line(&p, DRAW_HEAD), "EXITS/sv"), "%s", line(&p, DRAW_HEAD));
    press(&p, 'I');
    cr_assert_str_eq(rows(&p.host), "db vcpu-0 disk web vcpu-0 mail vcpu-0");
    cr_assert(strstr(line(&p, DRAW_HEAD), "EXITS/s^"), "%s", line(&p, DRAW_HEAD));
    leave(&p);
}

Test(view, the_order_moves_to_the_columns_beside_that_are_shown)
{
    struct person p;

    arrive(&p);
    p.view.settings.sort = column("exits");
    press(&p, '>');
    cr_assert_eq(p.view.settings.sort, column("top"));
    press(&p, '<');
    press(&p, '<');
    cr_assert_eq(p.view.settings.sort, column("vcpus"));
    p.view.settings.hidden_columns = (uint64_t)1 << column("exits");
    press(&p, '>');
    cr_assert_eq(p.view.settings.sort, column("top"));
    for (size_t i = 0; i < kvmtop_column_count; i++) {
        press(&p, '>');
        cr_assert(!layout_is_trend(p.view.settings.sort) && kvmtop_columns[p.view.settings.sort].title);
    }
    leave(&p);
}

Test(view, columns_that_are_chosen_away_are_not_drawn)
{
    struct person p;

    arrive(&p);
    cr_assert_geq(title_at(&p, "STATE"), 0);
    press(&p, 'c');
    while (view_choice(VIEW_COLUMNS, p.view.chosen) != column("state"))
        press(&p, KEY_DOWN_);
    cr_assert(shows(&p, "[x] STATE"));
    press(&p, ' ');
    cr_assert(shows(&p, "[ ] STATE"));
    cr_assert_eq(p.view.mode, VIEW_COLUMNS);
    press(&p, KEY_ESCAPE_);
    cr_assert_null(strstr(line(&p, DRAW_HEAD), "STATE"));
    leave(&p);
}

Test(view, columns_that_nothing_counts_are_left_out_and_the_chooser_says_so)
{
    struct person p;

    arrive(&p);
    count(&p, 5, 5, 5);
    cr_assert_geq(title_at(&p, "EXITS/s"), 0);
    cr_assert_null(strstr(line(&p, DRAW_HEAD), "P99"), "%s", line(&p, DRAW_HEAD));
    press(&p, 'c');
    cr_assert(shows(&p, "[x] P99      (not counted)"));
    press(&p, KEY_ESCAPE_);
    vmt_count(p.vcpus[0], VMT_VCPU_IO_LATENCY + 4, 0); /* nothing yet */
    leave(&p);
}

/* ---- the selection ---- */

Test(view, the_selection_stays_with_the_item_when_rows_move)
{
    struct person p;

    arrive(&p);
    p.view.settings.sort = column("exits");
    count(&p, 1, 1, 1);
    count(&p, 10, 1000, 100);
    press(&p, KEY_END_);
    press(&p, KEY_UP_);
    press(&p, KEY_UP_);
    cr_assert_str_eq(selected(&p), "db");
    count(&p, 100000, 1000, 100);
    cr_assert_str_eq(selected(&p), "db");
    cr_assert_eq(p.view.selected, 0);
    leave(&p);
}

Test(view, the_first_row_is_selected_until_somebody_chooses)
{
    struct person p;

    arrive(&p);
    p.view.settings.sort = column("exits");
    count(&p, 1, 1, 1);
    count(&p, 10, 1000, 100);
    cr_assert_str_eq(selected(&p), "mail");
    count(&p, 10, 1000, 100000);
    cr_assert_str_eq(selected(&p), "web");
    leave(&p);
}

Test(view, the_screen_stays_when_the_item_moves_away_unless_it_follows)
{
    struct person p;

    arrive(&p);
    p.rows = 6;     /* two of them for VMs */
    press(&p, '*'); /* fold all: db, mail, web */
    p.view.settings.sort = column("exits");
    count(&p, 1, 1, 1);
    count(&p, 1000, 100, 10);
    press(&p, KEY_DOWN_);
    press(&p, KEY_UP_);
    cr_assert_str_eq(selected(&p), "db");
    count(&p, 1, 100, 1000);
    cr_assert_str_eq(selected(&p), "db");
    cr_assert_eq(p.view.top, 0, "the screen stays");
    cr_assert_eq(p.view.selected, 2);
    press(&p, KEY_DOWN_); /* there is no further one */
    cr_assert_eq(p.view.top, 1, "a movement brings it back");
    press(&p, KEY_HOME_);
    cr_assert_str_eq(selected(&p), "web");
    cr_assert_eq(p.view.top, 0);
    press(&p, 'F');
    count(&p, 1000, 100, 1);
    cr_assert_str_eq(selected(&p), "web");
    cr_assert_eq(p.view.top, 1, "the screen follows");
    leave(&p);
}

Test(view, what_is_gone_leaves_the_selection_to_what_took_its_place)
{
    struct person p;

    arrive(&p);
    press(&p, KEY_END_);
    press(&p, KEY_UP_);
    press(&p, KEY_UP_);
    cr_assert_str_eq(selected(&p), "vcpu-0"); /* of mail */
    vmt_source_remove(p.vcpus[1]);
    beat(&p);
    cr_assert_str_eq(selected(&p), "web");
    leave(&p);
}

Test(view, folding_hides_what_is_below_and_the_selection_goes_to_what_is_seen)
{
    struct person p;

    arrive(&p);
    press(&p, KEY_DOWN_);
    cr_assert_str_eq(selected(&p), "disk");
    press(&p, '-');
    cr_assert_str_eq(selected(&p), "db");
    cr_assert_str_eq(rows(&p.host), "db mail vcpu-0 web vcpu-0");
    press(&p, '+');
    cr_assert_eq(p.host.model.count, 7);
    press(&p, ' ');
    cr_assert_eq(p.host.model.count, 5);
    press(&p, ' ');
    press(&p, KEY_END_);
    press(&p, '*');
    cr_assert_str_eq(rows(&p.host), "db mail web");
    cr_assert_str_eq(selected(&p), "web");
    press(&p, '*');
    cr_assert_eq(p.host.model.count, 7);
    leave(&p);
}

Test(view, shards_of_a_source_are_opened_and_closed)
{
    struct vmt_shard *shard;
    struct person p;

    arrive(&p);
    shard = vmt_shard_acquire(p.vcpus[0]);
    vmt_add(shard, VMT_VCPU_EXITS, 1);
    press(&p, 't');
    cr_assert_neq(p.view.notice[0], '\0', "a VM has none of its own");
    press(&p, KEY_DOWN_);
    press(&p, 't');
    cr_assert_eq(p.view.opened.count, 1);
    cr_assert_eq(p.view.opened.keys[0], p.view.selected_key);
    press(&p, 't');
    cr_assert_eq(p.view.opened.count, 0);
    vmt_shard_release(shard);
    leave(&p);
}

/* ---- time ---- */

Test(view, pause_keeps_the_beat_that_is_looked_at_while_time_goes_on)
{
    struct person p;

    arrive(&p);
    for (int i = 0; i < 30; i++)
        beat(&p);
    press(&p, 'p');
    cr_assert_eq(p.view.beat, 31);
    cr_assert(strstr(line(&p, 0), "PAUSED"), "%s", line(&p, 0));
    beat(&p);
    beat(&p);
    cr_assert_eq(p.host.model.beat, 30);
    press(&p, KEY_LEFT_);
    cr_assert_eq(p.view.beat, 30);
    press(&p, KEY_SHIFT_LEFT_);
    cr_assert_leq(p.view.beat, 20, "a minute, and at least ten beats");
    press(&p, KEY_SHIFT_RIGHT_);
    press(&p, KEY_SHIFT_RIGHT_);
    press(&p, KEY_SHIFT_RIGHT_);
    cr_assert_eq(p.view.beat, 33);
    press(&p, KEY_RIGHT_);
    cr_assert_eq(p.view.beat, 33);
    cr_assert(strstr(line(&p, FOOT), "newest"), "%s", line(&p, FOOT));
    press(&p, 'n');
    cr_assert_eq(p.view.beat, 0);
    cr_assert(strstr(line(&p, 0), "every 1 s"), "%s", line(&p, 0));
    for (int i = 0; i < 100; i++)
        press(&p, KEY_LEFT_);
    cr_assert_eq(p.view.beat, 1);
    press(&p, KEY_ESCAPE_);
    cr_assert_eq(p.view.beat, 0);
    leave(&p);
}

Test(view, a_beat_that_was_dropped_is_taken_for_the_nearest_that_is_left)
{
    struct person p;
    size_t at = 0;

    arrive(&p);
    beat(&p);
    beat(&p);
    press(&p, KEY_LEFT_);
    cr_assert_eq(p.view.beat, 2);
    for (int i = 0; i < HISTORY_BEATS && history_beat(p.host.history, 1)->number == 2; i++)
        take(&p);
    cr_assert_neq(history_beat(p.host.history, 1)->number, 2, "it was to be dropped");
    look(&p);
    at = view_beat(&p.view, p.host.history);
    cr_assert_eq(at, 0, "the oldest is nearest");
    cr_assert(strstr(line(&p, 0), "PAUSED"), "%s", line(&p, 0));
    press(&p, KEY_RIGHT_);
    cr_assert_eq(view_beat(&p.view, p.host.history), at + 1);
    leave(&p);
}

Test(view, the_interval_goes_through_steps_and_stays_within_bounds)
{
    struct person p;

    arrive(&p);
    press(&p, ']');
    cr_assert(p.view.settings.interval_s > 1 && p.view.settings.interval_s <= 5);
    for (int i = 0; i < 40; i++)
        press(&p, ']');
    cr_assert_leq(p.view.settings.interval_s, INTERVAL_MAX_S);
    for (int i = 0; i < 40; i++)
        press(&p, '[');
    cr_assert_geq(p.view.settings.interval_s, INTERVAL_MIN_S);
    leave(&p);
}

Test(view, wishes_are_left_for_whoever_runs_the_view)
{
    struct person p;

    arrive(&p);
    press(&p, 'm');
    cr_assert_eq(p.view.mark, 1);
    press(&p, 'M');
    cr_assert_eq(p.view.mark, -1);
    press(&p, 'W');
    cr_assert(p.view.save);
    leave(&p);
}

/* ---- details ---- */

Test(view, lines_of_a_detail_are_selected_but_not_its_headings)
{
    struct person p;

    arrive(&p);
    count(&p, 1, 1, 1);
    press(&p, KEY_DOWN_);
    press(&p, KEY_ENTER_);
    cr_assert_eq(p.view.detail_key, p.host.model.rows[1].facts.key);
    cr_assert_eq(p.detail.lines[p.view.line].kind, DETAIL_STATISTIC, "there is something to see of it");
    press(&p, KEY_HOME_);
    cr_assert_eq(p.detail.lines[p.view.line].kind, DETAIL_FACT);
    for (size_t i = 0; i < p.detail.count + 2; i++) {
        cr_assert_neq(p.detail.lines[p.view.line].kind, DETAIL_HEADING);
        cr_assert(p.view.line >= p.view.scrolled && p.view.line < p.view.scrolled + p.view.page);
        press(&p, KEY_DOWN_);
    }
    cr_assert_eq(p.view.line, p.detail.count - 1);
    press(&p, KEY_HOME_);
    cr_assert_neq(p.detail.lines[p.view.line].kind, DETAIL_HEADING);
    cr_assert_leq(p.view.line, 1);
    leave(&p);
}

Test(view, a_histogram_is_opened_and_a_number_is_not)
{
    struct person p;

    arrive(&p);
    press(&p, KEY_DOWN_);
    press(&p, KEY_ENTER_);
    press(&p, KEY_HOME_);
    press(&p, KEY_ENTER_);
    cr_assert_eq(p.view.mode, VIEW_DETAIL);
    cr_assert_neq(p.view.notice[0], '\0');
    for (size_t i = 0; i < p.detail.count && !p.view.line_histogram; i++)
        press(&p, KEY_DOWN_);
    cr_assert(p.view.line_histogram);
    press(&p, KEY_ENTER_);
    cr_assert_eq(p.view.mode, VIEW_HISTOGRAM);
    press(&p, KEY_TAB_);
    cr_assert(p.view.heat);
    press(&p, 's');
    cr_assert_eq(p.view.span, SPAN_MARK);
    press(&p, KEY_ESCAPE_);
    cr_assert_eq(p.view.mode, VIEW_DETAIL);
    cr_assert(p.view.line_histogram, "the same line is selected");
    leave(&p);
}

Test(view, a_row_is_compared_with_until_it_is_chosen_again)
{
    struct person p;

    arrive(&p);
    press(&p, KEY_DOWN_);
    press(&p, 'C');
    cr_assert_eq(p.view.compared_key, p.host.model.rows[1].facts.key);
    cr_assert(strstr(line(&p, FIRST_ROW + 1), "(C)"), "%s", line(&p, FIRST_ROW + 1));
    cr_assert_neq(p.view.notice[0], '\0');
    press(&p, KEY_UP_);
    cr_assert_eq(p.view.notice[0], '\0', "a notice is there until the next key");
    press(&p, KEY_DOWN_);
    press(&p, 'C');
    cr_assert_eq(p.view.compared_key, 0);
    leave(&p);
}

/* ---- drawing ---- */

Test(view, rows_that_are_there_for_what_is_below_them_are_dim)
{
    struct person p;

    arrive(&p);
    press_all(&p, "/disk\n");
    cr_assert_str_eq(rows(&p.host), "db disk");
    press(&p, KEY_DOWN_);
    cr_assert_eq(style_at(&p, FIRST_ROW, 2), STYLE_DIM);
    press(&p, KEY_UP_);
    cr_assert_eq(style_at(&p, FIRST_ROW + 1, 4), STYLE_NORMAL);
    leave(&p);
}

/* The highest bar of the trend in that row. */
static uint32_t highest(const struct person *p, int row)
{
    uint32_t glyph = 0;

    for (int x = 0; x < COLUMNS; x++) {
        const struct cell *cell = &p->grid.cells[row * COLUMNS + x];

        if (cell->style == STYLE_CHART && cell->glyph > glyph)
            glyph = cell->glyph;
    }
    return glyph;
}

Test(view, a_trend_is_as_high_as_its_row_is_beside_its_like)
{
    struct person p;

    arrive(&p);
    p.view.settings.ascii = 0;
    p.view.settings.sort = column("exits");
    press(&p, '*');
    for (int i = 0; i < 3; i++)
        count(&p, 100, 100000, 0);
    cr_assert_str_eq(rows(&p.host), "mail db web");
    cr_assert(shows(&p, "TREND EXITS/s"));
    press(&p, KEY_DOWN_); /* away from both, so that their styles are seen */
    press(&p, KEY_DOWN_);
    cr_assert_gt(highest(&p, FIRST_ROW), highest(&p, FIRST_ROW + 1));
    leave(&p);
}

Test(view, a_trend_is_of_what_rows_are_sorted_by)
{
    struct person p;

    arrive(&p);
    p.view.settings.ascii = 0;
    p.view.settings.sort = column("bytes");
    press(&p, '*');
    for (int i = 0; i < 3; i++) {
        vmt_count(p.disk, VMT_BLOCK_READ_BYTES, 4096);
        count(&p, 0, 100000, 0);
    }
    cr_assert_str_eq(rows(&p.host), "db mail web");
    press(&p, KEY_END_);
    cr_assert(shows(&p, "TREND IO B/s"));
    cr_assert_gt(highest(&p, FIRST_ROW), 0, "bytes");
    cr_assert_eq(highest(&p, FIRST_ROW + 1), 0, "no bytes, but exits");
    leave(&p);
}

Test(view, that_there_are_no_vms_is_said_beside_the_keys)
{
    struct person p;

    arrive(&p);
    p.rows = DRAW_ROWS_MIN;
    for (size_t i = 0; i < 3; i++) {
        vmt_segment_close(p.segments[i]);
        p.segments[i] = NULL;
    }
    for (int i = 0; i < 15; i++)
        beat(&p);
    cr_assert_str_eq(line(&p, DRAW_ROWS_MIN - 3), "No VMs in here.");
    cr_assert_str_eq(line(&p, DRAW_ROWS_MIN - 2), "Those that start now will be shown.");
    cr_assert_eq(strncmp(line(&p, DRAW_ROWS_MIN - 1), "q quit", 6), 0);
    leave(&p);
}

Test(view, every_size_of_screen_is_drawn_in_every_mode)
{
    static const int keys[] = { 'q', KEY_ENTER_, 's', 'c', '?' };
    struct person p;

    arrive(&p);
    count(&p, 1, 2, 3);
    for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
        p.view.mode = VIEW_OVERVIEW;
        if (keys[k] != 'q')
            press(&p, keys[k]);
        for (int rows = 0; rows < 40; rows += 3) {
            for (int columns = 0; columns < 240; columns += 7) {
                draw_settle(&p.view, &p.scene, rows, columns);
                cr_assert_eq(grid_reset(&p.grid, rows, columns), 0);
                draw_view(&p.grid, &p.scene);
                if (rows >= 1 && columns >= 20)
                    cr_assert_neq(p.grid.cells[0].glyph, ' ', "mode %d, %dx%d", (int)p.view.mode, columns, rows);
            }
        }
    }
    leave(&p);
}
