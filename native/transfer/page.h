/* The shared-memory page between a transfer process and its parent: the plan goes in, counters come out.
 *
 * Every field is one 64-bit word, so each is read and written whole and without a lock. Who writes what:
 *   plan      by the parent before the process starts, never afterwards;
 *   control   by the parent at any time;
 *   counters  by the transfer alone; each is monotonic unless its comment says otherwise.
 * Tables behind the words: the constant pattern or the seed, the ranges (in), bad extents and leaves (out). A table's
 * entry is complete before the counter that includes it grows.
 *
 * *Position* means bytes in processing order from the start of the whole pass: it counts through the ranges in their order,
 * or backwards through them in a reverse pass. */
#ifndef ERASER_TRANSFER_PAGE_H
#define ERASER_TRANSFER_PAGE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#define TRANSFER_MAGIC UINT64_C(0x31544553415245)  /* "ERASET1" */
#define TRANSFER_PATTERN_OFFSET 4096u               /* bytes from the page's start; 4,096 bytes of room */
#define TRANSFER_TABLES_OFFSET 8192u
#define TRANSFER_HISTOGRAM_BUCKETS 32u              /* bucket k counts I/Os of 2^k to 2^(k+1) microseconds */
#define TRANSFER_PLACES 64u

enum transfer_operation { TRANSFER_WRITE = 1, TRANSFER_READ = 2 };
enum transfer_pattern { TRANSFER_NO_PATTERN = 0, TRANSFER_CONSTANT = 1, TRANSFER_AES_256_CTR = 2 };
enum transfer_command { TRANSFER_RUN = 0, TRANSFER_PAUSE = 1, TRANSFER_CANCEL = 2 };
enum transfer_state { TRANSFER_CREATED = 0, TRANSFER_RUNNING = 1, TRANSFER_PAUSED = 2, TRANSFER_ENDED = 3 };
enum transfer_end {
    TRANSFER_COMPLETED = 1,
    TRANSFER_CANCELLED,
    TRANSFER_GONE,
    TRANSFER_TOO_MANY_ERRORS,
    TRANSFER_NO_PROGRESS,
    TRANSFER_FLUSH_FAILED,
    TRANSFER_CACHE_KEPT,
    TRANSFER_INTERNAL,
};
enum transfer_access {
    TRANSFER_URING_REGISTERED = 1,
    TRANSFER_URING,
    TRANSFER_PREAD,
    TRANSFER_BUFFERED,
};
enum transfer_flush {
    TRANSFER_FLUSH_KERNEL = 0,   /* fdatasync is enough */
    TRANSFER_FLUSH_COMMAND = 1,  /* the kernel may send nothing: send SYNCHRONIZE CACHE or FLUSH CACHE EXT as well */
};
enum transfer_flush_proof { TRANSFER_NOT_FLUSHED = 0, TRANSFER_BY_KERNEL, TRANSFER_BY_COMMAND, TRANSFER_COMMAND_REFUSED };

/* X(name): a word each. Sizes and offsets in bytes, times in nanoseconds of CLOCK_MONOTONIC. */
#define TRANSFER_PLAN_WORDS(X)                                                                                           \
    X(magic)                                                                                                             \
    X(page_bytes)                                                                                                        \
    X(parent_pid)              /* the process that must be alive */                                                     \
    X(operation)                                                                                                         \
    X(pattern)                                                                                                           \
    X(pattern_bytes)           /* length of a constant */                                                                \
    X(reverse)                                                                                                           \
    X(drive_bytes)             /* user-addressable; a drive of another size ends the transfer as gone */                 \
    X(logical_sector_bytes)                                                                                              \
    X(physical_sector_bytes)                                                                                             \
    X(is_block_device)                                                                                                   \
    X(block_bytes)             /* of one I/O; a multiple of the physical sector */                                       \
    X(queue_depth)                                                                                                       \
    X(access_least)            /* enum transfer_access to begin trying at; 0 and 1: the best there is */                 \
    X(start_position)          /* where to begin, for a resumed pass */                                                 \
    X(range_count)                                                                                                       \
    X(ranges_offset)           /* pairs (offset, length), ascending, not overlapping, whole logical sectors */           \
    X(bad_capacity)                                                                                                      \
    X(bad_offset)              /* quadruples (offset, length, enum transfer_operation, errno) */                         \
    X(hash_extent_bytes)       /* 0: no hashing */                                                                       \
    X(leaves_offset)           /* 32 bytes an extent of the whole drive */                                               \
    X(leaf_count)                                                                                                        \
    X(checkpoint_ns)                                                                                                     \
    X(checkpoint_bytes)                                                                                                  \
    X(retry_limit)             /* further tries of an I/O that failed */                                                 \
    X(bad_bytes_limit)         /* give up beyond it */                                                                   \
    X(no_progress_ns)          /* give up when nothing came back for so long */                                          \
    X(fruitless_ns)            /* give up when nothing came back without an error for so long */                         \
    X(flush)

