/* SPDX-License-Identifier: MIT */
/* kvmtop's settings: what the file may say and what is said of mistakes in it, which keys actions get, and how it is
 * written. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/top/columns.h"
#include "cli/top/keynames.h"
#include "cli/top/saver.h"
#include "cli/top/settings.h"
#include "config_file.h"

TestSuite(settings, .init = init, .fini = fini);

static int load(struct settings *s, char *why, size_t why_size)
{
    char *path = NULL;
    int r;

    settings_default(s);
    r = settings_load(s, &path, why, why_size);
    cr_assert_str_eq(path, file);
    free(path);
    return r;
}

static struct settings load_good(void)
{
    struct settings s;
    char why[256] = "";

    cr_assert_eq(load(&s, why, sizeof(why)), 0, "%s", why);
    return s;
}

static struct settings load_text(const char *text)
{
    put(file, text, strlen(text));
    return load_good();
}

static void set(struct settings *s, const char *name, const char *value)
{
    char why[256] = "";

    cr_assert_eq(settings_set(s, name, value, why, sizeof(why)), 0, "%s", why);
}

static int save(const struct settings *s, const struct settings *loaded, const struct settings *of_flags, char *why,
                size_t why_size)
{
    struct saver saver;
    int r;

    saver_start(&saver, file);
    r = settings_save(s, loaded, of_flags, &saver, why, why_size);
    saver_end(&saver);
    return r;
}

static void save_good(const struct settings *s, const struct settings *loaded, const struct settings *of_flags)
{
    char why[256] = "";

    cr_assert_eq(save(s, loaded, of_flags, why, sizeof(why)), 0, "%s", why);
}

static void expect_same(const struct settings *a, const struct settings *b)
{
    cr_expect_float_eq(a->interval_s, b->interval_s, 0);
    cr_expect_eq(a->sort, b->sort);
    cr_expect_eq(a->inverted, b->inverted);
    cr_expect_eq(a->hidden_columns, b->hidden_columns);
    cr_expect_eq(a->ascii, b->ascii);
    cr_expect_eq(a->color, b->color);
    cr_expect_eq(a->mouse, b->mouse);
    cr_expect_eq(a->follow, b->follow);
    cr_expect_eq(a->hide_zero, b->hide_zero);
    cr_expect_eq(a->level, b->level);
    for (size_t i = 0; i < ACTION_COUNT; i++)
        cr_expect_arr_eq(a->keys[i], b->keys[i], sizeof(a->keys[i]), "%s", actions[i].name);
}

static int has_key(const struct settings *s, enum action action, const char *name)
{
    for (size_t i = 0; i < ACTION_KEYS; i++) {
        if (s->keys[action][i] != KEY_NONE_ && s->keys[action][i] == key_parse(name))
            return 1;
    }
    return 0;
}

/* ---- reading ---- */

Test(settings, without_a_file_are_the_defaults)
{
    struct settings usual;
    struct settings s = load_good();

    settings_default(&usual);
    expect_same(&s, &usual);
    cr_expect_eq(s.unread, 0);
    cr_expect_float_eq(s.interval_s, 1, 0);
    cr_expect_eq(s.hidden_columns, 0);
    cr_expect_eq(s.mouse, 1);
    cr_expect(has_key(&s, ACTION_QUIT, "q"));
    cr_expect_eq(test_dir_files(), 0, "reading makes nothing");
    s = load_text("");
    expect_same(&s, &usual);
}

Test(settings, all_actions_have_their_keys_by_default)
{
    struct settings s;

    settings_default(&s);
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        char text[64];
        size_t count = 0;

        cr_assert_lt(strlen(actions[i].keys), sizeof(text));
        strcpy(text, actions[i].keys);
        for (char *key = strtok(text, " "); key; key = strtok(NULL, " ")) {
            cr_expect_neq(key_parse(key), KEY_NONE_, "%s: %s", actions[i].name, key);
            cr_expect(count < ACTION_KEYS && s.keys[i][count] == key_parse(key), "%s: %s", actions[i].name, key);
            count++;
        }
        cr_expect_gt(count, 0, "%s", actions[i].name);
    }
}

