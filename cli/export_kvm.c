/* SPDX-License-Identifier: MIT */
/* vmtally export --format kvm: a KVM statistics file a source. */
#include <errno.h>
#include <string.h>

#include "export.h"
#include "message.h"

static int add_source(struct export_kvm *kvm, const struct vmt_snapshot *snapshot, size_t i, struct vmt_buffer *out)
{
    int r = kvm->a->directory ? export_files_add(&kvm->files, snapshot, i, out) : vmt_kvm_encode(snapshot, i, out);

    if (r == -ENOENT) /* it counts nothing */
        return 0;
    kvm->written += r == 0;
    kvm->absent += r == -ENODATA;
    return r == -ENODATA ? 0 : r;
}

int export_kvm_add(struct export_kvm *kvm, const struct vmt_snapshot *snapshot, struct vmt_buffer *out)
{
    size_t before = out->size, written = kvm->written;
    int r = kvm->a->directory ? export_files_vm(&kvm->files, snapshot) : 0;

    for (size_t i = 0; i < vmt_snapshot_count(snapshot) && r == 0; i++) {
        const char *id = vmt_snapshot_source(snapshot, i)->id;

        if (!filter_has_id(&kvm->a->filter, id)) {
            nearest_try(&kvm->nearest, id);
            continue;
        }
        kvm->matched++;
        r = add_source(kvm, snapshot, i, out);
    }
    if (r < 0) { /* all of a VM, or nothing */
        out->size = before;
        kvm->written = written;
    }
    return r;
}

int export_kvm_say(const struct export_kvm *kvm)
{
    const struct filter *f = &kvm->a->filter;
    const char *asked = f->source_count ? f->sources[0] : "what was found";
    const char *more = f->source_count > 1 ? " and others" : "";
    char near[NEAREST_TEXT];

    if (kvm->matched == 0 && (asked[strcspn(asked, "*?[!")] || more[0]))
        message_error("no source matches '%s'%s; 'vmtally show' shows all", asked, more);
    else if (kvm->matched == 0)
        message_error("no source %s%s", asked,
                      kvm->nearest.found ? nearest_text(&kvm->nearest, near, sizeof(near))
                                         : "; 'vmtally show' shows all");
    else if (kvm->written > 1 && !kvm->a->directory)
        message_error("%zu sources match '%s'%s, too many for one file; name one and its VM%s", kvm->written, asked,
                      more, kvm->a->single ? "" : ", or a directory for all with --output DIR/");
    else if (kvm->absent > 0)
        message_error("%zu of %zu sources left out: their values could not be read", kvm->absent, kvm->matched);
    else if (kvm->written == 0)
        message_error("%s: has no statistics", asked);
    return kvm->written == 1 || (kvm->written > 1 && kvm->a->directory);
}
