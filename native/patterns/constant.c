/*
 * A repeated constant. Copies and comparisons run over a tile of 4 to 8 KiB that stays in the L1 cache, by libc's
 * memcpy and memcmp, which know the CPU: any length of constant and any phase goes at the speed of the memory.
 */
#include "stream.h"

#include <errno.h>
#include <string.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

int pattern_init_constant(struct pattern *pattern, const uint8_t *bytes, size_t length)
{
    struct constant_tile *tile = &pattern->prepared.constant;
    size_t repeats;

    if (length < 1 || length > PATTERN_CONSTANT_MAX_BYTES)
        return -EINVAL;
    repeats = (PATTERN_CONSTANT_MAX_BYTES + length - 1) / length;
    for (size_t i = 0; i < repeats; i++)
        memcpy(tile->bytes + i * length, bytes, length);
    tile->length = repeats * length;
    pattern->kind = PATTERN_CONSTANT;
    return 0;
}

void constant_generate(const struct constant_tile *tile, uint64_t offset, uint8_t *out, size_t length)
{
    size_t phase = (size_t)(offset % tile->length);

    while (length > 0) {
        size_t run = smaller(tile->length - phase, length);
        memcpy(out, tile->bytes + phase, run);
        out += run;
        length -= run;
        phase = 0;
    }
}

size_t constant_equal_prefix(const struct constant_tile *tile, uint64_t offset, const uint8_t *data, size_t length)
{
    size_t phase = (size_t)(offset % tile->length);
    size_t equal = 0;

    while (equal < length) {
        size_t run = smaller(tile->length - phase, length - equal);
        if (memcmp(data + equal, tile->bytes + phase, run) != 0)
            return equal;
        equal += run;
        phase = 0;
    }
    return equal;
}
