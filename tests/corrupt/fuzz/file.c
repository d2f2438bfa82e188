/* SPDX-License-Identifier: MIT */
#include "file.h"

#include <errno.h>
#include <linux/magic.h>
#include <malloc.h>
#include <stdarg.h>
#include <string.h>

#include "redirect.h"

/* Here the kernel's and libc's own are meant. */
#undef open
#undef openat
#undef getdents64
#undef fstat
#undef fstatat
#undef fstatfs
#undef syscall
#undef fcntl
#undef close
#undef read
#undef pread
#undef mmap
#undef munmap
#undef madvise
#undef clock_gettime
#undef nanosleep
#undef malloc
#undef calloc
#undef realloc
#undef aligned_alloc
#undef strdup
#undef free

#define FUZZ_DIR "/fuzz/"
#define DIR_FD 1000000 /* no descriptor of this process: each that is opened is one of these two */
#define FILE_FD 1000001
#define PROC_FD FUZZ_PROC
#define MARGIN (1U << 20) /* around a writer's mapping: nothing may touch it */

static struct fuzz_file *shown;
static unsigned shown_flags;
static long handles;

static fuzz_event_fn *event_fn;
static void *event_arg;
static __thread uint32_t event_count;
static uint32_t event_due = UINT32_MAX;

static __thread size_t held, peak;
static __thread uint32_t fail_in;
static uint8_t *writer; /* its mapping of the file */
static const char *boot_id_text, *stat_text, *proc_text;
static size_t stat_bytes, proc_bytes;
static __thread uint64_t now_ns;

/* ---- the file ---- */

void fuzz_file_make(struct fuzz_file *file, uint64_t size)
{
    file->fd = memfd_create("image", MFD_CLOEXEC);
    ENSURE(file->fd >= 0 && ftruncate(file->fd, (off_t)size) == 0, "%m");
    file->bytes = mmap(NULL, FUZZ_FILE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
    /* Behind the end of the file a touch is a SIGBUS, which no guard forgives: none of its range lies there. */
    file->shown = mmap(NULL, FUZZ_FILE_MAX, PROT_READ, MAP_SHARED, file->fd, 0);
    ENSURE(file->bytes != MAP_FAILED && file->shown != MAP_FAILED, "%m");
    file->size = size;
}

void fuzz_file_resize(struct fuzz_file *file, uint64_t size)
{
    if (size == file->size)
        return;
    ENSURE(ftruncate(file->fd, (off_t)size) == 0, "%m");
    file->size = size;
}

void fuzz_file_say_size(struct fuzz_file *file, uint64_t size) { file->size = size; }

void fuzz_file_show(struct fuzz_file *file, unsigned flags)
{
    shown = file;
    shown_flags = flags;
}

void fuzz_file_mend(struct fuzz_file *file)
{
    void *p = mmap((void *)(uintptr_t)file->shown, FUZZ_FILE_MAX, PROT_READ, MAP_SHARED | MAP_FIXED, file->fd, 0);

    ENSURE(p == file->shown, "%m");
}

long fuzz_handles(void) { return handles; }

/* ---- events ---- */

void fuzz_events_start(fuzz_event_fn *fn, void *arg, uint32_t due)
{
    event_fn = fn;
    event_arg = arg;
    event_due = due;
    event_count = 0;
}

void fuzz_event(void)
{
    if (event_count++ >= event_due && event_fn)
        event_due = event_fn(event_arg, event_count - 1);
}

uint32_t fuzz_events(void) { return event_count; }

/* ---- what the library calls ---- */

int fuzz_open(const char *path, int flags, ...)
{
    va_list args;
    int mode;

    if (shown && strcmp(path, FUZZ_DIR) == 0) {
        handles++;
        return DIR_FD;
    }
    if (stat_text && strncmp(path, "/proc/", 6) == 0) {
        bool stat_asked = strstr(path, "/stat") != NULL;

        proc_text = stat_asked ? stat_text : boot_id_text;
        proc_bytes = stat_asked ? stat_bytes : strlen(boot_id_text);
        return PROC_FD;
    }
    va_start(args, flags);
    mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, int) : 0;
    va_end(args);
    return open(path, flags, mode);
}

