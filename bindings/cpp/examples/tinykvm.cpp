// SPDX-License-Identifier: MIT
// A compute server in the shape of TinyKVM: programs, each with a pool of request machines that worker threads reserve,
// run and return, and a storage machine that all its requests share; one program is replaced while it serves. At the
// end it prints TinyKVM's JSON document. Guests are pretended; what counts is who counts where:
//
//   - a machine has a shard of its program's sources. It moves with the machine: the worker that has reserved it and
//     the machine's own thread write it in turn, ordered by the queue and the future between them. No atomics, no
//     thread locals, and the totals over machines are the reader's to make;
//   - what belongs to a lock is counted by whoever holds it, into a shard that lies beside the lock;
//   - a program that was replaced has its sources removed at once. The machines that still run go on counting into
//     their shards; when the last is gone, the parent, here the segment, has it all.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <vmtally/export.hpp>

using vmtally::schemas::program;
using vmtally::schemas::request;
using vmtally::schemas::storage;

constexpr unsigned requests = 600, workers = 4, machines_per_program = 3;

static std::uint64_t ns_since(std::chrono::steady_clock::time_point start)
{
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count());
}

// The thread that a virtual machine runs on. Whoever waits for the future sees all that the task has written.
class vm_thread
{
  public:
    ~vm_thread()
    {
        post([this] { running_ = false; }).wait();
        thread_.join();
    }
    std::future<void> post(std::function<void()> task)
    {
        const std::lock_guard<std::mutex> hold(lock_);

        tasks_.emplace_back(std::move(task));
        some_.notify_one();
        return tasks_.back().get_future();
    }

  private:
    void run()
    {
        while (running_) {
            std::unique_lock<std::mutex> hold(lock_);
            some_.wait(hold, [this] { return !tasks_.empty(); });
            std::packaged_task<void()> task = std::move(tasks_.front());
            tasks_.pop_front();
            hold.unlock();
            task();
        }
    }

    std::mutex lock_;
    std::condition_variable some_;
    std::deque<std::packaged_task<void()>> tasks_;
    bool running_ = true; // its thread's own
    std::thread thread_{ [this] { run(); } };
};

// One of a program's machines: guest, thread and counts.
struct machine {
    vmtally::shard<request> counts;
    vmtally::shard<program> of_program;
    vm_thread thread;

    machine(const vmtally::source<request> &from, const vmtally::source<program> &of)
        : counts(from.acquire()), of_program(of.acquire())
    {
        counts[request::vm_address_space] = 1U << 30;
        counts[request::vm_main_memory] = 64U << 20;
    }

    // On its thread: the guest answers request n, or fails.
    void guest(unsigned n)
    {
        const auto start = std::chrono::steady_clock::now();
        const std::vector<char> page(4096 * (1 + n % 8), 'x');

        counts[request::input_bytes] += 100 + n % 50;
        counts[request::vm_bank_highest].peak(page.size());
        if (n % 25 == 3) {
            ++counts[request::exceptions];
            ++of_program[program::program_exception];
        } else if (n % 10 == 0) {
            ++counts[request::status_4xx];
            ++of_program[program::program_status_4xx];
        } else {
            ++counts[request::status_2xx];
            counts[request::output_bytes] += page.size();
        }
        counts[request::request_cpu_time] += ns_since(start);
        of_program[program::cpu_time] += ns_since(start);
    }
};

// What the requests of a program share: one machine, one thread, tasks one after the other.
class storage_machine
{
  public:
    explicit storage_machine(const vmtally::source<storage> &source)
        : counts_(source.acquire()), of_lock_(source.acquire())
    {
    }

    std::future<void> store(std::size_t bytes)
    {
        change_queued(+1);
        return thread_.post([this, bytes] {
            const auto start = std::chrono::steady_clock::now();

            ++counts_[storage::invocations];
            counts_[storage::input_bytes] += bytes;
            counts_[storage::request_cpu_time] += ns_since(start);
            change_queued(-1);
        });
    }

  private:
    void change_queued(int by)
    {
        const std::lock_guard<std::mutex> hold(lock_);

        queued_ += by;
        of_lock_[storage::tasks_queued] = static_cast<std::uint64_t>(queued_);
    }

    vmtally::shard<storage> counts_; // its thread's
    std::mutex lock_;
    vmtally::shard<storage> of_lock_; // of whoever holds lock_
    int queued_ = 0;
    vm_thread thread_;
};

class loaded_program
{
  public:
    loaded_program(const vmtally::segment &segment, const std::string &name, std::size_t binary_size)
        : source_(segment.add<program>(name).value()), requests_(source_.add<request>("request").value()),
          storage_source_(source_.add<storage>("storage").value()), of_lock_(source_.acquire()), shared(storage_source_)
    {
        of_lock_[program::binary_size] = binary_size;
        for (unsigned i = 0; i < machines_per_program; i++)
            free_.push_back(std::make_unique<machine>(requests_, source_));
    }

