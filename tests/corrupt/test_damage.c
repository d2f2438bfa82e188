/* SPDX-License-Identifier: MIT */
/* Damage: every field of a segment set to what it must not be. A row is a case: where, and what the answer must be for
 * each bad value. Then bytes are scribbled on while they are read. Never a crash, a hang, or memory without bound. */
#include "tests/unit/parts.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>

#include "shm/layout.h"

#define FILE_BYTES 65536U

/* ---- a sound segment, and where its parts are ---- */

enum part {
    HEADER,
    ROOT, /* entries */
    PARENT,
    CHILD,
    SHARD, /* the first of CHILD's own */
    SHARED,
    DEPARTED,      /* of PARENT */
    ROOT_DEPARTED, /* of ROOT */
    SCHEMA,        /* CHILD's */
    KVM,
    DESCRIPTOR, /* of the second statistic */
    SIDE,
    PARTS
};

static _Alignas(8) uint8_t sound[FILE_BYTES];
static uint64_t part_offsets[PARTS];
static const char *path;
static const char *trying = ""; /* which row */
static int fd;

static const void *at(uint64_t offset) { return sound + offset; }

static void make_sound_file(void)
{
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = "vm", .keep = 1, .fixed_bytes = FILE_BYTES, .max_sources = 16
    };
    const struct shm_entry *child;
    const struct shm_schema *schema;
    const struct vmt_kvm_header *kvm;
    struct vmt_segment *segment = NULL;
    struct vmt_source *vm, *a, *gone;
    struct vmt_shard *shards[2];

    test_dir_init();
    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    vm = add_source(segment, &small_schema, NULL, "vm");
    a = add_source(segment, &part_schema, vm, "a");
    gone = add_source(segment, &part_schema, vm, "gone");
    vmt_count(gone, P_EVENTS, 1000);
    vmt_source_remove(gone);
    vmt_shards_acquire(a, 2, shards);
    for (int i = 0; i < 2; i++) {
        vmt_add(shards[i], P_EVENTS, 10);
        vmt_latency(shards[i], P_TIME, P_TIME_BUCKETS, 100);
    }
    vmt_count(a, P_EVENTS, 1);
    path = test_path("vm.vmt");
    vmt_segment_close(segment);

    fd = open(path, O_RDWR);
    cr_assert_eq(pread(fd, sound, FILE_BYTES, 0), FILE_BYTES);
    part_offsets[HEADER] = 0;
    for (uint32_t i = 0; i < 3; i++)
        part_offsets[ROOT + i] = ((const struct shm_header *)at(0))->source_offset + i * 128;
    child = at(part_offsets[CHILD]);
    cr_assert_str_eq(child->name, "a");
    part_offsets[SHARD] = child->shards;
    part_offsets[SHARED] = (uint64_t)child->shared * 128;
    part_offsets[DEPARTED] = ((const struct shm_entry *)at(part_offsets[PARENT]))->departed;
    part_offsets[ROOT_DEPARTED] = ((const struct shm_entry *)at(part_offsets[ROOT]))->departed;
    part_offsets[SCHEMA] = child->schema;
    schema = at(child->schema);
    cr_assert_str_eq(schema->name, "part");
    part_offsets[KVM] = child->schema + schema->kvm_offset;
    kvm = at(part_offsets[KVM]);
    part_offsets[DESCRIPTOR] = part_offsets[KVM] + kvm->desc_offset + sizeof(struct vmt_kvm_desc);
    part_offsets[SIDE] = child->schema + schema->side_offset + schema->side_bytes;
}

static void teardown(void)
{
    close(fd);
    test_dir_fini();
}

TestSuite(damage, .init = make_sound_file, .fini = teardown);

static void write_bytes(uint64_t offset, const void *bytes, size_t n)
{
    cr_assert_eq(pwrite(fd, bytes, n, (off_t)offset), (ssize_t)n);
}

static void mend(void) { write_bytes(0, sound, FILE_BYTES); }

/* ---- what is written where, and what must come of it ---- */

