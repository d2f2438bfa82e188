#!/bin/sh
# SPDX-License-Identifier: MIT
# install.sh BUILD MESON: what is installed is complete, and a program can be built against it with pkg-config.
. "$(dirname "$0")/tap.sh"
build=$1 meson=$2
cc=${CC:-cc}
segments=$(mktemp -d /dev/shm/vmtally-test.XXXXXX) || exit 1
trap 'rm -rf "$dir" "$segments"' EXIT

log=$($meson install --no-rebuild -C "$build" --destdir "$dir/root" 2>&1)
check $? 'meson install' "$log"
installed=$(find "$dir/root" ! -type d -printf '%P\n' | sort)

for file in bin/vmtally bin/kvmtop include/vmtally.h include/vmtally/descriptor.h include/vmtally/count.h \
    include/vmtally/segment.h include/vmtally/reader.h include/vmtally/export.h lib.*/libvmtally.a \
    'lib.*/libvmtally\.so' 'lib.*/libvmtally\.so\.1' lib.*/libvmtally-export.a 'lib.*/libvmtally-export\.so' \
    lib.*/pkgconfig/vmtally.pc lib.*/pkgconfig/vmtally-export.pc share/bash-completion/completions/vmtally \
    share/zsh/site-functions/_vmtally share/fish/vendor_completions.d/vmtally.fish \
    share/bash-completion/completions/kvmtop share/zsh/site-functions/_kvmtop \
    share/fish/vendor_completions.d/kvmtop.fish systemd/system/vmtally-forward.service \
    systemd/system/vmtally-serve.service systemd/system/vmtally-serve.socket; do
    printf '%s\n' "$installed" | grep -qE "(^|/)$file\$"
    check $? "installs $file" "$installed"
done
for page in man1/vmtally.1 man1/vmtally-forward.1 man1/vmtally-serve.1 man1/vmtally-stream.1 man1/kvmtop.1 \
    man3/vmtally.3; do
    if command -v scdoc >/dev/null; then
        printf '%s\n' "$installed" | grep -q "share/man/$page\$"
        check $? "installs $page" "$installed"
    else
        echo "ok - installs $page # SKIP scdoc is not installed"
    fi
done

# What it says of each language at its end is what it does.
summary=$(cat "$build/meson-logs/meson-log.txt")
for language in 'C++ include/vmtally.hpp' 'C++ include/vmtally/schemas.hpp' 'C++ lib.*/pkgconfig/vmtally-cpp.pc' \
    'Rust share/cargo/registry/vmtally-[0-9.]*/Cargo.toml' 'Rust share/cargo/registry/vmtally-sys-[0-9.]*/src/lib.rs' \
    'Python dist-packages/vmtally/__init__.py' 'Python dist-packages/vmtally/py.typed'; do
    file=${language#* } language=${language%% *}
    why=$(printf '%s\n' "$summary" | sed -n "s/^ *$language *: *left out: //p" | tail -n 1)
    if [ -n "$why" ]; then
        skip "installs $file" "$language: $why"
    else
        printf '%s\n' "$installed" | grep -qE "(^|/)$file\$"
        check $? "installs $file" "$installed"
    fi
done

# The units start what was installed, and read options where they say.
units=$(find "$dir/root" -name 'vmtally-*.service')
command=$(sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' $units | sort -u)
[ -x "$dir/root$command" ] && ! grep -nE '@[a-z]+@' $units
check $? "the services start the vmtally that was installed" "$command $units"

pc=$(dirname "$(find "$dir/root" -name vmtally.pc)")
export PKG_CONFIG_PATH="$pc" PKG_CONFIG_SYSROOT_DIR="$dir/root"
libdir=$(dirname "$pc")

cat >"$dir/counts.c" <<'END'
#include <stdio.h>
#include <vmtally.h>
#include <vmtally/reader.h>
int main(void)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "web-1" };
    struct vmt_segment *segment = NULL;
    struct vmt_source *vcpu = NULL;
    struct vmt_reader *reader = NULL;
    struct vmt_snapshot *snapshot = NULL;
    const struct vmt_sample *sample;

    if (vmt_segment_create(&options, &segment) || vmt_source_add(segment, &vmt_schema_vcpu, NULL, "vcpu-0", &vcpu))
        return 1;
    vmt_add(vmt_shard_acquire(vcpu), 0, 7);
    if (vmt_reader_open(vmt_segment_path(segment), NULL, &reader) || vmt_snapshot_new(&snapshot) ||
        vmt_snapshot_take(snapshot, reader) || !(sample = vmt_snapshot_find(snapshot, "vcpu-0")))
        return 1;
    printf("%llu\n", (unsigned long long)sample->values[0]);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    return 0;
}
END

