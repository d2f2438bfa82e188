// SPDX-License-Identifier: MIT
// vmtally/segment.hpp: the writer. A VMM creates one segment, adds sources to it and acquires shards of them.
//
// Every call here is cold and for any thread, but not for a signal handler (source::count() apart). Handles may be
// destroyed in any order: sources share the segment, which is closed by close() or with its last handle; shards stay
// valid, as private memory. After fork() a child's handles do nothing, and its shards count into private memory.
#ifndef VMTALLY_SEGMENT_HPP
#define VMTALLY_SEGMENT_HPP

#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <vmtally/count.hpp>
#include <vmtally/result.hpp>
#include <vmtally/segment_state.hpp>

namespace vmtally
{

// How to create a segment, as struct vmt_segment_options in <vmtally/segment.h>, where each is told. As it is it is a
// good choice: all empty, 0 and false.
struct segment_options {
    std::string name{}; // 1 to 63 of [A-Za-z0-9._:@+-], no '.' first; empty: program name and pid
    std::string dir{};  // empty: $VMTALLY_DIR, or where else readers look
    std::string path{}; // not empty: this file, which exists and is empty
    int fd{ 0 };        // > 0: this file, open O_RDWR; the caller's to close
    std::uint32_t max_sources{ 0 };
    std::uint64_t max_bytes{ 0 };
    std::uint64_t fixed_bytes{ 0 };                   // not 0: jail mode, all memory is had now
    std::vector<std::string> labels{};                // "key=value"
    std::chrono::nanoseconds heartbeat_interval{ 0 }; // not below 0
    std::uint32_t mode{ 0 };                          // of the file, 0: 0640
    bool keep{ false };
    bool any_filesystem{ false };
    bool resume{ false };
};

// The values of one source as one execution context writes them: a thread, a queued job, a guest machine, or whoever
// holds a lock. Moving it, or the right to use it, to another one needs no call, only the order that the hand-over
// gives. It is never null: default-constructed or moved from it is scratch memory. Released when it is destroyed, by
// any thread; what it has counted stays.
template <class Schema> class shard
{
  public:
    shard() noexcept = default;
    // Takes over what vmt_shard_acquire() gave for a source of this schema.
    explicit shard(vmt_shard *acquired) noexcept : shard_(acquired) {}
    shard(shard &&other) noexcept : shard_(std::exchange(other.shard_, detail::scratch())) {}
    shard &operator=(shard &&other) noexcept
    {
        shard moved(std::move(other));

        std::swap(shard_, moved.shard_);
        return *this;
    }
    ~shard() { vmt_shard_release(shard_); }

    // ++sh[disk::reads], sh[disk::depth] = 3, sh[disk::read].record(ns), ...
    template <class Kind> VMTALLY_HOT_ cell<Kind> operator[](slot<Schema, Kind> of) noexcept
    {
        return { shard_, of.number };
    }

    [[nodiscard]] VMTALLY_HOT_ vmtally::group group() noexcept { return vmtally::group(shard_); }

    // For the C API; it stays this one's.
    vmt_shard *get() const noexcept { return shard_; }

  private:
    vmt_shard *shard_ = detail::scratch();
};

template <class Schema> class source;

// A source, whatever its schema: a parent. Destroying the handle removes the source: its parent keeps what it has
// counted. Removal with children or shards that are still held is legal. Empty (default-constructed, moved from) it
// adds nothing and gives scratch.
class any_source
{
  public:
    any_source() noexcept = default;
    any_source(any_source &&other) noexcept
        : state_(std::move(other.state_)), source_(std::exchange(other.source_, nullptr))
    {
    }
    any_source &operator=(any_source &&other) noexcept
    {
        any_source moved(std::move(other));

        std::swap(state_, moved.state_);
        std::swap(source_, moved.source_);
        return *this;
    }
    ~any_source() { remove(); }