/* One letter for each of the values 0, 1, all ones, the right one + 4 (misaligned), just outside of the file, and the
 * block's own offset:
 *   F  fine: the snapshot is whole
 *   P  partial, and says so
 *   D  damaged: -EBADMSG
 *   O  another version: -EPROTONOSUPPORT
 *   X  not a segment: -EMEDIUMTYPE
 *   N  not published: -ENODATA
 *   .  as right as the right one, or not to be told from it: only no crash */
#define VALUES 6

struct row {
    const char *what;
    enum part part;
    uint32_t offset, bytes;
    const char *verdicts;
};
#define FIELD(part, type, field, verdicts)                                                                             \
    {                                                                                                                  \
#part "." #field, part, offsetof(struct type, field), sizeof(((struct type *)0)->field), verdicts              \
    }
static const struct row rows[] = {
    FIELD(HEADER, shm_header, magic, "NXXXXN"),
    FIELD(HEADER, shm_header, byte_order, "OOOOOO"),
    FIELD(HEADER, shm_header, major, "O.OOOO"),
    FIELD(HEADER, shm_header, minor, "FFFFFF"),
    FIELD(HEADER, shm_header, compatible, "FFFFFF"),
    FIELD(HEADER, shm_header, incompatible, ".OOOO."),
    FIELD(HEADER, shm_header, identity, "FFFFFF"),
    FIELD(HEADER, shm_header, boot_id, "FFFFFF"),
    FIELD(HEADER, shm_header, created_ns, "FFFFFF"),
    FIELD(HEADER, shm_header, pid, "FFFFFF"),
    FIELD(HEADER, shm_header, header_bytes, "DDD.DD"),
    FIELD(HEADER, shm_header, pid_start, "FFFFFF"),
    FIELD(HEADER, shm_header, max_bytes, "FFFFFF"),
    FIELD(HEADER, shm_header, source_offset, "DDDDDD"),
    FIELD(HEADER, shm_header, source_bytes, "DDDDDD"),
    FIELD(HEADER, shm_header, source_limit, "DDDFFD"),
    FIELD(HEADER, shm_header, source_used, "D.DFDD"),
    FIELD(HEADER, shm_header, heartbeat_interval_ns, "FFFFFF"),
    FIELD(HEADER, shm_header, name, "FFFFFF"),
    FIELD(HEADER, shm_header, structure, "FFFFFF"),
    FIELD(HEADER, shm_header, file_bytes, "FFFFFF"),
    FIELD(HEADER, shm_header, lifecycle, "FFDDDF"),
    FIELD(HEADER, shm_header, schemas, "DDDDDD"),
    FIELD(HEADER, shm_header, incarnation, "FFFFFF"),
    FIELD(HEADER, shm_header, closed_ns, "FFFFFF"),
    FIELD(HEADER, shm_header, heartbeat_ns, "FFFFFF"),
    FIELD(HEADER, shm_header, labels, "FFFFFF"),

    FIELD(ROOT, shm_entry, generation, "DDDDDD"),
    FIELD(ROOT, shm_entry, fold, "FFFFFF"),
    FIELD(ROOT, shm_entry, version, "......"),
    FIELD(ROOT, shm_entry, state, "D.DDDD"),
    FIELD(ROOT, shm_entry, parent, "FFDDDD"),
    FIELD(ROOT, shm_entry, schema, "DDDDDD"),
    FIELD(ROOT, shm_entry, shards, "FDDDDD"),
    FIELD(ROOT, shm_entry, departed, ".DDDDP"),
    FIELD(ROOT, shm_entry, parent_generation, "FFFFFF"),
    FIELD(ROOT, shm_entry, created_ns, "FFFFFF"),
    FIELD(ROOT, shm_entry, flags, "FFFFFF"),
    FIELD(ROOT, shm_entry, shared, "DDDDDD"),
    FIELD(ROOT, shm_entry, name, "FFFFFF"),

    FIELD(PARENT, shm_entry, generation, "P..PPP"),
    FIELD(PARENT, shm_entry, version, "......"),
    FIELD(PARENT, shm_entry, state, ".FPPPP"),
    FIELD(PARENT, shm_entry, parent, "FPPPPP"),
    FIELD(PARENT, shm_entry, schema, "PPPPPP"),
    FIELD(PARENT, shm_entry, departed, ".PPPPP"),

    FIELD(CHILD, shm_entry, generation, "PFFPPP"),
    FIELD(CHILD, shm_entry, fold, "F.FFFF"),
    FIELD(CHILD, shm_entry, version, "FFFFFF"),
    FIELD(CHILD, shm_entry, state, "FFPPPP"),
    FIELD(CHILD, shm_entry, parent, ".FPPPP"),
    FIELD(CHILD, shm_entry, schema, "PPPPPP"),
    FIELD(CHILD, shm_entry, shards, "FPPPPP"),
    FIELD(CHILD, shm_entry, departed, "FPPPPP"),
    FIELD(CHILD, shm_entry, parent_generation, "PPPPPP"),
    FIELD(CHILD, shm_entry, created_ns, "FFFFFF"),
    FIELD(CHILD, shm_entry, flags, "FFFFFF"),
    FIELD(CHILD, shm_entry, shared, "PPPPPP"),
    FIELD(CHILD, shm_entry, name, "FFFFFF"),

    FIELD(SHARD, shm_shard, next, ".PPPPP"),
    FIELD(SHARD, shm_shard, generation, "PPPPPP"),
    FIELD(SHARD, shm_shard, source, "PPPPPP"),
    FIELD(SHARD, shm_shard, slots, "PPPPPP"),
    FIELD(SHARD, shm_shard, kind, "FFFFFF"),
    FIELD(SHARD, shm_shard, owner, "FFFFFF"),
    FIELD(SHARD, shm_shard, torn, "FFFFFF"),
    FIELD(SHARD, shm_shard, begun, "FFFFFF"),
    FIELD(SHARD, shm_shard, ended, "FFFFFF"),
    FIELD(SHARED, shm_shard, next, "FFFFFF"),
    FIELD(SHARED, shm_shard, generation, "PPPPPP"),
    FIELD(SHARED, shm_shard, source, "PPPPPP"),
    FIELD(SHARED, shm_shard, slots, "PPPPPP"),

    FIELD(DEPARTED, shm_departed, next, ".PPPPP"),
    FIELD(DEPARTED, shm_departed, schema, "PPPPPP"),
    FIELD(DEPARTED, shm_departed, generation, "PPPPPP"),
    FIELD(DEPARTED, shm_departed, source, "P.PPPP"),
    FIELD(DEPARTED, shm_departed, slots, "PPPPPP"),
    FIELD(ROOT_DEPARTED, shm_departed, next, ".PPPPP"),
    FIELD(ROOT_DEPARTED, shm_departed, schema, "PPPPPP"),
    FIELD(ROOT_DEPARTED, shm_departed, generation, "PPPPPP"),

    FIELD(SCHEMA, shm_schema, next, "......"),
    FIELD(SCHEMA, shm_schema, block_bytes, "PPP.P."),
    FIELD(SCHEMA, shm_schema, slots, "PPPPPP"),
    FIELD(SCHEMA, shm_schema, descriptors, "PPPPPP"),
    FIELD(SCHEMA, shm_schema, kvm_offset, "PPPPPP"),
    FIELD(SCHEMA, shm_schema, side_offset, "PPPPPP"),
    FIELD(SCHEMA, shm_schema, side_bytes, "PPPPPP"),
    FIELD(SCHEMA, shm_schema, strings_offset, "PPPPPP"),
    FIELD(SCHEMA, shm_schema, strings_bytes, "PPPPPP"),
    FIELD(SCHEMA, shm_schema, name, "FFFFFF"),
    FIELD(SCHEMA, shm_schema, provider, "FFFFFF"),
    FIELD(SCHEMA, shm_schema, target, "FFFFFF"),

    FIELD(KVM, vmt_kvm_header, name_size, "PPPPPP"),
    FIELD(KVM, vmt_kvm_header, num_desc, "PPPPPP"),
    FIELD(KVM, vmt_kvm_header, desc_offset, "PPPPPP"),
    FIELD(DESCRIPTOR, vmt_kvm_desc, flags, "FFFFFF"),
    FIELD(DESCRIPTOR, vmt_kvm_desc, exponent, "FFFFFF"),
    FIELD(DESCRIPTOR, vmt_kvm_desc, size, "PFPPP."),
    FIELD(DESCRIPTOR, vmt_kvm_desc, offset, "PPPPPP"),
    FIELD(DESCRIPTOR, vmt_kvm_desc, bucket_size, "FFFFFF"),
    FIELD(DESCRIPTOR, vmt_kvm_desc, name, "FFFFFF"),
    FIELD(SIDE, shm_side, help_offset, "FFPFPP"),
    FIELD(SIDE, shm_side, label_offset, "FFPFPP"),
    FIELD(SIDE, shm_side, group, "FFFFFF"),
    FIELD(SIDE, shm_side, minuend, "FFFFFF"),
    FIELD(SIDE, shm_side, level, "FFFFFF"),
};