Test(settings, the_file_says_how_it_shall_be)
{
    struct settings s = load_text("\xef\xbb\xbf# a comment\r\n"
                                  "\t# another: \xc3\xa4\n"
                                  "  [settings]  \n"
                                  "interval=0.25\r\n"
                                  " sort\t=  -exits \n"
                                  "columns = exits, run\tname,,\n"
                                  "ascii = yes\ncolor = always\nmouse = off\nfollow = TRUE\nhide-zero = 1\n"
                                  "level = diagnostic\n"
                                  "\n"
                                  "[keys]\n"
                                  "mark = # =\n"
                                  "[settings]\n"
                                  "[keys]\n"
                                  "help = none");

    cr_expect_float_eq(s.interval_s, 0.25, 0);
    cr_expect_eq((long)s.sort, column_find("exits"));
    cr_expect_eq(s.inverted, 1);
    for (size_t i = 0; i < kvmtop_column_count; i++) {
        const char *name = kvmtop_columns[i].title ? kvmtop_columns[i].name : "";
        int shown = !name[0] || !strcmp(name, "exits") || !strcmp(name, "run") || !strcmp(name, "name");

        cr_expect_eq(s.hidden_columns >> i & 1, !shown, "%s", name);
    }
    cr_expect_eq(s.ascii, 1);
    cr_expect_eq(s.color, COLOR_WHEN_ALWAYS);
    cr_expect_eq(s.mouse, 0);
    cr_expect_eq(s.follow, 1);
    cr_expect_eq(s.hide_zero, 1);
    cr_expect_eq(s.level, VMT_LEVEL_DIAGNOSTIC);
    cr_expect_eq(s.keys[ACTION_MARK][0], '#');
    cr_expect_eq(s.keys[ACTION_MARK][1], '=');
    cr_expect_eq(s.keys[ACTION_MARK][2], KEY_NONE_);
    cr_expect_eq(s.keys[ACTION_HELP][0], KEY_NONE_);
}

Test(settings, the_column_of_names_is_always_shown)
{
    struct settings s = load_text("[settings]\ncolumns = exits\n");

    cr_expect_eq(s.hidden_columns & 1, 0);
    cr_expect_neq(s.hidden_columns, 0);
}

