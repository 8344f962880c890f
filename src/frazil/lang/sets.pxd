cimport cython

from frazil.lang.definitions cimport Definitions
from frazil.lang.origins cimport Places, Shape
from frazil.lang.values cimport Attrs, Definer, Env, Expr, Scope


@cython.final
cdef class AttrDef:
    cdef public Expr expr
    cdef public Py_ssize_t pos
    cdef public int kind


@cython.final
cdef class DynamicDef:
    cdef public Expr name
    cdef public Expr expr
    cdef public Py_ssize_t pos


# `defs` until names are resolved, then `exprs`, which is a Slots.
@cython.no_gc
cdef class AttrsExpr(Definer):
    cdef public bint recursive
    cdef bint plain
    cdef bint framed
    cdef bint lazy
    cdef Definitions *defs
    cdef public list dynamic
    cdef public list inherit_from
    cdef Shape shape
    cdef Places places
    cdef object exprs
    cdef bytes kinds
    cdef bytes settled
    cdef int instances
    cdef int overrides
    cdef object prepare(self)
    cdef object bind_definitions(self, Scope outer, Scope inner, bint within)
    cdef object look_what_is_at_hand(self)
    cdef object refer_to_variables(self, Scope scope)
    cdef Attrs make_lazily(self, Env env)
    cdef object first_undefined(self, object error, Py_ssize_t index, tuple scopes)
    cdef Env inherit_env(self, Env env)
    cdef object fill(self, Env env, Env inner, object slots)
    cdef Attrs make(self, Env env)
    cdef object eval_overrides(self, Env inner, object slots)
    cdef object eval_dynamic(self, Env env, object attrs)


@cython.final
cdef class LetExpr(Definer):
    cdef readonly AttrsExpr attrs
    cdef Py_ssize_t size
    cdef object members
    cdef bytes ways
    cdef object prepare_slots(self)
    cdef bint comes_later(self, Py_ssize_t slot, Py_ssize_t other)
    cdef readonly Expr body


@cython.final
cdef class ListExpr(Expr):
    cdef readonly list elements
