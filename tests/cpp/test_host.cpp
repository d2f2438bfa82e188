// SPDX-License-Identifier: MIT
// Finding segments, judging them, and all VMs of the host.
#include "support.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(cpp_host, .init = test_dir_init, .fini = test_dir_fini);

Test(cpp_host, segments_are_found_by_name)
{
    vmtally::segment b = a_segment("b"), a = a_segment("a");
    auto found = vmtally::discover();

    cr_assert(found.has_value());
    cr_assert_eq(found->size(), 2);
    cr_expect(found->at(0).name == "a" && found->at(1).name == "b");
    cr_expect(found->at(1).path == b.path());
    cr_expect(vmtally::reader::attach(found->at(1).path).has_value());
    cr_expect_eq(vmtally::discover(test_path("")).value().size(), 2);
    auto none = vmtally::discover(test_path("absent"));
    cr_expect(none ? none->empty() : none.error().code() == std::errc::no_such_file_or_directory);
    auto odd = vmtally::discover(a.path());
    cr_assert_not(odd.has_value());
    cr_expect(odd.error().what().find(a.path()) != std::string::npos);
}

Test(cpp_host, a_name_is_of_one_vm_or_an_error)
{
    vmtally::segment a = a_segment("a"), b = a_segment("b");

    cr_expect(vmtally::attach("a").value().path() == a.path());
    cr_expect(vmtally::find("c").value().empty());
    const auto none = vmtally::attach("c");
    cr_expect_eq(none.error().number(), ENOENT);
    cr_expect(none.error().what() == std::string("attach c: no VM of that name in ") + getenv("VMTALLY_DIR"));
    cr_expect_eq(vmtally::attach("a", test_path("absent")).error().number(), ENOENT);

    std::filesystem::rename(a.path(), test_path("x.vmt"));
    cr_expect(vmtally::attach("a", test_path("")).value().path().find("/x.vmt") != std::string::npos,
              "its name stands in it");
    std::filesystem::copy_file(test_path("x.vmt"), test_path("y.vmt"));
    const auto several = vmtally::attach("a");
    cr_expect_eq(several.error().number(), ENOTUNIQ);
    cr_expect(several.error().what().find("/x.vmt, ") != std::string::npos);
    cr_expect(several.error().what().find("/y.vmt, ") != std::string::npos);
    cr_expect_eq(vmtally::find("a").value().size(), 2);
    std::filesystem::rename(test_path("y.vmt"), test_path("a~1.vmt"));
    cr_expect(vmtally::attach("a").value().path() == test_path("x.vmt"), "the other one was set aside");
}

Test(cpp_host, a_file_gets_its_verdict)
{
    vmtally::segment segment = a_segment("a");
    auto sound = vmtally::check(segment.path());

    cr_assert(sound.has_value());
    cr_expect_eq(sound->state, VMT_STATE_LIVE);
    cr_expect(sound->why.empty());
    FILE *f = fopen(test_path("text"), "w");
    cr_assert(f && fputs("this is a text that is no segment at all", f) >= 0 && fclose(f) == 0);
    cr_expect_eq(vmtally::check(test_path("text")).error().number(), EMEDIUMTYPE);

    std::filesystem::copy_file(segment.path(), test_path("copy.vmt"));
    f = fopen(test_path("copy.vmt"), "r+");
    cr_assert(f && fseek(f, 64, SEEK_SET) == 0);
    for (int i = 0; i < 2000; i++)
        fputc(0xff, f);
    cr_assert_eq(fclose(f), 0);
    auto damaged = vmtally::check(test_path("copy.vmt"));
    cr_assert(!damaged || (damaged->state == VMT_STATE_DAMAGED && !damaged->why.empty()));
}

Test(cpp_host, only_segments_of_dead_writers_are_removed)
{
    vmtally::segment_options options;

    options.name = "kept";
    options.keep = true;
    auto segment = vmtally::segment::create(options);
    const std::string path = segment->path();

    cr_expect_eq(vmtally::remove_dead(path).error().number(), EBUSY);
    segment->close();
    cr_expect(vmtally::remove_dead(path, true).has_value());
    cr_expect_eq(access(path.c_str(), F_OK), 0, "only said");
    cr_expect(vmtally::remove_dead(path).has_value());
    cr_expect_neq(access(path.c_str(), F_OK), 0);
}

