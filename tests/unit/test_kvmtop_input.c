/* SPDX-License-Identifier: MIT */
/* What keys and the mouse mean: the table of actions, the line of input, clicks. */
#include "person.h"

TestSuite(input, .init = test_dir_init, .fini = test_dir_fini);

/* ---- the table ---- */

Test(input, every_action_has_a_name_keys_that_are_keys_a_help_and_a_mode)
{
    for (int a = 0; a < ACTION_COUNT; a++) {
        char keys[128];
        char *save = NULL;
        int n = 0;

        cr_assert_not_null(actions[a].name, "%d", a);
        cr_assert_not_null(actions[a].help, "%s", actions[a].name);
        cr_assert_neq(actions[a].modes, 0, "%s", actions[a].name);
        snprintf(keys, sizeof(keys), "%s", actions[a].keys);
        for (char *key = strtok_r(keys, " ", &save); key; key = strtok_r(NULL, " ", &save), n++)
            cr_expect_neq(key_parse(key), KEY_NONE_, "%s: %s", actions[a].name, key);
        cr_expect(n >= 1 && n <= ACTION_KEYS, "%s has %d", actions[a].name, n);
        for (int b = 0; b < a; b++)
            cr_expect_str_neq(actions[a].name, actions[b].name);
    }
}

/* But for quit and back, which share them on purpose. */
Test(input, no_key_means_two_things_in_one_mode)
{
    struct settings s;

    settings_default(&s);
    for (int a = 0; a < ACTION_COUNT; a++) {
        for (int b = 0; b < a; b++) {
            for (int i = 0; i < ACTION_KEYS * ACTION_KEYS; i++) {
                int key = s.keys[a][i / ACTION_KEYS];

                if (key == KEY_NONE_ || key != s.keys[b][i % ACTION_KEYS] || (a == ACTION_BACK && b == ACTION_QUIT))
                    continue;
                cr_expect_eq(actions[a].modes & actions[b].modes, 0, "%s and %s", actions[a].name, actions[b].name);
            }
        }
    }
}

Test(input, a_key_of_ones_own_does_what_the_default_one_did)
{
    struct person p;

    arrive(&p);
    p.view.settings.keys[ACTION_FOLLOW][0] = 'y';
    press(&p, 'F');
    cr_assert_not(p.view.settings.follow);
    press(&p, 'y');
    cr_assert(p.view.settings.follow);
    p.view.settings.keys[ACTION_HELP][0] = 'y' - 0x60;
    press(&p, 'y' - 0x60);
    cr_assert_eq(p.view.mode, VIEW_HELP);
    cr_assert(shows(&p, "Ctrl-Y, h, F1"), "%s", line(&p, 5));
    leave(&p);
}

/* Wherever one comes from, each action is in the help, with the first of its keys that means it there. */
Test(input, the_help_has_every_action)
{
    for (int detail = 0; detail < 2; detail++) {
        uint64_t seen = 0;
        struct person p;

        arrive(&p);
        p.view.settings.keys[ACTION_MARK][0] = 'x';
        if (detail)
            press(&p, KEY_ENTER_);
        press(&p, '?');
        for (size_t page = 0; page < 20; page++, press(&p, KEY_PAGE_DOWN_)) {
            for (int a = 0; a < ACTION_COUNT; a++) {
                char key[KEY_TEXT];

                key_text(p.view.settings.keys[a][0], key, sizeof(key));
                if (a == ACTION_BACK && detail)
                    snprintf(key, sizeof(key), "Esc");
                for (int y = FIRST_ROW; y < FOOT; y++) {
                    const char *text = line(&p, y) + 1;

                    if (!strncmp(text, key, strlen(key)) && strstr(text, "  ") &&
                        !strncmp(strstr(text, "  ") + strspn(strstr(text, "  "), " "), actions[a].help, 20))
                        seen |= (uint64_t)1 << a;
                }
            }
        }
        for (int a = 0; a < ACTION_COUNT; a++)
            cr_expect(seen >> a & 1, "%s", actions[a].name);
        leave(&p);
    }
}

