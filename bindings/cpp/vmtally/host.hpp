// SPDX-License-Identifier: MIT
// vmtally/host.hpp: find segments, judge them, and all VMs of this host, whether their VMM embeds vmtally or not.
#ifndef VMTALLY_HOST_HPP
#define VMTALLY_HOST_HPP

#include <memory>
#include <string>
#include <vector>

#include <vmtally/snapshot.hpp>

namespace vmtally
{

// A file that may be a segment, or (of a host) "/proc/PID" of a process with VMs.
struct found {
    std::string path;
    std::string name;
};

namespace detail
{

// NULL, which is the usual places, for an empty one.
inline const char *dir_or_null(const std::string &dir) noexcept { return dir.empty() ? nullptr : dir.c_str(); }

// Where discover(dir) looks, in words.
inline std::string places(const std::string &dir)
{
    char text[4096];

    return vmt_discover_places(dir_or_null(dir), text, sizeof(text));
}

struct found_list {
    vmt_found *list = nullptr;
    long count = 0;

    found_list() = default;
    found_list(const found_list &) = delete;
    found_list &operator=(const found_list &) = delete;
    ~found_list()
    {
        if (list)
            vmt_found_free(list, count);
    }

    result<std::vector<found>> take(const std::string &dir) const
    {
        std::vector<found> all;

        if (count < 0)
            return vmtally::error(static_cast<int>(count), "look for segments in", places(dir));
        for (long i = 0; i < count; i++)
            all.push_back({ list[i].path, list[i].name });
        return all;
    }
};

} // namespace detail

// All segments in dir, or (empty) in $VMTALLY_DIR, or where that is not set in all the usual places; sorted by name.
// Nothing is opened yet. EACCES, ENOMEM, and what opendir gives for a dir that was named.
inline result<std::vector<found>> discover(const std::string &dir = {})
{
    detail::found_list all;

    if (auto wrong = detail::nul_inside("look for segments in", { dir }))
        return *std::move(wrong);
    all.count = vmt_discover(detail::dir_or_null(dir), &all.list);
    return all.take(dir);
}

// The VMs that name means, among what discover() finds: those whose file is called so, else those in which that name
// stands. Somebody else's, or what can't be read, only where there is no other: see vmt_host_find(). More than one: all
// fit equally well. Errors as discover().
inline result<std::vector<found>> find(const std::string &name, const std::string &dir = {})
{
    detail::found_list all;

    if (auto wrong = detail::nul_inside("look for", { name, dir }))
        return *std::move(wrong);
    all.count = vmt_host_find(nullptr, detail::dir_or_null(dir), name.c_str(), nullptr, &all.list);
    return all.take(dir);
}

// Attach to the one VM that find() finds. ENOENT; ENOTUNIQ (several have that name: attach to a path); errors as find()
// and reader::attach().
inline result<reader> attach(const std::string &name, const std::string &dir = {}, const reader_options &options = {})
{
    const auto all = find(name, dir);

    if (!all)
        return all.error();
    if (all->empty())
        return vmtally::error(ENOENT, "attach", name, "no VM of that name in " + detail::places(dir));
    if (all->size() > 1) {
        std::string paths;

        for (const found &one : *all)
            paths += one.path + ", ";
        return vmtally::error(ENOTUNIQ, "attach", name, paths + "which all have this name: attach to one of these");
    }
    return reader::attach(all->front().path, options);
}

// The verdict on one file: what is wrong with it, in one line; "" if nothing.
struct verdict {
    vmt_state state;
    std::string why;
};

// Look at every block of it. Takes 0.6 s where a change is under way. Errors as reader::attach().
inline result<verdict> check(const std::string &path)
{
    char why[512] = "";

    if (auto wrong = detail::nul_inside("check", { path }))
        return *std::move(wrong);
    const int r = vmt_check(path.c_str(), why, sizeof(why));

    if (r < 0)
        return vmtally::error(r, "check", path, why);
    return verdict{ static_cast<vmt_state>(r), why };
}

// Remove the segment file at path if its writer is gone; dry_run: only say. EBUSY (somebody writes it) and others: see
// vmt_remove_dead(); then the file is left alone.
inline result<void> remove_dead(const std::string &path, bool dry_run = false)
{
    if (auto wrong = detail::nul_inside("remove", { path }))
        return *std::move(wrong);
    const int r = vmt_remove_dead(path.c_str(), dry_run);

    if (r < 0)
        return vmtally::error(r, "remove", path, r == -EBUSY ? "its writer lives" : "");
    return {};
}

struct host_options {
    std::string proc{};     // where the proc file system is; empty: /proc
    std::string debugfs{};  // empty: /sys/kernel/debug
    std::uint32_t pid{ 0 }; // not 0: this process only
    bool once{ false };     // it is looked at once only; nothing of another process is held open after that
};

// What the kernel counts of VMs, beside or instead of segments. One thread at a time for it and its readers, which keep
// it open. See <vmtally/host.h>.
class host
{
  public:
    static result<host> create(const host_options &options = {})
    {
        vmt_host_options o = {};
        vmt_host *made = nullptr;

        if (auto wrong = detail::nul_inside("look at this host with", { options.proc, options.debugfs }))
            return *std::move(wrong);
        o.struct_size = sizeof(o);
        o.proc = options.proc.empty() ? nullptr : options.proc.c_str();
        o.debugfs = options.debugfs.empty() ? nullptr : options.debugfs.c_str();
        o.pid = options.pid;
        o.once = options.once;
        const int r = vmt_host_new(&o, &made);

        if (r < 0)
            return vmtally::error(r, "look at", "this host");
        return host(made);
    }

