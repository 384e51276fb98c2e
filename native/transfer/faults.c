#include <errno.h>
#include <string.h>

#include "medium.h"
#include "transfer.h"

#define CACHE_PAGE_BYTES 4096u

/* Whether to give up the whole pass because of an error: gone, or nothing has worked for too long. An error that comes back
 * is an answer, so a drive may take its time for each of many bad sectors, as long as some sector works now and then. */
static bool ends_the_pass(struct transfer *transfer, int error) {
    if (medium_errno_means_gone(error) || !medium_is_present(transfer->drive_fd, &transfer->plan)) {
        transfer_end(transfer, TRANSFER_GONE, error);
    } else if (clock_ns() - transfer->good_ns > transfer->plan.fruitless_ns) {
        transfer_end(transfer, TRANSFER_NO_PROGRESS, error);
    } else if (page_get(&transfer->page->command) == TRANSFER_CANCEL) {
        /* Here rather than at the next block: a dying drive takes seconds for each sector. */
        transfer_end(transfer, TRANSFER_CANCELLED, 0);
    }
    return transfer->end != 0;
}

/* Tries an I/O that failed again, at most `tries` times. The last errno, or 0 when it worked. */
static int try_again(struct transfer *transfer, uint64_t tries, uint8_t *data, uint32_t length, uint64_t offset, int error) {
    for (uint64_t i = 0; i < tries; i++) {
        if (ends_the_pass(transfer, error)) return error;
        page_add(&transfer->page->retries, 1);
        error = -transfer_io(transfer, data, length, offset);
        if (error == 0) return 0;
    }
    return error;
}

static void record_bad(struct transfer *transfer, uint64_t offset, uint32_t length, int error) {
    struct transfer_page *page = transfer->page;
    struct bad_entry *table = (struct bad_entry *)(void *)((uint8_t *)page + transfer->plan.bad_offset);
    const uint64_t operation = transfer->plan.is_write ? TRANSFER_WRITE : TRANSFER_READ;
    const uint64_t count = page_get(&page->bad_count);
    struct bad_entry *last = count > 0 ? &table[count - 1] : NULL;
    page_add(&page->bad_bytes, length);
    /* An entry that the parent may have recorded at a checkpoint grows no more. */
    const bool may_grow = count > transfer->bad_recorded && last->error == (uint64_t)error;
    if (may_grow && last->offset + last->length == offset) {
        __atomic_store_n(&last->length, last->length + length, __ATOMIC_RELEASE);
    } else if (count < transfer->plan.bad_capacity) {
        table[count] = (struct bad_entry){offset, length, operation, (uint64_t)error};
        page_set(&page->bad_count, count + 1);
    }
    if (page_get(&page->bad_bytes) > transfer->plan.bad_bytes_limit) transfer_end(transfer, TRANSFER_TOO_MANY_ERRORS, error);
}

/* One physical sector (or what of it lies in the block): worked on, compared, or recorded as bad. */
static void settle_sector(struct transfer *transfer, uint64_t tries, uint8_t *data, uint32_t length, uint64_t offset) {
    int error = -transfer_io(transfer, data, length, offset);
    if (error != 0) error = try_again(transfer, tries, data, length, offset, error);
    if (transfer->end != 0) return;
    /* Of a drive that is gone no sector is bad. */
    if (error != 0 && ends_the_pass(transfer, error)) return;
    if (error != 0) {
        record_bad(transfer, offset, length, error);
        if (!transfer->plan.is_write) memset(data, 0, length);
    } else if (!transfer->plan.is_write) {
        transfer_compare(transfer, data, length, offset);
    }
}

/* The unit to narrow down to: through the page cache, less than a page is read first and written whole. */
static uint32_t unit_bytes(const struct transfer *transfer) {
    const uint32_t physical = transfer->plan.physical_sector_bytes;
    return transfer->access == TRANSFER_BUFFERED && physical < CACHE_PAGE_BYTES ? CACHE_PAGE_BYTES : physical;
}

void faults_settle(struct transfer *transfer, struct slot *slot) {
    const struct plan *plan = &transfer->plan;
    int error = slot->result < 0 ? -slot->result : EIO;
    if (plan->is_write && !slot->went_alone) page_add(&transfer->page->failed_bytes_sent, slot->length);
    if (ends_the_pass(transfer, error)) return;
    error = try_again(transfer, plan->retry_limit, slot->data, slot->length, slot->offset, error);
    if (transfer->end != 0) return;
    if (error == 0) {
        if (!plan->is_write) transfer_compare(transfer, slot->data, slot->length, slot->offset);
        return;
    }
    const uint64_t bad_before = page_get(&transfer->page->bad_bytes);
    const uint32_t unit = unit_bytes(transfer);
    uint32_t done = 0;
    while (done < slot->length && transfer->end == 0) {
        const uint64_t offset = slot->offset + done;
        uint32_t length = unit - (uint32_t)(offset % unit);
        if (length > slot->length - done) length = slot->length - done;
        /* Once a sector of the block is known to be bad its neighbours get one try: each may take the drive many seconds. */
        const bool is_first_bad = page_get(&transfer->page->bad_bytes) == bad_before;
        settle_sector(transfer, is_first_bad ? plan->retry_limit : 0, slot->data + done, length, offset);
        done += length;
    }
    if (page_get(&transfer->page->bad_bytes) != bad_before) transfer_notify(transfer);
}
