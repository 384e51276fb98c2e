/*
 * Tests of the patterns: known answers, then every path against the portable one. `test_pattern [seed]` repeats a run's
 * random choices; the seed is printed when a check fails.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "aes_ctr.h"
#include "pattern.h"

#define AREA_BYTES ((size_t)256 << 10)
#define PLACES 64
#define BLOCKS_TO_CARRY_PAST_THE_TABLE ((uint64_t)1 << 40)

static uint64_t random_seed = 20261124, random_state;

/* Area between two pages that nobody may touch: a byte too far on either side ends the test. */
static uint8_t *area;

#define CHECK(condition)                                                                                             \
    do {                                                                                                             \
        if (!(condition)) {                                                                                          \
            fprintf(stderr, "%s:%d: %s: path %s, seed %llu: %s\n", __FILE__, __LINE__, __func__, pattern_path(),     \
                    (unsigned long long)random_seed, #condition);                                                    \
            exit(1);                                                                                                 \
        }                                                                                                            \
    } while (0)

/* xorshift64*, Vigna 2014. */
static uint64_t random_number(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dULL;
}

static uint64_t random_below(uint64_t limit)
{
    return random_number() % limit;
}

static uint8_t *make_guarded_area(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages = mmap(NULL, AREA_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page, AREA_BYTES, PROT_READ | PROT_WRITE) != 0) {
        perror("guarded area");
        exit(1);
    }
    return pages + page;
}

/* A place for length bytes: against the guard behind or the one before, or anywhere. */
static uint8_t *random_place(size_t length)
{
    switch (random_below(4)) {
    case 0:
        return area;
    case 1:
        return area + AREA_BYTES - length;
    default:
        return area + random_below(AREA_BYTES - length + 1);
    }
}