Test(input, q_quits_the_overview_and_goes_back_everywhere_else)
{
    struct person p;

    arrive(&p);
    press(&p, KEY_ENTER_);
    cr_assert_eq(p.view.mode, VIEW_DETAIL);
    press(&p, '?');
    cr_assert_eq(p.view.mode, VIEW_HELP);
    press(&p, 'q');
    cr_assert_eq(p.view.mode, VIEW_DETAIL);
    press(&p, 'q');
    cr_assert_eq(p.view.mode, VIEW_OVERVIEW);
    cr_assert_not(p.view.quit);
    press(&p, KEY_ESCAPE_);
    cr_assert_not(p.view.quit);
    press(&p, 'q');
    cr_assert(p.view.quit);
    leave(&p);
}

/* ---- filter ---- */

Test(input, a_filter_works_while_it_is_typed_and_says_how_many_rows_it_hides)
{
    struct person p;

    arrive(&p);
    cr_assert_eq(p.host.model.count, 7);
    press(&p, '/');
    cr_assert(strstr(line(&p, FOOT), "Filter: _"), "%s", line(&p, FOOT));
    press_all(&p, "we");
    cr_assert_eq(p.host.model.hidden, 5);
    cr_assert_str_eq(rows(&p.host), "web vcpu-0");
    cr_assert(strstr(line(&p, FOOT), "5 hidden"), "%s", line(&p, FOOT));
    press_all(&p, "|q"); /* a letter, not a key */
    cr_assert_not(p.view.quit);
    press(&p, KEY_BACKSPACE_);
    press(&p, 'd');
    press(&p, KEY_ENTER_);
    cr_assert_not(p.view.typing);
    cr_assert_eq(p.view.mode, VIEW_OVERVIEW);
    cr_assert(strstr(line(&p, FOOT), "filter: we|d  2 hidden"), "%s", line(&p, FOOT));
    press(&p, KEY_ESCAPE_);
    cr_assert_eq(p.host.model.count, 7);
    cr_assert_null(strstr(line(&p, FOOT), "hidden"));
    leave(&p);
}

Test(input, escape_takes_back_what_was_typed)
{
    struct person p;

    arrive(&p);
    press_all(&p, "/mail\n");
    cr_assert_str_eq(rows(&p.host), "mail vcpu-0");
    press_all(&p, "/|web");
    cr_assert_str_eq(rows(&p.host), "mail vcpu-0 web vcpu-0");
    press(&p, KEY_ESCAPE_);
    cr_assert_str_eq(p.view.rows.text, "mail");
    cr_assert_str_eq(rows(&p.host), "mail vcpu-0");
    press_all(&p, "/\025"); /* Ctrl-U: all of it */
    cr_assert_eq(p.host.model.count, 7);
    leave(&p);
}

Test(input, what_is_wrong_with_a_filter_is_said_and_the_last_good_one_stays)
{
    struct person p;

    arrive(&p);
    press_all(&p, "//web");
    cr_assert_str_eq(rows(&p.host), "web vcpu-0");
    press_all(&p, "(");
    cr_assert_neq(p.view.rows.why[0], '\0');
    cr_assert(strstr(line(&p, FOOT), p.view.rows.why), "%s", line(&p, FOOT));
    cr_assert_str_eq(rows(&p.host), "web vcpu-0");
    press(&p, KEY_ENTER_);
    cr_assert(p.view.typing, "a wrong filter can't be kept");
    press_all(&p, ")");
    cr_assert_eq(p.view.rows.why[0], '\0');
    press(&p, KEY_ENTER_);
    cr_assert_not(p.view.typing);
    leave(&p);
}

