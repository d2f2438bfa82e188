/* SPDX-License-Identifier: MIT */
/* One increment in C, C++ and Rust, in turn. Rust's comes from a library that is loaded: VMT_BENCH_RUST names it. */
#include "bench.h"
#include "bindings.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <vmtally/schemas.h>

#define ONE(slot)                                                                                                      \
    vmt_add(sh, slot, 1);                                                                                              \
    BARRIER();

__attribute__((noinline, aligned(64))) static void c_increment(void *shard, uint64_t n)
{
    struct vmt_shard *sh = shard;

    for (uint64_t i = 0; i < n; i += 8) {
        ONE(VMT_VCPU_EXITS)
        ONE(VMT_VCPU_EXITS)
        ONE(VMT_VCPU_EXITS)
        ONE(VMT_VCPU_EXITS)
        ONE(VMT_VCPU_EXITS)
        ONE(VMT_VCPU_EXITS)
        ONE(VMT_VCPU_EXITS)
        ONE(VMT_VCPU_EXITS)
    }
}

__attribute__((noinline, aligned(64))) static void c_increment_eight(void *shard, uint64_t n)
{
    struct vmt_shard *sh = shard;

    for (uint64_t i = 0; i < n; i += 8) {
        ONE(VMT_VCPU_EXITS)
        ONE(VMT_VCPU_EXIT_HLT)
        ONE(VMT_VCPU_EXIT_INTR)
        ONE(VMT_VCPU_EXIT_IRQ_WINDOW)
        ONE(VMT_VCPU_EXIT_OTHER)
        ONE(VMT_VCPU_RUN_TIME)
        ONE(VMT_VCPU_HALT_TIME)
        ONE(VMT_VCPU_EXIT_IO_IN)
    }
}

/* The function of that name; NULL and *why. */
static void (*rust_function(const char *name, const char **why))(void *, uint64_t)
{
    const char *path = getenv("VMT_BENCH_RUST");
    void *library, *found = NULL;
    void (*run)(void *, uint64_t);

    if (!path || !*path) {
        *why = "its library was not built";
        return NULL;
    }
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* stays until the end */
    if (library)
        found = dlsym(library, name);
    if (!found)
        *why = dlerror();
    *(void **)(&run) = found;
    return run;
}

/* Whoever counts less is no faster. */
static void must_count(const struct vmt_shard *sh, const struct way *way)
{
    uint64_t before = 0, after = 0;

    for (uint32_t i = 0; i < vmt_schema_vcpu.slots; i++)
        before += sh->value_[i];
    way->run(way->arg, 64);
    for (uint32_t i = 0; i < vmt_schema_vcpu.slots; i++)
        after += sh->value_[i];
    if (after - before != 64)
        stop("%s: %llu were counted instead of 64", way->name, (unsigned long long)(after - before));
}

static void compare(const struct vmt_shard *sh, struct way *ways, size_t count)
{
    for (size_t i = 0; i < count; i++)
        must_count(sh, &ways[i]);
    measure(ways, count);
    for (size_t i = 1; i < count; i++)
        row_ratio(&ways[i], &ways[0], 1.05);
}

void bench_bindings(void)
{
    struct vmt_segment *segment = segment_new("bindings", 0);
    struct vmt_shard *sh = vmt_shard_acquire(source_new(segment, &vmt_schema_vcpu, NULL, "vcpu", 0));
    struct way same[3] = { { .name = "C", .run = c_increment, .arg = sh } };
    struct way eight[3] = { { .name = "C, eight slots in turn", .run = c_increment_eight, .arg = sh } };
    const char *why = "";
    size_t count = 1;

    heading("One increment in each language");
#ifdef VMT_BENCH_CPP
    cpp_hold(sh);
    same[count] = (struct way){ .name = "C++", .run = cpp_increment };
    eight[count++] = (struct way){ .name = "C++, eight slots in turn", .run = cpp_increment_eight };
#else
    note("C++ is left out: there was no compiler for it");
#endif
    same[count] = (struct way){ .name = "Rust", .run = rust_function("vmtally_rust_increment", &why), .arg = sh };
    eight[count] = (struct way){ .name = "Rust, eight slots in turn",
                                 .run = rust_function("vmtally_rust_increment_eight", &why),
                                 .arg = sh };
    if (same[count].run && eight[count].run)
        count++;
    else
        note("Rust is left out: %s", why);
    compare(sh, same, count);
    compare(sh, eight, count);
#ifdef VMT_BENCH_CPP
    cpp_release();
#else
    vmt_shard_release(sh);
#endif
    vmt_segment_close(segment);
}
