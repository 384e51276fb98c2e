/*
 * What a pass writes: a pattern that knows every byte of the drive by its offset alone.
 *
 * A pattern is plain data owned by the caller: prepared once, then read by any number of threads at once, copied or
 * dropped freely. No function here allocates, blocks or keeps a pointer to what it was given.
 */
#ifndef ERASER_PATTERN_H
#define ERASER_PATTERN_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_CONSTANT_MAX_BYTES 4096
#define PATTERN_SEED_BYTES 32
#define AES_BLOCK_BYTES 16
#define AES_256_ROUNDS 14

/* Round keys in the byte order of FIPS 197: the form in which every instruction set loads them. */
struct aes_256_key {
    alignas(64) uint8_t round_keys[AES_256_ROUNDS + 1][AES_BLOCK_BYTES];
};

/* The constant repeated to the first multiple of its length that is not below 4096 bytes: long enough to copy from. */
struct constant_tile {
    alignas(64) uint8_t bytes[2 * PATTERN_CONSTANT_MAX_BYTES];
    size_t length;
};

enum pattern_kind { PATTERN_CONSTANT = 1, PATTERN_AES_256_CTR = 2 };

struct pattern {
    union {
        struct constant_tile constant;
        struct aes_256_key aes_256;
    } prepared;
    enum pattern_kind kind;
};

/* Byte i of the drive is bytes[i % length]. Returns 0, or -EINVAL unless 1 <= length <= 4096. */
int pattern_init_constant(struct pattern *pattern, const uint8_t *bytes, size_t length);

/* Byte i of the drive is byte i of `openssl enc -aes-256-ctr -K seed -iv 0` over zeros. Returns 0. */
int pattern_init_aes_256_ctr(struct pattern *pattern, const uint8_t seed[PATTERN_SEED_BYTES]);

/*
 * Writes the pattern's bytes offset .. offset + length - 1 to out. Any offset, length and alignment, as long as
 * offset + length does not exceed 2^64. Fastest where both offset and out are multiples of 4096.
 */
void pattern_generate(const struct pattern *pattern, uint64_t offset, void *out, size_t length);

/*
 * Compares data, read at offset, with the pattern. Data is cut into sectors of sector_bytes (at least 1; the last may
 * be short). Returns how many sectors differ; the byte offsets on the drive (offset + start of the sector) of the
 * first of them go to places[0 .. *stored - 1], at most capacity of them, ascending. places may be NULL if capacity
 * is 0. Content is only ever compared: it is not copied, and what was expected is not written to memory.
 */
uint64_t pattern_compare(const struct pattern *pattern, uint64_t offset, const void *data, size_t length,
                         size_t sector_bytes, uint64_t *places, size_t capacity, size_t *stored);

/*
 * The code that computes AES: "vaes512", "vaes256", "aesni", "armv8" or "portable"; all give the same bytes. The best
 * one that the CPU has is chosen at first use. Forcing one is for tests and benchmarks: it holds for the whole
 * process, from the next call on. NULL goes back to the automatic choice. Returns 0, -ENOTSUP for a path that this
 * CPU or build lacks, -EINVAL for a name that is none of the five.
 */
int pattern_force_path(const char *name);

/* The path in use. */
const char *pattern_path(void);

/* Stores the names of the paths that this CPU can take, best first, at most capacity; returns how many there are. */
size_t pattern_available_paths(const char **names, size_t capacity);

#endif
