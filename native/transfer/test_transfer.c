/* Tests of the transfer, run in this process: the plan's refusals, the cursor against a map of bytes, whole passes over
 * files by every access. `test_transfer [seed]` repeats a run's random choices; the seed is printed when a check fails. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "blake3.h"
#include "pattern.h"
#include "transfer.h"

#define PAGE_BYTES ((size_t)64 << 10)
#define RANGES_OFFSET TRANSFER_TABLES_OFFSET
#define RANGES_MOST 64u
#define BAD_OFFSET (RANGES_OFFSET + RANGES_MOST * sizeof(struct range))
#define BAD_MOST 256u
#define LEAVES_OFFSET (BAD_OFFSET + BAD_MOST * sizeof(struct bad_entry))
#define LEAVES_MOST 1024u

#define SECTOR ((uint64_t)512)
#define BLOCK ((uint64_t)16 << 10)

static uint64_t random_seed = 20261124, random_state;

#define CHECK(condition)                                                                                                 \
    do {                                                                                                                 \
        if (!(condition)) {                                                                                              \
            fprintf(stderr, "%s:%d: %s: seed %llu: %s\n", __FILE__, __LINE__, __func__, (unsigned long long)random_seed, \
                    #condition);                                                                                         \
            exit(1);                                                                                                     \
        }                                                                                                                \
    } while (0)

/* xorshift64*, Vigna 2014. */
static uint64_t random_number(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dULL;
}

static uint64_t random_below(uint64_t limit) { return random_number() % limit; }

/* ---- pages */

static struct range *ranges_of(struct transfer_page *page) {
    return (struct range *)(void *)((uint8_t *)page + RANGES_OFFSET);
}

static struct bad_entry *bad_of(struct transfer_page *page) {
    return (struct bad_entry *)(void *)((uint8_t *)page + BAD_OFFSET);
}

/* A sound plan: zeros over the whole of an image. */
static void fill_page(struct transfer_page *page, uint64_t drive_bytes) {
    memset(page, 0, PAGE_BYTES);
    page->magic = TRANSFER_MAGIC;
    page->page_bytes = PAGE_BYTES;
    page->parent_pid = (uint64_t)getpid();
    page->operation = TRANSFER_WRITE;
    page->pattern = TRANSFER_CONSTANT;
    page->pattern_bytes = 1;
    page->drive_bytes = drive_bytes;
    page->logical_sector_bytes = SECTOR;
    page->physical_sector_bytes = 4096;
    page->block_bytes = BLOCK;
    page->queue_depth = 4;
    page->range_count = 1;
    page->ranges_offset = RANGES_OFFSET;
    ranges_of(page)[0] = (struct range){0, drive_bytes};
    page->bad_capacity = BAD_MOST;
    page->bad_offset = BAD_OFFSET;
    page->leaves_offset = LEAVES_OFFSET;
    page->checkpoint_ns = UINT64_C(60000000000);
    page->checkpoint_bytes = UINT64_C(1) << 40;
    page->retry_limit = 1;
    page->bad_bytes_limit = UINT64_C(1) << 30;
    page->no_progress_ns = UINT64_C(60000000000);
    page->fruitless_ns = UINT64_C(60000000000);
    page->acknowledged = UINT64_MAX / 2;
}

static struct transfer_page *make_page(uint64_t drive_bytes) {
    void *memory = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    fill_page(memory, drive_bytes);
    return memory;
}

/* ---- the plan's refusals */

struct mutation {
    const char *why;
    size_t word; /* offset in the page */
    uint64_t value;
};

#define WORD(name) offsetof(struct transfer_page, name)
#define BEYOND_32_BITS(value) ((UINT64_C(1) << 32) + (value))

