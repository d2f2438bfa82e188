// SPDX-License-Identifier: MIT
// vmtally/snapshot.hpp: attach to a segment, take snapshots of it, go through what they hold.
//
//     auto reader = vmtally::reader::attach("/run/vmtally/web-1.vmt");
//     vmtally::snapshot snapshot;
//     while (snapshot.take(*reader))
//         for (const auto &sample : snapshot)
//             use(sample.id(), sample.as<disk>());
//
// The file is not trusted: see <vmtally/reader.h>. One thread at a time for a reader, and for a snapshot.
//
// A snapshot owns its memory; samples, statistics, strings and all else that it gives are views into it: valid until it
// is taken anew, assigned to or destroyed (moving it is none of these). The compiler refuses views into a temporary.
// Who keeps one snapshot while the next is taken uses two, and std::swap(); or copy().
#ifndef VMTALLY_SNAPSHOT_HPP
#define VMTALLY_SNAPSHOT_HPP

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <vmtally/result.hpp>
#include <vmtally/segment.hpp>
#include <vmtally/statistic.hpp>

namespace vmtally
{

class snapshot_view;

// "live", "closed", "died", "died mid-change", "stalled", "damaged", "other version".
inline std::string_view name(vmt_state state) noexcept { return vmt_state_name(state); }

// Totals over all descendants of one source with one schema: those that live and those that departed.
class total : public values_view
{
  public:
    explicit total(const vmt_total *t, std::nullptr_t = nullptr) noexcept
        : values_view(t->schema, t->flags & VMT_SAMPLE_ABSENT ? nullptr : t->values), total_(t)
    {
    }
    std::uint32_t sources() const noexcept { return total_->sources; } // live ones
    values_view departed() const noexcept
    {
        return { total_->schema, total_->flags & VMT_SAMPLE_ABSENT ? nullptr : total_->departed };
    }
    bool absent() const noexcept { return (total_->flags & VMT_SAMPLE_ABSENT) != 0; }
    const vmt_total *operator->() const noexcept { return total_; }

  private:
    const vmt_total *total_;
};

using totals = detail::list<total, vmt_total, std::nullptr_t>;

// One shard of a source.
class shard_sample : public values_view
{
  public:
    shard_sample(const vmt_shard_sample *s, const vmt_schema *schema) noexcept
        : values_view(schema, s->values), shard_(s)
    {
    }
    std::uint32_t id() const noexcept { return shard_->id; }       // the same in all snapshots
    std::uint32_t owner() const noexcept { return shard_->owner; } // thread id in the writer's PID namespace, or 0
    bool held() const noexcept { return shard_->held == 1; }
    bool shared() const noexcept { return shard_->held == 2; } // what source::count() counts into
    const vmt_shard_sample *operator->() const noexcept { return shard_; }

  private:
    const vmt_shard_sample *shard_;
};

using shard_samples = detail::list<shard_sample, vmt_shard_sample, const vmt_schema *>;

// One source: the sums over its shards, what its descendants have counted, and its place in the tree.
class sample : public values_view
{
  public:
    sample(const vmt_snapshot *snapshot, const vmt_sample *s) noexcept
        : values_view(s->schema, s->flags & VMT_SAMPLE_ABSENT ? nullptr : s->values), snapshot_(snapshot), sample_(s)
    {
    }

    std::string_view id() const noexcept { return sample_->id; }     // "vm/vcpu-2"; "" for the segment itself
    std::string_view name() const noexcept { return sample_->name; } // its last part; the segment's name
    std::optional<sample> parent() const noexcept
    {
        if (sample_->parent == UINT32_MAX)
            return std::nullopt;
        return sample(snapshot_, vmt_snapshot_source(snapshot_, sample_->parent));
    }
    std::uint32_t depth() const noexcept { return sample_->depth; }
    bool leaving() const noexcept { return (sample_->flags & VMT_SAMPLE_LEAVING) != 0; }
    bool unconfirmed() const noexcept { return (sample_->flags & VMT_SAMPLE_UNCONFIRMED) != 0; }
    bool torn() const noexcept { return (sample_->flags & VMT_SAMPLE_TORN) != 0; }
    bool absent() const noexcept { return (sample_->flags & VMT_SAMPLE_ABSENT) != 0; }

