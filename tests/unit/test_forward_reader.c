/* SPDX-License-Identifier: MIT */
/* vmtally forward up to the channel: tags, endpoints, secrets, and chunks that are handed over to a sender that takes them
 * or does not. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vmtally/recorded.h>
#include <vmtally/schemas.h>

#include "cli/channel.h"
#include "cli/forward/endpoint.h"
#include "cli/forward/forward.h"
#include "cli/forward/handover.h"
#include "cli/names.h"
#include "cli/forward/tag.h"
#include "shm/clock.h"

/* ---- tags ---- */

static struct vmt_recorded *recorded;
static struct vmt_snapshot *snapshot;

static void make_snapshot(void)
{
    static const char *const labels[] = { "rack=r 7/ü.x", "empty=", "rack=8", NULL };
    static uint64_t values[4096];
    struct vmt_segment_info info = { .path = "/x", .name = "web-1", .labels = labels, .realtime_ns = 1 };
    struct vmt_sample samples[] = {
        { .id = "", .values = values, .generation = 2, .parent = UINT32_MAX },
        { .id = "a.b", .values = values, .generation = 2, .entry = 1 },
        { .id = "a.b/vcpu-0", .values = values, .generation = 2, .entry = 2, .parent = 1 },
    };

    cr_assert_eq(vmt_recorded_new(&recorded), 0);
    cr_assert_eq(vmt_snapshot_new(&snapshot), 0);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(vmt_recorded_schema(recorded, i == 2 ? &vmt_schema_vcpu : &vmt_schema_vm, &samples[i].schema), 0);
    cr_assert_eq(vmt_snapshot_rebuild(snapshot, recorded, &info, samples, 3), 0);
}

static void forget_snapshot(void)
{
    vmt_snapshot_free(snapshot);
    vmt_recorded_free(recorded);
}

TestSuite(forward_tag, .init = make_snapshot, .fini = forget_snapshot);

static void assert_tag(const char *template, size_t i, const char *expected)
{
    char why[256], tag[TAG_SIZE];
    size_t size;

    cr_assert_eq(tag_check(template, why, sizeof(why)), 0, "%s", why);
    size = tag_make(template, "web 1", snapshot, i, vmt_snapshot_source(snapshot, i)->schema, tag, sizeof(tag));
    cr_assert_str_eq(tag, expected);
    cr_assert_eq(size, strlen(expected));
}

Test(forward_tag, values_stand_for_placeholders_and_add_no_parts)
{
    assert_tag("plain.tag_1-x", 0, "plain.tag_1-x");
    assert_tag(TAG_DEFAULT, 2, "vmtally.vcpu");
    assert_tag("{vm}.{target}.{provider}", 1, "web_1.vm.vmm");
    assert_tag("x.{label:rack}", 1, "x.r_7___x");
    assert_tag("x.{label:empty}.{label:none}", 1, "x.none.none");
}

Test(forward_tag, none_is_that_of_what_the_forwarder_says_of_itself)
{
    static const char *const labels[] = { "role=forward", NULL };
    const struct vmt_segment_info info = { .path = "/x", .name = "x", .labels = labels, .realtime_ns = 1 };
    static uint64_t values[4096];
    struct vmt_sample sample = { .id = "", .values = values, .generation = 2, .parent = UINT32_MAX };

    assert_tag("vmtally.forward", 0, "vmtally.forward_");
    assert_tag("vmtally.forwarder", 0, "vmtally.forwarder");
    assert_tag("vmtally.forwar", 0, "vmtally.forwar");
    cr_assert_eq(vmt_recorded_schema(recorded, &vmt_schema_vm, &sample.schema), 0);
    cr_assert_eq(vmt_snapshot_rebuild(snapshot, recorded, &info, &sample, 1), 0);
    assert_tag("vmtally.{label:role}", 0, "vmtally.forward_");
    assert_tag("x.{label:role}", 0, "x.forward");
}

Test(forward_tag, a_source_is_a_part_for_each_of_its_ancestors)
{
    assert_tag("v.{source}", 0, "v.segment");
    assert_tag("v.{source}", 2, "v.a_b.vcpu-0");
}

Test(forward_tag, one_that_is_too_long_is_cut)
{
    char template[600] = "", expected[TAG_SIZE];

    memset(template, 'a', sizeof(template) - 1);
    memset(expected, 'a', sizeof(expected) - 1);
    expected[sizeof(expected) - 1] = '\0';
    assert_tag(template, 0, expected);
}