    // Remove it now; once. Not while another thread counts into it by count().
    void remove() noexcept
    {
        vmt_source *gone = std::exchange(source_, nullptr);

        if (gone)
            with(
                [gone](vmt_segment *) noexcept {
                    vmt_source_remove(gone);
                    return 0;
                },
                0);
        state_.reset();
    }

    // Add a child: 1 to 47 bytes, printable ASCII without '/' and space. EINVAL, EEXIST, ENODEV (no segment, or
    // closed), ECHILD, ENAMETOOLONG, ENFILE, ENOSPC, EDQUOT, EFBIG, ENOMEM, ELOOP, ESTALE: see vmt_source_add().
    template <class Schema> result<source<Schema>> add(std::string_view id) const
    {
        if (!source_)
            return refused(-ENODEV, id);
        return add_to<Schema>(state_, source_, id);
    }

    // For VMMs on KVM: kvm_fd is the VM or vCPU that this source counts. See vmt_kvm_add().
    result<void> add_kvm(int kvm_fd) const
    {
        const int r = with([this, kvm_fd](vmt_segment *) noexcept { return vmt_kvm_add(source_, kvm_fd); }, -ENODEV);

        if (r < 0)
            return vmtally::error(r, "add the kernel's counters of", "a KVM descriptor",
                                  r == -EINVAL ? "no KVM descriptor of the source's kind, \"vm\" or \"vcpu\"" : "");
        return {};
    }

    // For the C API; it stays this one's. Null where it is empty or its segment was closed.
    vmt_source *get() const noexcept { return state_ && state_->open() ? source_ : nullptr; }

  protected:
    any_source(std::shared_ptr<detail::segment_state> state, vmt_source *source) noexcept
        : state_(std::move(state)), source_(source)
    {
    }

    template <class Use, class Result> Result with(Use use, Result refused) const noexcept
    {
        return state_ ? state_->with(use, refused) : refused;
    }

    static vmtally::error refused(int code, std::string_view id)
    {
        std::string_view reason;

        if (code == -EINVAL || code == -ENAMETOOLONG)
            reason = "an id is 1 to 47 printable characters without '/' and space, and a schema keeps the rules of "
                     "<vmtally/schema.h>";
        else if (code == -EEXIST)
            reason = "its parent has one of that id";
        else if (code == -ESTALE)
            reason = "its parent was removed";
        else if (code == -ENFILE)
            reason = "the segment is full: create it with more max_sources";
        return { code, "add source", id, reason };
    }

    template <class Schema>
    static result<source<Schema>> add_to(const std::shared_ptr<detail::segment_state> &state, vmt_source *parent,
                                         std::string_view id)
    {
        char name[VMT_NAME_SIZE + 1] = {}; // what is too long stays so; nothing is allocated in a jail
        vmt_source *added = nullptr;

        if (detail::has_nul(id))
            return *detail::nul_inside("add source", { id });
        std::memcpy(name, id.data(), id.size() < VMT_NAME_SIZE ? id.size() : VMT_NAME_SIZE);
        const int r = state->with(
            [&](vmt_segment *segment) noexcept {
                return vmt_source_add(segment, &Schema::schema(), parent, name, &added);
            },
            -ENODEV);

        if (r < 0)
            return refused(r, id);
        return source<Schema>(state, added);
    }

    friend class segment;

