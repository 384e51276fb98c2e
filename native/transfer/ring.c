#include "ring.h"

#include <assert.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Names newer than the oldest kernel headers that we build against (5.19). */
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

static int setup(uint32_t entries, struct io_uring_params *params) {
    /* Completions are handled only when we ask for them, on our thread: the cheapest way, where the kernel (6.1) has it. */
    memset(params, 0, sizeof *params);
    params->flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    int fd = (int)syscall(__NR_io_uring_setup, entries, params);
    if (fd >= 0 || errno != EINVAL) return fd >= 0 ? fd : -errno;
    memset(params, 0, sizeof *params);
    fd = (int)syscall(__NR_io_uring_setup, entries, params);
    return fd >= 0 ? fd : -errno;
}

static int map_queues(struct ring *ring, const struct io_uring_params *params) {
    const size_t sq_bytes = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
    const size_t cq_bytes = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
    ring->queues_bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
    ring->sqes_bytes = params->sq_entries * sizeof(struct io_uring_sqe);
    const int protection = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
    ring->queues = mmap(NULL, ring->queues_bytes, protection, flags, ring->fd, IORING_OFF_SQ_RING);
    if (ring->queues == MAP_FAILED) return -errno;
    void *sqes = mmap(NULL, ring->sqes_bytes, protection, flags, ring->fd, IORING_OFF_SQES);
    if (sqes == MAP_FAILED) return -errno;
    ring->sqes = sqes;
    uint8_t *base = ring->queues;
    ring->sq_head = (_Atomic uint32_t *)(void *)(base + params->sq_off.head);
    ring->sq_tail = (_Atomic uint32_t *)(void *)(base + params->sq_off.tail);
    ring->sq_mask = *(uint32_t *)(void *)(base + params->sq_off.ring_mask);
    ring->sq_array = (uint32_t *)(void *)(base + params->sq_off.array);
    ring->cq_head = (_Atomic uint32_t *)(void *)(base + params->cq_off.head);
    ring->cq_tail = (_Atomic uint32_t *)(void *)(base + params->cq_off.tail);
    ring->cq_mask = *(uint32_t *)(void *)(base + params->cq_off.ring_mask);
    ring->cqes = (struct io_uring_cqe *)(void *)(base + params->cq_off.cqes);
    return 0;
}

int ring_open(struct ring *ring, uint32_t entries, int drive_fd, const struct iovec *buffers, uint32_t buffer_count) {
    memset(ring, 0, sizeof *ring);
    ring->queues = MAP_FAILED;
    struct io_uring_params params;
    ring->fd = setup(entries, &params);
    if (ring->fd < 0) return ring->fd;
    ring->entries = entries;
    int rc = 0;
    /* One mapping for both queues (5.4) and a time limit in io_uring_enter (5.11). */
    const uint32_t needed = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_EXT_ARG;
    if ((params.features & needed) != needed) rc = -ENOSYS;
    if (rc == 0) rc = map_queues(ring, &params);
    if (rc < 0) {
        ring_close(ring);
        return rc;
    }
    ring->has_registered_file = syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_FILES, &drive_fd, 1) == 0;
    ring->has_registered_buffers =
        syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS, buffers, buffer_count) == 0;
    return 0;
}

void ring_close(struct ring *ring) {
    if (ring->sqes != NULL) munmap(ring->sqes, ring->sqes_bytes);
    if (ring->queues != MAP_FAILED) munmap(ring->queues, ring->queues_bytes);
    if (ring->fd >= 0) close(ring->fd);
    ring->fd = -1;
    ring->sqes = NULL;
    ring->queues = MAP_FAILED;
}

void ring_queue(struct ring *ring, bool is_write, int drive_fd, uint32_t slot, void *address, uint32_t length, uint64_t offset,
                uint32_t buffer_index) {
    const uint32_t tail = atomic_load_explicit(ring->sq_tail, memory_order_relaxed);
    assert(tail - atomic_load_explicit(ring->sq_head, memory_order_acquire) < ring->entries);
    const uint32_t index = tail & ring->sq_mask;
    struct io_uring_sqe *sqe = &ring->sqes[index];
    memset(sqe, 0, sizeof *sqe);
    if (ring->has_registered_buffers) {
        sqe->opcode = is_write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
        sqe->buf_index = (uint16_t)buffer_index;
    } else {
        sqe->opcode = is_write ? IORING_OP_WRITE : IORING_OP_READ;
    }
    if (ring->has_registered_file) {
        sqe->flags = IOSQE_FIXED_FILE;
        sqe->fd = 0;
    } else {
        sqe->fd = drive_fd;
    }
    sqe->off = offset;
    sqe->addr = (uint64_t)(uintptr_t)address;
    sqe->len = length;
    sqe->user_data = slot;
    ring->sq_array[index] = index;
    atomic_store_explicit(ring->sq_tail, tail + 1, memory_order_release);
    ring->unsubmitted++;
}

static bool has_completions(struct ring *ring) {
    return atomic_load_explicit(ring->cq_head, memory_order_relaxed) !=
           atomic_load_explicit(ring->cq_tail, memory_order_acquire);
}

int ring_enter(struct ring *ring, uint32_t least, uint64_t wait_ns) {
    const bool waits = wait_ns > 0 && !has_completions(ring);
    struct __kernel_timespec limit = {.tv_sec = (int64_t)(wait_ns / 1000000000u), .tv_nsec = (int64_t)(wait_ns % 1000000000u)};
    struct io_uring_getevents_arg argument = {.sigmask_sz = _NSIG / 8, .ts = (uint64_t)(uintptr_t)&limit};
    /* GETEVENTS also when not waiting: with DEFER_TASKRUN completions appear only inside this call. */
    const uint32_t flags = IORING_ENTER_GETEVENTS | (waits ? IORING_ENTER_EXT_ARG : 0u);
    const long sent = syscall(__NR_io_uring_enter, ring->fd, ring->unsubmitted, waits ? least : 0u, flags,
                              waits ? (void *)&argument : NULL, waits ? sizeof argument : (size_t)0);
    if (sent < 0) {
        /* What was submitted before a wait that failed stays submitted: the kernel moved sq_head past it. */
        const int error = errno;
        ring->unsubmitted = atomic_load_explicit(ring->sq_tail, memory_order_relaxed) -
                            atomic_load_explicit(ring->sq_head, memory_order_acquire);
        return -error;
    }
    ring->unsubmitted = atomic_load_explicit(ring->sq_tail, memory_order_relaxed) -
                        atomic_load_explicit(ring->sq_head, memory_order_acquire);
    return 0;
}

bool ring_reap(struct ring *ring, struct ring_completion *completion) {
    const uint32_t head = atomic_load_explicit(ring->cq_head, memory_order_relaxed);
    if (head == atomic_load_explicit(ring->cq_tail, memory_order_acquire)) return false;
    const struct io_uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];
    completion->slot = (uint32_t)cqe->user_data;
    completion->result = cqe->res;
    atomic_store_explicit(ring->cq_head, head + 1, memory_order_release);
    return true;
}
