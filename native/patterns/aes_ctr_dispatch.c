/* Chooses the AES path: by the CPU at first use, or by name. */
#include "aes_ctr.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

struct candidate {
    const struct aes_ctr_path *path;
    bool (*is_supported)(void);
};

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)

/* Bits of CPUID and XCR0: Intel SDM vol. 2A, CPUID; vol. 1 §13.3. */
#define LEAF_1_ECX_SSSE3 (1U << 9)
#define LEAF_1_ECX_SSE41 (1U << 19)
#define LEAF_1_ECX_AES (1U << 25)
#define LEAF_1_ECX_OSXSAVE (1U << 27)
#define LEAF_7_EBX_AVX2 (1U << 5)
#define LEAF_7_EBX_AVX512F (1U << 16)
#define LEAF_7_EBX_AVX512DQ (1U << 17)
#define LEAF_7_EBX_AVX512BW (1U << 30)
#define LEAF_7_EBX_AVX512VL (1U << 31)
#define LEAF_7_ECX_VAES (1U << 9)
#define XCR0_XMM_YMM 0x06U
#define XCR0_XMM_YMM_ZMM 0xe6U

static bool has_all(uint32_t bits, uint32_t wanted)
{
    return (bits & wanted) == wanted;
}

static uint32_t leaf_1_ecx(void)
{
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) ? ecx : 0;
}

/* Whether the operating system saves these registers: a CPU may have an instruction set that the kernel keeps off. */
static bool system_saves(uint32_t states)
{
    uint32_t low = 0, high = 0;
    if (!has_all(leaf_1_ecx(), LEAF_1_ECX_OSXSAVE))
        return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return has_all(low, states);
}

static bool leaf_7_has(uint32_t wanted_ebx, uint32_t wanted_ecx)
{
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && has_all(ebx, wanted_ebx) && has_all(ecx, wanted_ecx);
}

static bool has_aesni(void)
{
    return has_all(leaf_1_ecx(), LEAF_1_ECX_AES | LEAF_1_ECX_SSE41 | LEAF_1_ECX_SSSE3);
}

static bool has_vaes256(void)
{
    return has_aesni() && system_saves(XCR0_XMM_YMM) && leaf_7_has(LEAF_7_EBX_AVX2, LEAF_7_ECX_VAES);
}

static bool has_vaes512(void)
{
    return has_vaes256() && system_saves(XCR0_XMM_YMM_ZMM) &&
           leaf_7_has(LEAF_7_EBX_AVX512F | LEAF_7_EBX_AVX512DQ | LEAF_7_EBX_AVX512BW | LEAF_7_EBX_AVX512VL, 0);
}

#elif defined(__aarch64__)

static bool has_armv8(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
}

#endif

/* What this build has, best first; the last is always supported. */
static const struct candidate candidates[] = {
#if defined(__x86_64__)
    {&aes_ctr_vaes512, has_vaes512},
    {&aes_ctr_vaes256, has_vaes256},
    {&aes_ctr_aesni, has_aesni},
#elif defined(__aarch64__)
    {&aes_ctr_armv8, has_armv8},
#endif
    {&aes_ctr_portable, always},
};
#define CANDIDATES (sizeof candidates / sizeof candidates[0])

/* All names of pattern.h, in this build or not. */
static const char *const known_names[] = {"vaes512", "vaes256", "aesni", "armv8", "portable"};
#define KNOWN_NAMES (sizeof known_names / sizeof known_names[0])

/* NULL until first use. Points to constant data only, so the pointer alone needs to be atomic. */
static _Atomic(const struct aes_ctr_path *) path_in_use;

static const struct aes_ctr_path *best_path(void)
{
    size_t i = 0;
    while (!candidates[i].is_supported())
        i++;
    return candidates[i].path;
}

const struct aes_ctr_path *aes_ctr_path_in_use(void)
{
    const struct aes_ctr_path *path = atomic_load_explicit(&path_in_use, memory_order_relaxed);
    if (path != NULL)
        return path;
    /* Only fills an empty place: a path that another thread forces meanwhile stays. */
    const struct aes_ctr_path *best = best_path();
    return atomic_compare_exchange_strong(&path_in_use, &path, best) ? best : path;
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < KNOWN_NAMES; i++)
        if (strcmp(known_names[i], name) == 0)
            return true;
    return false;
}

int pattern_force_path(const char *name)
{
    if (name == NULL) {
        atomic_store(&path_in_use, best_path());
        return 0;
    }
    if (!is_known(name))
        return -EINVAL;
    for (size_t i = 0; i < CANDIDATES; i++) {
        if (strcmp(candidates[i].path->name, name) == 0 && candidates[i].is_supported()) {
            atomic_store(&path_in_use, candidates[i].path);
            return 0;
        }
    }
    return -ENOTSUP;
}

const char *pattern_path(void)
{
    return aes_ctr_path_in_use()->name;
}

size_t pattern_available_paths(const char **names, size_t capacity)
{
    size_t count = 0;
    for (size_t i = 0; i < CANDIDATES; i++) {
        if (!candidates[i].is_supported())
            continue;
        if (count < capacity)
            names[count] = candidates[i].path->name;
        count++;
    }
    return count;
}
