cimport cython

from frazil.lang.operators cimport Binary
from frazil.lang.values cimport Env, Expr, State


@cython.final
cdef class ConcatLists(Binary):
    cdef list eval_chain(self, Env env)


@cython.final
cdef class ConcatStrings(Expr):
    # Ahead of `parts`, which is to be freed last: a list ends without deep recursion.
    cdef Expr left
    cdef Expr right
    cdef readonly bint force_string
    cdef readonly list parts
    cdef readonly list part_positions
    cdef object add_numbers(self, object first, object second)
    cdef object concatenate(self, Env env, object first, object second)


@cython.final
cdef class PlaceToRead(Expr):
    cdef ConcatStrings string
    cdef object copied


@cython.final
cdef class CopiedText(Expr):
    cdef object value
    cdef object marks
    cdef object copied


cdef object place_to_read(State state, object value)
