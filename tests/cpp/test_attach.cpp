// SPDX-License-Identifier: MIT
// Attaching: what can't be, what was cut short, and segments of this process.
#include "support.hpp"

#include <filesystem>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(cpp_attach, .init = test_dir_init, .fini = test_dir_fini);

using vmtally::schemas::vcpu;

Test(cpp_attach, a_segment_of_this_process_is_read_in_place)
{
    auto w = std::make_unique<world>();
    auto reader = vmtally::reader::attach(w->segment);

    cr_assert(reader.has_value());
    cr_expect_eq(reader->snapshot().value().size(), 5);
    {
        auto snapshot = reader->snapshot();

        cr_expect_eq(snapshot->find("vm/vcpu-0").value().as<vcpu>().value()[vcpu::exits], 110);
    }
    w.reset();
    cr_expect_eq(reader->snapshot().value().size(), 1, "the reader keeps the segment open");
    vmtally::segment closed = a_segment("closed");
    auto own = vmtally::reader::attach(closed);
    closed.close();
    cr_expect_not(own->snapshot().has_value());
    cr_expect_eq(vmtally::reader::attach(closed).error().number(), ENODEV);
}

Test(cpp_attach, what_can_not_be_attached_is_named)
{
    const auto refused = [](const char *name) { return vmtally::reader::attach(test_path(name)).error(); };
    FILE *f = fopen(test_path("text"), "w");

    cr_assert(f && fputs("no segment, but long enough to be one, if only it began as one does", f) >= 0);
    cr_assert_eq(fclose(f), 0);
    cr_expect(refused("text").what() == std::string("attach ") + test_path("text") + ": not a segment");
    cr_expect_eq(refused("text").number(), EMEDIUMTYPE);
    f = fopen(test_path("empty"), "w");
    cr_assert(f && fclose(f) == 0);
    cr_expect_eq(refused("empty").number(), ENODATA);
    cr_expect(refused("absent").code() == std::errc::no_such_file_or_directory);
    cr_assert_eq(symlink(test_path("text"), test_path("link")), 0);
    cr_expect_neq(refused("link").what().find("symbolic link"), std::string::npos);
    cr_assert_eq(mkfifo(test_path("fifo"), 0600), 0);
    cr_expect_neq(refused("fifo").what().find("not a regular file"), std::string::npos);
    cr_expect_throw(vmtally::reader::attach(test_path("absent")).value(), std::system_error);
}

// For C a path would end there, and be another file's.
Test(cpp_attach, a_path_with_a_nul_inside_is_nobodys)
{
    using namespace std::string_literals;
    const std::string kept = test_path("kept.vmt");
    {
        world w;

        std::filesystem::copy_file(w.segment.path(), kept);
        const vmtally::snapshot snapshot = a_snapshot(kept);
        cr_expect_not(snapshot.find("\0x"s).has_value(), "not the segment itself");
        cr_expect_not(snapshot.find("vm\0x"s).has_value());
        cr_expect(snapshot.find("vm"s).has_value());
    }
    const std::string other = kept + "\0zzz"s;
    const auto attached = vmtally::reader::attach(other);

    cr_assert_not(attached.has_value());
    cr_expect_eq(attached.error().number(), EINVAL);
    cr_expect(attached.error().what() == "attach " + kept + "\\0zzz: a NUL inside of a string");
    cr_expect_eq(vmtally::check(other).error().number(), EINVAL);
    cr_expect_eq(vmtally::remove_dead(other).error().number(), EINVAL);
    cr_expect_eq(access(kept.c_str(), F_OK), 0);
}

Test(cpp_attach, a_reader_reads_as_its_options_say)
{
    world w;
    const auto much = w.x.acquire(1000); // more than half of the file
    vmtally::reader_options options;
    const auto taken = [&] {
        auto reader = vmtally::reader::attach(w.segment.path(), options);

        cr_assert(reader.has_value());
        return reader->snapshot().value();
    };
    const vmtally::snapshot by_copy = taken();

    cr_expect_eq(by_copy.segment()->flags, 0);
    cr_expect_not(by_copy.segment().partial());
    options.mode = VMT_READ_GUARDED;
    const vmtally::snapshot mapped = taken();
    cr_expect_eq(mapped.segment()->flags, VMT_SNAPSHOT_MAPPED);

    options = {};
    options.max_bytes = by_copy.segment()->file_bytes / 2;
    const vmtally::snapshot part = taken();
    cr_expect(part.segment().partial());
}

Test(cpp_attach, a_segment_that_was_cut_short_is_an_error_or_partial)
{
    world w;
    const std::string path = test_path("copy.vmt");
    std::filesystem::copy_file(w.segment.path(), path);
    auto reader = vmtally::reader::attach(path);
    vmtally::snapshot snapshot;

    cr_assert(snapshot.take(*reader).has_value());
    cr_assert_eq(snapshot.size(), 5);
    cr_assert_eq(truncate(path.c_str(), 5000), 0);
    const auto taken = snapshot.take(*reader);
    cr_expect(!taken || *taken);
    if (!taken)
        cr_expect(snapshot.empty());
    for (const vmtally::sample &sample : snapshot)
        for (const vmtally::statistic &statistic : sample.statistics())
            cr_expect(!statistic.name().empty());
}

Test(cpp_attach, a_reader_that_was_moved_from_takes_no_snapshot)
{
    world w;
    auto reader = vmtally::reader::attach(w.segment.path());
    vmtally::reader moved = *std::move(reader);
    vmtally::snapshot snapshot;

    cr_expect(snapshot.take(moved).has_value());
    cr_expect_eq(moved.state(), VMT_STATE_LIVE);
    cr_expect(moved.path() == w.segment.path());
    cr_expect_eq(snapshot.take(*reader).error().number(), EINVAL);
    cr_expect_eq(snapshot.size(), 5, "and leaves the one that was taken");
    cr_expect_eq(reader->state(), VMT_STATE_CLOSED);
    cr_expect_eq(reader->sample(snapshot[0], nullptr).error().number(), EINVAL);
}