static void parse_hex(uint8_t *bytes, const char *hex)
{
    for (size_t i = 0; hex[2 * i] != 0; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

/* The block of the stream whose counter is `counter`, made alone. */
static void stream_block(const struct pattern *pattern, uint64_t counter, uint8_t block[AES_BLOCK_BYTES])
{
    pattern_generate(pattern, counter * AES_BLOCK_BYTES, block, AES_BLOCK_BYTES);
}

static void the_sbox_is_the_inverse_in_the_field_and_the_affine_map(void)
{
    for (unsigned value = 0; value < 256; value++) {
        unsigned inverse = 0;
        for (unsigned candidate = 1; candidate < 256; candidate++) {
            unsigned product = 0;
            for (unsigned bit = 0, power = candidate; bit < 8; bit++, power = power << 1 ^ (power >> 7) * 0x11b)
                product ^= (value >> bit & 1) * power;
            if (product == 1)
                inverse = candidate;
        }
        unsigned doubled = inverse << 8 | inverse;
        unsigned mapped = (doubled ^ doubled >> 4 ^ doubled >> 5 ^ doubled >> 6 ^ doubled >> 7 ^ 0x63) & 0xff;
        CHECK(aes_sbox[value] == mapped);
    }
}

/* FIPS 197 appendix A.3. */
static void the_key_expands_as_in_fips_197(void)
{
    uint8_t seed[PATTERN_SEED_BYTES], first[16], last[16];
    struct aes_256_key key;

    parse_hex(seed, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    parse_hex(first, "9ba354118e6925afa51a8b5f2067fcde");
    parse_hex(last, "fe4890d1e6188d0b046df344706c631e");
    aes_256_expand_key(&key, seed);
    CHECK(memcmp(key.round_keys[2], first, 16) == 0);
    CHECK(memcmp(key.round_keys[14], last, 16) == 0);
}

/*
 * Encrypts any block with the counter mode under test: what the block has that the counter has not is added to the
 * key of round 0, where AES adds it to the counter.
 */
static void encrypt_block(const char *seed_hex, const char *plain_hex, uint64_t counter, uint8_t block[AES_BLOCK_BYTES])
{
    uint8_t seed[PATTERN_SEED_BYTES], plain[AES_BLOCK_BYTES];
    struct pattern pattern;

    parse_hex(seed, seed_hex);
    parse_hex(plain, plain_hex);
    CHECK(pattern_init_aes_256_ctr(&pattern, seed) == 0);
    for (size_t i = 0; i < AES_BLOCK_BYTES; i++) {
        uint64_t of_counter = i < 8 ? 0 : counter >> (120 - 8 * i);
        uint8_t *key_byte = &pattern.prepared.aes_256.round_keys[0][i];
        *key_byte = (uint8_t)(*key_byte ^ plain[i] ^ of_counter);
    }
    stream_block(&pattern, counter, block);
}

/* FIPS 197 appendix C.3; SP 800-38A appendix F.5.5 (its output blocks are the key stream). */
static void blocks_are_those_of_fips_197_and_sp_800_38a(void)
{
    static const char *const c3_key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    static const char *const f55_key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    const struct {
        const char *key, *plain, *encrypted;
    } answers[] = {
        {c3_key, "00112233445566778899aabbccddeeff", "8ea2b7ca516745bfeafc49904b496089"},
        {f55_key, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "0bdf7df1591716335e9a8b15c860c502"},
        {f55_key, "f0f1f2f3f4f5f6f7f8f9fafbfcfdff00", "5a6e699d536119065433863c8f657b94"},
        {f55_key, "f0f1f2f3f4f5f6f7f8f9fafbfcfdff01", "1bc12c9c01610d5d0d8bd6a3378eca62"},
        {f55_key, "f0f1f2f3f4f5f6f7f8f9fafbfcfdff02", "2956e1c8693536b1bee99c73a31576b6"},
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        uint8_t expected[AES_BLOCK_BYTES], block[AES_BLOCK_BYTES];
        parse_hex(expected, answers[i].encrypted);
        for (uint64_t counter = 0; counter < 1024; counter += 101) {
            encrypt_block(answers[i].key, answers[i].plain, counter, block);
            CHECK(memcmp(block, expected, sizeof block) == 0);
        }
    }
}

/* Answers of `openssl enc -aes-256-ctr` with the counter as -iv: around each carry, and the last block there is. */
static void the_stream_is_that_of_openssl_at_any_counter(void)
{
    static const struct {
        uint64_t counter;
        const char *bytes;
    } answers[] = {
        {0x0, "f29000b62a499fd0a9f39a6add2e7780"},
        {0xff, "09b7d48ec01dec5932da28c489659e9a"},
        {0x100, "512e5630d1ac5d4f43c8777d6e0f7365"},
        {0xffff, "695737554fb975a9fd99adc5bfe6881f"},
        {0x10000, "b22753304d69b57f49d10a62eb01c832"},
        {0xffffffff, "b9c2739810cba157a9fe6a108c6e569e"},
        {0x100000000, "641d1a3a80becff6f0f38f9764fdcf96"},
        {0x2000000001, "4c61d73535c8b1bb514a3b12af891f3a"},
        {0xffffffffff, "621ac4326533d150b4858835a0d7c6fe"},
        {0x10000000000, "f3abb0338ce365b335e1759a801931f9"},
        {0x1ffffffffff, "cb8766262b388be8bea093c6d8856cf0"},
        {0x20000000000, "e6d057659ca1fe0dc608b224d1743ca8"},
        {0x7ffffffffffffff, "11d69648900b09c962f406d5f334d17c"},
        {0x800000000000000, "64ed47905f3e58ac069bc89261e4b50b"},
        {0xfffffffffffffff, "dba8f19b17e38952e683247430dc034b"},
    };
    uint8_t seed[PATTERN_SEED_BYTES];
    struct pattern pattern;

    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)i;
    CHECK(pattern_init_aes_256_ctr(&pattern, seed) == 0);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        uint64_t counter = answers[i].counter;
        uint8_t expected[AES_BLOCK_BYTES], block[AES_BLOCK_BYTES];
        parse_hex(expected, answers[i].bytes);
        stream_block(&pattern, counter, block);
        CHECK(memcmp(block, expected, sizeof block) == 0);
        /* The same block within a run so long that it comes from the table. */
        uint64_t before = counter < 2000 ? counter : 2000;
        uint64_t blocks = before + 1 + (UINT64_MAX / 16 - counter < 2000 ? UINT64_MAX / 16 - counter : 2000);
        pattern_generate(&pattern, (counter - before) * AES_BLOCK_BYTES, area, blocks * AES_BLOCK_BYTES);
        CHECK(memcmp(area + before * AES_BLOCK_BYTES, expected, sizeof expected) == 0);
    }
}

static uint64_t random_offset(void)
{
    static const uint64_t carries[] = {1ULL << 12, 1ULL << 20, 1ULL << 36, 1ULL << 40, 1ULL << 41, 1ULL << 44,
                                       1ULL << 52, 1ULL << 60, 1ULL << 63};
    uint64_t near_carry = carries[random_below(sizeof carries / sizeof carries[0])];

    switch (random_below(4)) {
    case 0:
        return random_below(1 << 20);
    case 1:
        return random_number() >> 1;
    default:
        return near_carry - random_below(near_carry < 65536 ? near_carry : 65536);
    }
}

/* Mostly short, with all residues; now and then enough for several groups. */
static size_t random_length(size_t limit)
{
    static const size_t scales[] = {64, 1024, 8192, 65536};
    size_t scale = scales[random_below(sizeof scales / sizeof scales[0])];
    return random_below(scale < limit ? scale : limit);
}

static void random_aes_pattern(struct pattern *pattern)
{
    uint8_t seed[PATTERN_SEED_BYTES];
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)random_number();
    CHECK(pattern_init_aes_256_ctr(pattern, seed) == 0);
}

