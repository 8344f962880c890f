/* The end of objects, the beginning of the pool, and calls, which live in it. */
#ifndef FRAZIL_VALUES_RELEASE_H
#define FRAZIL_VALUES_RELEASE_H

#include "thunks.h"

/* The end of such an object. Chains of any length end without deep recursion: what would nest too far waits in a
   list until the outermost is done. */
#define FRAZIL_NESTING 500
static int frazil_nesting = 0;
static PyObject *frazil_waiting = NULL;
static void frazil_finish(PyObject *object);
static inline __attribute__((always_inline)) void frazil_drop(PyObject *object, size_t words) {
#if defined(Py_GIL_DISABLED) || defined(Py_TRACE_REFS) || defined(Py_REF_DEBUG)
    PyObject_Free(object);
#else
    PyTypeObject *type = Py_TYPE(object);
    if (FRAZIL_IS_ON_HEAP(type)) Py_DECREF((PyObject *) type);
    if (words > FRAZIL_POOL_WORDS) { PyObject_Free(object); return; }
    *frazil_first_word(object) = (size_t) frazil_own_pool->unused[words];
    frazil_own_pool->unused[words] = object;
#endif
}
static PyTypeObject *frazil_slots_type, *frazil_attrs_type;
static inline __attribute__((always_inline)) void frazil_finish_inline(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    if (__builtin_expect(type != frazil_slots_type && type != frazil_attrs_type, 1)) {
        frazil_pair *pair = (frazil_pair *) object;
        PyObject *first = pair->first, *second = pair->second;
        Py_XDECREF(first);
        Py_XDECREF(second);
        frazil_drop(object, FRAZIL_WORDS(frazil_pair));
    }
    else if (type == frazil_slots_type) {
        frazil_slots *slots = (frazil_slots *) object;
        Py_ssize_t i, count = slots->size;
        for (i = 0; i < count; i++) Py_XDECREF(slots->items[i]);
        Py_XDECREF(slots->up);
        frazil_drop(object, FRAZIL_SLOTS_WORDS(count));
    }
    else {
        frazil_attrs *attrs = (frazil_attrs *) object;
        Py_ssize_t i, count = attrs->shape == Py_None ? 2 : ((frazil_shape *) attrs->shape)->count;
        for (i = 0; i < count; i++) Py_XDECREF(attrs->items[i]);
        if (attrs->table_of_methods == (void *) frazil_lazy_methods) Py_XDECREF(attrs->items[count++]);
        Py_DECREF(attrs->shape); Py_XDECREF(attrs->origin);
        frazil_drop(object, FRAZIL_ATTRS_WORDS(count));
    }
}
static void frazil_finish(PyObject *object) { frazil_finish_inline(object); }
static void frazil_dealloc(PyObject *object) {
    if (__builtin_expect(frazil_nesting >= FRAZIL_NESTING, 0)) {
        *frazil_first_word(object) = (size_t) frazil_waiting;
        frazil_waiting = object;
        return;
    }
    frazil_nesting++;
    frazil_finish_inline(object);
    while (__builtin_expect(frazil_nesting == 1 && frazil_waiting != NULL, 0)) {
        object = frazil_waiting;
        frazil_waiting = (PyObject *) *frazil_first_word(object);
        *frazil_first_word(object) = 0;
        frazil_finish(object);
    }
    frazil_nesting--;
}
/* `runtime.CallExpr`, as much is made of as of thunks. `like` is another, for its table of methods. */
typedef struct {
    PyObject_HEAD void *table_of_methods; PyObject *state; Py_ssize_t pos; PyObject *function; int paired, unplaced;
} frazil_call;
static inline PyObject *frazil_new_call(
    frazil_pool *pool, PyObject *like, PyObject *state, PyObject *function, int paired, int unplaced
) {
    frazil_call *call = (frazil_call *) frazil_begin(pool, Py_TYPE(like), FRAZIL_WORDS(frazil_call));
    if (__builtin_expect(call == NULL, 0)) return NULL;
    call->table_of_methods = ((frazil_call *) like)->table_of_methods;
    Py_INCREF(state); call->state = state;
    call->pos = 0;
    Py_INCREF(function); call->function = function;
    call->paired = paired;
    call->unplaced = unplaced;
    return (PyObject *) call;
}
static void frazil_dealloc_call(PyObject *object) {
    PyObject *state = ((frazil_call *) object)->state, *function = ((frazil_call *) object)->function;
    frazil_drop(object, FRAZIL_WORDS(frazil_call));
    Py_XDECREF(state);
    Py_XDECREF(function);
}
static void frazil_pool_calls(frazil_pool *pool, PyTypeObject *type) {
    frazil_own_pool = pool;
    type->tp_dealloc = frazil_dealloc_call;
}
#if defined(FRAZIL_RELEASES) && defined(__PYX_HAVE__frazil__lang__values)
/* What Py_DECREF calls (tracebacks.h). */
extern void frazil_python_dealloc(PyObject *) __asm__("_Py_Dealloc");
void frazil_release(PyObject *object) {
    if (__builtin_expect(Py_TYPE(object)->tp_dealloc == frazil_dealloc, 1)) frazil_dealloc(object);
    else frazil_python_dealloc(object);
}
#endif
/* sweep.c */
void frazil_sweep_later(char *used, char *piece);
void frazil_sweep_kinds(
    PyTypeObject *thunk, PyTypeObject *env, PyTypeObject *slots, PyTypeObject *attrs, void *methods_of_lazy_sets);
#define FRAZIL_PIECE ((size_t) 1 << 20)
static void *frazil_more(size_t words) {
    frazil_pool *pool = frazil_own_pool;
    char *piece;
#if defined(__linux__)
    PyObjectArenaAllocator arenas;
    PyObject_GetArenaAllocator(&arenas);
    piece = (char *) arenas.alloc(arenas.ctx, FRAZIL_PIECE);
#else
    piece = (char *) malloc(FRAZIL_PIECE);
#endif
    if (piece == NULL) return NULL;
    frazil_sweep_later(pool->next, piece);
    pool->next = piece + words * sizeof(void *);
    pool->end = piece + FRAZIL_PIECE;
    return piece;
}
static void frazil_begin_pool(
    frazil_pool *pool, PyTypeObject *thunk, PyTypeObject *env, PyTypeObject *lambda, PyTypeObject *slots,
    PyTypeObject *attrs
) {
    frazil_own_pool = pool;
    pool->more = frazil_more;
    frazil_slots_type = slots;
    frazil_attrs_type = attrs;
    frazil_sweep_kinds(thunk, env, slots, attrs, frazil_lazy_methods);
    Py_SET_REFCNT((PyObject *) &frazil_unmade, 1);
    Py_SET_TYPE((PyObject *) &frazil_unmade, thunk);
    thunk->tp_dealloc = env->tp_dealloc = lambda->tp_dealloc = slots->tp_dealloc = attrs->tp_dealloc = frazil_dealloc;
}
static void frazil_begin_laziness(PyObject *like, PyObject *expr) {
    memcpy(frazil_lazy_methods, ((frazil_attrs *) like)->table_of_methods, sizeof frazil_lazy_methods);
    Py_INCREF(expr); frazil_unmade.first = expr;
    Py_INCREF(Py_None); frazil_unmade.second = Py_None;
}

#endif
