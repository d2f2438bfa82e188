// SPDX-License-Identifier: MIT
// Documents are what the C library writes, as strings.
#include "support.hpp"

#include <algorithm>
#include <vmtally/export.hpp>

TestSuite(cpp_export, .init = test_dir_init, .fini = test_dir_fini);

namespace schemas = vmtally::schemas;

// A program with two request machines, and a vCPU.
struct served {
    vmtally::segment segment = a_segment("w");
    vmtally::source<schemas::program> program = a_source<schemas::program>(segment, "avif");
    vmtally::source<schemas::request> request = a_child<schemas::request>(program, "request");
    vmtally::source<schemas::vcpu> vcpu = a_source<schemas::vcpu>(segment, "vcpu-0");
    std::vector<vmtally::shard<schemas::request>> machines = request.acquire(2);
    vmtally::shard<schemas::vcpu> sh = vcpu.acquire();
    vmtally::snapshot snapshot;

    served()
    {
        machines[0][schemas::request::invocations] += 3;
        machines[1][schemas::request::invocations] += 4;
        sh[schemas::vcpu::exits] += UINT64_C(9007199254740993); // above 2^53
        sh[schemas::vcpu::exit_io_in] += 7;
        take();
    }
    void take()
    {
        auto reader = vmtally::reader::attach(segment.path());

        snapshot.want_shards();
        cr_assert(snapshot.take(*reader).has_value());
    }
};

template <class Encode> static std::string by_c(Encode encode)
{
    vmt_buffer buffer = {};

    cr_assert_eq(encode(&buffer), 0);
    std::string text(buffer.data, buffer.size);
    vmt_buffer_free(&buffer);
    return text;
}

Test(cpp_export, documents_are_those_of_the_library)
{
    served w;
    const vmt_snapshot *s = w.snapshot.get();
    using vmtally::detail::buffer;

    cr_expect(vmtally::json(w.snapshot).value() == by_c([&](vmt_buffer *out) { return vmt_json_encode(s, 0, out); }));
    cr_expect(vmtally::json(w.snapshot, true).value() ==
              by_c([&](vmt_buffer *out) { return vmt_json_encode(s, 1, out); }));
    cr_expect(has(vmtally::json(w.snapshot).value(), "9007199254740993"));
    cr_expect(vmtally::msgpack(w.snapshot).value() ==
              by_c([&](vmt_buffer *out) { return vmt_msgpack_encode_full(s, out); }));
    cr_expect(vmtally::tinykvm(w.snapshot).value() ==
              by_c([&](vmt_buffer *out) { return vmt_tinykvm_encode(s, nullptr, 0, out); }));
    cr_expect(has(vmtally::tinykvm(w.snapshot).value(), "\"invocations\":7"));
    cr_expect(vmtally::kvm_statistics(w.snapshot, 1).value() ==
              by_c([&](vmt_buffer *out) { return vmt_kvm_encode(s, 1, out); }));
    const std::string metrics = vmtally::openmetrics(w.snapshot).value();
    cr_expect(has(metrics, "9007199254740993") && has(metrics, "vm=\"w\"") && has(metrics, "# EOF"));
}

Test(cpp_export, what_can_not_be_written_is_said)
{
    served w;

    cr_expect(vmtally::tinykvm(w.snapshot, "avif|webp").has_value());
    cr_expect(vmtally::tinykvm(w.snapshot, "webp").value().empty(), "no program of that name");
    cr_expect_eq(vmtally::tinykvm(w.snapshot, "(").error().number(), EINVAL);
    cr_expect(has(vmtally::tinykvm(w.snapshot, "(").error().what(), "TinyKVM"));
    cr_expect_eq(vmtally::kvm_statistics(w.snapshot, 99).error().number(), EINVAL);
    cr_expect_eq(vmtally::metrics().openmetrics().error().number(), EINVAL);
}

Test(cpp_export, what_was_not_taken_is_not_written)
{
    const vmtally::snapshot empty;
    const auto refused = [](const auto &r) {
        return !r && r.error().number() == EINVAL && has(r.error().what(), "take it first");
    };
    auto records = vmtally::records::create({});

    cr_expect(refused(vmtally::json(empty)));
    cr_expect(refused(vmtally::msgpack(empty)));
    cr_expect(refused(vmtally::tinykvm(empty)));
    cr_expect(refused(vmtally::kvm_statistics(empty, 0)));
    cr_expect(refused(vmtally::openmetrics(empty)));
    cr_expect(refused(vmtally::metrics().add(empty)));
    cr_expect(refused(vmtally::msgpack_stream().encode(empty)));
    cr_expect(refused(vmtally::firecracker_lines().encode(empty)));
    cr_expect(refused(records->encode(empty, nullptr, 1, [](std::string_view) { return 0; })));
    cr_expect(refused(vmtally::json(vmtally::snapshot_view())));
}

