/* SPDX-License-Identifier: MIT */
#include "lib/kvm/names.h"

#include <string.h>

#include "shm/view.h"

/* VMMs, by the start of their command, and where they are told the VM's name. */
struct vmm {
    const char *command;
    bool whole;         /* the command is that, not only its start */
    const char *option; /* its argument, also as OPTION=NAME; NULL: it has none */
    bool suboptions;    /* "NAME,...", or "guest=NAME,..." among them; ",," is a comma */
};

static const struct vmm vmms[] = {
    { "qemu-system-", false, "-name", true },
    { "qemu-kvm", false, "-name", true },
    { "kvm", true, "-name", true },
    { "firecracker", false, "--id", false },
    { "cloud-hyperviso", false, NULL, false },
    { "crosvm", false, "--name", false },
    { "lkvm", false, "--name", false },
    { "stratovirt", false, "-name", false },
};

static const struct vmm *vmm_of(const char *command)
{
    for (size_t i = 0; i < sizeof(vmms) / sizeof(vmms[0]); i++) {
        if (vmms[i].whole ? strcmp(command, vmms[i].command) == 0
                          : strncmp(command, vmms[i].command, strlen(vmms[i].command)) == 0)
            return &vmms[i];
    }
    return NULL;
}

bool vmm_known(const char *comm) { return vmm_of(comm) != NULL; }

/* An argument: bytes that end at end, or at a NUL before. */
struct text {
    const char *at;
    const char *end;
};

static struct text next(struct text *rest)
{
    struct text one = { .at = rest->at, .end = memchr(rest->at, 0, (size_t)(rest->end - rest->at)) };

    if (!one.end)
        one.end = rest->end;
    rest->at = one.end < rest->end ? one.end + 1 : rest->end;
    return one;
}

static bool starts(struct text t, const char *with, struct text *behind)
{
    size_t n = strlen(with);

    if ((size_t)(t.end - t.at) < n || memcmp(t.at, with, n) != 0)
        return false;
    *behind = (struct text){ .at = t.at + n, .end = t.end };
    return true;
}

static struct text base_name(struct text path)
{
    for (const char *p = path.at; p < path.end; p++) {
        if (*p == '/')
            path.at = p + 1;
    }
    return path;
}

/* One of QEMU's "a,b=c,..." into name, commas in it halved; what comes after it. */
static struct text suboption(struct text t, char *name, size_t *length)
{
    size_t n = 0;

    for (; t.at < t.end; t.at++) {
        if (*t.at == ',') {
            t.at++;
            if (t.at == t.end || *t.at != ',')
                break;
        }
        if (n < VM_NAME_SIZE - 1 + strlen("guest="))
            name[n++] = *t.at;
    }
    *length = n;
    return t;
}

static void put(struct text t, char name[VM_NAME_SIZE])
{
    size_t n = (size_t)(t.end - t.at);

    if (n > VM_NAME_SIZE - 1)
        n = VM_NAME_SIZE - 1;
    memcpy(name, t.at, n);
    name[n] = '\0';
}

/* The first part is the guest's name even without "guest=". */
static void put_suboption(struct text t, char name[VM_NAME_SIZE])
{
    for (bool first = true; t.at < t.end; first = false) {
        char buf[VM_NAME_SIZE + 8];
        struct text part = { .at = buf };
        size_t n;

        t = suboption(t, buf, &n);
        part.end = buf + n;
        if (starts(part, "guest=", &part) || (first && !memchr(buf, '=', n)))
            put(part, name);
    }
}

/* The last one holds, as with all of them. */
static void find_option(const struct vmm *vmm, struct text arguments, char name[VM_NAME_SIZE])
{
    while (arguments.at < arguments.end) {
        struct text value;
        struct text one = next(&arguments);

        if (one.at + 1 < one.end && one.at[0] == '-' && one.at[1] == '-' && vmm->suboptions)
            one.at++; /* QEMU takes both */
        if (!starts(one, vmm->option, &value))
            continue;
        if (value.at == value.end)
            value = next(&arguments);
        else if (*value.at == '=' && !vmm->suboptions)
            value.at++;
        else
            continue;
        if (vmm->suboptions)
            put_suboption(value, name);
        else
            put(value, name);
    }
}

static void clean(char name[VM_NAME_SIZE])
{
    bool blank = true;

    shm_clean_text(name, VM_NAME_SIZE, false);
    for (char *p = name; *p; p++) {
        if (*p == '/')
            *p = '?';
        blank = blank && *p == ' ';
    }
    if (blank)
        name[0] = '\0';
}

void vmm_name(const char *comm, const char *arguments, size_t n, char name[VM_NAME_SIZE])
{
    struct text rest = { .at = arguments, .end = arguments + n };
    struct text command = base_name(next(&rest));
    char first[VM_NAME_SIZE];
    const struct vmm *vmm;

    put(command, first);
    vmm = vmm_of(first);
    vmm = vmm ? vmm : vmm_of(comm);
    name[0] = '\0';
    if (vmm && vmm->option)
        find_option(vmm, rest, name);
    clean(name);
    for (int i = 0; !name[0] && i < 3; i++) {
        const char *other = i == 0 ? first : i == 1 ? comm : "?";

        put((struct text){ .at = other, .end = other + strlen(other) }, name);
        clean(name);
    }
}
