/* SPDX-License-Identifier: MIT */
#include "cli/top/lists.h"

#include <stdio.h>
#include <string.h>

/* ---- bash ---- */

static void bash_name(const struct argp_option *o)
{
    if (lists_has_letter(o))
        printf("-%c ", o->key);
    printf("--%s ", o->name);
}

static void bash_case(const struct argp_option *o)
{
    enum values values = lists_values(o);

    if (values == VALUES_NONE)
        return;
    fputs("    ", stdout);
    if (lists_has_letter(o))
        printf("-%c | ", o->key);
    printf("--%s) ", o->name);
    if (values == VALUES_DIRECTORY) {
        puts("_kvmtop_files -d \"$word\" ;;");
    } else if (values == VALUES_COLUMNS) {
        fputs("_kvmtop_list '", stdout);
        lists_words(o);
        puts("' \"$word\" ;;");
    } else if (values == VALUES_FREE) {
        puts(";;");
    } else {
        fputs("mapfile -t COMPREPLY < <(compgen -W '", stdout);
        lists_words(o);
        puts("' -- \"$word\") ;;");
    }
}

int lists_bash(void)
{
    fputs("# bash completion for kvmtop, made from its tables of options and columns\n"
          "_kvmtop_files() # what word\n"
          "{\n"
          "    compopt -o filenames 2>/dev/null\n"
          "    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$2\")\n"
          "}\n"
          "\n"
          "_kvmtop_list() # words word: several with commas between\n"
          "{\n"
          "    local before=''\n"
          "\n"
          "    [[ $2 == *,* ]] && before=${2%,*},\n"
          "    compopt -o nospace 2>/dev/null\n"
          "    mapfile -t COMPREPLY < <(compgen -P \"$before\" -W \"$1\" -- \"${2##*,}\")\n"
          "}\n"
          "\n"
          "# Not by compgen -W, which would expand what a name has in it.\n"
          "_kvmtop_vms() # directory word\n"
          "{\n"
          "    local name\n"
          "\n"
          "    compopt -o filenames 2>/dev/null\n"
          "    while read -r name _; do\n"
          "        [[ $name == \"$2\"* ]] && COMPREPLY+=(\"$name\")\n"
          "    done < <(vmtally list ${1:+--dir \"$1\"} 2>/dev/null | tail -n +2)\n"
          "}\n"
          "\n"
          "_kvmtop()\n"
          "{\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} dir='' i\n"
          "\n"
          "    COMPREPLY=()\n"
          "    if [[ $word == = ]]; then # --option=value comes in three words\n"
          "        word=''\n"
          "    elif [[ $before == = ]]; then\n"
          "        before=${COMP_WORDS[COMP_CWORD - 2]}\n"
          "    fi\n"
          "    case $before in\n",
          stdout);
    lists_each_option(bash_case);
    fputs("    *)\n"
          "        if [[ $word == -* ]]; then\n"
          "            mapfile -t COMPREPLY < <(compgen -W '",
          stdout);
    lists_each_option(bash_name);
    fputs("' -- \"$word\")\n"
          "        elif [[ $word == */* ]]; then\n"
          "            _kvmtop_files -f \"$word\"\n"
          "        else\n"
          "            for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "                [[ ${COMP_WORDS[i]} == --dir ]] || continue\n"
          "                dir=${COMP_WORDS[i + 1]}\n"
          "                [[ $dir == = ]] && dir=${COMP_WORDS[i + 2]}\n"
          "            done\n"
          "            _kvmtop_vms \"$dir\" \"$word\"\n"
          "        fi\n"
          "        ;;\n"
          "    esac\n"
          "}\n"
          "complete -F _kvmtop kvmtop\n",
          stdout);
    return 0;
}

/* ---- zsh ---- */

/* Inside of '...', in a specification of _arguments. */
static void zsh_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            printf("%s%c", strchr("[]:\\", *text) ? "\\" : "", *text);
    }
}