Test(forward_tag, a_template_that_is_wrong_is_refused_with_the_reason)
{
    static const struct {
        const char *template;
        const char *why;
    } wrong[] = {
        { "", "not empty" },
        { "a.{vm", "without its '}'" },
        { "{}", "there is no {}" },
        { "{targte}", "did you mean target" },
        { "{label:}", "there is no {label:}" },
        { "a b", "not ' b'" },
        { "a}", "not '}'" },
        { "{nonsense}", "{label:KEY}" },
    };
    char why[256];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_eq(tag_check(wrong[i].template, why, sizeof(why)), -1, "%s", wrong[i].template);
        cr_assert_not_null(strstr(why, wrong[i].why), "%s: %s", wrong[i].template, why);
    }
}

/* ---- names ---- */

Test(forward_names, no_two_vms_of_a_sample_share_one)
{
    static const char *const titles[] = { "a", "b", "a", "a~2", "a", "b" };
    static const char *const expected[] = { "a", "b", "a~2", "a~2~2", "a~3", "b~2" };
    struct names names = { 0 };
    char name[NAME_SIZE], title[32];

    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
            cr_assert_eq(names_add(&names, titles[i], name), 0);
            cr_assert_str_eq(name, expected[i]);
        }
        for (unsigned i = 0; i < 10000; i++) {
            snprintf(title, sizeof(title), "vm-%u", i);
            cr_assert_eq(names_add(&names, title, name), 0);
            cr_assert_str_eq(name, title);
        }
        names_clear(&names);
    }
    names_free(&names);
}

Test(forward_names, one_that_is_too_long_is_cut_and_still_its_own)
{
    struct names names = { 0 };
    char title[1000], one[NAME_SIZE], other[NAME_SIZE];

    memset(title, 'x', sizeof(title) - 1);
    title[sizeof(title) - 1] = '\0';
    cr_assert_eq(names_add(&names, title, one), 0);
    cr_assert_eq(names_add(&names, title, other), 0);
    cr_assert_str_neq(one, other);
    names_free(&names);
}

/* ---- endpoints ---- */

Test(forward_endpoint, host_port_and_tls)
{
    static const struct {
        const char *text;
        const char *host;
        const char *port;
        int tls;
    } good[] = {
        { "collector", "collector", "24224", 0 },
        { "collector:1", "collector", "1", 0 },
        { "10.0.0.1:65535", "10.0.0.1", "65535", 0 },
        { "[::1]:24225", "::1", "24225", 0 },
        { "[fe80::1%eth0]", "fe80::1%eth0", "24224", 0 },
        { "tls://c.example:5", "c.example", "5", 1 },
        { "tls://[::1]", "::1", "24224", 1 },
        { "tcp://c:7", "c", "7", 0 },
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct endpoint e = { 0 };
        int tls = 0;
        char why[256] = "";

        cr_assert_eq(endpoint_parse(good[i].text, &e, &tls, why, sizeof(why)), 0, "%s: %s", good[i].text, why);
        cr_assert_str_eq(e.host, good[i].host);
        cr_assert_str_eq(e.port, good[i].port);
        cr_assert_str_eq(e.text, good[i].text);
        cr_assert_eq(tls, good[i].tls);
        cr_assert_null(e.path);
        endpoint_free(&e);
    }
}

Test(forward_endpoint, unix_sockets)
{
    struct endpoint e = { 0 };
    char why[256], path[200] = "unix:";
    int tls = 0;

    cr_assert_eq(endpoint_parse("unix:/run/x.sock", &e, &tls, why, sizeof(why)), 0);
    cr_assert_str_eq(e.path, "/run/x.sock");
    cr_assert_null(e.host);
    memset(path + 5, 'a', 107);
    cr_assert_eq(endpoint_parse(path, &e, &tls, why, sizeof(why)), 0);
    path[5 + 107] = 'a';
    cr_assert_eq(endpoint_parse(path, &e, &tls, why, sizeof(why)), -1);
    cr_assert_not_null(strstr(why, "107"));
}

Test(forward_endpoint, what_is_wrong_is_said_and_nothing_is_changed)
{
    static const struct {
        const char *text;
        const char *why;
    } wrong[] = {
        { "", "which host" },
        { ":24224", "which host" },
        { "c:0", "1 to 65535" },
        { "c:65536", "1 to 65535" },
        { "c:", "1 to 65535" },
        { "c:fluent", "1 to 65535" },
        { "::1", "in brackets" },
        { "[::1", "[ADDRESS]:PORT" },
        { "[::1]24224", "[ADDRESS]:PORT" },
        { "[]:1", "which host" },
        { "http://c:1", "unix:PATH" },
        { "c:1/path", "unix:PATH" },
        { "unix:", "path of a socket" },
        { "tls://", "which host" },
        { "c:-1", "1 to 65535" },
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct endpoint e = { .text = "before" };
        char why[256] = "";
        int tls = 7;

        cr_assert_eq(endpoint_parse(wrong[i].text, &e, &tls, why, sizeof(why)), -1, "%s", wrong[i].text);
        cr_assert_not_null(strstr(why, wrong[i].why), "%s: %s", wrong[i].text, why);
        cr_assert(strcmp(e.text, "before") == 0 && !e.host && !e.port && tls == 7);
    }
}

