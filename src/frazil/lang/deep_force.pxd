from frazil.lang.runtime cimport CallExpr
from frazil.lang.values cimport Attrs, State, Thunk


cpdef object force_deep(State state, object value)
cpdef Py_ssize_t determine_pos(object value) except -1
cdef object force_placed(object value)
cdef object creation_order(State state, Attrs attrs)
cdef object deepen(State state, object value, set seen)
