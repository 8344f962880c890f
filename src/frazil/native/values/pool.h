/* What evaluation makes most, and the memory it is made in. Declared to Cython by lang/values.pxd, as are
   the others of this folder but texts.h. */
#ifndef FRAZIL_VALUES_POOL_H
#define FRAZIL_VALUES_POOL_H

#include "texts.h"

/* Where memory for objects comes from: arenas.c. */
void frazil_use_own_arenas(void);

/* What evaluation makes most: made here, because allocation is most of evaluation. Sizes are counted in words.
   Memory of one size goes from hand to hand through a list of its own; new memory is cut from large pieces. */
#define FRAZIL_POOL_WORDS 32
#define FRAZIL_INTEGERS 4096
typedef struct {
    void *unused[FRAZIL_POOL_WORDS + 1];
    char *next, *end;
    void *(*more)(size_t words);
    PyObject *integers[FRAZIL_INTEGERS];
} frazil_pool;

/* Objects count as references to their class where Cython makes classes at run time. */
#if CYTHON_USE_TYPE_SPECS
#define FRAZIL_IS_ON_HEAP(type) ((type)->tp_flags & Py_TPFLAGS_HEAPTYPE)
#else
#define FRAZIL_IS_ON_HEAP(type) ((void) (type), 0)
#endif

/* Integers have 64 bits. Those that are common are made once. */
static inline PyObject *frazil_new_int(frazil_pool *pool, long long value) {
#if !defined(Py_GIL_DISABLED)
    if ((unsigned long long) value < FRAZIL_INTEGERS) {
        PyObject *number = pool->integers[value];
        if (__builtin_expect(number == NULL, 0)) {
            number = PyLong_FromLongLong(value);
            if (number == NULL) return NULL;
            pool->integers[value] = number;
        }
        Py_INCREF(number);
        return number;
    }
#endif
    return PyLong_FromLongLong(value);
}
/* None where the outcome is no integer of 64 bits. */
enum { FRAZIL_SUBTRACT, FRAZIL_MULTIPLY, FRAZIL_DIVIDE, FRAZIL_LESS, FRAZIL_ADD };
static inline PyObject *frazil_calculate(frazil_pool *pool, int operation, PyObject *left, PyObject *right) {
    long long a = frazil_int(left), b = frazil_int(right), result = 0;
    int failed = 0;
    switch (operation) {
    case FRAZIL_SUBTRACT: failed = __builtin_sub_overflow(a, b, &result); break;
    case FRAZIL_MULTIPLY: failed = __builtin_mul_overflow(a, b, &result); break;
    case FRAZIL_ADD: failed = __builtin_add_overflow(a, b, &result); break;
    case FRAZIL_LESS: if (a < b) Py_RETURN_TRUE; Py_RETURN_FALSE;
    default:
        failed = b == 0 || (b == -1 && a < -0x7fffffffffffffffLL);
        if (!failed) result = a / b;
    }
    if (__builtin_expect(failed, 0)) Py_RETURN_NONE;
    return frazil_new_int(pool, result);
}
typedef struct { PyObject_HEAD PyObject *first; PyObject *second; } frazil_pair;
typedef struct { PyObject_HEAD PyObject *up; Py_ssize_t size; PyObject *items[1]; } frazil_slots;
/* The values of a set that has a shape; for others there is one item, a dict or None. */
typedef struct {
    PyObject_HEAD void *table_of_methods; PyObject *shape; PyObject *origin; PyObject *items[1];
} frazil_attrs;
typedef struct { PyObject_HEAD Py_ssize_t count; } frazil_shape;
/* Stands where something has yet to be made, in the scope of a `let` or in a set: it looks like a thunk. One for
   all files of the program; where it stands it counts as a reference. */
