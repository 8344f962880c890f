from frazil.lang.values cimport Attrs, State


cpdef bint equal(State state, object left, object right) except -1
cdef object resolved(object value)
cdef bint equal_cells(State state, object left, object right, Py_ssize_t pos) except -1
cdef bint equal_values(State state, object left, object right, Py_ssize_t pos) except -1
cdef bint equal_lists(State state, object left, object right, Py_ssize_t pos) except -1
cdef bint equal_sets(State state, object left, object right, Py_ssize_t pos) except -1
cpdef bint less_than(State state, object left, object right, str what=*) except -1
cdef bint compare(State state, object left, object right, str what) except -1
cdef bint compare_lists(State state, list left, list right, str what) except -1
