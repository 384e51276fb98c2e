/* BLAKE3 on many inputs side by side: the part that all instruction sets share.
 *
 * Word i of the state of input n is lane n of vector i. A file that includes this defines first, for its instruction
 * set:
 *
 *     LANES                                how many inputs
 *     lanes                                a vector of LANES words of 32 bits
 *     lanes_set(word)                      the word in every lane
 *     lanes_add(a, b), lanes_xor(a, b)     lane by lane
 *     lanes_rotate_16(a), _12, _8, _7      each word rotated right
 *     lanes_load(words)                    LANES words from memory, any alignment
 *     load_block(input, offset, m)         vector i of m[16]: word i, in lane n, of the 64 bytes at input[n] + offset
 *     struct stage                         room for one such block, on the stack
 *     stage_lane(stage, input, offset, n)  starts to load lane n's part of a block
 *     load_staged(stage, input, offset, m) load_block, after stage_lane for every lane
 *     store_nodes(node, out)               the reverse for a node of 8 words: 32 bytes at out + 32 * n for each lane n
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

/* Brings into the cache what will be read after this group of chunks. Not a read: it may lie beyond the input's end,
 * hence the integer. */
BLAKE3_INLINE void prefetch_next_group(const uint8_t *input)
{
    __builtin_prefetch((const void *)((uintptr_t)input + BLAKE3_GROUP_BYTES));
}

/* One whole chunk for each lane: where it is and its number. */
struct lanes_chunks {
    const uint8_t *start[LANES];
    uint32_t counter_low[LANES];
    uint32_t counter_high[LANES];
};

BLAKE3_INLINE void stage_if_lane(struct stage *stage, const uint8_t *const start[LANES], size_t offset, int n)
{
    if (n >= LANES)
        return;
    stage_lane(stage, start, offset, n);
    prefetch_next_group(start[n] + offset);
}

/* Fetches a quarter of the next block between two rounds, when the load and store units idle. Nothing when `stage` is
 * NULL. */
BLAKE3_INLINE void stage_part(struct stage *stage, const uint8_t *const start[LANES], size_t offset, int part)
{
    if (stage == NULL)
        return;
    stage_if_lane(stage, start, offset, 4 * part);
    stage_if_lane(stage, start, offset, 4 * part + 1);
    stage_if_lane(stage, start, offset, 4 * part + 2);
    stage_if_lane(stage, start, offset, 4 * part + 3);
}

