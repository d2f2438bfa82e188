// SPDX-License-Identifier: MIT
// dump FILE: what dump.c prints, read by the C++ binding. dump -: reads the names of files from standard input, one a
// line, and answers each with one line: the object, or {"error": why}.
#include <cinttypes>
#include <cstdio>
#include <iostream>
#include <map>
#include <string>

#include <vmtally.hpp>

// Everything that the reader hands out is UTF-8 without control characters.
static std::string quoted(std::string_view text)
{
    std::string out = "\"";

    for (char c : text) {
        if (c == '"' || c == '\\')
            out += '\\';
        out += c;
    }
    return out + "\"";
}

static std::string hexadecimal(const std::uint8_t (&id)[16])
{
    std::string out;
    char two[3];

    for (std::uint8_t byte : id) {
        std::snprintf(two, sizeof(two), "%02x", byte);
        out += two;
    }
    return quoted(out);
}

// The members of one object or list.
class members
{
  public:
    explicit members(char open, char close) : out_(1, open), close_(close) {}
    members &raw(std::string_view name, std::string_view value)
    {
        separate();
        out_.append(quoted(name)).append(": ").append(value);
        return *this;
    }
    template <class T> members &number(std::string_view name, T value) { return raw(name, std::to_string(value)); }
    members &string(std::string_view name, std::string_view value) { return raw(name, quoted(value)); }
    members &element(std::string_view value)
    {
        separate();
        out_.append(value);
        return *this;
    }
    std::string text() const { return out_ + close_; }

  private:
    void separate()
    {
        if (out_.size() > 1)
            out_ += ", ";
    }

    std::string out_;
    char close_;
};

static members object() { return members('{', '}'); }
static members list() { return members('[', ']'); }

static std::string name_of(vmtally::schema_view schema)
{
    return std::string(schema.name()).append("/").append(schema.provider()).append("/").append(schema.target());
}

static std::string slots(const vmtally::values_view &of)
{
    members all = object();

    for (const vmtally::statistic &statistic : of.statistics()) {
        members values = list();

        for (std::uint64_t value : statistic.values())
            values.element(std::to_string(value));
        all.raw(statistic.name(), values.text());
    }
    return all.text();
}

static std::string dump(const vmtally::total &total)
{
    return object()
        .string("schema", name_of(total.schema()))
        .number("sources", total.sources())
        .number("flags", total->flags)
        .raw("values", slots(total))
        .raw("departed", slots(total.departed()))
        .text();
}

static std::string dump(const vmtally::sample &sample)
{
    members totals = list();
    const auto parent = sample.parent();

    for (const vmtally::total &total : sample.totals())
        totals.element(dump(total));
    return object()
        .string("id", sample.id())
        .string("name", sample.name())
        .number("entry", sample->entry)
        .number("generation", sample->generation)
        .number("created_ns", sample->created_ns)
        .raw("parent", parent ? quoted(parent->id()) : "null")
        .number("depth", sample.depth())
        .number("flags", sample->flags)
        .string("schema", name_of(sample.schema()))
        .raw("values", slots(sample))
        .raw("totals", totals.text())
        .text();
}

static std::string dump(vmtally::schema_view schema)
{
    members all = list();

    for (const vmtally::descriptor &d : schema.descriptors())
        all.element(object()
                        .string("name", d.name())
                        .string("help", d.help())
                        .number("flags", d->flags)
                        .number("exponent", d.exponent())
                        .number("slot", d->slot)
                        .number("size", d->size)
                        .number("bucket_size", d->bucket_size)
                        .number("group", d->group)
                        .number("minuend", d->minuend)
                        .number("level", d->level)
                        .text());
    return all.text();
}

static std::string dump(const vmtally::snapshot &snapshot)
{
    const vmtally::segment_info info = snapshot.segment();
    members labels = list(), sources = list(), schemas = object();
    std::map<std::string, std::string> known; // a source's own, and those of its totals

    for (const char *label : info.labels())
        labels.element(quoted(label));
    for (const vmtally::sample &sample : snapshot) {
        sources.element(dump(sample));
        known.emplace(name_of(sample.schema()), dump(sample.schema()));
        for (const vmtally::total &total : sample.totals())
            known.emplace(name_of(total.schema()), dump(total.schema()));
    }
    for (const auto &[name, schema] : known)
        schemas.raw(name, schema);
    return object()
        .string("name", info.name())
        .raw("labels", labels.text())
        .raw("identity", hexadecimal(info->identity))
        .raw("boot_id", hexadecimal(info->boot_id))
        .number("incarnation", info->incarnation)
        .number("created_ns", info->created_ns)
        .number("closed_ns", info->closed_ns)
        .number("heartbeat_ns", info->heartbeat_ns)
        .number("pid", info->pid)
        .number("pid_start", info->pid_start)
        .number("major", info->major)
        .number("minor", info->minor)
        .string("state", vmtally::name(info.state()))
        .number("flags", info->flags)
        .raw("sources", sources.text())
        .raw("schemas", schemas.text())
        .text();
}

static vmtally::result<std::string> dump_file(const std::string &path)
{
    auto reader = vmtally::reader::attach(path);

    if (!reader)
        return reader.error();
    auto snapshot = reader->snapshot();
    if (!snapshot)
        return snapshot.error();
    return dump(*snapshot);
}

// Only what nothing is wrong with.
static vmtally::result<std::string> dump_sound(const std::string &path)
{
    const auto verdict = vmtally::check(path);

    if (!verdict)
        return verdict.error();
    if (!verdict->why.empty() || verdict->state == VMT_STATE_DAMAGED || verdict->state == VMT_STATE_OTHER_VERSION)
        return vmtally::error(EBADMSG, "check", path, verdict->why);
    return dump_file(path);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        std::cerr << "usage: dump FILE, or dump - < NAMES\n";
        return 2;
    }
    if (std::string_view(argv[1]) != "-") {
        auto text = dump_file(argv[1]);

        if (!text) {
            std::cerr << "dump: " << text.error().what() << "\n";
            return 1;
        }
        std::cout << *text << "\n";
        return 0;
    }
    for (std::string line; std::getline(std::cin, line);) {
        const auto text = dump_sound(line);

        std::cout << (text ? *text : object().string("error", text.error().what()).text()) << std::endl;
    }
    return 0;
}
