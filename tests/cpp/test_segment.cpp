// SPDX-License-Identifier: MIT
// The writer's handles: what fails and how it is told, what they leave behind, moves.
#include "support.hpp"

#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <thread>
#include <type_traits>
#include <unistd.h>

TestSuite(cpp_segment, .init = test_dir_init, .fini = test_dir_fini);

using vmtally::schemas::vcpu;
using vmtally::schemas::vm;

// ---- creating ----

Test(cpp_segment, is_created_as_its_options_say)
{
    vmtally::segment_options options;

    options.name = "web-1";
    options.labels = { "rack=b7", "team=öl" };
    options.mode = 0600;
    options.keep = true;
    auto segment = vmtally::segment::create(options);
    cr_assert(segment.has_value());
    struct stat st;

    cr_expect(segment->name() == "web-1");
    cr_expect(segment->path() == test_path("web-1.vmt"));
    cr_assert_eq(stat(segment->path().c_str(), &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    const std::string path = segment->path();
    segment->close();
    const vmtally::snapshot snapshot = a_snapshot(path); // kept
    cr_expect_eq(snapshot.segment().state(), VMT_STATE_CLOSED);
    cr_assert_eq(snapshot.segment().labels().size(), 2);
    cr_expect_str_eq(snapshot.segment().labels()[1], "team=öl");
}

Test(cpp_segment, says_why_it_can_not_be_created)
{
    vmtally::segment first = a_segment("web-1");
    vmtally::segment_options options;

    options.name = "web-1";
    auto second = vmtally::segment::create(options);
    cr_assert_not(second.has_value());
    cr_expect_eq(second.error().number(), EEXIST);
    cr_expect(second.error().code() == std::errc::file_exists);
    cr_expect(second.error().what() == "create segment web-1: another process writes it: choose another name");

    options.name = "a/b";
    cr_expect(has(vmtally::segment::create(options).error().what(), "create segment a/b: a name is 1 to 63 of"));
    options.name = "x";
    options.dir = test_path("nothing");
    options.dir += "/here";
    cr_expect(vmtally::segment::create(options).error().code() == std::errc::no_such_file_or_directory);
    options.dir = "/proc";
    cr_expect(has(vmtally::segment::create(options).error().what(), "create segment x: "));
    cr_expect_throw(vmtally::segment::create(options).value(), std::system_error);
    try {
        (void)vmtally::segment::create(options).value();
    } catch (const std::system_error &e) {
        cr_expect(has(e.what(), "create segment x: "));
    }
}

Test(cpp_segment, can_be_jailed)
{
    vmtally::segment_options options;
    const int fd = open(test_path("jail.vmt"), O_RDWR | O_CREAT | O_EXCL, 0640);

    cr_assert(fd > 0);
    options.name = "jailed";
    options.fd = fd;
    options.fixed_bytes = 1 << 20;
    options.max_sources = 16;
    auto segment = vmtally::segment::create(options);
    cr_assert(segment.has_value());
    auto source = a_source<thing>(*segment, "x");
    auto sh = source.acquire();

    ++sh[thing::cumulative];
    const vmtally::snapshot snapshot = a_snapshot(test_path("jail.vmt"));
    cr_expect_eq(snapshot.find("x").value().as<thing>().value()[thing::cumulative], 1);
    close(fd);
}

Test(cpp_segment, goes_on_where_an_earlier_writer_stopped)
{
    vmtally::segment_options options;

    options.name = "again";
    options.resume = true;
    options.keep = true;
    {
        auto segment = vmtally::segment::create(options);
        auto one = a_source<thing>(*segment, "one"), two = a_source<thing>(*segment, "two");

        one.acquire()[thing::cumulative] += 5;
        two.acquire()[thing::cumulative] += 7;
        segment->close(); // with both sources, which a handle would remove
    }
    auto segment = vmtally::segment::create(options);
    cr_assert(segment.has_value());
    cr_expect(segment->why().empty());
    auto one = a_source<thing>(*segment, "one");
    one.acquire()[thing::cumulative] += 1;
    segment->ready();
    const vmtally::snapshot snapshot = a_snapshot(segment->path());

    cr_expect_eq(snapshot.find("one").value().as<thing>().value()[thing::cumulative], 6);
    cr_expect_not(snapshot.find("two").has_value());
    cr_expect_eq(snapshot[0].total_of<thing>().value()[thing::cumulative], 13);
}

Test(cpp_segment, says_why_it_did_not_go_on)
{
    vmtally::segment_options options;
    FILE *f = fopen(test_path("odd.vmt"), "w");

    cr_assert(f && fputs("this is not what it seems", f) >= 0 && fclose(f) == 0);
    options.name = "odd";
    options.resume = true;
    auto segment = vmtally::segment::create(options);
    cr_assert(segment.has_value());
    cr_expect_not(segment->why().empty());
}

Test(cpp_segment, is_handed_over_to_the_next_program)
{
    vmtally::segment segment = a_segment("over");
    auto source = a_source<thing>(segment, "x");
    auto sh = source.acquire();
    const std::string path = segment.path();

    ++sh[thing::cumulative];
    auto fd = segment.hand_over();
    cr_assert(fd.has_value());
    ++sh[thing::cumulative]; // reaches nobody
    cr_expect_eq(segment.add<thing>("y").error().number(), ENODEV);
    cr_expect_not(segment.hand_over().has_value());
    vmtally::segment_options options;

    options.fd = *fd;
    options.name = "over";
    options.resume = true;
    auto next = vmtally::segment::create(options);
    cr_assert(next.has_value(), "%s", next ? "" : next.error().what().c_str());
    auto again = a_source<thing>(*next, "x");
    next->ready();
    cr_expect_eq(a_snapshot(path).size(), 2);
    close(*fd);
}

// ---- sources ----

Test(cpp_segment, sources_that_can_not_be_added_say_why)
{
    vmtally::segment segment = a_segment();
    auto x = a_source<thing>(segment, "x");

    cr_expect(segment.add<thing>("x").error().what() == "add source x: its parent has one of that id");
    cr_expect_eq(segment.add<thing>("").error().number(), EINVAL);
    cr_expect_eq(segment.add<thing>("a b").error().number(), EINVAL);
    cr_expect_eq(segment.add<thing>(std::string_view("a\0b", 3)).error().number(), EINVAL);
    cr_expect_eq(segment.add<thing>(std::string(48, 'a')).error().number(), ENAMETOOLONG);
    cr_expect_eq(segment.add<thing>(std::string(5000, 'a')).error().number(), ENAMETOOLONG);
    cr_expect(segment.add<thing>(std::string(47, 'a')).has_value());
    cr_expect(segment.add<thing>(std::string_view("part of it", 4)).has_value(), "an id needs no end");
}

Test(cpp_segment, removed_sources_leave_their_counts_to_their_parent)
{
    vmtally::segment segment = a_segment();
    auto parent = a_source<vm>(segment, "vm");
    {
        auto child = a_child<thing>(parent, "x");
        auto sh = child.acquire();

        sh[thing::cumulative] += 42;
        cr_expect_eq(seen(segment, "vm/x", thing::cumulative), 42);
    }
    const vmtally::snapshot snapshot = a_snapshot(segment.path());

    cr_expect_not(snapshot.find("vm/x").has_value());
    cr_expect_eq(snapshot.find("vm").value().total_of<thing>().value()[thing::cumulative], 42);
    auto again = a_child<thing>(parent, "x");
    cr_expect_eq(seen(segment, "vm/x", thing::cumulative), 0);
}

Test(cpp_segment, released_shards_are_taken_over_with_their_counts)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    const vmt_shard *first;
    {
        auto sh = source.acquire();

        first = sh.get();
        ++sh[thing::cumulative];
    }
    auto sh = source.acquire();
    cr_expect_eq(sh.get(), first);
    ++sh[thing::cumulative];
    cr_expect_eq(seen(segment, "x", thing::cumulative), 2);
}

Test(cpp_segment, several_shards_at_once_are_different)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    auto shards = source.acquire(3);

    cr_assert_eq(shards.size(), 3);
    for (auto &sh : shards)
        ++sh[thing::cumulative];
    cr_expect(shards[0].get() != shards[1].get() && shards[1].get() != shards[2].get());
    cr_expect_eq(seen(segment, "x", thing::cumulative), 3);
}

