cimport cython


cpdef str quote(str text)
cpdef str escape(str text)

@cython.locals(character=Py_UCS4)
cdef bint needs_escape(str text) except -1

@cython.locals(inner=list)
cpdef str quoted_names(object names)

@cython.locals(
    folded=bytearray, shown=bytearray, i=Py_ssize_t, n=Py_ssize_t, bit=Py_ssize_t, byte=Py_ssize_t)
cpdef str fold_digest(bytes digest)