static void every_path_generates_what_the_portable_one_does(const char *path, unsigned rounds)
{
    static uint8_t expected[65536], around[64];
    struct pattern pattern;

    for (unsigned i = 0; i < rounds; i++) {
        uint64_t offset = random_offset();
        size_t length = random_length(sizeof expected);
        size_t before = random_below(sizeof around);
        uint8_t *out = random_place(length + before + sizeof around) + before;
        random_aes_pattern(&pattern);
        CHECK(pattern_force_path("portable") == 0);
        pattern_generate(&pattern, offset, expected, length);
        CHECK(pattern_force_path(path) == 0);
        memset(out - before, 0xa5, before + length + sizeof around);
        memset(around, 0xa5, sizeof around);
        pattern_generate(&pattern, offset, out, length);
        CHECK(memcmp(out, expected, length) == 0);
        CHECK(memcmp(out - before, around, before) == 0);
        CHECK(memcmp(out + length, around, sizeof around) == 0);
        /* And right against the guard pages. */
        out = random_place(length);
        pattern_generate(&pattern, offset, out, length);
        CHECK(memcmp(out, expected, length) == 0);
    }
}

/* Made, compared, and compared with one bit wrong in the last block before the carry and in the first after it. */
static void check_run_across_carry(const char *path, const struct pattern *pattern, uint64_t carry, size_t before,
                                   size_t after)
{
    static uint8_t expected[AREA_BYTES];
    uint64_t offset = (carry - before) * AES_BLOCK_BYTES;
    size_t length = (before + after) * AES_BLOCK_BYTES, place_of_carry = before * AES_BLOCK_BYTES, stored;
    uint8_t *data = area + AREA_BYTES - length;

    CHECK(pattern_force_path("portable") == 0);
    pattern_generate(pattern, offset, expected, length);
    CHECK(pattern_force_path(path) == 0);
    pattern_generate(pattern, offset, data, length);
    CHECK(memcmp(data, expected, length) == 0);
    CHECK(pattern_compare(pattern, offset, data, length, AES_BLOCK_BYTES, NULL, 0, &stored) == 0);
    for (size_t wrong = place_of_carry - 1; wrong <= place_of_carry; wrong++) {
        uint64_t place = 0;
        data[wrong] ^= 0x80;
        CHECK(pattern_compare(pattern, offset, data, length, AES_BLOCK_BYTES, &place, 1, &stored) == 1);
        CHECK(place == offset + wrong - wrong % AES_BLOCK_BYTES);
        data[wrong] ^= 0x80;
    }
}

/* Runs that begin at, before and after the start of a group, with enough for the table on both sides of the carry. */
static void a_run_across_a_carry_is_that_of_the_portable_path(const char *path)
{
    static const uint64_t carries[] = {1ULL << 8,  1ULL << 16, 1ULL << 32, 1ULL << 40,
                                       1ULL << 41, 1ULL << 48, 1ULL << 59};
    static const size_t blocks_before[] = {1, 255, 256, 257, 1024};
    struct pattern pattern;

    random_aes_pattern(&pattern);
    for (size_t i = 0; i < sizeof carries / sizeof carries[0]; i++)
        for (size_t j = 0; j < sizeof blocks_before / sizeof blocks_before[0]; j++)
            if (blocks_before[j] <= carries[i])
                check_run_across_carry(path, &pattern, carries[i], blocks_before[j], 1024);
}