int fuzz_openat(int dirfd, const char *path, int flags, ...)
{
    va_list args;
    int mode;

    if (dirfd == PROC_FD) {
        proc_text = stat_text;
        proc_bytes = stat_bytes;
        return PROC_FD;
    }
    va_start(args, flags);
    mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, int) : 0;
    va_end(args);
    return openat(dirfd, path, flags, mode);
}

ssize_t fuzz_getdents64(int fd, void *to, size_t bytes) { return fd == PROC_FD ? 0 : getdents64(fd, to, bytes); }

/* As syscall(2) itself does, it takes six from where fewer may stand. */
__attribute__((no_sanitize("address"))) long fuzz_syscall(long number, ...)
{
    long a[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    if (number == SYS_openat2 && (int)a[0] == DIR_FD) {
        ENSURE(strcmp((const char *)a[1], strrchr(FUZZ_PATH, '/') + 1) == 0, "%s", (const char *)a[1]);
        handles++;
        return FILE_FD;
    }
    return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int fuzz_close(int fd)
{
    if (fd == PROC_FD)
        return 0;
    if (fd == DIR_FD || fd == FILE_FD) {
        handles--;
        return 0;
    }
    return close(fd);
}

static int stat_file(struct stat *st)
{
    fuzz_event();
    memset(st, 0, sizeof(*st));
    st->st_mode = S_IFREG | 0640;
    st->st_nlink = shown_flags & FUZZ_ODD ? 0 : 1;
    st->st_uid = shown_flags & FUZZ_ODD ? 4711 : 0;
    st->st_size = (off_t)shown->size;
    st->st_blocks = shown_flags & FUZZ_SPARSE ? 0 : (blkcnt_t)((shown->size + 4095) / 4096 * 8);
    return 0;
}

int fuzz_fstat(int fd, struct stat *st)
{
    if (fd == FILE_FD)
        return stat_file(st);
    if (fd != DIR_FD)
        return fstat(fd, st);
    memset(st, 0, sizeof(*st));
    st->st_mode = S_IFDIR | 0755;
    return 0;
}

int fuzz_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
    return dirfd == DIR_FD ? stat_file(st) : fstatat(dirfd, path, st, flags);
}

int fuzz_fstatfs(int fd, struct statfs *fs)
{
    if (fd != FILE_FD && fd != DIR_FD)
        return fstatfs(fd, fs);
    memset(fs, 0, sizeof(*fs));
    fs->f_type = TMPFS_MAGIC;
    return 0;
}

int fuzz_fcntl(int fd, int what, ...)
{
    va_list args;
    void *arg;

    va_start(args, what);
    arg = va_arg(args, void *);
    va_end(args);
    if (fd != FILE_FD)
        return fcntl(fd, what, arg);
    ENSURE(what == F_OFD_GETLK, "readers only ask: fcntl %d", what);
    fuzz_event();
    ((struct flock *)arg)->l_type = shown_flags & FUZZ_LOCKED ? F_WRLCK : F_UNLCK;
    if (shown_flags & FUZZ_TAKEN)
        shown_flags ^= FUZZ_LOCKED;
    return 0;
}

ssize_t fuzz_read(int fd, void *to, size_t bytes)
{
    if (fd != PROC_FD)
        return read(fd, to, bytes);
    bytes = bytes < proc_bytes ? bytes : proc_bytes;
    memcpy(to, proc_text, bytes);
    proc_text += bytes;
    proc_bytes -= bytes;
    return (ssize_t)bytes;
}

ssize_t fuzz_pread(int fd, void *to, size_t bytes, off_t offset)
{
    uint64_t at = (uint64_t)offset;

    if (fd == FILE_FD || (shown && fd == shown->fd)) /* a reader, or a writer that goes on in it */
        fuzz_event();
    if (fd != FILE_FD)
        return pread(fd, to, bytes, offset);
    if (at >= shown->size)
        return 0;
    if (bytes > shown->size - at)
        bytes = shown->size - at;
    memcpy(to, shown->bytes + at, bytes);
    return (ssize_t)bytes;
}

void *fuzz_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (shown && fd == shown->fd && !at && !writer) {
        writer = mmap(NULL, bytes + 2 * MARGIN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        ENSURE(writer != MAP_FAILED, "%m");
        writer += MARGIN;
        return mmap(writer, bytes, protection, flags | MAP_FIXED, fd, offset);
    }
    if (fd != FILE_FD)
        return mmap(at, bytes, protection, flags, fd, offset);
    ENSURE(!at && protection == PROT_READ && flags == MAP_SHARED && offset == 0, "not how a reader maps");
    ENSURE(bytes % 4096 == 0, "%zu bytes mapped", bytes);
    fuzz_event();
    handles++;
    return (void *)(uintptr_t)shown->shown;
}

int fuzz_munmap(void *at, size_t bytes)
{
    if (writer && at == writer) {
        writer = NULL;
        return munmap((uint8_t *)at - MARGIN, bytes + 2 * MARGIN);
    }
    if (!shown || at != shown->shown)
        return munmap(at, bytes);
    handles--;
    return 0;
}

int fuzz_madvise(void *at, size_t bytes, int advice)
{
    return shown && at == shown->shown ? 0 : madvise(at, bytes, advice);
}

/* Time goes on by looking at it, and by waiting. */
int fuzz_clock_gettime(clockid_t clock, struct timespec *ret)
{
    uint64_t t = (now_ns += 1000) + (clock == CLOCK_REALTIME ? 1700000000U * UINT64_C(1000000000) : 0);

    ret->tv_sec = (time_t)(t / 1000000000U);
    ret->tv_nsec = (long)(t % 1000000000U);
    return 0;
}

int fuzz_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    ENSURE(time->tv_sec == 0, "a reader that waits for %ld s", (long)time->tv_sec);
    now_ns += (uint64_t)time->tv_nsec;
    return 0;
}