/* ---- secrets ---- */

static char secret_path[] = "/tmp/vmtally-test-XXXXXX";

static void write_secret(const void *data, size_t size)
{
    int fd = mkstemp(secret_path);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, data, size), (ssize_t)size);
    close(fd);
}

static void remove_secret(void) { unlink(secret_path); }

TestSuite(forward_secret, .fini = remove_secret);

Test(forward_secret, is_the_first_line_whatever_it_ends_with)
{
    char *secret = NULL;

    write_secret("key with space \r\nsecond\n", 24);
    cr_assert_eq(forward_secret(secret_path, &secret), 0);
    cr_assert_str_eq(secret, "key with space ");
    free(secret);
}

Test(forward_secret, needs_no_end_of_line)
{
    char *secret = NULL;

    write_secret("k", 1);
    cr_assert_eq(forward_secret(secret_path, &secret), 0);
    cr_assert_str_eq(secret, "k");
    free(secret);
}

Test(forward_secret, that_is_none_is_an_error_and_nothing_is_changed)
{
    char before[] = "", *secret = before, long_line[5000];
    char missing[] = "/tmp/vmtally-test-missing";

    memset(long_line, 'x', sizeof(long_line));
    cr_assert_eq(forward_secret(missing, &secret), -1);
    cr_assert_eq(forward_secret("/tmp", &secret), -1);
    write_secret("\nx\n", 3);
    cr_assert_eq(forward_secret(secret_path, &secret), -1);
    cr_assert_eq(truncate(secret_path, 0), 0);
    cr_assert_eq(forward_secret(secret_path, &secret), -1);
    remove_secret();
    strcpy(strrchr(secret_path, '-') + 1, "XXXXXX");
    write_secret(long_line, sizeof(long_line));
    cr_assert_eq(forward_secret(secret_path, &secret), -1);
    cr_assert_eq(secret, before);
}

/* ---- hand-over ---- */

static int ends[2];
static struct handover handover;
static struct forward_sample counts;
static struct vmt_buffer message;
static char entry[CHUNK_MOST + 1];

static void connect_ends(void)
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    memset(&counts, 0, sizeof(counts));
    signal(SIGPIPE, SIG_IGN); /* as channel_start() does */
    handover_init(&handover, ends[0], &counts);
    handover_begin(&handover, 0);
}

static void disconnect(void)
{
    handover_free(&handover);
    vmt_buffer_free(&message);
    close(ends[0]);
    if (ends[1] >= 0)
        close(ends[1]);
}

TestSuite(forward_handover, .init = connect_ends, .fini = disconnect);

static void add(const char *tag, size_t size)
{
    cr_assert_eq(handover_add(&handover, tag, strlen(tag), entry, size), 0);
}

/* The next chunk, of tag (NULL: of any), while the other end goes on sending: its head. */
static struct chunk_head receive(const char *tag)
{
    struct chunk_head head;
    uint32_t kind = 0;
    int r;

    /* Both ends are this thread's: a message that does not fit into the socket at once goes in turns. */
    struct vmt_buffer all = { 0 };
    size_t need = 16;
    char part[65536];

    while (all.size < need) {
        ssize_t n;

        cr_assert_eq(handover_until(&handover, 1), 0);
        n = read(ends[1], part, need - all.size < sizeof(part) ? need - all.size : sizeof(part));
        cr_assert_gt(n, 0, "nothing is there: %zu of %zu", all.size, need);
        all.data = realloc(all.data, all.size + (size_t)n);
        memcpy(all.data + all.size, part, (size_t)n);
        all.size += (size_t)n;
        if (need == 16 && all.size == 16) {
            memcpy(&kind, all.data + 4, sizeof(kind));
            memcpy(&r, all.data + 8, sizeof(r));
            need += (size_t)r;
        }
    }
    cr_assert_eq(kind, FORWARD_CHUNK);
    memcpy(&head, all.data + 16, sizeof(head));
    if (tag) {
        cr_assert_eq(head.tag_size, strlen(tag));
        cr_assert_arr_eq(all.data + 16 + sizeof(head), tag, head.tag_size);
    }
    message.size = all.size - 16 - sizeof(head) - head.tag_size;
    free(all.data);
    return head;
}