    // Wait for a machine of one's own; nullptr after a minute.
    std::unique_ptr<machine> reserve()
    {
        const auto start = std::chrono::steady_clock::now();
        std::unique_lock<std::mutex> hold(lock_);

        if (!some_.wait_for(hold, std::chrono::minutes(1), [this] { return !free_.empty(); })) {
            ++of_lock_[program::reservation_timeouts];
            return nullptr;
        }
        std::unique_ptr<machine> reserved = std::move(free_.front());
        free_.pop_front();
        reserved->counts[request::reservation_time] += ns_since(start);
        return reserved;
    }

    void give_back(std::unique_ptr<machine> used)
    {
        const std::lock_guard<std::mutex> hold(lock_);

        ++used->counts[request::resets];
        free_.push_back(std::move(used));
        some_.notify_one();
    }

    // Another one of this name takes over. What runs here runs on, and its counts stay with the parent.
    void retire()
    {
        source_.remove();
        requests_.remove();
        storage_source_.remove();
    }

    void was_updated(std::size_t transferred)
    {
        const std::lock_guard<std::mutex> hold(lock_);

        ++of_lock_[program::live_updates];
        of_lock_[program::live_update_transfer_bytes] += transferred;
    }

  private:
    vmtally::source<program> source_;
    vmtally::source<request> requests_;
    vmtally::source<storage> storage_source_;
    std::mutex lock_;
    std::condition_variable some_;
    vmtally::shard<program> of_lock_; // of whoever holds lock_
    std::deque<std::unique_ptr<machine>> free_;

  public:
    storage_machine shared;
};

static void serve(loaded_program &by, std::unique_ptr<machine> on, unsigned n)
{
    if (!on)
        return;
    ++on->counts[request::invocations]; // still the worker
    on->thread.post([&] { on->guest(n); }).wait();
    if (n % 5 == 0)
        by.shared.store(64).wait();
    by.give_back(std::move(on)); // and the worker again
}

// Programs by name, of which one may be replaced at any time.
class server
{
  public:
    explicit server(const vmtally::segment &segment)
        : segment_(segment), avif_(std::make_shared<loaded_program>(segment, "avif", 1000000)),
          resize_(std::make_shared<loaded_program>(segment, "resize", 400000))
    {
    }

    void handle(unsigned n)
    {
        const std::shared_ptr<loaded_program> chosen = n % 3 ? current() : resize_;

        serve(*chosen, chosen->reserve(), n);
    }

    // A request is under way in the old program while the new one comes.
    void update(unsigned n)
    {
        const std::shared_ptr<loaded_program> old = current();
        std::unique_ptr<machine> busy = old->reserve();

        old->retire();
        auto next = std::make_shared<loaded_program>(segment_, "avif", 1100000);
        next->was_updated(4096);
        {
            const std::lock_guard<std::mutex> hold(lock_);

            avif_ = next;
        }
        serve(*old, std::move(busy), n);
    }

  private:
    std::shared_ptr<loaded_program> current()
    {
        const std::lock_guard<std::mutex> hold(lock_);

        return avif_;
    }

    const vmtally::segment &segment_;
    std::mutex lock_;
    std::shared_ptr<loaded_program> avif_, resize_;
};

static void serve_all(server &all)
{
    std::atomic<unsigned> next{ 1 }; // request 0 is that of the update
    std::vector<std::thread> threads;

    for (unsigned i = 0; i < workers; i++)
        threads.emplace_back([&] {
            for (unsigned n; (n = next++) < requests;)
                all.handle(n);
        });
    all.update(0);
    for (std::thread &thread : threads)
        thread.join();
}

int main()
{
    vmtally::segment_options options;

    options.name = "tinykvm-" + std::to_string(getpid());
    auto segment = vmtally::segment::create(options);
    if (!segment) {
        std::fprintf(stderr, "tinykvm: %s\n", segment.error().what().c_str());
        return 1;
    }
    server all(*segment);
    serve_all(all);

    auto reader = vmtally::reader::attach(*segment); // or, in another process, reader::attach(path)
    vmtally::snapshot snapshot;
    snapshot.want_shards(); // a machine each
    if (auto taken = snapshot.take(reader.value()); !taken) {
        std::fprintf(stderr, "tinykvm: %s\n", taken.error().what().c_str());
        return 1;
    }
    auto document = vmtally::tinykvm(snapshot, {}, true);
    if (!document) {
        std::fprintf(stderr, "tinykvm: %s\n", document.error().what().c_str());
        return 1;
    }
    return std::fputs(document->c_str(), stdout) < 0 || std::fflush(stdout) != 0;
}
