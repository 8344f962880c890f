# How builtins get their arguments: part of `values`, which hands the names on.

cdef extern from *:
    """
    #ifndef FRAZIL_ARGUMENTS_H
    #define FRAZIL_ARGUMENTS_H
    static inline PyObject *frazil_call_builtin(PyObject *function, PyObject *state, PyObject *arguments) {
        PyObject *given[3] = {NULL, state, arguments};
        vectorcallfunc call = PyVectorcall_Function(function);
        if (__builtin_expect(call != NULL, 1)) return call(function, given + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        return PyObject_CallFunctionObjArgs(function, state, arguments, NULL);
    }
    /* Lists of one or two arguments for builtins: one that nobody kept is used again. */
    #define FRAZIL_SPARES 32
    static PyObject *frazil_spares[3][FRAZIL_SPARES];
    static int frazil_spare_count[3];
    static inline PyObject *frazil_spare_list(int size) {
    #if !defined(Py_GIL_DISABLED)
        if (__builtin_expect(frazil_spare_count[size] > 0, 1)) return frazil_spares[size][--frazil_spare_count[size]];
    #endif
        return PyList_New(size);
    }
    static inline PyObject *frazil_arguments1(PyObject *first) {
        PyObject *list = frazil_spare_list(1);
        if (__builtin_expect(list == NULL, 0)) return NULL;
        Py_INCREF(first); PyList_SET_ITEM(list, 0, first);
        return list;
    }
    static inline PyObject *frazil_arguments2(PyObject *first, PyObject *second) {
        PyObject *list = frazil_spare_list(2);
        if (__builtin_expect(list == NULL, 0)) return NULL;
        Py_INCREF(first); PyList_SET_ITEM(list, 0, first);
        Py_INCREF(second); PyList_SET_ITEM(list, 1, second);
        return list;
    }
    static inline void frazil_spare_arguments(PyObject *list) {
    #if !defined(Py_GIL_DISABLED)
        Py_ssize_t size = PyList_GET_SIZE(list);
        if (Py_REFCNT(list) == 1 && size <= 2 && size > 0 && frazil_spare_count[size] < FRAZIL_SPARES) {
            PyObject *first = PyList_GET_ITEM(list, 0), *second = size == 2 ? PyList_GET_ITEM(list, 1) : NULL;
            PyList_SET_ITEM(list, 0, NULL);
            if (size == 2) PyList_SET_ITEM(list, 1, NULL);
            Py_INCREF(list);
            frazil_spares[size][frazil_spare_count[size]++] = list;
            Py_DECREF(first);
            Py_XDECREF(second);
        }
    #endif
    }
    #endif
    """
    object call_builtin "frazil_call_builtin"(object function, object state, list arguments)
    list arguments1 "frazil_arguments1"(object first)
    list arguments2 "frazil_arguments2"(object first, object second)
    void spare_arguments "frazil_spare_arguments"(list arguments)
