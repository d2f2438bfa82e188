// SPDX-License-Identifier: MIT
// Writer, reader and documents in a program that has neither exceptions nor run-time types. Prints TAP.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <vmtally/export.hpp>

#ifdef __cpp_exceptions
#error "to be compiled with -fno-exceptions"
#endif
#ifdef __cpp_rtti
#error "to be compiled with -fno-rtti"
#endif

#define DISK_STATISTICS(X)                                                                                             \
    X(CUMULATIVE, reads, "reads", NONE, 1, 0, "Reads completed")                                                       \
    X(INSTANT, depth, "depth", NONE, 1, 0, "Requests in flight")                                                       \
    X(LATENCY, read, "read", NANOSECONDS, 32, 0, "Time a read takes")
VMTALLY_SCHEMA(disk, "disk", "myvmm", "block", DISK_STATISTICS)

static int bad = 0;

static void check(bool good, const char *name)
{
    std::printf("%sok - %s\n", good ? "" : "not ", name);
    bad |= !good;
}

static void count(vmtally::shard<disk> &sh)
{
    ++sh[disk::reads];
    sh[disk::depth] = 3;
    const auto timer = sh[disk::read].time();
    const auto group = sh.group();
}

// What it says before it ends, and whether by abort().
static bool ends_saying(const char *what)
{
    int ends[2], status = 0;
    char said[256] = "";

    if (std::fflush(stdout) != 0 || pipe(ends) != 0)
        return false;
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        vmtally::reader::attach("/nowhere/at-all.vmt").value();
        _exit(0);
    }
    close(ends[1]);
    const bool read_it = read(ends[0], said, sizeof(said) - 1) > 0;
    close(ends[0]);
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
           read_it && std::string(said).find(what) != std::string::npos;
}

int main()
{
    char dir[] = "/dev/shm/vmtally-test.XXXXXX";
    vmtally::segment_options options;

    if (!mkdtemp(dir))
        return 1;
    options.dir = dir;
    options.name = "plain";
    {
        auto segment = vmtally::segment::create(options);
        auto source = segment->add<disk>("disk-0");
        auto sh = source->acquire();

        count(sh);
        auto reader = vmtally::reader::attach(segment->path());
        auto snapshot = reader->snapshot();
        const auto sample = snapshot->find("disk-0");
        const auto values = sample->as<disk>();
        check((*values)[disk::reads] == 1 && (*values)[disk::depth] == 3 && (*values)[disk::read].count() == 1,
              "counts and reads without exceptions and run-time types");
        const auto json = vmtally::json(*snapshot);
        check(json && json->find("\"reads\"") != std::string::npos, "writes documents");
        const auto again = segment->add<disk>("disk-0");
        check(!again && again.error().number() == EEXIST, "gets errors as values");
    }
    check(ends_saying("attach /nowhere/at-all.vmt: No such file or directory"),
          "asking an error for its value says why and aborts");
    check(rmdir(dir) == 0, "leaves nothing behind");
    return bad;
}
