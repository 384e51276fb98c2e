#include "transfer.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "medium.h"

#define TICK_NS UINT64_C(50000000)          /* how often commands are looked at while nothing comes back */
#define PAUSE_TICK_NS UINT64_C(20000000)    /* and while paused */
#define RECORD_TICK_NS UINT64_C(1000000)    /* and while the parent has a checkpoint to record */
#define RELEASE_BYTES (UINT64_C(32) << 20)  /* buffered access: how much the page cache may hold of the drive */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)   /* of x86-64, and of ARM with pages of 4 KiB; elsewhere it does no harm */
#define PACE_BURST_NS UINT64_C(200000000)   /* a rate limit may be made up for over so long, not longer */

uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void sleep_ns(uint64_t ns) {
    const struct timespec duration = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    nanosleep(&duration, NULL);
}

void transfer_notify(const struct transfer *transfer) {
    const uint64_t one = 1;
    /* It can only fail where the counter is full, and then the parent has been told. */
    if (write(transfer->event_fd, &one, sizeof one) < 0) return;
}

void transfer_end(struct transfer *transfer, enum transfer_end end, int error) {
    if (transfer->end != 0) return;
    transfer->end = end;
    transfer->end_errno = error;
}

static void note_latency(struct transfer_page *page, uint64_t ns) {
    uint32_t bucket = 0;
    for (uint64_t us = ns / 1000; us > 1 && bucket < TRANSFER_HISTOGRAM_BUCKETS - 1; us >>= 1) bucket++;
    page_add(&page->latency[bucket], 1);
}

static void note_first_io(struct transfer *transfer, uint64_t now) {
    if (page_get(&transfer->page->first_io_ns) == 0) page_set(&transfer->page->first_io_ns, now);
}

static void note_return(struct transfer *transfer, uint64_t submitted_ns, bool is_good) {
    const uint64_t now = clock_ns();
    note_latency(transfer->page, now - submitted_ns);
    page_set(&transfer->page->last_io_ns, now);
    transfer->progress_ns = now;
    if (is_good) transfer->good_ns = now;
}

int transfer_io(struct transfer *transfer, void *data, uint32_t length, uint64_t offset) {
    struct transfer_page *page = transfer->page;
    const uint64_t began = clock_ns();
    note_first_io(transfer, began);
    /* Its own age, also while blocks wait behind it: those may be back already, and a drive that answers does not hang. */
    const uint64_t in_flight = page_get(&page->in_flight);
    page_set(&page->oldest_io_ns, began);
    page_set(&page->in_flight, in_flight + 1);
    const bool is_write = transfer->plan.is_write;
    if (is_write) page_add(&page->bytes_sent, length);
    int rc;
    if (transfer->access != TRANSFER_BUFFERED && plan_is_odd_end(&transfer->plan, offset, length))
        rc = medium_odd_end(transfer->drive_fd, is_write, data, length, offset);
    else if (is_write)
        rc = medium_write(transfer->drive_fd, data, length, offset, transfer->access == TRANSFER_BUFFERED);
    else
        rc = medium_read(transfer->drive_fd, data, length, offset);
    if (is_write && rc < 0) page_add(&page->failed_bytes_sent, length);
    note_return(transfer, began, rc == 0);
    page_set(&page->in_flight, in_flight);
    page_set(&page->oldest_io_ns, 0);
    return rc;
}

void transfer_compare(struct transfer *transfer, const void *data, uint32_t length, uint64_t offset) {
    if (transfer->plan.pattern == TRANSFER_NO_PATTERN) return;
    struct transfer_page *page = transfer->page;
    const uint64_t known = page_get(&page->place_count);
    uint64_t places[TRANSFER_PLACES];
    size_t stored = 0;
    const uint64_t differing = pattern_compare(&transfer->pattern, offset, data, length, transfer->plan.logical_sector_bytes, places,
                                               TRANSFER_PLACES - known, &stored);
    if (differing == 0) return;
    for (size_t i = 0; i < stored; i++) page_set(&page->places[known + i], places[i]);
    page_set(&page->place_count, known + stored);
    page_add(&page->mismatched_sectors, differing);
    if (known == 0) transfer_notify(transfer);
}