Test(settings, mistakes_are_said_with_file_and_line)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *why;
    } cases[] = {
        { "interval = 1", 1, "stands before [settings] or [keys]" },
        { "\n\n[setting]", 3, "no section '[setting]'; there are [settings] and [keys]" },
        { "[settings", 1, "no section" },
        { "[settings]\nnonsense", 2, "no 'name = value'" },
        { "[settings]\n= 3", 2, "no 'name = value'" },
        { "[settings]\ninterval =", 2, "no value" },
        { "[settings]\ninterval = 0", 2, "interval can't be '0'; it is seconds, from 0.1 to 3600" },
        { "[settings]\ninterval = 0.0999", 2, "from 0.1 to 3600" },
        { "[settings]\ninterval = 3600.1", 2, "from 0.1 to 3600" },
        { "[settings]\ninterval = nan", 2, "from 0.1 to 3600" },
        { "[settings]\ninterval = inf", 2, "from 0.1 to 3600" },
        { "[settings]\ninterval = -1", 2, "from 0.1 to 3600" },
        { "[settings]\ninterval = 1e999", 2, "from 0.1 to 3600" },
        { "[settings]\ninterval = 2s", 2, "can't be '2s'" },
        { "[settings]\ninterval = 2 # seconds", 2, "a comment needs a line of its own" },
        { "[settings]\nintervall = 2", 2, "no setting 'intervall'; did you mean 'interval'?" },
        { "[settings]\nhidezero = yes", 2, "did you mean 'hide-zero'?" },
        { "[settings]\nmosue = yes", 2, "did you mean 'mouse'?" },
        { "[settings]\nbackground = blue", 2, "no setting 'background'; there are interval, sort, columns" },
        { "[settings]\ninterval = 1\nascii = no\ninterval = 2", 4, "line 2 sets 'interval' already" },
        { "[settings]\nsort = exitts", 2, "no column 'exitts'; did you mean 'exits'?" },
        { "[settings]\nsort = -", 2, "no column ''" },
        { "[settings]\nsort = trend", 2, "can't be sorted by trend, but by name, pid" },
        { "[settings]\ncolumns = name exists", 2, "no column 'exists'; did you mean 'exits'?" },
        { "[settings]\ncolumns = , ,", 2, "no column ''; there are name" },
        { "[settings]\nascii = maybe", 2, "ascii can't be 'maybe'; it is one of yes, no" },
        { "[settings]\ncolor = red", 2, "it is one of never, auto, always" },
        { "[settings]\nlevel = 3", 2, "it is one of info, diagnostic, debug" },
        { "[keys]\nqiut = x", 2, "no action 'qiut'; did you mean 'quit'?" },
        { "[keys]\ndestroy-everything = x", 2, "no action 'destroy-everything'" },
        { "[keys]\nmark =", 2, "'none' is for none" },
        { "[keys]\nmark = Hyper", 2, "no key 'Hyper'" },
        { "[keys]\nmark = m none", 2, "no key 'none'" },
        { "[keys]\nmark = Mouse", 2, "no key 'Mouse'" },
        { "[keys]\nmark = Ctrl-Z", 2, "'Ctrl-Z' is the terminal's own key" },
        { "[keys]\nmark = a b d e f", 2, "more than 4 keys" },
        { "[keys]\nmark = a\nmark = b", 3, "line 2 sets 'mark' already" },
        { "[keys]\nmark = a # key", 2, "a comment needs a line of its own" },
        { "[keys]\nmark = a\n\ncolumns = x a", 4, "line 2 gives the key 'a' to 'mark' already" },
        { "[keys]\ncolumns = x a\nmark = a", 3, "line 2 gives the key 'a' to 'columns' already" },
        { "[keys]\nquit = none", 2, "no key would be left for 'quit'" },
        { "[keys]\nback = none", 2, "no key would be left for 'back'" },
        { "[keys]\nmark = q\npause = F10", 3, "no key would be left for 'quit'" },
        { "[settings]\ninterval = 2\001", 2, "can't be shown" },
        { "[settings]\n# \033[2J", 2, "can't be shown" },
        { "[settings]\n# \xff", 2, "can't be shown" },
        { "[settings]\n# \xe2\x80\xae", 2, "can't be shown" },
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        char place[300];
        char why[512] = "";
        struct settings usual;
        struct settings s;

        put(file, cases[i].text, strlen(cases[i].text));
        snprintf(place, sizeof(place), "%s:%u: ", file, cases[i].line);
        cr_expect_eq(load(&s, why, sizeof(why)), -EINVAL, "%s", cases[i].text);
        cr_expect(!strncmp(why, place, strlen(place)) && strstr(why + strlen(place), cases[i].why), "%s: '%s'",
                  cases[i].text, why);
        cr_expect_null(strchr(why, '\n'));
        cr_expect_eq(s.unread, 1);
        settings_default(&usual);
        expect_same(&s, &usual);
    }
}

Test(settings, a_nul_byte_is_a_mistake)
{
    static const char text[] = "[settings]\nascii = yes\0no\n";
    struct settings s;
    char why[512];

    put(file, text, sizeof(text) - 1);
    cr_expect_eq(load(&s, why, sizeof(why)), -EINVAL);
    cr_expect(strstr(why, ":2: a NUL byte"), "%s", why);
}

