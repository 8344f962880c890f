cimport cython

from frazil.lang.values cimport Env, Expr


cdef class Literal(Expr):
    cdef readonly object value


cdef class PathLiteral(Literal):
    pass


cdef class Var(Expr):
    cdef readonly str name


@cython.final
cdef class GlobalVar(Var):
    cdef object value


@cython.final
cdef class ArgumentVar0(Var):
    pass


@cython.final
cdef class ArgumentVar1(Var):
    pass


@cython.final
cdef class ArgumentVar(Var):
    cdef Py_ssize_t depth


@cython.final
cdef class SlotVar0(Var):
    cdef Py_ssize_t slot


@cython.final
cdef class SlotVar1(Var):
    cdef Py_ssize_t slot


@cython.final
cdef class SlotVar2(Var):
    cdef Py_ssize_t slot


@cython.final
cdef class SlotVar(Var):
    cdef Py_ssize_t depth
    cdef Py_ssize_t slot


@cython.final
cdef class WithVar(Var):
    cdef object found(self, Env env)
    cdef list depths
    cdef list positions


@cython.final
cdef class With(Expr):
    cdef readonly Expr attrs
    cdef readonly Expr body


@cython.final
cdef class InheritFrom(Expr):
    cdef readonly Py_ssize_t index


@cython.final
cdef class CurrentPosition(Expr):
    pass