/* ---- hashing: one hash for each extent, the extents' ends fall on ends of blocks */

static void hash_block(struct transfer *transfer, const struct slot *slot) {
    const uint64_t extent_bytes = transfer->plan.hash_extent_bytes, end = slot->offset + slot->length;
    if (slot->offset % extent_bytes == 0) blake3_init(&transfer->hasher);
    blake3_update(&transfer->hasher, slot->data, slot->length);
    page_add(&transfer->page->bytes_hashed, slot->length);
    if (end % extent_bytes != 0 && end != transfer->plan.drive_bytes) return;
    const uint64_t leaf = page_get(&transfer->page->finished_leaves); /* blocks are retired in order, so are extents */
    assert(leaf < transfer->plan.leaf_count);
    blake3_final(&transfer->hasher, (uint8_t *)transfer->page + transfer->plan.leaves_offset + leaf * 32);
    page_set(&transfer->page->finished_leaves, leaf + 1);
}

/* ---- blocks: out in order, retired in order */

static struct slot *slot_at(struct transfer *transfer, uint64_t number) {
    return &transfer->slots[number % transfer->plan.queue_depth];
}

static bool is_full(const struct transfer *transfer) {
    return transfer->tail - transfer->head == (transfer->uses_ring ? transfer->plan.queue_depth : 1u);
}

static void publish_flight(struct transfer *transfer) {
    uint64_t out = 0, oldest_ns = 0;
    for (uint64_t number = transfer->head; number != transfer->tail; number++) {
        const struct slot *slot = slot_at(transfer, number);
        if (slot->is_back) continue;
        if (out++ == 0) oldest_ns = slot->submitted_ns;
    }
    page_set(&transfer->page->in_flight, out);
    page_set(&transfer->page->oldest_io_ns, oldest_ns);
}

static void drain(struct transfer *transfer);

/* Where the next block is written from or read into, with the pattern in place. */
static uint8_t *block_memory(struct transfer *transfer, const struct slot *slot, uint32_t index) {
    const struct plan *plan = &transfer->plan;
    if (transfer->shares_block) return transfer->memory + slot->offset % plan->block_bytes;
    uint8_t *memory = transfer->memory + (size_t)index * plan->block_bytes;
    if (plan->is_write) pattern_generate(&transfer->pattern, slot->offset, memory, slot->length);
    return memory;
}

/* Sends the next block on its way; false when there is none left, or the pass ended. */
static bool submit_block(struct transfer *transfer) {
    const struct plan *plan = &transfer->plan;
    const uint32_t index = (uint32_t)(transfer->tail % plan->queue_depth);
    struct slot *slot = &transfer->slots[index];
    if (!cursor_next(&transfer->cursor, plan, &slot->offset, &slot->length)) return false;
    const bool goes_alone = !transfer->uses_ring || plan_is_odd_end(plan, slot->offset, slot->length);
    if (goes_alone) drain(transfer);
    if (transfer->end != 0) return false;
    slot->end_position = transfer->cursor.position;
    slot->data = block_memory(transfer, slot, index);
    slot->is_back = false;
    slot->went_alone = goes_alone;
    slot->submitted_ns = clock_ns();
    transfer->tail++;
    transfer->pace_bytes += slot->length;
    if (goes_alone) {
        const int rc = transfer_io(transfer, slot->data, slot->length, slot->offset);
        slot->result = rc < 0 ? rc : (int32_t)slot->length;
        slot->is_back = true;
        return true;
    }
    note_first_io(transfer, slot->submitted_ns);
    if (plan->is_write) page_add(&transfer->page->bytes_sent, slot->length);
    ring_queue(&transfer->ring, plan->is_write, transfer->drive_fd, index, slot->data, slot->length, slot->offset,
               transfer->shares_block ? 0 : index);
    return true;
}