void fuzz_proc(const char *boot_id, const char *stat, size_t stat_size)
{
    boot_id_text = boot_id;
    stat_text = stat;
    stat_bytes = stat_size;
}

/* ---- memory ---- */

static bool fails(void)
{
    if (fail_in == 0 || --fail_in != 0)
        return false;
    errno = ENOMEM;
    return true;
}

void fuzz_memory_fail(uint32_t n) { fail_in = n; }

static void *count(void *p)
{
    held += malloc_usable_size(p);
    if (held > peak)
        peak = held;
    return p;
}

void *fuzz_malloc(size_t bytes) { return fails() ? NULL : count(malloc(bytes)); }
void *fuzz_calloc(size_t n, size_t size) { return fails() ? NULL : count(calloc(n, size)); }
void *fuzz_aligned_alloc(size_t alignment, size_t bytes)
{
    return fails() ? NULL : count(aligned_alloc(alignment, bytes));
}
char *fuzz_strdup(const char *text) { return fails() ? NULL : count(strdup(text)); }

void *fuzz_realloc(void *p, size_t bytes)
{
    size_t before = malloc_usable_size(p);
    void *q = fails() ? NULL : realloc(p, bytes);

    if (q)
        held -= before;
    return q ? count(q) : NULL;
}

void fuzz_free(void *p)
{
    held -= malloc_usable_size(p);
    free(p);
}

void fuzz_forget(void *p) { fuzz_free(p); }

void fuzz_memory_start(void) { peak = held; }
size_t fuzz_memory_peak(void) { return peak; }
size_t fuzz_memory_held(void) { return held; }