    // Have a process of its own do all the looking, with the permissions that the caller has now: vmt_host_split().
    result<void> split(void (*prepare)(void *) = nullptr, void *arg = nullptr)
    {
        return done(host_ ? vmt_host_split(host_.get(), prepare, arg) : -EINVAL, "split");
    }

    // Find what is new, let go of what has gone, read all that the kernel counts: before each round of snapshots.
    result<void> look() { return done(host_ ? vmt_host_look(host_.get()) : -EINVAL, "look at"); }

    // Becomes readable when a process whose descriptors are held has ended: then drop().
    int fd() const noexcept { return host_ ? vmt_host_fd(host_.get()) : -1; }
    void drop() noexcept
    {
        if (host_)
            vmt_host_drop(host_.get());
    }

    // As vmtally::discover(), and the processes that have VMs but no segment there.
    result<std::vector<found>> discover(const std::string &dir = {})
    {
        detail::found_list all;

        if (auto wrong = detail::nul_inside("look for VMs in", { dir }))
            return *std::move(wrong);
        all.count = !host_ ? -EINVAL : vmt_host_discover(host_.get(), detail::dir_or_null(dir), &all.list);
        return all.take(dir);
    }

    // As vmtally::find(), and of those processes the ones of that name; a number is a pid, where no segment is called so.
    result<std::vector<found>> find(const std::string &name, const std::string &dir = {})
    {
        detail::found_list all;

        if (auto wrong = detail::nul_inside("look for", { name, dir }))
            return *std::move(wrong);
        all.count =
            !host_ ? -EINVAL : vmt_host_find(host_.get(), detail::dir_or_null(dir), name.c_str(), nullptr, &all.list);
        return all.take(dir);
    }

    // As reader::attach(), also of "/proc/PID": ESRCH where no such process has a VM.
    result<reader> attach(const std::string &path, const reader_options &options = {})
    {
        if (!host_)
            return vmtally::error(EINVAL, "attach", path, "the host was moved from");
        return reader::attach_host(host_, path, options);
    }

    // What could not be read at the newest look, in one line with what to do; "" if nothing.
    std::string trouble() const
    {
        char text[1024] = "";

        if (host_)
            vmt_host_trouble(host_.get(), nullptr, text, sizeof(text));
        return text;
    }

    vmt_host *get() const noexcept { return host_.get(); }

  private:
    explicit host(vmt_host *made) : host_(made, vmt_host_free) {}

    static result<void> done(int code, std::string_view doing)
    {
        if (code < 0)
            return vmtally::error(code, doing, "this host");
        return {};
    }

    std::shared_ptr<vmt_host> host_;
};

} // namespace vmtally

#endif
