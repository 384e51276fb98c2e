/* Every path against the official hashes and against each other. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blake3_internal.h"

/* The lengths of the official test vectors and the edges of our groups and runs. Input: byte i is i % 251. Computed
 * with the official `blake3` package 1.0.11 for Python: blake3(bytes(i % 251 for i in range(length))).hexdigest(). */
static const struct {
    size_t length;
    const char *hash;
} vectors[] = {
    {0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
    {1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"},
    {2, "7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63"},
    {3, "e1be4d7a8ab5560aa4199eea339849ba8e293d55ca0a81006726d184519e647f"},
    {4, "f30f5ab28fe047904037f77b6da4fea1e27241c5d132638d8bedce9d40494f32"},
    {5, "b40b44dfd97e7a84a996a91af8b85188c66c126940ba7aad2e7ae6b385402aa2"},
    {6, "06c4e8ffb6872fad96f9aaca5eee1553eb62aed0ad7198cef42e87f6a616c844"},
    {7, "3f8770f387faad08faa9d8414e9f449ac68e6ff0417f673f602a646a891419fe"},
    {8, "2351207d04fc16ade43ccab08600939c7c1fa70a5c0aaca76063d04c3228eaeb"},
    {63, "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b"},
    {64, "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98"},
    {65, "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee"},
    {127, "d81293fda863f008c09e92fc382a81f5a0b4a1251cba1634016a0f86a6bd640d"},
    {128, "f17e570564b26578c33bb7f44643f539624b05df1a76c81f30acd548c44b45ef"},
    {129, "683aaae9f3c5ba37eaaf072aed0f9e30bac0865137bae68b1fde4ca2aebdcb12"},
    {1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11"},
    {1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"},
    {1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"},
    {2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a"},
    {2049, "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030"},
    {3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2"},
    {3073, "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3"},
    {4096, "015094013f57a5277b59d8475c0501042c0b642e531b0a1c8f58d2163229e969"},
    {4097, "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995"},
    {5120, "9cadc15fed8b5d854562b26a9536d9707cadeda9b143978f319ab34230535833"},
    {5121, "628bd2cb2004694adaab7bbd778a25df25c47b9d4155a55f8fbd79f2fe154cff"},
    {6144, "3e2e5b74e048f3add6d21faab3f83aa44d3b2278afb83b80b3c35164ebeca205"},
    {6145, "f1323a8631446cc50536a9f705ee5cb619424d46887f3c376c695b70e0f0507f"},
    {7168, "61da957ec2499a95d6b8023e2b0e604ec7f6b50e80a9678b89d2628e99ada77a"},
    {7169, "a003fc7a51754a9b3c7fae0367ab3d782dccf28855a03d435f8cfe74605e7817"},
    {8192, "aae792484c8efe4f19e2ca7d371d8c467ffb10748d8a5a1ae579948f718a2a63"},
    {8193, "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b"},
    {15360, "dc62f909be1b86aeffb12594b22fd9756540022f0ac9a050730d6989a036f6b0"},
    {15361, "0d1ebcb99b783dfd4bd6f1864b71b465d35105bf8d6af2ef275d4a4850d84049"},
    {16384, "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4"},
    {16385, "1dabe216be2578830263b049de1639f39f05a4da616b9b78c7a5e4e41662fd1f"},
    {17408, "993924ff3dcbd868be9cf3fed98d4538fe579ffccf390a5aa1ddba0f6a20bfed"},
    {31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47"},
    {32767, "be214034ea329f1cdc64246946da7c4287d93bd61b68c6c3a634a4345f58ff21"},
    {32768, "162183d1f9184474f5a5c9e6224e66720cdb6523f822e52d9b1efa30893f48f9"},
    {32769, "da589428d9b32c97658a04a21c0c8a38aad2ac402120819d956fd6d62bbfa36e"},
    {49153, "447d09cdb7cc2b870f041eda4d9b759195db784047b12666ec29e6905d38ac9c"},
    {65536, "68d647e619a930e7b1082f74f334b0c65a315725569bdc123f0ee11881717bfe"},
    {102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"},
    {131072, "306baba93b1a393cbd35172837c98b0f59a41f64e1b2682ae102d8b2534b9e1c"},
    {131073, "f837d4254d24ba3d50fe3743d46e4af6db5f5d6ab0469197d94e7ba1e906c4d8"},
    {262144, "d57dc906e20d3fd326ffaa85535500486f46a0979f5a323f028dcabfd381fd4a"},
    {278529, "8241d9fa31c1249c6adad6305dec71eee9b5efb6268a4a5ae692a3c3ffd3c57e"},
    {1048576, "74cb441fd087764ca9c3694da742ebe30cbeb3060a17009ca81825c7a8d10343"},
    {1049601, "860f19b5fefff01454de342be87a20059449529116a20fb22a21da665aafa071"},
};

enum {
    VECTORS = sizeof vectors / sizeof vectors[0],
    MAX_LENGTH = 1049601, /* the longest of them */
    MAX_PATHS = 8,
    RANDOM_INPUTS = 150,
    RANDOM_BYTES = 400000,
};

static int failures;

static void check(bool is_true, const char *path, const char *statement, uint64_t detail)
{
    if (is_true)
        return;
    failures++;
    fprintf(stderr, "FAILED (%s): %s, at %" PRIu64 "\n", path, statement, detail);
}

static void to_hex(const uint8_t hash[BLAKE3_HASH_BYTES], char hex[2 * BLAKE3_HASH_BYTES + 1])
{
    for (int i = 0; i < BLAKE3_HASH_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
}

/* A fixed sequence: a failure can be repeated. */
static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = (*state ^ *state >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

/* In its own allocation of just this length, so that AddressSanitizer sees a byte too many. */
static uint8_t *exact_copy(const uint8_t *input, size_t length)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);
    if (copy == NULL)
        abort();
    if (length > 0)
        memcpy(copy, input, length);
    return copy;
}

static struct blake3_hasher *new_hasher(void)
{
    struct blake3_hasher *hasher = malloc(sizeof *hasher);
    if (hasher == NULL)
        abort();
    memset(hasher, 0xa5, sizeof *hasher);
    blake3_init(hasher);
    return hasher;
}

static void hash_whole(const uint8_t *input, size_t length, uint8_t hash[BLAKE3_HASH_BYTES])
{
    struct blake3_hasher *hasher = new_hasher();
    blake3_update(hasher, input, length);
    blake3_final(hasher, hash);
    free(hasher);
}

/* Updates of random lengths, small and large, with the hash asked for in between. */
static void hash_split(const uint8_t *input, size_t length, uint64_t *random, uint8_t hash[BLAKE3_HASH_BYTES])
{
    struct blake3_hasher *hasher = new_hasher();
    for (size_t done = 0; done < length;) {
        size_t limit = (size_t)1 << (next_random(random) % 19);
        size_t taken = next_random(random) % (limit + 1);
        if (next_random(random) % 3 == 0)
            taken = limit;
        if (taken > length - done)
            taken = length - done;
        blake3_update(hasher, input + done, taken);
        if (next_random(random) % 8 == 0)
            blake3_final(hasher, hash);
        done += taken;
    }
    blake3_final(hasher, hash);
    free(hasher);
}

static void test_official_hashes(const char *path, const uint8_t *pattern)
{
    for (size_t i = 0; i < VECTORS; i++) {
        uint8_t hash[BLAKE3_HASH_BYTES];
        char hex[2 * BLAKE3_HASH_BYTES + 1];
        uint8_t *input = exact_copy(pattern, vectors[i].length);
        hash_whole(input, vectors[i].length, hash);
        to_hex(hash, hex);
        check(strcmp(hex, vectors[i].hash) == 0, path, "the hash is the official one", vectors[i].length);
        free(input);
    }
}

static void test_no_update_is_the_empty_input(const char *path)
{
    uint8_t hash[BLAKE3_HASH_BYTES];
    char hex[2 * BLAKE3_HASH_BYTES + 1];
    struct blake3_hasher *hasher = new_hasher();
    blake3_update(hasher, NULL, 0);
    blake3_final(hasher, hash);
    to_hex(hash, hex);
    check(strcmp(hex, vectors[0].hash) == 0, path, "an empty update changes nothing", 0);
    free(hasher);
}

static void test_random_lengths_alignments_and_splits(const char *path, uint8_t *input)
{
    uint64_t random = 20260001;
    for (int i = 0; i < RANDOM_INPUTS; i++) {
        size_t start = next_random(&random) % 64;
        size_t length = next_random(&random) % (i % 2 == 0 ? RANDOM_BYTES : 20000);
        uint8_t expected[BLAKE3_HASH_BYTES], whole[BLAKE3_HASH_BYTES], split[BLAKE3_HASH_BYTES];

        blake3_force_path("portable");
        hash_whole(input + start, length, expected);
        blake3_force_path(path);
        hash_whole(input + start, length, whole);
        hash_split(input + start, length, &random, split);
        check(memcmp(whole, expected, sizeof expected) == 0, path, "the hash is the portable path's", length);
        check(memcmp(split, expected, sizeof expected) == 0, path, "updates may be cut anywhere", length);
        input[next_random(&random) % (RANDOM_BYTES + 64)] ^= (uint8_t)(1 + i % 255);
    }
}

/* Chunk numbers of 4 TiB and more need the counter's upper word, also within one batch of lanes. */
static void test_chunk_numbers_beyond_32_bits(const char *path, const struct blake3_code *code, const uint8_t *input)
{
    enum { CHUNKS = 37 };
    const uint64_t first_chunks[] = {0xffffffffu - 20, 0x1fffffffcu, (uint64_t)1 << 53};
    uint8_t expected[CHUNKS * BLAKE3_NODE_BYTES], nodes[CHUNKS * BLAKE3_NODE_BYTES];
    for (size_t i = 0; i < sizeof first_chunks / sizeof first_chunks[0]; i++) {
        blake3_code_portable.hash_chunks(input, CHUNKS, first_chunks[i], expected);
        code->hash_chunks(input, CHUNKS, first_chunks[i], nodes);
        check(memcmp(nodes, expected, sizeof nodes) == 0, path, "nodes of far chunks are the portable path's",
              first_chunks[i]);
    }
}

static void test_any_number_of_chunks_and_parents(const char *path, const struct blake3_code *code,
                                                  const uint8_t *input)
{
    for (size_t count = 0; count <= 40; count++) {
        size_t node_bytes = count * BLAKE3_NODE_BYTES;
        uint8_t *chunks = exact_copy(input, count * BLAKE3_CHUNK_BYTES);
        uint8_t *children = exact_copy(input, count * BLAKE3_PARENT_BYTES);
        uint8_t *nodes = exact_copy(input, node_bytes);
        uint8_t *expected = exact_copy(input, node_bytes);

        code->hash_chunks(chunks, count, 7, nodes);
        blake3_code_portable.hash_chunks(chunks, count, 7, expected);
        check(memcmp(nodes, expected, node_bytes) == 0, path, "that many chunks give the portable path's nodes", count);
        code->hash_parents(children, count, nodes);
        blake3_code_portable.hash_parents(children, count, expected);
        check(memcmp(nodes, expected, node_bytes) == 0, path, "that many parents are the portable path's", count);
        code->hash_parents(children, count, children);
        check(memcmp(children, expected, node_bytes) == 0, path, "parents may replace their children", count);

        free(chunks);
        free(children);
        free(nodes);
        free(expected);
    }
}

static void test_paths_are_forced_by_name(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check(blake3_force_path(names[i]) == 0, names[i], "an available path can be forced", 0);
        check(strcmp(blake3_path(), names[i]) == 0, names[i], "the forced path is in use", 0);
    }
    check(blake3_force_path("fastest") == -EINVAL, "-", "an unknown name is refused as invalid", 0);
    check(blake3_force_path("") == -EINVAL, "-", "an empty name is refused as invalid", 0);
#ifdef __x86_64__
    check(blake3_force_path("neon") == -ENOTSUP, "-", "a path of another machine is refused as not supported", 0);
#else
    check(blake3_force_path("avx2") == -ENOTSUP, "-", "a path of another machine is refused as not supported", 0);
#endif
    check(strcmp(blake3_path(), names[count - 1]) == 0, "-", "a refusal changes nothing", 0);
    check(blake3_force_path(NULL) == 0, "-", "no name is always accepted", 0);
    check(strcmp(blake3_path(), names[0]) == 0, "-", "without a name the first available path is in use", 0);
    check(strcmp(names[count - 1], "portable") == 0, "-", "the portable path is always there, last", count);
    check(blake3_available_paths(NULL, 0) == count, "-", "paths can be counted without room for names", count);
}

int main(void)
{
    const char *names[MAX_PATHS];
    size_t count = blake3_available_paths(names, MAX_PATHS);
    uint8_t *pattern = malloc(MAX_LENGTH);
    uint8_t *random_input = malloc(RANDOM_BYTES + 64);
    if (pattern == NULL || random_input == NULL)
        return 1;
    for (size_t i = 0; i < MAX_LENGTH; i++)
        pattern[i] = (uint8_t)(i % 251);
    uint64_t random = 1;
    for (size_t i = 0; i < RANDOM_BYTES + 64; i++)
        random_input[i] = (uint8_t)next_random(&random);

    test_paths_are_forced_by_name(names, count);
    for (size_t i = 0; i < count; i++) {
        blake3_force_path(names[i]);
        const struct blake3_code *code = blake3_active_code();
        test_official_hashes(names[i], pattern);
        test_no_update_is_the_empty_input(names[i]);
        test_chunk_numbers_beyond_32_bits(names[i], code, random_input);
        test_any_number_of_chunks_and_parents(names[i], code, random_input);
        test_random_lengths_alignments_and_splits(names[i], random_input);
        printf("%s: %s\n", names[i], failures == 0 ? "as official and portable" : "see the failures");
    }
    free(pattern);
    free(random_input);
    return failures == 0 ? 0 : 1;
}
