cimport cython

from frazil.lang.values cimport State


# Tokens; single characters stand for themselves.
cdef enum:
    EOF = 256
    ID = 257
    INT = 258
    FLOAT = 259
    PATH = 260
    HPATH = 261
    SPATH = 262
    URI = 263
    IF_KW = 264
    THEN_KW = 265
    ELSE_KW = 266
    ASSERT_KW = 267
    WITH_KW = 268
    LET_KW = 269
    IN_KW = 270
    REC_KW = 271
    INHERIT_KW = 272
    EQ = 273
    NEQ = 274
    LEQ = 275
    GEQ = 276
    UPDATE = 277
    CONCAT = 278
    AND = 279
    OR = 280
    IMPL = 281
    OR_KW = 282
    PIPE_FROM = 283
    PIPE_INTO = 284
    DOLLAR_CURLY = 285
    IND_OPEN = 286
    ELLIPSIS = 287


cdef class Scanner:
    cdef State state
    cdef bytes data
    cdef const unsigned char *p
    cdef Py_ssize_t n
    cdef Py_ssize_t base
    cdef int tok
    cdef Py_ssize_t start
    cdef Py_ssize_t end
    cdef bint pipes
    cdef Py_ssize_t run_start
    cdef Py_ssize_t run_end
    cdef Py_ssize_t scheme_start
    cdef Py_ssize_t scheme_end

    cdef object open_text(self, State state, bytes data, Py_ssize_t base)
    cdef str symbol(self, Py_ssize_t start, Py_ssize_t end)
    cdef str text(self, Py_ssize_t start, Py_ssize_t end)
    cdef Py_ssize_t skip(self, Py_ssize_t i) noexcept
    cdef Py_ssize_t path_end(self, Py_ssize_t i) noexcept
    cdef int advance(self) except -1
    cdef int scan_word(self, Py_ssize_t i) except -1
    cdef int scan_number(self, Py_ssize_t i) except -1
    cdef int scan_path(self, Py_ssize_t i) except -1
    cdef int scan_symbol(self, Py_ssize_t i) except -1
    cdef object error_at(self, str message, Py_ssize_t offset)
    cdef object fail(self)
    cdef int expect(self, int tok) except -1
    cdef Py_ssize_t fraction_end(self, Py_ssize_t j) noexcept
    cdef int scan_less(self, Py_ssize_t i) except -1
    cdef object need_pipes(self, Py_ssize_t i)
    cdef Py_ssize_t path_piece_end(self, Py_ssize_t i) noexcept