Test(settings, only_a_regular_file_of_bounded_size_is_read)
{
    struct settings s;
    char why[512] = "";
    char *large = calloc(1, (64 << 10) + 1);

    cr_assert_not_null(large);
    memset(large, '\n', (64 << 10) + 1);
    put(file, large, 64 << 10);
    cr_expect_eq(load(&s, why, sizeof(why)), 0, "%s", why);
    put(file, large, (64 << 10) + 1);
    cr_expect_eq(load(&s, why, sizeof(why)), -EFBIG);
    cr_expect(strstr(why, "larger than 64 KiB"), "%s", why);
    free(large);
    cr_assert_eq(unlink(file), 0);
    cr_assert_eq(mkfifo(file, 0600), 0); /* and nobody waits for a writer */
    cr_expect_eq(load(&s, why, sizeof(why)), -EINVAL);
    cr_expect(strstr(why, "kvmtop.conf: not a regular file"), "%s", why);
    cr_expect_eq(s.unread, 1);
    cr_assert_eq(unlink(file), 0);
    cr_assert_eq(symlink("/dev/zero", file), 0);
    cr_expect_eq(load(&s, why, sizeof(why)), -EINVAL);
    cr_assert_eq(unlink(file), 0);
    cr_assert_eq(mkdir(file, 0700), 0);
    cr_expect_eq(load(&s, why, sizeof(why)), -EINVAL);
    cr_assert_eq(rmdir(file), 0);
    cr_assert_eq(symlink(file, file), 0);
    cr_expect_eq(load(&s, why, sizeof(why)), -ELOOP);
    cr_assert_eq(unlink(file), 0);
    cr_assert_eq(rmdir(test_path("config/vmtally")), 0);
    cr_assert_eq(close(open(test_path("config/vmtally"), O_CREAT | O_WRONLY, 0600)), 0);
    cr_expect_eq(load(&s, why, sizeof(why)), 0, "a file where the directory would be: there is none");
}

static void try_as_nobody(void *expected)
{
    struct settings s;
    char *path = NULL;
    char why[256] = "";
    int r;

    if (geteuid() == 0)
        REQUIRE(setgid(65534) == 0 && setuid(65534) == 0);
    settings_default(&s);
    r = settings_load(&s, &path, why, sizeof(why));
    REQUIRE(r == *(int *)expected && s.unread == (r < 0) && (r == 0 || strstr(why, "permission denied")));
    free(path);
}

Test(settings, a_file_that_may_not_be_read_is_said_and_a_home_of_others_is_none)
{
    int denied = -EACCES;
    int none = 0;

    put(file, "[settings]\ninterval = 2\n", 24);
    cr_assert_eq(chmod(test_path(""), 0755), 0);
    cr_assert_eq(chmod(test_path("config"), 0755), 0);
    cr_assert_eq(chmod(test_path("config/vmtally"), 0755), 0);
    cr_assert_eq(chmod(file, 0), 0);
    assert_child(try_as_nobody, &denied);
    cr_assert_eq(chmod(test_path("config"), 0), 0);
    assert_child(try_as_nobody, &none);
    cr_assert_eq(chmod(test_path("config"), 0755), 0);
}

Test(settings, their_place_is_that_of_xdg_or_in_the_home)
{
    static const struct {
        const char *config;
        const char *home;
        const char *path;
    } cases[] = {
        { "/c", "/h", "/c/vmtally/kvmtop.conf" },
        { "", "/h", "/h/.config/vmtally/kvmtop.conf" },
        { NULL, "/h", "/h/.config/vmtally/kvmtop.conf" },
        { "c", "/h", "/h/.config/vmtally/kvmtop.conf" },
        { NULL, "", NULL },
        { NULL, NULL, NULL },
        { "c", "h", NULL },
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct settings s;
        char *path = (char *)"untouched";
        char why[256] = "";

        cases[i].config ? setenv("XDG_CONFIG_HOME", cases[i].config, 1) : unsetenv("XDG_CONFIG_HOME");
        cases[i].home ? setenv("HOME", cases[i].home, 1) : unsetenv("HOME");
        settings_default(&s);
        cr_expect_eq(settings_load(&s, &path, why, sizeof(why)), 0, "%s", why);
        cr_expect(cases[i].path ? path && !strcmp(path, cases[i].path) : !path, "%s", path);
        free(path);
    }
}

