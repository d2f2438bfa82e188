#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Completions of vmtally for a shell: make.py VMTALLY bash|zsh|fish

Made of what the commands say of themselves (vmtally COMMAND --help), so that they have each option there is.
"""
import os, re, subprocess, sys

# What the argument of an option is, by the word that stands for it in --help; nothing can be offered for others.
KINDS = {"FILE": "files", "DIR": "directories", "VM": "vms"}
WORDS = {"--mode": "totals deltas", "--u64": "auto string"}  # --format says its own
# What else a command takes.
ARGUMENTS = {"list": None, "query": None, "gc": None, "help": "commands", "check": "files", "cat": "files"}


class Option:
    def __init__(self, letter, name, value, text):
        self.letter, self.name, self.text = letter, name, text.strip()
        self.value, self.words = value, WORDS.get(name, "")

    @property
    def kind(self):
        return "words" if self.words else KINDS.get(self.value)

    @property
    def all(self):
        return ([self.letter] if self.letter else []) + [self.name]


def ask(*command):
    env = {**os.environ, "ARGP_HELP_FMT": "rmargin=10000", "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True)


def options_of(vmtally, *command):
    found = []
    for line in ask(vmtally, *command, "--help").stdout.splitlines():
        m = re.match(r"  (?:(-[A-Za-z?]), | {4})(--[a-z0-9-]+)(?:=(\S+))?(?: +(.*))?$", line)
        if m:
            letter = "-h" if m[1] == "-?" else m[1]  # a pattern to shells, and the same
            found.append(Option(letter, m[2], m[3], m[4] or ""))
        elif found and re.match(r" {20,}\S", line) and not found[-1].text:
            found[-1].text = line.strip()
        elif re.match(r" +-", line):
            sys.exit(f"make.py: what 'vmtally {' '.join(command)} --help' says is not understood here: {line}")
    for option in found:
        if option.name == "--format":
            option.words = ask(vmtally, *command, "--format", "").stderr.partition("there are: ")[2] \
                .splitlines()[0].replace(",", "")
    return found


def summary(option):
    """Its text up to where it goes into details, for a list."""
    return option.value.lower() if option.words else re.split(r" \(|;|\. |, such", option.text)[0].strip()


class Program:
    def __init__(self, vmtally):
        self.common = options_of(vmtally)
        lines = iter(ask(vmtally, "--help").stdout.splitlines())
        self.commands = {}
        for line in lines:
            if line == "Commands:":
                break
        for line in lines:
            m = re.match(r"  ([a-z]+) +(.*)$", line)
            if not m:
                break
            self.commands[m[1]] = m[2]
        names = {o.name for o in self.common}
        self.options = {c: [o for o in options_of(vmtally, c) if o.name not in names] if c != "help" else []
                        for c in self.commands}
        for command, options in self.options.items():
            if not options and command not in ("check", "help"):
                sys.exit(f"make.py: 'vmtally {command} --help' has no options that are understood here")

    def argument(self, command):
        return ARGUMENTS.get(command, "vms")


# ---- bash ----

BASH = r"""# bash completion for vmtally, made of what its commands say of themselves
_vmtally_files() # what word
{
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

_vmtally_words() # words word
{
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# Names of VMs have no space; not by compgen -W, which would expand what a hostile one has in it.
_vmtally_vms() # word directory
{
    local name

    if [[ $1 == */* ]]; then
        _vmtally_files -f "$1"
        return
    fi
    compopt -o filenames 2>/dev/null
    while read -r name _; do
        [[ $name == "$1"* ]] && COMPREPLY+=("$name")
    done < <(vmtally ${2:+--dir "$2"} list 2>/dev/null | tail -n +2)
}

_vmtally()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' dir='' options='@COMMON@' i

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --dir)
            [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
            dir=${COMP_WORDS[++i]}
            ;;
        -* | =) ;;
        *) [[ $command ]] || command=${COMP_WORDS[i]} ;;
        esac
    done
    COMPREPLY=()
    if [[ $word == = ]]; then # --option=value comes in three words
        word=''
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $command in
@OPTIONS@
    esac
    case $command:$before in
@VALUES@
    *)
        if [[ $word == -* ]]; then
            _vmtally_words "$options" "$word"
            return
        fi
        case $command in
        '') _vmtally_words '@COMMANDS@' "$word" ;;
@ARGUMENTS@
        esac
        ;;
    esac
}
complete -F _vmtally vmtally"""

BASH_OFFERS = {"files": '_vmtally_files -f "$word"', "directories": '_vmtally_files -d "$word"',
               "vms": '_vmtally_vms "$word" "$dir"'}


def bash_offer(program, kind, words=""):
    if kind == "commands":
        kind, words = "words", " ".join(program.commands)
    return f"_vmtally_words '{words}' \"$word\"" if kind == "words" else BASH_OFFERS.get(kind, "return")


def bash(program):
    def values(prefix, options):
        return [f"    {' | '.join(f'{prefix}:{n}' for n in o.all)}) {bash_offer(program, o.kind, o.words)} ;;"
                for o in options if o.value]

    options = [f"    {c}) options+=' {' '.join(o.name for o in found)}' ;;"
               for c, found in program.options.items() if found]
    offers = values("*", program.common) + [v for c, found in program.options.items() for v in values(c, found)]
    arguments = [f"        {c}) {bash_offer(program, program.argument(c))} ;;" for c in program.commands
                 if program.argument(c)]
    text = BASH.replace("@COMMON@", " ".join(o.name for o in program.common))
    return text.replace("@OPTIONS@", "\n".join(options)).replace("@VALUES@", "\n".join(offers)) \
        .replace("@COMMANDS@", " ".join(program.commands)).replace("@ARGUMENTS@", "\n".join(arguments))


# ---- zsh ----

ZSH = r"""#compdef vmtally
# zsh completion for vmtally, made of what its commands say of themselves
_vmtally_vms()
{
    local -a names dir
    local i

    for ((i = 2; i <= $#vmtally_words; i++)); do
        case ${vmtally_words[i]} in
        --dir) dir=(--dir ${(Q)vmtally_words[i + 1]}) ;;
        --dir=*) dir=(--dir ${(Q)vmtally_words[i]#--dir=}) ;;
        esac
    done
    names=(${(f)"$(vmtally $dir list 2>/dev/null | awk 'NR > 1 { print $1 }')"})
    _alternative 'vms:VM:compadd -a names' 'files:segment:_files -g "*.vmt"'
}

_vmtally_commands()
{
    local -a commands=(
@COMMANDS@
    )

    _describe command commands
}

_vmtally()
{
    local curcontext=$curcontext state line
    local -a vmtally_words=($words)
    local -a common=(
@COMMON@
    )

    _arguments -C -S $common '1:command:_vmtally_commands' '*::argument:->arguments' && return
    [[ $state == arguments ]] || return
    case $line[1] in
@CASES@
    esac
}

_vmtally "$@"
"""

ZSH_OFFERS = {"files": "_files", "directories": "_files -/", "vms": "_vmtally_vms", "commands": "_vmtally_commands"}


def zsh_text(text):
    return re.sub(r"([\[\]:\\])", r"\\\1", text).replace("'", "'\\''")


def zsh_option(o, indent):
    takes = f":{zsh_text(o.value)}:" + (f"({o.words})" if o.words else ZSH_OFFERS.get(o.kind, "")) if o.value else ""
    text = f"[{zsh_text(summary(o))}]"
    # Many may be given several times: which, is the command's to say.
    if o.letter:
        return (f"{indent}'*'{{{o.letter}{'+' if o.value else ''},{o.name}{'=' if o.value else ''}}}'{text}{takes}'")
    return f"{indent}'*{o.name}{'=' if o.value else ''}{text}{takes}'"


def zsh(program):
    cases = []
    for command, options in program.options.items():
        lines = [zsh_option(o, "            ") for o in options]
        if program.argument(command):
            lines.append(f"            '*:{program.argument(command)[:-1]}:{ZSH_OFFERS[program.argument(command)]}'")
        cases.append(f"    {command})\n        _arguments -s -S $common" +
                     "".join(f" \\\n{line}" for line in lines) + "\n        ;;")
    commands = [f"        '{name}:{zsh_text(text)}'" for name, text in program.commands.items()]
    return ZSH.replace("@COMMANDS@", "\n".join(commands)).replace("@CASES@", "\n".join(cases)) \
        .replace("@COMMON@", "\n".join(zsh_option(o, "        ") for o in program.common))


# ---- fish ----

FISH = r"""# fish completion for vmtally, made of what its commands say of themselves
function __vmtally_vms
    set -l words (commandline -opc)
    set -l dir
    for i in (seq (count $words))
        if test "$words[$i]" = --dir; and test $i -lt (count $words)
            set dir --dir $words[(math $i + 1)]
        else if string match -q -- '--dir=*' $words[$i]
            set dir $words[$i]
        end
    end
    vmtally $dir list 2>/dev/null | awk 'NR > 1 { print $1 }'
end

function __vmtally_command # names: whether one of them is the command
    set -l words (commandline -opc)
    set -e words[1]
    set -l skip
    for word in $words
        if test -n "$skip"
            set skip
        else if test "$word" = --dir
            set skip yes
        else if not string match -q -- '-*' $word
            contains -- $word $argv
            return
        end
    end
    test (count $argv) -eq 0
end

complete -c vmtally -f
complete -c vmtally -n 'string match -q -- "*/*" (commandline -ct)' -F"""

FISH_OFFERS = {"files": " -r -F", "directories": " -x -a '(__fish_complete_directories)'",
               "vms": " -x -a '(__vmtally_vms)'"}


def fish_text(text):
    return text.replace("\\", "\\\\").replace("'", "\\'")


def fish_option(o, condition):
    takes = ""
    if o.value:
        takes = f" -x -a '{o.words}'" if o.words else FISH_OFFERS.get(o.kind, " -x")
    letter = f" -s {o.letter[1]}" if o.letter else ""
    return f"complete -c vmtally{condition}{letter} -l {o.name[2:]}{takes} -d '{fish_text(summary(o))}'"


def fish(program):
    lines = [fish_option(o, "") for o in program.common]
    for name, text in program.commands.items():
        lines.append(f"complete -c vmtally -n __vmtally_command -a {name} -d '{fish_text(text)}'")
    for name, options in program.options.items():
        condition = f" -n '__vmtally_command {name}'"
        lines += [fish_option(o, condition) for o in options]
        if program.argument(name) == "commands":
            lines.append(f"complete -c vmtally{condition} -a '{' '.join(program.commands)}'")
        elif program.argument(name) == "vms":
            lines.append(f"complete -c vmtally{condition} -a '(__vmtally_vms)'")
        elif program.argument(name):
            lines.append(f"complete -c vmtally{condition} -F")
    return FISH + "\n" + "\n".join(lines)


print({"bash": bash, "zsh": zsh, "fish": fish}[sys.argv[2]](Program(sys.argv[1])))