    vmtally::totals totals() const noexcept { return { sample_->totals, sample_->total_count, nullptr }; }

    // Only with snapshot::want_shards().
    shard_samples shards() const noexcept { return { sample_->shards, sample_->shard_count, sample_->schema }; }

    // What all descendants of that schema have counted; nothing where there were none, or it could not be read.
    template <class Schema> std::optional<typed_values<Schema>> total_of() const noexcept
    {
        for (const vmtally::total t : totals()) {
            if (auto typed = t.as<Schema>())
                return typed;
        }
        return std::nullopt;
    }

    // What they have counted in the statistic d, in whichever schemas have it, by d's aggregation: d.get()->size
    // numbers. ENOENT (none has it), ENODATA (could not be read).
    result<std::vector<std::uint64_t>> total(const descriptor &d) const
    {
        std::vector<std::uint64_t> values(d.get()->size);
        const int r = vmt_sample_total(sample_, d.get(), values.data());

        if (r < 0)
            return vmtally::error(r, "add up", d.name(),
                                  r == -ENOENT ? "no descendant has it" : "it could not be read");
        return values;
    }

    const vmt_sample *get() const noexcept { return sample_; }
    const vmt_sample *operator->() const noexcept { return sample_; } // generation, created_ns, entry, ...

  private:
    const vmt_snapshot *snapshot_;
    const vmt_sample *sample_;
};

// The segment as of a snapshot.
class segment_info
{
  public:
    explicit segment_info(const vmt_segment_info *info) noexcept : info_(info) {}

    std::string_view name() const noexcept { return info_->name; }
    std::string_view path() const noexcept { return info_->path; }
    vmt_state state() const noexcept { return info_->state; }
    bool partial() const noexcept { return (info_->flags & VMT_SNAPSHOT_PARTIAL) != 0; }
    array_view<const char *> labels() const noexcept // "key=value"
    {
        std::size_t n = 0;

        while (info_->labels && info_->labels[n])
            n++;
        return { info_->labels, n };
    }
    const vmt_segment_info *operator->() const noexcept { return info_; } // pid, incarnation, created_ns, from, ...

  private:
    const vmt_segment_info *info_;
};

namespace detail
{
inline constexpr const char *no_labels[] = { nullptr };
inline constexpr vmt_segment_info no_segment = { "", "", no_labels,        {}, {}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                                 0,  0,  VMT_STATE_CLOSED, 0,  0 };
} // namespace detail

// The sources of a snapshot that somebody else owns: parents before their children, number 0 is the segment itself.
class snapshot_view : public detail::indexed<snapshot_view>
{
  public:
    snapshot_view() noexcept = default;
    explicit snapshot_view(const vmt_snapshot *snapshot) noexcept : snapshot_(snapshot) {}

    std::size_t size() const noexcept { return snapshot_ ? vmt_snapshot_count(snapshot_) : 0; }
    sample operator[](std::size_t i) const noexcept { return { snapshot_, vmt_snapshot_source(snapshot_, i) }; }

    // The source with this full id (not leaving, if there are two).
    std::optional<sample> find(const char *id) const noexcept
    {
        const vmt_sample *found = snapshot_ ? vmt_snapshot_find(snapshot_, id) : nullptr;

        return found ? std::optional<sample>(std::in_place, snapshot_, found) : std::nullopt;
    }
    std::optional<sample> find(const std::string &id) const noexcept
    {
        return detail::has_nul(id) ? std::nullopt : find(id.c_str());
    }

    // Without a name where it is empty.
    segment_info segment() const noexcept
    {
        return segment_info(snapshot_ ? vmt_snapshot_segment(snapshot_) : &detail::no_segment);
    }

    // Of the process that writes the segment, as this host sees it, where a vmtally::host knows that process; else
    // segment()->pid, which is in the writer's PID namespace.
    std::uint32_t pid() const noexcept { return snapshot_ ? vmt_snapshot_pid(snapshot_) : 0; }

    const vmt_snapshot *get() const noexcept { return snapshot_; }
    explicit operator bool() const noexcept { return snapshot_ != nullptr; }

