cimport cython

from frazil.lang.values cimport Attrs, Env, Expr, LambdaExpr, Shape


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


cdef class CallNode(Expr):
    cdef readonly Expr function
    cdef public list arguments
    cdef Expr first
    cdef Expr second


@cython.final
cdef class Call1(CallNode):
    pass


@cython.final
cdef class Call2(CallNode):
    pass


@cython.final
cdef class CallMany(CallNode):
    cdef list delayed(self, Env env, Py_ssize_t first)
