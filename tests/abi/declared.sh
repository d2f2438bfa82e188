#!/bin/sh
# SPDX-License-Identifier: MIT
# declared.sh HEADER...: the names of all functions and objects that public headers declare, one a line.
# The compiler's preprocessor ($CC, else cc) strips comments and macros; what is outside braces is a declaration.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
for header in "$@"; do
    printf '#include <%s>\n' "$header"
done | ${CC:-cc} -E -P -I "$root/lib" -I "$root/shm" -xc - | tr '\n' ' ' | awk '
{
    depth = 0
    text = ""
    for (i = 1; i <= length($0); i++) {
        c = substr($0, i, 1)
        if (c == "{") {
            depth++
        } else if (c == "}") {
            depth--
            if (depth == 0 && text ~ /^ *(static|__inline)/)
                text = ""
        } else if (depth == 0 && c == ";") {
            declaration(text)
            text = ""
        } else if (depth == 0) {
            text = text c
        }
    }
}
function declaration(d) {
    if (d ~ /^ *(typedef|static|__extension__)/)
        return
    sub(/__attribute__.*/, "", d)
    sub(/\[.*/, "", d)
    if (match(d, /[a-z_0-9]+ *\(/)) {
        d = substr(d, RSTART, RLENGTH)
        gsub(/[ (]/, "", d)
        print d
    } else if (d ~ /^ *extern /) {
        sub(/ *$/, "", d)
        sub(/.*[ *]/, "", d)
        print d
    }
}' | sort -u
