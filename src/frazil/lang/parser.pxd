cimport cython

from frazil.lang.literals cimport LiteralReader
from frazil.lang.sets cimport AttrsExpr
from frazil.lang.values cimport Expr


@cython.final
cdef class Parser(LiteralReader):
    cdef Py_ssize_t or_start
    cdef Py_ssize_t or_end

    cdef Expr name_expr(self, Py_ssize_t start, Py_ssize_t end)
    cdef Expr old_let(self, Py_ssize_t start)
    cdef Expr make_call(self, Py_ssize_t pos, Expr function, Expr argument)
    cdef Expr parse_argument_at(self, Py_ssize_t start, str argument)
    cdef Expr after_formals(self, Py_ssize_t start, list formals, bint ellipsis, str argument)
    cdef Expr parse_let(self)
    cdef Expr parse_if(self)
    cdef Expr parse_pipes(self, Expr first, Py_ssize_t start)
    cdef Expr parse_op(self, int minimum, Expr first, Py_ssize_t start)
    cdef Expr binary(self, int tok, Py_ssize_t pos, Expr left, Py_ssize_t left_start, Expr right, Py_ssize_t right_start)
    cdef Expr parse_application(self, Expr first, Py_ssize_t start)
    cdef Expr parse_select(self, Expr first, Py_ssize_t start)
    cdef Expr parse_operand(self)
    cdef object warn_of_or(self)
    cdef Expr parse_simple(self)
    cdef list parse_attr_path(self)
    cdef list rest_of_path(self, object first)
    cdef object parse_attr_name(self)
    cdef AttrsExpr parse_bindings(self, Py_ssize_t pos, int closing, object first_name, Py_ssize_t first_start)
    cdef object parse_binding(self, AttrsExpr attrs, object first_name, Py_ssize_t first_start)
    cdef object parse_inherit(self, AttrsExpr attrs)
    cdef Expr parse_brace(self)
    cdef Expr parse_formals(self, Py_ssize_t start, str argument, str first_name, Py_ssize_t first_start)
    cdef list parse_formal_list(self, str first_name, Py_ssize_t first_start)
    cdef Expr new_lambda(self, Py_ssize_t start, list formals, bint ellipsis, str argument)
    cdef Expr parse_list(self)
