#include "plan.h"

#include <errno.h>

#define LEAF_BYTES 32u

/* Whether a table of `count` items of `item` bytes lies inside the page, behind the pattern, aligned to words. */
static bool table_fits(uint64_t offset, uint64_t count, uint64_t item, size_t page_bytes) {
    if (count == 0) return true;
    if (offset < TRANSFER_TABLES_OFFSET || offset % sizeof(uint64_t) != 0 || offset > page_bytes) return false;
    return count <= (page_bytes - offset) / item;
}

static bool tables_overlap(uint64_t first, uint64_t first_bytes, uint64_t second, uint64_t second_bytes) {
    return first_bytes > 0 && second_bytes > 0 && first < second + second_bytes && second < first + first_bytes;
}

/* Each table inside the page, and none over another. */
static bool tables_are_sound(const struct plan *plan, uint64_t ranges_offset, size_t page_bytes) {
    if (!table_fits(ranges_offset, plan->range_count, sizeof(struct range), page_bytes) ||
        !table_fits(plan->bad_offset, plan->bad_capacity, sizeof(struct bad_entry), page_bytes) ||
        !table_fits(plan->leaves_offset, plan->leaf_count, LEAF_BYTES, page_bytes))
        return false;
    const uint64_t ranges_bytes = plan->range_count * sizeof(struct range), leaves_bytes = plan->leaf_count * LEAF_BYTES;
    const uint64_t bad_bytes = plan->bad_capacity * sizeof(struct bad_entry);
    return !tables_overlap(ranges_offset, ranges_bytes, plan->bad_offset, bad_bytes) &&
           !tables_overlap(ranges_offset, ranges_bytes, plan->leaves_offset, leaves_bytes) &&
           !tables_overlap(plan->bad_offset, bad_bytes, plan->leaves_offset, leaves_bytes);
}

static bool sizes_are_sound(const struct plan *plan) {
    return plan->logical_sector_bytes >= 1 && plan->logical_sector_bytes <= 65536 &&
           plan->physical_sector_bytes >= plan->logical_sector_bytes && plan->physical_sector_bytes <= (1u << 20) &&
           plan->physical_sector_bytes % plan->logical_sector_bytes == 0 &&
           plan->block_bytes >= plan->physical_sector_bytes && plan->block_bytes % plan->physical_sector_bytes == 0 &&
           plan->queue_depth >= 1 && plan->queue_depth <= PLAN_MAX_DEPTH &&
           (uint64_t)plan->block_bytes * plan->queue_depth <= PLAN_MAX_BUFFER_BYTES && plan->drive_bytes > 0 &&
           plan->drive_bytes <= INT64_MAX && plan->checkpoint_bytes >= plan->block_bytes;
}

static bool pattern_is_sound(const struct plan *plan) {
    switch (plan->pattern) {
    case TRANSFER_CONSTANT: return plan->pattern_bytes >= 1 && plan->pattern_bytes <= 4096;
    case TRANSFER_AES_256_CTR: return plan->pattern_bytes == 32;
    case TRANSFER_NO_PATTERN: return !plan->is_write;
    }
    return false;
}

/* Each range is of whole extents; the drive's last one may be short. */
static bool hashing_is_sound(const struct plan *plan) {
    const uint64_t extent_bytes = plan->hash_extent_bytes;
    if (extent_bytes == 0) return true;
    if (plan->is_write || plan->is_reverse || plan->start_position != 0 || extent_bytes % plan->block_bytes != 0) return false;
    uint64_t extents = 0;
    for (uint64_t i = 0; i < plan->range_count; i++) {
        const struct range *range = &plan->ranges[i];
        const uint64_t rest = range->length % extent_bytes;
        if (range->offset % extent_bytes != 0) return false;
        if (rest != 0 && range->offset + range->length != plan->drive_bytes) return false;
        extents += range->length / extent_bytes + (rest != 0);
    }
    return plan->leaf_count == extents;
}

/* In the order of processing. */
static const struct range *range_at(const struct plan *plan, uint64_t number) {
    return &plan->ranges[plan->is_reverse ? plan->range_count - 1 - number : number];
}

/* Only an image may end within a sector. */
static bool ends_well(const struct plan *plan, const struct range *range) {
    const uint64_t end = range->offset + range->length;
    return end % plan->logical_sector_bytes == 0 || (!plan->is_block_device && end == plan->drive_bytes);
}

static bool ranges_are_sound(struct plan *plan) {
    uint64_t end = 0;
    plan->total_bytes = 0;
    for (uint64_t i = 0; i < plan->range_count; i++) {
        const struct range *range = &plan->ranges[i];
        if (range->offset < end || range->length == 0 || range->offset % plan->logical_sector_bytes != 0 ||
            range->offset > plan->drive_bytes || range->length > plan->drive_bytes - range->offset ||
            !ends_well(plan, range))
            return false;
        end = range->offset + range->length;
        plan->total_bytes += range->length;
    }
    return plan->range_count > 0 && plan->start_position <= plan->total_bytes;
}

/* A resumed pass goes on where a block ended: between two sectors, or behind the odd end. */
static bool start_is_sound(const struct plan *plan) {
    if (plan->start_position == plan->total_bytes) return true;
    struct cursor cursor;
    cursor_start(&cursor, plan);
    const struct range *range = range_at(plan, cursor.range);
    const uint64_t place = plan->is_reverse ? range->offset + range->length - cursor.done : range->offset + cursor.done;
    return place % plan->logical_sector_bytes == 0 || cursor.done == 0;
}

