cimport cython

from frazil.instantiate.instantiator cimport Draft, Instantiated, Instantiator
from frazil.lang.values cimport Attrs, State


@cython.final
cdef class _Reading:
    cdef State evaluator
    cdef Draft draft
    cdef set context
    cdef dict structured
    cdef bint ignore_nulls
    cdef bint content_addressed
    cdef bint impure
    cdef bint submitting
    cdef object hash
    cdef object algorithm
    cdef object method
    cdef list outputs


@cython.locals(reading=_Reading, draft=Draft, environment=dict, context=set, is_plain=bint, ignore_nulls=bint, key=str,
               instantiator=Instantiator, made=Instantiated, table=dict)
cdef object _instantiate(State evaluator, str name, Attrs attrs)
cdef object _read_attribute(_Reading reading, str key, object value, Attrs attrs)
@cython.locals(draft=Draft, text=str)
cdef object _read_plain(_Reading reading, str key, object value, Attrs attrs)
cdef object _read_structured(_Reading reading, str key, object value, Attrs attrs)
cdef object _set_hash_attribute(_Reading reading, str key, str text)
cdef str _method(_Reading reading, str text)
cdef object _find_submitting(_Reading reading, list features)
cdef object _set_output_names(_Reading reading, list names)
cdef object _warn_attribute(_Reading reading, Attrs attrs, str key, str message)
@cython.locals(inputs=dict, element=str, end=Py_ssize_t)
cdef object _add_inputs(Draft draft, set context, object effects)
cdef object _add_closure(Draft draft, str path, object effects)
@cython.locals(draft=Draft)
cdef object _check_required(_Reading reading)
@cython.locals(draft=Draft)
cdef object _set_outputs(_Reading reading, object effects, Instantiator instantiator)
@cython.locals(draft=Draft)
cdef object _set_fixed_output(_Reading reading, object effects, Instantiator instantiator)