static void collect(struct transfer *transfer) {
    struct ring_completion completion;
    while (transfer->uses_ring && ring_reap(&transfer->ring, &completion)) {
        assert(completion.slot < transfer->plan.queue_depth);
        struct slot *slot = &transfer->slots[completion.slot];
        assert(!slot->is_back);
        slot->result = completion.result;
        slot->is_back = true;
        note_return(transfer, slot->submitted_ns, completion.result == (int32_t)slot->length);
    }
}

/* That may have taken minutes: what returned meanwhile is not old. */
static void take_what_came_back(struct transfer *transfer) {
    if (!transfer->uses_ring) return;
    ring_enter(&transfer->ring, 0, 0);
    collect(transfer);
}

static void release_behind(struct transfer *transfer, const struct slot *slot) {
    const bool is_adjacent = slot->offset == transfer->release_from + transfer->release_length ||
                             slot->offset + slot->length == transfer->release_from;
    if (transfer->release_length == 0 || !is_adjacent || transfer->release_length >= RELEASE_BYTES) {
        if (transfer->release_length > 0)
            medium_release_cache(transfer->drive_fd, transfer->release_from, transfer->release_length);
        transfer->release_from = slot->offset;
        transfer->release_length = slot->length;
        return;
    }
    if (slot->offset < transfer->release_from) transfer->release_from = slot->offset;
    transfer->release_length += slot->length;
}

static void retire_block(struct transfer *transfer) {
    struct slot *slot = slot_at(transfer, transfer->head);
    assert(slot->is_back);
    const bool is_whole = slot->result == (int32_t)slot->length;
    if (!is_whole) {
        faults_settle(transfer, slot);
        take_what_came_back(transfer);
    } else if (!transfer->plan.is_write) {
        transfer_compare(transfer, slot->data, slot->length, slot->offset);
    }
    /* A block that was not settled is not done: the position stays before it. */
    if (transfer->end != 0 && !is_whole) return;
    if (transfer->plan.hash_extent_bytes != 0) hash_block(transfer, slot);
    if (transfer->access == TRANSFER_BUFFERED) release_behind(transfer, slot);
    transfer->head++;
    page_add(&transfer->page->bytes_done, slot->length);
    page_set(&transfer->page->position, slot->end_position);
}

static void retire_ready(struct transfer *transfer) {
    while (transfer->end == 0 && transfer->head != transfer->tail && slot_at(transfer, transfer->head)->is_back)
        retire_block(transfer);
    publish_flight(transfer);
}

/* How many blocks to wait for at once. Of a deep queue a quarter: to wake up for each small block costs more than the block. */
static uint32_t worth_waking_for(struct transfer *transfer) {
    uint32_t out = 0;
    for (uint64_t number = transfer->head; number != transfer->tail; number++) out += !slot_at(transfer, number)->is_back;
    const uint32_t quarter = transfer->plan.queue_depth / 4;
    return quarter < 1 ? 1 : quarter < out ? quarter : out;
}

/* Waits for blocks to come back, at most `limit_ns`, and notices when nothing does for too long. */
static void wait_for_blocks(struct transfer *transfer, uint64_t limit_ns) {
    if (!transfer->uses_ring) return;
    const int rc = ring_enter(&transfer->ring, worth_waking_for(transfer), limit_ns);
    if (rc < 0 && rc != -ETIME && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY) transfer_end(transfer, TRANSFER_INTERNAL, -rc);
    collect(transfer);
    const bool waits_for_drive = transfer->head != transfer->tail;
    if (waits_for_drive && clock_ns() - transfer->progress_ns > transfer->plan.no_progress_ns)
        transfer_end(transfer, TRANSFER_NO_PROGRESS, ETIMEDOUT);
}

static void drain(struct transfer *transfer) {
    retire_ready(transfer);
    while (transfer->end == 0 && transfer->head != transfer->tail) {
        wait_for_blocks(transfer, TICK_NS);
        retire_ready(transfer);
    }
}

/* ---- checkpoints */

