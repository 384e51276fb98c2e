/* BLAKE3's tree, built group by group.
 *
 * The paper's tree (section 2.1) is the one that pairs neighbours level by level and takes an odd node at the right
 * end up as it is. So 16 chunks can be hashed side by side, and of 32 neighbouring nodes of one level 16 parents side
 * by side, however the input was cut into updates. Only blake3_final meets rows that are not full, and only there can
 * a node be the root.
 */
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "blake3_internal.h"

enum {
    GROUP_NODES_BYTES = BLAKE3_GROUP_CHUNKS * BLAKE3_NODE_BYTES,
    MAX_RUN_LEVEL = 3, /* 8 groups, 128 KiB at once */
};

void blake3_init(struct blake3_hasher *hasher)
{
    /* The arrays are only read where `groups` and `waiting_bytes` say that they were written. */
    hasher->groups = 0;
    hasher->waiting_bytes = 0;
}

/* Adds 2^level groups whose nodes make up whole rows up to that level, because hasher->groups is a multiple of
 * 2^level: the parents of one level in one call, so that each batch of 16 need not wait for the one before.
 *
 * From there on it counts up in binary: 16 nodes meet the 16 that wait on their level, their parents those of the
 * next level... */
static void add_run(struct blake3_hasher *hasher, const struct blake3_code *code, const uint8_t *input, int level)
{
    _Alignas(64) uint8_t nodes[GROUP_NODES_BYTES << MAX_RUN_LEVEL];
    _Alignas(64) uint8_t pair[2 * GROUP_NODES_BYTES];
    const uint64_t run_groups = (uint64_t)1 << level;
    assert(level <= MAX_RUN_LEVEL && hasher->groups % run_groups == 0);

    size_t count = (size_t)BLAKE3_GROUP_CHUNKS << level;
    code->hash_chunks(input, count, hasher->groups * BLAKE3_GROUP_CHUNKS, nodes);
    for (; count > BLAKE3_GROUP_CHUNKS; count /= 2)
        code->hash_parents(nodes, count / 2, nodes);

    for (; hasher->groups >> level & 1; level++) {
        memcpy(pair, hasher->pending[level], GROUP_NODES_BYTES);
        memcpy(pair + GROUP_NODES_BYTES, nodes, GROUP_NODES_BYTES);
        code->hash_parents(pair, BLAKE3_GROUP_CHUNKS, nodes);
    }
    assert(level < BLAKE3_GROUP_LEVELS);
    memcpy(hasher->pending[level], nodes, GROUP_NODES_BYTES);
    hasher->groups += run_groups;
}

/* The level of the longest run that may be added next and that `length` bytes fill. */
static int next_run_level(const struct blake3_hasher *hasher, size_t length)
{
    int level = 0;
    while (level < MAX_RUN_LEVEL && !(hasher->groups >> level & 1) && length >> (level + 1) >= BLAKE3_GROUP_BYTES)
        level++;
    return level;
}

void blake3_update(struct blake3_hasher *hasher, const void *data, size_t length)
{
    assert(hasher->waiting_bytes < BLAKE3_GROUP_BYTES);
    if (length == 0)
        return;
    const struct blake3_code *code = blake3_active_code();
    const uint8_t *input = data;

    if (hasher->waiting_bytes > 0) {
        size_t room = BLAKE3_GROUP_BYTES - hasher->waiting_bytes;
        size_t taken = length < room ? length : room;
        memcpy(hasher->waiting + hasher->waiting_bytes, input, taken);
        hasher->waiting_bytes += taken;
        input += taken;
        length -= taken;
        if (hasher->waiting_bytes < BLAKE3_GROUP_BYTES)
            return;
        add_run(hasher, code, hasher->waiting, 0);
        hasher->waiting_bytes = 0;
    }
    while (length >= BLAKE3_GROUP_BYTES) {
        int level = next_run_level(hasher, length);
        size_t run_bytes = (size_t)BLAKE3_GROUP_BYTES << level;
        add_run(hasher, code, input, level);
        input += run_bytes;
        length -= run_bytes;
    }
    if (length > 0)
        memcpy(hasher->waiting, input, length);
    hasher->waiting_bytes = length;
}

/* Stores the nodes of the chunks that wait, 0 to 16; returns how many. None is the root. */
static size_t hash_waiting(const struct blake3_hasher *hasher, const struct blake3_code *code, uint8_t *nodes)
{
    size_t chunks = hasher->waiting_bytes / BLAKE3_CHUNK_BYTES;
    size_t rest_bytes = hasher->waiting_bytes % BLAKE3_CHUNK_BYTES;
    uint64_t first_chunk = hasher->groups * BLAKE3_GROUP_CHUNKS;

    code->hash_chunks(hasher->waiting, chunks, first_chunk, nodes);
    if (rest_bytes > 0) {
        blake3_portable_chunk(hasher->waiting + chunks * BLAKE3_CHUNK_BYTES, rest_bytes, first_chunk + chunks, 0,
                              nodes + chunks * BLAKE3_NODE_BYTES);
        chunks++;
    }
    return chunks;
}

void blake3_final(const struct blake3_hasher *hasher, uint8_t out[BLAKE3_HASH_BYTES])
{
    if (hasher->groups == 0 && hasher->waiting_bytes <= BLAKE3_CHUNK_BYTES) {
        blake3_portable_chunk(hasher->waiting, hasher->waiting_bytes, 0, BLAKE3_ROOT, out);
        return;
    }
    const struct blake3_code *code = blake3_active_code();
    /* The right end of one level: at most 16 that waited there and 16 from below. */
    _Alignas(64) uint8_t nodes[2 * GROUP_NODES_BYTES];
    size_t count = hash_waiting(hasher, code, nodes);

    for (uint64_t groups = hasher->groups, level = 0;; groups >>= 1, level++) {
        if (groups & 1) {
            memmove(nodes + GROUP_NODES_BYTES, nodes, count * BLAKE3_NODE_BYTES);
            memcpy(nodes, hasher->pending[level], GROUP_NODES_BYTES);
            count += BLAKE3_GROUP_CHUNKS;
        }
        assert(count <= 2 * BLAKE3_GROUP_CHUNKS);
        bool is_whole_level = groups >> 1 == 0;
        if (is_whole_level && count == 2)
            break;
        assert(!is_whole_level || count > 2);

        code->hash_parents(nodes, count / 2, nodes);
        if (count % 2 == 1)
            memmove(nodes + count / 2 * BLAKE3_NODE_BYTES, nodes + (count - 1) * BLAKE3_NODE_BYTES, BLAKE3_NODE_BYTES);
        count = (count + 1) / 2;
    }
    blake3_portable_parent(nodes, BLAKE3_ROOT, out);
}