Test(forward_handover, entries_of_one_tag_are_one_chunk)
{
    struct chunk_head head;

    add("a", 10);
    add("b", 20);
    add("a", 30);
    cr_assert_eq(handover_flush(&handover), 0);
    head = receive("a");
    cr_assert(head.entries == 2 && message.size == 40);
    head = receive("b");
    cr_assert(head.entries == 1 && message.size == 20);
    cr_assert(counts.records == 3 && counts.bytes == 60 && counts.records_not_handed == 0);
}

Test(forward_handover, a_chunk_ends_before_the_entry_that_is_too_much)
{
    add("a", CHUNK_BYTES - 10);
    add("a", 10);
    add("a", 1);
    cr_assert_eq(receive("a").entries, 2);
    cr_assert_eq(message.size, CHUNK_BYTES);
    cr_assert_eq(handover_flush(&handover), 0);
    cr_assert_eq(receive("a").entries, 1);
}

Test(forward_handover, an_entry_that_fits_in_no_chunk_is_counted)
{
    add("a", CHUNK_MOST - sizeof(struct chunk_head) - 1);
    cr_assert_eq(handover_flush(&handover), 0);
    cr_assert_eq(receive("a").entries, 1);
    add("a", CHUNK_MOST - sizeof(struct chunk_head));
    cr_assert_eq(handover_flush(&handover), 0);
    cr_assert(counts.records == 2 && counts.records_not_handed == 1);
}

Test(forward_handover, however_many_tags_there_are_few_chunks_are_open)
{
    for (unsigned i = 0; i < 5000; i++) {
        char tag[32];

        snprintf(tag, sizeof(tag), "vm-%u", i);
        add(tag, 2000);
        cr_assert_leq(handover.open_count, HANDOVER_OPEN);
        if (i >= HANDOVER_OPEN) {
            snprintf(tag, sizeof(tag), "vm-%u", i - HANDOVER_OPEN); /* the one that was added to first */
            cr_assert_eq(receive(tag).entries, 1);
        }
    }
    cr_assert_eq(counts.records_not_handed, 0);
}

/* What it holds of memory for chunks, complete or not. */
static size_t held(void)
{
    cr_assert_leq(handover.open_bytes, (5U << 20));
    return handover.open_bytes + handover.ready_bytes;
}

Test(forward_handover, a_sender_that_takes_nothing_is_not_waited_for_and_the_rest_is_counted)
{
    uint64_t before = shm_clock_ns(CLOCK_MONOTONIC), taken = 0;

    handover_begin(&handover, 0);
    for (unsigned i = 0; i < 100000; i++) {
        char tag[32];

        snprintf(tag, sizeof(tag), "t-%u", i % 100);
        add(tag, 1000);
        cr_assert_leq(held(), HANDOVER_READY_BYTES + (5U << 20) + CHUNK_MOST);
    }
    cr_assert_eq(handover_flush(&handover), 0);
    cr_assert_eq(handover_say(&handover, FORWARD_SAMPLE, &counts, sizeof(counts)), 0);
    cr_assert_eq(counts.records, 100000);
    cr_assert_gt(counts.records_not_handed, 80000);
    cr_assert_lt(shm_clock_ns(CLOCK_MONOTONIC) - before, 60 * UINT64_C(1000000000));
    while (taken < counts.records - counts.records_not_handed) /* it goes on: what was kept is whole */
        taken += receive(NULL).entries;
    cr_assert_eq(taken, counts.records - counts.records_not_handed);
}

Test(forward_handover, one_who_took_nothing_in_a_beat_is_not_waited_for_in_the_next)
{
    const uint64_t second = 1000000000;
    uint64_t before;

    while (counts.records_not_handed == 0)
        add("a", CHUNK_BYTES / 2);
    handover_begin(&handover, 60 * second); /* something had gone into the socket */
    cr_assert_eq(handover.may_wait_ns, 60 * second);
    handover_begin(&handover, 60 * second);
    before = shm_clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < 100; i++)
        add("a", CHUNK_BYTES / 2);
    cr_assert_lt(shm_clock_ns(CLOCK_MONOTONIC) - before, 30 * second);
}

Test(forward_handover, the_end_of_the_sender_is_noticed)
{
    int r = 0;

    close(ends[1]);
    ends[1] = -1;
    cr_assert_eq(handover_until(&handover, shm_clock_ns(CLOCK_MONOTONIC) + UINT64_C(60000000000)), -EPIPE);
    for (int i = 0; i < 10 && r == 0; i++)
        r = handover_add(&handover, "a", 1, entry, CHUNK_BYTES / 2);
    cr_assert_eq(r, -EPIPE);
}