/* Flushes; what was done before counts from then on. Nothing may be in flight. */
static void checkpoint(struct transfer *transfer) {
    assert(transfer->head == transfer->tail);
    struct transfer_page *page = transfer->page;
    const uint64_t position = page_get(&page->position), began = clock_ns();
    /* A drive that changed its size need not fail any I/O. */
    if (!medium_is_present(transfer->drive_fd, &transfer->plan)) {
        transfer_end(transfer, TRANSFER_GONE, ENODEV);
        return;
    }
    if (transfer->plan.is_write) {
        enum transfer_flush_proof proof = TRANSFER_NOT_FLUSHED;
        page_set(&page->oldest_io_ns, began);
        const int rc = medium_flush(transfer->drive_fd, &transfer->plan, &proof);
        page_set(&page->oldest_io_ns, 0);
        if (rc < 0) {
            const bool is_gone = medium_errno_means_gone(-rc) || !medium_is_present(transfer->drive_fd, &transfer->plan);
            transfer_end(transfer, is_gone ? TRANSFER_GONE : TRANSFER_FLUSH_FAILED, -rc);
            return;
        }
        note_return(transfer, began, true);
        page_set(&page->flush_proof, proof);
        page_add(&page->flushes, 1);
        page_set(&page->checkpoint_position, position);
        transfer->bad_recorded = page_get(&page->bad_count);
        page_add(&page->checkpoints, 1);
        transfer_notify(transfer);
    }
    transfer->checkpoint_at_ns = clock_ns();
    transfer->checkpoint_from = position;
}

/* Whether the parent has yet to record a checkpoint before more may be sent. Its death ends us, so this can't last for ever. */
static bool is_ahead_of_record(const struct transfer *transfer) {
    return page_get(&transfer->page->checkpoints) > page_get(&transfer->page->acknowledged) + 1;
}

static bool checkpoint_is_due(const struct transfer *transfer) {
    const struct plan *plan = &transfer->plan;
    /* What is out counts too: never more than checkpoint_bytes lie between what was flushed and what was sent. */
    return plan->is_write && (clock_ns() - transfer->checkpoint_at_ns >= plan->checkpoint_ns ||
                              transfer->cursor.position - transfer->checkpoint_from + plan->block_bytes > plan->checkpoint_bytes);
}

/* ---- commands */

static void stay_paused(struct transfer *transfer) {
    drain(transfer);
    if (transfer->end == 0) checkpoint(transfer);
    if (transfer->end != 0) return;
    page_set(&transfer->page->state, TRANSFER_PAUSED);
    transfer_notify(transfer);
    while (page_get(&transfer->page->command) == TRANSFER_PAUSE) sleep_ns(PAUSE_TICK_NS);
    page_set(&transfer->page->state, TRANSFER_RUNNING);
    transfer->progress_ns = transfer->good_ns = transfer->checkpoint_at_ns = clock_ns();
    transfer->pace_from_ns = 0;
    transfer_notify(transfer);
}

static void obey(struct transfer *transfer) {
    const uint64_t command = page_get(&transfer->page->command);
    if (command == TRANSFER_PAUSE) stay_paused(transfer);
    if (transfer->end == 0 && page_get(&transfer->page->command) == TRANSFER_CANCEL) {
        drain(transfer);
        if (transfer->end == 0) checkpoint(transfer);
        transfer_end(transfer, TRANSFER_CANCELLED, 0);
    }
}

/* How long the next block has to wait for the rate limit; 0: it may go. */
static uint64_t pace_delay_ns(struct transfer *transfer) {
    const uint64_t rate = page_get(&transfer->page->rate_limit), now = clock_ns();
    if (rate != transfer->pace_rate || transfer->pace_from_ns == 0) {
        transfer->pace_rate = rate;
        transfer->pace_from_ns = now;
        transfer->pace_bytes = 0;
    }
    if (rate == 0) return 0;
    const double due_ns = (double)transfer->pace_bytes / (double)rate * 1e9;
    const double elapsed_ns = (double)(now - transfer->pace_from_ns);
    if (elapsed_ns > due_ns + (double)PACE_BURST_NS) {
        /* Slower than allowed for a while: that is not saved up. */
        transfer->pace_from_ns = now;
        transfer->pace_bytes = 0;
    }
    return due_ns > elapsed_ns ? (uint64_t)(due_ns - elapsed_ns) : 0;
}

