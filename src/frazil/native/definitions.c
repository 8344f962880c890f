/* What a set literal defines, while it is read (`lang/definitions.py` says what for).
 *
 * Names are compared by address: the parser has one string for each. So is a shape found again by the addresses of its
 * names; that table forgets, and `SHAPES` of `lang/origins.py` knows all. Where there is no interpreter's lock nothing
 * is remembered from one set to the next. */

#include <Python.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    PyObject *name, *expr;
    Py_ssize_t pos;
    int kind;
} Definition;

typedef struct frazil_definitions {
    Py_ssize_t count, room;
    PyObject *index; /* name -> number, where there are many */
    Definition items[];
} Definitions;

/* As `lang/origins.pxd` has them. */
typedef struct {
    PyObject_HEAD
    Py_ssize_t count;
    PyObject *names;
} Shape;

#if defined(Py_GIL_DISABLED)
enum { WITH_LOCK = 0 };
#else
enum { WITH_LOCK = 1 };
#endif
enum { ROOM = 6, FEW = 12, SPARES = 16, SHAPES = 4096, PLAIN_KINDS = 64 };

static Definitions *spares[SPARES];
static int spare_count = 0;

Definitions *frazil_new_definitions(void) {
    Definitions *all = spare_count > 0 ? spares[--spare_count] : NULL;
    if (all == NULL)
        all = PyMem_RawMalloc(sizeof(Definitions) + ROOM * sizeof(Definition));
    if (all == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    all->count = 0;
    all->room = ROOM;
    all->index = NULL;
    return all;
}

void frazil_free_definitions(Definitions *all) {
    if (all == NULL)
        return;
    for (Py_ssize_t i = 0; i < all->count; i++) {
        Py_DECREF(all->items[i].name);
        Py_DECREF(all->items[i].expr);
    }
    Py_XDECREF(all->index);
    if (WITH_LOCK && all->room == ROOM && spare_count < SPARES)
        spares[spare_count++] = all;
    else
        PyMem_RawFree(all);
}

static int note(Definitions *all, Py_ssize_t i) {
    PyObject *number = PyLong_FromSsize_t(i);
    int failed = number == NULL || PyDict_SetItem(all->index, all->items[i].name, number) < 0;
    Py_XDECREF(number);
    return failed ? -1 : 0;
}

/* May be elsewhere afterwards. NULL: out of memory, and nothing has changed. */
Definitions *frazil_with_definition(Definitions *all, PyObject *name, PyObject *expr, Py_ssize_t pos, int kind) {
    if (all->count == all->room) {
        Definitions *larger = PyMem_RawRealloc(all, sizeof(Definitions) + 2 * (size_t)all->room * sizeof(Definition));
        if (larger == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        all = larger;
        all->room *= 2;
    }
    Definition *item = &all->items[all->count++];
    Py_INCREF(name);
    Py_INCREF(expr);
    *item = (Definition){name, expr, pos, kind};
    if (all->index != NULL && note(all, all->count - 1) < 0) {
        /* It is made anew when somebody looks for a name. */
        PyErr_Clear();
        Py_CLEAR(all->index);
    }
    return all;
}

/* -1: nowhere; -2: out of memory. */
Py_ssize_t frazil_find_definition(Definitions *all, PyObject *name) {
    if (all->count <= FEW) {
        for (Py_ssize_t i = 0; i < all->count; i++)
            if (all->items[i].name == name)
                return i;
        return -1;
    }
    if (all->index == NULL) {
        all->index = PyDict_New();
        if (all->index == NULL)
            return -2;
        for (Py_ssize_t i = 0; i < all->count; i++)
            if (note(all, i) < 0) {
                Py_CLEAR(all->index);
                return -2;
            }
    }
    PyObject *number = PyDict_GetItemWithError(all->index, name);
    return number != NULL ? PyLong_AsSsize_t(number) : PyErr_Occurred() ? -2 : -1;
}

Py_ssize_t frazil_count_definitions(Definitions *all) { return all->count; }

PyObject *frazil_definition_name(Definitions *all, Py_ssize_t i) { return Py_NewRef(all->items[i].name); }

PyObject *frazil_definition_expr(Definitions *all, Py_ssize_t i) { return Py_NewRef(all->items[i].expr); }

Py_ssize_t frazil_definition_pos(Definitions *all, Py_ssize_t i) { return all->items[i].pos; }

int frazil_definition_kind(Definitions *all, Py_ssize_t i) { return all->items[i].kind; }

/* Byte strings, as Python compares them. */
static int compare(const void *left, const void *right) {
    PyObject *a = ((const Definition *)left)->name, *b = ((const Definition *)right)->name;
    Py_ssize_t size = PyUnicode_GET_LENGTH(a), other = PyUnicode_GET_LENGTH(b);
    int order = memcmp(PyUnicode_DATA(a), PyUnicode_DATA(b), (size_t)(size < other ? size : other));
    return order != 0 ? order : (size > other) - (size < other);
}

void frazil_sort_definitions(Definitions *all) {
    Py_CLEAR(all->index);
    if (all->count > 2 * FEW) {
        qsort(all->items, (size_t)all->count, sizeof(Definition), compare);
        return;
    }
    for (Py_ssize_t i = 1; i < all->count; i++) {
        Definition moved = all->items[i];
        Py_ssize_t j = i;
        for (; j > 0 && compare(&all->items[j - 1], &moved) > 0; j--)
            all->items[j] = all->items[j - 1];
        all->items[j] = moved;
    }
}

PyObject *frazil_definition_names(Definitions *all) {
    PyObject *names = PyTuple_New(all->count);
    for (Py_ssize_t i = 0; names != NULL && i < all->count; i++)
        PyTuple_SET_ITEM(names, i, Py_NewRef(all->items[i].name));
    return names;
}

/* 0, nowhere, for what is beyond the first 2 GiB of all texts. */
PyObject *frazil_packed_positions(Definitions *all) {
    PyObject *packed = PyBytes_FromStringAndSize(NULL, all->count * (Py_ssize_t)sizeof(int));
    if (packed == NULL)
        return NULL;
    int *numbers = (int *)(void *)PyBytes_AS_STRING(packed);
    for (Py_ssize_t i = 0; i < all->count; i++)
        numbers[i] = all->items[i].pos <= INT_MAX ? (int)all->items[i].pos : 0;
    return packed;
}

/* At least as many as there are definitions. Most sets have none but plain ones. */
PyObject *frazil_packed_kinds(Definitions *all) {
    static PyObject *plain = NULL;
    Py_ssize_t size = all->count, i = 0;
    while (i < size && all->items[i].kind == 0)
        i++;
    if (i == size && size <= PLAIN_KINDS) {
        if (plain != NULL)
            return Py_NewRef(plain);
        size = PLAIN_KINDS;
    }
    PyObject *kinds = PyBytes_FromStringAndSize(NULL, size);
    if (kinds == NULL)
        return NULL;
    char *data = PyBytes_AS_STRING(kinds);
    memset(data, 0, (size_t)size);
    for (; i < all->count; i++)
        data[i] = (char)all->items[i].kind;
    if (all->count < size)
        plain = Py_NewRef(kinds);
    return kinds;
}

static PyObject *shapes[SHAPES];

static size_t shape_place(Definitions *all) {
    size_t hash = (size_t)all->count;
    for (Py_ssize_t i = 0; i < all->count; i++)
        hash = hash * 31 + ((size_t)all->items[i].name >> 4);
    return (hash ^ hash >> 12) % SHAPES;
}

/* The shape of these names, sorted, or None where it must be looked for. */
PyObject *frazil_known_shape(Definitions *all) {
    PyObject *shape = WITH_LOCK ? shapes[shape_place(all)] : NULL;
    if (shape == NULL || ((Shape *)shape)->count != all->count)
        Py_RETURN_NONE;
    for (Py_ssize_t i = 0; i < all->count; i++)
        if (PyTuple_GET_ITEM(((Shape *)shape)->names, i) != all->items[i].name)
            Py_RETURN_NONE;
    return Py_NewRef(shape);
}

void frazil_know_shape(Definitions *all, PyObject *shape) {
    if (!WITH_LOCK)
        return;
    size_t place = shape_place(all);
    PyObject *old = shapes[place];
    shapes[place] = Py_NewRef(shape);
    Py_XDECREF(old);
}
