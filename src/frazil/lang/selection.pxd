cimport cython

from frazil.lang.values cimport Attrs, Env, Expr, Shape


cdef class Select(Expr):
    cdef readonly Expr subject
    cdef readonly list path
    cdef readonly Expr default
    cdef list shapes
    cdef list places
    cdef object failed(self, Env env, Py_ssize_t where, Py_ssize_t resolved)


@cython.final
cdef class Select1(Select):
    cdef str name
    cdef Shape cached
    cdef Py_ssize_t index
    cdef object find(self, Attrs attrs)


@cython.final
cdef class HasAttr(Expr):
    cdef readonly Expr subject
    cdef readonly list path
