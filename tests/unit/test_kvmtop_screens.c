/* SPDX-License-Identifier: MIT */
/* What kvmtop draws, compared with whole screens (gallery.h). */
#include "gallery.h"
#include "kernel_host.h"

TestSuite(screens, .init = test_dir_init, .fini = test_dir_fini);

/* ---- screens ---- */

Test(screens, the_overview_is_as_it_was)
{
    struct world w;

    world_start(&w);
    beats(&w, BEATS);
    by(&w, "exits");
    check(&w, "overview");
    world_end(&w);
}

Test(screens, a_filter_is_shown_while_it_is_typed_and_after)
{
    struct world w;

    world_start(&w);
    beats(&w, BEATS);
    look(&w, 24, 80);
    press_all(&w, "/disk|net");
    check_size(&w, "prompt", 24, 80, 1);
    press_all(&w, "|/(");
    press_all(&w, "\025/(");
    check_size(&w, "prompt-wrong", 24, 80, 1);
    press_all(&w, "\025disk|net\n");
    check_size(&w, "filtered", 24, 80, 0);
    world_end(&w);
}

Test(screens, what_was_is_shown_as_paused)
{
    struct world w;

    world_start(&w);
    beats(&w, BEATS);
    look(&w, 24, 80);
    press(&w, KEY_SHIFT_LEFT_);
    press(&w, KEY_RIGHT_);
    beats(&w, 5);
    check_size(&w, "paused", 24, 80, 0);
    world_end(&w);
}

Test(screens, shards_are_rows_with_their_threads)
{
    struct world w;

    world_start(&w);
    beats(&w, 5);
    look(&w, 24, 80);
    go_to(&w, "db-1", "vcpu-2");
    press(&w, 't');
    beats(&w, 5);
    check_size(&w, "shards", 24, 80, 0);
    world_end(&w);
}

Test(screens, the_choosers_are_as_they_were)
{
    struct world w;

    world_start(&w);
    beats(&w, BEATS);
    look(&w, 24, 80);
    press(&w, 's');
    check(&w, "sort");
    press(&w, KEY_ESCAPE_);
    press(&w, 'c');
    press(&w, KEY_DOWN_);
    press(&w, ' ');
    check_size(&w, "columns", 24, 80, 1);
    check_size(&w, "columns", 40, 120, 0);
    world_end(&w);
}

Test(screens, the_help_is_as_it_was)
{
    struct world w;

    world_start(&w);
    beats(&w, BEATS);
    look(&w, 24, 80);
    press(&w, '?');
    check(&w, "help");
    look(&w, 24, 80);
    press(&w, KEY_END_);
    check_size(&w, "help-end", 24, 80, 1);
    world_end(&w);
}

Test(screens, no_vms_are_said_to_be_looked_for)
{
    struct world w;

    world_start(&w);
    for (int i = 0; i < VMS; i++) {
        vmt_segment_close(w.vms[i]);
        w.vms[i] = NULL;
    }
    sampler_free(w.host.sampler);
    cr_assert_eq(mkdir("empty", 0700), 0);
    cr_assert_eq(sampler_new(NULL, "empty", NULL, 0, &w.host.sampler), 0);
    beat(&w);
    check_size(&w, "nothing", 24, 80, 1);
    world_end(&w);
}

Test(screens, the_detail_of_a_device_is_as_it_was)
{
    struct world w;

    world_start(&w);
    beats(&w, 5);
    look(&w, 24, 80);
    go_to(&w, "db-1", "disk0");
    press(&w, KEY_ENTER_);
    beats(&w, BEATS);
    look(&w, 24, 80);
    go_to_line(&w, "read_bytes");
    check(&w, "detail");
    world_end(&w);
}

Test(screens, the_shards_of_a_statistic_are_as_they_were)
{
    struct world w;

    world_start(&w);
    beats(&w, 5);
    look(&w, 24, 80);
    go_to(&w, "web-1", "vcpu-1");
    press(&w, KEY_ENTER_);
    beats(&w, BEATS);
    look(&w, 24, 80);
    go_to_line(&w, "exits");
    press(&w, KEY_TAB_);
    check_size(&w, "detail-shards", 24, 80, 1);
    check_size(&w, "detail-shards", 40, 120, 0);
    world_end(&w);
}