cat >"$dir/exports.c" <<'END'
#include <vmtally/export.h>
int main(void)
{
    struct vmt_buffer buffer = { 0 };
    struct vmt_msgpack *stream = 0;

    if (vmt_msgpack_new(&stream))
        return 1;
    vmt_msgpack_free(stream);
    vmt_buffer_free(&buffer);
    return 0;
}
END

builds() { # name program expected-output compiler-and-linker-flags...
    name=$1 program=$2 want=$3
    shift 3
    log=$($cc -Wall -Wextra -Werror "$dir/$program.c" -o "$dir/$program" "$@" 2>&1)
    check $? "$name: builds" "$log"
    log=$(LD_LIBRARY_PATH="$libdir" VMTALLY_DIR="$segments" "$dir/$program" 2>&1)
    [ $? -eq 0 ] && [ "$log" = "$want" ]
    check $? "$name: runs" "$log"
}

# shellcheck disable=SC2046 # flags are words
{
    builds 'a program with the shared library' counts 7 $(pkg-config --cflags --libs vmtally)
    builds 'a program with the static library' counts 7 -static $(pkg-config --static --cflags --libs vmtally)
    builds 'an exporter with the shared libraries' exports '' $(pkg-config --cflags --libs vmtally-export)
}

# The two programs of the README: the first C block embeds, the second reads.
readme=$(dirname "$0")/../../README.md
block() { awk -v want="$1" '/^```c$/ { n++; inside = 1; next } /^```$/ { inside = 0 } inside && n == want' "$readme"; }
block 1 >"$dir/embeds.c"
block 2 >"$dir/reads.c"
# shellcheck disable=SC2046 # flags are words
builds "the README's embedding" embeds '' $(pkg-config --cflags --libs vmtally)
log=$($cc -Wall -Wextra -Werror "$dir/reads.c" -o "$dir/reads" $(pkg-config --cflags --libs vmtally) 2>&1)
check $? "the README's reader: builds" "$log"
printf '%s\n' '#include <vmtally.h>' '#include <stdio.h>' '#include <unistd.h>' 'int main(void)' '{' \
    'struct vmt_segment *segment = NULL; struct vmt_source *vm = NULL;' \
    'vmt_segment_create(&(struct vmt_segment_options){ .struct_size = sizeof(struct vmt_segment_options),' \
    '.name = "web-1" }, &segment); vmt_source_add(segment, &vmt_schema_vm, NULL, "vm", &vm);' \
    'return execl(getenv("READS"), "reads", vmt_segment_path(segment), NULL); }' |
    $cc -include stdlib.h -xc - -o "$dir/before" $(pkg-config --cflags --libs vmtally) 2>&1
log=$(READS="$dir/reads" LD_LIBRARY_PATH="$libdir" VMTALLY_DIR="$segments" "$dir/before" 2>&1)
[ "$log" = ": segment
vm: vm" ]
check $? "the README's reader: reads what a writer that is gone has left" "$log"

log=$(readelf -d "$dir/exports")
printf '%s\n' "$log" | grep -q 'libvmtally-export.so.1'
check $? 'an exporter needs libvmtally-export.so.1' "$log"

# What was installed where the linker looks runs without more ado. In a mount namespace: this machine stays as it is.
prefix=$($meson introspect --buildoptions "$build" | jq -r '.[] | select(.name == "prefix").value')
unit_dir=$(dirname "${units%%.service*}")
unit_dir=${unit_dir#"$dir/root"}
if [ "$prefix" != /usr/local ]; then
    skip 'what was installed runs' "the prefix is $prefix"
elif ! unshare -m sh -c 'mount -t tmpfs tmpfs /usr/local && $1 --version' sh "$meson" >/dev/null 2>&1; then
    skip 'what was installed runs' 'no other /usr/local can be had here, or not without meson'
else
    log=$(unshare -m sh -c '
        mount -t tmpfs tmpfs /usr/local && mount -t tmpfs tmpfs /var/cache/ldconfig && cp -a /etc "$4/etc" &&
        mount --bind "$4/etc" /etc && mount -t tmpfs tmpfs "$1" && $2 install --no-rebuild -C "$3" >/dev/null &&
        unset LD_LIBRARY_PATH && kvmtop --version && vmtally --version' sh \
        "$unit_dir" "$meson" "$build" "$dir" 2>&1)
    printf '%s\n' "$log" | grep -q '^kvmtop [0-9]' && printf '%s\n' "$log" | grep -q '^vmtally [0-9]'
    check $? 'what was installed runs' "$log"
fi

check_empty "$(grep -n "$build" "$pc"/*.pc)" 'the pkg-config files know nothing of the build directory'
exit $bad
