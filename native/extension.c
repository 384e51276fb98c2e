/*
 * The border between Python and the engine's patterns and hash: the module eraser.engine._native, in the limited API of
 * CPython 3.11. It checks every argument and leaves all work to the engine, without the interpreter's lock. No content
 * becomes a Python object: what goes in and out are buffers that the caller owns.
 */
#include <Python.h>

#include <errno.h>
#include <stdint.h>

#include "blake3.h"
#include "extension_page.h"
#include "pattern.h"

/* A drive's size is a signed 64-bit number to the kernel: loff_t. */
#define OFFSET_LIMIT ((uint64_t)1 << 63)
#define CAPACITY_DEFAULT 64
#define CAPACITY_MAX 65536
#define PATHS_MAX 8

/* ---- Arguments ---- */

/*
 * A converter for PyArg_Parse: a non-negative int into a uint64_t. PyArg_Parse's own "K" does not check for overflow.
 */
static int to_uint64(PyObject *object, void *out)
{
    uint64_t *number = out;

    if (!PyLong_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "offsets and sizes are ints");
        return 0;
    }
    *number = PyLong_AsUnsignedLongLong(object);
    return *number != UINT64_MAX || PyErr_Occurred() == NULL;
}

static int range_is_valid(uint64_t offset, const Py_buffer *buffer)
{
    if (offset <= OFFSET_LIMIT && (uint64_t)buffer->len <= OFFSET_LIMIT - offset)
        return 1;
    PyErr_SetString(PyExc_OverflowError, "offset + length exceeds 2**63 bytes: no drive is as large");
    return 0;
}

typedef int prepare_pattern(struct pattern *pattern, const Py_buffer *from);

static int prepare_aes_256_ctr(struct pattern *pattern, const Py_buffer *seed)
{
    if (seed->len != PATTERN_SEED_BYTES) {
        PyErr_Format(PyExc_ValueError, "a seed has %d bytes, not %zd", PATTERN_SEED_BYTES, seed->len);
        return 0;
    }
    pattern_init_aes_256_ctr(pattern, seed->buf);
    return 1;
}

static int prepare_constant(struct pattern *pattern, const Py_buffer *bytes)
{
    if (pattern_init_constant(pattern, bytes->buf, (size_t)bytes->len) != 0) {
        PyErr_Format(PyExc_ValueError, "a constant has 1 to %d bytes, not %zd", PATTERN_CONSTANT_MAX_BYTES, bytes->len);
        return 0;
    }
    return 1;
}

/* ---- Generation ---- */

static PyObject *generate(prepare_pattern *prepare, const Py_buffer *from, uint64_t offset, const Py_buffer *out)
{
    struct pattern pattern;

    if (!range_is_valid(offset, out) || !prepare(&pattern, from))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    pattern_generate(&pattern, offset, out->buf, (size_t)out->len);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *parse_and_generate(prepare_pattern *prepare, const char *format, char *names[], PyObject *arguments,
                                    PyObject *keywords)
{
    Py_buffer from, out;
    uint64_t offset;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, format, names, &from, to_uint64, &offset, &out))
        return NULL;
    PyObject *result = generate(prepare, &from, offset, &out);
    PyBuffer_Release(&out);
    PyBuffer_Release(&from);
    return result;
}

PyDoc_STRVAR(aes_256_ctr_doc,
             "aes_256_ctr(seed, offset, out)\n--\n\n"
             "Fill out with the bytes of `openssl enc -aes-256-ctr -K seed -iv 0` over zeros, from byte offset on.\n\n"
             "ValueError: the seed has not 32 bytes.\n"
             "OverflowError: offset is negative or the end beyond 2**63.");

static PyObject *aes_256_ctr(PyObject *module, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"seed", "offset", "out", NULL};
    (void)module;
    return parse_and_generate(prepare_aes_256_ctr, "y*O&w*:aes_256_ctr", names, arguments, keywords);
}

PyDoc_STRVAR(constant_doc,
             "constant(pattern, offset, out)\n--\n\n"
             "Fill out with a repeated constant: byte i of the drive is pattern[i % len(pattern)].\n\n"
             "ValueError: the pattern has not 1 to 4096 bytes.\n"
             "OverflowError: offset is negative or the end beyond 2**63.");

static PyObject *constant(PyObject *module, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"pattern", "offset", "out", NULL};
    (void)module;
    return parse_and_generate(prepare_constant, "y*O&w*:constant", names, arguments, keywords);
}

/* ---- Comparison ---- */

static PyObject *places_to_list(const uint64_t *places, size_t stored)
{
    PyObject *list = PyList_New((Py_ssize_t)stored);

    for (size_t i = 0; list != NULL && i < stored; i++) {
        PyObject *place = PyLong_FromUnsignedLongLong(places[i]);
        if (place == NULL || PyList_SetItem(list, (Py_ssize_t)i, place) != 0)
            Py_CLEAR(list);
    }
    return list;
}

