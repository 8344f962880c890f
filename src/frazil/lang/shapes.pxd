cimport cython

from frazil.lang.origins cimport MergedPositions, Shape
from frazil.lang.values cimport Attrs


@cython.final
cdef class Plan:
    cdef Shape shape
    cdef bytes places
    cdef object left
    cdef object right
    cdef object origin


@cython.final
cdef class Merger:
    cdef Shape left_shape
    cdef Shape right_shape
    cdef Plan plan
    cdef object left
    cdef object right
    cdef object origin


cdef object joined_origin(object left, object right)
cdef object compacted(MergedPositions merged)
cdef Attrs update_with(Merger merger, Attrs left, Attrs right)
cpdef Attrs update_attrs(Attrs left, Attrs right)
cpdef Attrs without_names(Attrs attrs, object names)
cdef Attrs compact(dict table, object origin)
cdef Shape known_shape(tuple names)
