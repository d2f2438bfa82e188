/* SPDX-License-Identifier: MIT */
/* lists.h: kvmtop's manual and shell completions, made from the tables that kvmtop itself is made of. A program of its
 * own, run when kvmtop is built:
 *
 *     lists manual < kvmtop.1.scd.in     lists bash     lists zsh     lists fish
 */
#ifndef CLI_TOP_LISTS_H
#define CLI_TOP_LISTS_H

#include <argp.h>

/* What an option's argument may be. */
enum values { VALUES_NONE, VALUES_FREE, VALUES_DIRECTORY, VALUES_SECONDS, VALUES_SORT, VALUES_COLUMNS, VALUES_WORDS };
enum values lists_values(const struct argp_option *o);

/* All of them with spaces between; nothing where they are not words. */
void lists_words(const struct argp_option *o);

/* Call fn for all options that have a name, also those of cli/options.h and argp's own. */
typedef void lists_option_fn(const struct argp_option *o);
void lists_each_option(lists_option_fn *fn);
int lists_has_letter(const struct argp_option *o);

/* text with a backslash before each of the characters. */
void lists_escaped(const char *text, const char *characters);

/* Each writes to standard output; 0, or 1 after a message. */
int lists_manual(void); /* the template on standard input, lists in the places of their names */
int lists_bash(void);
int lists_zsh(void);
int lists_fish(void);

#endif
