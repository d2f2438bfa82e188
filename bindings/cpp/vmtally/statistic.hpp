// SPDX-License-Identifier: MIT
// vmtally/statistic.hpp: values and what they mean: by name, for what was never seen before, and typed, for what this
// program has declared. All of these are views into a snapshot (or a delta): valid as long as that is, and not taken
// anew. Values are raw; a statistic's unit(), base() and exponent() say of what.
#ifndef VMTALLY_STATISTIC_HPP
#define VMTALLY_STATISTIC_HPP

#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>

#include <vmtally/range.hpp>
#include <vmtally/schema.hpp>

namespace vmtally
{

// What one statistic is.
class descriptor
{
  public:
    explicit descriptor(const vmt_descriptor *d, std::nullptr_t = nullptr) noexcept : d_(d) {}

    std::string_view name() const noexcept { return d_->name; }
    std::string_view help() const noexcept { return d_->help; }
    std::uint32_t type() const noexcept { return d_->flags & VMT_TYPE_MASK; }               // VMT_TYPE_
    std::uint32_t unit() const noexcept { return d_->flags & VMT_UNIT_MASK; }               // VMT_UNIT_
    std::uint32_t base() const noexcept { return d_->flags & VMT_BASE_MASK; }               // VMT_BASE_
    std::uint32_t aggregation() const noexcept { return d_->flags & VMT_AGGREGATION_MASK; } // VMT_AGGREGATION_
    int exponent() const noexcept { return d_->exponent; } // value * base^exponent is in the unit
    bool is_signed() const noexcept { return (d_->flags & VMT_SIGNED) != 0; }
    bool is_histogram() const noexcept { return type() == VMT_TYPE_LINEAR_HIST || type() == VMT_TYPE_LOG_HIST; }

    // value in the unit: seconds of nanoseconds, bytes of mebibytes. Not exact above 2^53.
    double scaled(double value) const noexcept
    {
        return base() == VMT_BASE_POW2 ? std::ldexp(value, exponent()) : value * std::pow(10.0, exponent());
    }

    // Whether value says that nothing was counted yet: a minimum of nothing, a signed peak of nothing.
    bool absent(std::uint64_t value) const noexcept
    {
        if (aggregation() == VMT_AGGREGATION_MIN)
            return value == (is_signed() ? static_cast<std::uint64_t>(INT64_MAX) : UINT64_MAX);
        if (aggregation() == VMT_AGGREGATION_MAX || (aggregation() == 0 && type() == VMT_TYPE_PEAK))
            return is_signed() && value == static_cast<std::uint64_t>(INT64_MIN);
        return false;
    }

    const vmt_descriptor *get() const noexcept { return d_; }
    const vmt_descriptor *operator->() const noexcept { return d_; } // slot, size, group, level, ...

  private:
    const vmt_descriptor *d_;
};

using descriptors = detail::list<descriptor, vmt_descriptor, std::nullptr_t>;

// What a source counts.
class schema_view
{
  public:
    explicit schema_view(const vmt_schema *schema) noexcept : schema_(schema) {}

    std::string_view name() const noexcept { return schema_->name; }
    std::string_view provider() const noexcept { return schema_->provider; }
    std::string_view target() const noexcept { return schema_->target; }
    vmtally::descriptors descriptors() const noexcept { return { schema_->descriptors, schema_->count, nullptr }; }

    // Whether it begins with all the rows of other: then a slot of other is the same statistic here. (A later version
    // of a schema has more rows; help texts may differ.)
    bool includes(const vmt_schema &other) const noexcept
    {
        if (name() != other.name || provider() != other.provider || target() != other.target ||
            schema_->count < other.count)
            return false;
        for (std::uint32_t i = 0; i < other.count; i++) {
            if (!same(schema_->descriptors[i], other.descriptors[i]))
                return false;
        }
        return true;
    }

    const vmt_schema *get() const noexcept { return schema_; }

  private:
    static bool same(const vmt_descriptor &a, const vmt_descriptor &b) noexcept
    {
        return a.flags == b.flags && a.slot == b.slot && a.size == b.size && a.bucket_size == b.bucket_size &&
               a.exponent == b.exponent && a.group == b.group && std::strcmp(a.name, b.name) == 0;
    }

