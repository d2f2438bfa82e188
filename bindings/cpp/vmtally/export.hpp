// SPDX-License-Identifier: MIT
// vmtally/export.hpp: snapshots in the formats of others, as strings. Needs libvmtally-export (pkg-config "vmtally-cpp
// vmtally-export"). One thread at a time per object. Errors are ENOMEM, EFBIG (more than VMT_BUFFER_MAX), and what is
// said.
#ifndef VMTALLY_EXPORT_HPP
#define VMTALLY_EXPORT_HPP

#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <vmtally.hpp>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#include <vmtally/export.h>
#pragma GCC diagnostic pop

namespace vmtally
{

namespace detail
{

struct buffer : vmt_buffer {
    buffer() noexcept : vmt_buffer{} {}
    buffer(const buffer &) = delete;
    buffer &operator=(const buffer &) = delete;
    ~buffer() { vmt_buffer_free(this); }
    std::string text() const { return size ? std::string(data, size) : std::string(); }
};

inline vmtally::error nothing_taken(std::string_view format)
{
    return { EINVAL, "write", format, "the snapshot is empty: take it first" };
}

// encode(buffer) appends what there is of s, and gives 0 or an error.
template <class Encode> result<std::string> encoded(std::string_view format, snapshot_view s, Encode encode)
{
    buffer out;
    const int r = s ? encode(&out) : 0;

    if (!s)
        return nothing_taken(format);
    if (r < 0)
        return vmtally::error(r, "write", format);
    return out.text();
}

template <class T, void (*Free)(T *)> struct freeing {
    void operator()(T *object) const noexcept { Free(object); }
};
template <class T, void (*Free)(T *)> using owned = std::unique_ptr<T, freeing<T, Free>>;

} // namespace detail

// One JSON object, on one line with a newline, or indented. Numbers are exact.
inline result<std::string> json(snapshot_view s, bool pretty = false)
{
    return detail::encoded("JSON", s, [&](vmt_buffer *out) { return vmt_json_encode(s.get(), pretty, out); });
}

// One self-contained msgpack map.
inline result<std::string> msgpack(snapshot_view s)
{
    return detail::encoded("msgpack", s, [&](vmt_buffer *out) { return vmt_msgpack_encode_full(s.get(), out); });
}

// TinyKVM's document (tinykvm.stats()), of a snapshot with shards: a machine each. pattern: a POSIX extended regular
// expression that names of programs match as a whole; empty: all. EINVAL: the pattern is none.
inline result<std::string> tinykvm(snapshot_view s, const std::string &pattern = {}, bool pretty = false)
{
    if (auto wrong = detail::nul_inside("write TinyKVM's document of", { pattern }))
        return *std::move(wrong);
    return detail::encoded("TinyKVM's document", s, [&](vmt_buffer *out) {
        return vmt_tinykvm_encode(s.get(), pattern.empty() ? nullptr : pattern.c_str(), pretty, out);
    });
}

// What KVM_GET_STATS_FD would give of the i-th source: EINVAL (there is none), ENOENT (no statistics), ENODATA.
inline result<std::string> kvm_statistics(snapshot_view s, std::size_t i)
{
    return detail::encoded("KVM statistics", s, [&](vmt_buffer *out) { return vmt_kvm_encode(s.get(), i, out); });
}

// One msgpack stream, of frames: a schema is sent once.
class msgpack_stream
{
  public:
    result<std::string> encode(snapshot_view s)
    {
        return detail::encoded("msgpack", s, [&](vmt_buffer *out) {
            const int r = make();

            return r < 0 ? r : vmt_msgpack_encode(stream_.get(), s.get(), out);
        });
    }

    // The next frame sends all schemas again.
    void reset() noexcept { stream_.reset(); }

  private:
    int make() noexcept
    {
        vmt_msgpack *made = nullptr;
        const int r = stream_ ? 0 : vmt_msgpack_new(&made);

        if (made)
            stream_.reset(made);
        return r;
    }

    detail::owned<vmt_msgpack, vmt_msgpack_free> stream_;
};

// Snapshots read back from msgpack. The bytes are not trusted.
class decoder
{
  public:
    // What follows in the stream, however it is cut.
    result<void> feed(std::string_view bytes)
    {
        const int r = make();

        return done(r < 0 ? r : vmt_decoder_feed(decoder_.get(), bytes.data(), bytes.size()));
    }

    // The next snapshot, valid until the next call of this decoder; nothing: feed more. EBADMSG: here is no frame; call
    // again for what follows.
    result<std::optional<snapshot_view>> next()
    {
        const vmt_snapshot *decoded = nullptr;
        const int r = decoder_ ? vmt_decoder_next(decoder_.get(), &decoded) : 0;

        if (r < 0)
            return vmtally::error(r, "read", "msgpack", r == -EBADMSG ? "damaged: no frame where one should be" : "");
        return r == 1 ? std::optional<snapshot_view>(snapshot_view(decoded)) : std::nullopt;
    }

    // Nothing follows: what waits was cut off.
    void finish() noexcept
    {
        if (decoder_)
            vmt_decoder_end(decoder_.get());
    }

    struct vmt_decoder_state state() const noexcept
    {
        struct vmt_decoder_state now = {};

        if (decoder_)
            vmt_decoder_state(decoder_.get(), &now);
        return now;
    }

  private:
    int make() noexcept
    {
        vmt_decoder *made = nullptr;
        const int r = decoder_ ? 0 : vmt_decoder_new(&made);

        if (made)
            decoder_.reset(made);
        return r;
    }

