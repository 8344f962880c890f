from frazil.lang.values cimport Env, Expr, State


cdef class Parsed:
    cdef Expr expr
    cdef Env env
    cdef readonly object path
    cdef bint written_as_set


cdef class Evaluator(State):
    cdef dict files
    cdef dict resolved
    cdef object builtins_set
    cdef int entered
    cdef Py_ssize_t allowed_depth
    cdef int outer_recursion_limit
    cdef public dict documentation
    cdef public object registered
    cpdef object force(self, object value)