Test(cpp_segment, a_thread_that_ends_without_release_gives_its_shard_to_the_next)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    const vmt_shard *first = nullptr;
    [[maybe_unused]] static vmtally::shard<thing> *volatile lost; // never destroyed, as by a thread that crashes

    std::thread([&] {
        auto sh = std::make_unique<vmtally::shard<thing>>(source.acquire_thread());

        first = sh->get();
        ++(*sh)[thing::cumulative];
        lost = sh.release();
    }).join();
    auto sh = source.acquire_thread();
    cr_expect_eq(sh.get(), first);
    cr_expect_eq(seen(segment, "x", thing::cumulative), 1);
}

// ---- moves ----

template <class T> static void move_to_itself(T &x)
{
    T &same = x;

    x = std::move(same);
}

Test(cpp_segment, handles_move)
{
    static_assert(std::is_nothrow_move_constructible_v<vmtally::shard<thing>>);
    static_assert(std::is_nothrow_move_assignable_v<vmtally::shard<thing>>);
    static_assert(std::is_nothrow_move_constructible_v<vmtally::source<thing>>);
    static_assert(!std::is_copy_constructible_v<vmtally::source<thing>>);
    static_assert(!std::is_copy_constructible_v<vmtally::segment>);
    static_assert(!std::is_constructible_v<vmtally::source<thing>, vmtally::any_source>, "its schema is not known");
    vmtally::segment segment = a_segment();
    vmtally::segment moved_segment = std::move(segment);
    auto source = a_source<thing>(moved_segment, "x");
    auto sh = source.acquire();
    vmtally::shard<thing> moved = std::move(sh);

    ++moved[thing::cumulative];
    ++sh[thing::cumulative]; // scratch now
    move_to_itself(moved);
    ++moved[thing::cumulative];
    cr_expect_eq(seen(moved_segment, "x", thing::cumulative), 2);

    auto moved_source = std::move(source);
    move_to_itself(moved_source);
    source.count(thing::cumulative); // nothing
    source.remove();                 // nothing
    cr_expect_eq(source.acquire().get(), reinterpret_cast<vmt_shard *>(vmt_scratch));
    cr_expect_eq(source.add<thing>("y").error().number(), ENODEV);
    moved_source.count(thing::cumulative);
    move_to_itself(moved_segment);
    cr_expect_eq(seen(moved_segment, "x", thing::cumulative), 3);
    cr_expect(segment.path().empty() && segment.name().empty() && segment.why().empty());
    cr_expect_eq(segment.add<thing>("y").error().number(), ENODEV);
    segment.close();
}

Test(cpp_segment, assigning_a_source_removes_what_was_there)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");

    source = a_source<thing>(segment, "y");
    const vmtally::snapshot snapshot = a_snapshot(segment.path());
    cr_expect_not(snapshot.find("x").has_value());
    cr_expect(snapshot.find("y").has_value());
}

Test(cpp_segment, assigning_a_shard_releases_what_was_there)
{
    vmtally::segment segment = a_segment();
    auto source = a_source<thing>(segment, "x");
    auto a = source.acquire(), b = source.acquire();
    const vmt_shard *first = a.get();

    a = std::move(b);
    cr_expect_eq(source.acquire().get(), first);
}