static int limits_are_valid(uint64_t sector_bytes, Py_ssize_t capacity)
{
    if (sector_bytes < 1) {
        PyErr_SetString(PyExc_ValueError, "sector_bytes is at least 1");
        return 0;
    }
    if (capacity < 0 || capacity > CAPACITY_MAX) {
        PyErr_Format(PyExc_ValueError, "capacity is 0 to %d", CAPACITY_MAX);
        return 0;
    }
    return 1;
}

static PyObject *compare(prepare_pattern *prepare, const Py_buffer *from, uint64_t offset, const Py_buffer *data,
                         uint64_t sector_bytes, Py_ssize_t capacity)
{
    struct pattern pattern;
    uint64_t different;
    size_t stored;

    if (!limits_are_valid(sector_bytes, capacity) || !range_is_valid(offset, data) || !prepare(&pattern, from))
        return NULL;
    uint64_t *places = PyMem_Malloc((size_t)capacity * sizeof *places);
    if (places == NULL)
        return PyErr_NoMemory();
    Py_BEGIN_ALLOW_THREADS
    different = pattern_compare(&pattern, offset, data->buf, (size_t)data->len, (size_t)sector_bytes, places,
                                (size_t)capacity, &stored);
    Py_END_ALLOW_THREADS
    PyObject *list = places_to_list(places, stored);
    PyMem_Free(places);
    return list == NULL ? NULL : Py_BuildValue("KN", (unsigned long long)different, list);
}

static PyObject *parse_and_compare(prepare_pattern *prepare, const char *format, char *names[], PyObject *arguments,
                                   PyObject *keywords)
{
    Py_buffer from, data;
    uint64_t offset, sector_bytes;
    Py_ssize_t capacity = CAPACITY_DEFAULT;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, format, names, &from, to_uint64, &offset, &data, to_uint64,
                                     &sector_bytes, &capacity))
        return NULL;
    PyObject *result = compare(prepare, &from, offset, &data, sector_bytes, capacity);
    PyBuffer_Release(&data);
    PyBuffer_Release(&from);
    return result;
}

PyDoc_STRVAR(compare_aes_256_ctr_doc,
             "compare_aes_256_ctr(seed, offset, data, sector_bytes, capacity=64)\n--\n\n"
             "Compare data, read at byte offset, with the stream of aes_256_ctr, sector by sector.\n\n"
             "Answers (number of sectors that differ, offsets in bytes of the first of them, at most capacity).\n"
             "ValueError: the seed has not 32 bytes, sector_bytes is 0, capacity is not 0 to 65536.\n"
             "OverflowError: a negative number, or the end beyond 2**63.");

static PyObject *compare_aes_256_ctr(PyObject *module, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"seed", "offset", "data", "sector_bytes", "capacity", NULL};
    (void)module;
    return parse_and_compare(prepare_aes_256_ctr, "y*O&y*O&|n:compare_aes_256_ctr", names, arguments, keywords);
}

PyDoc_STRVAR(compare_constant_doc,
             "compare_constant(pattern, offset, data, sector_bytes, capacity=64)\n--\n\n"
             "Compare data, read at byte offset, with the repeated constant, as compare_aes_256_ctr does.\n\n"
             "ValueError: the pattern has not 1 to 4096 bytes, sector_bytes is 0, capacity is not 0 to 65536.\n"
             "OverflowError: a negative number, or the end beyond 2**63.");

static PyObject *compare_constant(PyObject *module, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"pattern", "offset", "data", "sector_bytes", "capacity", NULL};
    (void)module;
    return parse_and_compare(prepare_constant, "y*O&y*O&|n:compare_constant", names, arguments, keywords);
}

/* ---- Hash ---- */

PyDoc_STRVAR(blake3_doc, "blake3(data)\n--\n\nThe BLAKE3 hash of data: 32 bytes.");

static PyObject *blake3(PyObject *module, PyObject *arguments)
{
    Py_buffer data;
    uint8_t hash[32];

    (void)module;
    if (!PyArg_ParseTuple(arguments, "y*:blake3", &data))
        return NULL;
    /* Tens of kilobytes: too large for the stack of a thread that somebody else made. */
    struct blake3_hasher *hasher = PyMem_Malloc(sizeof *hasher);
    if (hasher == NULL) {
        PyBuffer_Release(&data);
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS
    blake3_init(hasher);
    blake3_update(hasher, data.buf, (size_t)data.len);
    blake3_final(hasher, hash);
    Py_END_ALLOW_THREADS
    PyMem_Free(hasher);
    PyBuffer_Release(&data);
    return PyBytes_FromStringAndSize((const char *)hash, sizeof hash);
}

/* ---- Paths ---- */

typedef size_t available_paths(const char **names, size_t capacity);
typedef int force_path(const char *name);

static PyObject *paths_to_list(available_paths *available)
{
    const char *names[PATHS_MAX];
    size_t count = available(names, PATHS_MAX);
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list != NULL && i < count && i < PATHS_MAX; i++) {
        PyObject *name = PyUnicode_FromString(names[i]);
        if (name == NULL || PyList_Append(list, name) != 0)
            Py_CLEAR(list);
        Py_XDECREF(name);
    }
    return list;
}

