cdef extern from *:
    """
    #ifndef FRAZIL_INDENTATION_H
    #define FRAZIL_INDENTATION_H
    /* indentation.c */
    Py_ssize_t frazil_find_quote(const unsigned char *p, Py_ssize_t i, Py_ssize_t n);
    int frazil_has_null(const unsigned char *p, Py_ssize_t i, Py_ssize_t end);
    PyObject *frazil_strip_text(const unsigned char *p, Py_ssize_t start, Py_ssize_t end);
    PyObject *frazil_strip_indentation(PyObject *parts);
    #endif
    """
    Py_ssize_t find_quote "frazil_find_quote"(const unsigned char *p, Py_ssize_t i, Py_ssize_t n) noexcept
    bint has_null "frazil_has_null"(const unsigned char *p, Py_ssize_t i, Py_ssize_t end) noexcept
    str strip_text "frazil_strip_text"(const unsigned char *p, Py_ssize_t start, Py_ssize_t end)
    list strip_indentation "frazil_strip_indentation"(list parts)