static void hold_pace(struct transfer *transfer, uint64_t delay_ns) {
    const uint64_t limit = delay_ns < TICK_NS ? delay_ns : TICK_NS;
    if (transfer->head == transfer->tail) {
        sleep_ns(limit);
        transfer->progress_ns = clock_ns();
    } else {
        wait_for_blocks(transfer, limit);
    }
}

/* ---- the pass */

/* Fills the queue. False when no block is left to send. */
static bool fill_queue(struct transfer *transfer) {
    while (!is_full(transfer) && !checkpoint_is_due(transfer)) {
        const uint64_t delay_ns = pace_delay_ns(transfer);
        if (delay_ns > 0) {
            hold_pace(transfer, delay_ns);
            return true;
        }
        if (transfer->head == transfer->tail) transfer->progress_ns = clock_ns();
        if (!submit_block(transfer)) return false;
    }
    return true;
}

static void run(struct transfer *transfer) {
    bool has_more = true;
    while (transfer->end == 0 && (has_more || transfer->head != transfer->tail)) {
        obey(transfer);
        if (transfer->end != 0) break;
        if (is_ahead_of_record(transfer)) {
            /* Nothing is out: checkpoints are made when nothing is. Orders are obeyed meanwhile. */
            assert(transfer->head == transfer->tail);
            sleep_ns(RECORD_TICK_NS);
            transfer->progress_ns = clock_ns();
            continue;
        }
        if (has_more && checkpoint_is_due(transfer)) {
            drain(transfer);
            if (transfer->end == 0) checkpoint(transfer);
            continue;
        }
        if (has_more) has_more = fill_queue(transfer);
        publish_flight(transfer);
        if (transfer->head != transfer->tail && !slot_at(transfer, transfer->head)->is_back) wait_for_blocks(transfer, TICK_NS);
        retire_ready(transfer);
    }
    if (transfer->end == 0) checkpoint(transfer);
    transfer_end(transfer, TRANSFER_COMPLETED, 0);
}

/* ---- setting up */

static int prepare_pattern(struct transfer *transfer) {
    const struct plan *plan = &transfer->plan;
    const uint8_t *bytes = (const uint8_t *)transfer->page + TRANSFER_PATTERN_OFFSET;
    switch (plan->pattern) {
    case TRANSFER_CONSTANT: return pattern_init_constant(&transfer->pattern, bytes, plan->pattern_bytes);
    case TRANSFER_AES_256_CTR: return pattern_init_aes_256_ctr(&transfer->pattern, bytes);
    case TRANSFER_NO_PATTERN: return 0;
    }
    return -EINVAL;
}

/* Memory for the blocks, on huge pages where the kernel gives them: an I/O is then one piece to the block layer instead of one
 * for each page. For small blocks a huge page costs more to empty than it saves. NULL when there is none. It is never given
 * back: the process ends with its pass. */
