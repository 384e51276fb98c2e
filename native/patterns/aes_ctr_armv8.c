/*
 * AES-256 in counter mode with the ARMv8 cryptography extension. Mirrors aes_ctr_portable.c.
 *
 * AESE adds the round key first and leaves out MixColumns, AESMC is MixColumns alone: so the key of the last round is
 * added by itself.
 */
#include "aes_ctr.h"

#include <arm_neon.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* AESE and AESMC of one state fuse; 8 states cover their latency, and with 15 round keys fit into 32 registers. */
#define IN_FLIGHT 8
#define BATCH_BLOCKS IN_FLIGHT

struct round_keys {
    uint8x16_t round[AES_256_ROUNDS + 1];
};

INLINE struct round_keys load_key(const struct aes_256_key *key)
{
    struct round_keys keys;
    for (size_t i = 0; i <= AES_256_ROUNDS; i++)
        keys.round[i] = vld1q_u8(key->round_keys[i]);
    return keys;
}

INLINE uint8x16_t counter_block(uint64_t counter)
{
    uint64x2_t number = vcombine_u64(vcreate_u64(0), vcreate_u64(counter));
    return vrev64q_u8(vreinterpretq_u8_u64(number));
}

INLINE void encrypt_counters(const struct round_keys *keys, uint64_t counter, uint8x16_t state[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        state[i] = counter_block(counter + i);
    for (size_t round = 0; round < AES_256_ROUNDS - 1; round++)
        for (size_t i = 0; i < count; i++)
            state[i] = vaesmcq_u8(vaeseq_u8(state[i], keys->round[round]));
    for (size_t i = 0; i < count; i++)
        state[i] = veorq_u8(vaeseq_u8(state[i], keys->round[AES_256_ROUNDS - 1]), keys->round[AES_256_ROUNDS]);
}

INLINE void store_batch(uint8_t *out, const uint8x16_t state[IN_FLIGHT])
{
    for (size_t i = 0; i < IN_FLIGHT; i++)
        vst1q_u8(out + i * AES_BLOCK_BYTES, state[i]);
}

INLINE bool batch_equals(const uint8_t *data, const uint8x16_t state[IN_FLIGHT])
{
    uint8x16_t differences = vdupq_n_u8(0);
    for (size_t i = 0; i < IN_FLIGHT; i++)
        differences = vorrq_u8(differences, veorq_u8(state[i], vld1q_u8(data + i * AES_BLOCK_BYTES)));
    return vmaxvq_u8(differences) == 0;
}

static void generate_blocks(const struct aes_256_key *key, uint64_t counter, uint8_t *out, size_t blocks)
{
    const struct round_keys keys = load_key(key);
    size_t done = 0;
    uint8x16_t state[IN_FLIGHT];

    for (; blocks - done >= BATCH_BLOCKS; done += BATCH_BLOCKS) {
        encrypt_counters(&keys, counter + done, state, IN_FLIGHT);
        store_batch(out + done * AES_BLOCK_BYTES, state);
    }
    for (; done < blocks; done++) {
        encrypt_counters(&keys, counter + done, state, 1);
        vst1q_u8(out + done * AES_BLOCK_BYTES, state[0]);
    }
}

static size_t equal_blocks(const struct aes_256_key *key, uint64_t counter, const uint8_t *data, size_t blocks)
{
    const struct round_keys keys = load_key(key);
    size_t done = 0;
    uint8x16_t state[IN_FLIGHT];

    for (; blocks - done >= BATCH_BLOCKS; done += BATCH_BLOCKS) {
        encrypt_counters(&keys, counter + done, state, IN_FLIGHT);
        if (!batch_equals(data + done * AES_BLOCK_BYTES, state))
            return done;
    }
    for (; done < blocks; done++) {
        encrypt_counters(&keys, counter + done, state, 1);
        if (memcmp(data + done * AES_BLOCK_BYTES, state, AES_BLOCK_BYTES) != 0)
            return done;
    }
    return blocks;
}

const struct aes_ctr_path aes_ctr_armv8 = {"armv8", generate_blocks, equal_blocks};
