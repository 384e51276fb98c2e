/* Stands in for the extension until native/extension.c is there. */
#include <Python.h>
#include <assert.h>

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_native", .m_doc = "Placeholder.", .m_size = 0,
};

PyMODINIT_FUNC PyInit__native(void) {
    PyObject *made = PyModuleDef_Init(&module);
    assert(made != NULL);
    return made;
}
