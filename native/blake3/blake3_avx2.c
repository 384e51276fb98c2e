/* BLAKE3 on 8 inputs side by side: AVX2. */
#include <immintrin.h>

#include "blake3_internal.h"

#define LANES 8
typedef __m256i lanes;

#define INLINE static inline __attribute__((always_inline))

INLINE lanes lanes_set(uint32_t word)
{
    return _mm256_set1_epi32((int)word);
}

INLINE lanes lanes_load(const uint32_t *words)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)words);
}

INLINE lanes lanes_add(lanes a, lanes b)
{
    return _mm256_add_epi32(a, b);
}

INLINE lanes lanes_xor(lanes a, lanes b)
{
    return _mm256_xor_si256(a, b);
}

/* By whole bytes one shuffle does it; otherwise two shifts and an or. */
INLINE lanes lanes_rotate_16(lanes a)
{
    return _mm256_shuffle_epi8(a, _mm256_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13,
                                                   2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
}

INLINE lanes lanes_rotate_12(lanes a)
{
    return _mm256_or_si256(_mm256_srli_epi32(a, 12), _mm256_slli_epi32(a, 20));
}

INLINE lanes lanes_rotate_8(lanes a)
{
    return _mm256_shuffle_epi8(a, _mm256_setr_epi8(1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12,
                                                   1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12));
}

INLINE lanes lanes_rotate_7(lanes a)
{
    return _mm256_or_si256(_mm256_srli_epi32(a, 7), _mm256_slli_epi32(a, 25));
}

/* Rows become columns: word r of row n goes to word n of row r. */
INLINE void transpose(lanes r[8])
{
    lanes low_01 = _mm256_unpacklo_epi32(r[0], r[1]), high_01 = _mm256_unpackhi_epi32(r[0], r[1]);
    lanes low_23 = _mm256_unpacklo_epi32(r[2], r[3]), high_23 = _mm256_unpackhi_epi32(r[2], r[3]);
    lanes low_45 = _mm256_unpacklo_epi32(r[4], r[5]), high_45 = _mm256_unpackhi_epi32(r[4], r[5]);
    lanes low_67 = _mm256_unpacklo_epi32(r[6], r[7]), high_67 = _mm256_unpackhi_epi32(r[6], r[7]);

    /* Words n (lower half) and n + 4 (upper half) of rows 0 to 3, and of rows 4 to 7. */
    lanes left_0 = _mm256_unpacklo_epi64(low_01, low_23), right_0 = _mm256_unpacklo_epi64(low_45, low_67);
    lanes left_1 = _mm256_unpackhi_epi64(low_01, low_23), right_1 = _mm256_unpackhi_epi64(low_45, low_67);
    lanes left_2 = _mm256_unpacklo_epi64(high_01, high_23), right_2 = _mm256_unpacklo_epi64(high_45, high_67);
    lanes left_3 = _mm256_unpackhi_epi64(high_01, high_23), right_3 = _mm256_unpackhi_epi64(high_45, high_67);

    r[0] = _mm256_permute2x128_si256(left_0, right_0, 0x20);
    r[1] = _mm256_permute2x128_si256(left_1, right_1, 0x20);
    r[2] = _mm256_permute2x128_si256(left_2, right_2, 0x20);
    r[3] = _mm256_permute2x128_si256(left_3, right_3, 0x20);
    r[4] = _mm256_permute2x128_si256(left_0, right_0, 0x31);
    r[5] = _mm256_permute2x128_si256(left_1, right_1, 0x31);
    r[6] = _mm256_permute2x128_si256(left_2, right_2, 0x31);
    r[7] = _mm256_permute2x128_si256(left_3, right_3, 0x31);
}

INLINE void load_block(const uint8_t *const input[LANES], size_t offset, lanes message[16])
{
    for (int n = 0; n < LANES; n++) {
        message[n] = _mm256_loadu_si256((const __m256i *)(const void *)(input[n] + offset));
        message[n + 8] = _mm256_loadu_si256((const __m256i *)(const void *)(input[n] + offset + 32));
    }
    transpose(message);
    transpose(message + 8);
}

/* Loading takes too few instructions here to be spread. */
struct stage {
    char unused;
};

INLINE void stage_lane(struct stage *stage, const uint8_t *const input[LANES], size_t offset, int n)
{
    (void)stage, (void)input, (void)offset, (void)n;
}

INLINE void load_staged(const struct stage *stage, const uint8_t *const input[LANES], size_t offset, lanes message[16])
{
    (void)stage;
    load_block(input, offset, message);
}

INLINE void store_nodes(lanes node[8], uint8_t *out)
{
    transpose(node);
    for (int n = 0; n < LANES; n++)
        _mm256_storeu_si256((__m256i *)(void *)(out + n * BLAKE3_NODE_BYTES), node[n]);
}

#include "blake3_lanes.h"

const struct blake3_code blake3_code_avx2 = {"avx2", hash_chunks, hash_parents};