static const struct mutation malformed[] = {
    {"another magic", WORD(magic), 0},
    {"another page size", WORD(page_bytes), PAGE_BYTES - 4096},
    {"no operation", WORD(operation), 0},
    {"an unknown operation", WORD(operation), 3},
    {"an operation with high bits", WORD(operation), BEYOND_32_BITS(TRANSFER_WRITE)},
    {"a write without a pattern", WORD(pattern), TRANSFER_NO_PATTERN},
    {"an unknown pattern", WORD(pattern), 3},
    {"a pattern with high bits", WORD(pattern), BEYOND_32_BITS(TRANSFER_CONSTANT)},
    {"an empty constant", WORD(pattern_bytes), 0},
    {"a constant too long", WORD(pattern_bytes), 4097},
    {"a seed that is none", WORD(pattern), TRANSFER_AES_256_CTR},
    {"an unknown direction", WORD(reverse), 2},
    {"an empty drive", WORD(drive_bytes), 0},
    {"a drive too large", WORD(drive_bytes), UINT64_C(1) << 63},
    {"a drive smaller than its range", WORD(drive_bytes), (1u << 20) - 1},
    {"a drive that ends behind the range, which ends within a sector", WORD(drive_bytes), 5u << 20},
    {"no sector", WORD(logical_sector_bytes), 0},
    {"a logical sector larger than the physical", WORD(logical_sector_bytes), 8192},
    {"a sector far too large", WORD(logical_sector_bytes), 1u << 17},
    {"a physical sector of one and a half", WORD(physical_sector_bytes), 768},
    {"a physical sector that is none", WORD(physical_sector_bytes), 0},
    {"a physical sector larger than the block", WORD(physical_sector_bytes), 2 * BLOCK},
    {"a physical sector with high bits", WORD(physical_sector_bytes), BEYOND_32_BITS(4096)},
    {"a device or none", WORD(is_block_device), 2},
    {"a device that ends within a sector", WORD(is_block_device), 1},
    {"no block", WORD(block_bytes), 0},
    {"a block of one sector and a half", WORD(block_bytes), 6144},
    {"a block larger than the memory", WORD(block_bytes), 16u << 20},
    {"a block with high bits", WORD(block_bytes), BEYOND_32_BITS(BLOCK)},
    {"blocks larger than the memory together", WORD(block_bytes), 4u << 20},
    {"no depth", WORD(queue_depth), 0},
    {"a depth too large", WORD(queue_depth), PLAN_MAX_DEPTH + 1},
    {"a depth with high bits", WORD(queue_depth), BEYOND_32_BITS(4)},
    {"an unknown access", WORD(access_least), TRANSFER_BUFFERED + 1},
    {"an access with high bits", WORD(access_least), BEYOND_32_BITS(TRANSFER_PREAD)},
    {"a start behind the end", WORD(start_position), (1u << 20) + 778},
    {"a start within a sector", WORD(start_position), 100},
    {"no range", WORD(range_count), 0},
    {"more ranges than fit", WORD(range_count), PAGE_BYTES},
    {"ranges whose size overflows", WORD(range_count), UINT64_MAX / 8},
    {"ranges over the words", WORD(ranges_offset), 0},
    {"ranges over the pattern", WORD(ranges_offset), TRANSFER_PATTERN_OFFSET},
    {"ranges between words", WORD(ranges_offset), RANGES_OFFSET + 4},
    {"ranges behind the page", WORD(ranges_offset), PAGE_BYTES},
    {"ranges far behind the page", WORD(ranges_offset), UINT64_MAX - 7},
    {"bad extents over the ranges", WORD(bad_offset), RANGES_OFFSET},
    {"bad extents over the words", WORD(bad_offset), 0},
    {"more bad extents than fit", WORD(bad_capacity), UINT64_MAX},
    {"leaves that do not fit", WORD(leaf_count), PAGE_BYTES},
    {"hashes of what is written", WORD(hash_extent_bytes), BLOCK},
    {"no interval", WORD(checkpoint_ns), 0},
    {"a checkpoint within a block", WORD(checkpoint_bytes), BLOCK - 1},
    {"giving up at once", WORD(no_progress_ns), 0},
    {"giving up at the first error", WORD(fruitless_ns), 0},
    {"an unknown flush", WORD(flush), 2},
};

static int read_page(const struct transfer_page *page) {
    struct plan plan;
    return plan_read(&plan, page, PAGE_BYTES);
}

static void the_plan_refuses_what_is_malformed(void) {
    struct transfer_page *page = make_page((1u << 20) + 777);
    CHECK(read_page(page) == 0);
    struct plan plan;
    CHECK(plan_read(&plan, page, TRANSFER_TABLES_OFFSET - 1) == -EINVAL);
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        fill_page(page, (1u << 20) + 777);
        *(uint64_t *)(void *)((uint8_t *)page + malformed[i].word) = malformed[i].value;
        if (read_page(page) != -EINVAL) {
            fprintf(stderr, "the plan was taken with %s\n", malformed[i].why);
            exit(1);
        }
    }
    munmap(page, PAGE_BYTES);
}

/* Fills the page with two sound ranges and changes one number of them. */
static int read_with_ranges(struct transfer_page *page, struct range first, struct range second) {
    fill_page(page, 1u << 20);
    page->range_count = 2;
    ranges_of(page)[0] = first;
    ranges_of(page)[1] = second;
    return read_page(page);
}

