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

/* Four rows of four quarters: quarter q of row r goes to quarter r of row q. */
INLINE void transpose_rows(lanes *a, lanes *b, lanes *c, lanes *d)
{
    lanes even_ab = _mm512_shuffle_i32x4(*a, *b, 0x88); /* a0 a2 b0 b2 */
    lanes odd_ab = _mm512_shuffle_i32x4(*a, *b, 0xdd);  /* a1 a3 b1 b3 */
    lanes even_cd = _mm512_shuffle_i32x4(*c, *d, 0x88);
    lanes odd_cd = _mm512_shuffle_i32x4(*c, *d, 0xdd);
    *a = _mm512_shuffle_i32x4(even_ab, even_cd, 0x88);
    *b = _mm512_shuffle_i32x4(odd_ab, odd_cd, 0x88);
    *c = _mm512_shuffle_i32x4(even_ab, even_cd, 0xdd);
    *d = _mm512_shuffle_i32x4(odd_ab, odd_cd, 0xdd);
}

INLINE void load_block(const uint8_t *const input[LANES], size_t offset, lanes message[16])
{
    /* Row r of group g is lane 4g + r. */
    lanes rows[4][4];
#define LOAD_ROWS(g)                                                 \
    rows[g][0] = _mm512_loadu_si512(input[4 * (g) + 0] + offset);    \
    rows[g][1] = _mm512_loadu_si512(input[4 * (g) + 1] + offset);    \
    rows[g][2] = _mm512_loadu_si512(input[4 * (g) + 2] + offset);    \
    rows[g][3] = _mm512_loadu_si512(input[4 * (g) + 3] + offset);    \
    transpose_quarters(rows[g])
    LOAD_ROWS(0);
    LOAD_ROWS(1);
    LOAD_ROWS(2);
    LOAD_ROWS(3);
#undef LOAD_ROWS
#define STORE_WORDS(r)                                                          \
    transpose_rows(&rows[0][r], &rows[1][r], &rows[2][r], &rows[3][r]);         \
    message[0 + (r)] = rows[0][r];                                              \
    message[4 + (r)] = rows[1][r];                                              \
    message[8 + (r)] = rows[2][r];                                              \
    message[12 + (r)] = rows[3][r]
    STORE_WORDS(0);
    STORE_WORDS(1);
    STORE_WORDS(2);
    STORE_WORDS(3);
#undef STORE_WORDS
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