#define FRAZIL_SHARED __attribute__((weak, visibility("hidden")))
FRAZIL_SHARED frazil_pair frazil_unmade;
static inline int frazil_is_unmade(PyObject *value) { return value == (PyObject *) &frazil_unmade; }
static inline PyObject *frazil_get_unmade(void) {
    Py_INCREF((PyObject *) &frazil_unmade);
    return (PyObject *) &frazil_unmade;
}
/* A set some of whose values are not made yet has the same methods in another table, and one word more at its end:
   from what they are made, NULL when all are. FRAZIL_METHODS: as many as `Attrs` has below. */
#define FRAZIL_METHODS 10
FRAZIL_SHARED void *frazil_lazy_methods[FRAZIL_METHODS];
#define FRAZIL_WORDS(type) (sizeof(type) / sizeof(void *))
#define FRAZIL_SLOTS_WORDS(count) (offsetof(frazil_slots, items) / sizeof(void *) + (size_t) (count))
#define FRAZIL_ATTRS_WORDS(count) (offsetof(frazil_attrs, items) / sizeof(void *) + (size_t) (count))
/* Where objects count their references, and hold a link when nobody has any. Python's own ways of setting it look
   at what is there first: a link may look like the count of what lives for ever. */
static inline size_t *frazil_first_word(void *object) { return (size_t *) object; }
static inline PyObject *frazil_begin(frazil_pool *pool, PyTypeObject *type, size_t words) {
    PyObject *object;
#if defined(Py_GIL_DISABLED) || defined(Py_TRACE_REFS) || defined(Py_REF_DEBUG)
    object = (PyObject *) PyObject_Malloc(words * sizeof(void *));
    if (object == NULL) return PyErr_NoMemory();
    PyObject_Init(object, type);
#else
    size_t size = words * sizeof(void *);
    if (__builtin_expect(words > FRAZIL_POOL_WORDS, 0)) {
        object = (PyObject *) PyObject_Malloc(size);
        if (object == NULL) return PyErr_NoMemory();
    }
    else if ((object = (PyObject *) pool->unused[words]) != NULL)
        pool->unused[words] = (void *) *frazil_first_word(object);
    else if (__builtin_expect((size_t) (pool->end - pool->next) >= size, 1)) {
        object = (PyObject *) pool->next;
        pool->next += size;
    }
    else if ((object = (PyObject *) pool->more(words)) == NULL) return PyErr_NoMemory();
    *frazil_first_word(object) = 1;
    Py_SET_TYPE(object, type);
    if (FRAZIL_IS_ON_HEAP(type)) Py_INCREF((PyObject *) type);
#endif
    return object;
}
static inline PyObject *frazil_new_pair(frazil_pool *pool, PyTypeObject *type, PyObject *first, PyObject *second) {
    frazil_pair *pair = (frazil_pair *) frazil_begin(pool, type, FRAZIL_WORDS(frazil_pair));
    if (__builtin_expect(pair == NULL, 0)) return NULL;
    Py_INCREF(first); pair->first = first;
    Py_INCREF(second); pair->second = second;
    return (PyObject *) pair;
}
/* A thunk of a function becomes the function: both hold an expression and an environment. */
static inline void frazil_become(PyObject *object, PyTypeObject *type) {
    PyTypeObject *old = Py_TYPE(object);
    if (FRAZIL_IS_ON_HEAP(type)) Py_INCREF((PyObject *) type);
    Py_SET_TYPE(object, type);
    if (FRAZIL_IS_ON_HEAP(old)) Py_DECREF((PyObject *) old);
}
/* A node becomes one of another class, whose fields are the same: `like` is such a one. */
static inline void frazil_turn(PyObject *object, PyObject *like) {
    frazil_become(object, Py_TYPE(like));
    ((frazil_attrs *) object)->table_of_methods = ((frazil_attrs *) like)->table_of_methods;
}
/* The methods of expressions in the order of `Expr` below. */
enum { FRAZIL_EVAL, FRAZIL_DELAY, FRAZIL_PEEK, FRAZIL_QUICK, FRAZIL_SETTLE };
static inline PyObject *frazil_ask(PyObject *expr, int method, PyObject *env) {
    return ((PyObject *(**)(PyObject *, PyObject *)) ((frazil_attrs *) expr)->table_of_methods)[method](expr, env);
}

#endif
