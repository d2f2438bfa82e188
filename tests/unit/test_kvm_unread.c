/* SPDX-License-Identifier: MIT */
/* Segments whose VMM has the kernel's counters open, of a process that the host does not know: what is said of them, and
 * why. */
#include "host_parts.h"

#include "lib/kvm/handle.h"
#include "lib/kvm/host_struct.h"
#include "scarce.h"

TestSuite(kvm_unread, .init = test_dir_init, .fini = test_dir_fini);

/* A segment of this process, whose VMM has handed over a statistics fd; and what there is of it in the host's list. */
static struct vmt_segment *unread_segment(const char *name)
{
    struct vmt_segment *made = new_segment(name);
    struct vmt_source *vm = add_source(made, &vmt_schema_vm, NULL, "vm");

    vmt_set(vmt_shard_acquire(add_source(made, &kvm_handle_vm, vm, KVM_HANDLE_NAME)), 0, 42);
    return made;
}

static void take_of(struct vmt_host *host, const char *path)
{
    struct vmt_snapshot *snapshot = new_snapshot();
    struct vmt_reader *reader = NULL;

    cr_assert_eq(vmt_reader_open_host(host, path, NULL, &reader), 0);
    take(snapshot, reader);
    vmt_reader_close(reader);
    vmt_snapshot_free(snapshot);
}

static void take_all(struct vmt_host *host)
{
    struct vmt_found *found = NULL;
    long n = vmt_host_discover(host, NULL, &found);

    for (long i = 0; i < n; i++)
        take_of(host, found[i].path);
    vmt_found_free(found, n);
}

Test(kvm_unread, kernel_counters_of_segments_that_could_not_be_read_are_trouble_of_one_kind)
{
    const uint32_t denied = VMT_HOST_TROUBLE_DENIED;
    struct vmt_host *host;

    for (int i = 0; i < 3; i++)
        (void)unread_segment((const char *[]){ "c", "a", "b" }[i]);
    (void)new_segment("none");
    fake_process(&(struct fake_process){ .pid = 5 });
    host = fake_host();
    host->is_root = false;
    look_at(host);
    assert_trouble(host, NULL, 0, "", "");
    take_all(host);
    assert_trouble(host, NULL, denied, "kernel counters of a and 2 more: permission denied; run as root", "");
    take_all(host);
    assert_trouble(host, NULL, denied, "kernel counters of a and 2 more: ", "");
    assert_trouble(host, test_path("b.vmt"), denied, "kernel counters of b: ", "run as root");
    assert_trouble(host, test_path("none.vmt"), 0, "", "");
    assert_trouble(host, "", 0, "", "");
    look_at(host);
    assert_trouble(host, NULL, 0, "", "");
    take_of(host, test_path("c.vmt"));
    assert_trouble(host, NULL, denied, "kernel counters of c: ", "run as root");
    host->is_root = true; /* of whom nothing is hidden: there is another reason, that nobody knows */
    take_of(host, test_path("c.vmt"));
    assert_trouble(host, NULL, 0, "", "");
    vmt_host_free(host);
}

Test(kvm_unread, who_was_not_looked_for_has_no_trouble)
{
    struct vmt_host *host;
    const char *path;

    fake_process(&(struct fake_process){ .pid = 5 });
    host = fake_host();
    host->is_root = false;
    path = vmt_segment_path(new_segment("a"));
    cr_assert_not_null(path);
    look_at(host);
    (void)unread_segment("b"); /* after the look */
    take_of(host, test_path("b.vmt"));
    assert_trouble(host, NULL, 0, "", "");
    look_at(host);
    take_of(host, test_path("b.vmt"));
    assert_trouble(host, NULL, VMT_HOST_TROUBLE_DENIED, "kernel counters of b: ", "");
    vmt_host_free(host);
}

/* What the newest bulletin says, otherwise. */
static struct bulletin *bulletin_at_host(struct vmt_host *host) { return (void *)host->boards[host->shown].data; }

