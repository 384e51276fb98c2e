/*
 * AES-256 in counter mode, two blocks to a register (VAES on AVX2). Mirrors aes_ctr_portable.c; the table of the first
 * two rounds is explained in aes_ctr.h. Carries and the upper half of the counter: see there too.
 */
#include "aes_ctr.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* Of 16 registers 8 hold states: enough for two units of 3 to 5 cycles each. Round keys come from the L1 cache. */
#define IN_FLIGHT 8
#define REGISTER_BLOCKS 2
#define BATCH_BLOCKS (IN_FLIGHT * REGISTER_BLOCKS)
#define REGISTER_BYTES ((size_t)REGISTER_BLOCKS * AES_BLOCK_BYTES)
#define BATCH_BYTES ((size_t)BATCH_BLOCKS * AES_BLOCK_BYTES)
#define GROUP_REGISTERS (AES_CTR_GROUP_BLOCKS / REGISTER_BLOCKS)

struct round_keys {
    __m256i round[AES_256_ROUNDS + 1];
};

struct table {
    __m256i state[GROUP_REGISTERS];
};

INLINE struct round_keys load_key(const struct aes_256_key *key)
{
    struct round_keys keys;
    for (size_t i = 0; i <= AES_256_ROUNDS; i++)
        keys.round[i] = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)(const void *)key->round_keys[i]));
    return keys;
}

/* Two consecutive counters, big-endian, from the first of them. */
INLINE __m256i counter_blocks(uint64_t counter)
{
    const __m256i reverse_upper_half =
        _mm256_broadcastsi128_si256(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 4, 3, 2, 1, 0));
    __m256i numbers = _mm256_set_epi64x((long long)(counter + 1), 0, (long long)counter, 0);
    return _mm256_shuffle_epi8(numbers, reverse_upper_half);
}

/* The key addition and the first two rounds. */
INLINE __m256i first_rounds(const struct round_keys *keys, uint64_t counter)
{
    __m256i state = _mm256_xor_si256(counter_blocks(counter), keys->round[0]);
    state = _mm256_aesenc_epi128(state, keys->round[1]);
    return _mm256_aesenc_epi128(state, keys->round[2]);
}

/* The other twelve. */
INLINE void last_rounds(const struct round_keys *keys, __m256i state[], size_t count)
{
    for (size_t round = 3; round < AES_256_ROUNDS; round++)
        for (size_t i = 0; i < count; i++)
            state[i] = _mm256_aesenc_epi128(state[i], keys->round[round]);
    for (size_t i = 0; i < count; i++)
        state[i] = _mm256_aesenclast_epi128(state[i], keys->round[AES_256_ROUNDS]);
}

INLINE void encrypt_counters(const struct round_keys *keys, uint64_t counter, __m256i state[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        state[i] = first_rounds(keys, counter + i * REGISTER_BLOCKS);
    last_rounds(keys, state, count);
}

INLINE void store_batch(uint8_t *out, const __m256i state[IN_FLIGHT])
{
    for (size_t i = 0; i < IN_FLIGHT; i++)
        _mm256_storeu_si256((__m256i *)(void *)(out + i * REGISTER_BYTES), state[i]);
}

INLINE __m256i load_register(const uint8_t *data)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)data);
}

INLINE bool batch_equals(const uint8_t *data, const __m256i state[IN_FLIGHT])
{
    __m256i differences = _mm256_setzero_si256();
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        __m256i difference = _mm256_xor_si256(state[i], load_register(data + i * REGISTER_BYTES));
        differences = _mm256_or_si256(differences, difference);
    }
    return _mm256_testz_si256(differences, differences) == 1;
}

/* How many bytes of a register the run still wants: all, or one block. */
INLINE size_t wanted_bytes(size_t blocks)
{
    return blocks >= REGISTER_BLOCKS ? REGISTER_BYTES : AES_BLOCK_BYTES;
}

static void generate_run(const struct round_keys *keys, uint64_t counter, uint8_t *out, size_t blocks)
{
    size_t done = 0;
    __m256i state[IN_FLIGHT];

    for (; blocks - done >= BATCH_BLOCKS; done += BATCH_BLOCKS) {
        encrypt_counters(keys, counter + done, state, IN_FLIGHT);
        store_batch(out + done * AES_BLOCK_BYTES, state);
    }
    for (; done < blocks; done += REGISTER_BLOCKS) {
        encrypt_counters(keys, counter + done, state, 1);
        memcpy(out + done * AES_BLOCK_BYTES, state, wanted_bytes(blocks - done));
    }
}