    std::shared_ptr<detail::segment_state> state_;
    vmt_source *source_ = nullptr;
};

// A source of Schema.
template <class Schema> class source : public any_source
{
  public:
    source() noexcept = default;

    // For one execution context at a time. Always one: where there is no room, or no segment, it is scratch memory, and
    // the segment's dropped_shards counts it.
    shard<Schema> acquire() const noexcept
    {
        return shard<Schema>(
            with([this](vmt_segment *) noexcept { return vmt_shard_acquire(source_); }, detail::scratch()));
    }

    // For the calling thread only, which alone may destroy it: when the thread ends without, the next one takes it
    // over.
    shard<Schema> acquire_thread() const noexcept
    {
        return shard<Schema>(
            with([this](vmt_segment *) noexcept { return vmt_shard_acquire_thread(source_); }, detail::scratch()));
    }

    // n at once, one for each context.
    std::vector<shard<Schema>> acquire(std::size_t n) const
    {
        std::vector<shard<Schema>> shards(n);

        for (shard<Schema> &sh : shards)
            sh = acquire();
        return shards;
    }

    // A rare event, from any thread and any signal handler: one locked add into a shard of its own. Nothing where the
    // source is empty or the segment was closed; not while another thread closes it or removes the source.
    template <class Kind> void count(slot<Schema, Kind> of, typename Kind::value_type n = 1) const noexcept
    {
        static_assert(std::is_base_of_v<detail::adding<typename Kind::value_type>, cell<Kind>>,
                      "only what adds up may be counted by everybody");
        if (state_ && state_->open())
            vmt_count(source_, of.number, static_cast<std::uint64_t>(n));
    }

  private:
    using any_source::any_source;
    friend class any_source;
};

// A segment: one file in memory, this process its one writer.
class segment
{
  public:
    // Create one, or with .resume go on in one that an earlier writer left. EINVAL (name, option, label), EBADF (.fd
    // below 0), EEXIST (a live writer has that name), ENOTSUP (not a memory file system), ENOSPC, ...: see
    // vmt_segment_create().
    static result<segment> create(const segment_options &options = {})
    {
        if (auto wrong = unfit(options))
            return *std::move(wrong);
        char why[256] = "";
        vmt_segment *made = nullptr;
        std::vector<const char *> labels;
        vmt_segment_options o = c_options(options, labels);

        o.why = why;
        o.why_size = sizeof(why);
        const int r = vmt_segment_create(&o, &made);

        if (r < 0)
            return refused(r, options, why);
        std::unique_ptr<vmt_segment, void (*)(vmt_segment *)> owner(made, vmt_segment_close); // if memory runs out

        segment created(std::make_shared<detail::segment_state>(made, why));
        static_cast<void>(owner.release());
        return created;
    }

    segment(segment &&) noexcept = default;
    segment &operator=(segment &&) noexcept = default;

    // Say goodbye: readers see "closed", sources are no more, shards count into private memory. Not while another
    // thread is in count(). Without it the last handle, of segment or sources, closes it.
    void close() noexcept
    {
        if (state_)
            state_->close();
    }

    // Add a source below the segment itself; as any_source::add().
    template <class Schema> result<source<Schema>> add(std::string_view id) const
    {
        if (!state_)
            return any_source::refused(-ENODEV, id);
        return any_source::add_to<Schema>(state_, nullptr, id);
    }

    // With .resume: all sources have been added; those that were not are removed. See vmt_segment_ready().
    void ready() const noexcept
    {
        with(
            [](vmt_segment *s) noexcept {
                vmt_segment_ready(s);
                return 0;
            },
            0);
    }

    // Why what .resume found could not be gone on with, in one line; empty if it could, or there was nothing.
    std::string_view why() const noexcept { return state_ ? std::string_view(state_->why()) : std::string_view(); }

    // The VMM's own loop turns.
    void heartbeat() const noexcept
    {
        with(
            [](vmt_segment *s) noexcept {
                vmt_segment_heartbeat(s);
                return 0;
            },
            0);
    }

    // Stop being the writer without a goodbye, for another program to go on with .fd and .resume. All sources are no
    // more. Gives the descriptor, without O_CLOEXEC, the caller's. See vmt_segment_hand_over().
    result<int> hand_over() const
    {
        const int fd = state_ ? state_->hand_over() : -ENODEV;

        if (fd < 0)
            return vmtally::error(fd, "hand over segment", name());
        return fd;
    }

