/* Stands in for the transfer until native/transfer/ is there. */
#include <assert.h>
#include <stdio.h>

int main(int argc, char **argv) {
    assert(argc > 0 && argv[argc] == NULL);
    fputs("eraser-transfer: not built yet\n", stderr);
    return 70;
}
