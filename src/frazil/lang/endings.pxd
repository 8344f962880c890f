cimport cython

from frazil.lang.values cimport POOL, Pool


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
    /* Nodes come from the pool, too: an object of Python's own takes a multiple of 16 bytes and five calls. */
    static frazil_pool *frazil_node_pool;
    static PyObject *frazil_new_node(PyTypeObject *kind, Py_ssize_t nothing) {
        size_t size = (size_t) kind->tp_basicsize;
        PyObject *node = frazil_begin(frazil_node_pool, kind, size / sizeof(void *));
        (void) nothing;
        if (__builtin_expect(node != NULL, 1)) memset(node + 1, 0, size - sizeof(PyObject));
        return node;
    }
    /* One more node of a class: all of its fields as `like` has them, which are None and numbers. */
    static inline PyObject *frazil_like(frazil_pool *pool, PyObject *like) {
        PyTypeObject *kind = Py_TYPE(like);
        size_t i, words = (size_t) kind->tp_basicsize / sizeof(void *);
        PyObject *node;
    #if defined(Py_GIL_DISABLED) || defined(Py_TRACE_REFS) || defined(Py_REF_DEBUG)
        node = kind->tp_alloc(kind, 0);
    #else
        node = frazil_begin(pool, kind, words);
    #endif
        if (__builtin_expect(node == NULL, 0)) return NULL;
        for (i = sizeof(PyObject) / sizeof(void *); i < words; i++) {
            PyObject *field = ((PyObject **) like)[i];
            if (field == Py_None) Py_INCREF(field);
            ((PyObject **) node)[i] = field;
        }
        return node;
    }
    static void frazil_free_node(void *node) {
        size_t words = (size_t) Py_TYPE((PyObject *) node)->tp_basicsize / sizeof(void *);
        if (words > FRAZIL_POOL_WORDS) { PyObject_Free(node); return; }
        *frazil_first_word(node) = (size_t) frazil_node_pool->unused[words];
        frazil_node_pool->unused[words] = node;
    }
    static void frazil_keep_in_pool(frazil_pool *pool, PyTypeObject *kind) {
    #if !defined(Py_GIL_DISABLED) && !defined(Py_TRACE_REFS) && !defined(Py_REF_DEBUG)
        if (PyType_IS_GC(kind) || kind->tp_itemsize != 0) return;
        frazil_node_pool = pool;
        kind->tp_alloc = frazil_new_node;
        kind->tp_free = frazil_free_node;
    #endif
    }
    #endif
    """
    object node_like "frazil_like" (Pool *pool, object like)
    void keep_in_pool_of "frazil_keep_in_pool" (Pool *pool, type kind) noexcept
    void nest_no_deeper "frazil_nest_no_deeper" (type kind) noexcept


cdef inline void keep_in_pool(type kind) noexcept:
    keep_in_pool_of(&POOL, kind)


cdef inline object another(object like):
    """A node of the same class, whose fields are the same."""
    return node_like(&POOL, like)