static void the_plan_refuses_malformed_ranges(void) {
    struct transfer_page *page = make_page(1u << 20);
    const struct range first = {4096, 8192}, second = {12288, 4096};
    CHECK(read_with_ranges(page, first, second) == 0);
    CHECK(read_with_ranges(page, first, (struct range){12288, (1u << 20) - 12288}) == 0);
    CHECK(read_with_ranges(page, second, first) == -EINVAL);
    CHECK(read_with_ranges(page, first, first) == -EINVAL);
    CHECK(read_with_ranges(page, first, (struct range){8192, 8192}) == -EINVAL);
    CHECK(read_with_ranges(page, first, (struct range){12288, 0}) == -EINVAL);
    CHECK(read_with_ranges(page, first, (struct range){12289, 4096}) == -EINVAL);
    CHECK(read_with_ranges(page, first, (struct range){12288, 4000}) == -EINVAL);
    CHECK(read_with_ranges(page, first, (struct range){1u << 20, 4096}) == -EINVAL);
    CHECK(read_with_ranges(page, first, (struct range){12288, 1u << 20}) == -EINVAL);
    CHECK(read_with_ranges(page, first, (struct range){12288, UINT64_MAX - 512}) == -EINVAL);
    CHECK(read_with_ranges(page, first, (struct range){UINT64_MAX - 511, 512}) == -EINVAL);
    munmap(page, PAGE_BYTES);
}

static void fill_hashing(struct transfer_page *page, uint64_t drive_bytes, uint64_t extent_bytes) {
    fill_page(page, drive_bytes);
    page->operation = TRANSFER_READ;
    page->hash_extent_bytes = extent_bytes;
    page->leaf_count = (drive_bytes + extent_bytes - 1) / extent_bytes;
}

static void the_plan_refuses_malformed_hashing(void) {
    struct transfer_page *page = make_page(1u << 20);
    const uint64_t drive_bytes = (1u << 20) + 777;
    fill_hashing(page, drive_bytes, 2 * BLOCK);
    CHECK(read_page(page) == 0);
    fill_hashing(page, drive_bytes, BLOCK + 4096);
    CHECK(read_page(page) == -EINVAL);
    fill_hashing(page, drive_bytes, 2 * BLOCK);
    page->leaf_count--;
    CHECK(read_page(page) == -EINVAL);
    fill_hashing(page, drive_bytes, 2 * BLOCK);
    page->reverse = 1;
    CHECK(read_page(page) == -EINVAL);
    fill_hashing(page, drive_bytes, 2 * BLOCK);
    page->start_position = BLOCK;
    CHECK(read_page(page) == -EINVAL);
    fill_hashing(page, drive_bytes, 2 * BLOCK);
    ranges_of(page)[0].length = BLOCK;
    page->leaf_count = 1;
    CHECK(read_page(page) == -EINVAL);
    ranges_of(page)[0] = (struct range){BLOCK, 2 * BLOCK};
    CHECK(read_page(page) == -EINVAL);
    ranges_of(page)[0] = (struct range){2 * BLOCK, 2 * BLOCK};
    CHECK(read_page(page) == 0);
    fill_hashing(page, drive_bytes, 2 * BLOCK);
    page->leaves_offset = BAD_OFFSET;
    CHECK(read_page(page) == -EINVAL);
    /* An extent so large that rounding up to it overflows. */
    fill_hashing(page, drive_bytes, 2 * BLOCK);
    page->hash_extent_bytes = UINT64_MAX - BLOCK + 1;
    page->leaf_count = 0;
    CHECK(read_page(page) == -EINVAL);
    munmap(page, PAGE_BYTES);
}

/* ---- the cursor */

#define MAP_BYTES ((size_t)1 << 18)

/* Random ascending ranges of whole sectors; the last may go to the odd end of the image. How many there are. */
static uint64_t draw_ranges(struct range *ranges, uint64_t drive_bytes) {
    const uint64_t sectors = drive_bytes / SECTOR, most = 1 + random_below(8);
    uint64_t count = 0, sector = random_below(2) ? 0 : random_below(sectors / 4 + 1);
    while (count < most && sector < sectors) {
        uint64_t length = 1 + random_below(sectors / 4 + 1);
        if (length > sectors - sector) length = sectors - sector;
        ranges[count++] = (struct range){sector * SECTOR, length * SECTOR};
        sector += length + (random_below(2) ? 0 : random_below(20));
    }
    struct range *last = &ranges[count - 1];
    if (random_below(2)) last->length = drive_bytes - last->offset;
    return count;
}

