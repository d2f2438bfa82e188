/* SPDX-License-Identifier: MIT */
#include "export_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/export/buffer.h"
#include "message.h"
#include "segment.h"
#include "write_file.h"

#define SUFFIX ".kvm"
#define FILES_MAX (1U << 20)
#define NAME_BYTES 1024 /* of a name, its NUL included; those of sources are shorter: VMT_DEPTH_MAX parts */
#define PART_BYTES 201  /* of one part: file systems take 255, and there is more to come */

/* What stands before each file. */
struct record {
    uint32_t name_bytes; /* no NUL */
    uint32_t file_bytes;
};

/* ---- names ---- */

struct known {
    unsigned times;
    char name[];
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct known *)a)->name, ((const struct known *)b)->name);
}

/* The one of that name; *is_new if it was not there before. NULL: no memory. */
static struct known *known(struct export_files *files, const char *name, bool *is_new)
{
    struct known *k = malloc(sizeof(*k) + strlen(name) + 1);
    struct known **found;

    if (!k)
        return NULL;
    k->times = 1;
    strcpy(k->name, name);
    found = tsearch(k, &files->known, compare);
    *is_new = found && *found == k;
    if (!*is_new)
        free(k);
    return found ? *found : NULL;
}

/* base and suffix as one name, with "~2" between them, or a higher number, where it was taken. NULL: no memory. */
static const char *unique(struct export_files *files, const char *base, const char *suffix)
{
    char name[NAME_BYTES];
    struct known *first, *k;
    bool is_new;

    snprintf(name, sizeof(name), "%s%s", base, suffix);
    k = first = known(files, name, &is_new);
    while (k && !is_new) { /* each turn passes over another name: no more turns than there are names */
        snprintf(name, sizeof(name), "%s~%u%s", base, ++first->times, suffix);
        k = known(files, name, &is_new);
    }
    return k ? k->name : NULL;
}

/* text as parts of a name, '/' between them if parts are. */
static void put_parts(char *name, size_t size, const char *text, bool parts)
{
    message_printable(text, name, size);
    for (char *p = name; *p; p++) {
        if ((*p == '/' && !parts) || (*p == '.' && (p == name || p[-1] == '/')))
            *p = '_';
    }
}

int export_files_vm(struct export_files *files, const struct vmt_snapshot *snapshot)
{
    char title[SEGMENT_NAME];
    char part[PART_BYTES];
    const char *name;

    segment_title(title, sizeof(title), vmt_snapshot_segment(snapshot));
    put_parts(part, sizeof(part), title[0] ? title : "?", false);
    name = unique(files, part, "");
    free(files->vm);
    files->vm = name ? strdup(name) : NULL;
    return files->vm ? 0 : -ENOMEM;
}

static const char *name_of(struct export_files *files, const char *id)
{
    char part[NAME_BYTES / 2];
    char base[NAME_BYTES - 32];

    put_parts(part, sizeof(part), id, true);
    snprintf(base, sizeof(base), "%s%s%s", files->vm, id[0] ? "/" : "", part);
    return unique(files, base, SUFFIX);
}

void export_files_free(struct export_files *files)
{
    tdestroy(files->known, free);
    free(files->vm);
    vmt_buffer_free(&files->file);
    *files = (struct export_files){ 0 };
}

int export_files_add(struct export_files *files, const struct vmt_snapshot *snapshot, size_t i, struct vmt_buffer *out)
{
    struct record record = { 0 };
    const char *name;
    int r;

    vmt_buffer_clear(&files->file);
    r = vmt_kvm_encode(snapshot, i, &files->file);
    if (r < 0)
        return r;
    if (files->count == FILES_MAX)
        return -EFBIG;
    name = name_of(files, vmt_snapshot_source(snapshot, i)->id);
    if (!name)
        return -ENOMEM;
    record.name_bytes = (uint32_t)strlen(name);
    record.file_bytes = (uint32_t)files->file.size;
    r = vmt_buffer_reserve(out, sizeof(record) + record.name_bytes + record.file_bytes);
    if (r < 0)
        return r;
    vmt_buffer_append(out, &record, sizeof(record));
    vmt_buffer_append(out, name, record.name_bytes);
    vmt_buffer_append(out, files->file.data, record.file_bytes);
    files->count++;
    return 0;
}

