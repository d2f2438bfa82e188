/* SPDX-License-Identifier: MIT */
/* file.h: the file that is fuzzed. To the library it is FUZZ_PATH; no system call is made for it, but its memory is
 * that of a real one, which can be truncated and grown. Each read of it is an event; a change can be due at any of
 * them, so a race is an input like any other, and happens again. */
#ifndef FUZZ_FILE_H
#define FUZZ_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_PATH "/fuzz/image.vmt"
#define FUZZ_FILE_MAX (1U << 20)

/* What must hold beside not crashing. */
#define ENSURE(condition, ...)                                                                                         \
    do {                                                                                                               \
        if (__builtin_expect(!(condition), 0)) {                                                                       \
            fprintf(stderr, "%s:%d: not so: %s: ", __FILE__, __LINE__, #condition);                                    \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fputc('\n', stderr);                                                                                       \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

struct fuzz_file {
    int fd;
    uint8_t *bytes;       /* FUZZ_FILE_MAX mapped for us, as much as it is large may be touched */
    const uint8_t *shown; /* the same, for readers: mapped read-only */
    uint64_t size;
};

/* A new file of that size, all zeros. */
void fuzz_file_make(struct fuzz_file *file, uint64_t size);

/* As ftruncate() does. What was cut off is zero when it grows again. Or only say so, which takes a tenth of the time:
 * the size that it says must be mended by the same, before a real change. */
void fuzz_file_resize(struct fuzz_file *file, uint64_t size);
void fuzz_file_say_size(struct fuzz_file *file, uint64_t size);

/* From now on this one stands at FUZZ_PATH. */
#define FUZZ_LOCKED 1U /* a writer lives */
#define FUZZ_TAKEN 2U  /* its lock is taken, or let go, between any two looks at it */
#define FUZZ_SPARSE 4U /* none of it is allocated */
#define FUZZ_ODD 8U    /* somebody else's, without a name */
void fuzz_file_show(struct fuzz_file *file, unsigned flags);

/* Readers' mappings show the file again, where a guard has put zeros over what was cut off. */
void fuzz_file_mend(struct fuzz_file *file);

/* Events count from 0 on; the first one that is at least due calls back, which says when the next one is. */
typedef uint32_t fuzz_event_fn(void *arg, uint32_t event);
void fuzz_events_start(fuzz_event_fn *fn, void *arg, uint32_t due);
void fuzz_event(void);
uint32_t fuzz_events(void);

/* What /proc/sys/kernel/random/boot_id and each /proc/PID/stat say to the library; NULL: the kernel's own. The same as
 * stat say all files below FUZZ_PROC, which stands for a directory, and has no entries. */
#define FUZZ_PROC 1000002
void fuzz_proc(const char *boot_id, const char *stat, size_t stat_size);

/* What the library holds at the moment, and the most that it held since fuzz_memory_start(). */
void fuzz_memory_start(void);

/* The n-th allocation from now on fails; 0: none. */
void fuzz_memory_fail(uint32_t n);
size_t fuzz_memory_peak(void);
size_t fuzz_memory_held(void);

/* Free what the library has allocated and keeps for ever. */
void fuzz_forget(void *p);

/* Descriptors and mappings of the file that the library has not given back. */
long fuzz_handles(void);

#endif