    const vmt_schema *schema_;
};

// low <= value < high, or up to high where that is the last bucket's, UINT64_MAX.
struct bounds {
    std::uint64_t low;
    std::uint64_t high;
};

// One bucket of a histogram.
struct bucket {
    std::uint64_t low;
    std::uint64_t high;
    std::uint64_t count;
};

// A range of buckets.
class histogram : public detail::indexed<histogram>
{
  public:
    histogram() noexcept = default;
    histogram(const vmt_descriptor *d, const std::uint64_t *buckets) noexcept : d_(d), buckets_(buckets) {}

    std::size_t size() const noexcept { return d_ ? d_->size : 0; }
    bucket operator[](std::size_t i) const noexcept
    {
        bucket b{ 0, 0, buckets_[i] };

        vmt_bucket_bounds(d_, static_cast<std::uint32_t>(i), &b.low, &b.high);
        return b;
    }

    // How many values were recorded, modulo 2^64.
    std::uint64_t count() const noexcept
    {
        std::uint64_t sum = 0;

        for (const bucket b : *this)
            sum += b.count;
        return sum;
    }

    // Between what the quantile q (0 to 1) lies; nothing where nothing was recorded.
    std::optional<bounds> quantile(double q) const noexcept
    {
        bounds b{};

        if (!d_ || vmt_quantile(d_, buckets_, q, &b.low, &b.high) < 0)
            return std::nullopt;
        return b;
    }

  private:
    const vmt_descriptor *d_ = nullptr;
    const std::uint64_t *buckets_ = nullptr;
};

// A LATENCY row.
class latency_view
{
  public:
    latency_view(const vmt_descriptor *count, const std::uint64_t *values) noexcept : d_(count), values_(values) {}

    std::uint64_t count() const noexcept { return values_[0]; }
    std::uint64_t sum() const noexcept { return values_[1]; }
    std::optional<std::uint64_t> min() const noexcept { return of(2); } // nothing: none was recorded
    std::optional<std::uint64_t> max() const noexcept { return of(3); }
    vmtally::histogram histogram() const noexcept { return { d_ + 4, values_ + 4 }; }
    std::optional<bounds> quantile(double q) const noexcept { return histogram().quantile(q); }

  private:
    std::optional<std::uint64_t> of(std::size_t i) const noexcept
    {
        return count() == 0 || descriptor(d_ + i).absent(values_[i]) ? std::nullopt : std::optional(values_[i]);
    }

    const vmt_descriptor *d_;
    const std::uint64_t *values_;
};

// One statistic and its value.
class statistic : public descriptor
{
  public:
    statistic(const vmt_descriptor *d, const std::uint64_t *values) noexcept : descriptor(d), values_(values + d->slot)
    {
    }

    // Its only value, or its first bucket's.
    std::uint64_t value() const noexcept { return values_[0]; }
    std::int64_t signed_value() const noexcept { return static_cast<std::int64_t>(values_[0]); }
    array_view<std::uint64_t> values() const noexcept { return { values_, get()->size }; }
    vmtally::histogram histogram() const noexcept
    {
        return is_histogram() ? vmtally::histogram(get(), values_) : vmtally::histogram();
    }

    using descriptor::absent;
    using descriptor::scaled;
    bool absent() const noexcept { return descriptor::absent(value()); }
    double scaled() const noexcept
    {
        return scaled(is_signed() ? static_cast<double>(signed_value()) : static_cast<double>(value()));
    }

