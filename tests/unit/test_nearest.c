/* SPDX-License-Identifier: MIT */
/* cli/nearest.h: what somebody meant. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <vmtally/descriptor.h>

#include "cli/nearest.h"

static const char *const statistics[] = {
    "exits",        "io_exits",  "mmio_exits",     "halt_exits",          "halt_poll_ns",   "halt_poll_fail_ns",
    "halt_wait_ns", "irq_exits", "nmi_injections", "halt_poll_fail_hist", "halt_wait_hist", "guest_mode"
};

static const char *among(struct nearest *n, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        nearest_try(n, names[i]);
    return n->found;
}

#define AMONG(n, names) among(n, names, sizeof(names) / sizeof((names)[0]))

static const struct {
    const char *why;
    const char *asked;
    const char *meant; /* NULL: nothing */
    size_t distance;
} rows[] = {
    { "two letters exchanged are one slip", "halt_poll_fial_ns", "halt_poll_fail_ns", 1 },
    { "a letter dropped", "halt_pol_fail_ns", "halt_poll_fail_ns", 1 },
    { "a letter added", "halt_poll_ffail_ns", "halt_poll_fail_ns", 1 },
    { "a letter replaced", "halt_poll_gail_ns", "halt_poll_fail_ns", 1 },
    { "at the start", "xeits", "exits", 1 },
    { "at the end", "guest_moed", "guest_mode", 1 },
    { "several", "hallt_piol_fai_ns", "halt_poll_fail_ns", 4 },
    { "the nearest, not the first", "halt_exit", "halt_exits", 1 },
    { "as many slips as a third of the letters", "irq_extis_", "irq_exits", 2 },
    { "one more than that is something else", "ixets", NULL, 0 },
    { "three letters may have one", "xit", NULL, 0 },
    { "nothing like it", "memory_bytes", NULL, 0 },
    { "nothing at all", "", NULL, 0 },
    { "itself is not meant instead", "exits", NULL, 0 },
};

Test(nearest, finds_what_was_meant_and_nothing_that_was_not)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct nearest n = { .asked = rows[i].asked };
        const char *found = AMONG(&n, statistics);

        if (!rows[i].meant) {
            cr_expect_null(found, "%s: %s", rows[i].why, found);
            continue;
        }
        cr_expect_str_eq(found ? found : "nothing", rows[i].meant, "%s: %s", rows[i].why, found);
        cr_expect_eq(n.distance, rows[i].distance, "%s: %zu", rows[i].why, n.distance);
    }
}

/* Of two that are as near the first: what is tried first is the better guess, as far as the caller knows. */
Test(nearest, the_first_of_two_that_are_as_near)
{
    struct nearest n = { .asked = "vm-3" };
    static const char *const names[] = { "vm-1", "vm-2", "vm-4" };

    cr_assert_str_eq(AMONG(&n, names), "vm-1");
}

/* The definition, without any shortcut: letters from i of a and j of b on. */
static size_t slow(const char *a, const char *b)
{
    size_t least, d;

    if (!*a || !*b)
        return strlen(a) + strlen(b);
    least = slow(a + 1, b + 1) + (*a != *b);
    d = slow(a + 1, b) + 1;
    least = d < least ? d : least;
    d = slow(a, b + 1) + 1;
    least = d < least ? d : least;
    if (a[0] == b[1] && a[1] == b[0] && a[1] && b[1]) {
        d = slow(a + 2, b + 2) + 1;
        least = d < least ? d : least;
    }
    return least;
}

/* All words of two letters' alphabet up to five, against each other; a tail that differs everywhere gives room for slips. */
Test(nearest, distances_are_those_of_the_definition)
{
    char words[63][6];
    size_t count = 0;

    for (unsigned length = 0; length <= 5; length++) {
        for (unsigned bits = 0; bits < 1U << length; bits++, count++) {
            for (unsigned i = 0; i < length; i++)
                words[count][i] = bits >> i & 1 ? 'a' : 'b';
            words[count][length] = '\0';
        }
    }
    cr_assert_eq(count, 63);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            char asked[32], name[32];
            struct nearest n = { .asked = asked };
            size_t expected;

            snprintf(asked, sizeof(asked), "(%.5s]0123456789abcdef", words[i]);
            snprintf(name, sizeof(name), "(%.5s]0123456789abcdef", words[j]);
            expected = slow(words[i], words[j]);
            nearest_try(&n, name);
            cr_expect_eq(n.found != NULL, expected > 0, "%s %s", words[i], words[j]);
            if (n.found)
                cr_expect_eq(n.distance, expected, "%s %s: %zu, not %zu", words[i], words[j], n.distance, expected);
        }
    }
}

Test(nearest, what_it_found_need_not_stay)
{
    struct nearest n = { .asked = "vcpu-O" };
    char name[] = "vcpu-0";
    char text[NEAREST_TEXT];

    nearest_try(&n, name);
    memset(name, 'x', sizeof(name) - 1);
    cr_assert_str_eq(nearest_text(&n, text, sizeof(text)), "; did you mean vcpu-0?");
}

Test(nearest, says_nothing_where_nothing_is_near)
{
    struct nearest n = { .asked = "frobnicate" };
    char text[NEAREST_TEXT] = "before";

    cr_assert_str_eq(nearest_text(&n, text, sizeof(text)), "");
}

Test(nearest, a_text_is_cut_to_its_room)
{
    struct nearest n = { .asked = "exit" };
    char text[8] = "1234567";

    nearest_try(&n, "exits");
    cr_assert_str_eq(nearest_text(&n, text, sizeof(text)), "; did y");
}

/* Ids are long and differ in one part; names of more letters than are compared are not near, and cost nothing. */
Test(nearest, long_names)
{
    char asked[4096], name[4096];
    struct nearest n = { .asked = asked };

    for (int i = 0; i < 20; i++)
        snprintf(asked + 10 * i, 11, "/device-%02u", (unsigned)i % 100);
    strcpy(name, asked);
    asked[105] = 'x';
    nearest_try(&n, name);
    cr_assert_not_null(n.found);
    cr_assert_eq(n.distance, 1);

    memset(asked, 'a', sizeof(asked) - 1);
    asked[sizeof(asked) - 1] = '\0';
    memset(name, 'b', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    n = (struct nearest){ .asked = asked };
    nearest_try(&n, name);
    cr_assert_null(n.found);
    strcpy(name, asked);
    name[2000] = 'b'; /* near, but no name that there can be */
    nearest_try(&n, name);
    cr_assert_null(n.found);
    asked[VMT_NAME_SIZE] = name[VMT_NAME_SIZE] = '\0';
    memset(asked, 'b', VMT_NAME_SIZE);
    nearest_try(&n, name);
    cr_assert_null(n.found);
}
