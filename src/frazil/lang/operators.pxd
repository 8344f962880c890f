cimport cython

from frazil.lang.shapes cimport Merger
from frazil.lang.values cimport Attrs, Env, Expr


@cython.final
cdef class Arithmetic(Expr):
    cdef readonly int operator
    cdef readonly Expr left
    cdef readonly Expr right


@cython.final
cdef class If(Expr):
    cdef readonly Expr condition
    cdef readonly Expr then
    cdef readonly Expr otherwise


@cython.final
cdef class Assert(Expr):
    cdef readonly Expr condition
    cdef readonly Expr body


@cython.final
cdef class Not(Expr):
    cdef readonly Expr operand


@cython.no_gc
cdef class Binary(Expr):
    cdef readonly Expr left
    cdef readonly Expr right


@cython.final
cdef class Equals(Binary):
    cdef readonly bint negated
    cdef object failed(self, int stage)


@cython.final
cdef class And(Binary):
    pass


@cython.final
cdef class Or(Binary):
    pass


@cython.final
cdef class Implies(Binary):
    pass


@cython.final
cdef class Update(Binary):
    cdef int length
    cdef Merger merger
    cdef Attrs eval_chain(self, Env env)
