/* SPDX-License-Identifier: MIT */
/* A file that an earlier writer left, and that somebody has changed since: a writer goes on in it. It must touch
 * nothing but its own mapping, and what it takes over must be sound for readers ever after. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vmtally.h>

#include "input.h"
#include "judge.h"
#include "lib/kvm/handle.h"
#include "lib/writer.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct input input;
static struct vmt_snapshot *before, *after;
static struct vmt_delta *delta;
static uint8_t *image; /* as it was found */

static struct vmt_source *add(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                              const char *id)
{
    struct vmt_source *source = NULL;
    int r = vmt_source_add(segment, schema, parent, id, &source);

    ENSURE(r == 0 || r == -EEXIST || r == -ENFILE || r == -ENOSPC || r == -ELOOP || r == -ENAMETOOLONG || r == -ENOMEM,
           "%s: %s", id, strerror(-r));
    ENSURE((r == 0) == (source != NULL), "%s: %d", id, r);
    return source;
}

/* What a VMM does that comes back: some sources again, some with another schema, some are new, some stay away. */
static void go_on(struct vmt_segment *segment)
{
    struct vmt_source *vm = add(segment, input.head.how & 1 ? &vmt_schema_vm : fuzz_small_schema, NULL, "vm");
    struct vmt_source *a = add(segment, &fuzz_schema, vm, "a"), *fresh = add(segment, &vmt_schema_block, vm, "fresh");
    struct vmt_source *found = NULL;
    struct vmt_shard *shards[3], *one;

    vmt_shards_acquire(a, 3, shards);
    for (uint32_t i = 0; i < 3; i++) {
        vmt_add(shards[i], 0, 1);
        vmt_add(shards[i], fuzz_schema.slots - 1, 1);
    }
    one = vmt_shard_acquire(fresh);
    vmt_add(one, 0, 1);
    vmt_count(a, 1, 1);
    vmt_segment_heartbeat(segment);
    if (input.head.how & 2)
        vmt_segment_ready(segment);
    vmt_shards_release(2, shards);
    vmt_source_remove(fresh); /* held */
    vmt_source_remove(add(segment, &vmt_schema_net, a, "brief"));
    add(segment, &fuzz_schema, vm, "part-1");
    vmt_shard_release(one);
    if (input.head.how & 4)
        vmt_source_remove(a); /* held */
    vmt_shard_release(shards[2]);
    vmt_segment_ready(segment);
    vmt_source_find(segment, "vm/a", &found);
}

/* What is in the file now, judged as by anyone. state: what its writer is. */
static void judge_file(enum vmt_state state)
{
    struct fuzz_file *file = &input.base->file;
    struct stat st;
    char why[256];
    int r;

    ENSURE(fstat(file->fd, &st) == 0 && st.st_size <= FUZZ_FILE_MAX, "%lld bytes", (long long)st.st_size);
    file->size = (uint64_t)st.st_size;
    fuzz_file_show(file, state == VMT_STATE_LIVE ? FUZZ_LOCKED : 0);
    r = vmt_check(FUZZ_PATH, why, sizeof(why));
    if (input.timed || (r == -ENOMEM && judge_no_memory))
        return; /* it was changed under the writer, and may not be sound */
    ENSURE(r == (int)state && !*why, "state %d, not %d: %s", r, (int)state, why);
}

static int take(struct vmt_snapshot *snapshot)
{
    struct vmt_reader *reader = NULL;
    struct seen seen = { .count = 0 };
    int r = vmt_reader_open(FUZZ_PATH, NULL, &reader);

    if (r < 0)
        return r;
    r = vmt_snapshot_take(snapshot, reader);
    judge_snapshot(snapshot, r, FUZZ_FILE_MAX, &seen);
    vmt_reader_close(reader);
    return r;
}

static bool untouched(void) { return input.count == 0 && !input.whole && !input.head.no_memory && input.base->size; }

/* A total of what the kernel counts begins anew with other vCPUs, and says so; of copies it is as large as before (the first
 * statistic of these schemas is cumulative). Numbers of fds are those of one life. */
static bool kernel_total_kept(const struct vmt_total *total)
{
    const struct vmt_sample *root = vmt_snapshot_source(before, 0);

    if (strcmp(total->schema->name, KVM_HANDLE_NAME) == 0)
        return true;
    for (uint32_t t = 0; t < root->total_count; t++)
        if (strcmp(root->totals[t].schema->name, total->schema->name) == 0 &&
            root->totals[t].values[0] > total->values[0])
            return false;
    return strcmp(total->schema->provider, KVM_PROVIDER) == 0;
}

/* Nothing that was counted is lost, where nobody changed anything. */
static void judge_totals(void)
{
    const struct vmt_sample *root = vmt_snapshot_source(after, 0);

    judge_delta(delta, before, after);
    for (uint32_t t = 0; t < root->total_count; t++)
        ENSURE(!(vmt_delta_total(delta, 0, t)->flags & VMT_CHANGE_RESET) || kernel_total_kept(&root->totals[t]),
               "a total of %s fell", root->totals[t].schema->name);
}

