/* The module frazil._compiled: the names of the modules whose initialisation functions are in this shared object. */
#include <Python.h>
#include <string.h>

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

typedef struct {
    const char *name;
    PyObject *(*initialise)(void);
} Part;

/* DECLARATIONS */

static const Part parts[] = {
/* PARTS */
};

enum { PARTS = sizeof parts / sizeof *parts };

/* A module that is not executed yet, from its spec: as `_imp.create_dynamic`, which asks the dynamic linker. */
static PyObject *
create(PyObject *self, PyObject *spec)
{
    (void)self;
    PyObject *name = PyObject_GetAttrString(spec, "name");
    const char *wanted = name ? PyUnicode_AsUTF8(name) : NULL;
    PyObject *module = NULL;
    if (wanted) {
        size_t i = 0;
        while (i < PARTS && strcmp(parts[i].name, wanted))
            i++;
        PyObject *definition = i < PARTS ? parts[i].initialise() : NULL;
        if (definition && PyObject_TypeCheck(definition, &PyModuleDef_Type))
            module = PyModule_FromDefAndSpec((PyModuleDef *)definition, spec);
        else if (!PyErr_Occurred())
            PyErr_Format(PyExc_ImportError, "no compiled module %R", name);
    }
    Py_XDECREF(name);
    return module;
}

static PyMethodDef methods[] = {
    {"create", create, METH_O, "A module from its spec, to be executed."},
#ifdef FRAZIL_INSTRUMENTED
    {"write_profile", write_profile, METH_NOARGS, "Writes what was counted, as the end of the process would."},
#endif
    {NULL, NULL, 0, NULL},
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
    for (size_t i = 0; module && set && i < PARTS; i++) {
        PyObject *name = PyUnicode_InternFromString(parts[i].name);
        if (!name || PySet_Add(set, name) < 0)
            Py_CLEAR(set);
        Py_XDECREF(name);
    }
    if (module && (!set || PyModule_AddObjectRef(module, "MODULES", set) < 0))
        Py_CLEAR(module);
    Py_XDECREF(set);
    return module;
}
