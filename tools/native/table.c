/* The module frazil._compiled: the names of the modules whose initialisation functions are in this shared object. */
#include <Python.h>

#ifdef FRAZIL_INSTRUMENTED
void __gcov_dump(void);

static PyObject *
write_profile(PyObject *module, PyObject *nothing)
{
    (void)module, (void)nothing;
    __gcov_dump();
    Py_RETURN_NONE;
}
#endif

static PyMethodDef methods[] = {
#ifdef FRAZIL_INSTRUMENTED
    {"write_profile", write_profile, METH_NOARGS, "Writes what was counted, as the end of the process would."},
#endif
    {NULL, NULL, 0, NULL},
};

static const char *const names[] = {
/* NAMES */
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "frazil._compiled", "Which modules this shared object holds.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    PyObject *module = PyModule_Create(&definition);
    PyObject *set = PyFrozenSet_New(NULL);
    for (size_t i = 0; module && set && i < sizeof names / sizeof *names; i++) {
        PyObject *name = PyUnicode_InternFromString(names[i]);
        if (!name || PySet_Add(set, name) < 0)
            Py_CLEAR(set);
        Py_XDECREF(name);
    }
    if (module && (!set || PyModule_AddObjectRef(module, "MODULES", set) < 0))
        Py_CLEAR(module);
    Py_XDECREF(set);
    return module;
}
