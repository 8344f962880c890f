cimport cython


cdef extern from *:
    """
    static inline Py_ssize_t frazil_packed_position(PyObject *table, Py_ssize_t i) {
        return ((int *) PyBytes_AS_STRING(table))[i];
    }
    """
    Py_ssize_t packed_position "frazil_packed_position"(object table, Py_ssize_t i) noexcept


cdef extern from "frazil/native/values/texts.h":
    Py_ssize_t few_place "frazil_place_among"(tuple names, str name) noexcept


@cython.final
cdef class Shape:
    cdef readonly Py_ssize_t count
    cdef readonly tuple names
    cdef dict index
    cdef object nowhere
    cdef dict merges
    cdef dict removals


@cython.final
cdef class Places:
    cdef Shape shape
    cdef object table
    cdef object definer
    cdef object members
    cdef Py_ssize_t made
    cdef readonly Py_ssize_t pos


@cython.final
cdef class MergedPositions:
    cdef object left
    cdef object right
    cdef int depth


@cython.final
cdef class KeptPositions:
    cdef object origin
    cdef object kept


cdef Shape EMPTY_SHAPE
cdef dict SHAPES

cdef dict index_of(Shape shape)
cdef Py_ssize_t place_among(Shape shape, str name) except -2
cdef object nowhere(Shape shape)
cdef Places places(Shape shape, object table, Py_ssize_t pos)
cdef object kept_positions(object origin, object kept)
cpdef Shape shape_of(tuple names)
cpdef object origin_names(object origin)
cpdef bint has_origin(object origin, str name) except -1
cpdef Py_ssize_t origin_position(object origin, str name) except -1
