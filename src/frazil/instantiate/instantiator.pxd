cimport cython


@cython.final
cdef class Draft:
    cdef public str name
    cdef public str platform
    cdef public str builder
    cdef public list arguments
    cdef public dict environment
    cdef public dict inputs
    cdef public list dynamic
    cdef public set sources
    cdef public dict outputs


@cython.final
cdef class Instantiated:
    cdef readonly str path
    cdef readonly dict outputs


@cython.final
cdef class Instantiator:
    cdef readonly object directory
    cdef object _read_stored
    cdef dict _modulo
    cdef dict _same
    cdef public dict pending
    cdef public dict made
    cdef public dict known_outputs
    cdef public dict fixed_outputs
    cdef dict _fixed_texts
    cdef object _from_store
    cdef str _prefix
    cdef str _middle
    cdef public object made_text
    cpdef object modulo(self, str path)
    cpdef Instantiated instantiate(self, Draft draft)
    cpdef str fixed_path(self, object address, str name)
    cdef bytes _masked_inputs(self, dict inputs)
    cdef Instantiated _input_addressed(self, Draft draft, bytes masked)
    cdef Instantiated _fixed(self, Draft draft, object output)
    cdef Instantiated _general(self, Draft draft)
    cdef object _derivation(self, Draft draft)
    cdef str _add(self, str name, bytes contents, set mentioned)
    cdef str _store_path(self, str kind, str digest, str name)
