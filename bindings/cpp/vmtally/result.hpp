// SPDX-License-Identifier: MIT
// vmtally/result.hpp: how cold calls fail. Nothing here throws but value(), and with -fno-exceptions nothing at all.
#ifndef VMTALLY_RESULT_HPP
#define VMTALLY_RESULT_HPP

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

namespace vmtally
{

// Why something could not be done.
class error
{
  public:
    // code: as the C library returns it, negative or not. doing and subject: "attach", "/run/vmtally/web-1.vmt".
    // reason: what the number means here; empty: what it means everywhere.
    error(int code, std::string_view doing, std::string_view subject, std::string_view reason = {})
        : code_(code < 0 ? -code : code), what_(doing)
    {
        what_.append(" ").append(subject).append(": ").append(reason.empty() ? meaning(code_) : std::string(reason));
    }

    // errno's number, positive: EMEDIUMTYPE, which std::errc does not know, among them.
    int number() const noexcept { return code_; }

    // error.code() == std::errc::no_such_file_or_directory
    std::error_code code() const noexcept { return { code_, std::generic_category() }; }

    // One line for people: "attach /run/vmtally/web-1.vmt: not a segment".
    const std::string &what() const &noexcept { return what_; }
    std::string what() &&noexcept { return std::move(what_); }

  private:
    static std::string meaning(int code)
    {
        switch (code) {
        case EMEDIUMTYPE:
            return "not a segment";
        case ENODATA:
            return "empty, or not yet published: try again in a moment";
        case EBADMSG:
            return "damaged: vmtally::check() says where";
        case EPROTONOSUPPORT:
            return "of another version or byte order";
        case ENODEV:
            return "its segment was closed";
        case ECHILD:
            return "a child of fork() has no segment: create one there";
        case ESTALE:
            return "it has gone";
        default:
            return std::generic_category().message(code);
        }
    }

    int code_;
    std::string what_;
};

namespace detail
{

// C takes a string's first NUL for its end. What has one inside would be cut there, and mean another name or file.
inline bool has_nul(std::string_view text) noexcept { return text.find('\0') != text.npos; }

// EINVAL for the first of texts that has one; nothing where none has.
inline std::optional<vmtally::error> nul_inside(std::string_view doing, std::initializer_list<std::string_view> texts)
{
    for (const std::string_view text : texts) {
        if (!has_nul(text))
            continue;
        std::string shown(text);

        for (std::size_t at = 0; (at = shown.find('\0', at)) != shown.npos; at++)
            shown.replace(at, 1, "\\0");
        return vmtally::error(EINVAL, doing, shown, "a NUL inside of a string");
    }
    return std::nullopt;
}

[[noreturn]] inline void raise(const vmtally::error &error)
{
#ifdef __cpp_exceptions
    throw std::system_error(error.code(), error.what());
#else
    std::fprintf(stderr, "vmtally: %s\n", error.what().c_str());
    std::abort();
#endif
}

template <class Held> auto &error_of(Held &held)
{
    auto *e = std::get_if<1>(&held);

    if (!e)
        std::abort();
    return *e;
}

} // namespace detail

// A T, or why there is none. Asking for what is not there throws std::system_error, or ends the program where there are
// no exceptions; to ask first costs a branch.
template <class T> class [[nodiscard]] result
{
  public:
    result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
    result(vmtally::error error) : held_(std::in_place_index<1>, std::move(error)) {}

    bool has_value() const noexcept { return held_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    T &value() &
    {
        check();
        return *std::get_if<0>(&held_);
    }
    const T &value() const &
    {
        check();
        return *std::get_if<0>(&held_);
    }
    // Of a temporary: the value itself, so that "for (auto sample : *reader.snapshot())" has it as long as it takes.
    T value() &&
    {
        check();
        return std::move(*std::get_if<0>(&held_));
    }
    T &operator*() & { return value(); }
    const T &operator*() const & { return value(); }
    T operator*() && { return std::move(*this).value(); }
    T *operator->() & { return &value(); }
    const T *operator->() const & { return &value(); }
    // What it gives would be gone at the end of the line.
    T *operator->() && = delete;

    // Only where there is no value.
    const vmtally::error &error() const & { return detail::error_of(held_); }
    vmtally::error error() && { return std::move(detail::error_of(held_)); }

  private:
    void check() const
    {
        if (const vmtally::error *e = std::get_if<1>(&held_))
            detail::raise(*e);
    }

    std::variant<T, vmtally::error> held_;
};

// Done, or why not.
template <> class [[nodiscard]] result<void>
{
  public:
    result() = default;
    result(vmtally::error error) : held_(std::move(error)) {}

    bool has_value() const noexcept { return held_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }
    void value() const
    {
        if (const vmtally::error *e = std::get_if<1>(&held_))
            detail::raise(*e);
    }
    const vmtally::error &error() const & { return detail::error_of(held_); }
    vmtally::error error() && { return std::move(detail::error_of(held_)); }

  private:
    std::variant<std::monostate, vmtally::error> held_;
};

} // namespace vmtally

#endif
