cimport cython

from frazil.lang.values cimport Attrs, Env, Expr, Scope


@cython.final
cdef class Part:
    cdef object item
    cdef object memo
    cdef object held
    cdef Py_ssize_t place


# `path`: one name, or else a list: of names and expressions until names are resolved, then of Part.
@cython.no_gc
cdef class Select(Expr):
    cdef readonly Expr subject
    cdef readonly Expr default
    cdef object path
    cdef object memo
    cdef object held
    cdef Py_ssize_t place
    cdef object select_from(self, object value, Env env)
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
    cdef list path
    cdef Part only


cdef Part path_part(object item)
cdef object bind_path(list path, Scope scope)
