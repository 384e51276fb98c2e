#include "plan.h"

#include <errno.h>

/* Whether a table of `count` items of `item` bytes lies inside the page, behind the pattern, aligned to words. */
static bool table_fits(uint64_t offset, uint64_t count, uint64_t item, size_t page_bytes) {
    if (count == 0) return true;
    if (offset < TRANSFER_TABLES_OFFSET || offset % sizeof(uint64_t) != 0 || offset > page_bytes) return false;
    return count <= (page_bytes - offset) / item;
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

static bool hashing_is_sound(const struct plan *plan) {
    if (plan->hash_extent_bytes == 0) return true;
    if (plan->is_write || plan->is_reverse || plan->start_position != 0 || plan->hash_extent_bytes % plan->block_bytes != 0)
        return false;
    const bool is_whole = plan->range_count == 1 && plan->ranges[0].offset == 0 && plan->ranges[0].length == plan->drive_bytes;
    return is_whole && plan->leaf_count == (plan->drive_bytes + plan->hash_extent_bytes - 1) / plan->hash_extent_bytes;
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

int plan_read(struct plan *plan, const struct transfer_page *page, size_t page_bytes) {
    if (page_bytes < TRANSFER_TABLES_OFFSET || page_get(&page->magic) != TRANSFER_MAGIC ||
        page_get(&page->page_bytes) != page_bytes)
        return -EINVAL;
    const uint64_t operation = page_get(&page->operation), depth = page_get(&page->queue_depth);
    const uint64_t block_bytes = page_get(&page->block_bytes), pattern_bytes = page_get(&page->pattern_bytes);
    const uint64_t logical = page_get(&page->logical_sector_bytes), physical = page_get(&page->physical_sector_bytes);
    if ((operation != TRANSFER_WRITE && operation != TRANSFER_READ) || depth > PLAN_MAX_DEPTH ||
        block_bytes > PLAN_MAX_BUFFER_BYTES || pattern_bytes > 4096 || logical > 65536 || physical > (1u << 20))
        return -EINVAL;
    const uint64_t ranges_offset = page_get(&page->ranges_offset);
    *plan = (struct plan){
        .parent_pid = page_get(&page->parent_pid),
        .is_write = operation == TRANSFER_WRITE,
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
    };
    if (!table_fits(ranges_offset, plan->range_count, sizeof(struct range), page_bytes) ||
        !table_fits(plan->bad_offset, plan->bad_capacity, sizeof(struct bad_entry), page_bytes) ||
        !table_fits(plan->leaves_offset, plan->leaf_count, 32, page_bytes))
        return -EINVAL;
    plan->ranges = (const struct range *)(const void *)((const uint8_t *)page + ranges_offset);
    const bool is_sound = sizes_are_sound(plan) && ranges_are_sound(plan) && pattern_is_sound(plan) && hashing_is_sound(plan) &&
                          plan->checkpoint_ns > 0 && plan->checkpoint_bytes > 0 && plan->no_progress_ns > 0;
    return is_sound ? 0 : -EINVAL;
}

bool plan_is_odd_end(const struct plan *plan, uint64_t offset, uint32_t length) {
    return length % plan->direct_bytes != 0 && offset + length == plan->drive_bytes;
}

void cursor_start(struct cursor *cursor, const struct plan *plan) {
    uint64_t rest = plan->start_position;
    cursor->position = rest;
    for (cursor->range = 0; cursor->range < plan->range_count; cursor->range++) {
        const uint64_t index = plan->is_reverse ? plan->range_count - 1 - cursor->range : cursor->range;
        if (rest < plan->ranges[index].length) break;
        rest -= plan->ranges[index].length;
    }
    cursor->done = rest;
}

bool cursor_next(struct cursor *cursor, const struct plan *plan, uint64_t *offset, uint32_t *length) {
    if (cursor->range >= plan->range_count) return false;
    const uint64_t index = plan->is_reverse ? plan->range_count - 1 - cursor->range : cursor->range;
    const struct range *range = &plan->ranges[index];
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
