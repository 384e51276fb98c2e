/*
 * Rates of every AES path that this CPU has, and of the constant, on one core in GB/s: `bench_pattern [buffer KiB]`.
 * The buffer, 128 KiB unless given, stays in the L2 cache. A large one, 65536 and more, does not, like the blocks of
 * many drives at once; it lies on huge pages, as theirs do. Compare with
 * `openssl speed -evp aes-256-ctr -bytes 1048576` run in the same minute.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "pattern.h"

#define SECONDS_PER_MEASUREMENT 0.3
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

/* Time on the processor, as `openssl speed` counts: what others do on the machine stays out, as far as it can. */
static double now_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double generate_rate(const struct pattern *pattern, uint8_t *buffer, size_t length)
{
    uint64_t offset = 0;
    double start = now_seconds(), end;
    do {
        for (int i = 0; i < 16; i++, offset += length)
            pattern_generate(pattern, offset, buffer, length);
        end = now_seconds();
    } while (end - start < SECONDS_PER_MEASUREMENT);
    return (double)offset / (end - start) / 1e9;
}

static double compare_rate(const struct pattern *pattern, uint8_t *buffer, size_t length)
{
    uint64_t total = 0, different = 0;
    size_t stored;
    pattern_generate(pattern, 0, buffer, length);
    double start = now_seconds(), end;
    do {
        for (int i = 0; i < 16; i++, total += length)
            different += pattern_compare(pattern, 0, buffer, length, 512, NULL, 0, &stored);
        end = now_seconds();
    } while (end - start < SECONDS_PER_MEASUREMENT);
    if (different != 0)
        exit(1);
    return (double)total / (end - start) / 1e9;
}

static void report(const char *name, const struct pattern *pattern, uint8_t *buffer, size_t length)
{
    double generate = generate_rate(pattern, buffer, length);
    printf("%-14s generate %6.2f GB/s  compare %6.2f GB/s\n", name, generate, compare_rate(pattern, buffer, length));
}

int main(int argc, char **argv)
{
    static const uint8_t seed[PATTERN_SEED_BYTES] = {1, 2, 3}, constant[4095] = {0x92, 0x49, 0x24};
    static const size_t periods[] = {1, 3, 512, 4095};
    static struct pattern pattern;
    const char *names[8];
    size_t length = (argc > 1 ? strtoul(argv[1], NULL, 10) : 128) << 10;
    size_t whole = (length + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    uint8_t *buffer = length > 0 ? aligned_alloc(HUGE_PAGE_BYTES, whole) : NULL;
    if (buffer == NULL)
        return 2;
    madvise(buffer, whole, MADV_HUGEPAGE);

    size_t count = pattern_available_paths(names, sizeof names / sizeof names[0]);
    pattern_init_aes_256_ctr(&pattern, seed);
    for (size_t i = 0; i < count; i++) {
        pattern_force_path(names[i]);
        report(names[i], &pattern, buffer, length);
    }
    for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "constant %zu", periods[i]);
        pattern_init_constant(&pattern, constant, periods[i]);
        report(name, &pattern, buffer, length);
    }
    free(buffer);
    return 0;
}