    static result<void> done(int code)
    {
        if (code < 0)
            return vmtally::error(code, "read", "msgpack");
        return {};
    }

    detail::owned<vmt_decoder, vmt_decoder_free> decoder_;
};

// One scrape of Prometheus: the snapshots of all VMs. See lib/export/METRICS.md for the names.
class metrics
{
  public:
    // vm: value of the label "vm"; empty: the segment's name. The snapshot is not needed afterwards.
    result<void> add(snapshot_view s, const std::string &vm = {}, const vmt_choice *choice = nullptr)
    {
        vmt_metrics *made = nullptr;

        if (!s)
            return detail::nothing_taken("metrics");
        if (auto wrong = detail::nul_inside("add to the scrape", { vm }))
            return *std::move(wrong);
        int r = metrics_ ? 0 : vmt_metrics_new(&made);

        if (made)
            metrics_.reset(made);
        if (r == 0)
            r = vmt_metrics_add(metrics_.get(), s.get(), vm.empty() ? nullptr : vm.c_str(), choice);
        if (r < 0)
            return vmtally::error(r, "add to the scrape", s.segment().name());
        return {};
    }

    // For the next scrape.
    void clear() noexcept
    {
        if (metrics_)
            vmt_metrics_clear(metrics_.get());
    }

    result<std::string> openmetrics() const { return write(VMT_OPENMETRICS); } // OpenMetrics 1.0
    result<std::string> prometheus() const { return write(VMT_PROMETHEUS); }   // text format 0.0.4

  private:
    result<std::string> write(vmt_metrics_format format) const
    {
        detail::buffer out;
        const int r = metrics_ ? vmt_metrics_write(metrics_.get(), format, &out) : -EINVAL;

        if (r < 0)
            return vmtally::error(r, "write", "metrics", metrics_ ? "" : "no VM was added");
        return out.text();
    }

    detail::owned<vmt_metrics, vmt_metrics_free> metrics_;
};

// One VM as OpenMetrics' text, its name the label "vm".
inline result<std::string> openmetrics(snapshot_view s)
{
    metrics one;

    if (auto r = one.add(s); !r)
        return r.error();
    return one.openmetrics();
}

// Firecracker's lines of metrics of one VM for one reader: each has what was counted since the last one that was kept.
class firecracker_lines
{
  public:
    // vm: the line has it as "id"; empty: it has none. After each line keep() it or miss() it.
    result<std::string> encode(snapshot_view s, const std::string &vm = {})
    {
        if (auto wrong = detail::nul_inside("write Firecracker's line of", { vm }))
            return *std::move(wrong);
        return detail::encoded("Firecracker's line", s, [&](vmt_buffer *out) {
            const int r = make();

            return r < 0 ? r : vmt_firecracker_encode(lines_.get(), s.get(), vm.empty() ? nullptr : vm.c_str(), out);
        });
    }

    // It was written.
    void keep() noexcept
    {
        if (lines_)
            vmt_firecracker_keep(lines_.get());
    }

    // It was not: the next one says so, and has what this one would have told.
    void miss() noexcept
    {
        if (lines_)
            vmt_firecracker_miss(lines_.get());
    }

  private:
    int make() noexcept
    {
        vmt_firecracker *made = nullptr;
        const int r = lines_ ? 0 : vmt_firecracker_new(&made);

        if (made)
            lines_.reset(made);
        return r;
    }

    detail::owned<vmt_firecracker, vmt_firecracker_free> lines_;
};

struct records_options {
    std::string host{};
    std::string sender{}; // another one for each run, so that seq may begin again
    bool strings{ false };
    bool deltas{ false };
};

// Entries of Fluent Forward, of msgpack: see lib/export/RECORDS.md.
class records
{
  public:
    static result<records> create(const records_options &options)
    {
        vmt_records_options o = {};
        vmt_records *made = nullptr;

        if (auto wrong = detail::nul_inside("make records of", { options.host, options.sender }))
            return *std::move(wrong);
        o.struct_size = sizeof(o);
        o.host = options.host.c_str();
        o.sender = options.sender.c_str();
        o.strings = options.strings;
        o.deltas = options.deltas;
        const int r = vmt_records_new(&o, &made);

        if (r < 0)
            return vmtally::error(r, "make", "records");
        return records(made);
    }

    // entry(bytes) for each source that counts anything: bytes are one entry, good during the call. It returns 0, or
    // what ends the encoding. delta is needed only with .deltas. It must not throw: it is called from C.
    template <class Entry>
    result<void> encode(snapshot_view s, const vmt_delta *delta, std::uint64_t seq, Entry entry,
                        const vmt_choice *choice = nullptr)
    {
        vmt_record_fn *const call = [](void *arg, const vmt_snapshot *, std::size_t, const vmt_schema *,
                                       const void *bytes, std::size_t size) -> int {
            return (*static_cast<Entry *>(arg))(std::string_view(static_cast<const char *>(bytes), size));
        };

        if (!s)
            return detail::nothing_taken("records");
        const int r = vmt_records_encode(records_.get(), s.get(), delta, nullptr, seq, choice, call, &entry);

        if (r != 0)
            return vmtally::error(r, "write records of", s.segment().name());
        return {};
    }

  private:
    explicit records(vmt_records *made) noexcept : records_(made) {}

    detail::owned<vmt_records, vmt_records_free> records_;
};

} // namespace vmtally

#endif
