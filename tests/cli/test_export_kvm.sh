#!/bin/bash
# SPDX-License-Identifier: MIT
# vmtally export --format kvm, from outside: files that hold all that the kernel's selftest asserts of its own, where they
# lie, and that nothing else is written.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh" || exit 1
kvm_file=${VMT_BUILD:?}/tests/cli/kvm_file
umask 022

files() { # directory: what is in it
    (cd "$1" && find . -type f | sed 's|^\./||' | LC_ALL=C sort | tr '\n' ' ')
}

value() { # file statistic: its values
    "$kvm_file" -v "$1" | awk -v name="$2" '$2 == name { $1 = $2 = ""; print substr($0, 3) }'
}

# ---- usage ----

run vmtally export --format kvm
says "without a place for many files is wrong usage" 2 "name a directory for them with --output DIR, or one source with --source"
run vmtally export --format kvm -o -
says "standard output is no place for them" 2 "name a directory for them with --output DIR"
run vmtally export --format json --source vm
says "--source is for kvm" 2 "source is for --format kvm"
run vmtally export --format kvm --full -o "$dir/x"
says "--full is not" 2 "full is for --format msgpack"
run vmtally export --format kmv
says "a format with a slip" 2 "no format kmv; did you mean kvm\?"
run vmtally export --format kvm -o "$dir/none"
says "of nothing fails" 1 "^vmtally: no VMs found"
[ ! -e "$dir/none" ]
check $? "and makes no directory" "$(ls -l "$dir/none" 2>&1)"

# ---- all sources ----

start_fixed fixed
fixed_pid=$started
run vmtally export --format kvm -o "$dir/all"
[ "$status" -eq 0 ] && [ ! -s "$dir/err" ] && [ ! -s "$dir/out" ] &&
    [ "$(files "$dir/all")" = "fixed.kvm fixed/vm.kvm fixed/vm/vcpu-0.kvm fixed/vm/vcpu-1.kvm " ]
check $? "a file for each source, below a directory of its VM" "$(files "$dir/all") $(shown)"
got=$(find "$dir/all" -name '*.kvm' -exec "$kvm_file" {} + 2>&1)
check $? "each holds what the kernel's selftest asserts" "$got"
[ "$(value "$dir/all/fixed/vm/vcpu-0.kvm" exits)" = 9007199254740993 ] &&
    [ "$(value "$dir/all/fixed/vm/vcpu-0.kvm" exit_other)" = 18446744073709551615 ] &&
    [ "$(value "$dir/all/fixed/vm/vcpu-0.kvm" io_latency_hist | cut -d ' ' -f 1-13)" = "1 0 0 0 0 0 0 0 0 0 97 0 1" ] &&
    [ "$(value "$dir/all/fixed/vm.kvm" memory_bytes)" = 536870912 ]
