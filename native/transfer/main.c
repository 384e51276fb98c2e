/* eraser-transfer DRIVE_FD PAGE_FD EVENT_FD: runs the one pass that the page describes, on descriptors that it inherited.
 *
 * It holds the drive's open descriptor and nothing else: if the drive hangs, this process hangs, and its parent goes on.
 * What happened stands in the page; the exit status is 0 whenever the page could be used. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transfer.h"

static int descriptor(const char *text) {
    char *end = NULL;
    errno = 0;
    const long value = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && value >= 0 && value <= 1 << 20 ? (int)value : -1;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fputs("eraser-transfer is started by eraser, with three open descriptors: drive, page, event\n", stderr);
        return 2;
    }
    const int drive_fd = descriptor(argv[1]), page_fd = descriptor(argv[2]), event_fd = descriptor(argv[3]);
    struct stat status;
    if (drive_fd < 0 || event_fd < 0 || page_fd < 0 || fstat(page_fd, &status) < 0 ||
        status.st_size < (off_t)TRANSFER_TABLES_OFFSET) {
        fputs("eraser-transfer: the descriptors are not what they should be\n", stderr);
        return 2;
    }
    const size_t page_bytes = (size_t)status.st_size;
    struct transfer_page *page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
    if (page == MAP_FAILED) {
        perror("eraser-transfer: mapping the page");
        return 2;
    }
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    /* It dies with its parent. The parent may have died before this took effect: then its number is not ours any more. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if ((uint64_t)getppid() != page_get(&page->parent_pid)) return 0;
    /* Ctrl-C and a closed terminal reach the whole group; the parent decides, and stops us at a checkpoint. */
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    transfer_run(page, page_bytes, drive_fd, event_fd);
    _exit(0);
}