  private:
    const vmt_snapshot *snapshot_ = nullptr;
};

struct reader_options {
    vmt_read_mode mode{ VMT_READ_COPY }; // or VMT_READ_GUARDED: mapped, takes the SIGBUS handler
    std::uint64_t max_bytes{ 0 };        // of a file that is read at most, 0: 256 MiB
};

class snapshot;

// Attached to one segment, read-only.
class reader
{
  public:
    // EMEDIUMTYPE (not a segment), EBADMSG, EPROTONOSUPPORT, ENODATA, and what open gives: see vmt_reader_open().
    static result<reader> attach(const std::string &path, const reader_options &options = {})
    {
        return attach_host(nullptr, path, options);
    }

    // A segment of this very process, which stays open as long as the reader: unless by segment::close(), after which
    // its state is "closed", and all else ENODEV.
    static result<reader> attach(const vmtally::segment &segment)
    {
        vmt_reader *opened = nullptr;
        const int r =
            segment.with([&](vmt_segment *s) noexcept { return vmt_reader_open_segment(s, &opened); }, -ENODEV);

        if (r < 0)
            return vmtally::error(r, "attach segment", segment.name());
        return reader(opened, nullptr, segment.state_);
    }

    reader(reader &&) noexcept = default;
    reader &operator=(reader &&other) noexcept
    {
        reader moved(std::move(other));

        std::swap(host_, moved.host_);
        std::swap(own_, moved.own_);
        std::swap(reader_, moved.reader_); // closed before what it needs goes
        return *this;
    }

    std::string_view path() const noexcept { return reader_ ? vmt_reader_path(reader_.get()) : "no reader"; }

    // What the writer is doing now. Two looks some time apart are needed to say "stalled".
    vmt_state state() noexcept { return with(vmt_reader_state, VMT_STATE_CLOSED, VMT_STATE_CLOSED); }

    // A new snapshot; snapshot::take() reuses one.
    result<vmtally::snapshot> snapshot();

    // The values of one source only, for who reads it very often: into values, s.get()->schema->slots of them; s is
    // from an earlier snapshot of this reader. ESTALE (it has gone), ENODATA, EBADMSG, ENOMEM. True: a group is
    // unconfirmed.
    result<bool> sample(const vmtally::sample &s, std::uint64_t *values)
    {
        const int r =
            with([&](vmt_reader *own) noexcept { return vmt_reader_sample(own, s.get(), values); }, -EINVAL, -ENODEV);

        if (r < 0)
            return vmtally::error(r, "read", s.id());
        return r == 1;
    }

    vmt_reader *get() const noexcept { return reader_.get(); }

  private:
    friend class host;
    friend class vmtally::snapshot;

    struct detach {
        void operator()(vmt_reader *r) const noexcept { vmt_reader_close(r); }
    };

    // What must outlive it: a host, or the segment of its own process, which is not closed in the middle of a call.
    reader(vmt_reader *r, std::shared_ptr<vmt_host> host, std::shared_ptr<detail::segment_state> own = nullptr) noexcept
        : host_(std::move(host)), own_(std::move(own)), reader_(r)
    {
    }

    template <class Use, class Result> Result with(Use use, Result none, Result closed) const noexcept
    {
        vmt_reader *const raw = reader_.get();

        if (!raw)
            return none;
        if (!own_)
            return use(raw);
        return own_->with([use, raw](vmt_segment *) noexcept { return use(raw); }, closed);
    }

    static result<reader> attach_host(const std::shared_ptr<vmt_host> &host, const std::string &path,
                                      const reader_options &options)
    {
        vmt_reader_options o = {};
        vmt_reader *opened = nullptr;

        if (auto wrong = detail::nul_inside("attach", { path }))
            return *std::move(wrong);
        o.struct_size = sizeof(o);
        o.mode = options.mode;
        o.max_bytes = options.max_bytes;
        const int r = vmt_reader_open_host(host.get(), path.c_str(), &o, &opened);

        if (r < 0)
            return vmtally::error(r, "attach", path, reason(r));
        return reader(opened, host);
    }

