/*
 * AES-256 in counter mode in plain C: the specification that the other files of this folder follow function by
 * function.
 *
 * Its S-box is a table, so its timing tells something about the key to one who shares the cache. That is accepted: a
 * seed serves one pass, protects nothing, and is published in the certificate.
 */
#include "aes_ctr.h"

#include <string.h>

const uint8_t aes_sbox[256] = {
    0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
    0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
    0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
    0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
    0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
    0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
    0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
    0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
    0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
    0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
    0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
    0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
    0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
    0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
    0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
    0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};

void aes_256_expand_key(struct aes_256_key *key, const uint8_t seed[PATTERN_SEED_BYTES])
{
    uint8_t(*word)[4] = (uint8_t(*)[4])(void *)key->round_keys;
    uint8_t round_constant = 1;

    memcpy(word, seed, PATTERN_SEED_BYTES);
    for (size_t i = 8; i < 4 * (AES_256_ROUNDS + 1); i++) {
        uint8_t last[4];
        memcpy(last, word[i - 1], sizeof last);
        if (i % 4 == 0) {
            /* SubWord at every fourth word; RotWord and the round constant besides at every eighth. */
            size_t rotation = i % 8 == 0 ? 1 : 0;
            for (size_t j = 0; j < 4; j++)
                last[j] = aes_sbox[word[i - 1][(j + rotation) % 4]];
            if (i % 8 == 0) {
                last[0] ^= round_constant;
                round_constant = (uint8_t)(round_constant << 1);
            }
        }
        for (size_t j = 0; j < 4; j++)
            word[i][j] = word[i - 8][j] ^ last[j];
    }
}

/* Doubles each of the four bytes in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
static uint32_t double_bytes(uint32_t column)
{
    uint32_t high_bits = column & 0x80808080U;
    return ((column ^ high_bits) << 1) ^ ((high_bits >> 7) * 0x1bU);
}

static uint32_t rotate_right(uint32_t column, unsigned bits)
{
    return column >> bits | column << (32 - bits);
}

/* SubBytes and ShiftRows of one column: row r comes from the column r further right. Row 0 is the lowest byte. */
static uint32_t substitute_and_shift(const uint32_t state[4], size_t column)
{
    return (uint32_t)aes_sbox[state[column] & 0xff] |
           (uint32_t)aes_sbox[state[(column + 1) % 4] >> 8 & 0xff] << 8 |
           (uint32_t)aes_sbox[state[(column + 2) % 4] >> 16 & 0xff] << 16 |
           (uint32_t)aes_sbox[state[(column + 3) % 4] >> 24] << 24;
}

/* Row r of the result is 2 a[r] + 3 a[r+1] + a[r+2] + a[r+3]. */
static uint32_t mix_column(uint32_t a)
{
    uint32_t next = rotate_right(a, 8);
    return double_bytes(a ^ next) ^ next ^ rotate_right(a, 16) ^ rotate_right(a, 24);
}

static uint32_t load_column(const uint8_t bytes[4])
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void store_column(uint8_t bytes[4], uint32_t column)
{
    for (unsigned row = 0; row < 4; row++)
        bytes[row] = (uint8_t)(column >> 8 * row);
}

static void counter_block(uint8_t block[AES_BLOCK_BYTES], uint64_t counter)
{
    memset(block, 0, 8);
    for (unsigned i = 0; i < 8; i++)
        block[8 + i] = (uint8_t)(counter >> (56 - 8 * i));
}

/* FIPS 197 §5.1 on the block whose number is counter. */
static void encrypt_counter(const struct aes_256_key *key, uint64_t counter, uint8_t block[AES_BLOCK_BYTES])
{
    uint32_t state[4], next[4];

    counter_block(block, counter);
    for (size_t i = 0; i < 4; i++)
        state[i] = load_column(block + 4 * i) ^ load_column(key->round_keys[0] + 4 * i);
    for (size_t round = 1; round < AES_256_ROUNDS; round++) {
        for (size_t i = 0; i < 4; i++)
            next[i] = mix_column(substitute_and_shift(state, i)) ^ load_column(key->round_keys[round] + 4 * i);
        memcpy(state, next, sizeof state);
    }
    for (size_t i = 0; i < 4; i++) {
        next[i] = substitute_and_shift(state, i) ^ load_column(key->round_keys[AES_256_ROUNDS] + 4 * i);
        store_column(block + 4 * i, next[i]);
    }
}

static void generate_blocks(const struct aes_256_key *key, uint64_t counter, uint8_t *out, size_t blocks)
{
    for (size_t i = 0; i < blocks; i++)
        encrypt_counter(key, counter + i, out + i * AES_BLOCK_BYTES);
}

static size_t equal_blocks(const struct aes_256_key *key, uint64_t counter, const uint8_t *data, size_t blocks)
{
    for (size_t i = 0; i < blocks; i++) {
        uint8_t expected[AES_BLOCK_BYTES];
        encrypt_counter(key, counter + i, expected);
        if (memcmp(expected, data + i * AES_BLOCK_BYTES, AES_BLOCK_BYTES) != 0)
            return i;
    }
    return blocks;
}

const struct aes_ctr_path aes_ctr_portable = {"portable", generate_blocks, equal_blocks};
