# SPDX-License-Identifier: MIT
# bash completion for kvmtop
_kvmtop()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local i dir=()

    case $prev in
    --dir)
        COMPREPLY=($(compgen -d -- "$cur"))
        return
        ;;
    -d | --delay)
        COMPREPLY=($(compgen -W '0.1 0.5 1 2 5 10 60' -- "$cur"))
        return
        ;;
    -n | --iterations)
        return
        ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W '-b --batch -d --delay -n --iterations --json --csv --ascii --dir --no-sandbox -h --help --usage
            -V --version' -- "$cur"))
        return
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == --dir ]]; then
            dir=(--dir "${COMP_WORDS[i+1]}")
        fi
    done
    COMPREPLY=($(compgen -W "$(vmtally list "${dir[@]}" 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$cur"))
}
complete -F _kvmtop kvmtop