/* Segments are never freed, as others may be walking over them; here nobody is. */
static void forget(void)
{
    struct vmt_segment *last = segment_first();

    while (last && last->next) {
        struct vmt_segment *before_last = last->next;

        last->next = before_last->next;
        fuzz_forget(before_last);
    }
}

/* To the next program, which this one plays too. NULL: it could not go on, as the file was changed under it. */
static struct vmt_segment *hand_over(struct vmt_segment *segment, struct vmt_segment_options *options)
{
    struct vmt_segment *next = NULL;
    int fd = vmt_segment_hand_over(segment), r;

    options->fd = fd; /* the caller's to close, too */
    ENSURE(fd >= 0, "%s", strerror(-fd));
    judge_file(VMT_STATE_LIVE);
    forget();
    r = vmt_segment_create(options, &next);
    ENSURE(r == 0 || input.timed || (r == -ENOMEM && judge_no_memory), "handed over, but %s: %s", strerror(-r),
           options->why);
    if (next) {
        go_on(next);
        judge_file(VMT_STATE_LIVE);
    }
    return next;
}

static void resume(void)
{
    const struct shm_header *sound = (const void *)input.base->sound;
    struct fuzz_file *file = &input.base->file;
    uint64_t size = file->size;
    char why[256] = "untouched";
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .fd = file->fd, .resume = 1, .why = why, .why_size = sizeof(why)
    };
    struct vmt_segment *segment = NULL;
    int r;

    if (!(sound->compatible & SHM_FIXED) != !(input.head.how & 8))
        options.fixed_bytes = input.base->size < 65536 ? 65536 : input.base->size;
    else
        options.max_bytes = FUZZ_FILE_MAX;
    memcpy(image, file->bytes, size);
    fuzz_memory_start();
    fuzz_memory_fail(input.head.no_memory);
    judge_no_memory = input.head.no_memory;
    r = vmt_segment_create(&options, &segment);
    judge_text(why, true);
    ENSURE(fuzz_memory_peak() <= (1U << 20) + 16 * size, "%zu bytes held for a file of %llu", fuzz_memory_peak(),
           (unsigned long long)size);
    if (r < 0) {
        ENSURE(r == -EBADMSG || r == -EPROTONOSUPPORT || r == -EMEDIUMTYPE || r == -EEXIST || r == -ENOMEM, "%s",
               strerror(-r));
        ENSURE(input.timed || judge_no_memory || memcmp(image, file->bytes, size) == 0, "refused (%s), and yet changed",
               why);
        return;
    }
    ENSURE(!*why || size == 0, "gone on with, and yet %s", why);
    judge_file(VMT_STATE_LIVE);
    go_on(segment);
    judge_file(VMT_STATE_LIVE);
    if (input.head.how & 16)
        segment = hand_over(segment, &options);
    vmt_segment_close(segment);
    if (segment)
        judge_file(VMT_STATE_CLOSED);
    forget();
    if (options.fd != file->fd)
        close(options.fd);
    if (untouched()) {
        ENSURE(take(after) == 0, "it is not whole");
        judge_totals();
    }
}

static void mend(void)
{
    struct base *base = input.base;

    fuzz_file_say_size(&base->file, UINT64_MAX); /* the writer may have made it grow */
    fuzz_file_resize(&base->file, 0);
    fuzz_file_resize(&base->file, base->size);
    memcpy(base->file.bytes, base->sound, base->size);
    input.dirty_count = 0;
}

/* The writer asks the kernel itself how large and how sparse it is. And who may truncate the file of a running writer
 * can end it. */
static void tame(void)
{
    input.head.flags = (uint8_t)((input.head.flags & ~(INPUT_SPARSE | INPUT_TAKEN)) | INPUT_REAL_CUT);
    for (uint32_t i = 0; i < input.count; i++) {
        if (input.patches[i].kind == PATCH_SIZE && input.patches[i].when != 0)
            input.patches[i] = (struct patch){ .when = input.patches[i].when, .kind = PATCH_FILL };
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_parse(&input, data, size);
    tame();
    input_begin(&input);
    if (untouched())
        ENSURE(take(before) == 0, "%s is not sound", input.base->name);
    resume();
    fuzz_memory_fail(0);
    mend();
    ENSURE(fuzz_handles() == 0, "%ld descriptors and mappings are left", fuzz_handles());
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char stat[] = "4711 (a (vmm)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22\n";

    (void)argc;
    (void)argv;
    fuzz_bases_make();
    fuzz_proc("01234567-89ab-cdef-0123-456789abcdef\n", stat, sizeof(stat) - 1);
    image = calloc(1, FUZZ_FILE_MAX);
    ENSURE(image && vmt_delta_new(&delta) == 0 && vmt_snapshot_new(&before) == 0 && vmt_snapshot_new(&after) == 0,
           "no memory");
    return 0;
}