    static std::string_view reason(int code) noexcept
    {
        switch (-code) {
        case ELOOP:
            return "a symbolic link: name the segment file itself";
        case EINVAL:
            return "not a regular file";
        case ENOTSUP:
            return "on a file system where reading may hang: segments belong on a tmpfs";
        case EXDEV:
            return "something is mounted over it";
        case ESRCH:
            return "no such process, or it has no VM";
        default:
            return {};
        }
    }

    std::shared_ptr<vmt_host> host_;
    std::shared_ptr<detail::segment_state> own_;
    std::unique_ptr<vmt_reader, detach> reader_;
};

// An immutable copy of the sums of all sources at one time, in memory that may be reused. Empty until it is taken.
class snapshot
{
  public:
    snapshot() noexcept = default;

    // From the next take() on keep the values of each shard too.
    void want_shards(bool want = true) noexcept
    {
        shards_ = want;
        if (memory_)
            vmt_snapshot_want_shards(memory_.get(), want);
    }

    // Take it anew: all that was had from it before is gone. EBADMSG, EPROTONOSUPPORT, ENOMEM, EIO: then it has no
    // sources, but segment() says what is known. ENODEV (this process's own segment, closed): it is as it was. True: it
    // is partial, and segment() says so.
    result<bool> take(reader &from)
    {
        int r = from.get() ? make() : -EINVAL;

        if (r == 0)
            r = from.with([this](vmt_reader *of) noexcept { return vmt_snapshot_take(memory_.get(), of); }, -EINVAL,
                          -ENODEV);
        if (r < 0)
            return vmtally::error(r, "take a snapshot of", from.path());
        return r == 1;
    }

    // The same again, to keep.
    result<snapshot> copy() const
    {
        snapshot other;
        int r = other.make();

        other.want_shards(shards_);
        if (r == 0 && memory_)
            r = vmt_snapshot_copy(other.memory_.get(), memory_.get());
        if (r < 0)
            return vmtally::error(r, "copy", "a snapshot");
        return other;
    }

    // As snapshot_view, which it turns into; but a temporary gives no views.
    snapshot_view view() const &noexcept { return snapshot_view(memory_.get()); }
    operator snapshot_view() const &noexcept { return view(); }
    auto begin() const &noexcept { return view().begin(); }
    auto end() const &noexcept { return view().end(); }
    std::size_t size() const noexcept { return view().size(); }
    bool empty() const noexcept { return size() == 0; }
    sample operator[](std::size_t i) const &noexcept { return view()[i]; }
    std::optional<sample> find(const char *id) const &noexcept { return view().find(id); }
    std::optional<sample> find(const std::string &id) const &noexcept { return view().find(id); }
    segment_info segment() const &noexcept { return view().segment(); }
    std::uint32_t pid() const noexcept { return view().pid(); }

    snapshot_view view() const && = delete;
    void begin() const && = delete;
    void end() const && = delete;
    operator snapshot_view() const && = delete;
    sample operator[](std::size_t i) const && = delete;
    std::optional<sample> find(const char *id) const && = delete;
    std::optional<sample> find(const std::string &id) const && = delete;
    segment_info segment() const && = delete;

    const vmt_snapshot *get() const noexcept { return memory_.get(); }

  private:
    struct free {
        void operator()(vmt_snapshot *s) const noexcept { vmt_snapshot_free(s); }
    };

    int make() noexcept
    {
        vmt_snapshot *made = nullptr;

        if (memory_)
            return 0;
        const int r = vmt_snapshot_new(&made);

        if (r == 0) {
            memory_.reset(made);
            vmt_snapshot_want_shards(made, shards_);
        }
        return r;
    }

    std::unique_ptr<vmt_snapshot, free> memory_;
    bool shards_ = false;
};

inline result<vmtally::snapshot> reader::snapshot()
{
    vmtally::snapshot taken;

    if (auto r = taken.take(*this); !r)
        return r.error();
    return taken;
}

} // namespace vmtally

#ifdef __cpp_lib_ranges
template <> inline constexpr bool std::ranges::enable_view<vmtally::snapshot_view> = true;
template <> inline constexpr bool std::ranges::enable_borrowed_range<vmtally::snapshot_view> = true;
#endif

#endif
