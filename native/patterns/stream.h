/*
 * The two kinds of pattern behind pattern.h: bytes by their offset, any offset, length and alignment. Internal to
 * native/patterns.
 */
#ifndef ERASER_STREAM_H
#define ERASER_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "pattern.h"

/* No equal_prefix answers more than this much before the first difference. */
#define EQUAL_PREFIX_GRAIN_BYTES 8192

void constant_generate(const struct constant_tile *tile, uint64_t offset, uint8_t *out, size_t length);
void aes_ctr_generate(const struct aes_256_key *key, uint64_t offset, uint8_t *out, size_t length);

/*
 * `length` if all of data equals the stream at offset. Otherwise a number of leading bytes that are equal, smaller than
 * `length`, with a difference less than EQUAL_PREFIX_GRAIN_BYTES further on.
 */
size_t constant_equal_prefix(const struct constant_tile *tile, uint64_t offset, const uint8_t *data, size_t length);
size_t aes_ctr_equal_prefix(const struct aes_256_key *key, uint64_t offset, const uint8_t *data, size_t length);

#endif