/* The bad value into bytes, in the field's width; strings are filled with it. false: it is the right one. */
static bool bad_value(const struct row *row, int which, uint8_t bytes[1024])
{
    uint64_t offset = part_offsets[row->part] + row->offset;
    uint64_t unit = row->part == CHILD && row->offset == offsetof(struct shm_entry, shared) ? 128 : 1;
    uint64_t value = 0;
    size_t width = row->bytes > 8 ? 8 : row->bytes;

    memcpy(&value, at(offset), width);
    value = which == 0 ? 0
          : which == 1 ? 1
          : which == 2 ? UINT64_MAX
          : which == 3 ? value + 4
          : which == 4 ? FILE_BYTES / unit + 128
                       : part_offsets[row->part] / unit;
    for (uint32_t i = 0; i < row->bytes; i++)
        bytes[i] = ((const uint8_t *)&value)[i % 8];
    return memcmp(bytes, at(offset), row->bytes) != 0;
}

/* ---- reading it in every way ---- */

/* An assertion that costs nothing where it holds: there are millions. */
#define ENSURE(condition, ...)                                                                                         \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            cr_assert_fail(__VA_ARGS__);                                                                               \
    } while (0)

/* Whatever is handed out is fit to show. */
static void assert_fit(const char *text, bool ascii)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        ENSURE(c >= 0x20 && c != 0x7f && (!ascii || c < 0x80), "%s: byte 0x%02x", trying, c);
    }
}