// A snapshot that could not be taken knows its segment, and has no sources.
Test(cpp_export, what_could_not_be_taken_is_written_without_sources)
{
    vmtally::segment segment = a_segment("gone");
    auto reader = vmtally::reader::attach(segment);
    vmtally::snapshot snapshot;

    segment.close();
    cr_assert_not(snapshot.take(*reader).has_value());
    cr_assert_eq(snapshot.size(), 0);
    cr_expect(vmtally::json(snapshot).has_value());
    cr_expect(vmtally::openmetrics(snapshot).has_value());
    cr_expect(vmtally::tinykvm(snapshot).has_value());
    cr_expect_eq(vmtally::kvm_statistics(snapshot, 0).error().number(), EINVAL);
}

Test(cpp_export, a_stream_is_read_back)
{
    served w;
    vmtally::msgpack_stream stream;
    vmtally::decoder decoder;
    const std::string first = stream.encode(w.snapshot).value(), second = stream.encode(w.snapshot).value();

    cr_expect_lt(second.size(), first.size(), "schemas are sent once");
    cr_expect_not(decoder.next().value().has_value());
    for (const std::string &part : { first.substr(0, 10), first.substr(10), second })
        cr_assert(decoder.feed(part).has_value());
    decoder.finish();
    for (int i = 0; i < 2; i++) {
        auto next = decoder.next();

        cr_assert(next.has_value() && next->has_value());
        const vmtally::snapshot_view decoded = **next;
        cr_expect(decoded.segment().name() == "w");
        cr_expect_eq(decoded.size(), w.snapshot.size());
        cr_expect_eq(decoded.find("vcpu-0").value().as<schemas::vcpu>().value()[schemas::vcpu::exits],
                     UINT64_C(9007199254740993));
    }
    cr_expect_not(decoder.next().value().has_value());
    cr_expect_eq(decoder.state().snapshots, 2);
    stream.reset();
    cr_expect_eq(stream.encode(w.snapshot).value().size(), first.size());
    cr_assert(decoder.feed("this is no msgpack of ours").has_value());
    cr_expect_eq(decoder.next().error().number(), EBADMSG);
}

// A writer was killed when it had begun a map, and another one went on: what stands there may be the rest of that map.
Test(cpp_export, what_was_cut_off_is_waited_for_until_nothing_follows)
{
    served w;
    const std::string whole = vmtally::msgpack(w.snapshot).value();
    vmtally::decoder decoder;

    cr_assert(decoder.feed(whole.substr(0, 3) + whole).has_value());
    cr_expect_not(decoder.next().value().has_value());
    cr_expect_eq(decoder.state().waiting, 3 + whole.size());
    decoder.finish();
    const auto next = decoder.next();
    cr_assert(next.has_value() && next->has_value());
    cr_expect((*next)->segment().name() == "w");
    cr_expect_eq(decoder.state().damaged_bytes, 3);
}

Test(cpp_export, a_scrape_has_several_vms)
{
    served w;
    vmtally::metrics metrics;

    cr_assert(metrics.add(w.snapshot, "one").has_value());
    cr_assert(metrics.add(w.snapshot, "two").has_value());
    const std::string text = metrics.prometheus().value();
    cr_expect(has(text, "vm=\"one\"") && has(text, "vm=\"two\"") && !has(text, "# EOF"));
    metrics.clear();
    cr_expect_not(has(metrics.openmetrics().value(), "vm=\"one\""));
    cr_expect_not(has(metrics.prometheus().value(), "vm=\"one\""));
}

// The request's source, and how often it was invoked.
static const vmt_choice invocations = { [](void *, const vmt_snapshot *s, std::size_t i) -> int {
                                           return std::string_view(vmt_snapshot_source(s, i)->id) == "avif/request";
                                       },
                                        [](void *, const vmt_schema *, const vmt_descriptor *d) -> int {
                                            return std::string_view(d->name) == "invocations";
                                        },
                                        nullptr };

Test(cpp_export, a_scrape_has_what_was_chosen)
{
    served w;
    vmtally::metrics all, chosen;

    cr_assert(all.add(w.snapshot).has_value() && chosen.add(w.snapshot, {}, &invocations).has_value());
    const std::string of_all = all.prometheus().value(), of_chosen = chosen.prometheus().value();
    cr_expect(has(of_all, "exit_io_in") && has(of_all, "invocations"));
    cr_expect(!has(of_chosen, "exit_io_in") && has(of_chosen, "invocations"));
}

