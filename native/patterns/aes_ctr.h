/*
 * AES-256 in counter mode, one implementation per instruction set. Internal to native/patterns.
 *
 * The stream is addressed by blocks of 16 bytes. Block n is the encryption of n as a 128-bit big-endian number. A
 * drive's offset is a uint64_t, so n < 2^60: the upper half of the counter is always zero, and adding to its lower
 * half, as one 64-bit number, never overflows. No implementation needs to carry.
 */
#ifndef ERASER_AES_CTR_H
#define ERASER_AES_CTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pattern.h"

/* Each file of an instruction set defines one of these; aes_ctr_portable.c is the specification of all of them. */
struct aes_ctr_path {
    const char *name;
    /* Writes blocks counter .. counter + blocks - 1 of the stream to out, of any alignment. */
    void (*generate_blocks)(const struct aes_256_key *key, uint64_t counter, uint8_t *out, size_t blocks);
    /*
     * Compares data, of any alignment, with the same blocks of the stream. Returns `blocks` if all are equal.
     * Otherwise a number of leading blocks that are equal, fewer than `blocks`, with a difference at most 256 blocks
     * further on.
     */
    size_t (*equal_blocks)(const struct aes_256_key *key, uint64_t counter, const uint8_t *data, size_t blocks);
};

extern const struct aes_ctr_path aes_ctr_portable;
#if defined(__x86_64__)
extern const struct aes_ctr_path aes_ctr_aesni;
extern const struct aes_ctr_path aes_ctr_vaes256;
extern const struct aes_ctr_path aes_ctr_vaes512;
#elif defined(__aarch64__)
extern const struct aes_ctr_path aes_ctr_armv8;
#endif

/* The path in use: chosen at first use, or forced. Safe to call from any thread. */
const struct aes_ctr_path *aes_ctr_path_in_use(void);

/* FIPS 197 §5.2. */
void aes_256_expand_key(struct aes_256_key *key, const uint8_t seed[PATTERN_SEED_BYTES]);

/* The S-box of FIPS 197 §5.1.1; the tests derive it anew. */
extern const uint8_t aes_sbox[256];

/*
 * Counter-mode caching. In counter mode neighbouring blocks differ in the last byte of the counter alone, and AES
 * needs two rounds to spread a byte over the whole block. Number a block's bytes 0 to 15. After the first round,
 * column 0 is a function of bytes 0, 5, 10 and 15, and no other column is touched by these. In the second round each
 * byte goes through the S-box alone and MixColumns is linear, so the state after it is
 *
 *     state2(counter) = f(bytes 0, 5, 10, 15) ^ g(the other bytes)
 *
 * Bytes 0 and 5 are zero, byte 10 is bits 40 to 47 of the counter and byte 15 its lowest 8 bits. Hence with a table
 * of state2 for the 256 blocks of one group, the first two of the fourteen rounds of any other group whose counters
 * share bits 40 to 47 are one XOR a block:
 *
 *     state2(group + i) = table[i] ^ (table[0] ^ state2(group))
 *
 * It is indexed by the counter, which is public, and costs a seventh of a group to build.
 */
#define AES_CTR_GROUP_BLOCKS 256
#define AES_CTR_GROUP_BYTES ((size_t)AES_CTR_GROUP_BLOCKS * AES_BLOCK_BYTES)

/* Below this many groups the table costs more than it saves. */
#define AES_CTR_TABLE_WORTH_GROUPS 3

/* A run of blocks, cut so that the groups begin at a multiple of 256; one too short for a table is all head. */
struct aes_ctr_cut {
    size_t head_blocks;
    size_t groups;
    size_t tail_blocks;
};

static inline struct aes_ctr_cut aes_ctr_cut_at_groups(uint64_t counter, size_t blocks)
{
    size_t head_blocks = (size_t)(-counter % AES_CTR_GROUP_BLOCKS);
    if (blocks < head_blocks + (size_t)AES_CTR_TABLE_WORTH_GROUPS * AES_CTR_GROUP_BLOCKS)
        return (struct aes_ctr_cut){.head_blocks = blocks};
    size_t rest = blocks - head_blocks;
    return (struct aes_ctr_cut){head_blocks, rest / AES_CTR_GROUP_BLOCKS, rest % AES_CTR_GROUP_BLOCKS};
}

/* Whether a table built for the group at table_counter serves the group at counter: see above. */
static inline bool aes_ctr_table_serves(uint64_t table_counter, uint64_t counter)
{
    return (table_counter >> 40) == (counter >> 40);
}

/*
 * Fetching ahead. What is compared has just come from the drive and what is written has just gone to it: it lies
 * outside the second-level cache, and AES on wide registers consumes it faster than it comes. The hardware's own
 * prefetcher stays within 4 KiB, so each batch asks for the lines that are this far ahead of it. Nearer than 2 KiB
 * comes too late; 4 to 16 KiB did equally well: out of the cache a fifth to a half faster. What is in the cache already
 * loses nothing, but for 4 % in the comparison on 32-byte registers where the data is not aligned to them.
 *
 * Beyond the end of the data, nothing is read and nothing faults: a prefetch is a hint. The address is made as a number
 * because C allows no pointer there.
 */
#define AES_CTR_FETCH_AHEAD_BYTES 4096
#define CACHE_LINE_BYTES 64

/* Before `bytes` at data are compared. */
static inline void aes_ctr_fetch_ahead_to_read(const uint8_t *data, size_t bytes)
{
    for (size_t line = 0; line < bytes; line += CACHE_LINE_BYTES)
        __builtin_prefetch((const void *)((uintptr_t)data + AES_CTR_FETCH_AHEAD_BYTES + line), 0);
}

/* Before `bytes` at out are written: asks for the lines as the only owner. */
static inline void aes_ctr_fetch_ahead_to_write(const uint8_t *out, size_t bytes)
{
    for (size_t line = 0; line < bytes; line += CACHE_LINE_BYTES)
        __builtin_prefetch((const void *)((uintptr_t)out + AES_CTR_FETCH_AHEAD_BYTES + line), 1);
}

#endif