/* ---- files ---- */

static bool name_good(const char *name)
{
    size_t size = strlen(name);
    char printable[NAME_BYTES];

    if (size <= strlen(SUFFIX) || strcmp(name + size - strlen(SUFFIX), SUFFIX) != 0)
        return false;
    if (strcmp(message_printable(name, printable, sizeof(printable)), name) != 0)
        return false;
    for (const char *part = name;; part += strcspn(part, "/") + 1) {
        size_t n = strcspn(part, "/");

        if (n == 0 || n > NAME_MAX || part[0] == '.')
            return false;
        if (part[n] == '\0')
            return true;
    }
}

/* The directory that name lies in, below dirfd; it is made if it is not there. Cuts name up, *last becomes its last part.
 * The caller's to close, or a negative errno. */
static int open_directory(int dirfd, char *name, const char **last)
{
    int fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
    char *slash;

    if (fd < 0)
        return -errno;
    for (; (slash = strchr(name, '/')); name = slash + 1) {
        int next = -1;

        *slash = '\0';
        if (mkdirat(fd, name, 0777) == 0 || errno == EEXIST)
            next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            next = -errno;
        close(fd);
        if (next < 0)
            return next;
        fd = next;
    }
    *last = name;
    return fd;
}

static int write_below(int dirfd, const char *name, const char *data, size_t size)
{
    char parts[NAME_BYTES];
    const char *last = NULL;
    int fd;
    int r;

    strcpy(parts, name);
    fd = open_directory(dirfd, parts, &last);
    if (fd < 0)
        return fd;
    r = write_file_at(fd, last, data, size);
    close(fd);
    return r;
}

/* The next record: its name into name, its file at *file. false: there is none that makes sense. */
static bool next_record(const char **data, size_t *size, char name[NAME_BYTES], const char **file, size_t *file_size)
{
    struct record record;

    if (*size < sizeof(record))
        return false;
    memcpy(&record, *data, sizeof(record));
    *data += sizeof(record);
    *size -= sizeof(record);
    if (record.name_bytes == 0 || record.name_bytes >= NAME_BYTES || record.name_bytes > *size ||
        record.file_bytes > *size - record.name_bytes)
        return false;
    memcpy(name, *data, record.name_bytes);
    name[record.name_bytes] = '\0';
    *file = *data + record.name_bytes;
    *file_size = record.file_bytes;
    *data = *file + record.file_bytes;
    *size -= (size_t)record.name_bytes + record.file_bytes;
    return strlen(name) == record.name_bytes && name_good(name);
}

/* What could not be written. */
struct failures {
    size_t count;
    char name[NAME_BYTES]; /* the first */
    int error;
};

static int say_failures(const char *path, const struct failures *f)
{
    char more[48] = "";
    char reason[256];

    if (f->count == 0)
        return 0;
    if (f->count > 1)
        snprintf(more, sizeof(more), " and %zu more", f->count - 1);
    message_error("%s/%s%s: not written: %s", path, f->name, more, message_reason(f->error, reason, sizeof(reason)));
    return 1;
}

static int write_records(int dirfd, const char *path, const char *data, size_t size)
{
    struct failures failures = { .count = 0 };
    char name[NAME_BYTES];
    const char *file;
    size_t file_size, count = 0;

    while (size > 0) {
        int r;

        if (count++ == FILES_MAX || !next_record(&data, &size, name, &file, &file_size)) {
            message_error("%s: the process that reads segments gave what can't be; the rest is not written", path);
            say_failures(path, &failures);
            return 1;
        }
        r = write_below(dirfd, name, file, file_size);
        if (r < 0 && failures.count++ == 0) {
            strcpy(failures.name, name);
            failures.error = r;
        }
    }
    return say_failures(path, &failures);
}

int export_files_write(const char *path, const char *data, size_t size)
{
    char reason[256];
    int dirfd = -1;
    int r;

    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) {
        message_error("%s: not written: %s", path, message_reason(-errno, reason, sizeof(reason)));
        return 1;
    }
    r = write_records(dirfd, path, data, size);
    close(dirfd);
    return r;
}
