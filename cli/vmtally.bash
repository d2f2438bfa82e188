# SPDX-License-Identifier: MIT
# bash completion for vmtally

# Names of VMs have no space; not by compgen -W, which would expand what a hostile one has in it.
_vmtally_vms() # word directory
{
    local name

    if [[ $1 == */* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$1")
        return
    fi
    while read -r name _; do
        [[ $name == "$1"* ]] && COMPREPLY+=("$name")
    done < <(vmtally ${2:+--dir "$2"} list 2>/dev/null | tail -n +2)
}

_vmtally()
{
    local commands='list show schema query export check gc help' common='--dir --no-sandbox --help --usage --version'
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' dir='' i

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
        mapfile -t COMPREPLY < <(compgen -W 'msgpack json kvm' -- "$word")
        return
        ;;
    --output | -o)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    --vm)
        _vmtally_vms "$word" "$dir"
        return
        ;;
    --listen | --source | --stat | --provider | --target) return ;;
    esac
    if [[ $word == -* ]]; then
        case $command in
        list) common+=' --json' ;;
        show) common+=' --source --stat --shards --json' ;;
        schema) common+=' --provider --target --stat --json --msgpack' ;;
        query) common+=' --vm --hmp --listen' ;;
        export) common+=' --format --full --source --output' ;;
        gc) common+=' --dry-run' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$common" -- "$word")
        return
    fi
    case $command in
    '' | help) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word") ;;
    check) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    show | schema | export) _vmtally_vms "$word" "$dir" ;;
    esac
}
complete -o filenames -F _vmtally vmtally
