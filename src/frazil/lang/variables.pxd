cimport cython

from frazil.lang.values cimport Env, Expr, Scope


@cython.no_gc
cdef class Literal(Expr):
    cdef readonly object value


cdef class PathLiteral(Literal):
    pass


# A name that is resolved stays the object it was: what most of its classes need has a place in it from the start.
@cython.no_gc
cdef class Var(Expr):
    cdef readonly str name
    cdef Py_ssize_t depth
    cdef Py_ssize_t slot


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
    pass


@cython.final
cdef class SlotVar0(Var):
    pass


@cython.final
cdef class SlotVar1(Var):
    pass


@cython.final
cdef class SlotVar2(Var):
    pass


@cython.final
cdef class SlotVar(Var):
    pass


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
    cdef Py_ssize_t slot
    cdef Expr source
    cdef object refer_to(self, Expr var, Scope scope)


@cython.final
cdef class CurrentPosition(Expr):
    pass
