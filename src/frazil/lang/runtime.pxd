cimport cython

from frazil.lang.values cimport Attrs, Env, Expr, State, Thunk, ask_bool, traced


@cython.final
cdef class CallExpr(Expr):
    cdef object function
    cdef bint paired
    cdef bint unplaced


cdef class PythonExpr(Expr):
    cdef object function


cpdef object force(object value)
cdef object force_at(object value, Py_ssize_t pos)
cdef object call_value(State state, object function, list arguments, Py_ssize_t pos)
cdef object call_primop(State state, object primop, list arguments, Py_ssize_t pos)
cpdef object call(State state, object function, object argument)
cpdef object call2(State state, object function, object argument1, object argument2)
cpdef object call_many(State state, object function, list arguments)
cpdef Thunk delayed_call(State state, object function, object argument)
cpdef Thunk delayed_call2(State state, object function, object argument1, object argument2)
cdef CallExpr delayed_calls(State state, object function, bint paired)
cdef CallExpr delayed_members(State state, object function)
cdef object call_with_two(State state, object function, object first, object second, Py_ssize_t pos)
cdef Attrs map_shaped(State state, object function, Attrs attrs)
cpdef Thunk lazy(object function)
cpdef str type_name(object value)
cpdef str show_type(object value)
cpdef object force_int(object value, str trace)
cpdef object force_float(object value, str trace)
cpdef object force_bool(object value, str trace)
cpdef Attrs force_attrs(object value, str trace)
cpdef list force_list(object value, str trace)
cpdef object force_function(object value, str trace)
cpdef str force_string(object value, set context, str trace)
cpdef str force_string_no_context(object value, str trace)
cpdef str coerce_to_string(
    State state, object value, set context, str trace, bint coerce_more=*, bint copy_to_store=*,
    bint canonicalize_path=*)
cdef str coerce(
    State state, object value, set context, str trace, Py_ssize_t pos, bint coerce_more, bint copy_to_store,
    bint canonicalize_path)
cpdef str coerce_to_path(State state, object value, set context, str trace)
cpdef str canonical_path(str text)
cdef bint is_canonical(str text) except -1
cpdef bint is_derivation(object value) except -1
cdef object add_trace(object state, Py_ssize_t pos, object text)
cdef object force_traced(object value, str trace)
cdef object call_functor(State state, Attrs attrs, object argument, Py_ssize_t pos)
cdef object primop_failed(State state, object primop, Py_ssize_t pos)
cdef str coerce_path(State state, str text, set context, bint copy_to_store, bint canonicalize_path)
cpdef object note_shown(State state, str text)
cdef str coerce_list(
    State state, object items, set context, str trace, Py_ssize_t pos, bint copy_to_store, bint canonicalize_path)
cdef object cannot_coerce(State state, object value, str trace, Py_ssize_t pos)
cdef str coerce_attrs(
    State state, Attrs attrs, set context, str trace, Py_ssize_t pos, bint coerce_more, bint copy_to_store, bint to_path)
cdef str coerce_called(
    State state, Attrs attrs, object function, set context, str trace, Py_ssize_t pos, bint coerce_more,
    bint copy_to_store, bint to_path)
cdef str coerce_out_path(
    State state, Attrs attrs, object cell, set context, str trace, Py_ssize_t pos, bint coerce_more, bint copy_to_store,
    bint to_path)
cdef str coerce_inner(
    State state, object value, set context, str trace, Py_ssize_t pos, bint coerce_more, bint copy_to_store, bint to_path)
cdef str path_text(State state, object value, set context, str trace)
cpdef str show_value(object value)
cdef object not_boolean(Expr expr, object value, object text)
cdef Attrs eval_attrs(Expr expr, Env env, object text)
cpdef str show_name(str name)


cdef bint no_plain_bool(Expr expr, object text) except -1


cdef inline object traced_eval(Expr expr, Env env, object text):
    """Evaluate; a failure is annotated with the position of the expression."""
    return traced(expr, env, text)


cdef inline bint eval_bool(Expr expr, Env env, object text) except -1:
    cdef int found = ask_bool(expr, env)
    return found if found < 2 else no_plain_bool(expr, text)
