cimport cython

from frazil.lang.operators cimport Binary
from frazil.lang.values cimport Env, Expr


@cython.final
cdef class ConcatLists(Binary):
    cdef list eval_chain(self, Env env)


@cython.final
cdef class ConcatStrings(Expr):
    cdef readonly bint force_string
    cdef readonly list parts
    cdef readonly list part_positions
    cdef object add_numbers(self, Env env, object total)
    cdef object concatenate(self, Env env, object first, object second)
