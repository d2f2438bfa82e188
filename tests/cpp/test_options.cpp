// SPDX-License-Identifier: MIT
// The numbers and strings that segments are made with: what they do, and which are refused.
#include "support.hpp"

#include <sys/stat.h>

TestSuite(cpp_options, .init = test_dir_init, .fini = test_dir_fini);

using namespace std::chrono_literals;
using namespace std::string_literals;

static vmtally::error refused(const vmtally::segment_options &options)
{
    auto created = vmtally::segment::create(options);

    cr_assert_not(created.has_value());
    return created.error();
}

// ---- how much there is room for ----

Test(cpp_options, max_sources_are_as_many_as_there_may_be)
{
    vmtally::segment_options options;

    options.max_sources = 3; // with the segment's own
    auto segment = vmtally::segment::create(options);
    cr_assert(segment.has_value());
    auto one = a_source<thing>(*segment, "1"), two = a_source<thing>(*segment, "2");
    const auto third = segment->add<thing>("3");

    cr_expect_eq(third.error().number(), ENFILE);
    cr_expect(has(third.error().what(), "max_sources"));
}

Test(cpp_options, max_bytes_are_as_much_as_the_file_may_have)
{
    using vmtally::schemas::segment;
    vmtally::segment_options options;

    options.max_bytes = 1 << 20;
    auto small = vmtally::segment::create(options);
    cr_assert(small.has_value());
    auto source = a_source<thing>(*small, "x");
    const auto shards = source.acquire(1000);
    struct stat st;

    cr_expect_gt(seen(*small, "", segment::dropped_shards), 0);
    cr_expect_gt(seen(*small, "", segment::shards_created), 0);
    cr_assert_eq(stat(small->path().c_str(), &st), 0);
    cr_expect_leq(st.st_size, 1 << 20);
}

// ---- heartbeats and intervals ----

Test(cpp_options, a_missing_heartbeat_is_seen)
{
    vmtally::segment_options options;

    options.heartbeat_interval = 50ms;
    auto segment = vmtally::segment::create(options);
    cr_assert(segment.has_value());
    segment->heartbeat();
    auto reader = vmtally::reader::attach(segment->path());
    cr_assert(reader.has_value());

    cr_expect(comes_true([&] { return reader->state() == VMT_STATE_STALLED; }));
    cr_expect(comes_true([&] {
        segment->heartbeat();
        return reader->state() == VMT_STATE_LIVE;
    }));
}

Test(cpp_options, an_interval_is_never_negative)
{
    vmtally::segment_options options;

    for (const auto interval : { std::chrono::nanoseconds(-1ns), std::chrono::nanoseconds::min() }) {
        options.heartbeat_interval = interval;
        const auto error = refused(options);
        cr_expect_eq(error.number(), EINVAL);
        cr_expect(has(error.what(), "heartbeat_interval"), "%s", error.what().c_str());
    }
    cr_expect_eq(test_dir_files(), 0);

    const vmtally::segment segment = a_segment();
    for (const auto interval : { std::chrono::nanoseconds(-5ns), std::chrono::nanoseconds::min(),
                                 std::chrono::nanoseconds(5ns), std::chrono::nanoseconds(999999ns) }) {
        const auto sampled = segment.sample_kvm_every(interval);
        cr_assert_not(sampled.has_value(), "%lld ns", static_cast<long long>(interval.count()));
        cr_expect_eq(sampled.error().number(), EINVAL);
        cr_expect(has(sampled.error().what(), "1 ms"), "%s", sampled.error().what().c_str());
    }
}

// ---- descriptors ----

// Else there would be a segment, but somewhere else than the VMM thinks.
Test(cpp_options, a_descriptor_that_an_open_failed_to_give_is_refused)
{
    vmtally::segment_options options;

    options.name = "x";
    options.fd = -1;
    cr_expect_eq(refused(options).number(), EBADF);
    cr_expect(has(refused(options).what(), "create segment x: its fd is below 0"));
    cr_expect_eq(test_dir_files(), 0);
}

// ---- strings ----

// For C they would end there, and mean something else.
Test(cpp_options, strings_with_a_nul_inside_are_refused)
{
    const std::string dir = test_path("d");
    vmtally::segment_options named, there, at, labelled;

    named.name = "z\0y"s;
    cr_expect(refused(named).what() == "create segment z\\0y: a NUL inside of a string");
    there.dir = dir + "\0e"s;
    at.path = dir + "\0.vmt"s;
    labelled.labels = { "rack=b7", "a=b\0c"s };
    for (const auto &options : { named, there, at, labelled })
        cr_expect_eq(refused(options).number(), EINVAL);
    cr_expect(has(refused(labelled).what(), "a=b\\0c"));
    cr_expect_eq(test_dir_files(), 0);

    const vmtally::segment segment = a_segment();
    cr_expect(segment.add<thing>("x\0y"s).error().what() == "add source x\\0y: a NUL inside of a string");
}

Test(cpp_options, what_is_too_long_is_told_how_long_it_may_be)
{
    vmtally::segment_options named, there, labelled;

    named.name = std::string(64, 'n');
    there.dir = "/" + std::string(5000, 'd');
    labelled.labels = { "a=" + std::string(1100, 'b') };
    for (const auto &options : { named, there, labelled }) {
        const auto error = refused(options);
        cr_expect_eq(error.number(), ENAMETOOLONG);
        cr_expect(has(error.what(), "a name has 63 bytes at most"), "%s", error.what().c_str());
    }
    const vmtally::segment segment = a_segment();
    const auto added = segment.add<thing>(std::string(48, 'a'));
    cr_expect(has(added.error().what(), "1 to 47 printable"), "%s", added.error().what().c_str());
}
