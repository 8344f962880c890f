cimport cython

from frazil.lang.values cimport Attrs, Env, Expr, Shape


@cython.final
cdef class Part:
    cdef str name
    cdef Expr expr
    cdef Shape shape
    cdef Py_ssize_t place
    cdef Attrs holder
    cdef object held


cdef class Select(Expr):
    cdef readonly Expr subject
    cdef readonly list path
    cdef readonly Expr default
    cdef list parts
    cdef Part part
    cdef object failed(self, Env env, Py_ssize_t where, Py_ssize_t resolved)


@cython.final
cdef class Select1(Select):
    pass


@cython.final
cdef class SelectOr1(Select):
    pass


@cython.final
cdef class HasAttr(Expr):
    cdef readonly Expr subject
    cdef readonly list path
    cdef list parts
    cdef Part only


cdef Part path_part(object item)