/* Which byte of the drive the position stands for: the next one forwards, the one before it backwards. */
static uint64_t byte_at(const struct plan *plan, uint64_t position) {
    for (uint64_t i = 0; i < plan->range_count; i++) {
        const struct range *range = &plan->ranges[plan->is_reverse ? plan->range_count - 1 - i : i];
        if (position < range->length)
            return plan->is_reverse ? range->offset + range->length - 1 - position : range->offset + position;
        position -= range->length;
    }
    CHECK(!"a position behind the end");
    return 0;
}

static void check_block(const struct plan *plan, uint64_t position, uint64_t offset, uint32_t length) {
    CHECK(length > 0 && length <= plan->block_bytes);
    CHECK(offset / plan->block_bytes == (offset + length - 1) / plan->block_bytes);
    CHECK(offset % plan->logical_sector_bytes == 0);
    /* In order: the block's bytes are the next ones of the pass. */
    const uint64_t first = plan->is_reverse ? offset + length - 1 : offset;
    CHECK(byte_at(plan, position) == first);
    const bool is_odd = length % plan->direct_bytes != 0 && offset + length == plan->drive_bytes;
    CHECK(plan_is_odd_end(plan, offset, length) == is_odd);
    /* The odd end is alone: at most what direct I/O cannot reach, so that all of the rest is direct. */
    if (is_odd && offset % plan->direct_bytes == 0) CHECK(length < plan->direct_bytes);
}

/* Walks from the plan's start and counts each byte; returns the position it ended at. */
static uint64_t walk(const struct plan *plan, uint8_t *seen, uint64_t *a_position) {
    struct cursor cursor;
    cursor_start(&cursor, plan);
    CHECK(cursor.position == plan->start_position);
    uint64_t offset, position = plan->start_position;
    uint32_t length;
    while (cursor_next(&cursor, plan, &offset, &length)) {
        CHECK(offset + length <= plan->drive_bytes);
        check_block(plan, position, offset, length);
        for (uint32_t i = 0; i < length; i++) seen[offset + i]++;
        position += length;
        CHECK(cursor.position == position);
        if (random_below(4) == 0) *a_position = position;
    }
    CHECK(!cursor_next(&cursor, plan, &offset, &length));
    return position;
}

static void the_cursor_covers_every_byte_exactly_once(void) {
    struct transfer_page *page = make_page(1u << 20);
    static uint8_t seen[MAP_BYTES], rest[MAP_BYTES];
    static const uint64_t blocks[] = {4096, 8192, 12288, 16384, 65536};
    for (int round = 0; round < 500; round++) {
        const uint64_t drive_bytes = 4 * SECTOR + random_below(MAP_BYTES - 4 * SECTOR);
        fill_page(page, drive_bytes);
        page->block_bytes = blocks[random_below(5)];
        page->physical_sector_bytes = random_below(2) ? 512 : 4096;
        page->reverse = random_below(2);
        page->range_count = draw_ranges(ranges_of(page), drive_bytes);
        struct plan plan;
        CHECK(plan_read(&plan, page, PAGE_BYTES) == 0);
        memset(seen, 0, sizeof seen);
        uint64_t resumed_at = 0;
        CHECK(walk(&plan, seen, &resumed_at) == plan.total_bytes);
        for (uint64_t i = 0; i < plan.range_count; i++)
            for (uint64_t at = 0; at < plan.ranges[i].length; at++) CHECK(seen[plan.ranges[i].offset + at]-- == 1);
        for (size_t i = 0; i < sizeof seen; i++) CHECK(seen[i] == 0);
        /* Taken up where a block ended, with another block size, the rest comes exactly once as well. */
        page->start_position = resumed_at;
        page->block_bytes = blocks[random_below(5)];
        CHECK(plan_read(&plan, page, PAGE_BYTES) == 0);
        memset(rest, 0, sizeof rest);
        CHECK(walk(&plan, rest, &resumed_at) == plan.total_bytes);
        uint64_t covered = 0;
        for (size_t i = 0; i < sizeof rest; i++) {
            CHECK(rest[i] <= 1);
            covered += rest[i];
        }
        CHECK(covered == plan.total_bytes - plan.start_position);
    }
    munmap(page, PAGE_BYTES);
}

/* ---- whole passes over a file */

static int event_fd;