static size_t equal_run(const struct round_keys *keys, uint64_t counter, const uint8_t *data, size_t blocks)
{
    size_t done = 0;
    __m256i state[IN_FLIGHT];

    for (; blocks - done >= BATCH_BLOCKS; done += BATCH_BLOCKS) {
        encrypt_counters(keys, counter + done, state, IN_FLIGHT);
        if (!batch_equals(data + done * AES_BLOCK_BYTES, state))
            return done;
    }
    for (; done < blocks; done += REGISTER_BLOCKS) {
        encrypt_counters(keys, counter + done, state, 1);
        if (memcmp(data + done * AES_BLOCK_BYTES, state, wanted_bytes(blocks - done)) != 0)
            return done;
    }
    return blocks;
}

static void build_table(const struct round_keys *keys, uint64_t counter, struct table *table)
{
    for (size_t i = 0; i < GROUP_REGISTERS; i++)
        table->state[i] = first_rounds(keys, counter + i * REGISTER_BLOCKS);
}

/* table[0] ^ state2(group): in lane i it is table[i] ^ state2(group + i), which is the same. */
INLINE __m256i table_difference(const struct round_keys *keys, uint64_t counter, const struct table *table)
{
    return _mm256_xor_si256(first_rounds(keys, counter), table->state[0]);
}

INLINE void encrypt_from_table(const struct round_keys *keys, __m256i difference, const __m256i *table,
                               __m256i state[IN_FLIGHT])
{
    for (size_t i = 0; i < IN_FLIGHT; i++)
        state[i] = _mm256_xor_si256(difference, table[i]);
    last_rounds(keys, state, IN_FLIGHT);
}

static void generate_groups(const struct round_keys *shared_keys, uint64_t counter, uint8_t *out, size_t groups)
{
    const struct round_keys keys = *shared_keys;
    struct table table;
    uint64_t table_counter = counter;

    build_table(&keys, counter, &table);
    for (; groups > 0; groups--, counter += AES_CTR_GROUP_BLOCKS) {
        if (!aes_ctr_table_serves(table_counter, counter)) {
            build_table(&keys, counter, &table);
            table_counter = counter;
        }
        __m256i difference = table_difference(&keys, counter, &table);
        for (size_t i = 0; i < GROUP_REGISTERS; i += IN_FLIGHT, out += BATCH_BYTES) {
            __m256i state[IN_FLIGHT];
            aes_ctr_fetch_ahead_to_write(out, BATCH_BYTES);
            encrypt_from_table(&keys, difference, table.state + i, state);
            store_batch(out, state);
        }
    }
}

static size_t equal_groups(const struct round_keys *shared_keys, uint64_t counter, const uint8_t *data, size_t groups)
{
    const struct round_keys keys = *shared_keys;
    struct table table;
    uint64_t table_counter = counter;
    size_t equal = 0;

    build_table(&keys, counter, &table);
    for (; groups > 0; groups--, counter += AES_CTR_GROUP_BLOCKS) {
        if (!aes_ctr_table_serves(table_counter, counter)) {
            build_table(&keys, counter, &table);
            table_counter = counter;
        }
        __m256i difference = table_difference(&keys, counter, &table);
        for (size_t i = 0; i < GROUP_REGISTERS; i += IN_FLIGHT, equal += BATCH_BLOCKS) {
            __m256i state[IN_FLIGHT];
            aes_ctr_fetch_ahead_to_read(data + equal * AES_BLOCK_BYTES, BATCH_BYTES);
            encrypt_from_table(&keys, difference, table.state + i, state);
            if (!batch_equals(data + equal * AES_BLOCK_BYTES, state))
                return equal;
        }
    }
    return equal;
}

static void generate_blocks(const struct aes_256_key *key, uint64_t counter, uint8_t *out, size_t blocks)
{
    const struct round_keys keys = load_key(key);
    struct aes_ctr_cut cut = aes_ctr_cut_at_groups(counter, blocks);
    size_t done = cut.head_blocks;

    generate_run(&keys, counter, out, cut.head_blocks);
    if (cut.groups == 0)
        return;
    generate_groups(&keys, counter + done, out + done * AES_BLOCK_BYTES, cut.groups);
    done += cut.groups * AES_CTR_GROUP_BLOCKS;
    generate_run(&keys, counter + done, out + done * AES_BLOCK_BYTES, cut.tail_blocks);
}

static size_t equal_blocks(const struct aes_256_key *key, uint64_t counter, const uint8_t *data, size_t blocks)
{
    const struct round_keys keys = load_key(key);
    struct aes_ctr_cut cut = aes_ctr_cut_at_groups(counter, blocks);
    size_t done = equal_run(&keys, counter, data, cut.head_blocks);

    if (done < cut.head_blocks || cut.groups == 0)
        return done;
    done += equal_groups(&keys, counter + done, data + done * AES_BLOCK_BYTES, cut.groups);
    if (done < cut.head_blocks + cut.groups * AES_CTR_GROUP_BLOCKS)
        return done;
    return done + equal_run(&keys, counter + done, data + done * AES_BLOCK_BYTES, cut.tail_blocks);
}

const struct aes_ctr_path aes_ctr_vaes256 = {"vaes256", generate_blocks, equal_blocks};