static void any_part_of_the_stream_can_be_made_alone(void)
{
    static uint8_t whole[40000];
    struct pattern pattern;

    random_aes_pattern(&pattern);
    uint64_t offset = BLOCKS_TO_CARRY_PAST_THE_TABLE * AES_BLOCK_BYTES - 20000;
    pattern_generate(&pattern, offset, whole, sizeof whole);
    for (unsigned i = 0; i < 200; i++) {
        size_t start = random_below(sizeof whole), length = random_below(sizeof whole - start + 1);
        uint8_t *out = random_place(length);
        pattern_generate(&pattern, offset + start, out, length);
        CHECK(memcmp(out, whole + start, length) == 0);
        size_t stored;
        CHECK(pattern_compare(&pattern, offset + start, out, length, 512, NULL, 0, &stored) == 0 && stored == 0);
    }
}

/* A random pattern of either kind. */
static void random_pattern(struct pattern *pattern)
{
    static const size_t lengths[] = {1, 2, 3, 4, 7, 512, 4095, 4096};
    uint8_t constant[PATTERN_CONSTANT_MAX_BYTES];

    if (random_below(2) == 0) {
        random_aes_pattern(pattern);
        return;
    }
    for (size_t i = 0; i < sizeof constant; i++)
        constant[i] = (uint8_t)random_number();
    CHECK(pattern_init_constant(pattern, constant, lengths[random_below(sizeof lengths / sizeof lengths[0])]) == 0);
}

static size_t random_sector_bytes(void)
{
    static const size_t usual[] = {1, 7, 16, 512, 520, 4096, 4160, 100000, SIZE_MAX};
    return usual[random_below(sizeof usual / sizeof usual[0])];
}

/* Flips one bit of every sector whose turn it is; says which. Returns how many. */
static uint64_t spoil_sectors(uint8_t *data, size_t length, size_t sector_bytes, uint64_t one_in, uint64_t offset,
                              uint64_t places[PLACES])
{
    uint64_t spoilt = 0;
    for (size_t start = 0; start < length;) {
        size_t bytes = length - start < sector_bytes ? length - start : sector_bytes;
        if (random_below(one_in) == 0) {
            data[start + random_below(bytes)] ^= (uint8_t)(1U << random_below(8));
            if (spoilt < PLACES)
                places[spoilt] = offset + start;
            spoilt++;
        }
        start += bytes;
    }
    return spoilt;
}

static void comparison_finds_exactly_the_sectors_that_differ(const char *path, unsigned rounds)
{
    static const uint64_t odds[] = {1, 2, 20, 400, 1ULL << 40};
    struct pattern pattern;

    CHECK(pattern_force_path(path) == 0);
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t planted[PLACES], places[PLACES + 1];
        uint64_t offset = random_offset();
        size_t length = random_length(65536), sector_bytes = random_sector_bytes(), stored = 999;
        size_t capacity = random_below(PLACES + 1);
        uint8_t *data = random_place(length);
        random_pattern(&pattern);
        pattern_generate(&pattern, offset, data, length);
        uint64_t spoilt = spoil_sectors(data, length, sector_bytes, odds[random_below(5)], offset, planted);
        places[capacity] = 0x5eed;
        CHECK(pattern_compare(&pattern, offset, data, length, sector_bytes, places, capacity, &stored) == spoilt);
        CHECK(stored == (spoilt < capacity ? spoilt : capacity));
        CHECK(memcmp(places, planted, stored * sizeof places[0]) == 0);
        CHECK(places[capacity] == 0x5eed);
    }
}

static void one_bit_anywhere_is_seen(const char *path, size_t step)
{
    enum { LENGTH = 4 * 4096 + 333, START = 77 };
    struct pattern pattern;

    CHECK(pattern_force_path(path) == 0);
    random_aes_pattern(&pattern);
    uint8_t *data = area + AREA_BYTES - LENGTH;
    pattern_generate(&pattern, START, data, LENGTH);
    for (size_t i = 0; i < LENGTH; i += step) {
        uint64_t place = 0;
        size_t stored = 0;
        uint8_t bit = (uint8_t)(1U << i % 8);
        data[i] ^= bit;
        CHECK(pattern_compare(&pattern, START, data, LENGTH, 512, &place, 1, &stored) == 1);
        CHECK(stored == 1 && place == START + i / 512 * 512);
        data[i] ^= bit;
    }
}

