// SPDX-License-Identifier: MIT
// The writer's handles at the end: destruction in any order, other threads, children of fork(), jails.
#include "support.hpp"

#include <atomic>
#include <cstddef>
#include <fcntl.h>
#include <iterator>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <memory>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#ifndef SLOWED // by sanitizers, coverage or valgrind
#define SLOWED 0
#endif

TestSuite(cpp_lifetime, .init = test_dir_init, .fini = test_dir_fini);

using vmtally::schemas::vm;

// ---- destruction in any order ----

Test(cpp_lifetime, lives_as_long_as_any_of_its_sources)
{
    auto segment = std::make_unique<vmtally::segment>(a_segment("s"));
    auto source = std::make_unique<vmtally::source<thing>>(a_source<thing>(*segment, "x"));
    auto sh = source->acquire();

    segment.reset();
    ++sh[thing::cumulative];
    {
        const vmtally::snapshot snapshot = a_snapshot(test_path("s.vmt"));

        cr_expect_eq(snapshot.segment().state(), VMT_STATE_LIVE);
        cr_expect_eq(snapshot.find("x").value().as<thing>().value()[thing::cumulative], 1);
    }
    source.reset(); // the last: closed now, and its file is gone
    cr_expect_neq(access(test_path("s.vmt"), F_OK), 0);
    ++sh[thing::cumulative]; // private memory
    cr_expect_eq(sh.get()->value_[thing::cumulative.number], 1, "what it had counted is not here any more");
}

Test(cpp_lifetime, handles_outlive_close)
{
    vmtally::segment segment = a_segment();
    auto parent = a_source<vm>(segment, "vm");
    auto source = a_child<thing>(parent, "x");
    auto sh = source.acquire();

    segment.close();
    segment.close();
    ++sh[thing::cumulative];
    source.count(thing::cumulative);
    cr_expect_eq(source.get(), nullptr);
    cr_expect_eq(segment.get(), nullptr);
    cr_expect_eq(source.acquire().get(), reinterpret_cast<vmt_shard *>(vmt_scratch));
    cr_expect_eq(source.acquire_thread().get(), reinterpret_cast<vmt_shard *>(vmt_scratch));
    cr_expect_eq(source.add<thing>("y").error().number(), ENODEV);
    cr_expect_neq(source.add<thing>("y").error().what().find("closed"), std::string::npos);
    segment.heartbeat();
    segment.ready();
    cr_expect(segment.path().empty());
    source.remove();
    sh = {};
}

Test(cpp_lifetime, a_reader_of_its_own_process_outlives_close)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    vmtally::reader reader = *vmtally::reader::attach(segment);
    vmtally::snapshot snapshot = *reader.snapshot();
    const vmtally::sample found = snapshot.find("x").value();
    std::uint64_t values[128] = {};

    cr_assert_leq(found->schema->slots, std::size(values));
    cr_expect(reader.sample(found, values).has_value());
    segment.close();
    cr_expect_eq(reader.state(), VMT_STATE_CLOSED);
    cr_expect_eq(reader.sample(found, values).error().number(), ENODEV);
    cr_expect_eq(snapshot.take(reader).error().number(), ENODEV);
    cr_expect_eq(reader.snapshot().error().what(),
                 std::string("take a snapshot of ") + test_path("t.vmt") + ": its segment was closed");
    cr_expect_eq(snapshot.size(), 2, "the one before is as it was");
}

Test(cpp_lifetime, may_be_closed_while_another_thread_reads_it)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    vmtally::reader reader = *vmtally::reader::attach(segment);
    std::atomic<bool> reads{ false };
    std::thread other([&] {
        vmtally::snapshot snapshot;

        while (snapshot.take(reader))
            reads = true;
    });

    while (!reads)
        std::this_thread::yield();
    segment.close();
    other.join();
    cr_expect_eq(reader.state(), VMT_STATE_CLOSED);
}

Test(cpp_lifetime, parents_may_go_before_their_children)
{
    vmtally::segment segment = a_segment();
    auto parent = std::make_unique<vmtally::source<vm>>(a_source<vm>(segment, "vm"));
    auto child = a_child<thing>(*parent, "x");
    auto sh = child.acquire();

    parent.reset();
    ++sh[thing::cumulative];
    cr_expect(a_snapshot(segment.path()).size() >= 2);
    cr_expect_eq(child.add<thing>("y").has_value(), true);
    child.remove();
    sh = {};
    const vmtally::snapshot snapshot = a_snapshot(segment.path());
    cr_expect_eq(snapshot[0].total_of<thing>().value()[thing::cumulative], 1);
}

