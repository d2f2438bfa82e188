/* SPDX-License-Identifier: MIT */
/* weather.h: VMs that come, count, go and are replaced at random, under names of all kinds, and a file that is damaged. */
#ifndef TESTS_UNIT_WEATHER_H
#define TESTS_UNIT_WEATHER_H

#include <unistd.h>

#include "parts.h"
#include "shm/layout.h"
#include "top.h"

#define VMS 5
#define SOURCES 6
#define HOSTILE "hostile.vmt"

struct weather {
    uint64_t random;
    struct vmt_segment *vms[VMS];
    struct vmt_source *sources[VMS][SOURCES];
    struct vmt_shard *shards[VMS][SOURCES];
    uint32_t slots[VMS][SOURCES];
};

static inline uint32_t below(struct weather *w, uint32_t n) /* xorshift64* */
{
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return (uint32_t)(w->random * 0x2545f4914f6cdd1dU >> 32) % n;
}

/* Mostly little, now and then as much as there can be. */
static inline uint64_t amount(struct weather *w)
{
    uint64_t any = (uint64_t)below(w, UINT32_MAX) << 32 | below(w, UINT32_MAX);

    return below(w, 4) ? below(w, 5000) : any >> below(w, 64);
}

/* What VMs say they are called. */
static const char *const names[VMS] = { "web", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e \xe6\xbc\xa2\xe5\xad\x97 wide",
                                        "e\xcc\x81\xcc\x81\xcc\x81 combines",
                                        "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d right to left",
                                        "a-name-of-sixty-four-characters-which-is-as-long-as-it-can-be..." };

/* As a VMM that has another schema under the name of one that there was. */
static inline const struct vmt_schema *schema(struct weather *w)
{
    static struct vmt_schema odd;
    static const struct vmt_schema *const all[] = { &vmt_schema_vcpu, &vmt_schema_block, &vmt_schema_program,
                                                    &part_schema,     &small_schema,     &odd };

    odd = small_schema;
    odd.name = "part";
    return all[below(w, LENGTH(all))];
}

static inline void scribble(const char *path, size_t offset, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "r+");

    cr_assert_not_null(f);
    cr_assert_eq(fseek(f, (long)offset, SEEK_SET), 0);
    cr_assert_eq(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

static inline void start_vm(struct weather *w, uint32_t i)
{
    char file_name[] = { (char)('a' + (int)i), '\0' };

    w->vms[i] = start(file_name);
    scribble(vmt_segment_path(w->vms[i]), offsetof(struct shm_header, name), names[i], strlen(names[i]));
}

static inline void close_vm(struct weather *w, uint32_t i)
{
    vmt_segment_close(w->vms[i]);
    w->vms[i] = NULL;
    memset(w->sources[i], 0, sizeof(w->sources[i]));
    memset(w->shards[i], 0, sizeof(w->shards[i]));
}

/* A copy of a VM's file, with some bytes that nobody meant. */
static inline void damage(struct weather *w, uint32_t i)
{
    static char bytes[1 << 16];
    FILE *from = fopen(vmt_segment_path(w->vms[i]), "r");
    size_t size = from ? fread(bytes, 1, sizeof(bytes), from) : 0;
    FILE *to = size ? fopen(test_path(HOSTILE), "w") : NULL;

    for (uint32_t n = below(w, 8); n > 0 && to; n--)
        bytes[below(w, 2) ? below(w, (uint32_t)size) : below(w, 2048)] = (char)below(w, 256);
    if (to) {
        fwrite(bytes, 1, below(w, 9) ? size : below(w, (uint32_t)size + 1), to);
        fclose(to);
    }
    if (from)
        fclose(from);
}

static inline void change_source(struct weather *w, uint32_t i, uint32_t k)
{
    static const char *const ids[SOURCES] = {
        "vcpu-0", "vcpu-1", "disk", "\xe6\x97\xa5", "a/b", "long-long-long-long"
    };
    struct vmt_source **source = &w->sources[i][k];

    if (!*source) {
        const struct vmt_schema *of = schema(w);

        w->slots[i][k] = of->slots;
        if (vmt_source_add(w->vms[i], of, k ? w->sources[i][below(w, k)] : NULL, ids[k], source) < 0)
            *source = NULL;
    } else if (!w->shards[i][k] && below(w, 2)) {
        w->shards[i][k] = vmt_shard_acquire(*source);
    } else if (w->shards[i][k] && below(w, 3)) {
        vmt_add(w->shards[i][k], below(w, w->slots[i][k]), amount(w));
    } else if (w->shards[i][k]) {
        vmt_shard_release(w->shards[i][k]);
        w->shards[i][k] = NULL;
    } else if (below(w, 3)) {
        vmt_count(*source, below(w, w->slots[i][k]), amount(w));
    } else {
        for (uint32_t c = k; c < SOURCES; c++) { /* and what may be below it */
            vmt_shard_release(w->shards[i][c]);
            if (w->sources[i][c])
                vmt_source_remove(w->sources[i][c]);
            w->shards[i][c] = NULL;
            w->sources[i][c] = NULL;
        }
    }
}

static inline void weather_change(struct weather *w)
{
    uint32_t i = below(w, VMS);

    if (!w->vms[i])
        start_vm(w, i);
    else if (!below(w, 12))
        close_vm(w, i);
    else if (!below(w, 12))
        damage(w, i);
    else if (!below(w, 12))
        unlink(below(w, 2) ? test_path(HOSTILE) : vmt_segment_path(w->vms[i]));
    for (int n = 0; n < 12 && w->vms[i]; n++)
        change_source(w, i, below(w, SOURCES));
}

#endif
