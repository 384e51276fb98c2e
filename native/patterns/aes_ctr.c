/* The AES-256-CTR stream by bytes: whole blocks straight from the path in use, a block cut at an end by way of here. */
#include "stream.h"

#include <string.h>

#include "aes_ctr.h"

/* A range of bytes as the blocks that it touches. */
struct byte_range {
    uint64_t counter;
    size_t skip;       /* bytes of the first block that lie before the range */
    size_t head_bytes; /* of a first block that the range begins inside of, else 0 */
    size_t blocks;     /* whole ones */
    size_t tail_bytes;
};

static struct byte_range cut_at_blocks(uint64_t offset, size_t length)
{
    struct byte_range range = {.counter = offset / AES_BLOCK_BYTES, .skip = (size_t)(offset % AES_BLOCK_BYTES)};

    if (range.skip > 0) {
        size_t rest_of_block = AES_BLOCK_BYTES - range.skip;
        range.head_bytes = length < rest_of_block ? length : rest_of_block;
    }
    range.blocks = (length - range.head_bytes) / AES_BLOCK_BYTES;
    range.tail_bytes = (length - range.head_bytes) % AES_BLOCK_BYTES;
    return range;
}

int pattern_init_aes_256_ctr(struct pattern *pattern, const uint8_t seed[PATTERN_SEED_BYTES])
{
    aes_256_expand_key(&pattern->prepared.aes_256, seed);
    pattern->kind = PATTERN_AES_256_CTR;
    return 0;
}

void aes_ctr_generate(const struct aes_256_key *key, uint64_t offset, uint8_t *out, size_t length)
{
    const struct aes_ctr_path *path = aes_ctr_path_in_use();
    struct byte_range range = cut_at_blocks(offset, length);
    uint8_t block[AES_BLOCK_BYTES];

    if (range.head_bytes > 0) {
        path->generate_blocks(key, range.counter, block, 1);
        memcpy(out, block + range.skip, range.head_bytes);
        out += range.head_bytes;
        range.counter++;
    }
    path->generate_blocks(key, range.counter, out, range.blocks);
    if (range.tail_bytes > 0) {
        path->generate_blocks(key, range.counter + range.blocks, block, 1);
        memcpy(out + range.blocks * AES_BLOCK_BYTES, block, range.tail_bytes);
    }
}

size_t aes_ctr_equal_prefix(const struct aes_256_key *key, uint64_t offset, const uint8_t *data, size_t length)
{
    const struct aes_ctr_path *path = aes_ctr_path_in_use();
    struct byte_range range = cut_at_blocks(offset, length);
    uint8_t block[AES_BLOCK_BYTES];
    size_t equal = 0;

    if (range.head_bytes > 0) {
        path->generate_blocks(key, range.counter, block, 1);
        if (memcmp(data, block + range.skip, range.head_bytes) != 0)
            return 0;
        equal = range.head_bytes;
        range.counter++;
    }
    size_t equal_blocks = path->equal_blocks(key, range.counter, data + equal, range.blocks);
    equal += equal_blocks * AES_BLOCK_BYTES;
    if (equal_blocks < range.blocks || range.tail_bytes == 0)
        return equal;
    path->generate_blocks(key, range.counter + range.blocks, block, 1);
    return memcmp(data + equal, block, range.tail_bytes) == 0 ? length : equal;
}
