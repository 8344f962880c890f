cimport cython


cdef extern from *:
    """
    #ifndef FRAZIL_ENDINGS_H
    #define FRAZIL_ENDINGS_H
    #define FRAZIL_KINDS 256
    #define FRAZIL_NODES_WITHIN 400
    static struct { PyTypeObject *kind; destructor end; } frazil_endings[FRAZIL_KINDS];
    static int frazil_kinds = 0, frazil_nodes_within = 0;
    static PyObject *frazil_nodes_waiting = NULL;
    static inline unsigned int frazil_kind_place(PyTypeObject *kind) {
        unsigned int i = (unsigned int) ((size_t) kind >> 4) % FRAZIL_KINDS;
        while (frazil_endings[i].kind != kind && frazil_endings[i].kind != NULL) i = (i + 1) % FRAZIL_KINDS;
        return i;
    }
    static void frazil_end_now(PyObject *node) { frazil_endings[frazil_kind_place(Py_TYPE(node))].end(node); }
    /* What waits is linked by its first word, where its references were counted: all builds with another first word, or
       that count otherwise, are left alone below. */
    static void frazil_end_node(PyObject *node) {
        if (frazil_nodes_within >= FRAZIL_NODES_WITHIN) {
            *(size_t *) node = (size_t) frazil_nodes_waiting;
            frazil_nodes_waiting = node;
            return;
        }
        frazil_nodes_within++;
        frazil_end_now(node);
        while (frazil_nodes_within == 1 && frazil_nodes_waiting != NULL) {
            node = frazil_nodes_waiting;
            frazil_nodes_waiting = (PyObject *) *(size_t *) node;
            *(size_t *) node = 0;
            frazil_end_now(node);
        }
        frazil_nodes_within--;
    }
    static void frazil_nest_no_deeper(PyTypeObject *kind) {
    #if !defined(Py_GIL_DISABLED) && !defined(Py_TRACE_REFS) && !defined(Py_REF_DEBUG)
        unsigned int i = frazil_kind_place(kind);
        if (frazil_kinds > FRAZIL_KINDS / 2 || frazil_endings[i].kind != NULL) return;
        frazil_kinds++;
        frazil_endings[i].kind = kind;
        frazil_endings[i].end = kind->tp_dealloc;
        kind->tp_dealloc = frazil_end_node;
    #endif
    }
    #endif
    """
    void nest_no_deeper "frazil_nest_no_deeper" (type kind) noexcept
