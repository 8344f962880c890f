/* Errors of the language carry their own traces. Python's, a frame object for every C function that an error passes,
   would take gigabytes where a deep recursion ends, and most of the time of a failure. So only errors that Python itself
   knows (whose classes are no heap types), which are bugs of ours, get whole ones; others one frame, which Cython's
   handlers count on. Included before everything Cython makes. */
#ifndef FRAZIL_TRACEBACKS_H
#define FRAZIL_TRACEBACKS_H
#ifndef PY_SSIZE_T_CLEAN
#define PY_SSIZE_T_CLEAN
#endif
#include <Python.h>
#include <frameobject.h>
static inline int frazil_has_traceback(PyThreadState *thread) {
#if PY_VERSION_HEX >= 0x030C0000
    PyObject *error = thread->current_exception;
    return error != NULL && ((PyBaseExceptionObject *) error)->traceback != NULL;
#else
    return thread->curexc_traceback != NULL;
#endif
}
static inline PyFrameObject *frazil_new_frame(
    PyThreadState *thread, PyCodeObject *code, PyObject *globals, PyObject *locals
) {
    PyObject *type = PyErr_Occurred();
    if (type != NULL && PyType_Check(type) && PyType_HasFeature((PyTypeObject *) type, Py_TPFLAGS_HEAPTYPE)
        && frazil_has_traceback(thread)) return NULL;
    return PyFrame_New(thread, code, globals, locals);
}
#define PyFrame_New frazil_new_frame
#endif