static void zsh_option(const struct argp_option *o)
{
    enum values values = lists_values(o);

    fputs("        ", stdout);
    if (lists_has_letter(o))
        printf("'(-%c --%s)'{-%c%s,--%s%s}'[", o->key, o->name, o->key, o->arg ? "+" : "", o->name, o->arg ? "=" : "");
    else
        printf("'--%s%s[", o->name, o->arg ? "=" : "");
    zsh_text(o->doc);
    putchar(']');
    if (o->arg)
        printf(":%s:", o->arg);
    if (values == VALUES_DIRECTORY) {
        fputs("_files -/", stdout);
    } else if (values == VALUES_COLUMNS) {
        fputs("_values -s , column ", stdout);
        lists_words(o);
    } else if (values != VALUES_NONE && values != VALUES_FREE) {
        putchar('(');
        lists_words(o);
        putchar(')');
    }
    puts("' \\");
}

int lists_zsh(void)
{
    fputs("#compdef kvmtop\n"
          "# zsh completion for kvmtop, made from its tables of options and columns\n"
          "_kvmtop_vms()\n"
          "{\n"
          "    local -a names dir\n"
          "    local i\n"
          "\n"
          "    for ((i = 2; i < CURRENT; i++)); do\n"
          "        case ${words[i]} in\n"
          "        --dir) dir=(--dir ${(Q)words[i + 1]}) ;;\n"
          "        --dir=*) dir=(--dir ${(Q)words[i]#--dir=}) ;;\n"
          "        esac\n"
          "    done\n"
          "    names=(${(f)\"$(vmtally list $dir 2>/dev/null | awk 'NR > 1 { print $1 }')\"})\n"
          "    _alternative 'vms:VM:compadd -a names' 'files:segment:_files -g \"*.vmt\"'\n"
          "}\n"
          "\n"
          "_kvmtop()\n"
          "{\n"
          "    _arguments -s -S \\\n",
          stdout);
    lists_each_option(zsh_option);
    fputs("        '*:VM:_kvmtop_vms'\n"
          "}\n"
          "\n"
          "_kvmtop \"$@\"\n",
          stdout);
    return 0;
}

/* ---- fish ---- */

static void fish_option(const struct argp_option *o)
{
    enum values values = lists_values(o);

    fputs("complete -c kvmtop", stdout);
    if (lists_has_letter(o))
        printf(" -s %c", o->key);
    printf(" -l %s%s -d '", o->name, values == VALUES_NONE ? "" : " -x");
    lists_escaped(o->doc, "\\'");
    putchar('\'');
    if (values == VALUES_DIRECTORY) {
        fputs(" -a '(__fish_complete_directories)'", stdout);
    } else if (values == VALUES_COLUMNS) {
        fputs(" -a '(__kvmtop_list ", stdout);
        lists_words(o);
        fputs(")'", stdout);
    } else if (values != VALUES_NONE && values != VALUES_FREE) {
        fputs(" -a '", stdout);
        lists_words(o);
        putchar('\'');
    }
    putchar('\n');
}

int lists_fish(void)
{
    fputs("# fish completion for kvmtop, made from its tables of options and columns\n"
          "function __kvmtop_list # several words with commas between\n"
          "    set -l before (commandline -ct | string replace -r -- '^--[a-z-]+=' '' | string match -r -- '.*,')\n"
          "    printf '%s\\n' \"$before\"$argv\n"
          "end\n"
          "\n"
          "function __kvmtop_vms\n"
          "    set -l words (commandline -opc)\n"
          "    set -l dir\n"
          "    for i in (seq (count $words))\n"
          "        if test \"$words[$i]\" = --dir; and test $i -lt (count $words)\n"
          "            set dir --dir $words[(math $i + 1)]\n"
          "        else if string match -q -- '--dir=*' $words[$i]\n"
          "            set dir $words[$i]\n"
          "        end\n"
          "    end\n"
          "    vmtally list $dir 2>/dev/null | awk 'NR > 1 { print $1 }'\n"
          "end\n"
          "\n"
          "complete -c kvmtop -f -a '(__kvmtop_vms)'\n"
          "complete -c kvmtop -n 'string match -q -- \"*/*\" (commandline -ct)' -F\n",
          stdout);
    lists_each_option(fish_option);
    return 0;
}
