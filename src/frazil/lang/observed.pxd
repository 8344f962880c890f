cimport cython

from frazil.lang.values cimport Attrs, Env, Expr, LambdaExpr, Scope


@cython.final
cdef class Names:
    cdef Scope scope
    cdef Env env


@cython.final
cdef class WatchedCall(Expr):
    cdef object observer
    cdef readonly Expr function
    cdef readonly list arguments
    cdef Scope scope
    cdef object call(self, Env env)
    cdef object report(self, object function, list arguments)
    cdef object apply(self, object current, list arguments)
    cdef object apply_functor(self, Attrs attrs, object argument)


@cython.final
cdef class WatchedBody(Expr):
    cdef object observer
    cdef LambdaExpr function
    cdef readonly Expr body
    cdef Scope scope
    cdef Py_ssize_t slots
    cdef object watched(self, Env env)


@cython.final
cdef class WatchedPlace(Expr):
    cdef object observer
    cdef readonly Expr body
    cdef Scope scope
    cdef object text


@cython.final
cdef class CountedSubject(Expr):
    cdef object observer
    cdef readonly Expr subject
    cdef object name


@cython.final
cdef class WatchedSelection(Expr):
    cdef object observer
    cdef readonly Expr body
    cdef Scope scope
    cdef object text
    cdef Py_ssize_t steps


@cython.final
cdef class Counted(Expr):
    cdef object observer
    cdef readonly Expr body
    cdef object kind


cdef object collect(Scope scope, Env env, dict found)
