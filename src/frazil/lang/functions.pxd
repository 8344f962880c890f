cimport cython

from frazil.lang.origins cimport Shape
from frazil.lang.values cimport Attrs, Env, Expr, LambdaExpr, Scope


@cython.final
cdef class SimpleLambda(LambdaExpr):
    cdef readonly str argument
    cdef readonly Expr body


@cython.final
cdef class Formal:
    cdef readonly str name
    cdef readonly Py_ssize_t pos
    cdef readonly Expr default


@cython.final
cdef class FormalsLambda(LambdaExpr):
    cdef readonly list formals
    cdef readonly bint ellipsis
    cdef readonly str argument
    cdef readonly Expr body
    cdef list names
    cdef list defaults
    cdef Py_ssize_t first
    cdef Shape cached
    cdef bytes cached_map
    cdef dict maps
    cdef object arguments
    cdef bytes use_shape(self, Shape shape)
    cdef object bind_table(self, Attrs attrs, Env env, Py_ssize_t call_pos)
    cdef object missing(self, str name, Py_ssize_t call_pos)
    cdef object unexpected(self, Attrs attrs, Py_ssize_t call_pos)
    cdef object bind_argument(self, Env up, object argument, Py_ssize_t call_pos)


cpdef object set_name(object expr, object name)
cdef object bind_each(list exprs, Scope scope)


@cython.no_gc
cdef class CallNode(Expr):
    cdef readonly Expr function
    cdef Expr first
    cdef Expr second
    # Where there are more than two: all of them.
    cdef list arguments


@cython.final
cdef class Call1(CallNode):
    cdef object call_other(self, object function, Env env)


@cython.final
cdef class Call2(CallNode):
    cdef object call_in_turn(self, object current, Env env)
    cdef object call_other(self, object current, Env env)


@cython.final
cdef class CallMany(CallNode):
    cdef list delayed(self, Env env, Py_ssize_t first)


cdef object add_argument(CallNode call, Expr argument)


@cython.final
cdef class BuiltinSpec:
    cdef readonly object name
    cdef readonly object arity
    cdef readonly object function
    cdef readonly object experimental
    cdef readonly object internal
    cdef readonly object add_trace
    cdef readonly object documentation
    cdef readonly object argument_names
    cdef readonly object impure