static void a_constant_keeps_its_phase(void)
{
    static const size_t lengths[] = {1, 2, 3, 4, 7, 64, 511, 512, 2048, 4095, 4096};
    uint8_t constant[PATTERN_CONSTANT_MAX_BYTES];
    struct pattern pattern;

    for (size_t i = 0; i < sizeof constant; i++)
        constant[i] = (uint8_t)random_number();
    for (size_t i = 0; i < 200 * sizeof lengths / sizeof lengths[0]; i++) {
        size_t period = lengths[i % (sizeof lengths / sizeof lengths[0])], length = random_length(65536), stored;
        uint64_t offset = i % 3 == 0 ? random_below(period) : random_offset();
        uint8_t *out = random_place(length);
        CHECK(pattern_init_constant(&pattern, constant, period) == 0);
        pattern_generate(&pattern, offset, out, length);
        for (size_t j = 0; j < length; j++)
            CHECK(out[j] == constant[(offset + j) % period]);
        CHECK(pattern_compare(&pattern, offset, out, length, 512, NULL, 0, &stored) == 0);
    }
}

static void wrong_arguments_are_refused(void)
{
    uint8_t byte = 0;
    struct pattern pattern;

    CHECK(pattern_init_constant(&pattern, &byte, 0) == -EINVAL);
    CHECK(pattern_init_constant(&pattern, &byte, PATTERN_CONSTANT_MAX_BYTES + 1) == -EINVAL);
    CHECK(pattern_force_path("") == -EINVAL);
    CHECK(pattern_force_path("vaes1024") == -EINVAL);
#if defined(__x86_64__)
    CHECK(pattern_force_path("armv8") == -ENOTSUP);
#else
    CHECK(pattern_force_path("vaes512") == -ENOTSUP);
#endif
}

static void a_path_holds_until_the_choice_is_automatic_again(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK(pattern_force_path(names[i]) == 0);
        CHECK(strcmp(pattern_path(), names[i]) == 0);
        CHECK(pattern_force_path("nonsense") == -EINVAL);
        CHECK(strcmp(pattern_path(), names[i]) == 0);
    }
    CHECK(pattern_force_path(NULL) == 0);
    CHECK(strcmp(pattern_path(), names[0]) == 0);
    CHECK(strcmp(names[count - 1], "portable") == 0);
}

struct shared_work {
    struct pattern pattern;
    uint8_t expected[8192];
};

static void *generate_often(void *argument)
{
    const struct shared_work *work = argument;
    uint8_t out[sizeof work->expected];

    for (unsigned i = 0; i < 50; i++) {
        pattern_generate(&work->pattern, 0, out, sizeof out);
        if (memcmp(out, work->expected, sizeof out) != 0)
            return argument;
    }
    return NULL;
}

/* Called first, so that the threads race for the first choice of a path; meanwhile others are forced on them. */
static void threads_share_a_pattern_and_the_choice_of_a_path(void)
{
    static struct shared_work work;
    pthread_t threads[4];

    random_aes_pattern(&work.pattern);
    aes_ctr_portable.generate_blocks(&work.pattern.prepared.aes_256, 0, work.expected,
                                     sizeof work.expected / AES_BLOCK_BYTES);
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, generate_often, &work) == 0);
    for (unsigned i = 0; i < 20; i++)
        CHECK(pattern_force_path(i % 2 == 0 ? "portable" : NULL) == 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed;
        CHECK(pthread_join(threads[i], &failed) == 0 && failed == NULL);
    }
    CHECK(pattern_force_path(NULL) == 0);
}

int main(int argc, char **argv)
{
    const char *names[8];
    if (argc > 1)
        random_seed = strtoull(argv[1], NULL, 0);
    random_state = random_seed | 1;
    area = make_guarded_area();

    threads_share_a_pattern_and_the_choice_of_a_path();
    the_sbox_is_the_inverse_in_the_field_and_the_affine_map();
    the_key_expands_as_in_fips_197();
    wrong_arguments_are_refused();
    a_constant_keeps_its_phase();
    size_t count = pattern_available_paths(names, sizeof names / sizeof names[0]);
    a_path_holds_until_the_choice_is_automatic_again(names, count);
    for (size_t i = 0; i < count; i++) {
        bool is_slow = strcmp(names[i], "portable") == 0;
        unsigned rounds = is_slow ? 200 : 1000;
        CHECK(pattern_force_path(names[i]) == 0);
        blocks_are_those_of_fips_197_and_sp_800_38a();
        the_stream_is_that_of_openssl_at_any_counter();
        a_run_across_a_carry_is_that_of_the_portable_path(names[i]);
        any_part_of_the_stream_can_be_made_alone();
        every_path_generates_what_the_portable_one_does(names[i], rounds);
        comparison_finds_exactly_the_sectors_that_differ(names[i], rounds);
        one_bit_anywhere_is_seen(names[i], is_slow ? 61 : 1);
        printf("%s: ok\n", names[i]);
    }
    return 0;
}
