/* BLAKE3 on many inputs side by side: the part that all instruction sets share.
 *
 * Word i of the state of input n is lane n of vector i. A file that includes this defines first, for its instruction set:
 *
 *     LANES                              how many inputs
 *     lanes                              a vector of LANES words of 32 bits
 *     lanes_set(word), lanes_add(a, b), lanes_xor(a, b)
 *     lanes_rotate_16(a), _12, _8, _7    each word rotated right
 *     lanes_load(words)                  from LANES words in memory, any alignment
 *     load_block(input, offset, message) vector i of message[16]: word i of the 64 bytes at input[n] + offset, for each lane n
 *     store_nodes(node, out)             the reverse for a node of 8 words: 32 bytes at out + 32 * n for each lane n
 *
 * and gets hash_chunks and hash_parents (see struct blake3_code).
 */
#include <string.h>

#include "blake3_internal.h"

/* Without inlining the vectors would live in memory. */
#define BLAKE3_INLINE static inline __attribute__((always_inline))

/* The function G of section 2.2. */
BLAKE3_INLINE void mix(lanes *a, lanes *b, lanes *c, lanes *d, lanes x, lanes y)
{
    *a = lanes_add(lanes_add(*a, x), *b);
    *d = lanes_rotate_16(lanes_xor(*d, *a));
    *c = lanes_add(*c, *d);
    *b = lanes_rotate_12(lanes_xor(*b, *c));
    *a = lanes_add(lanes_add(*a, y), *b);
    *d = lanes_rotate_8(lanes_xor(*d, *a));
    *c = lanes_add(*c, *d);
    *b = lanes_rotate_7(lanes_xor(*b, *c));
}

/* One round; m0 to m15 are the numbers of the message's words in the order that this round takes them. */
#define MIX_ALL(s, m, m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15) \
    do {                                                                                    \
        mix(&(s)[0], &(s)[4], &(s)[8], &(s)[12], (m)[m0], (m)[m1]);                         \
        mix(&(s)[1], &(s)[5], &(s)[9], &(s)[13], (m)[m2], (m)[m3]);                         \
        mix(&(s)[2], &(s)[6], &(s)[10], &(s)[14], (m)[m4], (m)[m5]);                        \
        mix(&(s)[3], &(s)[7], &(s)[11], &(s)[15], (m)[m6], (m)[m7]);                        \
        mix(&(s)[0], &(s)[5], &(s)[10], &(s)[15], (m)[m8], (m)[m9]);                        \
        mix(&(s)[1], &(s)[6], &(s)[11], &(s)[12], (m)[m10], (m)[m11]);                      \
        mix(&(s)[2], &(s)[7], &(s)[8], &(s)[13], (m)[m12], (m)[m13]);                       \
        mix(&(s)[3], &(s)[4], &(s)[9], &(s)[14], (m)[m14], (m)[m15]);                       \
    } while (0)

