/* Attribute sets: their values, made at once or when they are asked for, and what selections remember of them. */
#ifndef FRAZIL_VALUES_SETS_H
#define FRAZIL_VALUES_SETS_H

#include "pool.h"

/* A set whose values are yet to be put in by `init_value`. */
static inline PyObject *frazil_new_attrs(frazil_pool *pool, PyObject *like, PyObject *shape, PyObject *origin) {
    Py_ssize_t i, count = ((frazil_shape *) shape)->count;
    frazil_attrs *attrs = (frazil_attrs *) frazil_begin(pool, Py_TYPE(like), FRAZIL_ATTRS_WORDS(count));
    if (__builtin_expect(attrs == NULL, 0)) return NULL;
    attrs->table_of_methods = ((frazil_attrs *) like)->table_of_methods;
    Py_INCREF(shape); attrs->shape = shape;
    Py_INCREF(origin); attrs->origin = origin;
    for (i = 0; i < count; i++) attrs->items[i] = NULL;
    return (PyObject *) attrs;
}
static inline PyObject *frazil_lazy_attrs(
    frazil_pool *pool, PyObject *like, PyObject *shape, PyObject *origin, PyObject *source
) {
    Py_ssize_t i, count = ((frazil_shape *) shape)->count;
    frazil_attrs *attrs = (frazil_attrs *) frazil_begin(pool, Py_TYPE(like), FRAZIL_ATTRS_WORDS(count + 1));
    if (__builtin_expect(attrs == NULL, 0)) return NULL;
    attrs->table_of_methods = frazil_lazy_methods;
    Py_INCREF(shape); attrs->shape = shape;
    Py_INCREF(origin); attrs->origin = origin;
    Py_SET_REFCNT((PyObject *) &frazil_unmade, Py_REFCNT((PyObject *) &frazil_unmade) + count);
    for (i = 0; i < count; i++) attrs->items[i] = (PyObject *) &frazil_unmade;
    Py_INCREF(source); attrs->items[count] = source;
    return (PyObject *) attrs;
}
static inline PyObject **frazil_source(PyObject *object) {
    frazil_attrs *attrs = (frazil_attrs *) object;
    if (attrs->table_of_methods != (void *) frazil_lazy_methods) return NULL;
    return &attrs->items[((frazil_shape *) attrs->shape)->count];
}
static inline PyObject *frazil_get_source(PyObject *attrs) {
    PyObject **source = frazil_source(attrs), *found = source == NULL || *source == NULL ? Py_None : *source;
    Py_INCREF(found);
    return found;
}
static inline void frazil_set_source(PyObject *attrs, PyObject *new_source) {
    PyObject **source = frazil_source(attrs), *old = *source;
    Py_INCREF(new_source);
    *source = new_source;
    Py_XDECREF(old);
}
/* When all values are made, what they were made from is let go. */
static inline void frazil_look_whether_made(PyObject *attrs) {
    PyObject **source = frazil_source(attrs), **item = ((frazil_attrs *) attrs)->items, *old;
    for (; item < source; item++) if (*item == (PyObject *) &frazil_unmade) return;
    old = *source;
    *source = NULL;
    Py_XDECREF(old);
}
static inline int frazil_from_literal(PyObject *attrs) {
    PyObject **source = frazil_source(attrs);
    return source != NULL && *source != NULL && Py_TYPE(*source) != Py_TYPE(attrs);
}
/* Put what is at hand in a set that was just made; `which` are the places where that may be. */
static inline int frazil_settle(PyObject *attrs, PyObject *exprs, PyObject *which, PyObject *env) {
    const unsigned char *at = (const unsigned char *) PyBytes_AS_STRING(which), *end = at + PyBytes_GET_SIZE(which);
    Py_ssize_t left = ((frazil_slots *) exprs)->size;
    for (; at < end; at++) {
        PyObject *value = frazil_ask(((frazil_slots *) exprs)->items[*at], FRAZIL_SETTLE, env);
        if (__builtin_expect(value == NULL, 0)) return -1;
        if (value != (PyObject *) &frazil_unmade) {
            ((frazil_attrs *) attrs)->items[*at] = value;
            left--;
        }
        Py_DECREF((PyObject *) &frazil_unmade);
    }
    if (left == 0) frazil_look_whether_made(attrs);
    return 0;
}
static inline PyObject *frazil_make_from(PyObject *attrs, Py_ssize_t i, PyObject *exprs) {
    PyObject *env = *frazil_source(attrs), *value, *old;
    Py_INCREF(env);
    value = frazil_ask(((frazil_slots *) exprs)->items[i], FRAZIL_DELAY, env);
    Py_DECREF(env);
    if (__builtin_expect(value == NULL, 0)) return NULL;
    old = ((frazil_attrs *) attrs)->items[i];
    Py_INCREF(value);
    ((frazil_attrs *) attrs)->items[i] = value;
    Py_DECREF(old);
    frazil_look_whether_made(attrs);
    return value;
}
static inline PyObject *frazil_table_attrs(frazil_pool *pool, PyObject *like, PyObject *table, PyObject *origin) {
    frazil_attrs *attrs = (frazil_attrs *) frazil_begin(pool, Py_TYPE(like), FRAZIL_ATTRS_WORDS(2));
    if (__builtin_expect(attrs == NULL, 0)) return NULL;
    attrs->table_of_methods = ((frazil_attrs *) like)->table_of_methods;
    Py_INCREF(Py_None); attrs->shape = Py_None;
    Py_INCREF(origin); attrs->origin = origin;
    Py_INCREF(table); attrs->items[0] = table;
    Py_INCREF(Py_None); attrs->items[1] = Py_None;
    return (PyObject *) attrs;
}
static inline PyObject *frazil_get_value(PyObject *attrs, Py_ssize_t i) {
    PyObject *value = ((frazil_attrs *) attrs)->items[i];
    Py_INCREF(value);
    return value;
}
static inline void frazil_set_value(PyObject *attrs, Py_ssize_t i, PyObject *value) {
    PyObject *old = ((frazil_attrs *) attrs)->items[i];
    Py_INCREF(value);
    ((frazil_attrs *) attrs)->items[i] = value;
    Py_DECREF(old);
}
static inline void frazil_init_value(PyObject *attrs, Py_ssize_t i, PyObject *value) {
    Py_INCREF(value);
    ((frazil_attrs *) attrs)->items[i] = value;
}
/* What is found where nothing need be evaluated, looked for or made; otherwise `unmade()`. */
static inline PyObject *frazil_made(PyObject *value) {
    if (Py_TYPE(value) == Py_TYPE((PyObject *) &frazil_unmade)) {
        frazil_pair *thunk = (frazil_pair *) value;
        if (thunk->first != Py_None) return (PyObject *) &frazil_unmade;
        return thunk->second;
    }
    return value;
}
/* The same; a thunk that is done gives way to its value. */
static inline PyObject *frazil_settled(PyObject **place) {
    PyObject *old = *place, *value = frazil_made(old);
    if (value != old && value != (PyObject *) &frazil_unmade) {
        Py_INCREF(value);
        *place = value;
        Py_DECREF(old);
    }
    return value;
}
/* In memory a `Part`, or the end of a `Select` of one name: what it remembers. */
typedef struct { PyObject *memo, *held; Py_ssize_t place; } frazil_memory;
typedef struct { PyObject_HEAD PyObject *item; frazil_memory memory; } frazil_part;
typedef struct {
    PyObject_HEAD void *table_of_methods; PyObject *state; Py_ssize_t pos; PyObject *subject, *otherwise, *path;
    frazil_memory memory;
} frazil_select;
static inline PyObject *frazil_recall(frazil_memory *memory, PyObject *value, PyObject *like) {
    frazil_attrs *attrs = (frazil_attrs *) value;
    if (Py_TYPE(value) != Py_TYPE(like)) return (PyObject *) &frazil_unmade;
    if (attrs->shape == memory->memo && attrs->shape != Py_None)
        return memory->place < 0 ? (PyObject *) &frazil_unmade : frazil_settled(&attrs->items[memory->place]);
    return memory->memo == value ? frazil_made(memory->held) : (PyObject *) &frazil_unmade;
}
static inline PyObject *frazil_follow(PyObject *value, PyObject *parts, PyObject *like) {
    Py_ssize_t i, count = PyList_GET_SIZE(parts);
    for (i = 0; i < count; i++)
        value = frazil_recall(&((frazil_part *) PyList_GET_ITEM(parts, i))->memory, value, like);
    Py_INCREF(value);
    return value;
}
static inline PyObject *frazil_member(PyObject *select, PyObject *value, PyObject *like) {
    value = frazil_recall(&((frazil_select *) select)->memory, value, like);
    Py_INCREF(value);
    return value;
}
static PyObject *frazil_values_list(PyObject *attrs) {
    Py_ssize_t i, count = ((frazil_shape *) ((frazil_attrs *) attrs)->shape)->count;
    PyObject *list = PyList_New(count);
    if (list == NULL) return NULL;
    for (i = 0; i < count; i++) PyList_SET_ITEM(list, i, frazil_get_value(attrs, i));
    return list;
}
/* Name -> value. */
static PyObject *frazil_table(PyObject *names, PyObject **items, Py_ssize_t count) {
    Py_ssize_t i;
    PyObject *table = PyDict_New();
    if (table == NULL) return NULL;
    for (i = 0; i < count; i++) {
        if (PyDict_SetItem(table, PyTuple_GET_ITEM(names, i), items[i]) < 0) {
            Py_DECREF(table);
            return NULL;
        }
    }
    return table;
}
static inline PyObject *frazil_values_table(PyObject *names, PyObject *attrs) {
    return frazil_table(names, ((frazil_attrs *) attrs)->items, PyTuple_GET_SIZE(names));
}
/* Where shapes have names: of each pair what was last found, -1 for nowhere. Shapes live for ever. */
#define FRAZIL_PLACES 4096
/* As lang/origins.pxd has it. */
typedef struct { PyObject_HEAD Py_ssize_t count; PyObject *names; } frazil_named;
static struct { PyObject *shape, *name; Py_ssize_t place; } frazil_places[FRAZIL_PLACES];
static inline Py_ssize_t frazil_find_place(PyObject *shape, PyObject *index, PyObject *name) {
    size_t hash = (((size_t) shape >> 4) * 31 + ((size_t) name >> 4)) % FRAZIL_PLACES;
    PyObject *found, *old;
    Py_ssize_t place;
    if (frazil_places[hash].shape == shape && frazil_places[hash].name == name) return frazil_places[hash].place;
    if (index == Py_None) place = frazil_place_among(((frazil_named *) shape)->names, name);
    else {
        found = PyDict_GetItemWithError(index, name);
        place = found == NULL ? -1 : PyLong_AsSsize_t(found);
    }
    old = frazil_places[hash].name;
    Py_INCREF(name);
    frazil_places[hash].shape = shape;
    frazil_places[hash].name = name;
    frazil_places[hash].place = place;
    Py_XDECREF(old);
    return frazil_places[hash].place;
}

#endif