Test(cpp_host, a_host_finds_segments_and_is_kept_by_its_readers)
{
    vmtally::segment segment = a_segment("a");
    auto x = a_source<thing>(segment, "x");
    vmtally::host_options options;

    options.pid = static_cast<std::uint32_t>(getpid());
    options.debugfs = test_path("no-debugfs");
    auto host = vmtally::host::create(options);
    cr_assert(host.has_value());
    cr_assert(host->look().has_value());
    auto found = host->discover();
    cr_assert(found.has_value());
    cr_expect_eq(
        std::count_if(found->begin(), found->end(), [&](const vmtally::found &f) { return f.path == segment.path(); }),
        1);
    cr_assert_eq(host->find("a").value().size(), 1);
    cr_expect(host->find("a").value().front().path == segment.path());
    cr_expect(host->find("b").value().empty());
    auto reader = host->attach(segment.path());
    cr_assert(reader.has_value());
    {
        const vmtally::host gone = *std::move(host);
    }
    auto snapshot = reader->snapshot();
    cr_assert(snapshot.has_value());
    cr_expect(snapshot->find("x").has_value());
}

Test(cpp_host, a_host_that_was_moved_from_finds_nothing)
{
    vmtally::host host = vmtally::host::create().value();
    const vmtally::host moved = std::move(host);

    cr_expect_eq(host.look().error().number(), EINVAL);
    cr_expect_eq(host.split().error().number(), EINVAL);
    cr_expect_eq(host.discover().error().number(), EINVAL);
    cr_expect_eq(host.find("a").error().number(), EINVAL);
    cr_expect_eq(host.attach("/proc/1").error().number(), EINVAL);
    cr_expect_eq(host.fd(), -1);
    host.drop();
    cr_expect(host.trouble().empty());
}

Test(cpp_host, a_process_without_vms_is_none)
{
    auto host = vmtally::host::create();

    cr_assert(host.has_value());
    cr_assert(host->look().has_value());
    const std::string path = "/proc/" + std::to_string(getpid());
    auto reader = host->attach(path);
    cr_assert_not(reader.has_value());
    cr_expect_eq(reader.error().number(), ESRCH);
    cr_expect(reader.error().what().find(path) != std::string::npos);
    cr_expect_geq(host->fd(), -1);
    host->drop();
    (void)host->trouble();
}

// For C they would end there, and mean another directory, VM or file.
Test(cpp_host, strings_with_a_nul_inside_are_refused)
{
    using namespace std::string_literals;
    const vmtally::segment segment = a_segment("a");
    const std::string dir = test_path("") + "\0b"s;
    auto host = vmtally::host::create().value();
    vmtally::host_options proc, debugfs;
    const auto refused = [](const auto &r) {
        return !r && r.error().number() == EINVAL && r.error().what().find("\\0b: a NUL") != std::string::npos;
    };

    proc.proc = debugfs.debugfs = "/\0b"s;
    cr_expect(refused(vmtally::discover(dir)));
    cr_expect(refused(vmtally::find("a", dir)));
    cr_expect(refused(vmtally::find("a\0b"s)));
    cr_expect(refused(vmtally::attach("a", dir)));
    cr_expect(refused(vmtally::attach("a\0b"s)));
    cr_expect(refused(vmtally::host::create(proc)));
    cr_expect(refused(vmtally::host::create(debugfs)));
    cr_expect(refused(host.discover(dir)));
    cr_expect(refused(host.find("a", dir)));
    cr_expect(refused(host.find("a\0b"s)));
    cr_expect(refused(host.attach(segment.path() + "\0b"s)));
}

// ---- what the kernel counts ----

// A child that does nothing, in a proc file system of the test's own in which it seems to have a VM.
struct seeming_vmm {
    pid_t pid = fork();

