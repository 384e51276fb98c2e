/* BLAKE3 on 4 inputs side by side: NEON, little-endian AArch64. */
#include <arm_neon.h>

#include "blake3_internal.h"

#define LANES 4
typedef uint32x4_t lanes;

#define INLINE static inline __attribute__((always_inline))

INLINE lanes lanes_set(uint32_t word)
{
    return vdupq_n_u32(word);
}

INLINE lanes lanes_load(const uint32_t *words)
{
    return vld1q_u32(words);
}

INLINE lanes lanes_add(lanes a, lanes b)
{
    return vaddq_u32(a, b);
}

INLINE lanes lanes_xor(lanes a, lanes b)
{
    return veorq_u32(a, b);
}

INLINE lanes lanes_rotate_16(lanes a)
{
    return vreinterpretq_u32_u16(vrev32q_u16(vreinterpretq_u16_u32(a)));
}

/* A shift, and a shift that inserts into what the first one left free. */
INLINE lanes lanes_rotate_12(lanes a)
{
    return vsriq_n_u32(vshlq_n_u32(a, 20), a, 12);
}

INLINE lanes lanes_rotate_8(lanes a)
{
    return vsriq_n_u32(vshlq_n_u32(a, 24), a, 8);
}

INLINE lanes lanes_rotate_7(lanes a)
{
    return vsriq_n_u32(vshlq_n_u32(a, 25), a, 7);
}

INLINE lanes join_low(lanes a, lanes b)
{
    return vreinterpretq_u32_u64(vzip1q_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)));
}

INLINE lanes join_high(lanes a, lanes b)
{
    return vreinterpretq_u32_u64(vzip2q_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)));
}

/* Rows become columns: word r of row n goes to word n of row r. */
INLINE void transpose(lanes r[4])
{
    lanes low_01 = vzip1q_u32(r[0], r[1]), high_01 = vzip2q_u32(r[0], r[1]);
    lanes low_23 = vzip1q_u32(r[2], r[3]), high_23 = vzip2q_u32(r[2], r[3]);
    r[0] = join_low(low_01, low_23);
    r[1] = join_high(low_01, low_23);
    r[2] = join_low(high_01, high_23);
    r[3] = join_high(high_01, high_23);
}

INLINE void load_block(const uint8_t *const input[LANES], size_t offset, lanes message[16])
{
    for (int part = 0; part < 4; part++) {
        for (int n = 0; n < LANES; n++)
            message[4 * part + n] = vreinterpretq_u32_u8(vld1q_u8(input[n] + offset + 16 * part));
        transpose(message + 4 * part);
    }
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
    transpose(node + 4);
    for (int n = 0; n < LANES; n++) {
        vst1q_u8(out + n * BLAKE3_NODE_BYTES, vreinterpretq_u8_u32(node[n]));
        vst1q_u8(out + n * BLAKE3_NODE_BYTES + 16, vreinterpretq_u8_u32(node[4 + n]));
    }
}

#include "blake3_lanes.h"

const struct blake3_code blake3_code_neon = {"neon", hash_chunks, hash_parents};
