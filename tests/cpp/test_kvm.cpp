// SPDX-License-Identifier: MIT
// What the kernel counts, copied into the segment. The kernel's part is played by a file: what KVM once gave.
#include "support.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <linux/kvm.h>
#include <sys/mman.h>
#include <unistd.h>

TestSuite(cpp_kvm, .init = test_dir_init, .fini = test_dir_fini);

using namespace std::chrono_literals;
using vmtally::schemas::vcpu;

extern "C" int kvm_link(vmt_source *source, int stats_fd); // of vmt_kvm_add(); lib/kvm/link.h

// A segment with one vCPU, whose statistics file holds what a test puts there.
struct counted {
    int fd = memfd_create("statistics", MFD_CLOEXEC);
    vmtally::segment segment = a_segment();
    vmtally::source<vcpu> source = a_source<vcpu>(segment, "vcpu-0");

    counted()
    {
        const char *root = getenv("VMT_SOURCE_ROOT");
        cr_assert(root);
        const std::string path = root + std::string("/tests/unit/recorded/kvm-vcpu-stats");
        char bytes[16384];
        FILE *f = fopen(path.c_str(), "re");
        cr_assert(f);
        const std::size_t n = fread(bytes, 1, sizeof(bytes), f);

        fclose(f);
        cr_assert_eq(write(fd, bytes, n), static_cast<ssize_t>(n));
        put(0);
        cr_assert_eq(kvm_link(source.get(), dup(fd)), 0);
    }
    ~counted() { close(fd); }
    counted(const counted &) = delete;
    counted &operator=(const counted &) = delete;

    // The first value in the file, which is "exits" or whatever KVM has there.
    void put(std::uint64_t value) const
    {
        kvm_stats_header header;

        cr_assert_eq(pread(fd, &header, sizeof(header), 0), static_cast<ssize_t>(sizeof(header)));
        cr_assert_eq(pwrite(fd, &value, sizeof(value), header.data_offset), static_cast<ssize_t>(sizeof(value)));
    }

    // The same as readers see it, who may not ask the kernel; nothing where there is no copy.
    std::optional<std::uint64_t> copied() const
    {
        const vmtally::snapshot snapshot = a_snapshot(segment.path());
        const auto copy = snapshot.find("vcpu-0/kvm");

        return copy ? std::optional<std::uint64_t>(copy->slots()[0]) : std::nullopt;
    }
};

// Threads of the library's that copy.
static int copiers()
{
    int n = 0;

    for (const auto &task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::string name;

        std::getline(std::ifstream(task.path() / "comm"), name);
        n += name == "vmtally-kvm";
    }
    return n;
}

Test(cpp_kvm, a_sample_is_copied_when_it_is_asked_for)
{
    counted c;

    c.put(7);
    cr_expect_not(c.copied().has_value());
    for (const std::uint64_t value : { UINT64_C(7), UINT64_C(12) }) {
        c.put(value);
        const auto sampled = c.segment.sample_kvm();
        cr_assert(sampled.has_value(), "%s", sampled ? "" : sampled.error().what().c_str());
        cr_expect(c.copied() == value);
    }
    c.segment.close();
    cr_expect_eq(c.segment.sample_kvm().error().number(), ENODEV);
    cr_expect_eq(c.segment.sample_kvm_every(1s).error().number(), ENODEV);
}

Test(cpp_kvm, a_thread_copies_with_an_interval_until_it_is_0)
{
    counted c;

    c.put(7);
    cr_assert(c.segment.sample_kvm_every(1ms).has_value());
    cr_expect(c.copied() == 7, "at once");
    cr_expect(comes_true([] { return copiers() == 1; }));
    for (const std::uint64_t value : { UINT64_C(12), UINT64_C(17) }) {
        c.put(value);
        cr_expect(comes_true([&] { return c.copied() == value; }));
    }
    cr_assert(c.segment.sample_kvm_every(0ms).has_value());
    cr_expect(comes_true([] { return copiers() == 0; }));
}
