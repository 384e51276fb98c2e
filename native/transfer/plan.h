/* The plan, checked once and copied out of the page, so that nothing the parent does later can change it. */
#ifndef ERASER_TRANSFER_PLAN_H
#define ERASER_TRANSFER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "page.h"

struct range {
    uint64_t offset, length;
};

struct bad_entry {
    uint64_t offset, length, operation, error;
};

struct plan {
    uint64_t parent_pid;
    bool is_write, is_reverse, is_block_device, flush_by_command;
    enum transfer_pattern pattern;
    uint32_t pattern_bytes;
    uint64_t drive_bytes;
    uint32_t logical_sector_bytes, physical_sector_bytes, block_bytes, queue_depth;
    uint32_t direct_bytes; /* what direct I/O is a multiple of */
    enum transfer_access access_least;
    uint64_t start_position, total_bytes;
    const struct range *ranges; /* in the page */
    uint64_t range_count;
    uint64_t bad_capacity, bad_offset;
    uint64_t hash_extent_bytes, leaves_offset, leaf_count;
    uint64_t checkpoint_ns, checkpoint_bytes, retry_limit, bad_bytes_limit, no_progress_ns, fruitless_ns;
};

#define PLAN_MAX_DEPTH 64u
#define PLAN_MAX_BUFFER_BYTES (8u << 20) /* the memory that one transfer may use for its blocks */

/* 0, or -EINVAL for a page that no correct parent writes. `page_bytes` is what is mapped. */
int plan_read(struct plan *plan, const struct transfer_page *page, size_t page_bytes);

/* Whether a block is one that O_DIRECT cannot reach. */
bool plan_is_odd_end(const struct plan *plan, uint64_t offset, uint32_t length);

/* The next block of the pass. */
struct cursor {
    uint64_t range;    /* index; counts down in a reverse pass */
    uint64_t done;     /* bytes of that range already handed out */
    uint64_t position; /* in the whole pass */
};

void cursor_start(struct cursor *cursor, const struct plan *plan);
/* False at the end. Blocks never cross a range, nor a multiple of the block size, hence never a hashed extent. What is left
 * over at the odd end of an image comes as a block of its own (plan_is_odd_end). */
bool cursor_next(struct cursor *cursor, const struct plan *plan, uint64_t *offset, uint32_t *length);

#endif
