from frazil.lang.sets cimport AttrsExpr
from frazil.lang.values cimport Expr, State

cdef object add_attribute(State state, AttrsExpr into, list path, Expr expr, Py_ssize_t pos)
cdef object add_inherited(State state, AttrsExpr into, Expr source, Py_ssize_t where, list names)
