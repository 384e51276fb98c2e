/* BLAKE3's tree, built group by group.
 *
 * The paper's tree (section 2.1) is the one that pairs neighbours level by level and takes an odd node at the right end up as it
 * is. So 16 chunks can be hashed side by side, and of 32 neighbouring nodes of one level 16 parents side by side, however the
 * input was cut into updates. Only blake3_final meets rows that are not full, and only there can a node be the root.
 */
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "blake3_internal.h"

enum { GROUP_NODES_BYTES = BLAKE3_GROUP_CHUNKS * BLAKE3_NODE_BYTES };

void blake3_init(struct blake3_hasher *hasher)
{
    /* The arrays are only read where `groups` and `waiting_bytes` say that they were written. */
    hasher->groups = 0;
    hasher->waiting_bytes = 0;
}

/* Counts up in binary: 16 nodes meet the 16 that wait on their level, their 16 parents those of the next level, and so on. */
static void add_group(struct blake3_hasher *hasher, const struct blake3_code *code, const uint8_t *input)
{
    _Alignas(64) uint8_t nodes[2 * GROUP_NODES_BYTES];
    uint8_t *const right = nodes + GROUP_NODES_BYTES;

    code->hash_chunks(input, BLAKE3_GROUP_CHUNKS, hasher->groups * BLAKE3_GROUP_CHUNKS, right);
    int level = 0;
    for (; hasher->groups >> level & 1; level++) {
        memcpy(nodes, hasher->pending[level], GROUP_NODES_BYTES);
        code->hash_parents(nodes, BLAKE3_GROUP_CHUNKS, nodes);
        memcpy(right, nodes, GROUP_NODES_BYTES);
    }
    assert(level < BLAKE3_GROUP_LEVELS);
    memcpy(hasher->pending[level], right, GROUP_NODES_BYTES);
    hasher->groups++;
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
        add_group(hasher, code, hasher->waiting);
        hasher->waiting_bytes = 0;
    }
    for (; length >= BLAKE3_GROUP_BYTES; length -= BLAKE3_GROUP_BYTES, input += BLAKE3_GROUP_BYTES)
        add_group(hasher, code, input);
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
