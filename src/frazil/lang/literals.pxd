from frazil.lang.scanner cimport Scanner
from frazil.lang.values cimport Expr, State


cdef class LiteralReader(Scanner):
    cdef str directory
    cdef bint pure
    cdef str home
    cdef object lints

    cdef Expr parse_expr(self)
    cdef Expr parse_integer(self)
    cdef Expr parse_float(self)
    cdef str unescape(self, Py_ssize_t start, Py_ssize_t end)
    cdef Expr parse_interpolation(self, Py_ssize_t i)
    cdef list string_parts(self, Py_ssize_t i)
    cdef Expr parse_string(self)
    cdef Expr parse_indented(self)
    cdef object note_home(self)
    cdef Expr parse_path(self)
    cdef Expr parse_search_path(self)
    cdef object refuse_null(self, Py_ssize_t start, Py_ssize_t end)
    cdef Expr join_parts(self, Py_ssize_t pos, bint force_string, list parts)
    cdef str path_text(self, str literal, bint home)
    cdef object lint(self, str name, str level, str message, Py_ssize_t offset)
    cdef object lint_url(self, str url)
    cdef object lint_absolute(self, str literal, str kind)
    cdef object lint_short(self, str literal)


cdef Expr new_literal(State state, Py_ssize_t pos, object value)
