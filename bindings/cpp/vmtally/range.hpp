// SPDX-License-Identifier: MIT
// vmtally/range.hpp: what the reader's ranges have in common. They are views: cheap to copy, they own nothing.
#ifndef VMTALLY_RANGE_HPP
#define VMTALLY_RANGE_HPP

#include <cstddef>
#include <iterator>
#include <utility>

#if defined(__cpp_concepts) && defined(__has_include)
#if __has_include(<ranges>)
#include <ranges>
#endif
#endif

namespace vmtally
{

namespace detail
{

// Over what range[i] gives. Elements are made as they are asked for, so to algorithms of C++17 it is an input iterator,
// though it may be copied and goes anywhere; to those of C++20 it is a random access iterator.
template <class Range> class index_iterator
{
  public:
    using value_type = decltype(std::declval<const Range &>()[0]);
    using reference = value_type;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;
    using iterator_concept = std::random_access_iterator_tag;
    struct pointer { // keeps what it points to
        value_type value;
        const value_type *operator->() const noexcept { return &value; }
    };

    index_iterator() noexcept = default;
    index_iterator(Range range, std::size_t at) noexcept : range_(range), at_(static_cast<difference_type>(at)) {}

    reference operator*() const noexcept { return range_[static_cast<std::size_t>(at_)]; }
    pointer operator->() const noexcept { return { **this }; }
    reference operator[](difference_type n) const noexcept { return range_[static_cast<std::size_t>(at_ + n)]; }

    index_iterator &operator++() noexcept { return *this += 1; }
    index_iterator &operator--() noexcept { return *this -= 1; }
    index_iterator operator++(int) noexcept { return std::exchange(*this, *this + 1); }
    index_iterator operator--(int) noexcept { return std::exchange(*this, *this - 1); }
    index_iterator &operator+=(difference_type n) noexcept
    {
        at_ += n;
        return *this;
    }
    index_iterator &operator-=(difference_type n) noexcept { return *this += -n; }

    friend index_iterator operator+(index_iterator i, difference_type n) noexcept { return i += n; }
    friend index_iterator operator+(difference_type n, index_iterator i) noexcept { return i += n; }
    friend index_iterator operator-(index_iterator i, difference_type n) noexcept { return i -= n; }
    friend difference_type operator-(const index_iterator &a, const index_iterator &b) noexcept
    {
        return a.at_ - b.at_;
    }
    friend bool operator==(const index_iterator &a, const index_iterator &b) noexcept { return a.at_ == b.at_; }
    friend bool operator!=(const index_iterator &a, const index_iterator &b) noexcept { return a.at_ != b.at_; }
    friend bool operator<(const index_iterator &a, const index_iterator &b) noexcept { return a.at_ < b.at_; }
    friend bool operator>(const index_iterator &a, const index_iterator &b) noexcept { return a.at_ > b.at_; }
    friend bool operator<=(const index_iterator &a, const index_iterator &b) noexcept { return a.at_ <= b.at_; }
    friend bool operator>=(const index_iterator &a, const index_iterator &b) noexcept { return a.at_ >= b.at_; }

  private:
    Range range_{};
    difference_type at_ = 0;
};

// begin() and end() for a Range with size() and operator[].
template <class Range> class indexed
{
  public:
    auto begin() const noexcept { return index_iterator<Range>(self(), 0); }
    auto end() const noexcept { return index_iterator<Range>(self(), self().size()); }
    bool empty() const noexcept { return self().size() == 0; }

  private:
    const Range &self() const noexcept { return static_cast<const Range &>(*this); }
};

// Elements of type T, each made of one of an array of C structs and of what they have in common.
template <class T, class C, class Common> class list : public indexed<list<T, C, Common>>
{
  public:
    list() noexcept = default;
    list(const C *first, std::size_t size, Common common) noexcept : first_(first), size_(size), common_(common) {}
    std::size_t size() const noexcept { return size_; }
    T operator[](std::size_t i) const noexcept { return T(first_ + i, common_); }

  private:
    const C *first_ = nullptr;
    std::size_t size_ = 0;
    Common common_{};
};

} // namespace detail

// size() numbers, one after the other; std::span where there is none.
template <class T> class array_view
{
  public:
    array_view() noexcept = default;
    array_view(const T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    const T *begin() const noexcept { return data_; }
    const T *end() const noexcept { return data_ + size_; }
    const T *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    const T &operator[](std::size_t i) const noexcept { return data_[i]; }

  private:
    const T *data_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace vmtally

#ifdef __cpp_lib_ranges
template <class T> inline constexpr bool std::ranges::enable_view<vmtally::array_view<T>> = true;
template <class T> inline constexpr bool std::ranges::enable_borrowed_range<vmtally::array_view<T>> = true;
template <class T, class C, class X>
inline constexpr bool std::ranges::enable_view<vmtally::detail::list<T, C, X>> = true;
template <class T, class C, class X>
inline constexpr bool std::ranges::enable_borrowed_range<vmtally::detail::list<T, C, X>> = true;
#endif

#endif