Test(screens, a_histogram_is_drawn_as_bars_as_a_heat_map_and_beside_another_one)
{
    struct world w;

    world_start(&w);
    beats(&w, 5);
    look(&w, 24, 80);
    go_to(&w, "db-1", "vcpu-0");
    press(&w, KEY_ENTER_);
    beats(&w, BEATS);
    look(&w, 24, 80);
    while (!w.view.line_histogram)
        press(&w, KEY_DOWN_);
    press(&w, KEY_ENTER_);
    check(&w, "histogram");
    look(&w, 24, 80);
    press(&w, KEY_TAB_);
    check(&w, "heat");
    look(&w, 24, 80);
    press(&w, KEY_TAB_);
    press_all(&w, "\033\033");
    go_to(&w, "db-1", "vcpu-3");
    press(&w, 'C');
    go_to(&w, "db-1", "vcpu-0");
    press(&w, KEY_ENTER_);
    beats(&w, 3);
    look(&w, 24, 80);
    while (!w.view.line_histogram)
        press(&w, KEY_DOWN_);
    press(&w, KEY_ENTER_);
    check(&w, "compared");
    world_end(&w);
}

Test(screens, what_the_kernel_counts_stands_beside_what_the_vmm_does)
{
    struct world w;

    world_start(&w);
    add_kernel(&w);
    beats(&w, 5);
    by(&w, "exits");
    look(&w, 24, 80);
    go_to(&w, "web-1", "vcpu-0");
    press(&w, KEY_ENTER_);
    beats(&w, BEATS);
    check_size(&w, "kernel-detail", 60, 200, 0);
    look(&w, 24, 80);
    while (strcmp(w.detail.lines[w.view.line].name, "halt_wait_hist") != 0)
        press(&w, KEY_DOWN_);
    check(&w, "kernel-detail-end");
    press(&w, KEY_ENTER_);
    check_size(&w, "kernel-histogram", 24, 80, 0);
    press_all(&w, "\033\033");
    check(&w, "kernel-overview");
    world_end(&w);
}

/* Two processes without a segment: one has statistics fds open, debugfs has the other one. */
static void outside_beats(struct world *w, struct vmt_host *kernel, unsigned count)
{
    const uint64_t start = (NOON_NS / 2 / SECOND_NS - 7384) * (uint64_t)sysconf(_SC_CLK_TCK);
    static struct made made[] = {
        { .pid = 5511, .name = "guest-7", .uid = 64055, .vcpus = 2 },
        { .pid = 5611, .name = "plain", .vcpus = 3, .debugfs = 1 },
    };

    for (unsigned i = 0; i < count; i++) {
        made[0].exits[0] += 1200 + 40 * (w->beats % 7);
        made[0].exits[1] += 300 + 100 * (w->beats % 5);
        made[0].halt_waits[0] += 90;
        made[1].exits[0] += 5000 + 200 * (w->beats % 3);
        made[1].pages = 4096;
        made[0].start = made[1].start = start;
        work(w);
        made_look(kernel, made, 2);
        beat(w);
    }
}

Test(screens, vms_that_only_the_kernel_counts_stand_beside_the_others)
{
    struct vmt_host *kernel = made_host();
    struct world w;

    world_start(&w);
    sampler_free(w.host.sampler);
    cr_assert_eq(sampler_new(kernel, NULL, NULL, 0, &w.host.sampler), 0);
    w.view.kernel = "kernel counters of plain: what can't be read, and what to do about it";
    outside_beats(&w, kernel, BEATS);
    by(&w, "exits");
    check(&w, "outside-overview");
    look(&w, 24, 80);
    go_to(&w, "plain", "vm");
    press(&w, KEY_ENTER_);
    outside_beats(&w, kernel, 5);
    check_size(&w, "outside-detail", 24, 80, 1);
    check_size(&w, "outside-detail", 40, 120, 0);
    press_all(&w, "\033");
    go_to(&w, "guest-7 (uid 64055)", "guest-7 (uid 64055)");
    press(&w, KEY_ENTER_);
    outside_beats(&w, kernel, 5);
    check_size(&w, "outside-vm", 40, 120, 0);
    press(&w, '?');
    press(&w, KEY_END_);
    check_size(&w, "outside-help-end", 24, 80, 0);
    world_end(&w);
    vmt_host_free(kernel);
}