Test(cpp_lifetime, may_be_closed_while_others_use_it_and_give_their_handles_back)
{
    for (int round = 0; round < (SLOWED ? 10 : 100); round++) {
        vmtally::segment segment = a_segment();
        std::vector<vmtally::source<thing>> sources;
        std::vector<std::thread> threads;
        std::atomic<int> used{ 0 };

        for (int i = 0; i < 4; i++)
            sources.push_back(a_source<thing>(segment, ("x" + std::to_string(i)).c_str()));
        for (auto &source : sources)
            threads.emplace_back([&source, &used, round] {
                while (source.get()) { // until it is closed, with shards held or with none
                    auto sh = round % 2 ? source.acquire() : vmtally::shard<thing>();
                    auto child = source.add<thing>("y");

                    ++sh[thing::cumulative];
                    used++;
                }
                source.remove();
            });
        while (used < 8)
            std::this_thread::yield();
        segment.close();
        for (auto &thread : threads)
            thread.join();
        cr_expect(segment.path().empty());
    }
}

// ---- fork ----

Test(cpp_lifetime, handles_do_nothing_in_a_forked_child)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    auto sh = source.acquire();
    int status = -1;

    ++sh[thing::cumulative];
    const pid_t child = fork();
    if (child == 0) {
        const bool refused = !segment.add<thing>("y") && segment.add<thing>("y").error().number() == ECHILD;

        ++sh[thing::cumulative];
        ++source.acquire()[thing::cumulative];
        source.count(thing::cumulative);
        source.remove();
        sh = {};
        segment.close();
        _exit(refused ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    cr_expect_eq(seen(segment, "x", thing::cumulative), 1, "the parent's is as it was");
}

Test(cpp_lifetime, a_child_made_without_handlers_says_so_itself)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    auto sh = source.acquire();
    int status = -1;
    const pid_t child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));

    if (child == 0) {
        vmtally::child_after_fork();
        ++sh[thing::cumulative];
        source.remove();
        segment.close();
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    cr_expect_eq(seen(segment, "x", thing::cumulative), 0);
}

Test(cpp_lifetime, a_child_has_segments_of_its_own)
{
    vmtally::segment segment = a_segment("parents");
    auto source = a_source<thing>(segment, "x");
    int status = -1;
    const pid_t child = fork();

    if (child == 0) {
        bool good;
        {
            vmtally::segment own = a_segment("childs");
            auto y = a_source<thing>(own, "y");

            ++y.acquire()[thing::cumulative];
            good = seen(own, "y", thing::cumulative) == 1;
        }
        _exit(good && access(test_path("childs.vmt"), F_OK) != 0 ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
}

// Another thread may be in the middle of a cold call when this one forks: its locks stay taken in the child.
Test(cpp_lifetime, a_forked_child_waits_for_no_thread_that_it_has_not)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    std::atomic<bool> stop{ false };
    std::thread busy([&] {
        while (!stop)
            auto child = source.add<thing>("y");
    });

    for (int i = 0; i < (SLOWED ? 5 : 30); i++) {
        int status = -1;
        const pid_t child = fork();

        if (child == 0) {
            alarm(60);
            source.remove();
            segment.close();
            _exit(0);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert_eq(status, 0);
    }
    stop = true;
    busy.join();
}

// ---- jails ----

// From here on any system call but those of a futex ends this process.
static bool lock_up()
{
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = { static_cast<unsigned short>(std::size(code)), code };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void work_in_jail(int fd)
{
    vmtally::segment_options options;

    options.name = "jailed";
    options.fd = fd;
    options.fixed_bytes = 1 << 20;
    options.max_sources = 16;
    auto segment = vmtally::segment::create(options);
    auto parent = segment->add<vm>("vm");

    if (!lock_up())
        _exit(2);
    for (unsigned i = 0; i < 1000; i++) {
        auto added = parent->add<thing>("a-thing-that-fits-into-no-small-string");
        vmtally::source<thing> source = *std::move(added);
        auto sh = source.acquire();
        auto moved = std::move(sh);

        ++moved[thing::cumulative];
        moved[thing::latency].record(i);
        source.count(thing::other);
        segment->heartbeat();
    }
    syscall(SYS_exit_group, 0); // to close it takes more, and a jailed writer's end is seen without
}

Test(cpp_lifetime, a_jailed_writer_makes_no_system_call)
{
#if SLOWED
    cr_skip_test("sanitizers, coverage and valgrind make system calls of their own");
#endif
    const int fd = open(test_path("jail.vmt"), O_RDWR | O_CREAT | O_EXCL, 0640);
    int status = -1;
    const pid_t child = fork();

    if (child == 0)
        work_in_jail(fd);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "%s", WIFSIGNALED(status) ? "killed by the filter" : "failed");
    const vmtally::snapshot snapshot = a_snapshot(test_path("jail.vmt"));
    cr_expect_eq(snapshot.find("vm").value().total_of<thing>().value()[thing::cumulative], 1000);
    cr_expect_eq(snapshot.find("vm").value().total_of<thing>().value()[thing::other], 1000);
    close(fd);
}