static void use(struct vmt_snapshot *snapshot, struct vmt_reader *reader)
{
    const struct vmt_segment_info *info = vmt_snapshot_segment(snapshot);
    static uint64_t values[VMT_SLOTS_MAX];
    uint64_t sum = 0;

    assert_fit(info->name, true);
    for (size_t i = 0; info->labels[i]; i++)
        assert_fit(info->labels[i], false);
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);

        assert_fit(sample->id, true);
        assert_fit(sample->name, true);
        assert_fit(sample->schema->name, true);
        assert_fit(sample->schema->provider, true);
        assert_fit(sample->schema->target, true);
        ENSURE(sample->parent == UINT32_MAX || sample->parent < i, "%s: parents come first", trying);
        for (uint32_t k = 0; k < sample->schema->slots; k++)
            sum += sample->values[k];
        for (uint32_t k = 0; k < sample->schema->count; k++) {
            const struct vmt_descriptor *d = &sample->schema->descriptors[k];

            assert_fit(d->name, true);
            assert_fit(d->help, false);
            ENSURE(d->slot + d->size <= sample->schema->slots, "%s: slot %u", trying, d->slot);
            vmt_sample_total(sample, d, values);
        }
        for (uint32_t t = 0; t < sample->total_count; t++)
            for (uint32_t k = 0; k < sample->totals[t].schema->slots; k++)
                sum += sample->totals[t].values[k] + sample->totals[t].departed[k];
        for (uint32_t t = 0; t < sample->shard_count; t++)
            sum += sample->shards[t].values[0];
        vmt_reader_sample(reader, sample, values);
    }
    __asm__ __volatile__("" : : "r"(sum)); /* read, all of it */
}