Test(settings, one_is_set_as_in_the_file)
{
    struct settings s;
    struct settings before;
    char why[256] = "";

    settings_default(&s);
    set(&s, "sort", "-exits");
    set(&s, "sort", "run");
    cr_expect_eq((long)s.sort, column_find("run"));
    cr_expect_eq(s.inverted, 0);
    before = s;
    cr_expect_eq(settings_set(&s, "sort", "nothing", why, sizeof(why)), -EINVAL);
    cr_expect_eq(settings_set(&s, "columns", "run nothing", why, sizeof(why)), -EINVAL);
    cr_expect_eq(settings_set(&s, "nothing", "run", why, sizeof(why)), -ENOENT);
    expect_same(&s, &before);
    for (size_t i = 0; i < settings_table_count; i++)
        cr_expect(settings_table[i].name && settings_table[i].values && settings_table[i].help);
}

/* ---- keys ---- */

Test(keys, an_action_gets_the_keys_given_and_others_lose_them, .init = init, .fini = fini)
{
    struct settings usual;
    struct settings s = load_text("[keys]\nmark = x c F6\n");

    settings_default(&usual);
    cr_expect(has_key(&s, ACTION_MARK, "x") && has_key(&s, ACTION_MARK, "c") && has_key(&s, ACTION_MARK, "F6"));
    cr_expect_not(has_key(&s, ACTION_MARK, "m"), "these only");
    cr_expect(has_key(&usual, ACTION_COLUMNS, "c") && !has_key(&s, ACTION_COLUMNS, "c"));
    cr_expect(has_key(&s, ACTION_COLUMNS, "F2"), "its other key stays");
    cr_expect(has_key(&usual, ACTION_SORT, "F6") && !has_key(&s, ACTION_SORT, "F6"));
    cr_expect_arr_eq(s.keys[ACTION_QUIT], usual.keys[ACTION_QUIT], sizeof(s.keys[ACTION_QUIT]));
}

Test(keys, what_works_elsewhere_keeps_its_key, .init = init, .fini = fini)
{
    struct settings s = load_text("[keys]\nlevel = c\n"); /* in details only, and columns in the overview only */

    cr_expect(has_key(&s, ACTION_LEVEL, "c"));
    cr_expect(has_key(&s, ACTION_COLUMNS, "c"));
    s = load_text("[keys]\nlevel = x\ncolumns = x\n");
    cr_expect(has_key(&s, ACTION_LEVEL, "x") && has_key(&s, ACTION_COLUMNS, "x"));
}

Test(keys, what_is_shared_by_default_may_stay_shared, .init = init, .fini = fini)
{
    struct settings s = load_text("[keys]\nquit = q\n");

    cr_expect(has_key(&s, ACTION_QUIT, "q") && !has_key(&s, ACTION_QUIT, "F10"));
    cr_expect(has_key(&s, ACTION_BACK, "q") && has_key(&s, ACTION_BACK, "F10"));
    s = load_text("[keys]\nback = q Esc\nquit = q\n");
    cr_expect(has_key(&s, ACTION_QUIT, "q") && has_key(&s, ACTION_BACK, "q"));
}

Test(keys, quit_may_move, .init = init, .fini = fini)
{
    struct settings s = load_text("[keys]\nmark = q\nquit = Q\nback = Esc\n");

    cr_expect(has_key(&s, ACTION_QUIT, "Q") && !has_key(&s, ACTION_QUIT, "q") && has_key(&s, ACTION_MARK, "q"));
}

Test(keys, the_same_key_twice_is_one, .init = init, .fini = fini)
{
    struct settings s = load_text("[keys]\nmark = Enter Return enter x x x x\nenter = e\n");

    cr_expect_eq(s.keys[ACTION_MARK][0], KEY_ENTER_);
    cr_expect_eq(s.keys[ACTION_MARK][1], 'x');
    cr_expect_eq(s.keys[ACTION_MARK][2], KEY_NONE_);
}

/* ---- writing ---- */