static void add_closed(struct vmt_host *host, uint64_t start, uint32_t inner_pid)
{
    struct board *board = &host->boards[host->shown];
    uint64_t place = board_add(board, sizeof(struct bulletin_closed));

    *(struct bulletin_closed *)bulletin_at(bulletin_at_host(host), place) =
        (struct bulletin_closed){ start, PID, inner_pid };
    bulletin_at_host(host)->closed = place;
    bulletin_at_host(host)->closed_count = 1;
    bulletin_at_host(host)->denied += inner_pid != 0;
}

Test(kvm_unread, reason_is_the_namespace_where_the_process_is_not_seen_from_it)
{
    uint64_t start = header_start_of("/proc/self/stat");
    struct vmt_host *host;

    (void)unread_segment("a");
    (void)unread_segment("b");
    host = fake_host();
    look_at(host);
    bulletin_at_host(host)->why |= BULLETIN_WHY_INNER;
    take_of(host, test_path("a.vmt"));
    assert_trouble(host, NULL, VMT_HOST_TROUBLE_NAMESPACE,
                   "kernel counters of a: its process is in another PID namespace; run outside of this one", "");
    take_of(host, test_path("b.vmt"));
    assert_trouble(host, NULL, VMT_HOST_TROUBLE_NAMESPACE,
                   "kernel counters of a and 1 more: their processes are in another PID namespace; run outside", "");
    add_closed(host, start, 0); /* it is here, but closed */
    take_of(host, test_path("a.vmt"));
    assert_trouble(host, test_path("a.vmt"), VMT_HOST_TROUBLE_DENIED, "kernel counters of a: permission denied", "");
    add_closed(host, start, (uint32_t)getpid() + 1); /* another one of that moment is */
    take_of(host, test_path("a.vmt"));
    assert_trouble(host, test_path("a.vmt"), VMT_HOST_TROUBLE_NAMESPACE, "kernel counters of a: its", "");
    vmt_host_free(host);
}

Test(kvm_unread, process_that_is_denied_and_has_a_segment_is_counted_once)
{
    struct vmt_host *host;

    (void)unread_segment("a");
    host = fake_host();
    look_at(host);
    add_closed(host, header_start_of("/proc/self/stat"), (uint32_t)getpid());
    assert_trouble(host, NULL, VMT_HOST_TROUBLE_DENIED, "kernel counters of 1 VM of another user: ", "CAP_SYS_PTRACE");
    take_of(host, test_path("a.vmt"));
    assert_trouble(host, NULL, VMT_HOST_TROUBLE_DENIED, "kernel counters of a: permission denied", "CAP_SYS_PTRACE");
    bulletin_at_host(host)->denied++;
    assert_trouble(host, NULL, VMT_HOST_TROUBLE_DENIED, "kernel counters of a and 1 more: ", "");
    vmt_host_free(host);
}

Test(kvm_unread, trouble_of_a_segment_takes_memory_and_is_an_error_without)
{
    struct vmt_snapshot *snapshot = new_snapshot();
    struct vmt_reader *reader = NULL;
    struct vmt_host *host;
    bool failed = true;

    (void)unread_segment("a");
    host = fake_host();
    host->is_root = false;
    look_at(host);
    cr_assert_eq(vmt_reader_open_host(host, test_path("a.vmt"), NULL, &reader), 0);
    for (unsigned n = 1; failed; n++) {
        int r = SCARCE(n, &failed, vmt_snapshot_take(snapshot, reader));

        cr_assert(r == 0 || r == -ENOMEM, "%d", r);
        cr_assert(n < 1000);
    }
    assert_trouble(host, NULL, VMT_HOST_TROUBLE_DENIED, "kernel counters of a: ", "");
    vmt_reader_close(reader);
    vmt_snapshot_free(snapshot);
    vmt_host_free(host);
}
