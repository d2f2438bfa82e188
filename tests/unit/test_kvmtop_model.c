/* SPDX-License-Identifier: MIT */
/* The rows of the overview: the tree, its order, what is folded, opened and filtered. */
#include "top.h"

#include <errno.h>
#include <unistd.h>

TestSuite(model, .init = test_dir_init, .fini = test_dir_fini);

/* The rows again, with other options. */
static const char *rows_now(struct host *h)
{
    cr_assert_eq(model_build(&h->model, h->history, &h->options), 0);
    return rows(h);
}

static size_t column(const char *name)
{
    long i = column_find(name);

    cr_assert_geq(i, 0, "%s", name);
    return (size_t)i;
}

/* Two VMs: "db" with a disk and vCPUs, "web" with vCPUs only; 10 is the busiest. */
struct two {
    struct vmt_segment *web, *db;
    struct vmt_source *vcpu[4]; /* web's 2 and 10, db's 0 and 1 */
    struct vmt_source *disk;
};

static void two_start(struct two *t)
{
    struct vmt_source *vm;

    t->web = start("web");
    vm = add(t->web, &vmt_schema_vm, NULL, "vm");
    t->vcpu[1] = add(t->web, &vmt_schema_vcpu, vm, "vcpu-10");
    t->vcpu[0] = add(t->web, &vmt_schema_vcpu, vm, "vcpu-2");
    t->db = start("db");
    t->vcpu[2] = add(t->db, &vmt_schema_vcpu, NULL, "vcpu-0");
    t->vcpu[3] = add(t->db, &vmt_schema_vcpu, NULL, "vcpu-1");
    t->disk = add(t->db, &vmt_schema_block, NULL, "disk");
}

static void two_count(struct two *t)
{
    static const uint64_t exits[] = { 100, 5000, 300, 200 };

    for (int i = 0; i < 4; i++)
        vmt_count(t->vcpu[i], VMT_VCPU_EXITS, exits[i]);
    vmt_count(t->disk, VMT_BLOCK_READ_BYTES, 1 << 20);
}

static void two_stop(struct two *t)
{
    vmt_segment_close(t->web);
    vmt_segment_close(t->db);
}

Test(model, names_are_in_the_order_of_people)
{
    static const char *const names[] = { "", "a", "a0", "a00", "a1", "a01", "a2", "a10", "a10b", "a11", "b" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            int c = model_compare_names(names[i], names[k]);

            if (i == k)
                cr_expect_eq(c, 0);
            else if (strcmp(names[i], "a1") && strcmp(names[i], "a01") && strcmp(names[i], "a0") &&
                     strcmp(names[i], "a00")) /* equal as numbers: any order, but one */
                cr_expect_eq(c < 0, i < k, "%s %s", names[i], names[k]);
            cr_expect_eq(c<0, model_compare_names(names[k], names[i])> 0, "%s %s", names[i], names[k]);
        }
    }
}

Test(model, rows_are_a_tree_with_siblings_in_order)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *vm = add(segment, &vmt_schema_vm, NULL, "vm");
    struct host h;

    add(segment, &vmt_schema_vcpu, vm, "vcpu-10");
    add(segment, &vmt_schema_block, NULL, "disk");
    add(segment, &vmt_schema_vcpu, vm, "vcpu-2");
    host_init(&h);
    host_take(&h);
    cr_assert_eq(h.model.count, 5);
    cr_expect_eq(row(&h, 0, "web")->depth, 0);
    cr_expect_eq(row(&h, 0, "web")->children, 2);
    cr_expect_eq(row(&h, 0, "web")->facts.pid, (uint32_t)getpid());
    cr_expect_eq(row(&h, 0, "web")->facts.measures.vcpus, 2);
    cr_expect_eq(row(&h, 1, "disk")->depth, 1);
    cr_expect_eq(row(&h, 1, "disk")->below, 2, "a sibling follows");
    cr_expect_eq(row(&h, 2, "vm")->below, 0);
    cr_expect_eq(row(&h, 3, "vcpu-2")->depth, 2);
    cr_expect_eq(row(&h, 3, "vcpu-2")->below, 4);
    cr_expect_eq(row(&h, 4, "vcpu-10")->below, 0);
    cr_expect_str_eq(row(&h, 4, "vcpu-10")->facts.id, "vm/vcpu-10");
    host_free(&h);
    vmt_segment_close(segment);
}

