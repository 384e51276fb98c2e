/* The drive as a file descriptor: how it is reached, its size, its caches, and I/O that waits. */
#ifndef ERASER_TRANSFER_MEDIUM_H
#define ERASER_TRANSFER_MEDIUM_H

#include <stdbool.h>
#include <stdint.h>

#include "plan.h"

/* Turns O_DIRECT on where it is asked for and works. True: reads and writes reach the drive itself. */
bool medium_go_direct(int fd, const struct plan *plan);

/* Whether the drive is still there with the size that was planned. */
bool medium_is_present(int fd, const struct plan *plan);

/* Whether an errno says that the drive itself is no longer there (or has another size), rather than a sector bad. */
bool medium_errno_means_gone(int error);

/* Whole or nothing: 0, or a negative errno; -EIO where it comes back short without reason. Waits. `is_cached`: access goes
 * through the page cache; the write waits until the drive has answered, so that an error names its block. */
int medium_write(int fd, const void *buffer, uint32_t length, uint64_t offset, bool is_cached);
int medium_read(int fd, void *buffer, uint32_t length, uint64_t offset);

/* The same for the odd end of an image, which O_DIRECT cannot reach: through the page cache, written through and dropped.
 * Nothing else may be in flight. */
int medium_odd_end(int fd, bool is_write, void *buffer, uint32_t length, uint64_t offset);

/* Makes what was written durable. `*proof` says what stands behind the success. 0 or a negative errno. */
int medium_flush(int fd, const struct plan *plan, enum transfer_flush_proof *proof);

/* For buffered access. Lets the kernel forget a stretch that we are done with. */
void medium_release_cache(int fd, uint64_t offset, uint64_t length);
/* Empties the page cache of the drive, so that the next read comes from it. 0, -EBUSY where pages stay, or an errno. */
int medium_drop_cache(int fd, const struct plan *plan);

#endif