/* -errno of opening or taking, 1 or 0. */
static int read_all(enum vmt_read_mode mode, int want_shards)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = mode };
    struct vmt_reader *reader = NULL;
    struct vmt_snapshot *snapshot;
    int r = vmt_reader_open(path, &options, &reader);

    if (r < 0)
        return r;
    snapshot = new_snapshot();
    vmt_snapshot_want_shards(snapshot, want_shards);
    r = vmt_snapshot_take(snapshot, reader);
    use(snapshot, reader);
    ENSURE(r >= 0 || vmt_snapshot_count(snapshot) == 0, "%s: an error, and yet sources", trying);
    ENSURE(r < 0 || r == !!(vmt_snapshot_segment(snapshot)->flags & VMT_SNAPSHOT_PARTIAL), "%s: %d", trying, r);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    return r;
}

static char letter(int r)
{
    switch (r) {
    case 0:
        return 'F';
    case 1:
        return 'P';
    case -EBADMSG:
        return 'D';
    case -EPROTONOSUPPORT:
        return 'O';
    case -EMEDIUMTYPE:
        return 'X';
    case -ENODATA:
        return 'N';
    default:
        return '?';
    }
}

/* check looks at more than a snapshot does, so it may be stricter, but not milder. */
static bool check_agrees(char verdict, int check)
{
    switch (verdict) {
    case 'P':
    case 'D':
        return check == VMT_STATE_DAMAGED;
    case 'O':
        return check == VMT_STATE_OTHER_VERSION;
    case 'X':
        return check == -EMEDIUMTYPE;
    case 'N':
        return check == -ENODATA;
    default:
        return check >= 0 && check < VMT_STATE_COUNT;
    }
}

Test(damage, the_sound_file_is_sound)
{
    char why[256] = "untouched";

    for (int mode = VMT_READ_COPY; mode <= VMT_READ_GUARDED; mode++)
        cr_assert_eq(read_all((enum vmt_read_mode)mode, 1), 0);
    cr_assert_eq(vmt_check(path, why, sizeof(why)), VMT_STATE_CLOSED, "%s", why);
    cr_assert_str_eq(why, "");
}

Test(damage, of_every_field_has_its_answer, .timeout = 60)
{
    static const char *const names[VALUES] = { "0", "1", "all ones", "4 more", "outside", "itself" };

    for (size_t i = 0; i < LENGTH(rows); i++) {
        cr_assert_eq(strlen(rows[i].verdicts), VALUES, "%s", rows[i].what);
        for (int which = 0; which < VALUES; which++) {
            char want = rows[i].verdicts[which], why[256];
            uint8_t bytes[1024];
            int check;

            trying = rows[i].what;
            if (!bad_value(&rows[i], which, bytes))
                want = 'F';
            write_bytes(part_offsets[rows[i].part] + rows[i].offset, bytes, rows[i].bytes);
            for (int k = 0; k < 4; k++) {
                int r = read_all(k & 1 ? VMT_READ_GUARDED : VMT_READ_COPY, k & 2);
                char got = letter(r);

                cr_expect(got != '?' && (want == '.' || got == want), "%s, %s: %c (%s), not %c", rows[i].what,
                          names[which], got, r < 0 ? strerror(-r) : "", want);
            }
            check = vmt_check(path, why, sizeof(why));
            cr_expect(check_agrees(want, check), "%s, %s: check says %d, %s", rows[i].what, names[which], check, why);
            cr_expect(check == VMT_STATE_DAMAGED || check == VMT_STATE_OTHER_VERSION || check < 0 || !*why,
                      "%s, %s: %d, but %s", rows[i].what, names[which], check, why);
            vmt_remove_dead(path, 1);
            mend();
        }
    }
}

