/* SPDX-License-Identifier: MIT */
/* sampler.h: find VMs, attach to them, take snapshots of all at one beat. The only part of those who look again and again
 * (kvmtop, vmtally stream, forward, serve) that knows of files and processes; whoever comes after sees snapshots and their
 * differences.
 */
#ifndef CLI_SAMPLER_H
#define CLI_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/delta.h>
#include <vmtally/host.h>

struct options;

#define SAMPLER_KEEP_GONE_NS 10000000000U /* a VM that ended is shown for this long after its file has gone */

/* One VM at the newest beat. */
struct sample_vm {
    uint64_t id; /* stays while path and owner do: a segment replaced under the same name is the same row, but never
                    when somebody else put the new one there */
    const char *name;                    /* the segment's, else the file's; all names are fit to print */
    const char *title;                   /* with the owner of what is somebody else's: segment_title() */
    const char *owner;                   /* that end of the title alone, "" of what is trusted */
    const char *path;                    /* of the segment, or "/proc/PID" */
    int process;                         /* it has no segment: only the kernel counts it */
    uint64_t created_ns;                 /* CLOCK_REALTIME; of a process when it started; 0: not known */
    const struct vmt_snapshot *snapshot; /* NULL where the file could not be opened, which is what error says */
    const struct vmt_snapshot *before;   /* what delta compares it with; NULL: nothing */
    const struct vmt_delta *delta;       /* all RESET where there is nothing to compare with. Only while it is observed,
                                            or where it is in focus, and not without a snapshot; else this and
                                            before are NULL */
    const struct vmt_snapshot *mark;     /* as it was when sampler_mark() was called; NULL: it was not, or not there */
    int error;                           /* negative errno of the last attempt, or 0 */
    enum vmt_state state;                /* where error is 0, or says as much: damaged, other version */
};

/* All VMs at one beat, by name. */
struct sample_set {
    const struct sample_vm *vms;
    size_t count;
    size_t found; /* no more VMs than that are seen at this beat; known before the first one is */
    uint64_t realtime_ns;
    uint64_t interval_ns; /* since the beat before, 0: there was none */
    double load[3];       /* the host's run queue over 1, 5, 15 minutes; -1: not known */
    uint32_t cpus;        /* of the host, online */
};

struct sampler;

/* What to look at: names (count of them; 0: all) are whole names of VMs, or paths where they contain a '/', or the pids of
 * VMs without a segment. dir as for vmt_discover(). host NULL: segments only. All must stay valid. *ret is the caller's;
 * free with sampler_free(). 0 or -ENOMEM. */
int sampler_new(struct vmt_host *host, const char *dir, char *const *names, size_t count, struct sampler **ret);
void sampler_free(struct sampler *sampler); /* NULL is allowed */

/* Look at the host, and for VMs (not where all names are paths), without opening any. 0; -ENOMEM, or what vmt_discover()
 * gives. */
int sampler_find(struct sampler *sampler);

/* What the last look at the host gave: 0, -ETIMEDOUT, -EPIPE, -EFBIG (vmt_host_look()). None of them hinders: the
 * kernel's counters are then as they were. Who does not answer is not asked again for a while, for that takes 2 s each
 * time. */
int sampler_looked(const struct sampler *sampler);

/* What is done with one VM of a beat: 0, or a negative errno, which ends the take. */
typedef int sample_observer(void *arg, const struct sample_set *set, const struct sample_vm *vm);

/* Look for VMs and take a snapshot of each; observe (NULL: nobody does) sees each one, by name, as soon as that is
 * done, with what it is compared with: of 1,000 VMs only one snapshot each is kept. set has time and host by then, but
 * not yet its VMs. A VM that fails is seen too, with its error. As sampler_find(), and what observe gave; on failure the
 * set must not be looked at. Where a name is that of several files, and one of them is trusted, those that are not are
 * left out. */
int sampler_take(struct sampler *sampler, sample_observer *observe, void *arg);

/* Whether VMs could be looked for at any beat so far: what fails then has become so. */
int sampler_took(const struct sampler *sampler);

/* From the next take on keep of these VMs (count ids; replaces those of before) what they are compared with, too, and the
 * values of each shard. 0 or -ENOMEM. */
int sampler_focus(struct sampler *sampler, const uint64_t *ids, size_t count);

/* Whether VMs come with what changed since the beat before (1, as at first) or not (0), which saves the time for it; then
 * delta is NULL, but for those in focus. */
void sampler_compare(struct sampler *sampler, int compare);

/* Keep the newest snapshot of each VM as its mark, or (mark 0) forget all marks. 0 or -ENOMEM. */
int sampler_mark(struct sampler *sampler, int mark);

/* Changes whenever schemas of earlier snapshots may have gone: nobody may remember pointers to them. That is at the end of
 * a take only, so never while VMs are observed. */
uint64_t sampler_epoch(const struct sampler *sampler);

/* Valid until the next take or free. */
const struct sample_set *sampler_set(const struct sampler *sampler);

/* The first of the names that nothing was found for at the last beat, or NULL. */
const char *sampler_missing(const struct sampler *sampler);

/* A VM that names choose and that could not be read at the last beat; each is given once, then NULL. */
const struct sample_vm *sampler_failed(struct sampler *sampler);

/* host_say_trouble() of the VMs of the last beat that names choose, of all where there are no names. */
void sampler_say_host(const struct sampler *sampler, const struct options *common);

/* A VM's state in words: vmt_state_name(), or why it could not be read: "no access", "empty", "not a segment",
 * "unreadable". */
const char *sample_state(const struct sample_vm *vm);

/* 1 where its writer is there: live or stalled. */
int sample_running(const struct sample_vm *vm);

#endif
