cimport cython

from frazil.lang.operators cimport Binary
from frazil.lang.values cimport Env, Expr, PathValue, State


@cython.final
cdef class ConcatLists(Binary):
    cdef list eval_chain(self, Env env)


@cython.final
cdef class ConcatStrings(Expr):
    cdef Expr left
    cdef Expr right
    # Of a chain `a + b + c …` that ends here: how many `+`.
    cdef int length
    cdef readonly bint force_string
    cdef readonly list parts
    # Counted from `pos`: most are small numbers, which are made once.
    cdef readonly list part_positions
    cdef object eval_chain(self, Env env)
    cdef object add(self, Env env, object first, object second)
    cdef object add_numbers(self, object first, object second)
    cdef PathValue joined_paths(self, str first, str second)
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


cdef list joined_lists(list lists, Py_ssize_t total)
cdef object place_to_read(State state, object value)