Test(settings, are_read_as_they_were_written)
{
    static const char *const values[][2] = {
        { "interval", "0.1" },  { "interval", "0.30000000000000004" },
        { "interval", "3600" }, { "sort", "-state" },
        { "columns", "name" },  { "columns", "trend p99 exits" },
        { "ascii", "yes" },     { "color", "never" },
        { "mouse", "no" },      { "follow", "yes" },
        { "hide-zero", "yes" }, { "level", "debug" },
    };
    struct settings usual;
    struct settings all;

    settings_default(&usual);
    all = usual;
    for (size_t i = 0; i < LENGTH(values); i++) {
        struct settings s = usual;
        struct settings read;
        char line[128];

        set(&s, values[i][0], values[i][1]);
        set(&all, values[i][0], values[i][1]);
        save_good(&s, &usual, &usual);
        snprintf(line, sizeof(line), "\n%s = ", values[i][0]);
        cr_expect(strstr(contents(file), line), "%s", contents(file));
        cr_expect_eq(strstr(contents(file), " = "), strstr(contents(file), line) + strlen(line) - 3,
                     "nothing else is written: %s", contents(file));
        read = load_good();
        expect_same(&read, &s);
        save_good(&all, &usual, &usual);
        read = load_good();
        expect_same(&read, &all);
    }
    save_good(&usual, &all, &all);
    cr_expect_null(strchr(contents(file), '['), "what is as by default is not written: %s", contents(file));
    cr_expect_eq(strncmp(contents(file), "# Written by kvmtop", 19), 0);
}

Test(settings, keys_are_read_as_they_were_written)
{
    static const struct {
        const char *text;
        const char *written; /* NULL: the same */
    } cases[] = {
        { "[keys]\nmark = x\n", NULL },
        { "[keys]\nmark = c F6\n", NULL },
        { "[keys]\nmark = none\n", NULL },
        { "[keys]\nmark = # = [ \xc3\xa4\n", NULL },
        { "[keys]\nhelp = F1 ?\nmark = h\n", NULL },
        { "[keys]\nhelp = ?\nmark = h F1\n", "[keys]\nmark = h F1\n" }, /* it loses the others in any case */
        { "[keys]\nquit = F10 q\n", NULL },
        { "[keys]\nquit = Q\nback = Esc\nmark = q\n", NULL },
        { "[keys]\nmark = m\n", "" },
        { "[keys]\nshorter = none\nlonger = none\nmark = Space PageUp F12 U+00A0\n", NULL },
        { "[keys]\nmark = c\ncolumns = F2\n", "[keys]\nmark = c\n" },
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct settings s = load_text(cases[i].text);
        const char *written = cases[i].written ? cases[i].written : cases[i].text;
        const char *keys;
        struct settings read;

        save_good(&s, &s, &s);
        keys = strstr(contents(file), "[keys]");
        cr_expect_str_eq(keys ? keys : "", written);
        read = load_good();
        expect_same(&read, &s);
    }
}

Test(settings, what_flags_set_is_never_written)
{
    struct settings loaded = load_text("[settings]\ninterval = 2\nmouse = no\n");
    struct settings flags = loaded;
    struct settings s;

    set(&flags, "interval", "5");
    set(&flags, "sort", "-exits");
    set(&flags, "columns", "name run");
    set(&flags, "color", "never");
    set(&flags, "mouse", "yes");
    s = flags;
    set(&s, "follow", "yes"); /* what is done in the view is */
    save_good(&s, &loaded, &flags);
    cr_expect(strstr(contents(file), "[settings]\ninterval = 2\nmouse = no\nfollow = yes\n"), "%s", contents(file));
    set(&s, "interval", "10"); /* and so is what was changed there after a flag */
    set(&s, "sort", "exits");
    save_good(&s, &loaded, &flags);
    cr_expect(strstr(contents(file), "[settings]\ninterval = 10\nsort = exits\nmouse = no\nfollow = yes\n"), "%s",
              contents(file));
}

Test(settings, a_file_that_could_not_be_read_is_not_overwritten)
{
    static const char text[] = "[settings]\ninterval = 2\nascii = perhaps\n";
    struct settings s;
    char why[256] = "";

    put(file, text, sizeof(text) - 1);
    cr_assert_eq(load(&s, why, sizeof(why)), -EINVAL);
    cr_expect_eq(save(&s, &s, &s, why, sizeof(why)), -EBADMSG);
    cr_expect(strstr(why, "not saved"), "%s", why);
    cr_expect_str_eq(contents(file), text);
}
