/* What the tree (blake3.c), the dispatcher and the code paths share. Section numbers are those of the BLAKE3 paper. */
#ifndef ERASER_BLAKE3_INTERNAL_H
#define ERASER_BLAKE3_INTERNAL_H

#include "blake3.h"

enum {
    BLAKE3_BLOCK_BYTES = 64,
    BLAKE3_CHUNK_BYTES = 1024,
    BLAKE3_NODE_BYTES = BLAKE3_HASH_BYTES, /* a node's chaining value, as little-endian words */
    BLAKE3_PARENT_BYTES = 2 * BLAKE3_NODE_BYTES,
};

/* Domain separation flags, section 2.2, table 3. */
enum {
    BLAKE3_CHUNK_START = 1 << 0,
    BLAKE3_CHUNK_END = 1 << 1,
    BLAKE3_PARENT = 1 << 2,
    BLAKE3_ROOT = 1 << 3,
};

/* Section 2.2, table 1: the first 32 bits of the fractional parts of the square roots of the first eight primes. */
#define BLAKE3_IV_0 0x6a09e667u
#define BLAKE3_IV_1 0xbb67ae85u
#define BLAKE3_IV_2 0x3c6ef372u
#define BLAKE3_IV_3 0xa54ff53au
#define BLAKE3_IV_4 0x510e527fu
#define BLAKE3_IV_5 0x9b05688cu
#define BLAKE3_IV_6 0x1f83d9abu
#define BLAKE3_IV_7 0x5be0cd19u

/* One code path. Every implementation keeps to this:
 *
 * - hash_chunks: `input` holds `chunks` (0 or more) whole chunks of 1,024 bytes, the first of which is number
 *   `first_chunk` of the whole input. Stores one node of 32 bytes for each, none of them the root.
 * - hash_parents: `children` holds 2 * `parents` nodes. Stores the parent of each neighbouring pair, none of them the
 *   root. `nodes` may be `children` itself; any other overlap is forbidden.
 *
 * Any alignment. Only the named bytes are read or written. Any number of threads at once. */
struct blake3_code {
    const char *name;
    void (*hash_chunks)(const uint8_t *input, size_t chunks, uint64_t first_chunk, uint8_t *nodes);
    void (*hash_parents)(const uint8_t *children, size_t parents, uint8_t *nodes);
};

extern const struct blake3_code blake3_code_portable;
extern const struct blake3_code blake3_code_avx2;   /* needs AVX2 */
extern const struct blake3_code blake3_code_avx512; /* needs AVX-512 F, VL and BW */
extern const struct blake3_code blake3_code_neon;   /* AArch64, little-endian */

/* The path to take now. */
const struct blake3_code *blake3_active_code(void);

/* The node of one chunk of `length` bytes, 0 to 1,024. `flags`: BLAKE3_ROOT when it is the whole input, else 0. */
void blake3_portable_chunk(const uint8_t *input, size_t length, uint64_t chunk, uint32_t flags, uint8_t *node);

/* The parent of two neighbouring nodes. `flags`: BLAKE3_ROOT when it is the tree's root, else 0. `node` may be
 * `children`. */
void blake3_portable_parent(const uint8_t *children, uint32_t flags, uint8_t *node);

#endif
