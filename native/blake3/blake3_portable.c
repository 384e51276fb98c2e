/* BLAKE3's compression function as the paper has it, one block at a time: the reference that every other path is
 * tested against. */
#include <string.h>

#include "blake3_internal.h"

enum { WORDS_PER_NODE = 8, WORDS_PER_BLOCK = 16, ROUNDS = 7 };

static const uint32_t initial_node[WORDS_PER_NODE] = {
    BLAKE3_IV_0, BLAKE3_IV_1, BLAKE3_IV_2, BLAKE3_IV_3, BLAKE3_IV_4, BLAKE3_IV_5, BLAKE3_IV_6, BLAKE3_IV_7,
};

/* Section 2.2, table 2: word i of the next round's message is word permutation[i] of this round's. */
static const uint8_t permutation[WORDS_PER_BLOCK] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};

static uint32_t load_word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void store_word(uint8_t *bytes, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(word >> 8 * i);
}

static void store_node(uint8_t *bytes, const uint32_t node[WORDS_PER_NODE])
{
    for (int i = 0; i < WORDS_PER_NODE; i++)
        store_word(bytes + 4 * i, node[i]);
}

static uint32_t rotate_right(uint32_t word, int bits)
{
    return word >> bits | word << (32 - bits);
}

/* The function G of section 2.2. */
static void mix(uint32_t state[16], int a, int b, int c, int d, uint32_t x, uint32_t y)
{
    state[a] += state[b] + x;
    state[d] = rotate_right(state[d] ^ state[a], 16);
    state[c] += state[d];
    state[b] = rotate_right(state[b] ^ state[c], 12);
    state[a] += state[b] + y;
    state[d] = rotate_right(state[d] ^ state[a], 8);
    state[c] += state[d];
    state[b] = rotate_right(state[b] ^ state[c], 7);
}

static void mix_all(uint32_t state[16], const uint32_t message[WORDS_PER_BLOCK])
{
    mix(state, 0, 4, 8, 12, message[0], message[1]);
    mix(state, 1, 5, 9, 13, message[2], message[3]);
    mix(state, 2, 6, 10, 14, message[4], message[5]);
    mix(state, 3, 7, 11, 15, message[6], message[7]);
    mix(state, 0, 5, 10, 15, message[8], message[9]);
    mix(state, 1, 6, 11, 12, message[10], message[11]);
    mix(state, 2, 7, 8, 13, message[12], message[13]);
    mix(state, 3, 4, 9, 14, message[14], message[15]);
}

static void permute(uint32_t message[WORDS_PER_BLOCK])
{
    uint32_t permuted[WORDS_PER_BLOCK];
    for (int i = 0; i < WORDS_PER_BLOCK; i++)
        permuted[i] = message[permutation[i]];
    memcpy(message, permuted, sizeof permuted);
}

/* Section 2.2: replaces the chaining value `node` by the first half of the compression function's output. */
static void compress(uint32_t node[WORDS_PER_NODE], const uint8_t block[BLAKE3_BLOCK_BYTES], uint64_t counter,
                     uint32_t block_bytes, uint32_t flags)
{
    uint32_t message[WORDS_PER_BLOCK];
    for (int i = 0; i < WORDS_PER_BLOCK; i++)
        message[i] = load_word(block + 4 * i);

    uint32_t state[16] = {
        node[0],     node[1],     node[2],           node[3],
        node[4],     node[5],     node[6],           node[7],
        BLAKE3_IV_0, BLAKE3_IV_1, BLAKE3_IV_2,       BLAKE3_IV_3,
        (uint32_t)counter, (uint32_t)(counter >> 32), block_bytes, flags,
    };
    for (int round = 0; round < ROUNDS; round++) {
        mix_all(state, message);
        permute(message);
    }
    for (int i = 0; i < WORDS_PER_NODE; i++)
        node[i] = state[i] ^ state[i + 8];
}

/* Section 2.4. */
void blake3_portable_chunk(const uint8_t *input, size_t length, uint64_t chunk, uint32_t flags, uint8_t *node)
{
    uint32_t words[WORDS_PER_NODE];
    memcpy(words, initial_node, sizeof words);

    uint32_t start = BLAKE3_CHUNK_START;
    for (; length > BLAKE3_BLOCK_BYTES; length -= BLAKE3_BLOCK_BYTES, input += BLAKE3_BLOCK_BYTES, start = 0)
        compress(words, input, chunk, BLAKE3_BLOCK_BYTES, start);

    uint8_t last_block[BLAKE3_BLOCK_BYTES] = {0};
    if (length > 0)
        memcpy(last_block, input, length);
    compress(words, last_block, chunk, (uint32_t)length, start | BLAKE3_CHUNK_END | flags);
    store_node(node, words);
}

/* Section 2.5. */
void blake3_portable_parent(const uint8_t *children, uint32_t flags, uint8_t *node)
{
    uint32_t words[WORDS_PER_NODE];
    memcpy(words, initial_node, sizeof words);
    compress(words, children, 0, BLAKE3_BLOCK_BYTES, BLAKE3_PARENT | flags);
    store_node(node, words);
}

static void hash_chunks(const uint8_t *input, size_t chunks, uint64_t first_chunk, uint8_t *nodes)
{
    for (size_t i = 0; i < chunks; i++)
        blake3_portable_chunk(input + i * BLAKE3_CHUNK_BYTES, BLAKE3_CHUNK_BYTES, first_chunk + i, 0,
                              nodes + i * BLAKE3_NODE_BYTES);
}

static void hash_parents(const uint8_t *children, size_t parents, uint8_t *nodes)
{
    for (size_t i = 0; i < parents; i++)
        blake3_portable_parent(children + i * BLAKE3_PARENT_BYTES, 0, nodes + i * BLAKE3_NODE_BYTES);
}

const struct blake3_code blake3_code_portable = {"portable", hash_chunks, hash_parents};
