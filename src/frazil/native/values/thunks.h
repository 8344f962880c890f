/* Evaluating expressions, thunks among them. */
#ifndef FRAZIL_VALUES_THUNKS_H
#define FRAZIL_VALUES_THUNKS_H

#include "pool.h"

/* What a failure, or a value of another kind than expected, asks for is in Cython: called while Python knows of the
   error, or with the value waiting; `frazil_pending` raises the one or gives the other. */
FRAZIL_SHARED PyObject *frazil_pending_value;
FRAZIL_SHARED PyObject *(*frazil_unusual)(PyObject *thunk);
FRAZIL_SHARED PyObject *(*frazil_untraced)(PyObject *expr, PyObject *text);
FRAZIL_SHARED PyObject *(*frazil_uncalled)(PyObject *function, Py_ssize_t call_pos);
static PyObject *frazil_pending(void) {
    PyObject *value = frazil_pending_value;
    frazil_pending_value = NULL;
    return value;
}
static inline PyObject *frazil_traced(PyObject *expr, PyObject *env, PyObject *text) {
    PyObject *value = frazil_ask(expr, FRAZIL_EVAL, env);
    return __builtin_expect(value != NULL, 1) ? value : frazil_untraced(expr, text);
}
/* 2: neither true nor false, but waiting or failed. */
static inline int frazil_ask_bool(PyObject *expr, PyObject *env) {
    PyObject *value = frazil_ask(expr, FRAZIL_EVAL, env);
    int found = value == Py_True ? 1 : value == Py_False ? 0 : 2;
    if (__builtin_expect(found == 2, 0)) frazil_pending_value = value;
    else Py_DECREF(value);
    return found;
}
static inline PyObject *frazil_eval_body(PyObject *body, PyObject *env, PyObject *function, Py_ssize_t call_pos) {
    PyObject *value = frazil_ask(body, FRAZIL_EVAL, env);
    return __builtin_expect(value != NULL, 1) ? value : frazil_uncalled(function, call_pos);
}
static frazil_pool *frazil_own_pool;
static PyTypeObject *frazil_function_types[3];
static void frazil_know_functions(PyTypeObject *function, PyTypeObject *builtin, PyTypeObject *application) {
    frazil_function_types[0] = function;
    frazil_function_types[1] = builtin;
    frazil_function_types[2] = application;
}
static void frazil_keep_for_ever(PyObject *object) { Py_SET_REFCNT(object, (Py_ssize_t) 1 << 29); }
/* The thunk has its value; what it was to be made from is let go. */
static inline void frazil_finish_thunk(frazil_pair *thunk, PyObject *expr, PyObject *env, PyObject *value) {
    Py_INCREF(Py_None);
    thunk->first = Py_None;
    Py_INCREF(value);
    thunk->second = value;
    Py_DECREF(expr);
    Py_DECREF(env);
}
/* A function for a thunk's cell (Cython's `own_function` says which). */
static inline PyObject *frazil_own_function(PyObject *thunk, PyObject *function) {
    frazil_pair *pair = (frazil_pair *) thunk, *found = (frazil_pair *) function;
    PyObject *expr = pair->first, *env = pair->second, *own;
    if (found->first == expr) {
        frazil_become(thunk, Py_TYPE(function));
        Py_INCREF(thunk);
        Py_DECREF(function);
        return thunk;
    }
    own = frazil_new_pair(frazil_own_pool, Py_TYPE(function), found->first, found->second);
    Py_DECREF(function);
    if (__builtin_expect(own == NULL, 0)) return NULL;
    frazil_finish_thunk(pair, expr, env, own);
    return own;
}
/* Evaluate a pending thunk. While it is evaluated it has `blackhole` for an expression (not counted: it has
   references enough), which itself is where the environment was. A failure leaves it pending; so does a function,
   which asks for a cell of its own. */
static inline PyObject *frazil_run(PyObject *thunk, PyObject *blackhole) {
    frazil_pair *pair = (frazil_pair *) thunk;
    PyObject *expr = pair->first, *env = pair->second, *value;
    PyTypeObject *type;
    pair->first = blackhole;
    pair->second = expr;
    value = frazil_ask(expr, FRAZIL_EVAL, env);
    if (__builtin_expect(value != NULL, 1)) {
        type = Py_TYPE(value);
        if (__builtin_expect(type != frazil_function_types[0] && type != frazil_function_types[1]
                             && type != frazil_function_types[2], 1)) {
            frazil_finish_thunk(pair, expr, env, value);
            return value;
        }
        if (type == frazil_function_types[0]) {
            pair->first = expr;
            pair->second = env;
            return frazil_own_function(thunk, value);
        }
    }
    pair->first = expr;
    pair->second = env;
    frazil_pending_value = value;
    return frazil_unusual(thunk);
}

#endif