check $? "its values are the sums" "$("$kvm_file" -v "$dir/all/fixed/vm/vcpu-0.kvm" "$dir/all/fixed/vm.kvm")"
got=$("$kvm_file" -v "$dir/all/fixed.kvm" "$dir/all/fixed/vm/vcpu-1.kvm" | cut -d ' ' -f 1 | uniq)
[ "$got" = "kvm-$fixed_pid/segment
kvm-$fixed_pid/vm/vcpu-1" ]
check $? "its id has the process and the source" "$got"
[ "$(find "$dir/all" -type f -perm 644 | wc -l)" = 4 ] && [ "$(find "$dir/all" -type d -perm 755 | wc -l)" = 3 ]
check $? "files and directories have the modes that are asked for" "$(find "$dir/all" -ls)"

start_fixed other
mkdir "$dir/two"
run vmtally export --format kvm -o "$dir/two"
[ "$status" -eq 0 ] && [ "$(files "$dir/two" | wc -w)" = 8 ] &&
    find "$dir/two" -name '*.kvm' -exec "$kvm_file" {} + >"$dir/why"
check $? "all VMs, into a directory that is there" "$(files "$dir/two") $(shown)"
run vmtally export --format kvm -o "$dir/one/" other
[ "$status" -eq 0 ] && [ "$(files "$dir/one")" = "other.kvm other/vm.kvm other/vm/vcpu-0.kvm other/vm/vcpu-1.kvm " ]
check $? "one VM" "$(files "$dir/one") $(shown)"
run vmtally export --format kvm -o "$dir/some/" --source '*/vcpu-*' other
[ "$status" -eq 0 ] && [ "$(files "$dir/some")" = "other/vm/vcpu-0.kvm other/vm/vcpu-1.kvm " ]
check $? "some sources" "$(files "$dir/some") $(shown)"

# ---- one source ----

vmtally export --format kvm --source vm/vcpu-1 fixed >"$dir/image" 2>"$dir/err"
[ $? -eq 0 ] && cmp "$dir/image" "$dir/all/fixed/vm/vcpu-1.kvm" >"$dir/why"
check $? "one source goes to standard output" "$(cat "$dir/why" "$dir/err")"
vmtally export --format kvm --source '' "$segments/fixed.vmt" -o - >"$dir/image" 2>"$dir/err"
[ $? -eq 0 ] && "$kvm_file" "$dir/image" >"$dir/why"
check $? "so does the segment itself" "$(cat "$dir/why" "$dir/err")"
run vmtally export --format kvm --source 'vm/vcpu-1' -o "$dir/file" fixed
[ "$status" -eq 0 ] && [ ! -s "$dir/out" ] && cmp "$dir/file" "$dir/all/fixed/vm/vcpu-1.kvm" >"$dir/why"
check $? "or into a file" "$(cat "$dir/why") $(shown)"
got=$(in_terminal vmtally export --format kvm --source vm/vcpu-1 fixed)
[ "$got" = "2 vmtally export: kvm is not for a terminal; use --output FILE or a pipe" ]
check $? "but not to a terminal" "$got"
echo before >"$dir/file"
for place in "" "-o $dir/file"; do
    run vmtally export --format kvm --source 'vm/vcpu-*' $place fixed
    says "two sources are too many for one file ${place:+-o}" 1 \
        "^vmtally: 2 sources match 'vm/vcpu-\*', too many for one file; name one and its VM, or a directory for all with --output DIR/$"
    run vmtally export --format kvm --source vm/vcpu-0 $place
    says "so is one source of each of two VMs ${place:+-o}" 1 "^vmtally: 2 sources match 'vm/vcpu-0', too many"
    run vmtally export --format kvm --source vm/vpcu-0 $place fixed
    says "a source with a slip names the nearest ${place:+-o}" 1 "^vmtally: no source vm/vpcu-0; did you mean vm/vcpu-0\?$"
    run vmtally export --format kvm --source 'disk-*' $place
    says "a glob that matches nothing ${place:+-o}" 1 "^vmtally: no source matches 'disk-\*'; 'vmtally show' shows all$"
done
[ "$(cat "$dir/file")" = before ]
check $? "and a file that was there stays as it was" "$(cat "$dir/file")"

# ---- what is there already ----

mkdir -p "$dir/there/fixed/vm" "$dir/outside"
echo old >"$dir/there/fixed/vm.kvm"
chmod 604 "$dir/there/fixed/vm.kvm"
mkfifo "$dir/there/fixed/vm/vcpu-0.kvm"
echo keep >"$dir/outside/file"
ln -s "$dir/outside/file" "$dir/there/fixed.kvm"
mkdir "$dir/there/fixed/vm/vcpu-1.kvm"
run timeout 20 vmtally export --format kvm -o "$dir/there" fixed
[ "$status" -eq 1 ] && grep -qE "^vmtally: $dir/there/fixed.kvm and 2 more: not written: File exists" "$dir/err" &&
    [ -L "$dir/there/fixed.kvm" ] && [ -p "$dir/there/fixed/vm/vcpu-0.kvm" ] && [ "$(cat "$dir/outside/file")" = keep ]
check $? "what is no regular file stays, and is said once" "$(shown)"
[ "$(stat -c %a "$dir/there/fixed/vm.kvm")" = 604 ] && "$kvm_file" "$dir/there/fixed/vm.kvm" >"$dir/why"
check $? "a regular file is replaced, and keeps its mode" "$(cat "$dir/why"; ls -l "$dir/there/fixed")"
mkdir "$dir/linked"
ln -s "$dir/outside" "$dir/linked/fixed"
run vmtally export --format kvm -o "$dir/linked" fixed
[ "$status" -eq 1 ] && grep -q "linked/fixed/vm.kvm and 2 more: not written: " "$dir/err" && [ "$(ls "$dir/outside")" = file ] &&
    [ -f "$dir/linked/fixed.kvm" ]
check $? "a name in a segment leads through no symbolic link" "$(shown)"
ln -s all "$dir/to-all"
run vmtally export --format kvm -o "$dir/to-all" other
[ "$status" -eq 0 ] && [ -f "$dir/all/other.kvm" ]
check $? "the directory that was asked for may be one" "$(shown)"
echo file >"$dir/regular"
run vmtally export --format kvm -o "$dir/regular" fixed
says "a file is no directory" 1 "^vmtally: $dir/regular: not written: not a directory"
run vmtally export --format kvm -o "$dir/no/where" fixed
says "only one directory is made" 1 "^vmtally: $dir/no/where: not written: no such file or directory"
got=$(unshare -m sh -c 'mount -n -t tmpfs -o size=4k tmpfs "$1" || exit 77
    vmtally export --format kvm -o "$1" fixed
    echo "status $?, left: $(find "$1" -type f | wc -l)"' sh "$dir/outside" 2>&1)
if [ $? -eq 0 ]; then
    grep -q 'not written: no space left' <<<"$got" && grep -q "^status 1, left: [01]$" <<<"$got"
    check $? "on a full file system no part of a file is left" "$got"
else
    echo "ok - on a full file system no part of a file is left # SKIP needs to mount one"
fi

# ---- what lies about ----

cp "$segments/fixed.vmt" "$dir/dead.vmt"
rename() { # file offset-of-the-name text
    head -c 64 /dev/zero | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
    printf '%s' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
mkdir "$dir/evil" "$dir/evil/out"
for name in ../../up .hidden / .. 'a/b'; do
    cp "$dir/dead.vmt" "$dir/evil/evil.vmt"
    rename "$dir/evil/evil.vmt" 128 "$name"
    rm -rf "$dir/evil/out"
    run vmtally export --format kvm -o "$dir/evil/out" "$dir/evil/evil.vmt"
    [ "$status" -eq 0 ] && [ "$(ls -A "$dir/evil")" = "evil.vmt
out" ] && [ "$(find "$dir/evil/out" -mindepth 1 -name '.*' | wc -l)" = 0 ] && [ "$(files "$dir/evil/out" | wc -w)" = 4 ]
    check $? "a VM that calls itself $name stays below the directory" "$(find "$dir/evil") $(shown)"
done
cp "$dir/dead.vmt" "$dir/evil/a.vmt"
cp "$dir/dead.vmt" "$dir/evil/b.vmt"
rm -rf "$dir/evil/evil.vmt" "$dir/evil/out"
run vmtally --dir "$dir/evil" export --format kvm -o "$dir/evil/out"
[ "$status" -eq 0 ] && [ "$(files "$dir/evil/out" | wc -w)" = 8 ] && [ -f "$dir/evil/out/fixed~2/vm/vcpu-0.kvm" ]
check $? "two VMs of one name are two directories" "$(files "$dir/evil/out") $(shown)"
cp "$dir/dead.vmt" "$dir/evil/hostile.vmt"
"$python" "$here/hostile.py" write "$dir/evil/hostile.vmt"
rm -rf "$dir/evil/out"
run vmtally export --format kvm -o "$dir/evil/out" "$dir/evil/hostile.vmt"
[ "$status" -eq 0 ] && find "$dir/evil/out" -name '*.kvm' -exec "$kvm_file" {} + >"$dir/why" 2>&1 &&
    ! find "$dir/evil/out" | LC_ALL=C grep -q '[^ -~]'
check $? "a hostile segment gives good files with harmless names" "$(cat "$dir/why"; find "$dir/evil/out" | cat -v) $(shown)"

# ---- the kernel's ----

kernel() { # name: skip what needs a VM of the kernel's
    if ! kvm_works; then
        echo "ok - $1 # SKIP needs /dev/kvm"
    elif [ "$(id -u)" -ne 0 ]; then
        echo "ok - $1 # SKIP needs root"
    else
        return 0
    fi
    return 1
}

if kernel "what the kernel counts has the kernel's ids, names and values"; then
    mkfifo "$dir/kvm-ready"
    "$python" "$here/kvm_vm.py" held:2 <>/dev/kvm >"$dir/kvm-ready" 2>"$dir/vm.err" &
    kvm=$!
    pids="$pids $kvm"
    exec {kvm_out}<"$dir/kvm-ready"
    while read -r line <&$kvm_out && [ "$line" != ready ]; do :; done
    run vmtally export --format kvm -o "$dir/kernel" "/proc/$kvm"
    name=$(cd "$dir/kernel" && echo *)
    [ "$status" -eq 0 ] && [ "$(files "$dir/kernel")" = "$name/vm.kvm $name/vm/vcpu-0.kvm $name/vm/vcpu-1.kvm " ] &&
        find "$dir/kernel" -name '*.kvm' -exec "$kvm_file" {} + >"$dir/why"
    check $? "a process without a segment has a file for its VM and each vCPU" "$(files "$dir/kernel"; cat "$dir/why") $(shown)"
    for what in vm vcpu-0 vcpu-1; do
        case $what in
        vm) image=$dir/kernel/$name/vm.kvm fd=kvm-vm-stats id=kvm-$kvm ;;
        *) image=$dir/kernel/$name/vm/$what.kvm fd=kvm-vcpu-stats:${what#vcpu-} id=kvm-$kvm/$what ;;
        esac
        "$here/kernel_file.py" "$kvm" "$fd" "$dir/theirs" 2>"$dir/why" &&
            "$kvm_file" -v "$dir/theirs" | cut -d ' ' -f 2- | sort >"$dir/expected" && [ -s "$dir/expected" ] &&
            "$kvm_file" -v "$image" | cut -d ' ' -f 2- | sort | diff -u "$dir/expected" - >"$dir/why" &&
            [ "$("$kvm_file" -v "$image" | cut -d ' ' -f 1 | uniq)" = "$id" ]
        check $? "$what: the kernel's id, names and values" "$("$kvm_file" -v "$image" | head -3; cat "$dir/why")"
    done
    [ "$(value "$dir/kernel/$name/vm/vcpu-0.kvm" exits)" -ge 100 ]
    check $? "its exits are those that it made" "$(value "$dir/kernel/$name/vm/vcpu-0.kvm" exits)"
    kill "$kvm"
fi

start_real() { # name option...: minivmm on KVM, until its guest runs; its process is $started
    minivmm --vcpus 2 --plug 0 --seconds 0 --name "$@" >/dev/null 2>"$dir/vm.err" &
    started=$!
    pids="$pids $started"
    for _ in $(seq 200); do
        [ -e "$segments/$1.vmt" ] && [ "$(vmtally export --format kvm --source vm/vcpu-1 "$1" 2>/dev/null | wc -c)" -gt 0 ] && return
        sleep 0.05
    done
    echo "Bail out! $1 did not start: $(cat "$dir/vm.err")"
    exit 1
}

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; }

if kernel "a VMM's counters and the kernel's are files beside each other"; then
    start_real real --kernel
    real=$started
    run vmtally export --format kvm -o "$dir/real" real
    [ "$status" -eq 0 ] && find "$dir/real" -name '*.kvm' -exec "$kvm_file" {} + >"$dir/why" &&
        [ "$(files "$dir/real")" = "real.kvm real/vm.kvm real/vm/block-0.kvm real/vm/kvm.kvm real/vm/vcpu-0.kvm real/vm/vcpu-0/kvm.kvm real/vm/vcpu-1.kvm real/vm/vcpu-1/kvm.kvm " ]
    check $? "a VMM's counters and the kernel's are files beside each other" "$(files "$dir/real"; cat "$dir/why") $(shown)"
    got=$(for f in kvm vcpu-0/kvm vcpu-1 vcpu-1/kvm; do "$kvm_file" -v "$dir/real/real/vm/$f.kvm" | head -1; done | cut -d ' ' -f 1)
    [ "$got" = "kvm-$real
kvm-$real/vcpu-0
kvm-$real/vm/vcpu-1
kvm-$real/vcpu-1" ]
    check $? "each has its own id" "$got"
    run as_nobody true
    if [ "$status" -eq 0 ] && as_nobody test -x "$program" 2>/dev/null && as_nobody test -r "$library"; then
        chmod 644 "$segments/real.vmt"
        mkdir -m 777 "$dir/nobody"
        run as_nobody vmtally export --format kvm -o "$dir/nobody" real
        [ "$status" -eq 0 ] &&
            [ "$(files "$dir/nobody")" = "real.kvm real/vm.kvm real/vm/block-0.kvm real/vm/vcpu-0.kvm real/vm/vcpu-1.kvm " ]
        check $? "without permission the kernel's are not there, nor is the name of the descriptor that has them" \
            "$(files "$dir/nobody") $(shown)"
        start_real copied --kernel-copy=0.05
        chmod 644 "$segments/copied.vmt"
        sleep 0.3
        run as_nobody vmtally export --format kvm -o "$dir/nobody" --source '*/kvm' copied
        [ "$status" -eq 0 ] && find "$dir/nobody/copied" -name '*.kvm' -exec "$kvm_file" {} + >"$dir/why" &&
            [ "$("$kvm_file" -v "$dir/nobody/copied/vm/vcpu-1/kvm.kvm" | cut -d ' ' -f 1 | uniq)" = "kvm-$started/vcpu-1" ] &&
            [ "$(value "$dir/nobody/copied/vm/vcpu-1/kvm.kvm" exits)" -gt 0 ]
        check $? "but where the VMM copies them" "$(files "$dir/nobody") $(shown)"
    else
        echo "ok - without permission # SKIP needs a build directory that nobody may read"
    fi
fi
exit $bad
