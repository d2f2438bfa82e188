/* SPDX-License-Identifier: MIT */
/* kvmtop's filter: what it matches, what it refuses, and that neither what is typed nor what is matched costs much. */
#include <criterion/criterion.h>
#include <errno.h>
#include <locale.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/top/filter.h"
#include "parts.h"

static struct filter *filter_of(const char *text)
{
    struct filter *filter = (struct filter *)&filter;
    char why[256] = "";

    cr_assert_eq(filter_new(text, &filter, why, sizeof(why)), 0, "'%s': %s", text, why);
    return filter;
}

Test(filter, matches_what_it_says)
{
    static const struct {
        const char *filter;
        const char *text;
        int matches;
    } cases[] = {
        { "web", "web-1", 1 },
        { "web", "my-web", 1 },
        { "web", "we-b", 0 },
        { "web", "", 0 },
        { "WEB", "web-1", 1 },
        { "web", "WEB-1", 1 },
        { "aab", "aaab", 1 },
        { "web-1", "web-", 0 },
        { "web|db", "my-db", 1 },
        { "web|db", "my-web", 1 },
        { "web|db", "mail", 0 },
        { "web|", "mail", 0 },
        { "|web", "mail", 0 },
        { "web||db", "mail", 0 },
        { "web||db", "db", 1 },
        { "||db||", "db", 1 },
        { "[a.c]*", "x[a.c]*y", 1 },
        { "[a.c]*", "abc", 0 },
        { "k/vcpu", "vm/vcpu-1", 0 },
        { "m/vcpu", "vm/vcpu-1", 1 },
        { "\xc3\xa4", "j\xc3\xa4ger", 1 },
        { "\xc3\xa4", "jager", 0 },
        { "/^web-[0-9]+$/", "web-12", 1 },
        { "/^web-[0-9]+$/", "web-x", 0 },
        { "/^WEB/", "web-x", 1 },
        { "/^web", "web-x", 1 },
        { "/^web", "my-web", 0 },
        { "/a|b/", "xbx", 1 },
        { "/a|b/", "xcx", 0 },
        { "/vm/vcpu-1/", "vm/vcpu-12", 1 },
        { "/vm/vcpu-1$/", "vm/vcpu-12", 0 },
        { "/^a\\/", "a/b", 1 },
        { "/^a\\/", "ab", 0 },
        { "/a\\\\/", "a\\b", 1 },
        { "/a{2}b/", "aab", 1 },
        { "/^a{2}b/", "aaab", 0 },
        { "/[]/]x/", "/x", 1 },
        { "/[[:digit:]{255}]x/", "{x", 1 },
        { "/\\(\\{/", "({", 1 },
        { "/(web)(-(a|b)){2,3}$/", "web-a-b", 1 },
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct filter *filter = filter_of(cases[i].filter);

        cr_expect_not_null(filter);
        cr_expect_eq(filter_matches(filter, cases[i].text), cases[i].matches, "'%s' and '%s'", cases[i].filter,
                     cases[i].text);
        filter_free(filter);
    }
}

Test(filter, nothing_to_look_for_matches_all)
{
    static const char *const filters[] = { "", "|", "|||", "/", "//" };

    for (size_t i = 0; i < LENGTH(filters); i++)
        cr_expect_null(filter_of(filters[i]), "'%s'", filters[i]);
    cr_expect_eq(filter_matches(NULL, "web"), 1);
    cr_expect_eq(filter_matches(NULL, ""), 1);
    filter_free(NULL);
}

Test(filter, case_of_other_scripts_in_expressions)
{
    struct filter *filter;

    cr_assert_not_null(setlocale(LC_CTYPE, "C.UTF-8"));
    filter = filter_of("/^j\xc3\x84.er$/"); /* a capital A umlaut; the dot is one character */
    cr_expect_eq(filter_matches(filter, "j\xc3\xa4\xc3\xa4"
                                        "er"),
                 1);
    filter_free(filter);
}

Test(filter, says_what_is_wrong)
{
    static const struct {
        const char *filter;
        const char *why;
    } cases[] = {
        { "/(a/", "Unmatched (" },
        { "/[a/", "Unmatched [" },
        { "/[[:alpha:/", "Unmatched [" },
        { "/[[:alpha/", "" },
        { "/[b-a]/", "Invalid range end" },
        { "/[[:letter:]]/", "Invalid character class name" },
        { "/a{/", "" },
        { "/a{2,1}/", "Invalid content of \\{\\}" },
        { "/*a/", "Invalid preceding regular expression" },
        { "/a\\", "Trailing backslash" },
        { "/(a)\\1/", "back-references" },
        { "/a{513}/", "repetitions" },
        { "/a{40000}/", "repetitions" },
        { "/a{99999999999999999999999}/", "repetitions" },
        { "/a{0,513}/", "repetitions" },
        { "/a{512,}/", "repetitions" },
        { "/(a{1,255}){1,255}/", "repetitions" },
        { "/(a{1,255}){1,255", "repetitions" },
        { "/((a{9}){9}){9}/", "repetitions" },
        { "/a{99}{99}/", "repetitions" },
        { "/[a]{99}{99}/", "repetitions" },
        { "/[]a]{99}{99}/", "repetitions" },
        { "/[^]a]{99}{99}/", "repetitions" },
        { "/\\[{99}{99}/", "repetitions" },
        { "/\xc3\xa4{300}/", "repetitions" },
        { "/(a|b|c|d|e){99}/", "repetitions" },
        { "/(((((((((a+)+)+)+)+)+)+)+)+)+/", "repetitions" },
        { "/a+++++++++++++++++++++++++++++/", "repetitions" },
        { "/x(y(a{20})z){30}/", "repetitions" },
        { "/(a?|b*){50,}/", "ways" },
        { "/()?{2}{2}{9,}/", "ways" },
        { "/$(|a){1,120}/", "ways" },
        { "/(((a?|b*)(a?|b*)(a?|b*)(a?|b*)){2}c?){2}*/", "ways" },
        { "/^(){1,255}/", "ways" },
        { "/(\\b){6,}*/", "repeated" },
        { "/(a*\\b\\B\\b)*/", "repeated" },
        { "/(^a)+/", "repeated" },
        { "/(x|y$){2,}/", "repeated" },
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct filter *filter = NULL;
        char why[128] = "";

        cr_expect_eq(filter_new(cases[i].filter, &filter, why, sizeof(why)), -EINVAL, "'%s'", cases[i].filter);
        cr_expect_null(filter);
        cr_expect(why[0] && strstr(why, cases[i].why) && !strchr(why, '\n'), "'%s': '%s'", cases[i].filter, why);
    }
}

