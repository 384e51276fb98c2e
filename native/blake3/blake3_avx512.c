/* BLAKE3 on 16 inputs side by side: AVX-512 F, VL and BW. */
#include <immintrin.h>

#include "blake3_internal.h"

#define LANES 16
typedef __m512i lanes;

#define INLINE static inline __attribute__((always_inline))

INLINE lanes lanes_set(uint32_t word)
{
    return _mm512_set1_epi32((int)word);
}

INLINE lanes lanes_load(const uint32_t *words)
{
    return _mm512_loadu_si512(words);
}

INLINE lanes lanes_add(lanes a, lanes b)
{
    return _mm512_add_epi32(a, b);
}

INLINE lanes lanes_xor(lanes a, lanes b)
{
    return _mm512_xor_si512(a, b);
}

INLINE lanes lanes_rotate_16(lanes a)
{
    return _mm512_ror_epi32(a, 16);
}

INLINE lanes lanes_rotate_12(lanes a)
{
    return _mm512_ror_epi32(a, 12);
}

INLINE lanes lanes_rotate_8(lanes a)
{
    return _mm512_ror_epi32(a, 8);
}

INLINE lanes lanes_rotate_7(lanes a)
{
    return _mm512_ror_epi32(a, 7);
}

/* Four rows of 16 words: within each quarter (four columns) rows become columns, so that quarter q of row r
 * holds column 4q + r of the four rows. */
INLINE void transpose_quarters(lanes r[4])
{
    lanes low_01 = _mm512_unpacklo_epi32(r[0], r[1]);
    lanes high_01 = _mm512_unpackhi_epi32(r[0], r[1]);
    lanes low_23 = _mm512_unpacklo_epi32(r[2], r[3]);
    lanes high_23 = _mm512_unpackhi_epi32(r[2], r[3]);
    r[0] = _mm512_unpacklo_epi64(low_01, low_23);
    r[1] = _mm512_unpackhi_epi64(low_01, low_23);
    r[2] = _mm512_unpacklo_epi64(high_01, high_23);
    r[3] = _mm512_unpackhi_epi64(high_01, high_23);
}

INLINE __m128i load_quarter(const uint8_t *bytes)
{
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* Four rows of 16 words, ready for transpose_quarters: quarter q of row r holds 16 bytes of lane 4q + r. */
INLINE void load_quarters(const uint8_t *const input[LANES], size_t offset, lanes r[4])
{
    for (int row = 0; row < 4; row++) {
        r[row] = _mm512_castsi128_si512(load_quarter(input[row] + offset));
        r[row] = _mm512_inserti32x4(r[row], load_quarter(input[4 + row] + offset), 1);
        r[row] = _mm512_inserti32x4(r[row], load_quarter(input[8 + row] + offset), 2);
        r[row] = _mm512_inserti32x4(r[row], load_quarter(input[12 + row] + offset), 3);
    }
}

INLINE void load_block(const uint8_t *const input[LANES], size_t offset, lanes message[16])
{
    for (size_t word = 0; word < 16; word += 4) {
        load_quarters(input, offset + 4 * word, message + word);
        transpose_quarters(message + word);
    }
}

/* The same without the inserts, which take the units that the rounds need too: the quarters are laid out in memory by
 * plain loads and stores of 16 bytes while a block is mixed, and are read as whole rows for the next one. */
struct stage {
    _Alignas(64) uint8_t rows[16][64];
};

INLINE void stage_lane(struct stage *stage, const uint8_t *const input[LANES], size_t offset, int n)
{
    for (int word = 0; word < 16; word += 4)
        _mm_store_si128((__m128i *)(void *)&stage->rows[word + n % 4][n / 4 * 16],
                        load_quarter(input[n] + offset + 4 * word));
#ifdef __clang__
    /* Or clang sees through the memory and makes inserts of it again: 8 % slower. GCC does not, and is slower with
     * this. */
    __asm__ volatile("" : "+m"(*stage));
#endif
}

INLINE void load_staged(const struct stage *stage, const uint8_t *const input[LANES], size_t offset, lanes message[16])
{
    (void)input, (void)offset;
    for (int word = 0; word < 16; word += 4) {
        for (int row = 0; row < 4; row++)
            message[word + row] = _mm512_load_si512(stage->rows[word + row]);
        transpose_quarters(message + word);
    }
}

/* Half a node of each lane: quarter q of `half` is lane 4q + r's. */
INLINE void store_halves(lanes half, uint8_t *out)
{
    _mm_storeu_si128((__m128i *)(void *)out, _mm512_castsi512_si128(half));
    _mm_storeu_si128((__m128i *)(void *)(out + 4 * BLAKE3_NODE_BYTES), _mm512_extracti32x4_epi32(half, 1));
    _mm_storeu_si128((__m128i *)(void *)(out + 8 * BLAKE3_NODE_BYTES), _mm512_extracti32x4_epi32(half, 2));
    _mm_storeu_si128((__m128i *)(void *)(out + 12 * BLAKE3_NODE_BYTES), _mm512_extracti32x4_epi32(half, 3));
}

INLINE void store_nodes(lanes node[8], uint8_t *out)
{
    transpose_quarters(node);
    transpose_quarters(node + 4);
    for (int r = 0; r < 4; r++) {
        store_halves(node[r], out + r * BLAKE3_NODE_BYTES);
        store_halves(node[4 + r], out + r * BLAKE3_NODE_BYTES + BLAKE3_NODE_BYTES / 2);
    }
}

#include "blake3_lanes.h"

const struct blake3_code blake3_code_avx512 = {"avx512", hash_chunks, hash_parents};
