from frazil.lang.values cimport Expr


cdef extern from *:
    """
    #ifndef FRAZIL_DEFINITIONS_H
    #define FRAZIL_DEFINITIONS_H
    /* definitions.c */
    typedef struct frazil_definitions frazil_definitions;
    frazil_definitions *frazil_new_definitions(void);
    void frazil_free_definitions(frazil_definitions *all);
    frazil_definitions *frazil_with_definition(
        frazil_definitions *all, PyObject *name, PyObject *expr, Py_ssize_t pos, int kind);
    Py_ssize_t frazil_find_definition(frazil_definitions *all, PyObject *name);
    Py_ssize_t frazil_count_definitions(frazil_definitions *all);
    PyObject *frazil_definition_name(frazil_definitions *all, Py_ssize_t i);
    PyObject *frazil_definition_expr(frazil_definitions *all, Py_ssize_t i);
    Py_ssize_t frazil_definition_pos(frazil_definitions *all, Py_ssize_t i);
    int frazil_definition_kind(frazil_definitions *all, Py_ssize_t i);
    void frazil_sort_definitions(frazil_definitions *all);
    PyObject *frazil_definition_names(frazil_definitions *all);
    PyObject *frazil_packed_positions(frazil_definitions *all);
    PyObject *frazil_packed_kinds(frazil_definitions *all);
    PyObject *frazil_known_shape(frazil_definitions *all);
    void frazil_know_shape(frazil_definitions *all, PyObject *shape);
    #endif
    """
    ctypedef struct Definitions "frazil_definitions":
        pass
    Definitions *new_definitions "frazil_new_definitions"() except NULL
    void free_definitions "frazil_free_definitions"(Definitions *all) noexcept
    Definitions *with_definition "frazil_with_definition"(
        Definitions *all, str name, Expr expr, Py_ssize_t pos, int kind) except NULL
    Py_ssize_t find_definition "frazil_find_definition"(Definitions *all, str name) except -2
    Py_ssize_t count_definitions "frazil_count_definitions"(Definitions *all) noexcept
    str definition_name "frazil_definition_name"(Definitions *all, Py_ssize_t i)
    object definition_expr "frazil_definition_expr"(Definitions *all, Py_ssize_t i)
    Py_ssize_t definition_pos "frazil_definition_pos"(Definitions *all, Py_ssize_t i) noexcept
    int definition_kind "frazil_definition_kind"(Definitions *all, Py_ssize_t i) noexcept
    void sort_definitions "frazil_sort_definitions"(Definitions *all) noexcept
    tuple definition_names "frazil_definition_names"(Definitions *all)
    bytes packed_positions "frazil_packed_positions"(Definitions *all)
    bytes packed_kinds "frazil_packed_kinds"(Definitions *all)
    object known_shape "frazil_known_shape"(Definitions *all)
    void know_shape "frazil_know_shape"(Definitions *all, object shape) noexcept


cdef inline Definitions *no_definitions() noexcept:
    return NULL


cdef inline bint has_definitions(Definitions *all) noexcept:
    return all != NULL