/* What was sound when it was attached to, and is not any more. */
Test(damage, after_attaching_has_an_answer_too, .timeout = 60)
{
    struct vmt_snapshot *older = new_snapshot(), *newer = new_snapshot();
    struct vmt_delta *delta = NULL;

    cr_assert_eq(vmt_delta_new(&delta), 0);
    for (size_t i = 0; i < LENGTH(rows); i++)
        for (int which = 0; which < VALUES; which++) {
            struct vmt_reader *reader = attach(path, which & 1 ? VMT_READ_GUARDED : VMT_READ_COPY);
            uint8_t bytes[1024];
            int r;

            trying = rows[i].what;
            take(older, reader);
            bad_value(&rows[i], which, bytes);
            write_bytes(part_offsets[rows[i].part] + rows[i].offset, bytes, rows[i].bytes);
            use(older, reader); /* single sources, as they were known */
            r = vmt_snapshot_take(newer, reader);
            cr_expect_neq(letter(r), '?', "%s, %d: %s", rows[i].what, which, strerror(-r));
            use(newer, reader);
            cr_expect_eq(vmt_delta_compute(delta, older, newer), 0);
            vmt_reader_state(reader);
            mend();
            r = vmt_snapshot_take(newer, reader); /* it may be mended, but not forgotten what its schemas are */
            cr_expect_neq(letter(r), '?', "%s, %d, mended: %s", rows[i].what, which, strerror(-r));
            vmt_reader_close(reader);
        }
    vmt_delta_free(delta);
    vmt_snapshot_free(older);
    vmt_snapshot_free(newer);
}

/* Names that are empty and have no end, and such as no terminal should see. */
Test(damage, of_names_shows_what_is_fit_to_show)
{
    static const struct {
        char bytes[64];
        size_t n;
        const char *shown;
    } names[] = {
        { "", 48, "?" },
        { "\0\x1b[2J/////////////////////////////////////////////", 48, "?" },
        { "\x1b[2Jred", 8, "?[2Jred" },
        { "a/../b c", 9, "a?..?b?c" },
        { "caf\xc3\xa9", 6, "caf??" },
        { "\x7f\x80\xff", 4, "???" },
        { "12345678901234567890123456789012345678901234567890", 48, "12345678901234567890123456789012345678901234567" },
    };

    for (size_t i = 0; i < LENGTH(names); i++) {
        struct vmt_snapshot *snapshot = new_snapshot();
        struct vmt_reader *reader;
        bool source = false, descriptor = false;

        write_bytes(part_offsets[CHILD] + offsetof(struct shm_entry, name), names[i].bytes, names[i].n);
        write_bytes(part_offsets[DESCRIPTOR] + offsetof(struct vmt_kvm_desc, name), names[i].bytes, names[i].n);
        reader = attach(path, VMT_READ_COPY);
        take(snapshot, reader);
        for (size_t k = 0; k < vmt_snapshot_count(snapshot); k++) {
            const struct vmt_sample *sample = vmt_snapshot_source(snapshot, k);

            source |= strcmp(sample->name, names[i].shown) == 0;
            if (sample->depth == 2) /* a '/' in a statistic's name leads nowhere, so it may stay */
                descriptor |=
                    strchr(names[i].bytes, '/') || strcmp(sample->schema->descriptors[1].name, names[i].shown) == 0;
        }
        cr_expect(source, "%s: not among the sources", names[i].shown);
        cr_expect(descriptor, "%s: not among the statistics", names[i].shown);
        use(snapshot, reader);
        vmt_snapshot_free(snapshot);
        vmt_reader_close(reader);
        mend();
    }
}

/* ---- at any length ---- */

