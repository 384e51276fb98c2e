/*
 * The layout of a transfer's shared page, told to Python from the header itself, so that nothing about it stands twice.
 */
#include <Python.h>

#include <stddef.h>

#include "extension_page.h"
#include "page.h"

#define WORD_NAME(name) #name,

static const char *const word_names[] = {
    TRANSFER_PLAN_WORDS(WORD_NAME) TRANSFER_CONTROL_WORDS(WORD_NAME) TRANSFER_COUNTER_WORDS(WORD_NAME)
};

#define WORD_COUNT (sizeof word_names / sizeof *word_names)

static_assert(offsetof(struct transfer_page, latency) == WORD_COUNT * sizeof(uint64_t), "a word each, without gaps");

static PyObject *names_of_words(void)
{
    PyObject *names = PyTuple_New((Py_ssize_t)WORD_COUNT);

    for (size_t i = 0; names != NULL && i < WORD_COUNT; i++) {
        PyObject *name = PyUnicode_FromString(word_names[i]);
        if (name == NULL || PyTuple_SetItem(names, (Py_ssize_t)i, name) != 0)
            Py_CLEAR(names);
    }
    return names;
}

static int add_object(PyObject *module, const char *name, PyObject *object)
{
    if (object == NULL)
        return -1;
    const int rc = PyModule_AddObjectRef(module, name, object);
    Py_DECREF(object);
    return rc;
}

int extension_add_page_layout(PyObject *module)
{
    if (add_object(module, "PAGE_WORDS", names_of_words()) != 0 ||
        add_object(module, "PAGE_MAGIC", PyLong_FromUnsignedLongLong(TRANSFER_MAGIC)) != 0)
        return -1;
    const struct {
        const char *name;
        long value;
    } numbers[] = {
        {"PAGE_PATTERN_OFFSET", TRANSFER_PATTERN_OFFSET},
        {"PAGE_TABLES_OFFSET", TRANSFER_TABLES_OFFSET},
        {"PAGE_HISTOGRAM_BUCKETS", TRANSFER_HISTOGRAM_BUCKETS},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (PyModule_AddIntConstant(module, numbers[i].name, numbers[i].value) != 0)
            return -1;
    return 0;
}