static uint8_t *blocks_memory(size_t bytes) {
    const size_t whole = (bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    uint8_t *mapped = mmap(NULL, whole + HUGE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return NULL;
    uint8_t *memory = mapped + (HUGE_PAGE_BYTES - (uintptr_t)mapped % HUGE_PAGE_BYTES) % HUGE_PAGE_BYTES;
    if (bytes >= HUGE_PAGE_BYTES / 2) madvise(memory, whole, MADV_HUGEPAGE);
    /* What was read from the drive goes into no core dump either. */
    madvise(mapped, whole + HUGE_PAGE_BYTES, MADV_DONTDUMP);
    return memory;
}

static int prepare_memory(struct transfer *transfer) {
    const struct plan *plan = &transfer->plan;
    /* A constant that divides the block looks the same in each block: one copy serves all, and costs nothing per byte. */
    transfer->shares_block =
        plan->is_write && plan->pattern == TRANSFER_CONSTANT && plan->block_bytes % plan->pattern_bytes == 0;
    const size_t blocks = transfer->shares_block ? 1u : plan->queue_depth;
    transfer->memory = blocks_memory(blocks * plan->block_bytes);
    if (transfer->memory == NULL) return -ENOMEM;
    if (transfer->shares_block) pattern_generate(&transfer->pattern, 0, transfer->memory, plan->block_bytes);
    return 0;
}

static void choose_access(struct transfer *transfer) {
    const struct plan *plan = &transfer->plan;
    const bool is_direct = medium_go_direct(transfer->drive_fd, plan);
    transfer->access = is_direct ? TRANSFER_PREAD : TRANSFER_BUFFERED;
    if (is_direct && plan->access_least < TRANSFER_PREAD) {
        struct iovec buffers[PLAN_MAX_DEPTH];
        const uint32_t count = transfer->shares_block ? 1u : plan->queue_depth;
        for (uint32_t i = 0; i < count; i++)
            buffers[i] = (struct iovec){transfer->memory + (size_t)i * plan->block_bytes, plan->block_bytes};
        transfer->uses_ring = ring_open(&transfer->ring, plan->queue_depth, transfer->drive_fd, buffers, count) == 0;
        if (transfer->uses_ring)
            transfer->access = transfer->ring.has_registered_buffers ? TRANSFER_URING_REGISTERED : TRANSFER_URING;
    }
    page_set(&transfer->page->access, transfer->access);
}

static int prepare(struct transfer *transfer) {
    int rc = prepare_pattern(transfer);
    if (rc == 0) rc = prepare_memory(transfer);
    if (rc < 0) return rc;
    choose_access(transfer);
    page_set(&transfer->page->position, transfer->plan.start_position);
    page_set(&transfer->page->checkpoint_position, transfer->plan.start_position);
    cursor_start(&transfer->cursor, &transfer->plan);
    transfer->checkpoint_from = transfer->plan.start_position;
    return 0;
}

static void begin(struct transfer *transfer) {
    const int rc = prepare(transfer);
    if (rc < 0) {
        transfer_end(transfer, TRANSFER_INTERNAL, -rc);
    } else if (!medium_is_present(transfer->drive_fd, &transfer->plan)) {
        transfer_end(transfer, TRANSFER_GONE, ENODEV);
    } else if (transfer->access == TRANSFER_BUFFERED && !transfer->plan.is_write) {
        /* What the cache holds proves nothing about the drive. */
        const int dropped = medium_drop_cache(transfer->drive_fd, &transfer->plan);
        if (dropped < 0) transfer_end(transfer, dropped == -EBUSY ? TRANSFER_CACHE_KEPT : TRANSFER_INTERNAL, -dropped);
    }
    transfer->checkpoint_at_ns = transfer->progress_ns = transfer->good_ns = clock_ns();
}

void transfer_run(struct transfer_page *page, size_t page_bytes, int drive_fd, int event_fd) {
    static struct transfer transfer;
    memset(&transfer, 0, sizeof transfer);
    transfer.page = page;
    transfer.drive_fd = drive_fd;
    transfer.event_fd = event_fd;
    transfer.ring.fd = -1;
    if (plan_read(&transfer.plan, page, page_bytes) < 0) {
        transfer_end(&transfer, TRANSFER_INTERNAL, EINVAL);
    } else {
        /* The first looks at the drive may hang as well as any later I/O: the parent sees how old they are. */
        page_set(&page->oldest_io_ns, clock_ns());
        begin(&transfer);
        page_set(&page->oldest_io_ns, 0);
        if (transfer.end == 0) {
            page_set(&page->state, TRANSFER_RUNNING);
            run(&transfer);
            publish_flight(&transfer);
        }
    }
    page_set(&page->end_errno, (uint64_t)transfer.end_errno);
    page_set(&page->end, transfer.end);
    page_set(&page->state, TRANSFER_ENDED);
    transfer_notify(&transfer);
    /* The ring is left to the end of the process: closing it could wait for an I/O that never returns. */
}
