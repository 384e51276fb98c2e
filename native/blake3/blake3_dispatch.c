/* Which code path is taken: the fastest that this CPU has, or the one that was forced. */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "blake3_internal.h"

#if defined(__x86_64__)

/* The compiler's run-time check covers the operating system's part too: a register file that is not saved is not
 * there. */
static bool cpu_has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") != 0;
}

static bool cpu_has_avx512(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw");
}

#endif

static bool always(void)
{
    return true;
}

/* Fastest first; the last one is always there. */
static const struct {
    const struct blake3_code *code;
    bool (*is_supported)(void);
} candidates[] = {
#if defined(__x86_64__)
    {&blake3_code_avx512, cpu_has_avx512},
    {&blake3_code_avx2, cpu_has_avx2},
#elif defined(__aarch64__) && defined(__AARCH64EL__)
    {&blake3_code_neon, always},
#endif
    {&blake3_code_portable, always},
};

enum { CANDIDATES = sizeof candidates / sizeof candidates[0] };

/* Every path's name, whatever machine this was built for: an unknown name is the caller's mistake, a path that this
 * build lacks is not. */
static const char *const known_names[] = {"avx512", "avx2", "neon", "portable"};

/* NULL until first use. Threads that race to choose choose the same; what it points to never changes, so relaxed
 * order suffices. */
static const struct blake3_code *_Atomic active;

static const struct blake3_code *fastest(void)
{
    size_t i = 0;
    while (!candidates[i].is_supported())
        i++;
    return candidates[i].code;
}

const struct blake3_code *blake3_active_code(void)
{
    const struct blake3_code *code = atomic_load_explicit(&active, memory_order_relaxed);
    if (code != NULL)
        return code;
    code = fastest();
    const struct blake3_code *expected = NULL;
    /* Not a plain store: another thread may have forced a path in the meantime. */
    if (!atomic_compare_exchange_strong_explicit(&active, &expected, code, memory_order_relaxed, memory_order_relaxed))
        code = expected;
    return code;
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < sizeof known_names / sizeof known_names[0]; i++) {
        if (strcmp(name, known_names[i]) == 0)
            return true;
    }
    return false;
}

int blake3_force_path(const char *name)
{
    if (name == NULL) {
        atomic_store_explicit(&active, fastest(), memory_order_relaxed);
        return 0;
    }
    for (size_t i = 0; i < CANDIDATES; i++) {
        if (strcmp(name, candidates[i].code->name) == 0 && candidates[i].is_supported()) {
            atomic_store_explicit(&active, candidates[i].code, memory_order_relaxed);
            return 0;
        }
    }
    return is_known(name) ? -ENOTSUP : -EINVAL;
}

const char *blake3_path(void)
{
    return blake3_active_code()->name;
}

size_t blake3_available_paths(const char **names, size_t capacity)
{
    size_t count = 0;
    for (size_t i = 0; i < CANDIDATES; i++) {
        if (!candidates[i].is_supported())
            continue;
        if (count < capacity)
            names[count] = candidates[i].code->name;
        count++;
    }
    return count;
}