Test(damage, of_a_file_cut_at_any_length_has_an_answer, .timeout = 60)
{
    for (off_t n = 0; n <= FILE_BYTES; n += n < 4300 ? 61 : 509) {
        char why[256];
        int check;

        cr_assert_eq(ftruncate(fd, n), 0);
        for (int k = 0; k < 2; k++) {
            int r = read_all(k ? VMT_READ_GUARDED : VMT_READ_COPY, 1);

            cr_expect_neq(letter(r), '?', "%ld bytes: %s", (long)n, strerror(-r));
            cr_expect(n >= 4096 || r < 0);
        }
        check = vmt_check(path, why, sizeof(why));
        cr_expect(check == (n ? VMT_STATE_DAMAGED : -ENODATA), "%ld bytes: %d, %s", (long)n, check, why);
        mend();
    }
}

/* ---- while it is read ---- */

static void scribble(void *arg)
{
    const int *stop = arg;
    unsigned seed = 4711;
    uint64_t *map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    REQUIRE(map != MAP_FAILED);
    for (unsigned i = 0; !said(stop); i++) {
        /* Mostly into the parts that lead somewhere, and mended again, so that readers come far. */
        const struct row *row = &rows[(size_t)rand_r(&seed) % LENGTH(rows)];
        uint64_t at_word =
            i % 4 ? (part_offsets[row->part] + row->offset) / 8 : (uint64_t)rand_r(&seed) % (FILE_BYTES / 8);
        uint64_t values[] = { 0,
                              1,
                              UINT64_MAX,
                              (uint64_t)rand_r(&seed),
                              (uint64_t)rand_r(&seed) % FILE_BYTES / 128 * 128,
                              UINT64_C(1) << (rand_r(&seed) % 64) };

        __atomic_store_n(&map[at_word], values[(unsigned)rand_r(&seed) % LENGTH(values)], __ATOMIC_RELAXED);
        for (int k = rand_r(&seed) % 2000; k > 0; k--)
            __asm__ __volatile__("");
        if (i % 8)
            memcpy(&map[at_word], at(at_word * 8), 8);
        if (i % 64 == 0)
            memcpy(map, sound, FILE_BYTES);
    }
}

static size_t memory_in_use(void)
{
#if SANITIZED
    return 0;
#else
    struct mallinfo2 now = mallinfo2();

    return now.uordblks + now.hblkhd;
#endif
}

Test(damage, while_it_is_read_is_survived, .timeout = 30)
{
    int *stop = shared_memory(sizeof(*stop));
    pid_t child = start_child(scribble, stop);
    uint64_t start = vmt_clock_ns();
    size_t before = memory_in_use();
    int answers[128] = { 0 };
    char why[256];

    for (int i = 0; vmt_clock_ns() - start < 2000000000U; i++) {
        struct vmt_reader_options options = { .struct_size = sizeof(options),
                                              .mode = i & 1 ? VMT_READ_GUARDED : VMT_READ_COPY };
        struct vmt_reader *reader = NULL;
        struct vmt_snapshot *snapshot;

        if (vmt_reader_open(path, &options, &reader) < 0)
            continue;
        snapshot = new_snapshot();
        vmt_snapshot_want_shards(snapshot, i & 2);
        for (int k = 0; k < 20; k++) {
            uint64_t begin = vmt_clock_ns();
            int r = vmt_snapshot_take(snapshot, reader);

            ENSURE(letter(r) != '?', "%s", strerror(-r));
            answers[(unsigned char)letter(r)]++;
            use(snapshot, reader);
            ENSURE(vmt_clock_ns() - begin < 5000000000U, "it took too long");
            ENSURE(memory_in_use() < before + (32U << 20), "memory grew to %zu", memory_in_use());
        }
        vmt_snapshot_free(snapshot);
        vmt_reader_close(reader);
        vmt_check(path, why, sizeof(why));
        vmt_remove_dead(path, 1);
    }
    say(stop, 1);
    cr_assert_eq(end_of(child), 0);
    cr_assert(answers['F'] && answers['P'] && answers['D'], "whole %d, partial %d, damaged %d: too little was tried",
              answers['F'], answers['P'], answers['D']);
}