/* An image full of 'd', on tmpfs. */
static int make_image(uint64_t bytes) {
    const int fd = memfd_create("image", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    uint8_t *content = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(content != MAP_FAILED);
    memset(content, 'd', bytes);
    munmap(content, bytes);
    return fd;
}

static uint8_t *map_image(int fd, uint64_t bytes) {
    uint8_t *content = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(content != MAP_FAILED);
    return content;
}

static void set_constant(struct transfer_page *page, uint64_t length) {
    page->pattern = TRANSFER_CONSTANT;
    page->pattern_bytes = length;
    for (uint64_t i = 0; i < length; i++) ((uint8_t *)page)[TRANSFER_PATTERN_OFFSET + i] = (uint8_t)(i * 7 + 3);
}

static void set_seed(struct transfer_page *page) {
    page->pattern = TRANSFER_AES_256_CTR;
    page->pattern_bytes = 32;
    memset((uint8_t *)page + TRANSFER_PATTERN_OFFSET, 0x5a, 32);
}

static void run_page(struct transfer_page *page, int fd) {
    transfer_run(page, PAGE_BYTES, fd, event_fd);
    CHECK(page_get(&page->state) == TRANSFER_ENDED);
    uint64_t told = 0;
    CHECK(read(event_fd, &told, sizeof told) == sizeof told && told > 0);
}

/* The counters start again, for the next pass of the same plan. */
static void clear_counters(struct transfer_page *page) {
    const size_t from = offsetof(struct transfer_page, state);
    memset((uint8_t *)page + from, 0, sizeof *page - from);
}

static bool follows_pattern(const struct transfer_page *page, const uint8_t *content, uint64_t offset, uint64_t length) {
    const uint8_t *bytes = (const uint8_t *)page + TRANSFER_PATTERN_OFFSET;
    if (page->pattern == TRANSFER_CONSTANT) {
        for (uint64_t i = offset; i < offset + length; i++)
            if (content[i] != bytes[i % page->pattern_bytes]) return false;
        return true;
    }
    struct pattern pattern;
    uint8_t *expected = malloc(length);
    CHECK(expected != NULL && pattern_init_aes_256_ctr(&pattern, bytes) == 0);
    pattern_generate(&pattern, offset, expected, length);
    const bool is_equal = memcmp(content + offset, expected, length) == 0;
    free(expected);
    return is_equal;
}

static void check_written(struct transfer_page *page, int fd) {
    const uint64_t drive_bytes = page->drive_bytes;
    uint8_t *content = map_image(fd, drive_bytes);
    CHECK(follows_pattern(page, content, 0, drive_bytes));
    munmap(content, drive_bytes);
    CHECK(page->end == TRANSFER_COMPLETED && page->position == drive_bytes);
    CHECK(page->bytes_done == drive_bytes && page->bytes_sent == drive_bytes && page->failed_bytes_sent == 0);
    CHECK(page->bad_bytes == 0 && page->retries == 0 && page->in_flight == 0 && page->oldest_io_ns == 0);
    CHECK(page->flushes == page->checkpoints && page->checkpoints >= 1 && page->checkpoint_position == drive_bytes);
    CHECK(page->access >= page->access_least && page->access >= TRANSFER_URING_REGISTERED);
}

static void plant_and_compare(struct transfer_page *page, int fd) {
    const uint64_t drive_bytes = page->drive_bytes;
    uint8_t *content = map_image(fd, drive_bytes);
    content[0] ^= 1;
    content[5 * SECTOR + 511] ^= 0x80;
    content[drive_bytes - 1] ^= 1;
    clear_counters(page);
    page->operation = TRANSFER_READ;
    run_page(page, fd);
    const uint64_t last = (drive_bytes - 1) / SECTOR * SECTOR;
    CHECK(page->end == TRANSFER_COMPLETED && page->mismatched_sectors == 3 && page->place_count == 3);
    /* In processing order, ascending within a block. */
    const uint64_t first = page->reverse ? 1 : 0;
    CHECK(page->places[first] == 0 && page->places[first + 1] == 5 * SECTOR && page->places[page->reverse ? 0 : 2] == last);
    CHECK(page->bytes_sent == 0 && page->flushes == 0 && page->bytes_done == drive_bytes);
    content[0] ^= 1;
    content[5 * SECTOR + 511] ^= 0x80;
    content[drive_bytes - 1] ^= 1;
    munmap(content, drive_bytes);
}

static void hash_and_check(struct transfer_page *page, int fd) {
    const uint64_t drive_bytes = page->drive_bytes, extent_bytes = 3 * page->block_bytes;
    clear_counters(page);
    page->operation = TRANSFER_READ;
    page->reverse = 0;
    page->hash_extent_bytes = extent_bytes;
    page->leaf_count = (drive_bytes + extent_bytes - 1) / extent_bytes;
    run_page(page, fd);
    CHECK(page->end == TRANSFER_COMPLETED && page->mismatched_sectors == 0);
    CHECK(page->bytes_hashed == drive_bytes && page->finished_leaves == page->leaf_count);
    const uint8_t *leaves = (const uint8_t *)page + LEAVES_OFFSET;
    uint8_t *content = map_image(fd, drive_bytes);
    for (uint64_t i = 0; i < page->leaf_count; i++) {
        struct blake3_hasher hasher;
        uint8_t leaf[32];
        const uint64_t left = drive_bytes - i * extent_bytes;
        blake3_init(&hasher);
        blake3_update(&hasher, content + i * extent_bytes, left < extent_bytes ? left : extent_bytes);
        blake3_final(&hasher, leaf);
        CHECK(memcmp(leaf, leaves + i * 32, 32) == 0);
    }
    munmap(content, drive_bytes);
}

/* The second extent and the last, short one. */
static void hash_chosen_and_check(struct transfer_page *page, int fd) {
    const uint64_t drive_bytes = page->drive_bytes, extent_bytes = 3 * page->block_bytes;
    const uint64_t last = (drive_bytes - 1) / extent_bytes;
    if (last < 2) return;
    const struct range chosen[] = {{extent_bytes, extent_bytes}, {last * extent_bytes, drive_bytes - last * extent_bytes}};
    clear_counters(page);
    page->range_count = 2;
    memcpy(ranges_of(page), chosen, sizeof chosen);
    page->hash_extent_bytes = extent_bytes;
    page->leaf_count = 2;
    run_page(page, fd);
    CHECK(page->end == TRANSFER_COMPLETED && page->mismatched_sectors == 0 && page->finished_leaves == 2);
    CHECK(page->bytes_hashed == chosen[0].length + chosen[1].length);
    uint8_t *content = map_image(fd, drive_bytes);
    for (size_t i = 0; i < 2; i++) {
        struct blake3_hasher hasher;
        uint8_t leaf[32];
        blake3_init(&hasher);
        blake3_update(&hasher, content + chosen[i].offset, chosen[i].length);
        blake3_final(&hasher, leaf);
        CHECK(memcmp(leaf, (const uint8_t *)page + LEAVES_OFFSET + i * 32, 32) == 0);
    }
    munmap(content, drive_bytes);
}

static const uint64_t accesses[] = {0, TRANSFER_URING, TRANSFER_PREAD, TRANSFER_BUFFERED};
static const uint64_t sizes[] = {1, 511, 4096, 1u << 20, (1u << 20) + 4096 * 3 + 777, (1u << 18) + 512};

static void pass_over(uint64_t access, uint64_t drive_bytes, bool is_reverse, uint64_t constant_bytes) {
    struct transfer_page *page = make_page(drive_bytes);
    const int fd = make_image(drive_bytes);
    page->access_least = access;
    page->reverse = is_reverse;
    page->checkpoint_bytes = drive_bytes / 3 > BLOCK ? drive_bytes / 3 : BLOCK;
    if (constant_bytes > 0)
        set_constant(page, constant_bytes);
    else
        set_seed(page);
    run_page(page, fd);
    check_written(page, fd);
    if (drive_bytes > 8 * SECTOR) plant_and_compare(page, fd);
    hash_and_check(page, fd);
    hash_chosen_and_check(page, fd);
    close(fd);
    munmap(page, PAGE_BYTES);
}

static void a_pass_writes_reads_and_hashes_every_byte(void) {
    static const uint64_t constants[] = {0, 1, 3, 512, 4096};
    for (size_t a = 0; a < sizeof accesses / sizeof accesses[0]; a++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
            for (int reverse = 0; reverse < 2; reverse++)
                pass_over(accesses[a], sizes[s], reverse, constants[random_below(5)]);
}

static void only_the_ranges_are_written(void) {
    const uint64_t drive_bytes = (1u << 20) + 777;
    for (int reverse = 0; reverse < 2; reverse++) {
        struct transfer_page *page = make_page(drive_bytes);
        const int fd = make_image(drive_bytes);
        set_constant(page, 3);
        page->reverse = (uint64_t)reverse;
        page->range_count = 3;
        const uint64_t start = reverse ? 777 : 4096; /* where the first block ends */
        page->start_position = start;
        ranges_of(page)[0] = (struct range){4096, 8192};
        ranges_of(page)[1] = (struct range){20480, 65536};
        ranges_of(page)[2] = (struct range){drive_bytes - 777 - 4096, 4096 + 777};
        run_page(page, fd);
        const uint64_t total = 8192 + 65536 + 4096 + 777;
        CHECK(page->end == TRANSFER_COMPLETED && page->position == total && page->bytes_done == total - start);
        CHECK(page->bytes_sent == total - start);
        uint8_t *content = map_image(fd, drive_bytes);
        uint64_t untouched = 0;
        for (uint64_t i = 0; i < drive_bytes; i++) {
            const bool is_new = content[i] == (uint8_t)((i % 3) * 7 + 3);
            CHECK(is_new || content[i] == 'd');
            untouched += !is_new;
        }
        CHECK(untouched == drive_bytes - (total - start));
        munmap(content, drive_bytes);
        close(fd);
        munmap(page, PAGE_BYTES);
    }
}

static void places_stop_at_their_table_and_the_count_goes_on(void) {
    const uint64_t drive_bytes = 1u << 20;
    struct transfer_page *page = make_page(drive_bytes);
    const int fd = make_image(drive_bytes);
    page->operation = TRANSFER_READ;
    run_page(page, fd);
    CHECK(page->mismatched_sectors == drive_bytes / SECTOR && page->place_count == TRANSFER_PLACES);
    for (uint64_t i = 0; i < TRANSFER_PLACES; i++) CHECK(page->places[i] == i * SECTOR);
    close(fd);
    munmap(page, PAGE_BYTES);
}

/* ---- faults that need no bad drive */

static void a_write_that_is_refused_everywhere_is_bad_everywhere(void) {
    const uint64_t drive_bytes = (1u << 17) + 777;
    for (size_t a = 0; a < sizeof accesses / sizeof accesses[0]; a++) {
        struct transfer_page *page = make_page(drive_bytes);
        const int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        CHECK(fd >= 0 && ftruncate(fd, (off_t)drive_bytes) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
        page->access_least = accesses[a];
        page->retry_limit = a; /* each block, then its first sector, once and so often again; its other sectors once */
        run_page(page, fd);
        CHECK(page->end == TRANSFER_COMPLETED && page->bad_bytes == drive_bytes && page->position == drive_bytes);
        CHECK(page->bytes_sent >= (page->retry_limit + 2) * drive_bytes && page->failed_bytes_sent == page->bytes_sent);
        CHECK(page->bytes_sent < (page->retry_limit + 3) * drive_bytes);
        CHECK(page->bad_count == 1 && bad_of(page)[0].offset == 0 && bad_of(page)[0].length == drive_bytes);
        CHECK(bad_of(page)[0].operation == TRANSFER_WRITE && bad_of(page)[0].error == EPERM);

        clear_counters(page);
        page->bad_bytes_limit = 65536;
        run_page(page, fd);
        CHECK(page->end == TRANSFER_TOO_MANY_ERRORS && page->bad_bytes > 65536 && page->bad_bytes <= 65536 + 4096);
        close(fd);
        munmap(page, PAGE_BYTES);
    }
}

static void a_drive_of_another_size_is_gone(void) {
    struct transfer_page *page = make_page(1u << 20);
    const int fd = make_image((1u << 20) + 4096);
    run_page(page, fd);
    CHECK(page->end == TRANSFER_GONE && page->bytes_sent == 0);
    close(fd);
    munmap(page, PAGE_BYTES);
}

static void a_malformed_plan_touches_nothing(void) {
    struct transfer_page *page = make_page(1u << 20);
    const int fd = make_image(1u << 20);
    page->queue_depth = 0;
    run_page(page, fd);
    CHECK(page->end == TRANSFER_INTERNAL && page->end_errno == EINVAL && page->first_io_ns == 0);
    close(fd);
    munmap(page, PAGE_BYTES);
}

/* ---- the parent's side of the page, at the same time */

struct meddler {
    struct transfer_page *page;
    _Atomic bool is_done;
    uint64_t pauses_seen, orders;
};

/* Reads every counter, checks that none goes back, and gives orders as fast as it can. */
static void *meddle(void *argument) {
    struct meddler *meddler = argument;
    struct transfer_page *page = meddler->page;
    uint64_t position = 0, done = 0, sent = 0, checkpoints = 0, checkpoint_position = 0;
    while (!atomic_load(&meddler->is_done)) {
        const uint64_t sent_now = page_get(&page->bytes_sent), checkpoint_now = page_get(&page->checkpoint_position);
        const uint64_t position_now = page_get(&page->position), done_now = page_get(&page->bytes_done);
        const uint64_t checkpoints_now = page_get(&page->checkpoints);
        CHECK(position_now >= position && done_now >= done && sent_now >= sent && checkpoints_now >= checkpoints);
        CHECK(checkpoint_now >= checkpoint_position && checkpoint_now <= position_now);
        position = position_now, done = done_now, sent = sent_now, checkpoints = checkpoints_now;
        checkpoint_position = checkpoint_now;
        page_set(&page->acknowledged, checkpoints);
        meddler->pauses_seen += page_get(&page->state) == TRANSFER_PAUSED;
        CHECK(page_get(&page->in_flight) <= PLAN_MAX_DEPTH + 1);
        for (uint64_t i = 0; i < page_get(&page->place_count); i++) CHECK(page_get(&page->places[i]) % SECTOR == 0);
        page_set(&page->rate_limit, ++meddler->orders % 3 ? 0 : UINT64_C(1) << 30);
        page_set(&page->command, meddler->orders % 5 == 0 ? TRANSFER_PAUSE : TRANSFER_RUN);
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    return NULL;
}

static void meddling_neither_stops_nor_spoils_a_pass(void) {
    for (size_t a = 0; a < sizeof accesses / sizeof accesses[0]; a++) {
        const uint64_t drive_bytes = (32u << 20) + 777;
        struct transfer_page *page = make_page(drive_bytes);
        const int fd = make_image(drive_bytes);
        page->access_least = accesses[a];
        page->acknowledged = 0;
        page->checkpoint_bytes = 4u << 20;
        set_seed(page);
        struct meddler meddler = {.page = page};
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, meddle, &meddler) == 0);
        run_page(page, fd);
        atomic_store(&meddler.is_done, true);
        pthread_join(thread, NULL);
        check_written(page, fd);
        close(fd);
        munmap(page, PAGE_BYTES);
    }
}

/* Never acknowledges; pauses and resumes whenever a pause is reached, and cancels when nothing moves any more. */
static void *press_on(void *argument) {
    struct meddler *meddler = argument;
    struct transfer_page *page = meddler->page;
    uint64_t position = 0, unmoved = 0;
    while (!atomic_load(&meddler->is_done)) {
        const uint64_t now = page_get(&page->position);
        const bool is_paused = page_get(&page->state) == TRANSFER_PAUSED;
        page_set(&page->command, is_paused ? TRANSFER_RUN : TRANSFER_PAUSE);
        unmoved = now == position ? unmoved + 1 : 0;
        position = now;
        if (unmoved > 200) {
            page_set(&page->command, TRANSFER_CANCEL);
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return NULL;
}

static void what_is_not_on_record_holds_the_pass_back_whatever_is_ordered(void) {
    const uint64_t drive_bytes = 16u << 20;
    struct transfer_page *page = make_page(drive_bytes);
    const int fd = make_image(drive_bytes);
    page->acknowledged = 0;
    page->checkpoint_bytes = 2 * BLOCK;
    page->rate_limit = 8u << 20;
    struct meddler meddler = {.page = page};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, press_on, &meddler) == 0);
    run_page(page, fd);
    atomic_store(&meddler.is_done, true);
    pthread_join(thread, NULL);
    CHECK(page->end == TRANSFER_CANCELLED && page->bytes_sent <= 2 * page->checkpoint_bytes);
    CHECK(page->checkpoint_position == page->position && page->position == page->bytes_sent);
    close(fd);
    munmap(page, PAGE_BYTES);
}

int main(int argc, char **argv) {
    if (argc > 1) random_seed = strtoull(argv[1], NULL, 10);
    random_state = random_seed * 2 + 1;
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(event_fd >= 0);
    the_plan_refuses_what_is_malformed();
    the_plan_refuses_malformed_ranges();
    the_plan_refuses_malformed_hashing();
    the_cursor_covers_every_byte_exactly_once();
    a_pass_writes_reads_and_hashes_every_byte();
    only_the_ranges_are_written();
    places_stop_at_their_table_and_the_count_goes_on();
    a_write_that_is_refused_everywhere_is_bad_everywhere();
    a_drive_of_another_size_is_gone();
    a_malformed_plan_touches_nothing();
    meddling_neither_stops_nor_spoils_a_pass();
    what_is_not_on_record_holds_the_pass_back_whatever_is_ordered();
    return 0;
}