/* The permutation of section 2.2, table 2, applied 0 to 6 times. */
BLAKE3_INLINE void mix_seven_rounds(lanes s[16], const lanes m[16])
{
    MIX_ALL(s, m, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    MIX_ALL(s, m, 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8);
    MIX_ALL(s, m, 3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1);
    MIX_ALL(s, m, 10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6);
    MIX_ALL(s, m, 12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4);
    MIX_ALL(s, m, 9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7);
    MIX_ALL(s, m, 11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13);
}

/* What differs between the blocks of chunks and of parents. */
struct lanes_input {
    const uint8_t *start[LANES];
    uint32_t counter_low[LANES];
    uint32_t counter_high[LANES];
    size_t blocks;
    uint32_t flags;       /* of every block */
    uint32_t first_flags; /* besides, of the first block */
    uint32_t last_flags;  /* besides, of the last block */
};

/* Stores LANES nodes. Not inlined: one copy of the rounds serves chunks and parents. */
__attribute__((noinline)) static void hash_lanes(const struct lanes_input *input, uint8_t *nodes)
{
    lanes node[8] = {
        lanes_set(BLAKE3_IV_0), lanes_set(BLAKE3_IV_1), lanes_set(BLAKE3_IV_2), lanes_set(BLAKE3_IV_3),
        lanes_set(BLAKE3_IV_4), lanes_set(BLAKE3_IV_5), lanes_set(BLAKE3_IV_6), lanes_set(BLAKE3_IV_7),
    };
    for (size_t block = 0; block < input->blocks; block++) {
        uint32_t flags = input->flags;
        if (block == 0)
            flags |= input->first_flags;
        if (block == input->blocks - 1)
            flags |= input->last_flags;

        lanes message[16];
        load_block(input->start, block * BLAKE3_BLOCK_BYTES, message);
        lanes state[16] = {
            node[0], node[1], node[2], node[3], node[4], node[5], node[6], node[7],
            lanes_set(BLAKE3_IV_0), lanes_set(BLAKE3_IV_1), lanes_set(BLAKE3_IV_2), lanes_set(BLAKE3_IV_3),
            lanes_load(input->counter_low), lanes_load(input->counter_high),
            lanes_set(BLAKE3_BLOCK_BYTES), lanes_set(flags),
        };
        mix_seven_rounds(state, message);
        node[0] = lanes_xor(state[0], state[8]);
        node[1] = lanes_xor(state[1], state[9]);
        node[2] = lanes_xor(state[2], state[10]);
        node[3] = lanes_xor(state[3], state[11]);
        node[4] = lanes_xor(state[4], state[12]);
        node[5] = lanes_xor(state[5], state[13]);
        node[6] = lanes_xor(state[6], state[14]);
        node[7] = lanes_xor(state[7], state[15]);
    }
    store_nodes(node, nodes);
}

/* Lanes beyond `count` repeat the last input: their nodes are thrown away. */
BLAKE3_INLINE void hash_lanes_partly(const struct lanes_input *input, size_t count, uint8_t *nodes)
{
    uint8_t all_nodes[LANES * BLAKE3_NODE_BYTES];
    hash_lanes(input, all_nodes);
    memcpy(nodes, all_nodes, count * BLAKE3_NODE_BYTES);
}

static void hash_chunks(const uint8_t *chunks_input, size_t chunks, uint64_t first_chunk, uint8_t *nodes)
{
    struct lanes_input input = {
        .blocks = BLAKE3_CHUNK_BYTES / BLAKE3_BLOCK_BYTES,
        .first_flags = BLAKE3_CHUNK_START,
        .last_flags = BLAKE3_CHUNK_END,
    };
    for (size_t done = 0; done < chunks; done += LANES) {
        size_t count = chunks - done < LANES ? chunks - done : LANES;
        for (size_t n = 0; n < LANES; n++) {
            size_t chunk = done + (n < count ? n : count - 1);
            input.start[n] = chunks_input + chunk * BLAKE3_CHUNK_BYTES;
            input.counter_low[n] = (uint32_t)(first_chunk + chunk);
            input.counter_high[n] = (uint32_t)((first_chunk + chunk) >> 32);
        }
        if (count == LANES)
            hash_lanes(&input, nodes + done * BLAKE3_NODE_BYTES);
        else
            hash_lanes_partly(&input, count, nodes + done * BLAKE3_NODE_BYTES);
    }
}

/* In place is safe: a step writes at most half as far as it has read. */
static void hash_parents(const uint8_t *children, size_t parents, uint8_t *nodes)
{
    struct lanes_input input = {.blocks = 1, .flags = BLAKE3_PARENT};
    for (size_t done = 0; done < parents; done += LANES) {
        size_t count = parents - done < LANES ? parents - done : LANES;
        for (size_t n = 0; n < LANES; n++)
            input.start[n] = children + (done + (n < count ? n : count - 1)) * BLAKE3_PARENT_BYTES;
        if (count == LANES)
            hash_lanes(&input, nodes + done * BLAKE3_NODE_BYTES);
        else
            hash_lanes_partly(&input, count, nodes + done * BLAKE3_NODE_BYTES);
    }
}