    seeming_vmm()
    {
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;)
                pause();
        }
        cr_assert_gt(pid, 0);
        const std::string real = "/proc/" + std::to_string(pid), own = proc() + "/" + std::to_string(pid);

        std::filesystem::create_directories(own + "/fd");
        for (const char *file : { "/stat", "/status", "/comm", "/cmdline" })
            std::filesystem::create_symlink(real + file, own + file);
        std::filesystem::create_symlink("anon_inode:kvm-vm", own + "/fd/9");
    }
    ~seeming_vmm() { end(); }
    seeming_vmm(const seeming_vmm &) = delete;
    seeming_vmm &operator=(const seeming_vmm &) = delete;

    void end()
    {
        if (pid > 0 && kill(pid, SIGKILL) == 0)
            waitpid(pid, nullptr, 0);
        pid = 0;
    }

    static std::string proc() { return test_path("proc"); }

    vmtally::host_options only() const
    {
        vmtally::host_options options;

        options.proc = proc();
        options.debugfs = test_path("no-debugfs");
        options.pid = static_cast<std::uint32_t>(pid);
        return options;
    }
};

static std::vector<std::string> found_by(vmtally::host &host)
{
    std::vector<std::string> paths;

    for (const vmtally::found &f : host.discover().value())
        paths.push_back(f.path);
    return paths;
}

static std::string path_of(pid_t pid) { return "/proc/" + std::to_string(pid); }

Test(cpp_host, one_process_is_looked_at_where_that_is_wanted)
{
    const seeming_vmm a, b;
    vmtally::host_options options = a.only();
    vmtally::host one = vmtally::host::create(options).value();

    cr_assert(one.look().has_value());
    cr_expect(found_by(one) == std::vector<std::string>{ path_of(a.pid) });
    options.pid = 0;
    vmtally::host all = vmtally::host::create(options).value();
    cr_assert(all.look().has_value());
    cr_expect_eq(found_by(all).size(), 2);
}

Test(cpp_host, one_look_is_all_where_that_is_wanted)
{
    const seeming_vmm vmm;
    vmtally::host_options options = vmm.only();

    options.once = true;
    vmtally::host host = vmtally::host::create(options).value();
    cr_assert(host.look().has_value());
    cr_expect_eq(found_by(host).size(), 1);
    cr_expect_eq(host.look().error().number(), EALREADY);
}

Test(cpp_host, what_has_ended_is_dropped_without_a_look)
{
    seeming_vmm vmm;
    const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, vmm.pid, 0));

    if (pidfd < 0)
        cr_skip_test("no pidfd_open here: a host sees who has ended when it looks");
    close(pidfd);
    vmtally::host host = vmtally::host::create(vmm.only()).value();
    cr_assert(host.look().has_value());
    pollfd ended = { host.fd(), POLLIN, 0 };
    cr_assert_eq(poll(&ended, 1, 0), 0);
    const std::string path = path_of(vmm.pid);
    vmm.end();
    cr_assert_eq(poll(&ended, 1, 60000), 1);
    cr_expect(found_by(host) == std::vector<std::string>{ path });
    host.drop();
    cr_expect(found_by(host).empty());
    cr_expect_eq(poll(&ended, 1, 0), 0);
}

Test(cpp_host, a_process_of_its_own_looks_where_that_is_wanted)
{
    const seeming_vmm vmm;
    vmtally::host host = vmtally::host::create(vmm.only()).value();
    auto *const looks =
        static_cast<pid_t *>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));

    cr_assert_neq(static_cast<void *>(looks), MAP_FAILED);
    const auto split = host.split([](void *arg) { *static_cast<pid_t *>(arg) = getpid(); }, looks);
    cr_assert(split.has_value(), "%s", split ? "" : split.error().what().c_str());
    cr_expect_eq(host.split().error().number(), EALREADY);
    cr_expect(comes_true([&] { return host.look().has_value(); }));
    cr_expect(*looks != 0 && *looks != getpid());
    cr_expect_eq(host.fd(), -1);
    cr_expect(found_by(host) == std::vector<std::string>{ path_of(vmm.pid) });
    munmap(looks, 4096);
}
