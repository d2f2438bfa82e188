#!/bin/bash
# SPDX-License-Identifier: MIT
# What vmtally's commands say of themselves stands in the manuals, and nothing else does; the shells complete it.
# $VMT_BUILD is the build directory.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh" || exit 1

manuals=$here/../../cli
made=${VMT_BUILD:?}/cli/completions
commands=$(vmtally --help | sed -nE '/^Commands:/,/^$/s/^  ([a-z]+) .*/\1/p' | grep -vx help)

page() { # command: its manual
    case $1 in
    forward | serve) echo "vmtally-$1" ;;
    stream | cat) echo vmtally-stream ;;
    *) echo vmtally ;;
    esac
}

options() { # command: a line each, long ones and letters
    vmtally "$1" --help | sed -nE 's/^ +((-.), )?(--[a-z0-9-]+).*/\2\n\3/p' | grep -v '^$' | LC_ALL=C sort -u
}

# ---- manuals ----

for name in vmtally vmtally-forward vmtally-serve vmtally-stream; do
    sed 's/\\//g' "$manuals/$name.1.scd" >"$dir/$name" || exit 1
    grep -oE '\*--?[A-Za-z0-9-]+' "$dir/$name" | tr -d '*' | LC_ALL=C sort -u >"$dir/$name.said"
done
for command in $commands; do
    name=$(page "$command")
    options "$command" >>"$dir/$name.all"
    missing=
    for option in $(options "$command"); do
        case $name$option in
        *'-?' | vmtally--usage | vmtally-*-V) ;; # of all commands
        *) grep -qx -- "$option" "$dir/$name.said" || missing+=" $option" ;;
        esac
    done
    check_empty "$missing" "$name(1) has each option of $command"
    [ "$name" = vmtally ] || grep -q "^\\*$command\\*" "$dir/vmtally"
    check $? "vmtally(1) has $command, too" ""
    grep -q "^\\*vmtally\\* \\*$command\\*" "$dir/vmtally"
    check $? "vmtally(1)'s synopsis has $command" "$(sed -n '/^# SYNOPSIS/,/^# DESC/p' "$dir/vmtally")"
done
options forward >>"$dir/vmtally.all" # what its synopsis and its pointers to others say
options stream >>"$dir/vmtally.all"
options cat >>"$dir/vmtally.all"
options serve >>"$dir/vmtally.all"
for name in vmtally vmtally-forward vmtally-serve vmtally-stream; do
    printf '%s\n' -h -V -name --id >>"$dir/$name.all" # of all; QEMU's and Firecracker's
    check_empty "$(LC_ALL=C sort -u "$dir/$name.all" | LC_ALL=C comm -13 - "$dir/$name.said" | tr '\n' ' ')" \
        "$name(1) has no option that there is not"
done
missing=
for format in $(vmtally export --format '' 2>&1 | sed -n 's/.*there are: //p' | tr -d ,); do
    grep -qE "^	(.*, )?\\*$format\\*" "$dir/vmtally" || missing+=" $format"
done
check_empty "$missing" "vmtally(1) has each format of export"
if command -v man >/dev/null && command -v scdoc >/dev/null; then
    for name in vmtally vmtally-forward vmtally-serve vmtally-stream; do
        scdoc <"$manuals/$name.1.scd" >"$dir/$name.1" &&
            got=$(LC_ALL=C.UTF-8 man --warnings -l "$dir/$name.1" 2>&1 >"$dir/$name.txt")
        [ -z "$got" ] && grep -q '^SEE ALSO' "$dir/$name.txt"
        check $? "man shows $name(1) without a warning" "$got"
    done
else
    skip "man shows the manuals" "man or scdoc is not installed"
fi

# ---- completions ----

completed() { # words...: what bash offers for the last one
    bash --norc --noprofile -c '
        . "$1"
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _vmtally 2>/dev/null
        [ ${#COMPREPLY[@]} -eq 0 ] || printf "%s\n" "${COMPREPLY[@]}"' bash "$made/vmtally" "$@" | LC_ALL=C sort
}

offers() { # what words...: exactly these
    local what=$1 got

    shift
    got=$(completed "$@" | tr '\n' ' ')
    [ "$got" = "$what" ]
    check $? "bash: $* offers ${what:-nothing}" "$got"
}

printf 'no segment, but long enough to be looked at' >"$segments/\$(touch\${IFS}$(basename "$dir")).vmt"
start_fixed alpha
offers 'schema serve show stream ' vmtally s
offers '--mode ' vmtally forward --m
offers 'deltas totals ' vmtally forward --mode ''
offers 'deltas ' vmtally forward --mode = d # as bash divides --mode=d
offers 'auto string ' vmtally forward --u64 =
offers '' vmtally forward --to ''
offers 'firecracker json msgpack ' vmtally stream --format ''
offers 'kvm ' vmtally export --format k
offers 'alpha ' vmtally export al
offers 'alpha ' vmtally forward --to localhost al
offers 'alpha ' vmtally query --vm al
offers "$segments/alpha.vmt " vmtally show "$segments/al"
offers "$here/test_help.sh " vmtally cat "$here/test_hel"
offers "$here/test_help.sh " vmtally serve --auth-file "$here/test_hel"
offers '' vmtally --dir /nonexistent show al
VMTALLY_DIR=/nonexistent offers 'alpha ' vmtally --dir = "$segments" show al
VMTALLY_DIR=/nonexistent offers 'alpha ' vmtally show --dir "$segments" al
offers '' vmtally gc al
offers 'forward ' vmtally help fo
(cd "$dir" && completed vmtally show '' >"$dir/offered")
[ ! -e "$dir/$(basename "$dir")" ] && grep -qF "\$(touch\${IFS}$(basename "$dir"))" "$dir/offered"
check $? "bash: a hostile name is offered and never run" "$(cat "$dir/offered")"

missing=
for command in $commands; do
    for option in $(options "$command" | grep -- -- | grep -vxE -- '--(dir|no-sandbox|help|usage|version)'); do
        sed -n "/^    $command)/,/^        ;;/p" "$made/_vmtally" | grep -qE -- "[*{,']$option[=['}]" ||
            missing+=" zsh:$command:$option"
        grep -qE -- "'__vmtally_command $command'( -s .)? -l ${option#--} " "$made/vmtally.fish" ||
            missing+=" fish:$command:$option"
    done
done
check_empty "$missing" "zsh and fish have each option of each command"
if command -v zsh >/dev/null; then
    run zsh -n "$made/_vmtally"
    [ "$status" -eq 0 ] && [ ! -s "$dir/err" ]
    check $? "zsh reads _vmtally" "$(shown)"
else
    skip "zsh reads _vmtally" "zsh is not installed"
fi
if command -v fish >/dev/null; then
    run fish --no-config -c '. $argv[1]
        for line in "vmtally str" "vmtally stream --format " "vmtally --dir $argv[2] export al" "vmtally gc "
            echo "$line:" (complete -C "$line" | string replace -r "\t.*" "")
        end' "$made/vmtally.fish" "$segments"
    [ "$(grep -vF '$(touch' "$dir/out")" = "vmtally str: stream
vmtally stream --format : firecracker json msgpack
vmtally --dir $segments export al: alpha
vmtally gc :" ] && [ ! -s "$dir/err" ]
    check $? "fish offers commands, values and VMs" "$(shown)"
else
    skip "fish offers commands, values and VMs" "fish is not installed"
fi

exit $bad
