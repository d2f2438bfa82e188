/* SPDX-License-Identifier: MIT */
/* What a snapshot may cost is bounded by the size of the file, whatever leads to what in it; and a sound file, however
 * full, stays within the bound. */
#include "tests/race/race.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "shm/layout.h"

TestSuite(bounds, .init = test_dir_init, .fini = test_dir_fini);

#define SOURCES 3000
#define FILE_BYTES (4U << 20)
#define SNAPSHOT_SECONDS (SANITIZED ? 60 : 10) /* without the bound, ten minutes */

/* "added" less "removed" is a level: each shard is read twice. The histogram takes its greatest, by slot. */
static const struct vmt_descriptor level_descriptors[] = {
    { .name = "added", .help = "", .size = 1, .slot = 0 },
    { .name = "removed", .help = "Much", .size = 1, .slot = 1, .minuend = 1 },
    { .name = "hist", .help = "", .flags = VMT_TYPE_LOG_HIST | VMT_AGGREGATION_MAX, .size = 2, .slot = 2 },
};
static const struct vmt_schema level_schema = { "level", "test", "part", level_descriptors, 3, 4 };

/* As many sources as fit, each with its shared shard used; the file's bytes, for whoever is hostile. */
static uint8_t *make_full_segment(void)
{
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = "full", .keep = 1, .fixed_bytes = FILE_BYTES, .max_sources = SOURCES
    };
    struct vmt_segment *segment = NULL;
    struct vmt_source *source = NULL;
    void *bytes;
    int fd;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    for (int i = 1; i < SOURCES; i++) {
        cr_assert_eq(vmt_source_addf(segment, &level_schema, NULL, &source, "%d", i), 0);
        vmt_count(source, 0, 1);
    }
    while (vmt_shard_acquire(source) != VMT_SCRATCH) {
    }
    vmt_segment_close(segment);
    fd = open(test_path("full.vmt"), O_RDWR);
    cr_assert_geq(fd, 0);
    bytes = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq(bytes, MAP_FAILED);
    close(fd);
    return bytes;
}

static struct shm_entry *entry(uint8_t *bytes, uint32_t i)
{
    const struct shm_header *h = (const void *)bytes;

    return (void *)(bytes + h->source_offset + (uint64_t)i * h->source_bytes);
}

static int take_timed(enum vmt_read_mode mode)
{
    struct vmt_reader *reader = attach(test_path("full.vmt"), mode);
    struct vmt_snapshot *s = new_snapshot();
    double begin = seconds_now();
    int r = vmt_snapshot_take(s, reader);

    cr_assert_lt(seconds_now() - begin, SNAPSHOT_SECONDS);
    vmt_snapshot_free(s);
    vmt_reader_close(reader);
    return r;
}

static void assert_damaged(const char *expected)
{
    char why[256];

    cr_assert_eq(vmt_check(test_path("full.vmt"), why, sizeof(why)), VMT_STATE_DAMAGED);
    cr_assert_str_eq(why, expected);
    take_timed(VMT_READ_COPY);
    take_timed(VMT_READ_GUARDED);
}

Test(bounds, a_full_segment_is_read_whole)
{
    make_full_segment();
    cr_assert_eq(take_timed(VMT_READ_COPY), 0);
    cr_assert_eq(take_timed(VMT_READ_GUARDED), 0);
}

Test(bounds, shards_that_lead_to_themselves_cost_no_more_than_the_file)
{
    uint8_t *bytes = make_full_segment();

    for (uint32_t i = 1; i < SOURCES; i++) {
        struct shm_entry *e = entry(bytes, i);

        e->flags = 0;
        e->shards = (uint64_t)e->shared * SHM_GRANULE;
        ((struct shm_shard *)(void *)(bytes + e->shards))->next = e->shards;
    }
    cr_assert_eq(take_timed(VMT_READ_COPY), 1);
    cr_assert_eq(take_timed(VMT_READ_GUARDED), 1);
}

Test(bounds, strings_of_a_schema_are_not_cleaned_where_its_descriptors_are)
{
    uint8_t *bytes = make_full_segment();
    struct shm_schema *s = (void *)(bytes + entry(bytes, 1)->schema);
    struct vmt_kvm_header *kvm = (void *)((uint8_t *)s + s->kvm_offset);

    /* A size of 2 would become one of 63. */
    s->strings_offset = s->kvm_offset + kvm->desc_offset + 2 * (uint32_t)sizeof(struct vmt_kvm_desc);
    s->strings_bytes = s->block_bytes - s->strings_offset;
    assert_damaged("the parts of a schema overlap");
}

Test(bounds, each_value_is_of_one_descriptor)
{
    uint8_t *bytes = make_full_segment();
    struct shm_schema *s = (void *)(bytes + entry(bytes, 1)->schema);
    struct vmt_kvm_header *kvm = (void *)((uint8_t *)s + s->kvm_offset);

    ((struct vmt_kvm_desc *)(void *)((uint8_t *)kvm + kvm->desc_offset))[2].offset = 8;
    assert_damaged("the values of two descriptors overlap");
}

Test(bounds, schemas_take_no_more_memory_than_the_file)
{
    uint8_t *bytes = make_full_segment();
    const struct shm_header *h = (const void *)bytes;

    for (uint64_t at = h->schemas; at;) {
        struct shm_schema *s = (void *)(bytes + at);

        at = s->next;
        s->block_bytes = (uint32_t)(FILE_BYTES - ((uint64_t)((uint8_t *)s - bytes)));
    }
    assert_damaged("the schemas are larger than the file");
}