Test(input, a_filter_is_edited_by_whole_characters_and_has_an_end)
{
    struct person p;

    arrive(&p);
    press(&p, '/');
    press(&p, 0xe9);
    press(&p, 0x1f600);
    cr_assert_str_eq(p.view.rows.text, "\u00e9\U0001f600");
    press(&p, KEY_BACKSPACE_);
    cr_assert_str_eq(p.view.rows.text, "\u00e9");
    for (int i = 0; i < FILTER_TEXT; i++)
        press(&p, 0xe9);
    cr_assert_eq(strlen(p.view.rows.text) % 2, 0, "no half of a character");
    cr_assert_lt(strlen(p.view.rows.text), FILTER_TEXT);
    press(&p, KEY_F0_ + 5);
    press(&p, 0xd800);
    press(&p, 0x9b);
    cr_assert_eq(strlen(p.view.rows.text) % 2, 0);
    leave(&p);
}

Test(input, the_item_selected_before_typing_is_selected_again_after_it_was_hidden)
{
    struct person p;

    arrive(&p);
    press(&p, KEY_DOWN_);
    press(&p, KEY_DOWN_);
    press(&p, KEY_DOWN_);
    cr_assert_str_eq(selected(&p), "mail");
    press_all(&p, "/web");
    press(&p, KEY_ESCAPE_);
    cr_assert_str_eq(selected(&p), "mail");
    press_all(&p, "/web");
    press(&p, KEY_DOWN_); /* the selection moves while one types */
    cr_assert(p.view.typing);
    press(&p, KEY_ENTER_);
    cr_assert_str_eq(selected(&p), "vcpu-0");
    leave(&p);
}

Test(input, nothing_is_opened_while_one_types)
{
    struct person p;

    arrive(&p);
    press_all(&p, "/d");
    press(&p, KEY_F0_ + 6);
    press(&p, KEY_LEFT_);
    mouse(&p, MOUSE_DOUBLE_CLICK, FIRST_ROW, 40);
    mouse(&p, MOUSE_CLICK, DRAW_HEAD, 1);
    cr_assert_eq(p.view.mode, VIEW_OVERVIEW);
    cr_assert_eq(p.view.beat, 0);
    cr_assert_not(p.view.settings.inverted);
    cr_assert(p.view.typing);
    cr_assert_str_eq(p.view.rows.text, "d");
    leave(&p);
}

Test(input, the_filter_of_the_command_line_is_the_one_that_is_typed_on)
{
    struct person p;

    arrive(&p);
    cr_assert_eq(view_filter_rows(&p.view, "/("), -EINVAL);
    cr_assert_neq(p.view.rows.why[0], '\0');
    cr_assert_eq(view_filter_rows(&p.view, "web"), 0);
    press_all(&p, "/|db\n");
    cr_assert_str_eq(p.view.rows.text, "web|db");
    cr_assert_eq(p.host.model.hidden, 2);
    leave(&p);
}

Test(input, the_detail_has_a_filter_of_its_own)
{
    struct person p;

    arrive(&p);
    press_all(&p, "/web\n\n");
    cr_assert_eq(p.view.mode, VIEW_DETAIL);
    cr_assert_gt(p.detail.count, 1);
    press_all(&p, "/nothing of this name\n");
    cr_assert_eq(p.detail.statistics, 0);
    cr_assert_gt(p.detail.hidden, 0);
    cr_assert(strstr(line(&p, FOOT), "hidden"), "%s", line(&p, FOOT));
    press(&p, KEY_ESCAPE_);
    cr_assert_eq(p.view.mode, VIEW_DETAIL);
    press(&p, KEY_ESCAPE_);
    cr_assert_eq(p.view.mode, VIEW_OVERVIEW);
    cr_assert_str_eq(p.view.rows.text, "web");
    leave(&p);
}

/* ---- mouse ---- */

