/* SPDX-License-Identifier: MIT */
/* arguments.h: kvmtop's command line. Parser, --help, completions and the manual are made from one table of options. */
#ifndef CLI_TOP_ARGUMENTS_H
#define CLI_TOP_ARGUMENTS_H

#include <argp.h>
#include <stddef.h>

#include "cli/options.h"
#include "cli/top/batch.h"
#include "cli/top/settings.h"

#define ARGUMENT_SETTINGS 8 /* that flags can set */

/* A setting, as the file has it. */
struct argument_setting {
    const char *name;
    const char *value;
};

struct arguments {
    struct options common;
    int batch; /* -b, --json or --csv was given */
    enum batch_format format;
    int schema_once;    /* --schema */
    long samples;       /* 0: no end */
    const char *filter; /* of rows, "": none; filter_new() takes it */
    char **names;       /* VMs that are asked for */
    size_t name_count;
    int inverted; /* --invert */
    struct argument_setting settings[ARGUMENT_SETTINGS];
    size_t setting_count;
};

/* Call options_init() first. 0; where usage is wrong, and after --help and so on, it ends the process. What ret has
 * points into argv. */
int arguments_parse(int argc, char **argv, struct arguments *ret);

/* Set what flags have set, over what was loaded. */
void arguments_apply(const struct arguments *arguments, struct settings *settings);

/* What the parser is made of, ended by one of zeros; those of cli/options.h are beside them. */
extern const struct argp_option arguments_options[];

/* The setting that the option with this key sets, or NULL. */
const char *arguments_setting(int key);

#endif
