/* GB/s of each available path over 64 MiB, best of several: in one update, and in updates of 128 KiB. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blake3.h"

enum { INPUT_BYTES = 64 << 20, UPDATE_BYTES = 128 << 10, REPEATS = 9 };

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double best_rate(const uint8_t *input, size_t update_bytes)
{
    double best_seconds = 1e9;
    for (int i = 0; i < REPEATS; i++) {
        static struct blake3_hasher hasher;
        uint8_t hash[BLAKE3_HASH_BYTES];
        double start = now_seconds();
        blake3_init(&hasher);
        for (size_t done = 0; done < INPUT_BYTES; done += update_bytes)
            blake3_update(&hasher, input + done, update_bytes);
        blake3_final(&hasher, hash);
        double seconds = now_seconds() - start;
        if (seconds < best_seconds)
            best_seconds = seconds;
    }
    return INPUT_BYTES / best_seconds / 1e9;
}

int main(void)
{
    const char *names[8];
    size_t count = blake3_available_paths(names, sizeof names / sizeof names[0]);
    uint8_t *input = malloc(INPUT_BYTES);
    if (input == NULL)
        return 1;
    memset(input, 0x5a, INPUT_BYTES);
    for (size_t i = 0; i < count; i++) {
        if (blake3_force_path(names[i]) != 0)
            return 1;
        printf("%-9s whole %6.2f GB/s   updates of 128 KiB %6.2f GB/s\n", names[i], best_rate(input, INPUT_BYTES),
               best_rate(input, UPDATE_BYTES));
    }
    free(input);
    return 0;
}
