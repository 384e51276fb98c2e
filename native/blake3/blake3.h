/* BLAKE3-256: hash a stream of bytes (no keyed mode, no key derivation, 32 bytes of output).
 *
 * Source: "BLAKE3: one function, fast everywhere" (O'Connor, Aumasson, Neves, Wilcox-O'Hearn), section 2.
 *
 * A hasher is plain data that its caller owns (about 42 KiB): no allocation, nothing to release, may be copied. One
 * hasher is used by one thread at a time; different hashers by any number of threads. No function here can fail but
 * blake3_force_path.
 */
#ifndef ERASER_BLAKE3_H
#define ERASER_BLAKE3_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BLAKE3_HASH_BYTES = 32,
    BLAKE3_GROUP_CHUNKS = 16,                        /* chunks that are hashed side by side: the widest path's lanes */
    BLAKE3_GROUP_BYTES = BLAKE3_GROUP_CHUNKS * 1024, /* 16 KiB */
    BLAKE3_GROUP_LEVELS = 51,                        /* 2^64 bytes are 2^50 groups: levels 0 to 50 */
};

/* Read and written by blake3_init, _update and _final only. */
struct blake3_hasher {
    /* Whole groups hashed so far. Bit n of it tells that row n of `pending` is in use. */
    uint64_t groups;

    /* Row n: 16 neighbouring nodes of the tree, each over 2^n chunks, that wait for 16 more on their right: then 16
     * parents are computed side by side. No node that waits here can be the root, because its row has 15 others. */
    uint8_t pending[BLAKE3_GROUP_LEVELS][BLAKE3_GROUP_CHUNKS * BLAKE3_HASH_BYTES];

    /* The input's end that fills no group yet: less than BLAKE3_GROUP_BYTES between calls. */
    size_t waiting_bytes;
    uint8_t waiting[BLAKE3_GROUP_BYTES];
};

void blake3_init(struct blake3_hasher *hasher);

/* Append `length` bytes. `data` may have any alignment, is only read during the call, and may be NULL when `length`
 * is 0. The input as a whole must be shorter than 2^64 bytes. Fastest when every update is a multiple of
 * BLAKE3_GROUP_BYTES: nothing is copied. */
void blake3_update(struct blake3_hasher *hasher, const void *data, size_t length);

/* The hash of everything appended so far. The hasher is unchanged and may be updated further. */
void blake3_final(const struct blake3_hasher *hasher, uint8_t out[BLAKE3_HASH_BYTES]);

/* Code paths: "avx512", "avx2", "neon", "portable". All give the same hashes. The fastest that the CPU has is chosen
 * at first use.
 *
 * blake3_force_path makes every later call in this process take the named one, NULL: the fastest again. Returns 0,
 * -ENOTSUP when this CPU or this build lacks it, -EINVAL when the name is unknown. Safe at any time, in any thread,
 * also while others hash. */
int blake3_force_path(const char *name);

/* The path in use: a static string. */
const char *blake3_path(void);

/* Stores the names (static strings) of the first `capacity` available paths, fastest first. Returns how many there
 * are. */
size_t blake3_available_paths(const char **names, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