  private:
    const std::uint64_t *values_;
};

using statistics = detail::list<statistic, vmt_descriptor, const std::uint64_t *>;

namespace detail
{

// What v[slot] gives for each kind.
template <class Kind> struct reading {
    static auto of(const vmt_descriptor *, const std::uint64_t *value) noexcept
    {
        return static_cast<typename Kind::value_type>(*value);
    }
};
template <> struct reading<kind::boolean> {
    // Over several shards or sources it is how many are true.
    static std::uint64_t of(const vmt_descriptor *, const std::uint64_t *value) noexcept { return *value; }
};
struct optional_reading {
    template <class T> static std::optional<T> number(const vmt_descriptor *d, std::uint64_t value) noexcept
    {
        return descriptor(d).absent(value) ? std::nullopt : std::optional<T>(static_cast<T>(value));
    }
};
template <> struct reading<kind::minimum> {
    static auto of(const vmt_descriptor *d, const std::uint64_t *value) noexcept
    {
        return optional_reading::number<std::uint64_t>(d, *value);
    }
};
template <> struct reading<kind::signed_minimum> {
    static auto of(const vmt_descriptor *d, const std::uint64_t *value) noexcept
    {
        return optional_reading::number<std::int64_t>(d, *value);
    }
};
template <> struct reading<kind::signed_peak> : reading<kind::signed_minimum> {
};
template <std::uint32_t Buckets, std::uint32_t Size> struct reading<kind::linear<Buckets, Size>> {
    static histogram of(const vmt_descriptor *d, const std::uint64_t *values) noexcept { return { d, values }; }
};
template <std::uint32_t Buckets> struct reading<kind::log<Buckets>> {
    static histogram of(const vmt_descriptor *d, const std::uint64_t *values) noexcept { return { d, values }; }
};
template <std::uint32_t Buckets, bool Nanoseconds> struct reading<kind::latency<Buckets, Nanoseconds>> {
    static latency_view of(const vmt_descriptor *d, const std::uint64_t *values) noexcept { return { d, values }; }
};

} // namespace detail

// Values that are known to be of Schema: v[disk::reads] is a uint64_t, of a signed kind int64_t; of
// minimums and signed peaks an optional, empty where nothing was counted; histogram; latency_view.
template <class Schema> class typed_values
{
  public:
    typed_values(const vmt_schema *schema, const std::uint64_t *values) noexcept : schema_(schema), values_(values) {}

    template <class Kind> auto operator[](slot<Schema, Kind> of) const noexcept
    {
        return detail::reading<Kind>::of(descriptor_of(of.number), values_ + of.number);
    }

  private:
    // Descriptors are in order of their slots.
    const vmt_descriptor *descriptor_of(std::uint32_t number) const noexcept
    {
        std::uint32_t low = 0, high = schema_->count;

        while (high - low > 1) {
            const std::uint32_t middle = low + (high - low) / 2;

            if (schema_->descriptors[middle].slot <= number)
                low = middle;
            else
                high = middle;
        }
        return schema_->descriptors + low;
    }

    const vmt_schema *schema_;
    const std::uint64_t *values_;
};

// A schema with values; none (nullptr) where they could not be read.
class values_view
{
  public:
    values_view(const vmt_schema *schema, const std::uint64_t *values) noexcept : schema_(schema), values_(values) {}

    schema_view schema() const noexcept { return schema_view(schema_); }

    // All statistics with their values; an empty range where these could not be read.
    vmtally::statistics statistics() const noexcept
    {
        return { schema_->descriptors, values_ ? schema_->count : 0, values_ };
    }

    // That statistic; nothing where there is none of that name, or its value could not be read.
    std::optional<statistic> operator[](const char *name) const noexcept
    {
        const vmt_descriptor *d = values_ ? vmt_schema_find(schema_, name) : nullptr;

        return d ? std::optional<statistic>(std::in_place, d, values_) : std::nullopt;
    }

    // The same values typed; nothing where they are of another schema, or could not be read.
    template <class Schema> std::optional<typed_values<Schema>> as() const noexcept
    {
        if (!values_ || !schema().includes(Schema::schema()))
            return std::nullopt;
        return typed_values<Schema>(schema_, values_);
    }

    // One for each slot of the schema, or nothing.
    array_view<std::uint64_t> slots() const noexcept { return { values_, values_ ? schema_->slots : 0 }; }

  private:
    const vmt_schema *schema_;
    const std::uint64_t *values_;
};

} // namespace vmtally

#ifdef __cpp_lib_ranges
template <> inline constexpr bool std::ranges::enable_view<vmtally::histogram> = true;
template <> inline constexpr bool std::ranges::enable_borrowed_range<vmtally::histogram> = true;
#endif

#endif
