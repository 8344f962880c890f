cimport cython

from frazil.lang.values cimport Attrs, Env, Expr, LambdaExpr, Scope, Shape, State, Thunk


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
    cdef list depths
    cdef list positions


@cython.final
cdef class InheritFrom(Expr):
    cdef readonly Py_ssize_t index


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


cdef class AttrsExpr(Expr):
    cdef public bint recursive
    cdef public dict defs
    cdef public list dynamic
    cdef public list inherit_from
    cdef Shape shape
    cdef list exprs
    cdef list kinds
    cdef bint plain
    cdef Py_ssize_t overrides
    cdef object prepare(self)
    cdef object bind_definitions(self, Scope outer, Scope inner)
    cdef Env inherit_env(self, Env env)
    cdef object fill(self, Env env, Env inner, object slots)
    cdef object eval_overrides(self, Env inner, object slots)
    cdef object eval_dynamic(self, Env env, object attrs)


@cython.final
cdef class LetExpr(Expr):
    cdef readonly AttrsExpr attrs
    cdef readonly Expr body


@cython.final
cdef class ListExpr(Expr):
    cdef readonly list elements


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
    cdef list cached_map
    cdef object use_shape(self, Shape shape)
    cdef object missing(self, str name, Py_ssize_t call_pos)
    cdef object unexpected(self, Attrs attrs, Py_ssize_t call_pos)
    cdef object bind_argument(self, Env up, object argument, Py_ssize_t call_pos)


cdef class CallNode(Expr):
    cdef readonly Expr function
    cdef public list arguments


@cython.final
cdef class Call1(CallNode):
    cdef Expr argument


@cython.final
cdef class Call2(CallNode):
    cdef Expr first
    cdef Expr second


@cython.final
cdef class CallMany(CallNode):
    pass


@cython.final
cdef class Arithmetic(Expr):
    cdef readonly int operator
    cdef readonly Expr left
    cdef readonly Expr right


cdef class Select(Expr):
    cdef readonly Expr subject
    cdef readonly list path
    cdef readonly Expr default
    cdef object failed(self, Env env, Py_ssize_t where, Py_ssize_t resolved)


@cython.final
cdef class Select1(Select):
    cdef str name
    cdef Shape cached
    cdef Py_ssize_t index
    cdef object find(self, Attrs attrs)


@cython.final
cdef class HasAttr(Expr):
    cdef readonly Expr subject
    cdef readonly list path


@cython.final
cdef class With(Expr):
    cdef readonly Expr attrs
    cdef readonly Expr body


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


cdef class Binary(Expr):
    cdef readonly Expr left
    cdef readonly Expr right


@cython.final
cdef class Equals(Binary):
    cdef readonly bint negated


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
    cdef Shape left_shape
    cdef Shape right_shape
    cdef Shape merged
    cdef list plan
    cdef int misses
    cdef object merge(self, Attrs left, Attrs right)
    cdef object plan_merge(self)


@cython.final
cdef class ConcatLists(Binary):
    pass


@cython.final
cdef class ConcatStrings(Expr):
    cdef readonly bint force_string
    cdef readonly list parts
    cdef readonly list part_positions
    cdef object add_numbers(self, Env env, object total)
    cdef object concatenate(self, Env env, object first, object second)


@cython.final
cdef class CurrentPosition(Expr):
    pass