Test(model, siblings_are_sorted_by_the_column_and_the_tree_stays)
{
    static const struct {
        const char *column;
        int inverted;
        const char *rows;
    } table[] = {
        { "name", 0, "db disk vcpu-0 vcpu-1 web vm vcpu-2 vcpu-10" },
        { "name", 1, "web vm vcpu-10 vcpu-2 db vcpu-1 vcpu-0 disk" },
        { "exits", 0, "web vm vcpu-10 vcpu-2 db vcpu-0 vcpu-1 disk" },
        { "exits", 1, "db vcpu-1 vcpu-0 disk web vm vcpu-2 vcpu-10" }, /* what has none is last, both ways */
        { "bytes", 0, "db disk vcpu-0 vcpu-1 web vm vcpu-2 vcpu-10" },
        { "bytes", 1, "db disk vcpu-0 vcpu-1 web vm vcpu-2 vcpu-10" },
        { "state", 0, "db disk vcpu-0 vcpu-1 web vm vcpu-2 vcpu-10" },
        { "trend", 0, "db disk vcpu-0 vcpu-1 web vm vcpu-2 vcpu-10" },
    };
    struct two t;
    struct host h;

    two_start(&t);
    host_init(&h);
    host_take(&h);
    two_count(&t);
    host_take(&h);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        h.options.sort = column(table[i].column);
        h.options.inverted = table[i].inverted;
        cr_expect_str_eq(rows_now(&h), table[i].rows, "%s%s: %s", table[i].inverted ? "-" : "", table[i].column,
                         rows(&h));
    }
    host_free(&h);
    two_stop(&t);
}

Test(model, a_filter_hides_rows_says_how_many_and_changes_no_number)
{
    static const struct {
        const char *filter;
        const char *rows;
    } table[] = {
        { "vcpu-1", "db vcpu-1 web vm vcpu-10" }, /* with what is above */
        { "web", "web vm vcpu-2 vcpu-10" },       /* with what is below */
        { "DISK|vcpu-2", "db disk web vm vcpu-2" },
        { "/vcpu-.$/", "db vcpu-0 vcpu-1 web vm vcpu-2" },
        { "/^vcpu-2$/", "web vm vcpu-2" }, /* by the name that is seen, and by the whole id: */
        { "vm/vcpu-2", "web vm vcpu-2" },
        { "/^vm$/", "web vm vcpu-2 vcpu-10" },
        { "no such", "" },
    };
    struct two t;
    struct host h;
    double exits, bytes;
    size_t all;

    two_start(&t);
    host_init(&h);
    host_take(&h);
    two_count(&t);
    host_take(&h);
    all = h.model.count;
    exits = h.model.total.exits;
    bytes = row(&h, 0, "db")->facts.measures.bytes;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct filter *filter = NULL;
        char why[100];

        cr_assert_eq(filter_new(table[i].filter, &filter, why, sizeof(why)), 0);
        h.options.filter = filter;
        cr_expect_str_eq(rows_now(&h), table[i].rows, "%s: %s", table[i].filter, rows(&h));
        cr_expect_eq(h.model.hidden, all - h.model.count);
        cr_expect_eq(h.model.vms, 2);
        cr_expect_eq(h.model.total.exits, exits);
        if (h.model.count && !strcmp(h.model.rows[0].facts.name, "db"))
            cr_expect_eq(h.model.rows[0].facts.measures.bytes, bytes);
        filter_free(filter);
    }
    host_free(&h);
    two_stop(&t);
}

Test(model, folding_hides_what_is_below_and_changes_no_number)
{
    struct two t;
    struct host h;
    struct keys folded = { 0 };
    double exits;

    two_start(&t);
    host_init(&h);
    host_take(&h);
    two_count(&t);
    host_take(&h);
    exits = row(&h, 4, "web")->facts.measures.exits;
    cr_assert_eq(keys_set(&folded, row(&h, 4, "web")->facts.key, 1), 0);
    h.options.folded = &folded;
    cr_expect_str_eq(rows_now(&h), "db disk vcpu-0 vcpu-1 web");
    cr_expect(row(&h, 4, "web")->folded);
    cr_expect_eq(row(&h, 4, "web")->children, 1);
    cr_expect_eq(row(&h, 4, "web")->facts.measures.exits, exits);
    cr_expect_eq(h.model.hidden, 0, "a filter hides, folds do not");
    cr_assert_eq(keys_set(&folded, row(&h, 4, "web")->facts.key, 0), 0);
    cr_expect_str_eq(rows_now(&h), "db disk vcpu-0 vcpu-1 web vm vcpu-2 vcpu-10");
    keys_free(&folded);
    host_free(&h);
    two_stop(&t);
}

