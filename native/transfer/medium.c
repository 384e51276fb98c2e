#include "medium.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <scsi/sg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Some file systems take the flag and refuse the I/O. A drive whose first sector is bad still takes direct I/O. */
static bool takes_direct_reads(int fd, const struct plan *plan) {
    void *probe = mmap(NULL, plan->physical_sector_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe == MAP_FAILED) return false;
    const bool refuses = pread(fd, probe, plan->physical_sector_bytes, 0) < 0 && errno == EINVAL;
    munmap(probe, plan->physical_sector_bytes);
    return !refuses;
}

bool medium_go_direct(int fd, const struct plan *plan) {
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return false;
    const bool is_wanted = plan->access_least < TRANSFER_BUFFERED;
    if (is_wanted && fcntl(fd, F_SETFL, flags | O_DIRECT) == 0 && takes_direct_reads(fd, plan)) return true;
    fcntl(fd, F_SETFL, flags & ~O_DIRECT);
    return false;
}

bool medium_is_present(int fd, const struct plan *plan) {
    if (plan->is_block_device) {
        uint64_t size = 0;
        return ioctl(fd, BLKGETSIZE64, &size) == 0 && size == plan->drive_bytes;
    }
    struct stat status;
    return fstat(fd, &status) == 0 && (uint64_t)status.st_size == plan->drive_bytes;
}

bool medium_errno_means_gone(int error) { return error == ENODEV || error == ENXIO || error == ENOMEDIUM; }

/* Repeats what comes back short as long as it moves on. */
static int whole(bool is_write, int fd, uint8_t *buffer, uint32_t length, uint64_t offset) {
    uint32_t done = 0;
    while (done < length) {
        const ssize_t n = is_write ? pwrite(fd, buffer + done, length - done, (off_t)(offset + done))
                                   : pread(fd, buffer + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        if (n == 0) return -EIO;
        done += (uint32_t)n;
    }
    return 0;
}

int medium_write(int fd, const void *buffer, uint32_t length, uint64_t offset, bool is_cached) {
    const int rc = whole(true, fd, (uint8_t *)(uintptr_t)buffer, length, offset);
    if (rc < 0 || !is_cached) return rc;
    /* The kernel tells of a failed write-back once: whoever waits for it first must look, and no flush repeats it. */
    const unsigned int flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    return sync_file_range(fd, (off_t)offset, (off_t)length, flags) < 0 ? -errno : 0;
}

int medium_read(int fd, void *buffer, uint32_t length, uint64_t offset) { return whole(false, fd, buffer, length, offset); }

int medium_odd_end(int fd, bool is_write, void *buffer, uint32_t length, uint64_t offset) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    /* An open of its own, since O_DIRECT belongs to the open file and not to the call. */
    const int plain = open(path, (is_write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (plain < 0) return -errno;
    const off_t page_start = (off_t)(offset - offset % 4096);
    int rc = fdatasync(plain) < 0 ? -errno : 0;
    posix_fadvise(plain, page_start, 0, POSIX_FADV_DONTNEED);
    if (rc == 0) rc = whole(is_write, plain, buffer, length, offset);
    if (rc == 0 && is_write && fdatasync(plain) < 0) rc = -errno;
    posix_fadvise(plain, page_start, 0, POSIX_FADV_DONTNEED);
    close(plain);
    return rc;
}

/* Sends one command without data through SG_IO. 0: the drive carried it out; -EOPNOTSUPP: it or its bridge does not take
 * it; another negative errno: it failed. */
static int send_command(int fd, uint8_t *cdb, uint8_t cdb_bytes) {
    uint8_t sense[32] = {0};
    struct sg_io_hdr request = {
        .interface_id = 'S',
        .dxfer_direction = SG_DXFER_NONE,
        .cmd_len = cdb_bytes,
        .mx_sb_len = sizeof sense,
        .cmdp = cdb,
        .sbp = sense,
        .timeout = 60000,
    };
    if (ioctl(fd, SG_IO, &request) < 0) {
        const bool is_unknown = errno == ENOTTY || errno == EINVAL || errno == EPERM || errno == ENOSYS || errno == EOPNOTSUPP;
        return is_unknown ? -EOPNOTSUPP : -errno;
    }
    if ((request.info & SG_INFO_OK_MASK) == SG_INFO_OK) return 0;
    /* SPC-5 §4.4: sense data in descriptor (72h, 73h) or fixed (70h, 71h) form; key 5h is ILLEGAL REQUEST. */
    const uint8_t form = sense[0] & 0x7f;
    const uint8_t key = (form == 0x72 || form == 0x73) ? sense[1] & 0x0f : sense[2] & 0x0f;
    return request.sb_len_wr > 0 && key == 0x05 ? -EOPNOTSUPP : -EIO;
}

static int flush_by_command(int fd) {
    uint8_t synchronize_cache[10] = {0x35}; /* SBC-4 §5.33 SYNCHRONIZE CACHE (10): the whole medium, not IMMED */
    int rc = send_command(fd, synchronize_cache, sizeof synchronize_cache);
    if (rc != -EOPNOTSUPP) return rc;
    /* SAT-4 §12.2.2 ATA PASS-THROUGH (16): protocol non-data, EXTEND, CK_COND off; ACS-3 §7.12 FLUSH CACHE EXT EAh */
    uint8_t flush_cache_ext[16] = {0x85, (3u << 1) | 1u, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0xea, 0};
    return send_command(fd, flush_cache_ext, sizeof flush_cache_ext);
}

int medium_flush(int fd, const struct plan *plan, enum transfer_flush_proof *proof) {
    if (fdatasync(fd) < 0) return -errno;
    *proof = TRANSFER_BY_KERNEL;
    if (!plan->flush_by_command) return 0;
    const int rc = flush_by_command(fd);
    *proof = rc == 0 ? TRANSFER_BY_COMMAND : TRANSFER_COMMAND_REFUSED;
    return rc == -EOPNOTSUPP ? 0 : rc;
}

void medium_release_cache(int fd, uint64_t offset, uint64_t length) {
    posix_fadvise(fd, (off_t)offset, (off_t)length, POSIX_FADV_DONTNEED);
}

/* Whether any page of the drive is cached, by mincore over windows of a GiB. */
static int has_cached_pages(int fd, uint64_t size) {
    enum { WINDOW = 1 << 30, PAGE = 4096 };
    static uint8_t resident[WINDOW / PAGE];
    for (uint64_t offset = 0; offset < size; offset += WINDOW) {
        const size_t length = (size_t)(size - offset < WINDOW ? size - offset : WINDOW);
        void *window = mmap(NULL, length, PROT_NONE, MAP_SHARED, fd, (off_t)offset);
        if (window == MAP_FAILED) return -errno;
        const int rc = mincore(window, length, resident) < 0 ? -errno : 0;
        munmap(window, length);
        if (rc < 0) return rc;
        const size_t pages = (length + PAGE - 1) / PAGE;
        for (size_t i = 0; i < pages; i++)
            if (resident[i] & 1u) return 1;
    }
    return 0;
}

int medium_drop_cache(int fd, const struct plan *plan) {
    struct statfs file_system;
    /* On tmpfs the page cache is the medium. */
    if (!plan->is_block_device && fstatfs(fd, &file_system) == 0 && file_system.f_type == TMPFS_MAGIC) return 0;
    if (fdatasync(fd) < 0) return -errno;
    if (plan->is_block_device) ioctl(fd, BLKFLSBUF, 0); /* needs root; what it leaves is seen below */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    const int cached = has_cached_pages(fd, plan->drive_bytes);
    return cached > 0 ? -EBUSY : cached;
}
