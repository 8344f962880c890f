/* Environments: the values of a `let`, of a function's formals, or one argument, and those further out. */
#ifndef FRAZIL_VALUES_SCOPES_H
#define FRAZIL_VALUES_SCOPES_H

#include "sets.h"

/* Slots are filled and refilled in place, and never leave the evaluator. Without a filler they hold NULL, which
   `init_slot` expects. */
static inline PyObject *frazil_new_slots(
    frazil_pool *pool, PyTypeObject *type, PyObject *up, Py_ssize_t count, PyObject *filler
) {
    frazil_slots *slots = (frazil_slots *) frazil_begin(pool, type, FRAZIL_SLOTS_WORDS(count));
    Py_ssize_t i;
    if (__builtin_expect(slots == NULL, 0)) return NULL;
    Py_INCREF(up); slots->up = up;
    slots->size = count;
    if (filler != NULL) Py_SET_REFCNT(filler, Py_REFCNT(filler) + count);
    for (i = 0; i < count; i++) slots->items[i] = filler;
    return (PyObject *) slots;
}
static inline PyObject *frazil_empty_slots(
    frazil_pool *pool, PyTypeObject *type, PyObject *up, Py_ssize_t count
) {
    return frazil_new_slots(pool, type, up, count, NULL);
}
/* A scope whose values are made when somebody asks: behind them stands the node that makes them. */
static inline PyObject *frazil_lazy_slots(
    frazil_pool *pool, PyTypeObject *type, PyObject *up, Py_ssize_t count, PyObject *definer
) {
    PyObject *slots = frazil_new_slots(pool, type, up, count + 1, (PyObject *) &frazil_unmade);
    if (__builtin_expect(slots == NULL, 0)) return NULL;
    Py_DECREF((PyObject *) &frazil_unmade);
    Py_INCREF(definer);
    ((frazil_slots *) slots)->items[count] = definer;
    return slots;
}
static inline PyObject *frazil_definer(PyObject *object) {
    frazil_slots *slots = (frazil_slots *) object;
    PyObject *last = slots->size > 0 ? slots->items[slots->size - 1] : Py_None;
    Py_INCREF(last);
    return last;
}
static inline PyObject *frazil_get_slot(PyObject *slots, Py_ssize_t i) {
    PyObject *value = ((frazil_slots *) slots)->items[i];
    Py_INCREF(value);
    return value;
}
static inline void frazil_set_slot(PyObject *slots, Py_ssize_t i, PyObject *value) {
    PyObject *old = ((frazil_slots *) slots)->items[i];
    Py_INCREF(value);
    ((frazil_slots *) slots)->items[i] = value;
    Py_DECREF(old);
}
/* The same, some scopes further out. */
typedef struct { PyObject_HEAD PyObject *up; PyObject *payload; } frazil_scope;
static inline PyObject *frazil_outer(PyObject *env, Py_ssize_t depth) {
    for (; depth > 0; depth--) env = ((frazil_scope *) env)->up;
    return env;
}
static inline PyObject *frazil_outer_env(PyObject *env, Py_ssize_t depth) {
    env = frazil_outer(env, depth);
    Py_INCREF(env);
    return env;
}
static inline PyObject *frazil_get_outer(PyObject *env, Py_ssize_t depth, Py_ssize_t i) {
    return frazil_get_slot(frazil_outer(env, depth), i);
}
/* The value of a variable that was evaluated before. */
static inline PyObject *frazil_known_slot(PyObject *env, Py_ssize_t depth, Py_ssize_t i) {
    PyObject *value = frazil_settled(&((frazil_slots *) frazil_outer(env, depth))->items[i]);
    Py_INCREF(value);
    return value;
}
static inline void frazil_set_outer(PyObject *env, Py_ssize_t depth, Py_ssize_t i, PyObject *value) {
    frazil_set_slot(frazil_outer(env, depth), i, value);
}
static inline PyObject *frazil_get_argument(PyObject *env, Py_ssize_t depth) {
    PyObject *value = ((frazil_scope *) frazil_outer(env, depth))->payload;
    Py_INCREF(value);
    return value;
}
static inline void frazil_set_argument(PyObject *env, Py_ssize_t depth, PyObject *value) {
    frazil_scope *scope = (frazil_scope *) frazil_outer(env, depth);
    PyObject *old = scope->payload;
    Py_INCREF(value);
    scope->payload = value;
    Py_DECREF(old);
}
static inline void frazil_init_slot(PyObject *slots, Py_ssize_t i, PyObject *value) {
    Py_INCREF(value);
    ((frazil_slots *) slots)->items[i] = value;
}
static inline PyObject *frazil_slots_table(PyObject *names, PyObject *slots) {
    return frazil_table(names, ((frazil_slots *) slots)->items, ((frazil_slots *) slots)->size);
}

#endif