Test(input, a_click_selects_and_a_second_one_opens)
{
    struct person p;

    arrive(&p);
    mouse(&p, MOUSE_CLICK, FIRST_ROW, 40);
    cr_assert_eq(p.view.mode, VIEW_OVERVIEW, "nobody had selected it");
    mouse(&p, MOUSE_CLICK, FIRST_ROW + 3, 40);
    cr_assert_str_eq(selected(&p), "mail");
    cr_assert_eq(p.view.mode, VIEW_OVERVIEW);
    mouse(&p, MOUSE_CLICK, FIRST_ROW + 3, 40);
    cr_assert_eq(p.view.mode, VIEW_DETAIL);
    cr_assert_eq(p.view.detail_key, p.host.model.rows[3].facts.key);
    press(&p, 'q');
    mouse(&p, MOUSE_DOUBLE_CLICK, FIRST_ROW + 5, 40);
    cr_assert_eq(p.view.mode, VIEW_OVERVIEW, "another row was there at the first one");
    mouse(&p, MOUSE_DOUBLE_CLICK, FIRST_ROW + 5, 40);
    cr_assert_eq(p.view.mode, VIEW_DETAIL);
    cr_assert_eq(p.view.detail_key, p.host.model.rows[5].facts.key);
    press(&p, 'q');
    mouse(&p, MOUSE_CLICK, FIRST_ROW + 15, 40); /* below the last row */
    mouse(&p, MOUSE_CLICK, FOOT, 1);
    mouse(&p, MOUSE_CLICK, 0, 1);
    cr_assert_str_eq(selected(&p), "web");
    leave(&p);
}

Test(input, a_click_on_the_sign_folds)
{
    struct person p;

    arrive(&p);
    mouse(&p, MOUSE_CLICK, FIRST_ROW + 3, 0);
    cr_assert_str_eq(rows(&p.host), "db disk vcpu-0 mail web vcpu-0");
    mouse(&p, MOUSE_CLICK, FIRST_ROW + 3, 0);
    cr_assert_eq(p.host.model.count, 7);
    cr_assert_eq(p.view.mode, VIEW_OVERVIEW);
    leave(&p);
}

Test(input, a_click_on_a_title_sorts_and_another_one_inverts)
{
    struct person p;

    arrive(&p);
    count(&p, 1, 1, 1);
    count(&p, 10, 1000, 100);
    mouse(&p, MOUSE_CLICK, DRAW_HEAD, title_at(&p, "EXITS/s") + 1);
    cr_assert_eq(p.view.settings.sort, column("exits"));
    cr_assert_str_eq(selected(&p), "mail");
    cr_assert_eq(style_at(&p, DRAW_HEAD, title_at(&p, "EXITS/s")), STYLE_SORTED);
    mouse(&p, MOUSE_CLICK, DRAW_HEAD, title_at(&p, "EXITS/s") + 1);
    cr_assert(p.view.settings.inverted);
    cr_assert_str_eq(selected(&p), "db");
    mouse(&p, MOUSE_CLICK, DRAW_HEAD, title_at(&p, "NAME"));
    cr_assert_eq(p.view.settings.sort, COLUMN_NAME);
    cr_assert_not(p.view.settings.inverted);
    leave(&p);
}

Test(input, the_wheel_scrolls_whatever_there_is)
{
    struct person p;

    arrive(&p);
    press(&p, '?');
    mouse(&p, MOUSE_WHEEL_DOWN, 10, 10);
    cr_assert_eq(p.view.scrolled, 3);
    mouse(&p, MOUSE_WHEEL_UP, 10, 10);
    mouse(&p, MOUSE_WHEEL_UP, 10, 10);
    cr_assert_eq(p.view.scrolled, 0);
    for (int i = 0; i < 200; i++)
        mouse(&p, MOUSE_WHEEL_DOWN, 10, 10);
    cr_assert_eq(p.view.scrolled, p.view.lines - p.view.page);
    press(&p, 'q');
    press(&p, 's');
    mouse(&p, MOUSE_WHEEL_DOWN, 10, 10);
    cr_assert_eq(p.view.chosen, 3);
    mouse(&p, MOUSE_CLICK, FIRST_ROW + 1, 10);
    cr_assert_eq(p.view.chosen, 1);
    mouse(&p, MOUSE_CLICK, FIRST_ROW + 1, 10);
    cr_assert_eq(p.view.mode, VIEW_OVERVIEW);
    cr_assert_eq(p.view.settings.sort, view_choice(VIEW_SORT, 1));
    leave(&p);
}
