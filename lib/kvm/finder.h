/* SPDX-License-Identifier: MIT */
/* The inside of struct finder: find.c goes through the processes of the host, process.c and hold.c look into one of them,
 * directories.c joins debugfs with them, items.c says what there is, and post.c puts it on the board. */
#ifndef LIB_KVM_FINDER_H
#define LIB_KVM_FINDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/kvm/debugfs.h"
#include "lib/kvm/find.h"
#include "lib/kvm/names.h"
#include "lib/kvm/proc.h"
#include "lib/kvm/statistics.h"
#include "lib/pool.h"

/* A statistics fd of a process, duplicated. */
struct held {
    uint64_t token; /* another one for each file */
    const struct kvm_schema *read;
    uint32_t schema; /* its number on the board */
    int32_t theirs;
    int32_t vcpu;
    int ours; /* -1: there are too few descriptors: it is duplicated, read and closed at each look */
};

/* A directory of debugfs, and what was read from it at this look. */
struct directory {
    struct debugfs_vm vm;
    uint32_t tgid; /* of the thread that it names, 0: not known */
    int32_t first; /* the lowest descriptor of that VM that the process has, -1: none */
    bool gone;     /* could not be read */
    uint32_t *vcpus;
    size_t vcpu_count;
    uint64_t *values; /* the VM's, then the sums over vCPUs */
};

/* One that makes an item; the bulletin's flags and numbers. */
struct thing {
    uint64_t token; /* of what its values come from, 0: it has none */
    uint64_t generation;
    const struct held *held;      /* one of the two, or neither; for this look only */
    const struct directory *from; /* of a TOTAL or a vCPU its sums */
    uint32_t schema;
    uint32_t index;
    int32_t vm;
    int32_t vcpu;
    int32_t fd;
    uint32_t flags;
};

/* A process that has VMs. */
struct process {
    uint32_t pid;
    uint64_t start;
    struct proc_who who;
    char name[VM_NAME_SIZE];
    int pidfd;    /* -1: it can't be had */
    bool passing; /* the pidfd is closed after each look, and nothing is held: too few descriptors */
    bool denied;
    bool vm_missing; /* no statistics fd counts it, or some vCPU */
    bool vcpus_missing;
    uint64_t fd_count; /* when it was last gone through, 0: not known */
    uint64_t scanned;  /* at which look */
    uint32_t trouble;
    struct pool links;  /* struct proc_link: of KVM's, as last seen */
    struct pool held;   /* struct held, by their number */
    struct pool things; /* struct thing */
    struct pool dirs;   /* struct directory *, of this look */
};

/* Any process. */
struct known {
    uint64_t start;
    struct process *process; /* NULL: has no VM */
    uint32_t pid;
    uint32_t fd_count;
    uint32_t inner_pid; /* of one that may not be looked into, and seems to have a VM; else 0 */
    bool due;           /* has not been looked into yet */
    bool closed;        /* may not be looked into */
    uint64_t looked_ns; /* CLOCK_REALTIME: what it was by then has been looked at, or it was not there */
};

/* A schema, and its block. */
struct posted {
    const struct kvm_schema *schema;
    void *block;
    uint32_t bytes;
};

struct finder {
    char *proc_path;
    char *debugfs_path;
    int proc;
    int epoll;
    uint32_t only;
    bool given;                  /* the proc file system is not /proc: it may be of another PID namespace */
    bool counts;                 /* the size of a directory of descriptors says how many there are */
    bool initial;                /* PID namespace; or it does not matter */
    bool prepared;               /* debugfs was opened */
    int crowded;                 /* from this number on descriptors are not kept */
    pid_t self;                  /* this process, at this look */
    uint64_t directories_end_ns; /* until then processes with many of them have theirs read */
    uint64_t look;
    uint64_t begin_ns; /* CLOCK_REALTIME, of this look; */
    uint64_t last_ns;  /* of the one before, 0: there was none */
    uint64_t epoch;
    uint64_t last_token;
    uint64_t last_generation;
    uint32_t turn; /* pid at which the round goes on */
    uint8_t boot_id[16];
    struct debugfs debugfs;
    uint32_t vm_schema; /* the newest that was seen, or BULLETIN_NO_SCHEMA */
    uint32_t vcpu_schema;
    uint32_t from_vm; /* debugfs's, or BULLETIN_NO_SCHEMA */
    uint32_t from_vcpu;
    struct pool known;   /* struct known, by pid */
    struct pool older;   /* the same, of the look before; and its memory */
    struct pool numbers; /* scratch */
    struct pool order;   /* scratch: struct size_of */
    struct pool links;   /* scratch */
    struct pool wanted;  /* scratch: struct thing */
    struct pool used;    /* scratch: a byte an index */
    struct pool schemas; /* struct posted */
    struct pool dirs;    /* struct directory, of this look */
    struct pool owners;  /* struct owner: whose directories are */
};

/* find.c, finder.c */
struct known *finder_known(struct finder *finder, uint32_t pid);

/* The number of a schema, which is no longer the caller's, but there as long as the finder is. BULLETIN_NO_SCHEMA: no
 * memory. */
uint32_t finder_schema(struct finder *finder, const struct kvm_schema *schema);

/* Whether a descriptor of this number should not be kept. */
static inline bool finder_crowded(const struct finder *finder, int fd) { return fd >= finder->crowded; }

/* process.c */

/* Look into a process: 1 it has VMs, then *ret, if it was NULL, is a new one; 0 it has none; negative errno. */
int process_scan(struct finder *finder, uint32_t pid, uint64_t start, struct process **ret);

/* A process that had VMs at the last look: the same as cheaply as can be. */
int process_again(struct finder *finder, struct process *process);
void process_free(struct finder *finder, struct process *process);

/* What the process has under that number, NULL: nothing of KVM's. */
struct proc_link *process_link(const struct process *process, int32_t fd);

/* Around the use of its pidfd. False: it has gone. */
bool process_begin(struct finder *finder, struct process *process);
void process_end(struct process *process);

/* hold.c */

/* Duplicate the process's statistics fd. 0; -EPERM (process->denied is set), -EBADF (it is none, or no more), ... */
int hold_get(struct finder *finder, struct process *process, const struct proc_link *link, struct held *ret);

/* Does the process still have this very file under that number? */
bool hold_same(const struct finder *finder, const struct process *process, const struct held *held);
void hold_drop(struct held *held);
int hold_read(const struct process *process, const struct held *held, uint64_t *values);

/* directories.c: for all processes that need it. 0 or -ENOMEM. */
int directories_join(struct finder *finder);
void directories_clear(struct finder *finder);

/* Read what is missing of one process. 0 or -ENOMEM. */
int directories_read(struct finder *finder, struct process *process);

/* items.c: is there something that no statistics fd counts? Into vm_missing and vcpus_missing. */
void items_missing(struct process *process);

/* All that it has, and where values come from, into finder->wanted. False: no memory. */
bool items_want(struct finder *finder, struct process *process);

/* post.c: what it has, and all values, to the struct bulletin_process at place. 0 or -ENOMEM. */
int process_post(struct finder *finder, struct process *process, struct board *board, uint64_t place);

#endif