/* The seven rounds. The orders are the permutation of section 2.2, table 2, applied 0 to 6 times. */
BLAKE3_INLINE void mix_seven_rounds(lanes s[16], const lanes m[16], struct stage *stage,
                                    const uint8_t *const start[LANES], size_t offset)
{
    MIX_ALL(s, m, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    stage_part(stage, start, offset, 0);
    MIX_ALL(s, m, 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8);
    stage_part(stage, start, offset, 1);
    MIX_ALL(s, m, 3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1);
    stage_part(stage, start, offset, 2);
    MIX_ALL(s, m, 10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6);
    stage_part(stage, start, offset, 3);
    MIX_ALL(s, m, 12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4);
    MIX_ALL(s, m, 9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7);
    MIX_ALL(s, m, 11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13);
}

BLAKE3_INLINE void set_initial_node(lanes node[8])
{
    node[0] = lanes_set(BLAKE3_IV_0);
    node[1] = lanes_set(BLAKE3_IV_1);
    node[2] = lanes_set(BLAKE3_IV_2);
    node[3] = lanes_set(BLAKE3_IV_3);
    node[4] = lanes_set(BLAKE3_IV_4);
    node[5] = lanes_set(BLAKE3_IV_5);
    node[6] = lanes_set(BLAKE3_IV_6);
    node[7] = lanes_set(BLAKE3_IV_7);
}

/* Section 2.2: replaces the chaining values `node` by the first half of the compression function's output for whole
 * blocks. `stage`, unless NULL, gets what lies at `start` + `offset`: the block after this one. */
BLAKE3_INLINE void compress(lanes node[8], const lanes message[16], lanes counter_low, lanes counter_high,
                            uint32_t flags, struct stage *stage, const uint8_t *const start[LANES], size_t offset)
{
    lanes state[16] = {
        node[0], node[1], node[2], node[3], node[4], node[5], node[6], node[7],
        lanes_set(BLAKE3_IV_0), lanes_set(BLAKE3_IV_1), lanes_set(BLAKE3_IV_2), lanes_set(BLAKE3_IV_3),
        counter_low, counter_high, lanes_set(BLAKE3_BLOCK_BYTES), lanes_set(flags),
    };
    mix_seven_rounds(state, message, stage, start, offset);
    node[0] = lanes_xor(state[0], state[8]);
    node[1] = lanes_xor(state[1], state[9]);
    node[2] = lanes_xor(state[2], state[10]);
    node[3] = lanes_xor(state[3], state[11]);
    node[4] = lanes_xor(state[4], state[12]);
    node[5] = lanes_xor(state[5], state[13]);
    node[6] = lanes_xor(state[6], state[14]);
    node[7] = lanes_xor(state[7], state[15]);
}

/* Stores the nodes of LANES whole chunks. */
static void hash_chunk_lanes(const struct lanes_chunks *chunks, uint8_t *nodes)
{
    struct stage stage;
    lanes node[8];
    lanes message[16];
    set_initial_node(node);
    load_block(chunks->start, 0, message);

    for (size_t offset = 0; offset < BLAKE3_CHUNK_BYTES; offset += BLAKE3_BLOCK_BYTES) {
        uint32_t flags = 0;
        if (offset == 0)
            flags |= BLAKE3_CHUNK_START;
        if (offset == BLAKE3_CHUNK_BYTES - BLAKE3_BLOCK_BYTES)
            flags |= BLAKE3_CHUNK_END;
        /* After the last block the first one is loaded again, in vain: cheaper than a branch and a second copy of the
         * rounds. */
        size_t next_offset = (offset + BLAKE3_BLOCK_BYTES) % BLAKE3_CHUNK_BYTES;
        compress(node, message, lanes_load(chunks->counter_low), lanes_load(chunks->counter_high), flags, &stage,
                 chunks->start, next_offset);
        load_staged(&stage, chunks->start, next_offset, message);
    }
    store_nodes(node, nodes);
}

/* Stores the parents of LANES pairs of nodes. */
static void hash_parent_lanes(const uint8_t *const start[LANES], uint8_t *nodes)
{
    lanes node[8];
    lanes message[16];
    set_initial_node(node);
    load_block(start, 0, message);
    compress(node, message, lanes_set(0), lanes_set(0), BLAKE3_PARENT, NULL, start, 0);
    store_nodes(node, nodes);
}

/* How many of the next LANES items are there: the lanes beyond repeat the last one, and their nodes are thrown away. */
BLAKE3_INLINE size_t used_lanes(size_t left)
{
    return left < LANES ? left : LANES;
}

static void hash_chunks(const uint8_t *input, size_t chunks, uint64_t first_chunk, uint8_t *nodes)
{
    uint8_t lane_nodes[LANES * BLAKE3_NODE_BYTES];
    for (size_t done = 0; done < chunks; done += LANES) {
        size_t used = used_lanes(chunks - done);
        struct lanes_chunks lane_chunks;
        for (size_t n = 0; n < LANES; n++) {
            size_t chunk = done + (n < used ? n : used - 1);
            lane_chunks.start[n] = input + chunk * BLAKE3_CHUNK_BYTES;
            lane_chunks.counter_low[n] = (uint32_t)(first_chunk + chunk);
            lane_chunks.counter_high[n] = (uint32_t)((first_chunk + chunk) >> 32);
        }
        uint8_t *out = nodes + done * BLAKE3_NODE_BYTES;
        hash_chunk_lanes(&lane_chunks, used == LANES ? out : lane_nodes);
        if (used < LANES)
            memcpy(out, lane_nodes, used * BLAKE3_NODE_BYTES);
    }
}

/* In place is safe: a step writes at most half as far as it has read. */
static void hash_parents(const uint8_t *children, size_t parents, uint8_t *nodes)
{
    uint8_t lane_nodes[LANES * BLAKE3_NODE_BYTES];
    for (size_t done = 0; done < parents; done += LANES) {
        size_t used = used_lanes(parents - done);
        const uint8_t *start[LANES];
        for (size_t n = 0; n < LANES; n++)
            start[n] = children + (done + (n < used ? n : used - 1)) * BLAKE3_PARENT_BYTES;
        uint8_t *out = nodes + done * BLAKE3_NODE_BYTES;
        hash_parent_lanes(start, used == LANES ? out : lane_nodes);
        if (used < LANES)
            memcpy(out, lane_nodes, used * BLAKE3_NODE_BYTES);
    }
}
