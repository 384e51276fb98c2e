/* io_uring by raw system calls: one submitter, one drive, fixed slots. No liburing, so that nothing but libc is needed. */
#ifndef ERASER_TRANSFER_RING_H
#define ERASER_TRANSFER_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct io_uring_sqe;
struct io_uring_cqe;

struct ring {
    int fd;
    bool has_registered_buffers;
    bool has_registered_file;
    uint32_t entries;
    /* the kernel's shared queues */
    void *queues;
    size_t queues_bytes;
    struct io_uring_sqe *sqes;
    size_t sqes_bytes;
    _Atomic uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail;
    uint32_t sq_mask, cq_mask;
    uint32_t *sq_array;
    struct io_uring_cqe *cqes;
    uint32_t unsubmitted;
};

struct ring_completion {
    uint32_t slot;
    int32_t result; /* bytes, or a negative errno */
};

/* 0, or a negative errno where io_uring is missing or forbidden. `buffers` stay the caller's and must outlive the ring;
 * registering them may fail for lack of lockable memory, which is no error (`has_registered_buffers` tells). */
int ring_open(struct ring *ring, uint32_t entries, int drive_fd, const struct iovec *buffers, uint32_t buffer_count);
void ring_close(struct ring *ring);

/* Queues one I/O; sent by the next ring_enter. At most `entries` may be out. `buffer_index` is that of the registered
 * buffer which holds `address`. */
void ring_queue(struct ring *ring, bool is_write, int drive_fd, uint32_t slot, void *address, uint32_t length, uint64_t offset,
                uint32_t buffer_index);

/* Submits what is queued and waits until `least` came back, of what is out, or the time is over (0: does not wait).
 * 0, -ETIME, -EINTR or another negative errno. */
int ring_enter(struct ring *ring, uint32_t least, uint64_t wait_ns);

/* Takes one completion; false when there is none. */
bool ring_reap(struct ring *ring, struct ring_completion *completion);

#endif
