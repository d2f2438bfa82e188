// SPDX-License-Identifier: MIT
// vmtally/delta.hpp: what changed between two snapshots of one segment. Each reader has its own.
//
//     std::swap(older, newer);
//     if (newer.take(*reader) && delta.compute(older, newer))
//         for (const auto &change : delta)
//             show(change.source().id(), change.rate(disk::reads));
//
// A delta reads both snapshots: all it gives is valid as long as both are, and until it is computed anew.
#ifndef VMTALLY_DELTA_HPP
#define VMTALLY_DELTA_HPP

#include <memory>
#include <optional>

#include <vmtally/snapshot.hpp>

namespace vmtally
{

// The change of one source, or of one of its totals. Its values are differences of counters and histograms; of all
// else 0, minimums and peaks too: those are in the snapshot.
class change : public values_view
{
  public:
    change(const vmt_delta *delta, const vmt_change *c, const vmtally::sample &of) noexcept
        : values_view(c->schema, c->flags & VMT_CHANGE_RESET ? nullptr : c->values), delta_(delta), change_(c),
          source_(of)
    {
    }

    // In the newer snapshot.
    const vmtally::sample &source() const noexcept { return source_; }

    // Not in the older snapshot: values are all that it has counted since it was added.
    bool is_new() const noexcept { return (change_->flags & VMT_CHANGE_NEW) != 0; }

    // Nothing to compare with: there are no values.
    bool reset() const noexcept { return (change_->flags & VMT_CHANGE_RESET) != 0; }

    // Per second; nothing where it is of another schema, or there is nothing to compare with.
    template <class Schema, class Kind> std::optional<double> rate(slot<Schema, Kind> of) const noexcept
    {
        if (!as<Schema>())
            return std::nullopt;
        return vmt_change_rate(delta_, change_, of.number);
    }
    std::optional<double> rate(const char *name) const noexcept
    {
        const std::optional<statistic> found = (*this)[name];

        return found ? std::optional<double>(vmt_change_rate(delta_, change_, (*found)->slot)) : std::nullopt;
    }

    const vmt_change *operator->() const noexcept { return change_; }

  private:
    const vmt_delta *delta_;
    const vmt_change *change_;
    vmtally::sample source_;
};

// Changes of a range of sources: delta[i] is that of source i of the newer snapshot.
class delta_view : public detail::indexed<delta_view>
{
  public:
    delta_view() noexcept = default;
    delta_view(const vmt_delta *delta, snapshot_view newer) noexcept : delta_(delta), newer_(newer) {}

    std::size_t size() const noexcept { return newer_.size(); }
    change operator[](std::size_t i) const noexcept { return { delta_, vmt_delta_source(delta_, i), newer_[i] }; }

    // Of total t of source i.
    change total(std::size_t i, std::size_t t) const noexcept
    {
        return { delta_, vmt_delta_total(delta_, i, t), newer_[i] };
    }

  private:
    const vmt_delta *delta_ = nullptr;
    snapshot_view newer_;
};

// Memory for differences. Empty until it is computed.
class delta
{
  public:
    // older may be empty: then all is reset. ENOMEM.
    result<void> compute(snapshot_view older, snapshot_view newer)
    {
        vmt_delta *made = nullptr;
        int r = memory_ ? 0 : vmt_delta_new(&made);

        if (made)
            memory_.reset(made);
        newer_ = {};
        if (r == 0)
            r = newer ? vmt_delta_compute(memory_.get(), older.get(), newer.get()) : -EINVAL;
        if (r < 0)
            return vmtally::error(r, "compare", "two snapshots", r == -EINVAL ? "none was taken" : "");
        newer_ = newer;
        return {};
    }

    // Between the two; 0 where they can't be compared.
    double seconds() const noexcept { return memory_ && newer_ ? vmt_delta_seconds(memory_.get()) : 0; }

    // Of one that was moved from it is empty.
    delta_view view() const &noexcept { return { memory_.get(), memory_ ? newer_ : snapshot_view() }; }
    auto begin() const &noexcept { return view().begin(); }
    auto end() const &noexcept { return view().end(); }
    std::size_t size() const noexcept { return view().size(); }
    bool empty() const noexcept { return size() == 0; }
    change operator[](std::size_t i) const &noexcept { return view()[i]; }
    change total(std::size_t i, std::size_t t) const &noexcept { return view().total(i, t); }

    // Of the source with this full id in the newer snapshot.
    std::optional<change> find(const char *id) const &noexcept
    {
        const std::optional<sample> found = memory_ ? newer_.find(id) : std::nullopt;

        // By number: samples of a snapshot stand in one array.
        return found ? std::optional<change>(view()[static_cast<std::size_t>(found->get() - newer_[0].get())])
                     : std::nullopt;
    }

    // For the C API, as records::encode(): null where nothing was computed.
    const vmt_delta *get() const noexcept { return newer_ ? memory_.get() : nullptr; }

    delta_view view() const && = delete;
    void begin() const && = delete;
    void end() const && = delete;
    change operator[](std::size_t i) const && = delete;
    change total(std::size_t i, std::size_t t) const && = delete;
    std::optional<change> find(const char *id) const && = delete;

  private:
    struct free {
        void operator()(vmt_delta *d) const noexcept { vmt_delta_free(d); }
    };

    std::unique_ptr<vmt_delta, free> memory_;
    snapshot_view newer_;
};

} // namespace vmtally

#ifdef __cpp_lib_ranges
template <> inline constexpr bool std::ranges::enable_view<vmtally::delta_view> = true;
template <> inline constexpr bool std::ranges::enable_borrowed_range<vmtally::delta_view> = true;
#endif

#endif