Test(filter, its_length_is_bounded)
{
    char text[FILTER_LENGTH + 2];
    struct filter *filter;
    char why[8] = "";

    for (int regular = 0; regular < 2; regular++) {
        memset(text, 'a', sizeof(text));
        text[0] = regular ? '/' : 'a';
        text[FILTER_LENGTH] = '\0';
        filter = filter_of(text);
        cr_expect_eq(filter_matches(filter, text + 1), regular); /* without the slash it is one longer */
        filter_free(filter);
        text[FILTER_LENGTH] = 'a';
        text[FILTER_LENGTH + 1] = '\0';
        cr_expect_eq(filter_new(text, &filter, why, sizeof(why)), -EINVAL);
        cr_expect_str_eq(why, "longer ", "a reason is cut to fit");
    }
    memset(text, '|', FILTER_LENGTH);
    text[FILTER_LENGTH - 1] = 'x';
    text[FILTER_LENGTH] = '\0';
    filter = filter_of(text);
    cr_expect(filter_matches(filter, "x") && !filter_matches(filter, "y"));
    filter_free(filter);
    memset(text, '(', FILTER_LENGTH);
    text[0] = '/';
    cr_expect_eq(filter_new(text, &filter, why, sizeof(why)), -EINVAL, "groups that are never closed");
}

Test(filter, ordinary_expressions_are_taken)
{
    static const char *const filters[] = {
        "/(web|db|app)-(eu|us|asia)-[0-9]{1,3}$/",
        "/^kvm-[0-9]+\\/vcpu-([0-9]|1[0-5])$/",
        "/(0|1){16}/",
        "/^(10|192)\\.([0-9]{1,3}\\.){2}[0-9]{1,3}$/",
        "/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/",
        "/(^|-)web(-|$)/",
        "/\\bweb\\b|\\<db\\>/",
        "/.*a.*b.*c/",
        "/(foo )?bar( baz)?( qux)?/",
        "/(a|b?)*(c?|d)*/",
        "/^a{0,200}$/",
        "/^one$|^two$|^three$|^four$|^five$|^six$|^seven$|^eight$|^nine$|^ten$/",
        "/()/",
    };

    for (size_t i = 0; i < LENGTH(filters); i++) {
        struct filter *filter = filter_of(filters[i]);

        cr_expect_not_null(filter);
        filter_free(filter);
    }
}

/* Whatever is typed, and its beginnings while it is typed. */
Test(filter, typing_costs_little)
{
    static const char *const texts[] = {
        "/(a?){170}/",         "/((a*)(b*)){80}/",  "/((((((((a{2}){2}){2}){2}){2}){2}){2}){2})/",
        "/(a|b)*a(a|b){100}/", "/.*a.{120}c(x+)+/", "/[[:alpha:]]{255}(a{1,255}){1,255}/"
    };

    for (size_t i = 0; i < LENGTH(texts); i++) {
        char part[128];

        for (size_t n = 0; n <= strlen(texts[i]); n++) {
            struct filter *filter = NULL;
            char why[128];
            size_t before = mallinfo2().uordblks;

            snprintf(part, n + 1, "%s", texts[i]);
            filter_new(part, &filter, why, sizeof(why));
            cr_expect_lt(mallinfo2().uordblks - before, 4U << 20, "'%s'", part);
            filter_free(filter);
        }
    }
}

/* Each name leads to states in which this expression never was. */
Test(filter, names_cost_no_memory_in_the_end)
{
    struct filter *filter = filter_of("/(a|b)*a(a|b){18}c/");
    size_t most = 0;
    size_t before = mallinfo2().uordblks;
    char name[41] = "";

    srandom(1);
    for (int i = 0; i < 3000; i++) {
        size_t now;

        for (size_t n = 0; n < sizeof(name) - 1; n++)
            name[n] = random() & 1024 ? 'a' : 'b';
        cr_assert_eq(filter_matches(filter, name), 0);
        now = mallinfo2().uordblks - before;
        most = now > most ? now : most;
    }
    if (!SANITIZED) /* whose memory mallinfo2() does not know */
        cr_expect(most > 1U << 20 && most < 100U << 20, "%zu KiB", most >> 10);
    memset(name, 'b', sizeof(name) - 1); /* and it still does its work */
    name[30] = 'c';
    cr_expect_eq(filter_matches(filter, name), 0);
    name[30 - 19] = 'a';
    cr_expect_eq(filter_matches(filter, name), 1);
    filter_free(filter);
}
