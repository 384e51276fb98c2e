/* One pass over one drive: write it, or read it back with comparison and hashing.
 *
 * One thread, one loop: blocks are submitted in order and retired in order, so that everything before `position` has been
 * dealt with whenever anybody looks. An I/O that fails is retried and narrowed to physical sectors (faults.c) while the
 * others stay in flight. */
#ifndef ERASER_TRANSFER_TRANSFER_H
#define ERASER_TRANSFER_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "blake3.h"
#include "page.h"
#include "pattern.h"
#include "plan.h"
#include "ring.h"

struct slot {
    uint8_t *data; /* what is written from or read into: the slot's own block, or a place in the constant's shared one */
    uint64_t offset;
    uint32_t length;
    int32_t result; /* bytes, or a negative errno */
    bool is_back;
    bool went_alone; /* by an I/O that waited, which has counted itself */
    uint64_t submitted_ns;
    uint64_t end_position;
};

struct transfer {
    struct transfer_page *page;
    struct plan plan;
    int drive_fd, event_fd;
    struct pattern pattern;
    enum transfer_access access;
    bool uses_ring;
    struct ring ring;
    struct cursor cursor;
    struct slot slots[PLAN_MAX_DEPTH];
    uint64_t head, tail; /* slots [head, tail) are out; index modulo queue depth */
    uint8_t *memory;     /* a block for each slot, or the one block of a constant */
    bool shares_block;
    struct blake3_hasher hasher;
    uint64_t checkpoint_at_ns, checkpoint_from; /* when and where the last checkpoint was */
    uint64_t bad_recorded;                      /* entries of the table of bad extents at the last checkpoint */
    uint64_t progress_ns;                       /* when something last came back */
    uint64_t good_ns;                           /* when something last came back without an error */
    uint64_t release_from, release_length;      /* stretch of the drive that is ready for it */
    uint64_t pace_rate, pace_from_ns, pace_bytes;
    enum transfer_end end; /* 0 while it runs */
    int end_errno;
};

uint64_t clock_ns(void);

/* Runs the whole pass; what happened stands in the page. */
void transfer_run(struct transfer_page *page, size_t page_bytes, int drive_fd, int event_fd);

/* Tells the parent to look. */
void transfer_notify(const struct transfer *transfer);
/* Ends the pass at the next opportunity; the first reason stays. */
void transfer_end(struct transfer *transfer, enum transfer_end end, int error);
/* One I/O that waits, with its counters. 0 or a negative errno. */
int transfer_io(struct transfer *transfer, void *data, uint32_t length, uint64_t offset);
/* Takes what was read into account: comparison by logical sectors. */
void transfer_compare(struct transfer *transfer, const void *data, uint32_t length, uint64_t offset);

/* faults.c: deals with a block that came back short or with an error: finishes it, or records what is bad in it. For a read
 * the block's good sectors are compared, its bad ones zeroed. */
void faults_settle(struct transfer *transfer, struct slot *slot);

#endif
