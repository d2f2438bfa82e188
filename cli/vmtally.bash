# SPDX-License-Identifier: MIT
# bash completion for vmtally
_vmtally()
{
    local commands='list show export check gc help' common='--dir --no-sandbox --help --usage --version'
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' dir='' i name

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --dir) dir=${COMP_WORDS[++i]} ;;
        -*) ;;
        *) [[ $command ]] || command=${COMP_WORDS[i]} ;;
        esac
    done
    COMPREPLY=()
    case $before in
    --dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        return
        ;;
    --format)
        mapfile -t COMPREPLY < <(compgen -W 'msgpack json' -- "$word")
        return
        ;;
    --output | -o)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    --source | --stat) return ;;
    esac
    if [[ $word == -* ]]; then
        case $command in
        list) common+=' --json' ;;
        show) common+=' --source --stat --shards --json' ;;
        export) common+=' --format --full --output' ;;
        gc) common+=' --dry-run' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$common" -- "$word")
        return
    fi
    case $command in
    '' | help) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word") ;;
    check) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    show | export)
        if [[ $word == */* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
        else # the names of a VM have no space; not by compgen -W, which would expand what a hostile one has in it
            while read -r name _; do
                [[ $name == "$word"* ]] && COMPREPLY+=("$name")
            done < <(vmtally ${dir:+--dir "$dir"} list 2>/dev/null | tail -n +2)
        fi
        ;;
    esac
}
complete -o filenames -F _vmtally vmtally
