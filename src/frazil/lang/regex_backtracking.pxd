cdef enum:
    # As in regex_parser.
    MATCH = 0
    SPLIT = 1
    REPEAT = 2
    OPEN = 3
    CLOSE = 4
    START = 5
    END = 6
    EMPTY = 7
    ACCEPT = 8


cdef class Backtracker:
    cdef int groups
    cdef int start
    cdef int branches
    cdef bytes states
    cdef bytes tables
    cdef bytes first
    cdef str text
    cdef Py_ssize_t size
    cdef bint exact
    cdef Py_ssize_t barred
    cdef Py_ssize_t at
    cdef readonly Py_ssize_t end
    cdef bytearray memory
    cdef bytearray stack
    cdef object open(self, str text, bint exact)
    cdef int run(self, int state, Py_ssize_t position) noexcept
    cdef Py_ssize_t place(self, int state, Py_ssize_t position) noexcept
    cdef Py_ssize_t solve(self, Py_ssize_t origin) except -2
    cdef bytearray grow(self)
    cpdef list parts(self, Py_ssize_t begin)