Test(cpp_export, lines_of_firecracker_have_what_was_counted_since_the_last_one_kept)
{
    served w;
    vmtally::firecracker_lines lines;

    cr_expect(has(lines.encode(w.snapshot, "vm-7").value(), "\"exit_io_in\":7"));
    lines.miss();
    const std::string again = lines.encode(w.snapshot, "vm-7").value();
    cr_expect(has(again, "\"exit_io_in\":7") && has(again, "\"missed_metrics_count\":1"));
    cr_expect(has(again, "\"id\":\"vm-7\"") || has(again, "\"id\": \"vm-7\""));
    lines.keep();
    cr_expect(has(lines.encode(w.snapshot).value(), "\"exit_io_in\":0"));
    lines.keep();
}

static std::vector<std::string> records_of(const served &w, const vmtally::records_options &options,
                                           const vmtally::delta *delta = nullptr, const vmt_choice *choice = nullptr)
{
    std::vector<std::string> entries;
    auto records = vmtally::records::create(options);
    cr_assert(records.has_value());
    const auto encoded = records->encode(
        w.snapshot, delta ? delta->get() : nullptr, 1,
        [&](std::string_view entry) {
            entries.emplace_back(entry);
            return entry.empty() ? -EIO : 0;
        },
        choice);

    cr_assert(encoded.has_value());
    return entries;
}

Test(cpp_export, records_are_given_one_by_one)
{
    served w;
    vmtally::records_options options;

    options.host = "h-1";
    options.sender = "s-1";
    const std::vector<std::string> entries = records_of(w, options);
    cr_assert_geq(entries.size(), 2);
    for (const std::string &entry : entries)
        cr_expect(has(entry, "h-1") && has(entry, "s-1"));
    auto records = vmtally::records::create(options);
    const auto stopped = records->encode(w.snapshot, nullptr, 2, [&](std::string_view) { return -EPIPE; });
    cr_assert_not(stopped.has_value());
    cr_expect_eq(stopped.error().number(), EPIPE);
}

Test(cpp_export, records_have_strings_where_they_are_wanted)
{
    served w;
    vmtally::records_options options;
    const auto any_has = [&](const char *text) {
        const std::vector<std::string> entries = records_of(w, options);

        return std::any_of(entries.begin(), entries.end(), [&](const std::string &e) { return has(e, text); });
    };

    cr_expect_not(any_has("9007199254740993"));
    options.strings = true;
    cr_expect(any_has("9007199254740993"));
}

Test(cpp_export, records_have_what_changed_where_that_is_wanted)
{
    served w;
    vmtally::records_options options;
    vmtally::delta delta;
    const vmtally::snapshot before = w.snapshot.copy().value();
    const auto one_has = [&](const char *text) {
        const std::vector<std::string> entries = records_of(w, options, &delta, &invocations);

        cr_assert_eq(entries.size(), 1);
        return has(entries[0], text);
    };

    w.machines[0][schemas::request::invocations] += 654321;
    w.take();
    cr_assert(delta.compute(before, w.snapshot).has_value());
    options.strings = true;
    cr_expect(one_has("654328"), "all that was counted");
    options.deltas = true;
    cr_expect(one_has("654321"));
}

Test(cpp_export, records_are_of_what_was_chosen)
{
    served w;
    const std::vector<std::string> entries = records_of(w, {}, nullptr, &invocations);

    cr_assert_eq(entries.size(), 1);
    cr_expect(has(entries[0], "avif/request"));
    cr_expect(has(entries[0], "invocations"));
}

// For C they would end there.
Test(cpp_export, strings_with_a_nul_inside_are_refused)
{
    using namespace std::string_literals;
    served w;
    vmtally::records_options host, sender;
    const auto refused = [](const auto &r) {
        return !r && r.error().number() == EINVAL && has(r.error().what(), "\\0b: a NUL inside of a string");
    };

    host.host = sender.sender = "a\0b"s;
    cr_expect(refused(vmtally::records::create(host)));
    cr_expect(refused(vmtally::records::create(sender)));
    cr_expect(refused(vmtally::tinykvm(w.snapshot, "avif\0b"s)));
    cr_expect(refused(vmtally::metrics().add(w.snapshot, "a\0b"s)));
    cr_expect(refused(vmtally::firecracker_lines().encode(w.snapshot, "a\0b"s)));
}