static PyObject *parse_and_force(force_path *force, const char *format, PyObject *arguments)
{
    const char *name;

    if (!PyArg_ParseTuple(arguments, format, &name))
        return NULL;
    switch (force(name)) {
    case 0:
        Py_RETURN_NONE;
    case -ENOTSUP:
        return PyErr_Format(PyExc_ValueError, "this CPU or this build has no path \"%s\"", name);
    default:
        return PyErr_Format(PyExc_ValueError, "there is no path \"%s\"", name);
    }
}

PyDoc_STRVAR(pattern_paths_doc, "pattern_paths()\n--\n\nThe AES paths that this CPU can take, best first.");

static PyObject *pattern_paths_method(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return paths_to_list(pattern_available_paths);
}

PyDoc_STRVAR(pattern_path_doc, "pattern_path()\n--\n\nThe AES path in use.");

static PyObject *pattern_path_method(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyUnicode_FromString(pattern_path());
}

PyDoc_STRVAR(force_pattern_path_doc,
             "force_pattern_path(name)\n--\n\n"
             "Take the named AES path in this process from now on; None: the best one again.\n\n"
             "ValueError: no such path, or not on this CPU. For tests and benchmarks.");

static PyObject *force_pattern_path_method(PyObject *module, PyObject *arguments)
{
    (void)module;
    return parse_and_force(pattern_force_path, "z:force_pattern_path", arguments);
}

PyDoc_STRVAR(blake3_paths_doc, "blake3_paths()\n--\n\nThe BLAKE3 paths that this CPU can take, best first.");

static PyObject *blake3_paths_method(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return paths_to_list(blake3_available_paths);
}

PyDoc_STRVAR(blake3_path_doc, "blake3_path()\n--\n\nThe BLAKE3 path in use.");

static PyObject *blake3_path_method(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyUnicode_FromString(blake3_path());
}

PyDoc_STRVAR(force_blake3_path_doc,
             "force_blake3_path(name)\n--\n\n"
             "Take the named BLAKE3 path in this process from now on; None: the best one again.\n\n"
             "ValueError: no such path, or not on this CPU. For tests and benchmarks.");

static PyObject *force_blake3_path_method(PyObject *module, PyObject *arguments)
{
    (void)module;
    return parse_and_force(blake3_force_path, "z:force_blake3_path", arguments);
}

/* ---- Module ---- */

/*
 * PyMethodDef holds any kind of method as a PyCFunction; ml_flags say what it is. By way of void:
 * -Wcast-function-type.
 */
#define WITH_KEYWORDS(function) (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS

static PyMethodDef methods[] = {
    {"aes_256_ctr", WITH_KEYWORDS(aes_256_ctr), aes_256_ctr_doc},
    {"constant", WITH_KEYWORDS(constant), constant_doc},
    {"compare_aes_256_ctr", WITH_KEYWORDS(compare_aes_256_ctr), compare_aes_256_ctr_doc},
    {"compare_constant", WITH_KEYWORDS(compare_constant), compare_constant_doc},
    {"blake3", blake3, METH_VARARGS, blake3_doc},
    {"pattern_paths", pattern_paths_method, METH_NOARGS, pattern_paths_doc},
    {"pattern_path", pattern_path_method, METH_NOARGS, pattern_path_doc},
    {"force_pattern_path", force_pattern_path_method, METH_VARARGS, force_pattern_path_doc},
    {"blake3_paths", blake3_paths_method, METH_NOARGS, blake3_paths_doc},
    {"blake3_path", blake3_path_method, METH_NOARGS, blake3_path_doc},
    {"force_blake3_path", force_blake3_path_method, METH_VARARGS, force_blake3_path_doc},
    {NULL, NULL, 0, NULL},
};

static int add_version(PyObject *module)
{
    return PyModule_AddStringConstant(module, "VERSION", ERASER_VERSION);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)(uintptr_t)extension_add_page_layout},
    {Py_mod_exec, (void *)(uintptr_t)add_version},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_native",
    .m_doc = "The engine's patterns and hash. Arguments are checked here; callers pass numbers and buffers.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&module_definition);
}