#define TRANSFER_CONTROL_WORDS(X)                                                                                        \
    X(command)                                                                                                           \
    X(rate_limit)              /* bytes per second; 0: none */                                                          \
    X(acknowledged)            /* checkpoints that the parent has on record: never more than one is ahead of it, so that \
                                  at most two intervals lie between its record and what was sent */

#define TRANSFER_COUNTER_WORDS(X)                                                                                        \
    X(state)                                                                                                             \
    X(end)                                                                                                               \
    X(end_errno)                                                                                                         \
    X(position)                /* everything before it was processed */                                                 \
    X(bytes_done)              /* processed by this transfer */                                                          \
    X(bytes_sent)              /* in writes that were submitted, retries included */                                     \
    X(failed_bytes_sent)       /* of these, in writes that came back with an error or short */                           \
    X(bytes_hashed)                                                                                                      \
    X(retries)                                                                                                           \
    X(bad_bytes)                                                                                                         \
    X(bad_count)               /* entries in the table of bad extents */                                                 \
    X(mismatched_sectors)                                                                                                \
    X(place_count)                                                                                                       \
    X(flushes)                                                                                                           \
    X(flush_proof)                                                                                                       \
    X(checkpoint_position)     /* everything before it was flushed */                                                   \
    X(checkpoints)                                                                                                       \
    X(in_flight)               /* I/Os that did not come back yet, after the end too. Not monotonic */                                                                       \
    X(oldest_io_ns)            /* when the oldest I/O or flush that is out was submitted; 0: none. Not monotonic */       \
    X(access)                                                                                                            \
    X(first_io_ns)                                                                                                       \
    X(last_io_ns)              /* when the last one came back. */                                                        \
    X(finished_leaves)

#define TRANSFER_WORD(name) _Atomic uint64_t name;

struct transfer_page {
    TRANSFER_PLAN_WORDS(TRANSFER_WORD)
    TRANSFER_CONTROL_WORDS(TRANSFER_WORD)
    TRANSFER_COUNTER_WORDS(TRANSFER_WORD)
    _Atomic uint64_t latency[TRANSFER_HISTOGRAM_BUCKETS];
    _Atomic uint64_t places[TRANSFER_PLACES]; /* byte offsets on the drive of the first mismatched sectors */
};

static_assert(sizeof(struct transfer_page) <= TRANSFER_PATTERN_OFFSET, "the words end before the pattern begins");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "counters are shared with another process: they must be lock-free");

static inline uint64_t page_get(const _Atomic uint64_t *word) { return atomic_load_explicit(word, memory_order_acquire); }
static inline void page_set(_Atomic uint64_t *word, uint64_t value) {
    atomic_store_explicit(word, value, memory_order_release);
}
/* For counters, which only the transfer's one thread writes: no locked instruction is needed. */
static inline void page_add(_Atomic uint64_t *word, uint64_t value) {
    page_set(word, atomic_load_explicit(word, memory_order_relaxed) + value);
}

#endif