    // Copy what the kernel counts of the sources of add_kvm() into the segment: now, and with an interval by a thread
    // of the library's, too. See vmt_kvm_sample() and vmt_kvm_sample_every(). EINVAL: the interval is neither 0, which
    // ends it, nor at least 1 ms.
    result<void> sample_kvm() const
    {
        return kvm_done(with([](vmt_segment *s) noexcept { return vmt_kvm_sample(s); }, -ENODEV));
    }
    result<void> sample_kvm_every(std::chrono::nanoseconds interval) const
    {
        const auto ns = static_cast<std::uint64_t>(interval.count());

        if (interval.count() < 0)
            return kvm_done(-EINVAL);
        return kvm_done(with([ns](vmt_segment *s) noexcept { return vmt_kvm_sample_every(s, ns); }, -ENODEV));
    }

    // Of the file, "" for .fd and once it was closed; and the VM's name.
    std::string path() const
    {
        std::string path;

        with(
            [&path](vmt_segment *s) noexcept {
                path = vmt_segment_path(s);
                return 0;
            },
            0);
        return path;
    }
    std::string name() const { return state_ ? vmt_segment_name(state_->get()) : ""; }

    // For the C API; it stays this one's. Null once it was closed.
    vmt_segment *get() const noexcept { return state_ && state_->open() ? state_->get() : nullptr; }

  private:
    explicit segment(std::shared_ptr<detail::segment_state> state) noexcept : state_(std::move(state)) {}

    template <class Use, class Result> Result with(Use use, Result refused) const noexcept
    {
        return state_ ? state_->with(use, refused) : refused;
    }

    static vmt_segment_options c_options(const segment_options &from, std::vector<const char *> &labels)
    {
        vmt_segment_options o = {};

        for (const std::string &label : from.labels)
            labels.push_back(label.c_str());
        labels.push_back(nullptr);
        o.struct_size = sizeof(o);
        o.name = from.name.empty() ? nullptr : from.name.c_str();
        o.dir = from.dir.empty() ? nullptr : from.dir.c_str();
        o.path = from.path.empty() ? nullptr : from.path.c_str();
        o.fd = from.fd;
        o.max_sources = from.max_sources;
        o.max_bytes = from.max_bytes;
        o.fixed_bytes = from.fixed_bytes;
        o.labels = labels.data();
        o.heartbeat_interval_ns = static_cast<std::uint64_t>(from.heartbeat_interval.count());
        o.mode = from.mode;
        o.keep = from.keep;
        o.any_filesystem = from.any_filesystem;
        o.resume = from.resume;
        return o;
    }

    // What C has no way to be told.
    static std::optional<vmtally::error> unfit(const segment_options &o)
    {
        auto wrong = detail::nul_inside("create segment", { o.name, o.dir, o.path });

        for (const std::string &label : o.labels) {
            if (!wrong)
                wrong = detail::nul_inside("create segment with label", { label });
        }
        if (!wrong && o.heartbeat_interval.count() < 0)
            wrong = refused(-EINVAL, o, "its heartbeat_interval is below 0");
        return wrong;
    }

    static vmtally::error refused(int code, const segment_options &o, std::string_view why)
    {
        if (code == -EINVAL && why.empty())
            why = "a name is 1 to 63 of [A-Za-z0-9._:@+-] without a '.' first, a label \"key=value\"; or two of its "
                  "options exclude each other";
        else if (code == -EEXIST && why.empty())
            why = o.path.empty() ? "another process writes it: choose another name" : "the file is not empty";
        else if (code == -ENAMETOOLONG)
            why = "a name has 63 bytes at most, all labels 1022 with one between each, the file's path 4095";
        else if (code == -EBADF && o.fd < 0)
            why = "its fd is below 0, as what a failed open() gives";
        else if (code == -ENOTSUP)
            why = "not on a memory file system (tmpfs): choose another directory";
        return { code, "create segment", !o.path.empty() ? o.path : o.name.empty() ? "without a name" : o.name, why };
    }

    static result<void> kvm_done(int code)
    {
        if (code < 0)
            return vmtally::error(code, "sample", "the kernel's counters",
                                  code == -EINVAL ? "an interval is 0, which ends it, or at least 1 ms" : "");
        return {};
    }

    friend class reader;

    std::shared_ptr<detail::segment_state> state_;
};

} // namespace vmtally

#endif