Test(model, an_opened_source_has_a_row_for_each_shard)
{
    struct vmt_segment *segment = start("web");
    struct vmt_source *disk = add(segment, &vmt_schema_block, NULL, "disk");
    struct vmt_shard *mine = vmt_shard_acquire(disk);
    struct vmt_shard *given = vmt_shard_acquire(disk);
    struct keys opened = { 0 };
    struct host h;
    char thread[32];
    uint64_t id;

    vmt_count(disk, VMT_BLOCK_READ_COUNT, 1);
    vmt_shard_release(given);
    host_init(&h);
    host_take(&h);
    id = sampler_set(h.sampler)->vms[0].id;
    cr_assert_eq(sampler_focus(h.sampler, &id, 1), 0);
    cr_assert_eq(keys_set(&opened, row(&h, 1, "disk")->facts.key, 1), 0);
    h.options.opened = &opened;
    host_take(&h);
    host_take(&h);
    vmt_add(mine, VMT_BLOCK_READ_COUNT, 1000);
    host_take(&h);
    snprintf(thread, sizeof(thread), "thread %d", gettid());
    cr_assert_eq(h.model.count, 5, "%s", rows(&h));
    cr_expect_not_null(strstr(rows(&h), thread), "%s", rows(&h));
    cr_expect_not_null(strstr(rows(&h), "shared"), "%s", rows(&h));
    cr_expect_not_null(strstr(rows(&h), "free"), "%s", rows(&h));
    for (size_t i = 2; i < 5; i++) {
        const struct model_row *r = &h.model.rows[i];

        cr_expect_eq(r->depth, 2);
        if (!strcmp(r->facts.name, thread)) {
            cr_expect_gt(r->facts.measures.ops, 0);
            cr_expect_eq(r->facts.pid, (uint32_t)gettid());
        } else {
            cr_expect_not(r->facts.measures.ops > 0, "%s", r->facts.name);
        }
    }
    keys_free(&opened);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(model, states_are_counted_and_a_bad_file_is_a_row)
{
    struct vmt_segment *segment = start("good");
    struct host h;
    FILE *f = fopen(test_path("bad.vmt"), "w");

    cr_assert_not_null(f);
    fputs("this is no segment, and longer than nothing at all", f);
    fclose(f);
    host_init(&h);
    host_take(&h);
    host_take(&h);
    cr_assert_eq(h.model.count, 2);
    cr_expect_str_eq(row(&h, 0, "bad")->facts.state, "not a segment");
    cr_expect_not(row(&h, 0, "bad")->facts.running);
    cr_expect_str_eq(row(&h, 1, "good")->facts.state, "live");
    cr_expect_eq(h.model.vms, 2);
    cr_expect_eq(h.model.states[VMT_STATE_LIVE], 1);
    cr_expect_eq(h.model.unreadable, 1);
    vmt_segment_close(segment);
    host_take(&h);
    cr_expect_str_eq(row(&h, 1, "good")->facts.state, "closed");
    cr_expect_eq(h.model.states[VMT_STATE_CLOSED], 1);
    host_free(&h);
}

Test(model, what_was_dropped_is_marked_and_counted)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "web", .max_sources = 2 };
    struct vmt_segment *segment = NULL;
    struct vmt_source *none = NULL;
    struct host h;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    host_init(&h);
    host_take(&h);
    cr_expect_str_eq(row(&h, 0, "web")->facts.note, "");
    cr_expect_eq(vmt_source_add(segment, &vmt_schema_vcpu, NULL, "vcpu-1", &none), -ENFILE);
    vmt_shard_release(vmt_shard_acquire(NULL)); /* nobody's: not this segment's loss */
    host_take(&h);
    cr_expect_str_eq(row(&h, 0, "web")->facts.note, "dropped");
    cr_expect_eq(h.model.dropping, 1);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(model, nothing_is_no_row)
{
    struct host h;

    host_init(&h);
    host_take(&h);
    cr_expect_eq(h.model.count, 0);
    cr_expect(isnan(h.model.total.exits));
    host_free(&h);
}
