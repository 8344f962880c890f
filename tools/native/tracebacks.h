/* Included before everything that Cython makes.
 *
 * Errors of the language carry traces of their own. Python's, with a frame object for every C function that an error
 * passes, would take gigabytes where a deep recursion ends, and most of the time of a failure. So an error of ours gets
 * one frame, where it was raised (what catches it needs some traceback); errors that Python itself knows, whose classes
 * are no heap types, are bugs here and get all. */
#ifndef FRAZIL_TRACEBACKS_H
#define FRAZIL_TRACEBACKS_H

#ifndef PY_SSIZE_T_CLEAN
#define PY_SSIZE_T_CLEAN
#endif
/* Where the last reference goes: most of what evaluation makes is of a few classes, whose end is ours (`values.pxd`). A
 * call of our own is spared the way through Python's. */
#include <pyconfig.h>
#if defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && !defined(Py_GIL_DISABLED) && \
    !defined(Py_DEBUG) && !defined(Py_TRACE_REFS)
#define FRAZIL_RELEASES 1
struct _object;
__attribute__((visibility("hidden"))) void frazil_release(struct _object *);
#define _Py_Dealloc frazil_release
#endif

#include <Python.h>
#include <frameobject.h>

static inline int frazil_has_traceback(PyThreadState *thread) {
#if PY_VERSION_HEX >= 0x030C0000
    PyObject *error = thread->current_exception;
    return error != NULL && PyType_HasFeature(Py_TYPE(error), Py_TPFLAGS_HEAPTYPE) &&
           ((PyBaseExceptionObject *)error)->traceback != NULL;
#else
    PyObject *type = thread->curexc_type;
    return type != NULL && PyType_Check(type) && PyType_HasFeature((PyTypeObject *)type, Py_TPFLAGS_HEAPTYPE) &&
           thread->curexc_traceback != NULL;
#endif
}

static inline PyFrameObject *
frazil_new_frame(PyThreadState *thread, PyCodeObject *code, PyObject *globals, PyObject *locals) {
    return frazil_has_traceback(thread) ? NULL : PyFrame_New(thread, code, globals, locals);
}
#define PyFrame_New frazil_new_frame

/* Cython's modules ask for each other by name, several times each. Nearly always the module is there already; Python's
 * own way to find that out goes through `__import__`, and looks in vain for the folder of what is no package. */
static inline PyObject *frazil_import(const char *name) {
    PyObject *text = PyUnicode_FromString(name), *module;
    if (text == NULL)
        return NULL;
    module = PyImport_GetModule(text);
    if (module == NULL && !PyErr_Occurred())
        module = PyImport_Import(text);
    Py_DECREF(text);
    return module;
}
#define PyImport_ImportModule frazil_import

#endif
