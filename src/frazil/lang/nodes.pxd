from frazil.lang.functions cimport Formal, FormalsLambda
from frazil.lang.sets cimport AttrsExpr
from frazil.lang.values cimport Expr, LambdaExpr, State

cdef AttrsExpr new_set(State state, Py_ssize_t pos)
cdef Formal new_formal(str name, Py_ssize_t pos, Expr default)
cdef FormalsLambda new_formals_lambda(
    State state, Py_ssize_t pos, list formals, bint ellipsis, str argument, Expr body)
cdef Expr new_if(State state, Py_ssize_t pos, Expr condition, Expr then, Expr otherwise)
cdef Expr new_list(State state, Py_ssize_t pos, list elements)
cdef Expr new_has_attr(State state, Expr subject, list path)
cdef Expr new_join(State state, Py_ssize_t pos, bint force_string, list parts, list places)
cdef Expr new_equals(State state, Py_ssize_t pos, Expr left, Expr right, bint negated)
cdef Expr new_binary(State state, int tok, Py_ssize_t pos, Expr left, Expr right)
cdef Expr new_var(State state, Py_ssize_t pos, str name)
cdef Expr new_application(State state, Py_ssize_t pos, Expr function, Expr argument)
cdef Expr new_select(State state, Py_ssize_t pos, Expr subject, object path, Expr default)
cdef LambdaExpr new_function(State state, Py_ssize_t pos, str argument, Expr body)