/* Words that name one of a few things: compared whole, before they become an enum or a bool. */
static bool choices_are_known(const struct transfer_page *page) {
    const uint64_t operation = page_get(&page->operation);
    return (operation == TRANSFER_WRITE || operation == TRANSFER_READ) && page_get(&page->pattern) <= TRANSFER_AES_256_CTR &&
           page_get(&page->access_least) <= TRANSFER_BUFFERED && page_get(&page->flush) <= TRANSFER_FLUSH_COMMAND &&
           page_get(&page->reverse) <= 1 && page_get(&page->is_block_device) <= 1;
}

int plan_read(struct plan *plan, const struct transfer_page *page, size_t page_bytes) {
    if (page_bytes < TRANSFER_TABLES_OFFSET || page_get(&page->magic) != TRANSFER_MAGIC ||
        page_get(&page->page_bytes) != page_bytes)
        return -EINVAL;
    const uint64_t depth = page_get(&page->queue_depth);
    const uint64_t block_bytes = page_get(&page->block_bytes), pattern_bytes = page_get(&page->pattern_bytes);
    const uint64_t logical = page_get(&page->logical_sector_bytes), physical = page_get(&page->physical_sector_bytes);
    if (!choices_are_known(page) || depth > PLAN_MAX_DEPTH || block_bytes > PLAN_MAX_BUFFER_BYTES || pattern_bytes > 4096 ||
        logical > 65536 || physical > (1u << 20))
        return -EINVAL;
    const uint64_t ranges_offset = page_get(&page->ranges_offset);
    *plan = (struct plan){
        .parent_pid = page_get(&page->parent_pid),
        .is_write = page_get(&page->operation) == TRANSFER_WRITE,
        .is_reverse = page_get(&page->reverse) != 0,
        .is_block_device = page_get(&page->is_block_device) != 0,
        .flush_by_command = page_get(&page->flush) == TRANSFER_FLUSH_COMMAND,
        .pattern = (enum transfer_pattern)page_get(&page->pattern),
        .pattern_bytes = (uint32_t)pattern_bytes,
        .drive_bytes = page_get(&page->drive_bytes),
        .logical_sector_bytes = (uint32_t)logical,
        .physical_sector_bytes = (uint32_t)physical,
        .block_bytes = (uint32_t)block_bytes,
        .queue_depth = (uint32_t)depth,
        /* A file system's own blocks may be larger than the sector that we count an image in. */
        .direct_bytes = page_get(&page->is_block_device) != 0 ? (uint32_t)logical : (uint32_t)physical,
        .access_least = (enum transfer_access)page_get(&page->access_least),
        .start_position = page_get(&page->start_position),
        .range_count = page_get(&page->range_count),
        .bad_capacity = page_get(&page->bad_capacity),
        .bad_offset = page_get(&page->bad_offset),
        .hash_extent_bytes = page_get(&page->hash_extent_bytes),
        .leaves_offset = page_get(&page->leaves_offset),
        .leaf_count = page_get(&page->leaf_count),
        .checkpoint_ns = page_get(&page->checkpoint_ns),
        .checkpoint_bytes = page_get(&page->checkpoint_bytes),
        .retry_limit = page_get(&page->retry_limit),
        .bad_bytes_limit = page_get(&page->bad_bytes_limit),
        .no_progress_ns = page_get(&page->no_progress_ns),
        .fruitless_ns = page_get(&page->fruitless_ns),
    };
    if (!tables_are_sound(plan, ranges_offset, page_bytes)) return -EINVAL;
    plan->ranges = (const struct range *)(const void *)((const uint8_t *)page + ranges_offset);
    const bool is_sound = sizes_are_sound(plan) && ranges_are_sound(plan) && start_is_sound(plan) &&
                          pattern_is_sound(plan) && hashing_is_sound(plan) && plan->checkpoint_ns > 0 &&
                          plan->checkpoint_bytes > 0 && plan->no_progress_ns > 0 &&
                          plan->fruitless_ns > 0;
    return is_sound ? 0 : -EINVAL;
}

bool plan_is_odd_end(const struct plan *plan, uint64_t offset, uint32_t length) {
    return length % plan->direct_bytes != 0 && offset + length == plan->drive_bytes;
}

void cursor_start(struct cursor *cursor, const struct plan *plan) {
    uint64_t rest = plan->start_position;
    cursor->position = rest;
    for (cursor->range = 0; cursor->range < plan->range_count; cursor->range++) {
        const uint64_t length = range_at(plan, cursor->range)->length;
        if (rest < length) break;
        rest -= length;
    }
    cursor->done = rest;
}

bool cursor_next(struct cursor *cursor, const struct plan *plan, uint64_t *offset, uint32_t *length) {
    if (cursor->range >= plan->range_count) return false;
    const struct range *range = range_at(plan, cursor->range);
    const uint64_t left = range->length - cursor->done;
    uint64_t size;
    if (plan->is_reverse) {
        const uint64_t end = range->offset + left;
        const uint64_t beyond = end % plan->block_bytes, odd = end == plan->drive_bytes ? end % plan->direct_bytes : 0;
        size = odd != 0 ? odd : beyond != 0 ? beyond : plan->block_bytes;
        if (size > left) size = left;
        *offset = end - size;
    } else {
        *offset = range->offset + cursor->done;
        size = plan->block_bytes - *offset % plan->block_bytes;
        if (size > left) size = left;
        const bool is_last = *offset + size == plan->drive_bytes;
        if (is_last && size > plan->direct_bytes) size -= size % plan->direct_bytes;
    }
    *length = (uint32_t)size;
    cursor->done += size;
    cursor->position += size;
    if (cursor->done == range->length) {
        cursor->range++;
        cursor->done = 0;
    }
    return true;
}
