cimport cython

from frazil.lang.sets cimport AttrDef, AttrsExpr
from frazil.lang.values cimport Expr, State


@cython.final
cdef class Parser:
    cdef State state
    cdef bytes data
    cdef const unsigned char *p
    cdef Py_ssize_t n
    cdef Py_ssize_t base
    cdef str directory
    cdef int tok
    cdef Py_ssize_t start
    cdef Py_ssize_t end
    cdef bint pipes
    cdef bint pure
    cdef str home
    cdef object lints
    cdef Py_ssize_t doc_start
    cdef Py_ssize_t doc_end
    cdef public dict docs
    cdef Py_ssize_t or_start
    cdef Py_ssize_t or_end

    cdef str symbol(self, Py_ssize_t start, Py_ssize_t end)
    cdef str text(self, Py_ssize_t start, Py_ssize_t end)
    cdef Py_ssize_t skip(self, Py_ssize_t i)
    cdef Py_ssize_t path_end(self, Py_ssize_t i)
    cdef int advance(self) except -1
    cdef int scan_word(self, Py_ssize_t i) except -1
    cdef int scan_number(self, Py_ssize_t i) except -1
    cdef int scan_path(self, Py_ssize_t i) except -1
    cdef int scan_symbol(self, Py_ssize_t i) except -1
    cdef object fail(self)
    cdef object error_at(self, str message, Py_ssize_t offset)
    cdef int expect(self, int tok) except -1
    cdef Expr parse_expr(self)
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
    cdef Expr parse_integer(self)
    cdef Expr parse_float(self)
    cdef Expr parse_string(self)
    cdef Expr parse_indented(self)
    cdef Expr parse_path(self)
    cdef Expr parse_search_path(self)
    cdef Expr parse_interpolation(self, Py_ssize_t i)
    cdef list string_parts(self, Py_ssize_t i)
    cdef str unescape(self, Py_ssize_t start, Py_ssize_t end)
    cdef list parse_attr_path(self)
    cdef object parse_attr_name(self)
    cdef AttrsExpr parse_bindings(self, Py_ssize_t pos, int closing, object first_name, Py_ssize_t first_start)
    cdef object parse_binding(self, AttrsExpr attrs, object first_name, Py_ssize_t first_start)
    cdef object parse_inherit(self, AttrsExpr attrs)
    cdef Expr parse_brace(self)
    cdef Expr parse_formals(self, Py_ssize_t start, str argument, str first_name, Py_ssize_t first_start)
    cdef list parse_formal_list(self, str first_name, Py_ssize_t first_start)
    cdef Expr new_lambda(self, Py_ssize_t start, list formals, bint ellipsis, str argument)
    cdef Expr parse_list(self)
