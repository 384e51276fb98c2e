/* Stands in for the transfer until native/transfer/ is there. */
#include <stdio.h>

int main(void) {
    fputs("eraser-transfer: not built yet\n", stderr);
    return 70;
}
