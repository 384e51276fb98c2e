#ifndef ERASER_EXTENSION_PAGE_H
#define ERASER_EXTENSION_PAGE_H

#include <Python.h>

/* Adds PAGE_WORDS (names in the order of the 64-bit words), PAGE_MAGIC and the offsets. 0, or -1 with an exception set. */
int extension_add_page_layout(PyObject *module);

#endif
